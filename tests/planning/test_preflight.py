"""Everything that a user can get wrong is found on the driver, all of it at once, with nothing done twice."""

import dataclasses
import shutil
import sys
import types
from collections import Counter

import numpy as np
import pymc as pm
import pytest

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.planning.batches import expand
from bayesrun.planning.model_check import probe
from bayesrun.planning.preflight import Checked, check, last_checks, load_data
from bayesrun.samplers import nuts
from bayesrun.types import Cell, Dataset, DispatchOptions, Resources, Role, SamplerOptions, Target

Y = np.array([0.3, 1.9, -0.4, 2.2])


@pytest.fixture
def users(monkeypatch):
    """A user's module: two models, two readers, and how often each was called."""
    module = types.ModuleType("users")
    module.called = Counter()
    monkeypatch.setitem(sys.modules, "users", module)

    def add(function):
        def counted(*arguments, **options):
            module.called[function.__name__] += 1
            return function(*arguments, **options)

        counted.__wrapped__ = function
        function.__module__ = counted.__module__ = "users"
        setattr(module, function.__name__, counted)
        return function

    module.add = add

    @add
    def read(size: int = 4):
        return {"y": Y[:size]}

    @add
    def table(size: int = 4):
        return Dataset({"y": Y[:size]}, name="own name", citation="somewhere")

    @add
    def build(data, scale: float = 2.0):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, scale)
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    @add
    def counts(data):
        with pm.Model() as model:
            k = pm.Poisson("k", 3.0)
            pm.Normal("y", k, 1.0, observed=data["y"])
        return model

    return module


def cell(label: str, model="build", data="read", sampler="nuts", **fields) -> Cell:
    known = {"nuts", "numpyro", "advi", "advi_jax", "metropolis"}
    params = {name: fields.pop(name) for name in ("scale",) if name in fields}
    size = {"size": fields.pop("size")} if "size" in fields else {}
    return Cell(
        **{
            "label": label,
            "model": Target(model, f"users.{model}", params),
            "data": Target(data, f"users.{data}", size),
            "sampler": Target(sampler, f"bayesrun.samplers.{sampler}.sample" if sampler in known else sampler),
            "options": SamplerOptions(),
        }
        | fields
    )


def refused(*cells: Cell) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check(cells)
    return str(caught.value).splitlines()


# a model is built twice: one that draws random numbers differs, and could not be found again
def test_a_dataset_and_a_model_are_made_once_for_the_cells_that_share_them(users):
    found = check([cell("a"), cell("b", sampler="advi"), cell("c", scale=3), cell("d", size=3)])
    assert users.called == {"read": 2, "build": 6}
    assert found.models["a"] is found.models["b"]
    assert found.models["a"] is not found.models["c"]
    assert [c.cell.label for c in found.cells] == ["a", "b", "c", "d"]
    a, b, c, d = found.cells
    assert a.data_hash == b.data_hash == c.data_hash != d.data_hash
    assert a.fingerprint == b.fingerprint != c.fingerprint
    assert a.observed == c.observed != d.observed
    assert [x.kind for x in (a, b)] == ["nuts", "variational"]
    assert found.datasets["a"].name == "read"


def test_equal_data_of_two_readers_are_one_model(users):
    found = check([cell("a"), cell("b", data="table")])
    assert users.called == {"read": 1, "table": 1, "build": 2}
    assert found.cells[0].data_hash == found.cells[1].data_hash
    assert found.datasets["b"].name == "table"
    assert found.datasets["b"].citation == "somewhere"


def test_parameters_are_those_that_the_builder_gets(users):
    (checked,) = check([cell("a", scale=36)]).cells
    assert checked.cell.model.params == {"scale": 36.0}
    assert type(checked.cell.model.params["scale"]) is float


def test_all_problems_of_all_cells_are_reported_together(users):
    lines = refused(
        cell("a", model="bild", data="reed", sampler="nowhere.sample"),
        cell("b", scale="wide"),
        cell("c", size=-4),
        cell("d", options=SamplerOptions(escalate=(0.95,)), sampler="advi", model="counts"),
        cell("e"),
    )
    starts = [
        "sampler._target_: nowhere.sample cannot be imported: there is no module 'nowhere'",
        "data._target_: users has no function 'reed'; did you mean users.read? ",
        "model._target_: users has no function 'bild'; did you mean users.build? ",
        "model.scale: got 'wide'; wanted a valid number",
        "model=build data=read: ",
        "sampler.escalate: sampler=advi has no target_accept to raise",
    ]
    assert len(lines) == len(starts)
    for line, start in zip(lines, starts, strict=True):
        assert line.startswith(start)


def test_samplers_that_take_many_datasets_at_once_are_known(users):
    names = ("nuts", "numpyro", "advi", "advi_jax")
    found = check([cell(name, sampler=name) for name in names])
    assert [c.cell.label for c in found.cells if c.batched] == ["numpyro", "advi_jax"]
    own = check([cell("a", sampler="numpyro", options=SamplerOptions(engine="numpyro"))])
    assert not own.cells[0].batched


def test_keys_that_advi_jax_does_not_have_are_refused(users):
    (line,) = refused(cell("a", sampler="advi_jax", options=SamplerOptions(extra={"obj_nmc": 5})))
    assert line.startswith("sampler.extra.obj_nmc: unknown key; did you mean sampler.extra.obj_n_mc?")


def test_a_problem_that_cells_share_is_told_once(users):
    assert len(refused(cell("a", model="bild"), cell("b", model="bild"), cell("c", model="bild", sampler="advi"))) == 1


@pytest.mark.parametrize("sampler", ["nuts", "numpyro", "advi", "advi_jax"])
def test_discrete_variables_need_a_sampler_that_takes_them(users, sampler):
    (line,) = refused(cell("a", model="counts", sampler=sampler), cell("b", model="counts", sampler="metropolis"))
    assert line.startswith(
        f"model=counts sampler={sampler}: k cannot be sampled, being discrete; use sampler=metropolis"
    )


def broken(users, function) -> str:
    function.__name__ = "broken"
    users.add(function)
    (line,) = refused(cell("a", model="broken"))
    return line


def test_what_a_builder_can_get_wrong(users):
    def error(data):
        return data.arrays["y"] / np.linalg.inv(np.zeros((2, 2)))

    def leaves(data):
        raise SystemExit(1)

    def nothing(data):
        return None

    def fixed(data):
        with pm.Model() as model:
            pm.Normal("y", 0.0, 1.0, observed=data["y"])
        return model

    told = broken(users, error)
    assert told.startswith("model=broken: users.broken failed: LinAlgError: Singular matrix (line ")
    assert told.endswith(f"of {__file__})")
    assert "SystemExit: 1 (line " in broken(users, leaves)
    assert "users.broken returned NoneType; wanted a pm.Model" in broken(users, nothing)
    assert "it has no free variable" in broken(users, fixed)
    assert "data has no array 'z'; it has y" in broken(users, lambda data: data["z"])


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([1.0], "data=own: users.own returned list; wanted a bayesrun.types.Dataset or a mapping"),
        (ValueError("torn file"), "data=own: users.own failed: ValueError: torn file"),
        (SystemExit("usage"), "data=own: users.own failed: SystemExit: usage"),
    ],
)
def test_what_a_reader_can_get_wrong(users, result, message):
    def own():
        if isinstance(result, BaseException):
            raise result
        return result

    users.add(own)
    with pytest.raises(BayesrunError) as caught:
        load_data(Target("own", "users.own"))
    assert str(caught.value).startswith(message)


def test_the_models_roles_are_asked_of_the_data(users):
    users.DATA = {"time": Role("positive", "time to the event")}
    lines = refused(cell("a"))
    assert lines[0].startswith("model=build data=read: ")
    assert "time" in lines[0]


def test_warnings_name_the_variable(users):
    @users.add
    def risky(data):
        with pm.Model() as model:
            theta = pm.Normal("theta", 0.0, np.int8(36))
            pm.Potential("penalty", -theta)
            pm.Normal("y", theta, 1.0, observed=data["y"])
        return model

    (found,) = check([cell("a", model="risky")]).cells
    assert found.warnings == (
        "model=risky: theta (a constant of type int8) computes with a narrow integer, which overflows silently; write "
        "the number as a float (36.0)",
        "model=risky: LOO and predictive checks do not see the Potential penalty",
    )


def starting(define) -> str:
    with pm.Model() as model:
        define()
    with pytest.raises(ConfigError) as caught:
        probe(model, "mine")
    return str(caught.value)


def test_a_density_that_is_not_finite_at_the_start_names_the_variable():
    def support():
        sigma = pm.HalfNormal("sigma", 1.0)
        pm.Normal("fine", 0.0, sigma, observed=Y)
        pm.HalfNormal("y", sigma, observed=Y)

    def potential():
        theta = pm.Normal("theta")
        pm.Potential("penalty", pm.math.log(theta - 5.0))
        pm.Normal("y", theta, 1.0, observed=Y)

    def data():
        pm.Normal("y", pm.Normal("theta"), 1.0, observed=np.array([0.0, np.inf]))

    assert "the log density is not finite at the start for y (-inf); check that the data lie" in starting(support)
    assert "for penalty (nan)" in starting(potential)
    assert "for y (-inf)" in starting(data)


def test_a_density_that_cannot_be_evaluated_is_told():
    def parameters():
        pm.Normal("y", pm.Normal("theta"), np.array([-1.0]), observed=Y)

    def shapes():
        pm.Normal("y", pm.Normal("theta", shape=3), 1.0, observed=pm.Data("d", Y))

    assert "mine: its log density cannot be evaluated at the start: ParameterValueError: sigma > 0" in starting(
        parameters
    )
    assert "model=mine: " in starting(shapes)


def test_a_good_model_starts(users):
    probe(check([cell("a")]).models["a"], "build")


def plan_of(checked: Checked):
    return expand(checked.cells, 1, lambda key: None)


def test_disk_resources_and_start_values_are_checked_together(users, tmp_path, monkeypatch):
    @users.add
    def outside(data):
        with pm.Model() as model:
            pm.HalfNormal("y", pm.HalfNormal("sigma"), observed=data["y"])
        return model

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=2**30))
    greedy = cell("a", resources=Resources(num_cpus=4096))
    checked = check([greedy, cell("b", model="outside"), cell("c", model="outside", sampler="advi")])
    with pytest.raises(ConfigError) as caught:
        last_checks(plan_of(checked), checked, DispatchOptions(), tmp_path / "not" / "there", 3 * 2**30)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["model=outside", "sampler.resources.num_cpus", "output.dir"]
    assert "the fits need about 3.0 GiB, and " in lines[2]
    assert "has 1 GiB free; choose another folder" in lines[2]
    # neither resources nor an address matter in this process
    good = check([cell("a", resources=Resources(num_cpus=4096))])
    last_checks(plan_of(good), good, DispatchOptions(kind="serial", address="127.0.0.1:9"), tmp_path, 2**29)


def test_an_address_is_tried_only_where_something_is_left_to_do(users, tmp_path):
    checked = check([cell("a")])
    options = DispatchOptions(address="127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"dispatch\.address: no Ray cluster at 127\.0\.0\.1:9"):
        last_checks(plan_of(checked), checked, options, tmp_path, 0)
    nothing = plan_of(checked)
    last_checks(type(nothing)((), nothing.specs, frozenset()), checked, options, tmp_path, 0)


def test_a_users_sampler_is_known_by_its_sources(users, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    cells = [cell("shipped")]
    for number, body in enumerate(("return iter(())", "return iter([])")):
        (tmp_path / f"own_sampler_{number}.py").write_text(
            f"def sample(build, datasets, seeds, options):\n    {body}\n"
        )
        cells.append(dataclasses.replace(cell(f"own {number}"), sampler=Target("own", f"own_sampler_{number}.sample")))
    shipped, one, two = (found.sampler_version for found in check(cells).cells)
    assert shipped == nuts.VERSION
    assert one != two
    assert str(one).startswith("0-")
