"""What a source says is read from its text: nothing of it is run."""

import sys

import pytest

from bayesrun.base.imports import make_importable
from bayesrun.command.info.docstrings import docs_of, source_of
from bayesrun.errors import ConfigError

MODEL = r'''
"""Visits of sites."""
raise SystemExit("this module is never run")
import pymc
from bayesrun.types import Role

DATA: dict = {"y": Role(kind="count", doc="visits"), "se": Role("positive", "its error", optional=True, unit="y")}


def build(data, *, scale=1.0, **rest):
    r"""Poisson of :math:`\lambda`, see `other`.

    More of it.

    .. math:: y \sim P(\lambda)

    .. note::

        Not told.

    Parameters
    ----------
    data : Dataset
        The ``visits``.
    scale : float, optional
        Of the prior,
        in two lines.
    **rest
        See `Options`.

    References
    ----------
    One (2001).

    Two (2002).
    """
    with pymc.Model() as model:
        a = pymc.Normal("a", 0.0, scale, dims="site")
        pymc.Deterministic("b", a)
        pymc.Poisson("y_obs", mu=pymc.math.exp(a), observed=data["y"])
    return model


class Options:
    """Words.

    Parameters
    ----------
    rest
        What is told elsewhere.
    """
'''


@pytest.fixture
def package(workdir, monkeypatch):
    monkeypatch.syspath_prepend(str(workdir))
    (workdir / "visits_pkg").mkdir()
    (workdir / "visits_pkg" / "__init__.py").write_text("from .inner import build as made\nfrom .inner import gone\n")
    (workdir / "visits_pkg" / "inner.py").write_text(MODEL)
    return workdir


def test_a_docstring_roles_and_variables(package):
    found = source_of("visits_pkg.inner.build")
    assert found is not None
    assert (found.docs.summary, found.docs.paragraphs) == ("Poisson of λ, see other.", ("More of it.",))
    assert found.docs.formula == ("y ~ P(λ)",)
    assert found.docs.parameters == {
        "data": "The visits.",
        "scale": "Of the prior, in two lines.",
        "rest": "What is told elsewhere.",
    }
    assert found.docs.references == ("One (2001).", "Two (2002).")
    assert found.module.summary == "Visits of sites."
    assert [(role.name, role.kind, role.doc, role.optional, role.unit) for role in found.roles] == [
        ("y", "count", "visits", False, None),
        ("se", "positive", "its error", True, "y"),
    ]
    assert found.variables == (
        "a ~ Normal(0.0, scale), by site",
        "y_obs ~ Poisson(mu=pymc.math.exp(a)), observed: data['y']",
    )


def test_a_name_that_is_handed_on_is_followed_to_where_it_is_written(package):
    found = source_of("visits_pkg.made")
    assert found is not None
    assert found.file == (package / "visits_pkg" / "inner.py").resolve()


@pytest.mark.parametrize("path", ["visits_pkg.gone", "visits_pkg.inner.nosuch", "nosuch.build", "build", "math.sqrt"])
def test_what_is_not_there_is_none(package, path):
    assert source_of(path) is None


@pytest.mark.parametrize("text", ["", "One line.", "Parameters\n----------\n", "Words\n\nParameters\n----------\nx\n"])
def test_a_docstring_without_parts(text):
    assert docs_of(text).formula == ()
    assert docs_of(text).references == ()


def test_parameters_that_share_a_description_have_it_each():
    found = docs_of(
        "S.\n\nParameters\n----------\na, b : float\n    Both.\nc\n    Own.\n\nReturns\n-------\nx\n    No.\n"
    )
    assert found.parameters == {"a": "Both.", "b": "Both.", "c": "Own."}


def test_the_working_folder_is_one_of_those_looked_into(workdir, monkeypatch):
    monkeypatch.setattr("sys.path", list(sys.path))
    (workdir / "mymodel_here.py").write_text('def build(data):\n    """Mine."""\n')
    make_importable(workdir)
    found = source_of("mymodel_here.build")
    assert found is not None
    assert found.docs.summary == "Mine."


GOOGLE = """Words.

More words.

Args:
    a (int): The first,
        in two lines.
    **b: The second: a mapping.

Returns:
    c: no parameter.
"""
SPHINX = """Words.

More words.

:param int a: The first,
    in two lines.
:param b: The second: a mapping.
:returns: no parameter
"""


@pytest.mark.parametrize("text", [GOOGLE, SPHINX])
def test_other_forms_of_docstrings_have_parameters_too(text):
    found = docs_of(text)
    assert (found.summary, found.paragraphs) == ("Words.", ("More words.",))
    assert found.parameters == {"a": "The first, in two lines.", "b": "The second: a mapping."}


def test_variables_by_other_names_of_pymc_and_with_made_up_names(workdir, monkeypatch):
    monkeypatch.syspath_prepend(str(workdir))
    (workdir / "variables_here.py").write_text(
        "import pymc as mc\nfrom pymc import Normal, Deterministic\ndef build(data, k):\n"
        '    Normal("b", 0, 1)\n    Deterministic("d", 0)\n    mc.Normal(f"a_{k}", 0, k)\n    other.Normal("no", 0)\n'
    )
    found = source_of("variables_here.build")
    assert found is not None
    assert found.variables == ("b ~ Normal(0, 1)", "a_{k} ~ Normal(0, k)")


def test_a_file_states_its_encoding_and_what_is_no_python_is_refused(workdir, monkeypatch):
    monkeypatch.syspath_prepend(str(workdir))
    path = workdir / "latin_here.py"
    path.write_bytes('# -*- coding: latin-1 -*-\ndef build():\n    """Größe."""\n'.encode("latin-1"))
    found = source_of("latin_here.build")
    assert found is not None
    assert found.docs.summary == "Größe."
    path.write_text("def build(:\n")
    with pytest.raises(ConfigError, match=r"latin_here\.py, line 1: this is no Python: "):
        source_of("latin_here.build")
    path.write_bytes(b'def build():\n    """\0"""\n')
    with pytest.raises(ConfigError, match=r"latin_here\.py.*: this is no Python: .*null bytes"):
        source_of("latin_here.build")
