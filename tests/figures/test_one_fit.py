"""Figures of a fit: which there are, for one scalar and for hundreds, and what a broken one costs."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from bayesrun.figures import MAX_SCALARS, choose_scalars, fit_figures, one_fit
from bayesrun.figures.chain_ranks import rank_band, rank_differences, thin
from bayesrun.figures.predictive import kaplan_meier, predictive_figure
from fake_trees import fake_tree

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

PNG = b"\x89PNG"


def names(paths: tuple[Path, ...]) -> list[str]:
    for path in paths:
        assert path.read_bytes().startswith(PNG)
    return [path.stem for path in paths]


def with_loo(tree: xr.DataTree, k: list[float]) -> xr.DataTree:
    tree["loo"] = xr.DataTree(xr.Dataset({"pareto_k": ("obs", k)}, attrs={"good_k": 0.7}))
    return tree


def test_a_nuts_fit_has_every_figure(tmp_path: Path) -> None:
    tree = with_loo(fake_tree(draws=100, divergent=3), [0.1, 0.9])
    done = fit_figures(tree, tmp_path / "figures", kind="nuts")
    assert done.problems == ()
    assert names(done.paths) == [
        "rank",
        "trace",
        "forest",
        "energy",
        "pareto_k",
        "posterior_predictive",
        "prior_predictive",
    ]
    assert {path.suffix for path in (tmp_path / "figures").iterdir()} == {".png"}


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("variational", ["forest", "elbo"]),
        ("mcmc", ["rank", "trace", "forest", "pareto_k"]),
        ("smc", ["rank", "trace", "forest", "pareto_k"]),
    ],
)
def test_other_samplers_have_what_applies(tmp_path: Path, kind: str, expected: list[str]) -> None:
    tree = fake_tree(draws=60, kind=kind, predictive=False)
    done = fit_figures(tree if kind == "variational" else with_loo(tree, [0.1, 0.9]), tmp_path, kind=kind)
    assert done.problems == ()
    assert names(done.paths) == expected


def test_what_a_fit_has_no_loo_of_has_no_figure_of_it(tmp_path: Path) -> None:
    done = fit_figures(fake_tree(draws=60, predictive=False), tmp_path, kind="mcmc")
    assert names(done.paths) == ["rank", "trace", "forest"]


@pytest.mark.parametrize(
    ("k", "said"),
    [
        ([0.1, 0.8, 0.2], "of 3 observations, 1 above 0.70"),
        ([0.1, 0.8, np.nan], "of 3 observations, 2 above 0.70 or not defined (1)"),
        ([np.nan] * 5, "of 5 observations, 5 above 0.70 or not defined (5)"),
        ([0.1, np.inf], "of 2 observations, 1 above 0.70 or not defined (1)"),
    ],
)
def test_a_pareto_k_that_is_not_defined_is_not_fine(k: list[float], said: str) -> None:
    figure = one_fit._pareto_k(with_loo(fake_tree(draws=30), k))
    assert figure.get_suptitle().endswith(said)
    (axes,) = figure.axes
    drawn = [line for line in axes.get_lines() if line.get_linestyle() == "None"]
    assert sum(len(line.get_xdata()) for line in drawn) == len(k)
    low, high = axes.get_ylim()
    assert all(low < y < high for line in drawn for y in line.get_ydata())


def predicted(draws: np.ndarray, data: np.ndarray) -> Axes:
    tree = xr.DataTree.from_dict(
        {
            "posterior_predictive": xr.Dataset({"y": (("chain", "draw", "obs"), draws)}),
            "observed_data": xr.Dataset({"y": ("obs", data)}),
        }
    )
    return predictive_figure(tree, "posterior_predictive").axes[0]


def curves(axes: Axes, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative shares at some values: of the predicted datasets, and of the observed one."""
    lines = [
        np.asarray(line.get_ydata())[np.searchsorted(line.get_xdata(), at, side="right") - 1]
        for line in axes.get_lines()
    ]
    return np.array(lines[:-1]), lines[-1]


def test_kaplan_and_meier_by_hand() -> None:
    times, seen = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([True, True, False, False, True])
    at, share = kaplan_meier(times, seen)
    assert at.tolist() == [1.0, 2.0, 3.0, 4.0]
    np.testing.assert_allclose(share, [0.2, 1 - 0.8 * 0.75, 1 - 0.8 * 0.75, 1.0])


@pytest.mark.parametrize("sign", [1, -1])
def test_censored_values_show_no_misfit_at_the_parameters_that_they_were_drawn_with(sign: int) -> None:
    rng = np.random.default_rng(11)
    life, end = rng.exponential(3.0, 400), rng.exponential(4.0, 400)
    data, bounds = np.minimum(life, end), np.where(life <= end, np.inf, end)
    at = sign * np.quantile(data, [0.1, 0.3, 0.5, 0.7, 0.9])
    for scale, right in ((3.0, True), (5.0, False)):
        draws = np.minimum(rng.exponential(scale, (2, 200, 400)), bounds)
        axes = predicted(sign * draws, sign * data)
        assert axes.get_ylabel() == "cumulative share (Kaplan-Meier)"
        shares, observed = curves(axes, at)
        inside = np.abs(observed - shares.mean(axis=0)) < 4.0 * np.sqrt(2.0) * shares.std(axis=0, ddof=1)
        assert inside.all() == right
    naive = np.minimum(rng.exponential(3.0, (400, 400)), bounds).mean(axis=1)
    assert abs(naive.mean() - data.mean()) > 4.0 * naive.std()  # what a comparison of the values themselves shows


def test_values_that_are_all_cut_alike_are_compared_as_they_are() -> None:
    rng = np.random.default_rng(12)
    draws = np.minimum(rng.exponential(3.0, (2, 200, 90)), 4.0)
    assert predicted(draws, np.minimum(rng.exponential(3.0, 90), 4.0)).get_ylabel() == "cumulative share"
    assert predicted(draws, rng.exponential(1.0, 90).clip(max=3.9)).get_ylabel() == "cumulative share"


@pytest.mark.parametrize(("rate", "size"), [(2.0, 0.0), (4.0, 0.0), (0.5, 0.0), (8.0, 50.0)])
def test_the_axis_of_counts_holds_what_is_drawn_or_says_what_it_leaves_out(rate: float, size: float) -> None:
    rng = np.random.default_rng(13)
    draws = rng.poisson(rate, (2, 100, 60)) + rng.integers(0, 2, (2, 100, 60)) * int(size)
    axes = predicted(draws, rng.poisson(2.0, 60))
    low, high = axes.get_xlim()
    outside = float(np.mean((draws < low) | (draws > high)))
    assert outside <= 0.02
    assert ("of the predicted values lie outside" in axes.get_xlabel()) or outside == 0.0


def test_one_chain_has_no_ranks(tmp_path: Path) -> None:
    done = fit_figures(fake_tree(chains=1, draws=60, predictive=False), tmp_path, kind="mcmc")
    assert "rank" not in names(done.paths)


def test_a_figure_that_breaks_is_a_problem_and_no_more(tmp_path: Path) -> None:
    tree = fake_tree(draws=60, predictive=False, kind="variational")
    tree["optimization"] = xr.DataTree(xr.Dataset({"elbo": ("iteration", np.full(9, np.nan))}))
    done = fit_figures(tree, tmp_path, kind="variational")
    assert names(done.paths) == ["forest"]
    assert done.problems == ("figure elbo: ValueError: the ELBO is never finite",)


def test_no_figure_stays_in_memory(tmp_path: Path) -> None:
    fit_figures(fake_tree(draws=60), tmp_path, kind="nuts")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Figure]


def test_small_variables_come_first_and_the_rest_is_counted() -> None:
    posterior = fake_tree(draws=20, obs=40)["posterior"].to_dataset()
    posterior["fixed"] = xr.ones_like(posterior["mu"])
    posterior["broken"] = posterior["mu"] * np.nan
    posterior = posterior[["theta", "theta_raw", "fixed", "broken", "tau", "mu"]]
    chosen, left_out = choose_scalars(posterior)
    assert list(chosen)[:3] == ["tau", "mu", "theta[A]"]
    assert len(chosen) == MAX_SCALARS
    assert left_out == 82 - MAX_SCALARS
    assert chosen["mu"].shape == (4, 20)


def test_matrices_have_both_labels() -> None:
    values = np.random.default_rng(1).normal(size=(2, 5, 2, 2))
    coords = {"g": ["a", "b"], "k": ["x", "y"]}
    posterior = xr.Dataset({"b": (("chain", "draw", "g", "k"), values)}, coords=coords)
    assert list(choose_scalars(posterior)[0]) == ["b[a, x]", "b[a, y]", "b[b, x]", "b[b, y]"]


@pytest.mark.parametrize("label", ["$x_{", "日本", "a" * 200, "%s\n{}"])
def test_any_label_can_be_drawn(tmp_path: Path, label: str) -> None:
    posterior = fake_tree(draws=40)["posterior"].to_dataset()[["mu"]].rename(mu=label)
    tree = xr.DataTree.from_dict({"posterior": posterior})
    assert fit_figures(tree, tmp_path, kind="mcmc").problems == ()


@pytest.mark.parametrize("observed", ["counts", "many", "heavy", "missing"])
def test_predictive_figures_of_all_kinds_of_data(tmp_path: Path, observed: str) -> None:
    rng = np.random.default_rng(2)
    draws = {
        "counts": rng.poisson(3.0, (2, 30, 90)),
        "many": rng.normal(size=(2, 30, 90)),
        "heavy": 1e6 * rng.standard_cauchy((2, 30, 90)) ** 3,
        "missing": np.where(rng.uniform(size=(2, 30, 90)) < 0.01, np.nan, 1.5),
    }[observed]
    data = rng.poisson(3.0, 90) if observed == "counts" else rng.normal(size=90)
    tree = xr.DataTree.from_dict(
        {
            "posterior": fake_tree(chains=2, draws=30)["posterior"].to_dataset()[["mu"]],
            "posterior_predictive": xr.Dataset({"y": (("chain", "draw", "obs"), draws)}),
            "observed_data": xr.Dataset({"y": ("obs", data)}),
        }
    )
    done = fit_figures(tree, tmp_path, kind="mcmc")
    assert done.problems == ()
    assert "posterior_predictive" in names(done.paths)


def test_rank_differences_by_hand() -> None:
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert rank_differences(values, np.array([0.0, 0.5, 1.0])).tolist() == [[0.0, 0.5, 0.0], [0.0, -0.5, 0.0]]


def test_equal_chains_stay_inside_the_band_as_often_as_it_says() -> None:
    at, half = rank_band(4, 100)
    rng = np.random.default_rng(3)
    inside = [bool(np.all(np.abs(rank_differences(rng.normal(size=(4, 100)), at)) <= half + 1e-12)) for _ in range(400)]
    assert 0.91 <= np.mean(inside) <= 0.98  # 4 standard errors about 0.95


def test_a_shifted_chain_leaves_the_band() -> None:
    at, half = rank_band(4, 100)
    values = np.random.default_rng(4).normal(size=(4, 100)) + np.array([0.0, 0.0, 0.0, 1.0])[:, None]
    assert np.any(np.abs(rank_differences(values, at)) > half)


def test_thinning_leaves_independent_draws_alone_and_thins_others() -> None:
    rng = np.random.default_rng(5)
    assert thin(rng.normal(size=(4, 500))).shape == (4, 500)
    slow = np.cumsum(rng.normal(size=(4, 500)), axis=1)
    assert thin(slow).shape[1] < 30
