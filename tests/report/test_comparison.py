"""Known answers of the comparisons: LOO by hand, agreement of normals, and who is compared with whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayesrun.report.comparison import Fitted, agreement, loo_comparisons
from bayesrun.types import Observed
from fake_trees import fake_summary, fake_tree

ABOUT = Observed(values="o", numbers="r", members="r", measure="log densities")


def fitted(label: str, key: str, model: str = "m", sampler: str = "nuts", **fields: Any) -> Fitted:
    values = {"observed": ABOUT, "n_terms": 8, "sampler_path": f"samplers.{sampler}"} | fields
    return Fitted(label, key, **{"posterior": (model, "d"), "sampler": sampler} | values)


def loo_tree(elpd: np.ndarray, bad: int = 0) -> xr.DataTree:
    """A tree with the LOO of a fit and no more than that."""
    k = np.where(np.arange(elpd.size) < bad, 0.9, 0.1)
    attrs = {"elpd": float(elpd.sum()), "p": 2.0, "good_k": 0.7, "scale": "log", "warning": int(bad > 0)}
    return xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"mu": (("chain", "draw"), np.zeros((4, 500)))}),
            "loo": xr.Dataset({"elpd_i": ("obs", elpd), "pareto_k": ("obs", k)}, attrs=attrs),
        }
    )


def test_loo_differences_are_those_of_the_textbook() -> None:
    rng = np.random.default_rng(1)
    good, poor = rng.normal(-1.0, 0.2, 150), rng.normal(-1.3, 0.2, 150)
    trees = {"g": loo_tree(good), "p": loo_tree(poor, bad=3)}
    ((found,), _) = loo_comparisons([fitted("poor", "p", "a"), fitted("good", "g", "b")], trees.__getitem__)
    frame = found.frame
    assert list(frame.index) == ["good", "poor"]
    assert frame.loc["good", "elpd_loo"] == pytest.approx(good.sum())
    assert frame.loc["good", "se"] == pytest.approx(np.sqrt(150 * good.var(ddof=1)))
    assert frame.loc["poor", "elpd_diff"] == pytest.approx((poor - good).sum())
    assert frame.loc["poor", "dse"] == pytest.approx(np.sqrt(150 * (poor - good).var(ddof=1)))
    assert frame["weight"].sum() == pytest.approx(1.0)
    assert frame.loc["poor", "n_bad_pareto_k"] == 3
    assert frame.loc["poor", "warning"] == "high Pareto k"
    assert frame.loc["good", "warning"] == ""
    assert found.notes == ("Pareto k above its bound: LOO of those observations is unreliable",)


def test_small_differences_and_few_observations_are_said() -> None:
    trees = {"a": loo_tree(np.linspace(-2, -1, 8)), "b": loo_tree(np.linspace(-2, -1.1, 8))}
    ((found,), _) = loo_comparisons([fitted("a", "a", "x"), fitted("b", "b", "y")], trees.__getitem__)
    assert found.frame.loc["b", "warning"] == "small difference"
    assert sum("arXiv:2008.10296" in note for note in found.notes) == 2


def test_warnings_of_the_comparison_become_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = arviz_stats.compare

    def warning(*args: object, **kwargs: object) -> pd.DataFrame:
        import warnings

        warnings.warn("something is odd", UserWarning, stacklevel=2)
        return whole(*args, **kwargs)

    monkeypatch.setattr(arviz_stats, "compare", warning)
    trees = {"a": loo_tree(np.linspace(-2, -1, 200)), "b": loo_tree(np.linspace(-3, -1.1, 200))}
    ((found,), _) = loo_comparisons([fitted("a", "a", "x"), fitted("b", "b", "y")], trees.__getitem__)
    assert found.notes == ("something is odd",)


def test_only_the_comparable_is_compared() -> None:
    elpd = np.linspace(-2, -1, 200)
    trees = {key: loo_tree(elpd) for key in "abcdf"}
    fits = [
        fitted("a", "a", "x"),
        fitted("other observations", "b", "y", observed=replace(ABOUT, values="o2")),
        fitted("other sampler", "c", "y", sampler="advi"),
        fitted("of an earlier version", "f", "y", observed=Observed()),
        fitted("no loo", "e", "y", n_terms=0),
    ]
    comparisons, apart = loo_comparisons(fits, trees.__getitem__)
    assert comparisons == []
    reasons = [
        "other observations: not compared with a: it observes other values",
        "of an earlier version: not compared: it is not known what its terms are about; run its command again",
        "no loo: not compared: it has no LOO",
    ]
    assert list(map(str, apart)) == reasons
    ((found,), apart) = loo_comparisons([*fits, fitted("a", "d", "x")], trees.__getitem__)
    assert sorted(found.frame.index) == ["a a", "a d"]
    assert list(map(str, apart)) == [reasons[0].replace("with a:", "with a a:"), *reasons[1:]]
    assert any("the same model, so the difference is Monte Carlo error" in note for note in found.notes)


def test_what_a_fit_has_no_loo_of_is_not_read() -> None:
    fits = [fitted("a", "a", "x", n_terms=0), fitted("b", "b", "y", n_terms=0)]
    assert loo_comparisons(fits, {}.__getitem__) == ([], [])


def test_cells_that_are_apart_for_one_reason_are_told_together() -> None:
    fits = [fitted("a", "a", "x"), *(fitted(label, label, label, n_terms=0) for label in ("b", "c"))]
    _, (apart,) = loo_comparisons(fits, lambda _: loo_tree(np.linspace(-2, -1, 8)))
    assert str(apart) == "b, c: not compared: it has no LOO"


def test_groups_of_other_values_are_compared_among_themselves() -> None:
    trees = {key: loo_tree(np.linspace(-2, -1, 8)) for key in "abcdefg"}
    other = [fitted(f"o{i}", key, key, observed=replace(ABOUT, values="o2")) for i, key in enumerate("defg")]
    fits = [*(fitted(key, key, key) for key in "abc"), *other]
    comparisons, (apart,) = loo_comparisons(fits, trees.__getitem__)
    assert [sorted(part.frame.index) for part in comparisons] == [["o0", "o1", "o2", "o3"], ["a", "b", "c"]]
    assert str(apart) == "a, b, c: not compared with o0: it observes other values"
    _, (apart,) = loo_comparisons(
        [fitted("x", "x"), *(replace(f, label="y", key=f.label) for f in other)], lambda _: trees["a"]
    )
    assert apart.cells == ("x",)


def test_what_observes_the_same_values_is_told_apart_from_one_that_does() -> None:
    third = replace(ABOUT, values="o2", measure="log masses")
    fits = [
        fitted("a", "a", "x"),
        fitted("b", "b", "y", observed=replace(ABOUT, values="o2")),
        fitted("c", "c", "z", observed=third),
    ]
    comparisons, apart = loo_comparisons(fits, {}.__getitem__)
    assert comparisons == []
    assert [str(part) for part in apart] == [
        "b: not compared with a: it observes other values",
        "c: not compared with b: it has log masses, and b has log densities",
    ]


def summary(mean: dict[str, float], sd: float = 1.0, mcse: float = 0.01, rhat: float = 1.0) -> pd.DataFrame:
    return pd.DataFrame(
        {"mean": mean, "sd": dict.fromkeys(mean, sd), "mcse_mean": mcse, "mcse_sd": mcse, "rhat": rhat},
    )


def test_agreement_of_known_normals() -> None:
    summaries = {
        "r": summary({"mu": 1.0, "tau": 2.0, "only_here": 0.0}, sd=2.0, mcse=0.03),
        "a": summary({"mu": 1.1, "tau": 1.2}, sd=0.6, mcse=0.04),
    }
    fits = [fitted("m/advi", "a", sampler="advi"), fitted("m/nuts", "r")]
    (found,) = agreement(fits, summaries.__getitem__)
    assert found.reference == "m/nuts"
    assert list(found.frame["variable"]) == ["tau", "mu"]
    tau = found.frame.iloc[0]
    assert tau["mean_diff"] == pytest.approx(-0.4)
    assert tau["mean_diff_mcse"] == pytest.approx(0.05 / 2.0)
    assert tau["sd_ratio"] == pytest.approx(0.3)
    assert tau["sd_ratio_mcse"] == pytest.approx(np.hypot(0.03 * 0.3, 0.04) / 2.0)
    assert found.notes == (
        "m/advi: 2 of 2 scalars differ from m/nuts; tau is 0.4 SD too low and has an SD 0.3 of m/nuts's",
    )


@pytest.mark.parametrize(
    ("mean", "sd", "mcse", "reads"),
    [
        (0.09, 1.0, 0.001, "agrees"),  # too small to matter
        (0.11, 1.0, 0.001, "differs"),
        (0.5, 1.0, 0.2, "unclear"),  # within its Monte Carlo error
        (0.0, 1.09, 0.001, "agrees"),
        (0.0, 1.11, 0.001, "differs"),
        (0.0, 0.89, 0.001, "differs"),
        (0.0, 1.3, 0.2, "unclear"),
        (0.11, 1.0, np.nan, "differs"),  # an error that is not known counts as none
    ],
)
def test_thresholds(mean: float, sd: float, mcse: float, reads: str) -> None:
    summaries = {"r": summary({"mu": 0.0}, mcse=0.0), "a": summary({"mu": mean}, sd=sd, mcse=mcse)}
    (found,) = agreement([fitted("r", "r"), fitted("a", "a", sampler="advi")], summaries.__getitem__)
    row = found.frame.iloc[0]
    assert ("differs" if row["differs"] else "unclear" if row["unclear"] else "agrees") == reads
    assert ("agrees with" in found.notes[0]) is (reads == "agrees")
    assert ("too imprecise to tell" in found.notes[0]) is (reads == "unclear")


def test_rows_that_differ_come_before_larger_ones_that_may_be_noise() -> None:
    expected = summary({"noisy": 0.0, "wrong": 0.0}, mcse=0.0)
    got = summary({"noisy": 2.0, "wrong": 0.3}, mcse=0.0)
    got.loc["noisy", "mcse_mean"] = 1.0
    (found,) = agreement([fitted("r", "r"), fitted("a", "a", sampler="advi")], {"r": expected, "a": got}.__getitem__)
    assert list(found.frame["variable"]) == ["wrong", "noisy"]


def test_independent_draws_of_one_posterior_agree() -> None:
    summaries = {key: fake_summary(fake_tree(seed, draws=2000)) for seed, key in enumerate("ab")}
    (found,) = agreement([fitted("n", "a"), fitted("j", "b", sampler="numpyro")], summaries.__getitem__)
    assert not found.frame["differs"].any()
    assert found.notes[0].startswith("j agrees with n: 18 scalars, means within 0.")


def test_the_reference_is_the_best_sampler_there_is() -> None:
    samplers = ["mine", "advi_jax", "advi", "fullrank_advi", "metropolis", "smc", "numpyro", "nuts"]
    fits = [fitted(name, name, sampler=name) for name in samplers]
    for count in range(2, len(fits) + 1):
        (found,) = agreement(fits[:count], lambda _: summary({"mu": 0.0}))
        assert found.reference == samplers[count - 1]
    for wanted in ("advi", "mine"):
        (found,) = agreement(fits, lambda _: summary({"mu": 0.0}), reference=wanted)
        assert found.reference == wanted
    (found,) = agreement(fits, lambda _: summary({"mu": 0.0}), reference="gibbs")
    assert found.notes[0].startswith("gibbs has no finished fit here; ")


def test_other_models_data_and_options_are_no_disagreement() -> None:
    fits = [
        fitted("a", "a"),
        fitted("b", "b", sampler_path="samplers.nuts"),
        fitted("c", "c", model="other", sampler="advi"),
        fitted("d", "d", posterior=("m", "other"), sampler="advi"),
    ]
    assert agreement(fits, lambda _: summary({"mu": 0.0})) == []


def test_doubtful_references_and_strangers_are_named() -> None:
    summaries = {"r": summary({"mu": 0.0}, rhat=1.08), "a": summary({"other": 0.0})}
    (found,) = agreement([fitted("r", "r"), fitted("a", "a", sampler="advi")], summaries.__getitem__)
    assert found.notes == (
        "r is no safe reference: its R-hat is 1.08 at mu",
        "a has no scalar in common with r",
    )
