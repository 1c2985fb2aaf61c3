"""Figures of simulation studies: which there are, what is drawn where, and tables that are nearly empty."""

from __future__ import annotations

import gc
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from bayesrun.errors import StoreError
from bayesrun.figures import coverage, nested, one_study, outcomes, performance, recovery, sbc
from bayesrun.figures.facets import MAX_PANELS
from bayesrun.figures.one_study import study_figures
from fake_studies import LEVELS, L, fake_study

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from bayesrun.figures.facets import Drawing
    from bayesrun.figures.one_study import StudyFigure

EMPTY = pd.DataFrame()
FULL = ["failures", "ecdf_difference", "rank_histogram", "coverage_levels", "z_contraction", "bias_coverage"]
FULL += ["decisions", "recovery", "zip", "time_ess"]


def drawn(drawing: Drawing | None) -> tuple[Figure, list[Axes]]:
    assert drawing is not None
    assert drawing.title
    assert drawing.caption.endswith(".")
    return drawing.figure, list(drawing.figure.axes)


def titles(panels: list[Axes]) -> list[str]:
    return [axes.get_title(loc="left") for axes in panels]


def second_lines(panels: list[Axes]) -> list[str]:
    return [axes.texts[0].get_text() for axes in panels]


# ---- the driver


@pytest.fixture
def unsaved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures that are drawn but not turned into pixels, which takes most of the time."""
    monkeypatch.setattr(one_study, "save", lambda _figure, path: path.write_bytes(b"no picture"))


def names(figures: list[StudyFigure]) -> list[str]:
    assert [figure.caption for figure in figures if figure.path is None] == []
    return [figure.name for figure in figures]


def test_a_calibration_study_has_its_figures_and_leaves_nothing_behind(tmp_path: Path) -> None:
    study = fake_study(replicates=60, failing=0.1)
    before = {name: frame.copy() for name, frame in study.items()}
    figures = study_figures("sbc", study, tmp_path / "figures")
    assert names(figures) == FULL
    for figure in figures:
        assert figure.path == tmp_path / "figures" / f"{figure.name}.png"
        assert figure.path.read_bytes().startswith(b"\x89PNG")
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Figure]
    for name, frame in study.items():
        pd.testing.assert_frame_equal(frame, before[name])


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize(("variables", "overlaid"), [(2, False), (7, True)])
def test_quantities_that_have_no_panel_of_their_own_are_drawn_together(
    tmp_path: Path, variables: int, overlaid: bool
) -> None:
    study = fake_study(cells=2, variables=variables, replicates=20) | {"measures": EMPTY, "fits": EMPTY}
    study["estimates"]["truth"] = np.nan  # leaves what is drawn from ranks
    assert ("ecdf_cells" in names(study_figures("sbc", study, tmp_path))) == overlaid


@pytest.mark.usefixtures("unsaved")
def test_a_recovery_study_has_no_ranks_and_a_design_has_nested_loops(tmp_path: Path) -> None:
    study = fake_study(cells=3, replicates=30, fixed=True) | {"calibration": EMPTY}
    found = names(study_figures("recovery", study, tmp_path))
    assert {"nested_loop", "recovery_fixed"} <= set(found)
    assert not {"recovery", "rank_histogram", "ecdf_difference"} & set(found)


@pytest.mark.usefixtures("unsaved")
def test_variational_fits_are_tested_for_symmetry(tmp_path: Path) -> None:
    study = fake_study(replicates=40, kind="variational") | {"calibration": EMPTY}
    found = names(study_figures("sbc", study, tmp_path))
    assert "symmetry" in found
    assert "ecdf_difference" not in found


@pytest.mark.usefixtures("unsaved")
@pytest.mark.parametrize("kind", ["sbc", "recovery", "power"])
def test_a_study_that_has_just_started(tmp_path: Path, kind: str) -> None:
    assert study_figures(kind, {}, tmp_path) == []
    study = fake_study(cells=2, replicates=3, failing=1.0)
    assert len(study["estimates"]) == 0
    assert names(study_figures(kind, study, tmp_path)) == ["failures"]


def test_one_replicate_can_be_drawn(tmp_path: Path) -> None:
    assert names(study_figures("sbc", fake_study(replicates=1), tmp_path)) == FULL


def test_numbers_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    study = fake_study(variables=2, replicates=30)
    for name, frame in study.items():
        numbers = frame.select_dtypes("float").columns
        frame.loc[frame.index[::4], numbers] = np.inf
        frame.loc[frame.index[1::4], numbers] = np.nan
        study[name] = frame
    assert len(names(study_figures("sbc", study, tmp_path))) > 8


@pytest.mark.usefixtures("unsaved")
def test_a_figure_that_breaks_says_so_and_the_others_are_drawn(tmp_path: Path) -> None:
    study = fake_study(replicates=20)
    (tmp_path / "rank_histogram.png").write_bytes(b"of an earlier call")
    study["estimates"]["rank"] = L + 5
    figures = {figure.name: figure for figure in study_figures("sbc", study, tmp_path)}
    assert figures["rank_histogram"].path is None
    assert "could not be drawn: ConfigError" in figures["rank_histogram"].caption
    assert not (tmp_path / "rank_histogram.png").exists()
    assert figures["zip"].path == tmp_path / "zip.png"


def test_a_figure_that_does_not_apply_any_more_is_removed(tmp_path: Path) -> None:
    (tmp_path / "zip.png").write_bytes(b"of an earlier call")
    assert study_figures("sbc", {}, tmp_path) == []
    assert not (tmp_path / "zip.png").exists()


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("a file")
    with pytest.raises(StoreError):
        study_figures("sbc", {"design": fake_study()["design"]}, tmp_path / "figures")


def test_any_label_can_be_drawn(tmp_path: Path) -> None:
    study = fake_study(cells=2, replicates=12)
    hostile = {"sigma": "$x_{%s\n{}", "log_likelihood": "a" * 200, "nuts": "$\\frac{"}
    for frame in study.values():
        for name in {"cell", "variable", "sampler"} & set(frame.columns):
            for label, other in hostile.items():
                frame[name] = frame[name].str.replace(label, other, regex=False)
    assert set(names(study_figures("sbc", study, tmp_path))) >= set(FULL)


# ---- calibration


def test_ecdf_differences_are_at_the_right_places_and_read_in_words() -> None:
    study = fake_study(variables=7, replicates=200)
    figure, panels = drawn(sbc.ecdf_differences(study["estimates"], study["calibration"]))
    assert figure.get_suptitle() == "Ranks of the truth: ECDF less uniform"
    assert titles(panels) == [*(f"beta[x{i}]" for i in range(1, 7)), "sigma", "log_likelihood"]
    estimates, judged = study["estimates"], study["calibration"].set_index("variable")
    for variable, axes, words in zip(titles(panels), panels, second_lines(panels), strict=True):
        ranks = estimates.loc[estimates["variable"] == variable, "rank"].to_numpy()
        curve = axes.lines[1]
        z, difference = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
        expected = [(ranks < round(at * (L + 1))).mean() - at for at in z]
        np.testing.assert_allclose(difference, expected, atol=1e-12)
        assert judged.loc[variable, "shape"].removeprefix("posterior ") in words or "Holm" in words
        assert "p = 0." in words or "p < 0.001" in words
    assert "shifted high" in second_lines(panels)[titles(panels).index("sigma")]


def test_the_worst_quantities_are_shown_and_the_caption_says_so() -> None:
    study = fake_study(variables=30, replicates=40)
    drawing = sbc.ecdf_differences(study["estimates"], study["calibration"])
    _, panels = drawn(drawing)
    assert drawing is not None
    worst = study["calibration"].nsmallest(MAX_PANELS, "p_value")["variable"]
    assert set(titles(panels)) == set(worst)
    assert drawing.caption.startswith("Shown are 12 of 31 quantities: those with the smallest p-values. ")


def test_all_curves_of_a_cell_are_in_its_panel() -> None:
    study = fake_study(cells=2, variables=9, replicates=120)
    _, panels = drawn(sbc.ecdf_by_cell(study["estimates"], study["calibration"]))
    assert titles(panels) == ["numpyro", "nuts"]
    for axes, words in zip(panels, second_lines(panels), strict=True):
        assert len(axes.lines) == 1 + 10
        assert words.endswith("of 10 leave the band")
        assert int(words.split()[0]) >= 2  # two of the nine have a posterior that is wrong
        assert "beta[x7]" in [text.get_text() for text in axes.get_legend().get_texts()]
        axes.figure.canvas.draw()
        below = axes.transData.inverted().transform(axes.get_legend().get_window_extent())[1, 1]
        assert below < min(np.min(line.get_ydata()) for line in axes.lines)


def test_histograms_count_every_replicate() -> None:
    study = fake_study(cells=2, variables=1, replicates=100)
    _, panels = drawn(sbc.rank_histograms(study["estimates"], study["calibration"]))
    assert titles(panels) == [f"{s}  {v}" for s in ("numpyro", "nuts") for v in ("sigma", "log_likelihood")]
    for axes in panels:
        outside, inside = (patch.get_data().values for patch in axes.patches)
        assert (outside + inside).sum() == 100
        assert not (outside * inside).any()


def test_a_few_quantities_of_a_few_cells_have_a_row_a_cell() -> None:
    study = fake_study(cells=6, variables=2, replicates=20)
    _, panels = drawn(sbc.ecdf_differences(study["estimates"], study["calibration"]))
    assert len(panels) == 18
    rows = {axes.get_subplotspec().rowspan.start for axes in panels}
    assert rows == set(range(6))
    assert all(title.endswith(name) for title, name in zip(titles(panels)[:3], ["x1]", "sigma", "hood"], strict=True))


def test_symmetry_shows_the_histogram_and_its_mirror() -> None:
    study = fake_study(replicates=100, kind="variational")
    _, panels = drawn(sbc.symmetry(study["estimates"], study["calibration"]))
    assert len(panels) == 2
    shape, mirror = (patch.get_data().values for patch in panels[0].patches)
    np.testing.assert_array_equal(shape, mirror[::-1])
    assert shape.sum() == 100
    assert "p " in second_lines(panels)[0]
    assert sbc.symmetry(fake_study(replicates=10)["estimates"], EMPTY) is None
    # independent draws have ranks too: what the table judges is drawn all the same
    ranked = fake_study(replicates=10)
    _, panels = drawn(sbc.symmetry(ranked["estimates"], ranked["calibration"].iloc[:1]))
    assert titles(panels) == ["sigma"]


# ---- coverage


def test_coverage_from_ranks_is_that_of_central_intervals() -> None:
    study = fake_study(replicates=300)
    _, (axes,) = drawn(coverage.coverage_levels(study["estimates"]))
    line = next(line for line in axes.lines if line.get_label() == "sigma")
    level, less = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
    ranks = study["estimates"].query("variable == 'sigma'")["rank"].to_numpy()
    for at, difference in zip(level, less, strict=True):
        j = round((L + 1) * (1 - at) / 2)
        assert difference == pytest.approx(((ranks >= j) & (ranks <= L - j)).mean() - at)
    # of exact posteriors the largest difference has the distribution of Kolmogorov's statistic, or is smaller
    assert np.abs(less).max() < stats.kstwobign.ppf(0.999) / np.sqrt(300)


def test_coverage_without_ranks_is_that_of_the_intervals() -> None:
    study = fake_study(replicates=50, kind="variational")
    drawing = coverage.coverage_levels(study["estimates"])
    _, (axes,) = drawn(drawing)
    line = next(line for line in axes.lines if line.get_label() == "sigma")
    np.testing.assert_allclose(line.get_xdata(), LEVELS)
    wide = study["measures"].query("variable == 'sigma' and measure == 'coverage'")
    np.testing.assert_allclose(np.asarray(line.get_ydata()), wide["value"] - wide["level"])
    assert drawing is not None
    assert coverage.COVERAGE_WARNING in drawing.caption


def test_zip_plot_sorts_intervals_and_colours_those_that_miss() -> None:
    study = fake_study(replicates=100)
    drawing = coverage.zip_plot(study["estimates"])
    _, (axes,) = drawn(drawing)
    part = study["estimates"].query("variable == 'sigma'")
    inside = (part["lower_0.95"] <= part["truth"]) & (part["truth"] <= part["upper_0.95"])
    hits, misses = (collection.get_segments() for collection in axes.collections)
    assert (len(hits), len(misses)) == (inside.sum(), (~inside).sum())
    # the interval with the smallest |z| is lowest, less the truth
    z = ((part["mean"] - part["truth"]) / part["sd"]).abs()
    best = part.loc[z.idxmin()]
    np.testing.assert_allclose(hits[0][:, 0], [best["lower_0.95"] - best["truth"], best["upper_0.95"] - best["truth"]])
    assert min(segment[0, 1] for segment in misses) > max(segment[0, 1] for segment in hits)
    assert second_lines([axes])[0].startswith(f"coverage {inside.mean():.2f}")


def test_many_intervals_are_thinned_and_the_caption_says_so() -> None:
    study = fake_study(replicates=1000)
    drawing = coverage.zip_plot(study["estimates"])
    _, (axes,) = drawn(drawing)
    assert sum(len(collection.get_segments()) for collection in axes.collections) == coverage.MOST_INTERVALS
    assert drawing is not None
    assert "At most 250 intervals a panel are drawn" in drawing.caption
    assert "n = 1000" in second_lines([axes])[0]


def test_coverage_of_one_is_no_certainty() -> None:
    study = fake_study(replicates=12)
    estimates = study["estimates"].assign(**{"lower_0.95": -50.0, "upper_0.95": 50.0})
    _, (axes,) = drawn(coverage.zip_plot(estimates))
    assert second_lines([axes]) == ["coverage 1, n = 12"]


# ---- recovery


def test_recovery_scatter_is_mean_against_truth_with_the_identity() -> None:
    study = fake_study(variables=2, replicates=80)
    _, panels = drawn(recovery.recovery_scatter(study["estimates"]))
    assert titles(panels) == ["beta[x1]", "sigma"]
    part = study["estimates"].query("variable == 'sigma'")
    points = [line for line in panels[1].lines if len(line.get_xdata()) > 2]
    x = np.concatenate([line.get_xdata() for line in points])
    y = np.concatenate([line.get_ydata() for line in points])
    np.testing.assert_allclose(sorted(x), sorted(part["truth"]))
    np.testing.assert_allclose(sorted(y), sorted(part["mean"]))
    identity = next(line for line in panels[1].lines if hasattr(line, "get_slope"))
    assert identity.get_slope() == 1.0
    assert identity.get_xy1() == (0.0, 0.0)


def test_extreme_truths_neither_hide_the_others_nor_turn_the_line() -> None:
    estimates = fake_study(variables=1, replicates=200)["estimates"]
    wild = estimates.assign(truth=estimates["truth"].where(estimates["replicate"] > 0, -700.0))
    _, panels = drawn(recovery.recovery_scatter(wild))
    assert panels[0].get_xlim() == panels[0].get_ylim()
    assert panels[0].get_xlim()[0] > -10.0


def test_a_fixed_truth_has_rows_of_cells() -> None:
    study = fake_study(cells=3, variables=2, replicates=40, fixed=True)
    assert recovery.recovery_scatter(study["estimates"]) is None
    _, panels = drawn(recovery.recovery_strips(study["estimates"]))
    assert titles(panels) == ["beta[x1]", "sigma"]
    assert second_lines(panels) == ["truth 0.5", "truth 0.5"]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == ["numpyro n=20", "nuts n=20", "numpyro n=50"]
    part = study["estimates"].query("variable == 'beta[x1]'").groupby("cell", sort=False)["mean"].mean()
    diamonds = [float(line.get_xdata()[0]) for line in panels[0].lines if line.get_marker() == "D"]
    np.testing.assert_allclose(diamonds, part)


def test_z_scores_against_contraction() -> None:
    study = fake_study(variables=1, replicates=50)
    estimates = study["estimates"].copy()
    estimates.loc[0, "sd"] = 1e-6  # so sure of itself that its z-score is far beyond the frame
    drawing = recovery.z_contraction(estimates, study["calibration"])
    _, panels = drawn(drawing)
    assert titles(panels) == ["sigma", "log_likelihood"]
    cloud = panels[0].lines[1]
    part = estimates.query("variable == 'sigma'")
    np.testing.assert_allclose(cloud.get_xdata(), 1 - part["sd"] ** 2)
    z = ((part["mean"] - part["truth"]) / part["sd"]).clip(-recovery.Z_FRAME, recovery.Z_FRAME)
    np.testing.assert_allclose(cloud.get_ydata(), z)
    assert drawing is not None
    assert "drawn on its edge" in drawing.caption
    assert recovery.z_contraction(estimates.assign(prior_sd=np.nan), EMPTY) is None


# ---- measures


def test_bias_and_coverage_with_their_errors() -> None:
    study = fake_study(cells=2, variables=2, replicates=100)
    _, (left, right) = drawn(performance.bias_and_coverage(study["measures"]))
    table = study["measures"].set_index(["variable", "cell", "measure", "level"])["value"]
    labels = [text.get_text() for text in left.get_yticklabels()]
    assert labels == ["numpyro", "nuts"] * 2
    assert [text.get_text() for text in left.texts] == ["beta[x1]", "sigma"]
    cells, ticks = list(study["design"]["cell"]), left.get_yticks()
    dots = {float(y): float(x) for line in left.lines if line.get_marker() == "o" for x, y in line.get_xydata()}
    for place, (variable, cell) in zip(ticks, [(v, c) for v in ("beta[x1]", "sigma") for c in cells], strict=True):
        bias, scale = (table[variable, cell, name, :].iloc[0] for name in ("bias", "model_se"))
        assert dots[float(place)] == pytest.approx(bias / scale)
    ends = [segment for collection in right.collections for segment in collection.get_segments()]
    wilson = study["measures"].query("measure == 'coverage' and level == 0.95 and variable == 'sigma'").iloc[0]
    assert any(np.allclose(segment[:, 0], [wilson["lower"], wilson["upper"]]) for segment in ends)
    assert right.get_xlabel() == "coverage of 95% intervals"


def test_many_rows_keep_whole_quantities_that_are_farthest_off() -> None:
    study = fake_study(cells=6, variables=15, replicates=60)
    drawing = performance.bias_and_coverage(study["measures"])
    _, (left, _) = drawn(drawing)
    assert len(left.get_yticks()) == performance.MOST_ROWS
    assert {"sigma", "beta[x7]", "beta[x14]"} <= {text.get_text() for text in left.texts}
    assert drawing is not None
    assert drawing.caption.startswith(
        "Shown are 36 of 90 rows: quantities of small variables, then those farthest off. "
    )


def test_measures_that_are_checks_or_of_other_analyses_are_not_drawn() -> None:
    measures = fake_study(replicates=30)["measures"]
    assert set(performance.main_analysis(measures)["variable"]) == {"sigma"}
    assert performance.bias_and_coverage(measures.assign(analysis="converged")) is None


def test_power_and_type_one_error_stand_for_how_often_a_rule_says_yes() -> None:
    measures = fake_study(cells=2, variables=2, replicates=30)["measures"]
    rule = measures[measures["measure"] == "decision:positive"]
    judged = pd.concat(
        [
            measures,
            rule[rule["variable"] == "sigma"].assign(measure="power:positive"),
            rule[rule["variable"] != "sigma"].assign(measure="type_1_error:positive"),
            rule.assign(measure="decision:other"),
        ]
    )
    _, panels = drawn(performance.decisions(judged))
    assert [axes.get_xlabel() for axes in panels] == ["power: positive", "type I error: positive", "other"]
    _, (axes,) = drawn(performance.decisions(measures))
    assert axes.get_xlabel() == "positive"
    assert performance.decisions(measures[measures["measure"] == "bias"]) is None


def test_nested_loops_have_a_line_a_method_and_steps_of_the_factors() -> None:
    study = fake_study(cells=6, variables=2, replicates=40)
    study["design"] = study["design"].assign(**{"data.shape": ["a"] * 6, "model.scale": [1.0, 1.0, 2.0, 2.0, 2.0, 2.0]})
    assert nested.factors(study["design"]) == ["model.scale", "data.n"]
    figure, panels = drawn(nested.nested_loop(study["design"], study["measures"]))
    assert figure.get_suptitle() == "Nested loops over scale, n"
    assert [axes.get_ylabel() for axes in panels][::2] == ["bias", "RMSE", "coverage, 95%", "says yes\npositive", ""]
    bias = panels[0]
    assert [line.get_label() for line in bias.patches] == ["numpyro", "nuts"]
    table = study["measures"].query("measure == 'bias' and variable == 'beta[x1]'")
    for line, sampler in zip(bias.patches, ("numpyro", "nuts"), strict=True):
        of_sampler = table[table["cell"].str.contains(sampler)]
        np.testing.assert_allclose(line.get_data().values, of_sampler["value"])
    assert [text.get_text() for text in panels[-1].texts] == ["scale=1", "2", "n=20", "50", "200"]


def test_nested_loops_show_quantities_that_a_rule_is_about() -> None:
    study = fake_study(cells=3, variables=6, replicates=20)
    measures = study["measures"]
    about = measures["measure"].ne("decision:positive") | measures["variable"].isin(["beta[x2]", "beta[x4]"])
    _, panels = drawn(nested.nested_loop(study["design"], measures[about]))
    assert titles(panels)[:3] == ["beta[x2]", "beta[x4]", "sigma"]
    rule = panels[9:12]
    assert [[text.get_text() for text in axes.texts] for axes in rule] == [[], [], ["not defined"]]


def test_scenarios_without_a_method_are_gaps_and_one_level_is_no_factor() -> None:
    study = fake_study(cells=4, replicates=20)
    design = study["design"].iloc[:3]
    _, panels = drawn(nested.nested_loop(design, study["measures"]))
    _, nuts = panels[0].patches
    assert np.isnan(nuts.get_data().values).tolist() == [False, True]
    assert nested.nested_loop(study["design"].iloc[:2], study["measures"]) is None
    assert nested.nested_loop(EMPTY, study["measures"]) is None


# ---- outcomes


def test_every_planned_fit_has_one_class_and_zeros_are_counted() -> None:
    study = fake_study(cells=2, replicates=200, failing=0.3)
    counts = outcomes.count_outcomes(study["fits"], ["nothing here", *study["design"]["cell"]])
    assert list(counts) == ["nothing here", *study["design"]["cell"]]
    assert set(counts["nothing here"].values()) == {0}
    fits = study["fits"]
    for cell in study["design"]["cell"]:
        part = fits[fits["cell"] == cell]
        assert sum(counts[cell].values()) == 200
        assert counts[cell]["timeout"] == ((part["status"] == "failed") & (part["reason"] == "timeout")).sum()
        assert counts[cell]["not converged"] == ((part["status"] == "done") & ~part["converged"]).sum()
        assert counts[cell]["missing"] == (part["status"] == "missing").sum()


def test_an_unknown_reason_is_an_error() -> None:
    fits = pd.DataFrame({"cell": "a", "status": "failed", "reason": ["on strike", ""], "converged": False})
    assert outcomes.count_outcomes(fits)["a"]["error"] == 2


def test_failure_shares_add_up_also_without_a_failure() -> None:
    study = fake_study(cells=2, replicates=50)
    study["fits"]["converged"] = True
    _, (axes,) = drawn(outcomes.failure_shares(study["design"], study["fits"]))
    widths = np.array([bar.get_width() for bar in axes.patches]).reshape(2, len(outcomes.CLASSES))
    np.testing.assert_allclose(widths.sum(axis=1), 1.0)
    assert [text.get_text() for text in axes.texts] == ["0 failed, 0 not converged of 50"] * 2


def test_cells_with_most_failures_are_shown() -> None:
    fits = pd.DataFrame({"cell": [f"c{i}" for i in range(40)], "status": "done", "reason": "", "converged": True})
    fits.loc[37, ["status", "reason"]] = ["failed", "oom"]
    drawing = outcomes.failure_shares(EMPTY, fits)
    _, (axes,) = drawn(drawing)
    assert "c37" in [text.get_text() for text in axes.get_yticklabels()]
    assert drawing is not None
    assert drawing.caption.startswith("Shown are the 30 cells with the most failures, of 40. ")


def test_time_and_ess_are_quantiles_of_done_fits() -> None:
    study = fake_study(cells=3, replicates=60, failing=0.2)
    _, panels = drawn(outcomes.time_and_ess(study["design"], study["fits"]))
    assert [axes.get_xlabel() for axes in panels] == ["seconds a fit", "smallest bulk ESS", "ESS a second"]
    done = study["fits"].query("status == 'done'")
    medians = [float(line.get_xdata()[0]) for line in panels[0].lines if line.get_marker() == "o"]
    np.testing.assert_allclose(medians, done.groupby("cell", sort=False)["seconds"].median())


def test_ess_that_is_not_defined_is_said_to_be_so() -> None:
    study = fake_study(replicates=20, kind="variational")
    _, panels = drawn(outcomes.time_and_ess(study["design"], study["fits"]))
    assert [text.get_text() for text in panels[1].texts] == ["not defined"]


def test_drawing_loads_no_array_library_that_is_only_announced():
    """A stand-in of importlib loads its module when it is asked for an attribute, as matplotlib asks JAX's."""
    program = (
        "import sys, arviz_base\n"
        "from bayesrun.figures.canvas import blank, unloaded_aside\n"
        "with unloaded_aside():\n"
        "    blank(2.0, 2.0, 'x').subplots().plot([1, 2], [3, 4])\n"
        "assert 'jax._src' not in sys.modules\n"
        "assert type(sys.modules['jax']).__name__ == '_LazyModule'\n"
        "import jax\n"
        "assert jax.numpy.zeros(1).shape == (1,)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
