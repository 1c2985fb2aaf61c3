"""Outcomes of formulas: the event, the order of labels, whole numbers of any size, and names that collide."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from statsmodels.miscmodels.ordinal_model import OrderedModel

from bayesrun.data import conform, read
from bayesrun.errors import ConfigError, DataError
from bayesrun.models.formula import build, notes
from bayesrun.types import Dataset
from model_oracles import PLAIN, mode

N = 160
WEAK = {"dist": "Normal", "mu": 0, "sigma": 1e4}


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(12)
    x = rng.standard_normal(N)
    seen = rng.random(N) < 1 / (1 + np.exp(-0.4 - 1.4 * x))
    pain = np.digitize(1.8 * x + rng.logistic(size=N), [-1.2, 1.4])
    income = np.round(2.4e9 + 2.4e8 * x + 1e8 * rng.standard_normal(N)).astype(np.int64)
    return pd.DataFrame(
        {
            "x": x,
            "seen": seen,
            "pain": np.array(["low", "medium", "high"])[pain],
            "pain_number": pain + 1,
            "income": income,
            "calls": rng.poisson(np.exp(0.5 + 0.4 * x)),
            "site": np.where(x > 0, "1.1", "1.10"),
        }
    )


@pytest.fixture
def table(frame, tmp_path):
    def make(how=None, **changes):
        path = tmp_path / "t.csv"
        frame.assign(**changes).to_csv(path, index=False)
        return conform(read(str(path), **(how or {})), {}, used=())

    return make


def slope(data, formula, family, **options):
    priors = {"x": WEAK} | ({"Intercept": WEAK} if family not in ("cumulative", "sratio") else {})
    return float(np.ravel(mode(build(data, formula=formula, family=family, priors=priors, **options))["x"])[0])


@pytest.fixture(scope="module")
def logit(frame):
    return sm.Logit(frame["seen"].astype(int), sm.add_constant(frame["x"])).fit(disp=0).params["x"]


@pytest.mark.parametrize("labels", [("no", "yes"), ("FALSE", "TRUE"), ("0", "1"), ("N", "Y")])
@pytest.mark.parametrize("categories", [None, ["seen"]])
def test_the_event_of_known_labels_is_modelled(table, frame, logit, labels, categories):
    data = table({"categories": categories}, seen=np.array(labels)[frame["seen"].astype(int)])
    assert slope(data, "seen ~ x", "bernoulli") == pytest.approx(logit, rel=1e-3)
    told = notes(data, formula="seen ~ x", family="bernoulli")
    assert told == ([] if data.labels("seen") is None else told)
    if data.labels("seen") is not None:
        assert told[0].startswith(f"seen: 1 is {data.labels('seen')[1]!r}, the event")


def test_the_event_of_other_labels_is_asked_for(table, frame, logit):
    changed = {"seen": np.array(["left", "right"])[frame["seen"].astype(int)]}
    with pytest.raises(DataError, match=r"nothing says which one is 1, the event. .*'data.event=\{seen:LABEL\}'"):
        build(table(**changed), formula="seen ~ x", family="bernoulli")
    right = slope(table({"event": {"seen": "right"}}, **changed), "seen ~ x", "bernoulli")
    left = slope(table({"event": {"seen": "left"}}, **changed), "seen ~ x", "bernoulli")
    named = slope(table(**changed), "seen['left'] ~ x", "bernoulli")
    assert (right, left, named) == pytest.approx((logit, -logit, -logit), rel=1e-3)
    with pytest.raises(DataError, match="must be 0 or 1; got 2"):
        build(table(seen=frame["seen"] + 1), formula="seen ~ x", family="bernoulli")
    with pytest.raises(DataError, match="wants two labels, and the outcome pain has 3"):
        build(table(), formula="pain ~ x", family="bernoulli")


def test_the_order_of_labels_is_stated_or_refused(table, frame):
    expected = OrderedModel(frame["pain_number"], frame[["x"]], distr="logit").fit(disp=0).params["x"]
    with pytest.raises(DataError, match=r"nothing says their order. .*'data.order=\{pain:\[LOWEST,...,HIGHEST\]\}'"):
        build(table(), formula="pain ~ x", family="cumulative")
    stated = table({"order": {"pain": ["low", "medium", "high"]}})
    assert notes(stated, formula="pain ~ x", family="cumulative") == ["pain: ordered as low < medium < high"]
    numbers = table({"categories": ["pain_number"]})
    for data, outcome in ((stated, "pain"), (table(), "pain_number"), (numbers, "pain_number")):
        model = build(data, formula=f"{outcome} ~ x", family="cumulative", priors={"x": WEAK})
        # the default prior of the cut points is Normal(0, 2) or so, and the slope feels it
        assert float(mode(model)["x"]) == pytest.approx(expected, rel=0.06)
        assert model.named_vars_to_dims["p"] == ("__obs__", "threshold_dim")
    sratio = build(stated, formula="pain ~ x", family="sratio")
    codes = np.asarray(sratio.rvs_to_values[sratio["pain"]].data)
    np.testing.assert_array_equal(codes, frame["pain_number"] - 1)


def test_whole_numbers_beyond_32_bits_stay_what_they_are(table, frame):
    model = build(table(), formula="income ~ x")
    np.testing.assert_array_equal(model.rvs_to_values[model["income"]].data, frame["income"])
    found = mode(model)
    expected = sm.OLS(frame["income"], sm.add_constant(frame["x"])).fit().params["x"]
    assert float(found["x"]) == pytest.approx(expected, rel=0.01)


def test_a_standardised_outcome_of_counts_is_refused(table):
    with pytest.raises(DataError, match=r"data\.standardize scaled the outcome calls too"):
        build(table({"standardize": True}), formula="calls ~ x", family="negativebinomial")
    build(table({"standardize": ["x"]}), formula="calls ~ x", family="negativebinomial")
    for formula, family, name in (
        ("calls ~ x + offset(income)", "poisson", "income"),
        ("p(calls, pain_number) ~ x", "binomial", "calls"),
        ("weighted(income, calls) ~ x", "gaussian", "calls"),
        ("censored(income, pain) ~ x", "weibull", "income"),
    ):
        with pytest.raises(DataError, match=rf"data\.standardize scaled (the outcome )?{name} too, which"):
            build(table({"standardize": [name]}), formula=formula, family=family)
    build(table({"standardize": ["income", "x"]}), formula="weighted(income, calls) ~ x")
    build(table({"standardize": ["x"]}), formula="income ~ x + offset(calls)")
    build(table({"standardize": True}), formula="income ~ x")
    assert "data.standardize=true scaled x, pain_number, income, calls" in " ".join(
        table({"standardize": True, "categories": ["site"]}).origin.notes
    )


@pytest.mark.parametrize("name", ["Intercept", "Intercept_at_zero", "sigma", "mu", "chain", "draw"])
def test_columns_with_names_of_the_model_are_refused_where_they_are_used(table, frame, name):
    data = table(**{name: frame["x"] ** 2})
    with pytest.raises(DataError, match=rf"names {name}, and this is what the model calls .*data.columns"):
        build(data, formula=f"income ~ x + {name}")
    unused = build(data, formula="calls ~ x", family="poisson")
    assert sorted(v.name for v in unused.free_RVs) == ["Intercept", "x"]


@pytest.mark.parametrize("name", ["obs", "predictor", "group", "sample"])
def test_columns_with_names_of_dims_are_numbers(table, frame, name):
    data = table(**{name: 3.0 * frame["x"] + 1.5})
    flat = {"Intercept": WEAK, name: WEAK}
    found = mode(build(data, formula=f"seen ~ {name}", family="bernoulli", priors=flat))
    exact = sm.Logit(frame["seen"].astype(int), sm.add_constant(3.0 * frame["x"] + 1.5)).fit(disp=0).params["x"]
    assert found[name].shape == ()
    assert float(found[name]) == pytest.approx(exact, rel=1e-3)


def test_labels_that_only_the_file_tells_apart(table):
    for formula in ("calls ~ x + (1|site)", "calls ~ x + C(site)"):
        with pytest.raises(DataError, match=r"takes site as labels.*'data.categories=\[site\]'"):
            build(table(), formula=formula, family="poisson")
    model = build(table({"categories": ["site"]}), formula="calls ~ x + (1|site)", family="poisson")
    assert set(model.coords["site__factor_dim"]) == {"1.1", "1.10"}


def test_gaps_of_columns_that_a_formula_does_not_name(table, frame):
    data = table(cabin=["C1", *[None] * (N - 1)])
    model = build(data, formula="seen ~ x", family="bernoulli")
    assert model.rvs_to_values[model["seen"]].data.shape == (N,)


def test_levels_that_no_row_has_are_none_of_a_covariate_and_stay_a_group(table):
    data = table({"order": {"pain": ["none", "low", "medium", "worse", "high"]}})
    covariate = build(data, formula="income ~ pain")
    assert list(covariate.coords["pain_dim"]) == ["medium", "high"]
    assert np.isfinite(covariate.compile_logp(mode=PLAIN)(covariate.initial_point()))
    group = build(data, formula="income ~ (1|pain)")
    assert list(group.coords["pain__factor_dim"]) == ["none", "low", "medium", "worse", "high"]


def test_large_numbers_as_groups_are_all_different(table, frame):
    data = table(unit=2**60 + frame["pain_number"])
    for formula in ("income ~ (1|unit)", "income ~ C(unit)", "income ~ x:C(unit)", "income ~ (0 + C(unit)|seen)"):
        model = build(data, formula=formula)
        (levels,) = [labels for dim, labels in model.coords.items() if "unit" in dim]
        assert len(set(levels)) == (2 if formula == "income ~ C(unit)" else 3)
    # as a file without words gives a column of whole numbers with a gap
    rough = Dataset({"y": np.arange(3.0), "g": np.array([2.0**60, 2.0**60, 2.0**61])})
    with pytest.raises(DataError, match=r"takes g as labels.*do not tell neighbours apart"):
        build(rough, formula="y ~ (1|g)")
    assert build(rough, formula="y ~ g")["g"].ndim == 0


def test_a_status_that_bambi_does_not_know_is_the_users_error(table, frame):
    with pytest.raises(ConfigError, match="Statuses must be in"):
        build(table(status=frame["seen"].astype(int)), formula="censored(income, status) ~ x", family="weibull")


@pytest.mark.parametrize(
    ("changes", "how", "label", "event"),
    [
        ({}, {}, "False", False),  # a column of truth values
        ({}, {}, "TRUE", True),
        ({"cast": int}, {}, "0", False),
        ({"cast": float}, {}, "1", True),
        ({"cast": int}, {"categories": ["seen"]}, "0", False),
        ({"labels": ["left", "right"]}, {}, "left", False),
        ({"labels": ["left", "right"]}, {"event": {"seen": "left"}}, "right", True),
    ],
)
def test_the_label_that_a_formula_names_is_the_event(table, frame, logit, changes, how, label, event):
    cells = frame["seen"].astype(changes.get("cast", bool))
    if "labels" in changes:
        cells = np.array(changes["labels"])[frame["seen"].astype(int)]
    data = table(how, seen=cells)
    formula = f"seen['{label}'] ~ x"
    assert slope(data, formula, "bernoulli") == pytest.approx(logit if event else -logit, rel=1e-3)
    assert notes(data, formula=formula, family="bernoulli") == [f"seen: 1 is {label!r}, the event, as the formula says"]
    for wrong in ("Left", "7", "none"):
        with pytest.raises(DataError, match=rf"names the label '{wrong}' of the outcome seen, which has"):
            build(data, formula=f"seen['{wrong}'] ~ x", family="bernoulli")


def test_one_label_against_several(table, frame):
    found = slope(table(), "pain['high'] ~ x", "bernoulli")
    exact = sm.Logit((frame["pain"] == "high").astype(int), sm.add_constant(frame["x"])).fit(disp=0).params["x"]
    assert found == pytest.approx(exact, rel=1e-3)
