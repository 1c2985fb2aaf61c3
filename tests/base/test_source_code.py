"""The source of a function is what it can reach: in its own module, and in the user's modules that it imports."""

import importlib
import sys
import textwrap

import pytest

from bayesrun.base.source_code import executed, source_digest

HELPER = "def scale(x):\n    return 2.0 * x\n"
MODULE = """
    import math

    from users_helper import scale

    WIDTH = 3.0
    OTHER = 1.0

    def inner(x):
        return WIDTH * x

    class Wide:
        def width(self):
            return inner(2.0)

    def build(data):
        return Wide().width() + scale(1.0)

    def another(data):
        return OTHER
"""


@pytest.fixture
def digest_of(tmp_path, monkeypatch):
    """Digest of a user's function as its module is written, imported afresh each time."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def of(body=MODULE, helper=HELPER, name="build", files=()):
        (tmp_path / "users_model.py").write_text(textwrap.dedent(body), encoding="utf-8")
        (tmp_path / "users_helper.py").write_text(helper, encoding="utf-8")
        forget()
        return source_digest(getattr(importlib.import_module("users_model"), name), files)

    yield of
    forget()


def forget():
    for name in [name for name in sys.modules if name.startswith("users_")]:
        sys.modules.pop(name, None)
    importlib.invalidate_caches()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("WIDTH = 3.0", "WIDTH = 3.5"),
        ("WIDTH * x", "WIDTH + x"),
        ("inner(2.0)", "inner(2.5)"),
        ("Wide().width() +", "Wide().width() -"),
        ("import math", "import math\n    print(1)"),
        ("OTHER = 1.0", "OTHER = 1.0\n    WIDTH += 1"),
        ("OTHER = 1.0", "OTHER = 1.0\n    for x in (1,):\n        WIDTH = x"),
    ],
)
def test_what_is_reached_counts(digest_of, old, new):
    assert old in MODULE
    assert digest_of(MODULE.replace(old, new)) != digest_of()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("OTHER = 1.0", "OTHER = 2.0"),
        ("return OTHER", "return -OTHER"),
        ("WIDTH = 3.0", "WIDTH  =  3.0  # ü: wide"),
        ("    def inner(x):", '    def more(x):\n        return x\n\n    def inner(x):\n        "Docs."'),
        ("return OTHER", "return OTHER\n\n    if __name__ == '__main__':\n        print(1)"),
    ],
)
def test_what_is_not_reached_does_not(digest_of, old, new):
    assert old in MODULE
    assert digest_of(MODULE.replace(old, new)) == digest_of()


@pytest.mark.parametrize("call", ["globals()['OTHER']", "eval('OTHER')", "getattr(math, 'OTHER', 1)"])
def test_code_that_looks_names_up_reaches_all_of_its_module(digest_of, call):
    own = MODULE.replace("scale(1.0)", f"scale({call})")
    assert digest_of(own.replace("OTHER = 1.0", "OTHER = 2.0")) != digest_of(own)


def test_a_function_inside_another_one_has_all_of_its_module(digest_of):
    nested = """
    def made():
        def build(data):
            return 1
        return build
    nested = made()
"""
    own = MODULE + nested
    assert digest_of(own.replace("return OTHER", "return 3"), name="nested") != digest_of(own, name="nested")


AROUND = """
    import functools

    from users_helper import scale

    WIDTH = 3.0

    def around(function, by=1.0):
        @functools.wraps(function)
        def inner(data):
            return by * function(data)
        return inner

    class Maker:
        def __init__(self, by):
            self.by = by

        def build(self, data):
            return self.by

    def _build(data, by=1.0):
        return by

    filled = functools.partial(_build, by=2.0)
    wrapped = around(_build, by=3.0)
    bound = Maker(4.0).build
    helped = scale(_build)
"""
WRAPPING = """
import functools

def scale(function):
    @functools.wraps(function)
    def inner(data):
        return 2.0 * function(data)
    return inner
"""


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("filled", "by=2.0", "by=2.5"),
        ("filled", "return by", "return -by"),
        ("wrapped", "by=3.0", "by=3.5"),
        ("wrapped", "by * function", "by + function"),
        ("bound", "Maker(4.0)", "Maker(4.5)"),
    ],
)
def test_what_is_put_around_a_function_counts(digest_of, name, old, new):
    assert old in AROUND
    first = digest_of(AROUND, WRAPPING, name=name)
    assert first == digest_of(AROUND, WRAPPING, name=name)
    assert first != digest_of(AROUND.replace(old, new), WRAPPING, name=name)


def test_a_wrapper_of_another_module_counts(digest_of):
    first = digest_of(AROUND, WRAPPING, name="helped")
    assert first != digest_of(AROUND, WRAPPING.replace("2.0", "2.5"), name="helped")


def test_a_module_of_the_users_that_is_imported_counts(digest_of):
    assert digest_of(helper="def scale(x):\n    return x + x\n") != digest_of()


def test_a_users_module_named_like_ours_counts(digest_of, tmp_path):
    extra = tmp_path / "bayesrun_extra.py"
    body = (
        textwrap.dedent(MODULE)
        .replace("scale(1.0)", "scale(bayesrun_extra.A)")
        .replace("import math", "import bayesrun_extra")
    )
    seen = set()
    for text in ("A = 1\n", "A = 2\n"):
        extra.write_text(text)
        sys.modules.pop("bayesrun_extra", None)
        seen.add(digest_of(body))
    sys.modules.pop("bayesrun_extra")
    assert len(seen) == 2


LAZY = """
    def from_draws(data, drawn):
        IMPORT
        return {"y": scale(drawn["y"])}
"""


@pytest.mark.parametrize(
    "line",
    [
        "from users_helper import scale",
        "import users_helper; scale = users_helper.scale",
        "import importlib; scale = importlib.import_module('users_helper').scale",
        "scale = __import__('users_helper').scale",
        "from users_package.inner import scale",
    ],
)
def test_what_a_hook_imports_when_it_is_called_counts(digest_of, tmp_path, line):
    """Before the first call as after it: otherwise the second command would fit everything again."""
    (tmp_path / "users_package").mkdir()
    (tmp_path / "users_package" / "__init__.py").write_text("")
    body = LAZY.replace("IMPORT", line)
    found = []
    for helper in (HELPER, HELPER.replace("2.0", "3.0")):
        (tmp_path / "users_package" / "inner.py").write_text(helper)
        before = digest_of(body, helper, "from_draws")
        module = sys.modules["users_model"]
        module.from_draws({}, {"y": 1.0})
        found.append(source_digest(module.from_draws))
        assert found[-1] == before
    for name in [name for name in sys.modules if name.startswith("users_package")]:
        del sys.modules[name]
    assert found[0] != found[1]


def test_nothing_is_imported_to_find_sources(digest_of, tmp_path):
    (tmp_path / "users_bomb.py").write_text("raise SystemExit('imported')")
    digest_of(LAZY.replace("IMPORT", "import users_bomb; scale = abs"), name="from_draws")
    assert "users_bomb" not in sys.modules


def test_a_source_that_only_a_run_shows_counts(tmp_path, monkeypatch):
    """A helper that is found by a name which is worked out."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "users_found.py").write_text("def width():\n    return 1.0 + 1.0\n")

    def build(data):
        return importlib.import_module("_".join(["users", "found"])).width()

    seen = set()
    for text in ("1.0 + 1.0", "2.0"):
        (tmp_path / "users_found.py").write_text(f"def width():\n    return {text}\n")
        sys.modules.pop("users_found", None)
        importlib.invalidate_caches()
        build({})
        with executed() as files:
            build({})
        seen.add(source_digest(build, files))
    sys.modules.pop("users_found")
    assert len(seen) == 2
