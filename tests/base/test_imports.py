"""What a config names is imported, and its values are fitted to the function's signature, or the mistake is told."""

import sys
import textwrap
from itertools import count

import pytest

from bayesrun.base.imports import (
    bind,
    import_target,
    make_importable,
    module_constant,
    module_files,
    sampler_constant,
    takes_data,
    with_defaults,
)
from bayesrun.errors import ConfigError
from bayesrun.types import Target, canonical_json

NAMES = (f"users_module_{n}" for n in count())


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a user's module into an importable folder; the name is new, since imports are remembered."""
    monkeypatch.syspath_prepend(str(tmp_path))
    written = []

    def write(body: str) -> str:
        name = next(NAMES)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(body))
        written.append(name)
        return name

    yield write
    for name in written:
        sys.modules.pop(name, None)


def refused(path: str) -> str:
    with pytest.raises(ConfigError) as caught:
        import_target("model", path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def bound(name: str, given: int = 1, function: str = "build", **params):
    path = f"{name}.{function}"
    return bind("model", import_target("model", path), Target("mine", path, params), given).params


def wrong(name: str, **params) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        bound(name, **params)
    return str(caught.value).splitlines()


def test_a_missing_module_says_where_to_put_it(workdir):
    message = refused("nowhere_at_all.build")
    assert "model._target_: nowhere_at_all.build cannot be imported: there is no module 'nowhere_at_all'" in message
    assert f"put nowhere_at_all.py into the working directory ({workdir}) or install it" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("x = 1\nimport not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all' (line 2 of "),
        ("x = 1\n\ny = x / 0\n", "ZeroDivisionError: division by zero (line 3 of "),
        ("from math import nothing\n", "ImportError: cannot import name 'nothing' from 'math'"),
        ("x = (1\n", "SyntaxError: '(' was never closed (line 1 of "),
        ("import sys\nsys.exit('usage: mine')\n", "SystemExit: usage: mine (line 2 of "),
        ("raise ValueError('one\\ntwo')\n", "ValueError: one (line 1 of "),
    ],
)
def test_an_error_inside_the_module_is_told_with_its_line(module, body, message):
    name = module(body)
    told = refused(f"{name}.build")
    assert message in told
    assert f"{name}.py)" in told


def test_an_error_in_a_library_that_the_module_calls_is_placed_there(module):
    inner = module("def broken():\n    raise RuntimeError('inner')\n")
    outer = module(f"from {inner} import broken\nbroken()\n")
    assert f"RuntimeError: inner (line 2 of {inner}" in refused(f"{outer}.build").replace(f"{sys.path[0]}/", "")


@pytest.mark.parametrize("name", ["bild", "Build"])
def test_a_missing_function_gets_the_nearest_name(module, name):
    mine = module("VERSION = 3\ndef build(data): ...\ndef other(data): ...\ndef _hidden(data): ...\n")
    told = refused(f"{mine}.{name}")
    assert f"{mine} has no function {name!r}; did you mean {mine}.build? it has build, other" in told


def test_what_is_no_function_is_refused(module):
    mine = module("build = 3\n")
    assert f"{mine} has no function 'build'; it has none" in refused(f"{mine}.build")


def test_a_function_without_a_signature_is_refused():
    with pytest.raises(ConfigError, match=r"data\._target_: builtins\.dict does not say which parameters it takes"):
        bind("data", dict, Target("d", "builtins.dict"), 0)


def test_an_int_becomes_a_float_where_the_annotation_says_so(module):
    mine = module("def build(data, sigma: float, n: int = 3): ...\n")
    found = bound(mine, sigma=36, n=4)
    assert canonical_json(found) == '{"n":4,"sigma":36.0}'


def test_without_an_annotation_values_stay_as_they_are(module):
    mine = module("def build(data, sigma, n=3, names=()): ...\n")
    assert canonical_json(bound(mine, sigma=36, names=["a"])) == '{"names":["a"],"sigma":36}'


ANNOTATED = """
    from __future__ import annotations
    from collections.abc import Mapping, Sequence
    from typing import TYPE_CHECKING, Annotated, Any, Literal
    from annotated_types import Gt
    if TYPE_CHECKING:
        import pymc as pm
        from nowhere import Dataset, Prior

    def build(
        data: Dataset,
        *,
        kind: Literal["a", "b"] = "a",
        priors: Mapping[str, float] | None = None,
        scale: float | None = None,
        scales: Sequence[float] = (),
        pair: tuple[float, float] = (0.0, 1.0),
        rate: Annotated[float, Gt(0)] = 1.0,
        flag: bool = False,
        anything: Any = None,
        special: Prior | None = None,
    ) -> pm.Model: ...
"""


def test_annotations_that_need_evaluation_are_used_and_those_that_cannot_be_are_left_alone(module):
    mine = module(ANNOTATED)
    given = {
        "priors": {"mu": 1},
        "scale": 36,
        "scales": [1, 2],
        "pair": [1, 2],
        "rate": 2,
        "flag": True,
        "anything": 3,
        "special": 4,
    }
    assert canonical_json(bound(mine, **given)) == (
        '{"anything":3,"flag":true,"pair":[1.0,2.0],"priors":{"mu":1.0},"rate":2.0,"scale":36.0,'
        '"scales":[1.0,2.0],"special":4}'
    )
    assert bound(mine, scale=None, priors=None) == {"scale": None, "priors": None}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"kind": "c"}, "model.kind: got 'c'; wanted 'a' or 'b'"),
        ({"scale": "wide"}, "model.scale: got 'wide'; wanted a valid number"),
        ({"rate": -1}, "model.rate: got -1; wanted greater than 0"),
        ({"priors": {"mu": "x"}}, "model.priors: got {'mu': 'x'}; wanted a valid number"),
        ({"priors": 3}, "model.priors: got 3; wanted a valid"),
        ({"flag": "perhaps"}, "model.flag: got 'perhaps'; wanted a valid boolean"),
        ({"kinds": "a"}, "model.kinds: unknown key; did you mean model.kind? "),
    ],
)
def test_a_value_that_does_not_fit_is_refused(module, params, message):
    lines = wrong(module(ANNOTATED), **params)
    assert len(lines) == 1
    assert message in lines[0]


def test_unknown_missing_and_wrong_parameters_are_told_together(module):
    mine = module("def build(data, sigma: float, n: int): ...\n")
    assert wrong(mine, sigmaa=1, n="many") == [
        f"model.sigmaa: unknown key; did you mean model.sigma? {mine}.build takes sigma, n",
        f"model.sigma: {mine}.build needs a value; set it: model.sigma=VALUE",
        "model.n: got 'many'; wanted a valid integer, unable to parse string as an integer",
    ]


def test_other_keywords_are_allowed_where_the_function_takes_them(module):
    mine = module("def build(data, n: int = 1, **priors): ...\ndef typed(data, **priors: float): ...\n")
    assert canonical_json(bound(mine, mu=3, n=2)) == '{"mu":3,"n":2}'
    assert canonical_json(bound(mine, function="typed", mu=3)) == '{"mu":3.0}'
    path = f"{mine}.typed"
    with pytest.raises(ConfigError, match=r"model\.mu: got 'x'; wanted a valid number"):
        bind("model", import_target("model", path), Target("m", path, {"mu": "x"}), 1)


def test_callables_other_than_functions_are_bound_by_their_signature(module):
    mine = module(
        """
        import functools

        def _build(data, sigma: float, kind="a"): ...

        class Model:
            sigma: int = 3
            def __init__(self, data, sigma: float): ...

        part = functools.partial(_build, kind="b")

        def decorated(function):
            @functools.wraps(function)
            def inner(*args, **kwargs): return function(*args, **kwargs)
            return inner

        wrapped = decorated(_build)
        """
    )
    for function in ("part", "Model", "wrapped"):
        assert canonical_json(bound(mine, function=function, sigma=36)) == '{"sigma":36.0}'


def test_a_value_without_a_plain_form_is_handed_on_as_it_was_given(module):
    imports = "from pathlib import Path\nimport numpy as np\n"
    mine = module(f"{imports}def build(data, file: Path, x: np.ndarray = None): ...\n")
    assert bound(mine, file="a.csv", x=[1, 2]) == {"file": "a.csv", "x": [1, 2]}


def test_constants_of_the_module_that_defines_the_function(module):
    inner = module("VERSION = 7\nKIND = 'smc'\nDISCRETE = False\ndef sample(): ...\n")
    outer = module(f"from {inner} import sample\nVERSION = 1\n")
    bare = import_target("sampler", f"{module('def sample(): ...')}.sample")
    sample = import_target("sampler", f"{outer}.sample")
    assert [sampler_constant(sample, name) for name in ("VERSION", "KIND", "DISCRETE")] == [7, "smc", False]
    assert [sampler_constant(bare, name) for name in ("VERSION", "KIND", "DISCRETE")] == [0, "mcmc", True]
    assert module_constant(bare, "DATA", "none") == "none"


def test_the_working_directory_becomes_importable_once(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    make_importable(tmp_path)
    make_importable(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_a_float_default_says_float_as_an_annotation_does(module):
    name = module("def build(data, sigma=1.0, n=3, low=0.5):\n    return data\n")
    function = import_target("model", f"{name}.build")
    bound = bind("model", function, Target("m", f"{name}.build", {"sigma": 36, "n": 4, "low": None}), 1)
    assert bound.params == {"sigma": 36.0, "n": 4, "low": None}
    assert [type(value) for value in bound.params.values()] == [float, int, type(None)]


def test_the_file_of_a_name_that_no_plain_function_was_written_under(module):
    name = module("""
        import functools

        def plain(data):
            return data

        filled = functools.partial(plain, data=1)
        wrapped = functools.lru_cache(plain)
    """)

    def files(function):
        return module_files(f"{name}.{function}", import_target("model", f"{name}.{function}"))

    assert files("plain") == []
    assert files("filled") == files("wrapped") == [sys.modules[name].__file__]


BUILDERS = {
    "def build(data): ...": True,
    "def build(d, scale=1.0): ...": True,
    "def build(data=None, *, scale=1.0): ...": True,
    "def build(*data): ...": True,
    "def build(): ...": False,
    "def build(*, scale=1.0): ...": False,
    "def build(**priors): ...": False,
    "def build(scale=1.0): ...": False,
    "def build(kind='centred', scale=1.0): ...": False,
}


@pytest.mark.parametrize("text", BUILDERS)
def test_a_builder_takes_data_unless_its_first_argument_is_a_key(module, text):
    path = f"{module(text)}.build"
    function = import_target("model", path)
    assert takes_data(function) is BUILDERS[text]
    given = int(takes_data(function))
    params = {"scale": 2} if "scale" in text else {}
    bound = with_defaults(function, bind("model", function, Target("m", path, params), given))
    assert bound.params.get("scale") == (2 if params else None)
    assert "data" not in bound.params
    function(*[{}] * given, **bound.params)
