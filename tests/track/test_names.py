"""Names of metrics and parameters are legal, short, readable and apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param_name

from bayesrun.track.fit_runs import flat_params
from bayesrun.track.names import distinct, legal

LETTERS = st.text(alphabet="aäàoöß βµжя[]$\\{}/.|:日\u0301_", max_size=8)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("größe", "groesse"),
        ("gräße", "graesse"),
        ("β", "beta"),
        ("Σ", "Sigma"),
        ("λ", "lambda"),
        ("µ", "mu"),
        (r"$\sigma_{y}$", "sigma_y"),
        ("dose:arm[treated]", "dose:arm.treated"),
        ("1|firm_sigma", "1_firm_sigma"),
        ("élan", "elan"),
        ("gro\u0308ße", "groesse"),
        ("жара", "zhara"),
        ("日本", "日本"),
        ("theta[0]", "theta.0"),
    ],
)
def test_names_can_be_read(name, shown):
    assert distinct([name]) == {name: shown}


def test_only_names_that_come_out_alike_get_a_digest():
    found = distinct(["größe", "groesse", "gräße"])
    assert (found["groesse"], found["gräße"]) == ("groesse", "graesse")
    assert found["größe"].startswith("groesse.")


@given(st.lists(LETTERS, unique=True, max_size=10))
def test_names_are_legal_and_apart(names):
    found = distinct(names)
    assert len(set(found.values())) == len(names)
    for name in found.values():
        _validate_metric_name(name)
        _validate_param_name(name)
        assert legal(name) == name


@given(
    st.dictionaries(LETTERS, st.one_of(st.integers(), st.dictionaries(LETTERS, st.integers(), max_size=4)), max_size=5)
)
def test_no_parameter_is_lost(nested):
    leaves = sum(len(value) if isinstance(value, dict) else 1 for value in nested.values())
    assert len(flat_params({"priors": nested})) == leaves


def test_later_facts_take_the_place_of_earlier_ones():
    assert flat_params({"model": {"": "a", "s": 1}}, {"model.s": 2}) == {"model": "a", "model.s": "2"}
