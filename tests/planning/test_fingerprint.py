"""A model's fingerprint changes with its meaning and with nothing else; its graph shows what a user should know."""

import importlib
import os
import subprocess
import sys
import textwrap

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytensor.compile.builders import OpFromGraph
from pytensor.gradient import grad_clip
from pytensor.graph.replace import vectorize_graph
from scipy import sparse

from bayesrun.planning.fingerprint import (
    centred_variables,
    fingerprint,
    graph_digest,
    narrow_constants,
    observed_digest,
)
from bayesrun.types import Dataset
from model_oracles import default_data, model_config
from places import CONF, ROOT

SHIPPED = sorted(path.stem for path in (CONF / "model").glob("*.yaml"))
DATA = Dataset({"y": np.array([0.5, 1.5, -0.3])}, coords={"obs": ("a", "b", "c")})
HELPER = "def scale(x):\n    return 2.0 * x\n"
MODEL = """
    import numpy as np
    import pymc as pm
    from users_helper import scale

    WIDTH = 3.0

    def build(data, sigma=36.0):
        with pm.Model(coords={"obs": data.coords["obs"]}) as model:
            mu = pm.Normal("mu", 0.0, scale(sigma))
            pm.Normal("y", mu, WIDTH, observed=data["y"], dims="obs")
        return model
"""


@pytest.fixture
def prints(tmp_path, monkeypatch):
    """Fingerprint of the user's model as it is written, imported afresh each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def of(body: str = MODEL, helper: str = HELPER, data: Dataset = DATA, **params: float) -> str:
        (tmp_path / "users_model.py").write_text(textwrap.dedent(body), encoding="utf-8")
        (tmp_path / "users_helper.py").write_text(helper, encoding="utf-8")
        forget()
        build = importlib.import_module("users_model").build
        return fingerprint(build, build(data, **params), data)

    yield of
    forget()


def forget() -> None:
    for name in ("users_model", "users_helper"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


def shipped(name):
    _, target, params = model_config(name)
    module, function = target.rsplit(".", 1)
    build = getattr(importlib.import_module(module), function)
    return build, build(default_data(name), **params)


def test_comments_docstrings_and_layout_do_not_count(prints):
    same = MODEL.replace("WIDTH = 3.0", "WIDTH  =  3.00  # ü: a comment").replace(
        "def build(data, sigma=36.0):", 'def build(\n        data,\n        sigma=36.0,\n    ):\n        """Docs."""'
    )
    assert same != MODEL
    first = prints()
    assert prints(same, f'"""Docs."""\n\n{HELPER}# the end\n') == first
    assert prints() == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 3.0", "WIDTH = 3.5"),
        ('pm.Normal("mu"', 'pm.Cauchy("mu"'),
        ('"mu"', '"location"'),
        ("sigma=36.0", "sigma=35.0"),
    ],
)
def test_code_and_constants_count(prints, old, new):
    assert old in MODEL
    assert prints(MODEL.replace(old, new)) != prints()


def test_a_helper_counts_by_its_values(prints):
    assert prints(helper="def scale(x):\n    return x + x\n") == prints()
    assert prints(helper="def scale(x):\n    return 2.5 * x\n") != prints()


def test_what_reaches_no_density_does_not_count(prints):
    first = prints()
    assert prints(MODEL.replace("WIDTH = 3.0", "UNUSED = 1\n    WIDTH = 3.0")) == first
    assert prints(MODEL.replace("WIDTH", "BREADTH")) == first
    assert prints(MODEL.replace("sigma=36.0):", "sigma=36.0, unused=1):")) == first


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('pm.Normal("mu", 0.0, scale(sigma))', 'pm.Normal("mu", 0.0, scale(sigma), initval=0.5)'),
        (
            'pm.Normal("mu", 0.0, scale(sigma))',
            'pm.Normal("mu", 0.0, scale(sigma)); pm.Deterministic("twice", 2.0 * mu)',
        ),
        ('pm.Normal("mu", 0.0, scale(sigma))', 'pm.Normal("mu", 0.0, scale(sigma)); pm.Potential("more", -mu)'),
        (', dims="obs")', ")"),
    ],
)
def test_starts_deterministics_potentials_and_dims_count(prints, old, new):
    assert old in MODEL
    assert prints(MODEL.replace(old, new)) != prints()


def test_observed_values_that_are_no_array_of_the_data_count():
    """A builder may read a file of its own, of whose values nothing else knows."""

    def build(data, pilot=(1.0, 2.0)):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.Normal("pilot", mu, 1.0, observed=np.array(pilot))
            pm.Normal("y", mu, 1.0, observed=data["y"])
        return model

    assert graph_digest(build(DATA), DATA) == graph_digest(build(DATA), DATA)
    assert graph_digest(build(DATA, (1.0, 3.0)), DATA) != graph_digest(build(DATA), DATA)
    other = Dataset({"y": DATA["y"] + 1.0})
    assert graph_digest(build(other), other) == graph_digest(build(DATA), DATA)
    shared = Dataset({"y": DATA["y"], "pilot": np.array([1.0, 3.0])})
    assert graph_digest(build(shared, (1.0, 3.0)), shared) == graph_digest(build(shared, (1.0, 3.0)), shared)


def test_parameters_and_coords_count_and_observed_values_do_not(prints):
    other = Dataset({"y": DATA["y"] + 1.0}, coords=DATA.coords)
    renamed = Dataset(DATA.arrays, coords={"obs": ("a", "b", "d")})
    assert len({prints(), prints(sigma=35.0), prints(data=renamed)}) == 3
    # they are in the digest of the data, and replicates of one model have one fingerprint
    assert prints(data=other) == prints()


def test_another_process_with_other_hashes_finds_the_same():
    code = (
        "import sys; sys.path[:0] = ['tests/support', 'tests/planning']\n"
        "from test_fingerprint import SHIPPED, fingerprint, shipped\n"
        "print(*(fingerprint(*shipped(name)) for name in SHIPPED))"
    )
    here = [fingerprint(*shipped(name)) for name in SHIPPED]
    environment = os.environ | {"PYTHONHASHSEED": "12345"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == here
    assert len(set(here)) == len(here)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_shipped_model_computes_in_narrow_integers(name):
    assert narrow_constants(shipped(name)[1]) == []
    if name != "formula":  # Bambi writes whole numbers, which are safe under our policy only
        with pytensor.config.change_flags(cast_policy="custom"):
            assert narrow_constants(shipped(name)[1]) == []


CODES = np.array([0, 1, 2, 0], dtype=np.int8)


def narrow(define) -> list[str]:
    with pm.Model() as model:
        define()
    return narrow_constants(model)


def test_narrow_integers_that_are_computed_with_are_named():
    eight = np.int8(36)
    told = narrow(
        lambda: (
            pm.HalfStudentT("prior", 3.0, eight, shape=2),
            pm.Normal("square", pm.math.sqr(eight), 1.0),
            pm.Gamma("moments", mu=eight, sigma=np.int16(30)),
            pm.Deterministic("table", pm.math.sqr(pt.as_tensor(CODES)[pm.Categorical("k", np.full(4, 0.25))])),
            pm.Potential("term", 1.0 * (pt.as_tensor(CODES) * eight)),
        )
    )
    assert [text.split(" (")[0] for text in told] == ["moments", "prior", "square", "table", "term"]
    assert told[1] == "prior (a constant of type int8)"


def test_narrow_integers_as_index_or_beside_floats_are_fine():
    def define():
        group = pm.Normal("group", 0.0, 1.0, shape=3)
        pm.Normal("by_array", group[CODES], 1.0)
        pm.Normal("by_data", group[pm.Data("codes", CODES)], 1.0)
        pm.Normal("slope", group[0] * CODES + CODES / 2.0, 1.0)
        pm.Normal("y", group[0], 1.0, observed=CODES)
        pm.Poisson("n", pm.math.exp(group[1]), observed=CODES)
        pm.Normal("ints", 0, 36, shape=4)

    assert narrow(define) == []


def test_the_policy_that_a_user_may_set_is_seen():
    with pytensor.config.change_flags(cast_policy="custom"):
        assert narrow(lambda: pm.HalfStudentT("s", 3, 36)) == ["s (a constant of type int8)"]


def test_centred_variables_of_the_shipped_models():
    build, noncentred = shipped("hierarchical")
    assert centred_variables(noncentred) == {}
    centred = build(default_data("hierarchical"), parameterization="centered")
    assert centred_variables(centred) == {"theta": ["mu", "tau"]}
    found = {name: centred_variables(shipped(name)[1]) for name in SHIPPED}
    assert {name: parents for name, parents in found.items() if parents} == {
        # intercepts, and slopes given the intercepts
        "varying_effects": {"a": ["alpha", "sd"], "b": ["a", "alpha", "beta", "rho_unit", "sd"]}
    }


def test_a_vector_on_constants_or_on_one_parent_is_not_centred():
    with pm.Model() as model:
        mu = pm.Normal("mu")
        tau = pm.HalfNormal("tau")
        pm.Normal("constant", 0.0, 1.0, shape=3)
        pm.Normal("one_parent", mu, 1.0, shape=3)
        pm.Normal("scalar", mu, tau)
        theta = pm.Normal("theta", mu, tau, shape=3)
        pm.Normal("child", pm.math.sum(theta), 1.0, shape=2)
    assert centred_variables(model) == {"theta": ["mu", "tau"]}


def test_a_constant_inside_of_a_custom_log_density_counts():
    def custom(width):
        with pm.Model() as model:
            mu = pm.Normal("mu", 0.0, 1.0)
            pm.CustomDist("y", mu, logp=lambda value, mu: -(((value - mu) / width) ** 2), observed=np.ones(3))
        return model

    assert graph_digest(custom(1.0)) == graph_digest(custom(1.0))
    assert graph_digest(custom(1.0)) != graph_digest(custom(2.0))


X, STARTS = np.array([0.1, 0.2, 0.7]), np.array([1.0, 2.0, 5.0])


def inside(step, inputs=lambda u, v, w: [u, v]):
    def make(a, b):
        u, v, w = pt.scalar(), pt.scalar(), pt.scalar()
        op = OpFromGraph(inputs(u, v, w), [step(u, v)], on_unused_input="ignore")
        pm.Normal("y", op(*(a, b, a * b)[: len(inputs(u, v, w))]), 1.0, observed=1.0)

    return make


def over_rows(step):
    def make(a, b):
        u, v = pt.scalar(), pt.scalar()
        one = OpFromGraph([u, v], [step(u, v)])(u, v)
        pm.Normal("y", vectorize_graph(one, {u: a * X, v: b * X}), 1.0, observed=np.ones(3))

    return make


def along(step, taps=None, **how):
    def make(a, b):
        if taps is None:
            given = {"sequences": [a * X, b * STARTS], "outputs_info": [pt.zeros(())]}
        else:
            given = {"outputs_info": [{"initial": a * STARTS, "taps": taps}], "n_steps": 3}
        pm.Normal("y", pytensor.scan(step, **given, **how, return_updates=False), 1.0, observed=np.ones(3))

    return make


def cast(to):
    return lambda a, b: pm.Normal("y", pt.cast(3.0 * a, to) + b, 1.0, observed=np.ones(3))


def started(at):
    def make(a, b):
        pm.CustomDist("z", a, logp=lambda value, mu: -((value - mu) ** 2), support_point=lambda rv, size, mu: mu + at)
        pm.Normal("y", b, 1.0, observed=np.ones(3))

    return make


def clipped(at):
    return lambda a, b: pm.Normal("y", grad_clip(a, -at, at), 1.0, observed=np.ones(3))


def chosen(a, b):
    pm.Bernoulli("y", a + b, observed=np.ones(3, int))


def with_two(make, **how):
    with pm.Model(**how) as model:
        make(pm.Normal("a"), pm.Normal("b"))
    return model


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (inside(lambda u, v: u - 2.0 * v), inside(lambda u, v: u - 2.0 * v, lambda u, v, w: [v, u])),
        (inside(lambda u, v: u - v, lambda u, v, w: [u, w, v]), inside(lambda u, v: u - v, lambda u, v, w: [u, v, w])),
        (over_rows(lambda u, v: u - v), over_rows(lambda u, v: u - 2.0 * v)),
        (along(lambda x, y, last: last + x - 2.0 * y), along(lambda x, y, last: last + y - 2.0 * x)),
        (along(lambda p, q: p + 0.5 * q, [-1, -3]), along(lambda p, q: p + 0.5 * q, [-2, -3])),
        (along(lambda p, q: p + 0.5 * q, [-1, -3]), along(lambda p, q: q + 0.5 * p, [-1, -3])),
        (along(lambda x, y, s: s * x + y), along(lambda x, y, s: s * x + y, truncate_gradient=1)),
        (cast("int64"), cast("float32")),
        (started(0.0), started(9.0)),
        (clipped(1.0), clipped(0.1)),
    ],
    ids=["order", "unused", "rows", "sequences", "taps", "lags", "truncated", "cast", "start", "gradient"],
)  # fmt: skip
def test_what_is_inside_of_an_op_counts(first, second):
    """Which input is which, taps of a scan, the op that is repeated over rows: two densities, gradients or starts."""
    assert graph_digest(with_two(first)) == graph_digest(with_two(first))
    assert graph_digest(with_two(first)) != graph_digest(with_two(second))


def test_a_density_beyond_its_bounds_counts():
    assert graph_digest(with_two(chosen)) == graph_digest(with_two(chosen, check_bounds=True))
    assert graph_digest(with_two(chosen)) != graph_digest(with_two(chosen, check_bounds=False))


def test_the_entries_of_a_sparse_matrix_count():
    """A neighbourhood of other pairs, and of as many, that a builder reads from a file."""

    def neighbours(*pairs, weight=1.0):
        w = np.zeros((4, 4))
        for i, j in pairs:
            w[i, j] = w[j, i] = weight
        with pm.Model() as model:
            pm.CAR("y", mu=np.zeros(4), W=sparse.csr_matrix(w), alpha=0.5, tau=1.0, observed=np.arange(4.0))
        return model

    first, again, other, heavier = (
        graph_digest(model)
        for model in (
            neighbours((0, 1), (2, 3)),
            neighbours((0, 1), (2, 3)),
            neighbours((0, 2), (1, 3)),
            neighbours((0, 1), (2, 3), weight=2.0),
        )
    )
    assert first == again
    assert len({first, other, heavier}) == 3


MEANINGS = st.fixed_dictionaries(
    {
        "location": st.sampled_from([0.0, 0.5]),
        "scale": st.sampled_from([1.0, 2.0]),
        "name": st.sampled_from(["mu", "nu"]),
        "family": st.sampled_from([pm.Normal, pm.Laplace]),
        "extra": st.booleans(),
        "labels": st.sampled_from([("a", "b", "c"), ("a", "b", "d")]),
        "shift": st.sampled_from([0.0, 1.0]),
    }
)


def meant(location, scale, name, family, extra, labels, shift):
    with pm.Model(coords={"obs": labels}) as model:
        mu = family(name, location, scale)
        if extra:
            pm.Deterministic("twice", 2.0 * mu)
        pm.Normal("y", mu, 1.0, observed=DATA["y"] + shift, dims="obs")
    return model


@given(MEANINGS, MEANINGS)
@settings(max_examples=60)
def test_two_models_are_one_exactly_if_they_mean_the_same(one, other):
    marks = [(graph_digest(model, DATA), observed_digest(model)) for model in (meant(**one), meant(**other))]
    assert (marks[0] == marks[1]) == (one == other)
