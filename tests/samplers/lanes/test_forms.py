"""What a builder's own functions, classes and objects hold is part of a model's form, wherever it is kept.

Two datasets for which a builder makes unlike ones never share a density, and those for which it makes alike ones do.
"""

import functools
import gc
from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pymc as pm
import pytensor.tensor as pt
import pytest

from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.same_form import fit_groups
from bayesrun.types import Dataset
from model_oracles import PLAIN

pytestmark = pytest.mark.filterwarnings("ignore:PyTensor could not link to a BLAS installation:UserWarning")

SCALE = 0.0
ALIKE = (0.5, 0.5)
UNLIKE = (0.5, 2.0)


@dataclass(slots=True)
class Slots:
    """An object without a dict."""

    scale: float


class Above(pm.distributions.transforms.Transform):
    """Values above a bound, which is an attribute of the class."""

    name = "above"
    bound = 0.0

    def forward(self, value, *inputs):
        return pt.log(value - self.bound)

    def backward(self, value, *inputs):
        return pt.exp(value) + self.bound

    def log_jac_det(self, value, *inputs):
        return value


class Below(pm.distributions.transforms.Transform):
    """Values below a bound, which is a global."""

    name = "below"

    def forward(self, value, *inputs):
        return pt.log(SCALE - value)

    def backward(self, value, *inputs):
        return SCALE - pt.exp(value)

    def log_jac_det(self, value, *inputs):
        return value


def helper(distance):
    return -SCALE * distance**2


def set_scale(scale):
    global SCALE
    SCALE = scale


def of_closure(scale):
    return lambda value, mu: -scale * (value - mu) ** 2


def of_global(scale):
    set_scale(scale)
    return lambda value, mu: -SCALE * (value - mu) ** 2


def of_global_within(scale):
    set_scale(scale)
    return lambda value, mu: (lambda distance: -SCALE * distance**2)(value - mu)


def of_global_of_helper(scale):
    set_scale(scale)
    return lambda value, mu: helper(value - mu)


def of_executed_text(scale):
    known = {"scale": scale}
    exec("def logp(value, mu): return -scale * (value - mu) ** 2", known)
    return known["logp"]


def of_local_class(scale):
    class Log:
        def __call__(self, value, mu):
            return -scale * (value - mu) ** 2

    return Log()


def of_static_method(scale):
    class Log:
        @staticmethod
        def density(value, mu):
            return -scale * (value - mu) ** 2

    return Log.density


def of_property(scale):
    class Log:
        @property
        def scale(self):
            return scale

    log = Log()
    return lambda value, mu: -log.scale * (value - mu) ** 2


def of_method_of_a_dict(scale):
    get = {"scale": scale}.get
    return lambda value, mu: -get("scale") * (value - mu) ** 2


def of_slots(scale):
    kept = Slots(scale)
    return lambda value, mu: -kept.scale * (value - mu) ** 2


def of_set(scale):
    kept = {scale}
    return lambda value, mu: -sum(kept) * (value - mu) ** 2


def of_deque(scale):
    kept = deque([scale])
    return lambda value, mu: -kept[0] * (value - mu) ** 2


def of_fraction(scale):
    kept = Fraction(scale)
    return lambda value, mu: -float(kept) * (value - mu) ** 2


def of_cache(scale):
    kept = functools.lru_cache(lambda: scale)
    return lambda value, mu: -kept() * (value - mu) ** 2


DENSITIES = [
    of_closure,
    of_global,
    of_global_within,
    of_global_of_helper,
    of_executed_text,
    of_local_class,
    of_static_method,
    of_property,
    of_method_of_a_dict,
    of_slots,
    of_set,
    of_deque,
    of_fraction,
    of_cache,
]


def with_density(make, data):
    log_density = make(float(data["scale"][0]))
    with pm.Model() as model:
        pm.CustomDist("y_obs", pm.Normal("mu"), logp=log_density, observed=data["y"])
    return model


def local(bound):
    class Own(Above):
        def forward(self, value, *inputs):
            return pt.log(value - bound)

        def backward(self, value, *inputs):
            return pt.exp(value) + bound

    return Own()


def by_attribute(bound):
    Above.bound = bound
    return Above()


def by_global(bound):
    set_scale(bound)
    return Below()


TRANSFORMS = [local, by_attribute, by_global]


def with_transform(make, data):
    transform = make(float(data["scale"][0]))
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 10.0, transform=transform)
        pm.Normal("y_obs", mu, 1.0, observed=data["y"])
    return model


def datasets(scales):
    rng = np.random.default_rng(3)
    return [Dataset({"y": rng.normal(size=4), "scale": np.full(1, scale)}) for scale in scales]


BUILDERS = [
    *(pytest.param(functools.partial(with_density, make), id=make.__name__) for make in DENSITIES),
    *(pytest.param(functools.partial(with_transform, make), id=make.__name__) for make in TRANSFORMS),
]


@pytest.mark.parametrize("build", BUILDERS)
def test_models_whose_own_objects_differ_have_other_forms_and_those_whose_are_alike_have_one(build):
    first, second = (survey(build(data)).form for data in datasets(ALIKE))
    assert first == second
    first, second = (survey(build(data)).form for data in datasets(UNLIKE))
    assert first != second


def test_an_object_that_cannot_be_read_is_equal_to_itself_alone_though_it_is_gone_and_another_has_its_address():
    def build(data):
        kept = iter_of(data)
        return with_density(lambda _: lambda value, mu: -((value - mu) ** 2) + 0.0 * kept.gi_running, data)

    def iter_of(data):
        yield data

    (data,) = datasets([1.0])
    forms = []
    for _ in range(4):
        forms.append(survey(build(data)).form)
        gc.collect()
    assert len(set(forms)) == len(forms)


@pytest.mark.parametrize(
    "build", [functools.partial(with_density, of_global), functools.partial(with_transform, local)]
)
def test_every_dataset_has_the_density_of_its_own_model(build):
    """PyMC's own log density of each model, in groups and one after another."""
    sets = datasets([-3.0, -2.5, -2.5, -3.5])
    found = {}

    def fit(density, members, seconds):
        for member in members:
            z = np.array([0.3])
            found[member.index] = float(density.log_density(z, density.prepare(density.arguments(member.surveyed))))
            yield member.index, None

    for together in (sets, *([data] for data in sets)):
        found.clear()
        list(fit_groups(build, together, range(len(together)), fit, like=None))
        for index, data in enumerate(together):
            model = build(data)
            point = {model.value_vars[0].name: np.array(0.3)}
            assert found[index] == pytest.approx(float(model.compile_logp(mode=PLAIN)(point)), rel=1e-9)
