"""Each shipped dataset against summary values that were published, or computed by someone else's code."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from scipy.optimize import minimize_scalar

from bayesrun.data import conform, load, nothing, read, save, shipped
from bayesrun.data.catalogue import CATALOGUE
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Role
from places import CONF

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONFIGS = CONF / "data"
REAL, POSITIVE, BINARY = Role("real", "outcome"), Role("positive", "scale"), Role("binary", "event")
GROUP, X = Role("category", "group"), Role("predictors", "predictors")
ROLES: Mapping[str, Mapping[str, Role]] = {
    "eight_schools": {"y": REAL, "sigma": POSITIVE, "group": GROUP},
    "bcg": {"y": REAL, "se": POSITIVE, "study": GROUP},
    "engel": {"y": REAL, "X": X},
    "spector": {"y": BINARY, "X": X},
    "nile": {"y": REAL},
    "sunspots": {"y": REAL},
    "heart": {"time": POSITIVE, "event": BINARY, "X": X},
    "women": {"y": REAL, "x": REAL},
    "statecrime": {"y": REAL, "X": X},
    "grunfeld": {"y": REAL, "x": REAL, "group": GROUP},
    "rats": {"y": REAL, "x": REAL, "group": GROUP},
    "fair": {"y": BINARY, "X": X},
}


def configured(name: str, **changes: Any) -> Dataset:
    params = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
    assert params.pop("_target_") == "bayesrun.data.shipped"
    return shipped(**params | changes)


def test_every_table_has_a_config_and_a_citation() -> None:
    assert set(ROLES) == set(CATALOGUE)
    for name, source in CATALOGUE.items():
        assert configured(name).citation == source.citation != ""
        assert source.about


@pytest.mark.parametrize(
    "path", sorted(p for p in CONFIGS.glob("*.yaml") if p.stem not in ("design", "none")), ids=lambda p: p.stem
)
def test_configs_list_every_parameter(path: Path) -> None:
    keys = yaml.safe_load(path.read_text())
    function = {"bayesrun.data.shipped": shipped, "bayesrun.data.read": read}[keys.pop("_target_")]
    # all of them, so that no override needs a plus sign
    assert set(keys) == set(inspect.signature(function).parameters)
    if function is shipped:
        assert keys["table"] == path.stem
    else:
        defaults = {k: p.default for k, p in inspect.signature(read).parameters.items() if k not in ("path", "format")}
        assert {k: keys[k] for k in defaults} == defaults
        assert keys["path"] == "???"


@pytest.mark.parametrize("name", sorted(ROLES))
def test_conforms_and_survives_the_store(name: str, tmp_path: Path) -> None:
    dataset = conform(configured(name), ROLES[name])
    for array, along in dataset.dims.items():
        assert dataset[array].shape == tuple(len(dataset.coords[dim]) for dim in along)
    save(dataset, tmp_path / "d.nc")
    back = load(tmp_path / "d.nc")
    assert back.digest() == dataset.digest()
    assert (back.name, back.citation, back.coords) == (dataset.name, dataset.citation, dataset.coords)
    assert dict(back.dims) == dict(dataset.dims)
    for array in dataset:
        assert back[array].dtype == dataset[array].dtype
        np.testing.assert_array_equal(back[array], dataset[array])


def test_eight_schools_is_table_1_of_rubin() -> None:
    data = conform(configured("eight_schools"), ROLES["eight_schools"])
    np.testing.assert_array_equal(data["y"], [28, 8, -3, 7, -1, 1, 18, 12])
    np.testing.assert_array_equal(data["sigma"], [15, 10, 16, 11, 9, 11, 10, 18])
    assert data.coords["group"] == tuple("ABCDEFGH")
    # complete pooling, Gelman et al., Bayesian Data Analysis (3rd ed.), section 5.5: 7.7 with SE 4.1
    weight = data["sigma"] ** -2
    assert (weight * data["y"]).sum() / weight.sum() == pytest.approx(7.7, abs=0.05)
    assert weight.sum() ** -0.5 == pytest.approx(4.1, abs=0.05)


def test_bcg_gives_the_published_random_effects_estimate() -> None:
    data = conform(configured("bcg"), ROLES["bcg"])
    y, v = data["y"], data["se"] ** 2

    def fit(tau2: float) -> tuple[float, float]:
        w = 1 / (v + tau2)
        mu = (w * y).sum() / w.sum()
        return mu, 0.5 * (np.log(v + tau2).sum() + np.log(w.sum()) + (w * (y - mu) ** 2).sum())

    tau2 = minimize_scalar(lambda t: fit(t)[1], bounds=(0, 5), method="bounded", options={"xatol": 1e-8}).x
    # Viechtbauer (2010), doi:10.18637/jss.v036.i03: REML, log risk ratios
    assert fit(tau2)[0] == pytest.approx(-0.7145, abs=5e-5)
    assert tau2 == pytest.approx(0.3132, abs=5e-5)
    assert data.coords["obs"][0] == "Aronson 1948"
    assert len(data.coords["study"]) == 13


def test_engel_regression() -> None:
    raw = shipped("engel")
    slope, intercept = np.polyfit(raw["income"], raw["foodexp"], 1)
    # least squares line of R's quantreg::engel
    assert (intercept, slope) == pytest.approx((147.4754, 0.4851784), rel=1e-5)
    data = configured("engel")
    assert data["X"].shape == (235, 1)
    assert data.coords["predictor"] == ("income",)
    assert (data["y"].mean(), data["y"].std(ddof=1)) == pytest.approx((0, 1))
    np.testing.assert_allclose(data["y"] * data["y_scale"] + data["y_mean"], raw["foodexp"])
    np.testing.assert_allclose(data["X"] * data["X_scale"] + data["X_mean"], raw["income"][:, None])
    assert (data.dims["y_scale"], data.dims["X_scale"]) == ((), ("predictor",))


def test_spector_counts() -> None:
    raw, data = shipped("spector"), configured("spector")
    # Greene, Econometric Analysis, table F21.1: 32 students, 14 with PSI, 11 improved
    assert (len(raw["grade"]), raw["psi"].sum(), raw["grade"].sum()) == (32, 14, 11)
    assert raw["gpa"].mean() == pytest.approx(3.117188, abs=1e-6)
    assert set(data["X"][:, 2]) == {0.0, 1.0}
    np.testing.assert_allclose(data["X"][:, :2].std(axis=0, ddof=1), 1)
    np.testing.assert_array_equal(data["X_scale"][2], 1.0)


def test_nile_and_sunspots() -> None:
    nile, sun = shipped("nile"), shipped("sunspots")
    # R's datasets::Nile: mean 919.35, variance 28638
    assert nile["volume"].mean() == pytest.approx(919.35)
    assert nile["volume"].var(ddof=1) == pytest.approx(28637.95, abs=0.01)
    assert (nile["year"][0], nile["year"][-1], len(sun["year"])) == (1871, 1970, 309)
    assert configured("nile").coords["obs"] == tuple(range(1871, 1971))
    # sunspot number of 1957, the highest of the record
    assert sun["year"][np.argmax(sun["sunactivity"])] == 1957


def test_heart_codes_deaths_as_one() -> None:
    data = conform(configured("heart"), ROLES["heart"])
    # the Stanford programme up to 1974: 69 transplanted, 45 of them died
    assert (len(data["event"]), data["event"].sum()) == (69, 45)
    assert data["time"].dtype == np.float64
    # those alive at the end of the study have the longest times
    assert np.median(data["time"][data["event"] == 0]) > np.median(data["time"][data["event"] == 1])


def test_women_in_metric_units() -> None:
    data, raw = configured("women"), shipped("women")
    # R's datasets::women: mean height 65 in, mean weight 136.7 lb, weight = 3.45 height - 87.52
    assert (raw["height_in"].mean(), raw["weight_lb"].mean()) == pytest.approx((65, 136.7333), abs=1e-4)
    assert np.polyfit(raw["height_in"], raw["weight_lb"], 1) == pytest.approx([3.45, -87.51667], abs=1e-5)
    assert (data["y"].min(), data["y"].max()) == pytest.approx((147.32, 182.88))
    assert data["x_mean"] == pytest.approx(136.7333 * 0.45359237, abs=1e-4)


def test_statecrime_masks_poverty() -> None:
    data = configured("statecrime")
    assert (len(data["y"]), data.coords["obs"][0]) == (51, "Alabama")
    alone = np.linalg.lstsq(data["X"][:, :1], data["y"], rcond=None)[0]
    both = np.linalg.lstsq(data["X"], data["y"], rcond=None)[0]
    # poverty matters less once single-parent families are in the model
    assert 0 < both[0] < 0.5 * alone[0]
    assert both[1] > 0.5


def test_grunfeld_regression_and_scales() -> None:
    data = configured("grunfeld")
    first_ten = np.array([data.coords["firm"][code] != "American Steel" for code in data["firm"]])
    design = np.column_stack([data["value"], data["capital"], np.ones(220)])[first_ten]
    # pooled least squares of the ten firms, the published textbook line (Greene; Baltagi): 0.1156, 0.2307, -42.71
    coefficients = np.linalg.lstsq(design, data["invest"][first_ten], rcond=None)[0]
    assert coefficients == pytest.approx([0.1156, 0.2307, -42.7144], abs=5e-5)
    assert data["y"].mean() == pytest.approx(1)
    np.testing.assert_allclose(data["y"], np.log(data["invest"]) / np.log(data["invest"]).mean())
    np.testing.assert_array_equal(data["group"], data["firm"])
    assert len(data.coords["group"]) == 11


def test_rats_growth() -> None:
    raw = shipped("rats")
    assert len(raw["weight"]) == 150
    np.testing.assert_array_equal(np.bincount(raw["rat"])[1:], 5)
    np.testing.assert_array_equal(np.unique(raw["day"]), [8, 15, 22, 29, 36])
    slope, intercept = np.polyfit(raw["day"] - 22, raw["weight"], 1)
    # OpenBUGS, Examples volume I, Rats: posterior means beta.c 6.185, alpha.c 242.5 (flat priors, balanced design)
    assert slope == pytest.approx(6.185, abs=0.005)
    assert intercept == pytest.approx(242.5, abs=0.3)
    data = configured("rats")
    assert data.coords["group"] == tuple(range(1, 31))


def test_fair_counts() -> None:
    data = configured("fair")
    # 2053 of 6366 women, as in the statsmodels documentation
    assert (len(data["y"]), data["y"].sum()) == (6366, 2053)


def test_names_are_checked() -> None:
    with pytest.raises(
        DataError, match=r"no shipped table 'engle'; did you mean data.table=engel\? There are eight_sch"
    ):
        shipped("engle")


def test_missing_statsmodels_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install statsmodels"):
        shipped("engel")


def test_import_is_light() -> None:
    code = (
        "import sys, bayesrun.data as d; "
        "print([m for m in ('pandas', 'xarray', 'statsmodels', 'scipy') if m in sys.modules])"
    )
    more = "; d.shipped('engel'); print('statsmodels' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code + more], capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["[]", "False"]


def test_no_data_are_a_dataset_without_arrays() -> None:
    keys = yaml.safe_load((CONFIGS / "none.yaml").read_text())
    assert keys == {"_target_": "bayesrun.data.nothing"}
    assert (dict(nothing()), nothing().name) == ({}, "none")
