"""What is said of a study follows from what was seen: of how many replicates, by which rules, on which data."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from bayesrun import track
from bayesrun.report import simulated_data
from bayesrun.report.terminal_tables import study_tables
from bayesrun.statistics.measures import wilson
from bayesrun.types import Simulation, StudyOptions, Target
from checked_cells import checked
from simulated_fits import SBC, Fits, calibration_study, row


def told(found: simulated_data.Results) -> list[tuple[str, str]]:
    return [(sentence.state, sentence.text) for sentence in found.sentences]


def tracked(found: simulated_data.Results, label: str = "means/y/nuts") -> list[float]:
    """What MLflow gets: of the cell, and of the study."""
    return [track.aggregates(found.tables, label)["calibrated"][0], track.verdicts(found.tables)["calibrated"]]


# ---- what a verdict is about


def test_all_replicates_that_were_planned_make_a_calibrated_cell(monkeypatch):
    found = calibration_study(["done"] * 100).tabulate(SBC, monkeypatch)
    (state, text), (share, _) = told(found)
    assert text.startswith("means/y/nuts is calibrated: no departure seen in 2 quantities (")
    assert text.endswith("100 replicates).")
    assert state == share == "pass"
    assert found.states == {"means/y/nuts": "pass"}
    assert tracked(found) == [1.0, 1.0]
    assert found.tables["calibration"][["n", "planned", "not_converged"]].to_numpy().tolist() == [[100, 100, 0]] * 2


def test_what_has_no_output_is_not_called_calibrated(monkeypatch):
    """16 of 100 failed: which they are may follow from their truths, so that the others say nothing of them."""
    found = calibration_study(["failed" if r % 6 == 5 else "done" for r in range(100)]).tabulate(SBC, monkeypatch)
    (state, text), (share, counted) = told(found)
    assert text.startswith(
        "means/y/nuts: no departure seen in 2 quantities among the 84 of 100 replicates with output ("
    )
    assert "is calibrated" not in text
    assert state == "note"
    assert share == "pass"  # 16 % may fail in this study
    assert counted.startswith("means/y/nuts: of 100 fits 16 failed, 0 not converged")
    assert found.states == {"means/y/nuts": "note"}
    assert tracked(found) == [0.0, 0.0]


def test_no_good_news_stands_before_too_many_failures(monkeypatch):
    study = dataclasses.replace(SBC, max_failed=0.05)
    found = calibration_study(["failed" if r % 6 == 5 else "done" for r in range(100)]).tabulate(study, monkeypatch)
    assert [state for state, _ in told(found)] == ["note", "fail"]
    assert found.states == {"means/y/nuts": "fail"}
    assert tracked(found) == [0.0, 0.0]


def test_seventy_of_120_that_did_not_converge_are_not_calibrated(monkeypatch):
    found = calibration_study(["stuck"] * 70 + ["done"] * 50).tabulate(SBC, monkeypatch)
    (state, text), (share, _) = told(found)
    assert "among the 120 of 120 replicates with output, 70 of which did not converge (" in text
    assert "is calibrated" not in text
    assert (state, share) == ("note", "fail")
    assert found.states == {"means/y/nuts": "fail"}
    assert tracked(found) == [0.0, 0.0]


def test_a_few_that_did_not_converge_are_counted_in_the_verdict(monkeypatch):
    found = calibration_study(["stuck"] * 3 + ["done"] * 97).tabulate(SBC, monkeypatch)
    (state, text), _ = told(found)
    assert "is calibrated" in text
    assert text.endswith("100 replicates, 3 of them not converged).")
    assert state == "pass"
    assert tracked(found) == [1.0, 1.0]


def test_a_study_under_way_is_not_called_calibrated_yet(monkeypatch):
    found = calibration_study(["done", "missing"] * 50).tabulate(SBC, monkeypatch)
    (state, text), (share, _) = told(found)
    assert "among the 50 of 100 replicates with output" in text
    assert (state, share) == ("note", "note")
    assert found.states == {"means/y/nuts": "unfinished"}


def test_degenerate_data_may_be_left_out_as_one(monkeypatch):
    """The rule is on the data alone: every dataset that is constant is left out, and no other."""
    odd = frozenset({0, 33, 66, 99})
    states = ["failed" if r in odd else "done" for r in range(100)]
    (state, text), _ = told(calibration_study(states, odd).tabulate(SBC, monkeypatch))
    assert "is calibrated" in text
    assert text.endswith("96 of 100 replicates (the data of the others are degenerate)).")
    assert state == "pass"
    one_fitted = [*states[:99], "done"]
    (state, text), _ = told(calibration_study(one_fitted, odd).tabulate(SBC, monkeypatch))
    assert "among the 97 of 100 replicates with output" in text
    assert state == "note"


def test_a_departure_is_one_also_among_what_is_left(monkeypatch):
    fits, cell = Fits(), checked("means/y/nuts")
    for replicate in range(100):
        fits.add(cell, replicate, "failed" if replicate < 10 else "done", row("mu", 0.5 * replicate / 100))
    found = fits.tabulate(SBC, monkeypatch)
    (state, text), _ = told(found)
    assert text.startswith("means/y/nuts is not calibrated: 1 of 1 quantity departs: mu (posterior shifted high")
    assert text.endswith("90 of 100 replicates).")
    assert state == "fail"
    assert found.states == {"means/y/nuts": "fail"}


def reads(found: simulated_data.Results) -> set[tuple[str, str]]:
    """Words and colours of the last column of the terminal's table of calibration."""
    (_, shown), *_ = study_tables(found.tables)
    return {(texts[-1].plain, str(texts[-1].style)) for texts, _ in shown.rows}


def test_green_is_only_what_is_calibrated(monkeypatch):
    whole = calibration_study(["done"] * 100).tabulate(SBC, monkeypatch)
    assert reads(whole) == {("no departure seen", "green")}
    part = calibration_study(["failed"] * 16 + ["done"] * 84).tabulate(SBC, monkeypatch)
    assert ("no departure seen", "green") not in reads(part)
    half = calibration_study(["failed"] * 50 + ["done"] * 50).tabulate(SBC, monkeypatch)
    assert reads(half) == {("posterior shifted low", "red")}
    under_way = calibration_study(["done", "missing"] * 50).tabulate(SBC, monkeypatch)
    assert reads(under_way) == {("no departure seen", "")}


# ---- nothing to hold estimates against


@pytest.mark.parametrize("kind", ["sbc", "recovery"])
def test_a_cell_without_a_known_truth_does_not_pass(monkeypatch, kind):
    fits, fine, blind = Fits(), checked("fine"), checked("blind")
    for replicate in range(60):
        fits.add(fine, replicate, "done", row("mu", (replicate + 0.5) / 60))
        fits.add(blind, replicate, "done", row("nu", 0.5, truth=np.nan, p_truth=np.nan, rank=-1))
    found = fits.tabulate(dataclasses.replace(SBC, kind=kind), monkeypatch)
    assert found.states == {"fine": "pass", "blind": "fail"}
    (text,) = [text for state, text in told(found) if state == "fail"]
    assert text.startswith("blind: ")
    assert "no true value of" in text or "is known" in text
    assert not any("blind is calibrated" in text for _, text in told(found))
    assert track.aggregates(found.tables, "blind")["calibrated"] == (0.0, None)
    assert track.verdicts(found.tables)["calibrated"] == 0.0


def test_a_rule_decides_without_a_known_truth(monkeypatch):
    """How often a rule says yes where the generator has no such parameter is a question with an answer."""
    fits, cell = Fits(), checked("null", ("up: P(nu > 0 | y) > 0.95",))
    for replicate in range(20):
        fits.add(cell, replicate, "done", row("nu", 0.5, truth=np.nan, rank=-1, decision_up=float(replicate == 3)))
    found = fits.tabulate(StudyOptions(name="s", kind="power", levels=(0.95,)), monkeypatch)
    assert found.states == {"null": "pass"}
    rate = found.tables["measures"].query("measure == 'decision:up' and analysis == 'all'").iloc[0]
    assert (rate["value"], rate["n"]) == (0.05, 20)


# ---- rules


UP, DOWN = "up: P(mu > 0 | y) > 0.95", "up: P(mu < 0 | y) > 0.95"


def power_study(own: dict[str, tuple[str, ...]]) -> Fits:
    """18 replicates with mu = 0.5 and 22 with mu = -0.5; the rule says yes to 7 of the first and to none else."""
    fits = Fits()
    for label, rules in own.items():
        cell = checked(label, rules)
        for replicate in range(40):
            truth = 0.5 if replicate < 18 else -0.5
            fits.add(cell, replicate, "done", row("mu", 0.5, truth=truth, decision_up=float(replicate < 7)))
    return fits


def rates(found: simulated_data.Results, label: str) -> dict[str, tuple[float, int]]:
    table = found.tables["measures"].query("cell == @label and analysis == 'all'")
    rules = table[table["measure"].str.contains(":")]
    return {name: (value, n) for name, value, n in rules[["measure", "value", "n"]].itertuples(index=False)}


EXPECTED = {"decision:up": (7 / 40, 40), "power:up": (7 / 18, 18), "type_1_error:up": (0.0, 22)}


@pytest.mark.parametrize("where", ["study", "cell", "both"])
def test_a_rule_is_measured_as_it_is_written_wherever_it_stands(monkeypatch, where):
    own = () if where == "study" else (UP,)
    study = StudyOptions(name="s", kind="power", levels=(0.95,), decisions=() if where == "cell" else (UP,))
    found = power_study({"a": own}).tabulate(study, monkeypatch)
    assert rates(found, "a") == EXPECTED
    power = found.tables["measures"].query("measure == 'power:up' and analysis == 'all'").iloc[0]
    assert (power["lower"], power["upper"]) == pytest.approx([float(end) for end in wilson(7, 18)])


def test_cells_with_rules_of_their_own_under_one_name(monkeypatch):
    study = StudyOptions(name="s", kind="power", levels=(0.95,))
    found = power_study({"a": (UP,), "b": (DOWN,), "c": (UP,)}).tabulate(study, monkeypatch)
    assert rates(found, "a") == rates(found, "c") == EXPECTED
    # yes is right where mu < 0, and wrong elsewhere
    assert rates(found, "b") == {
        "decision:up": (7 / 40, 40), "power:up": (0.0, 22), "type_1_error:up": (7 / 18, 18),
    }  # fmt: skip
    assert list(dict.fromkeys(found.tables["measures"]["cell"])) == ["a", "b", "c"]


# ---- contraction


def test_contraction_is_by_the_sd_of_the_prior_and_not_of_the_truths_that_were_drawn(monkeypatch):
    """Posterior SD 0.494 under a prior SD of 1: 0.756, though the truths that were drawn have an SD of 1.2."""
    fits, cell = Fits(), checked("a")
    for replicate in range(60):
        place = (replicate + 0.5) / 60
        known = {"sd": 0.494, "prior_sd": 1.0, "prior_sd_mcse": 0.01}
        fits.add(cell, replicate, "done", row("mu", place, **known, truth=1.2 * stats.norm.ppf(place)))
    found = fits.tabulate(SBC, monkeypatch)
    share = found.tables["measures"].query("measure == 'contraction' and analysis == 'all'").iloc[0]
    judged = found.tables["calibration"].iloc[0]
    for value, mcse in ((share["value"], share["mcse"]), (judged["contraction"], judged["contraction_mcse"])):
        assert value == pytest.approx(0.755964)
        assert mcse == pytest.approx(2 * 0.494**2 * 0.01)  # nothing else varies
    assert np.isnan(judged["posterior_contraction"])


def test_contraction_of_the_posterior_has_a_name_of_its_own(monkeypatch):
    fits, cell = Fits(), checked("a", simulation=Simulation(Target("m", "m.build"), "f", identity={"joint": True}))
    for replicate in range(60):
        fits.add(cell, replicate, "done", row("mu", (replicate + 0.5) / 60, sd=0.5, observed_sd=0.8))
    found = fits.tabulate(SBC, monkeypatch)
    measures = set(found.tables["measures"]["measure"])
    assert "posterior_contraction" in measures
    assert "contraction" not in measures
    judged = found.tables["calibration"].iloc[0]
    assert judged["posterior_contraction"] == pytest.approx(1 - (0.5 / 0.8) ** 2)
    assert np.isnan(judged["contraction"])
    heads = [column.name for _, shown in study_tables(found.tables)[:1] for column in shown.columns]
    assert "posterior contraction" in heads


def test_a_prior_without_an_sd_is_said(monkeypatch):
    fits, cell = Fits(), checked("a")
    for replicate in range(60):
        place = (replicate + 0.5) / 60
        fits.add(cell, replicate, "done", row("mu", place, prior_sd=1.0), row("w", place, prior_sd=np.inf))
    found = fits.tabulate(SBC, monkeypatch)
    assert [r for r in found.remarks if "contraction" in r] == [
        "a: contraction is left out for w: the prior has no finite SD, or tails so heavy that draws do not tell it"
    ]
    shares = found.tables["measures"].query("measure == 'contraction'")
    assert set(shares["variable"]) == {"mu"}


# ---- one dataset in several cells


def test_cells_that_see_a_dataset_count_it_alike(monkeypatch):
    """Fits that failed in an older version left nothing of their data behind."""
    fits = Fits()
    for label, keeps in (("a", True), ("b", False)):
        cell = checked(label)
        for replicate in range(20):
            odd = "constant" if keeps and replicate < 4 else ""
            fits.add(cell, replicate, "done" if keeps else "failed", row("mu", 0.5), degenerate=odd)
    other = checked("c", simulation=Simulation(Target("others", "others.build"), "g"))
    for replicate in range(20):
        fits.add(other, replicate, "done", row("mu", 0.5))
    failures = fits.tabulate(SBC, monkeypatch).tables["failures"].set_index(["cell", "class"])["count"]
    assert [failures[cell, "degenerate"] for cell in "abc"] == [4, 4, 0]


# ---- states


def judged(
    states: list[str], monkeypatch: pytest.MonkeyPatch, *, strict: bool = False, **study: object
) -> simulated_data.Results:
    """What a study of one cell comes to."""
    fits = calibration_study(states)
    for key, (spec, cell) in fits.known.items():
        gate = dataclasses.replace(cell.cell.gate, fail=strict)
        fits.known[key] = spec, dataclasses.replace(cell, cell=dataclasses.replace(cell.cell, gate=gate))
    return fits.tabulate(dataclasses.replace(SBC, **study), monkeypatch)


@pytest.mark.parametrize("kind", ["sbc", "recovery", "power"])
@pytest.mark.parametrize("done", [0, 3])
def test_a_study_with_missing_fits_is_unfinished(monkeypatch, kind, done):
    found = judged(["done"] * done + ["missing"] * (60 - done), monkeypatch, kind=kind)
    assert found.states == {"means/y/nuts": "unfinished"}
    assert not any(state == "pass" for state, _ in told(found))
    assert track.verdicts(found.tables)["n_missing"] == 60 - done
    assert track.verdicts(found.tables).get("calibrated", 0.0) == 0.0
    assert found.tables["states"][["cell", "state", "planned", "missing"]].to_numpy().tolist() == [
        ["means/y/nuts", "unfinished", 60, 60 - done]
    ]


@pytest.mark.parametrize("kind", ["sbc", "recovery"])
@pytest.mark.parametrize("bad", ["stuck", "failed"])
def test_every_verdict_has_to_pass_where_the_gate_says_so(monkeypatch, kind, bad):
    states = [bad] * 2 + ["done"] * 58
    strict = judged(states, monkeypatch, strict=True, kind=kind, max_failed=1.0)
    assert strict.states == {"means/y/nuts": "fail"}
    state, text = told(strict)[-1]
    assert state == "fail"
    assert text.endswith("gate.fail=true, and every verdict has to pass.")
    lenient = judged(states, monkeypatch, kind=kind, max_failed=1.0)
    assert lenient.states["means/y/nuts"] in ("pass", "note")
    assert judged(["done"] * 60, monkeypatch, strict=True, kind=kind).states == {"means/y/nuts": "pass"}


def test_nothing_is_known_of_a_cell_without_output_whatever_may_fail(monkeypatch):
    assert judged(["failed"] * 60, monkeypatch, kind="recovery", max_failed=1.0).states == {"means/y/nuts": "fail"}


@pytest.mark.parametrize(("n", "alpha", "enough"), [(1, 0.05, 7), (6, 0.05, 7), (20, 1e-9, 32)])
def test_so_few_replicates_are_not_called_calibrated(monkeypatch, n, alpha, enough):
    """Two quantities: 2 * 2 * (1/2)^n has to be at most alpha, from 7 replicates on at 0.05."""
    found = judged(["done"] * n, monkeypatch, alpha=alpha)
    state, text = told(found)[0]
    assert state == "note"
    assert "is calibrated:" not in text
    assert "whether it is calibrated cannot be told in 2 quantities" in text
    assert text.endswith(f"it takes {enough} replicates or more.")
    assert found.states == {"means/y/nuts": "note"}
    assert tracked(found) == [0.0, 0.0]
    twin = judged(["done"] * enough, monkeypatch, alpha=alpha)
    assert "is calibrated: " in told(twin)[0][1]
    assert twin.states == {"means/y/nuts": "pass"}
    assert tracked(twin) == [1.0, 1.0]
