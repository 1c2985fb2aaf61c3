"""What a study says of its comparisons: printed, kept, and made anew when what makes them has changed."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr
from rich.console import Console

from bayesrun.errors import TrackError
from bayesrun.report import real_data, tracking
from bayesrun.report.real_data import Findings, Row, compared, keep, show
from bayesrun.report.verdict import ending
from bayesrun.store.folder import Store
from bayesrun.store.turns import take
from bayesrun.track import fit_runs
from bayesrun.track.fit_runs import Record
from bayesrun.types import Absent, Cell, CheckedCell, Observed, Plan, StudyOptions, Target, TrackOptions, Verdict
from fake_trees import fake_outcome, fake_spec, fake_summary, fake_tree

ABOUT = Observed(values="v", numbers="r", members="r", measure="log densities")
FACTS = {"elpd_loo": -30.0, "se_elpd_loo": 1.0, "n_loo_terms": 8.0}


def rows(store: Store, *about: Observed) -> list[Row]:
    """Finished fits of two models, whose terms are about this."""
    found = []
    for number, observed in enumerate(about):
        key = f"k{number}"
        tree, spec = fake_tree(number), fake_spec(key, f"m{number}/nuts")
        k = {"elpd_i": ("school", [-4.0 - number / 9 * i for i in range(8)]), "pareto_k": ("school", [0.1] * 8)}
        tree["loo"] = xr.DataTree(xr.Dataset(k, attrs={"p": 1.0, "good_k": 0.7}))
        outcome = store.write_fit(fake_outcome(key, spec.cell, diagnostics=FACTS), tree, fake_summary(tree))
        cell = Cell(spec.cell, spec.model, spec.model, spec.sampler, spec.options)
        found.append(Row(spec, CheckedCell(cell, "d", f"f{number}", 1, "nuts", observed), outcome, Verdict(True)))
    return found


def made(found: list[Row], store: Store) -> Findings:
    """Make the comparisons and keep them, as an ending does."""
    findings = compared(found, store, None)
    keep(findings, store)
    return findings


def printed(found: list[Row], store: Store, capsys: pytest.CaptureFixture[str]) -> str:
    show(Console(width=200), found, made(found, store))
    return capsys.readouterr().out


def test_kept_comparisons_are_shown_as_long_as_what_makes_them_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, count = Store(tmp_path), []
    found = rows(store, ABOUT, ABOUT)
    whole = real_data.loo_comparisons

    def counted(*arguments: Any) -> Any:
        count.append(1)
        return whole(*arguments)

    monkeypatch.setattr(real_data, "loo_comparisons", counted)
    first, again = made(found, store), made(found, store)
    assert len(count) == 1
    pd.testing.assert_frame_equal(first.comparisons[0].frame, again.comparisons[0].frame, check_names=False)
    monkeypatch.setattr(real_data, "version", lambda: "another")
    made(found, store)
    assert len(count) == 2


def test_a_table_of_what_is_no_longer_compared_is_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    assert "LOO comparison" in printed(rows(store, ABOUT, ABOUT), store, capsys)
    assert {path.stem for path in store.tables.glob("*.csv")} == {"fits", "comparison"}
    other = dataclasses.replace(ABOUT, measure="log masses")
    for _ in range(2):  # made, and kept
        text = printed(rows(store, ABOUT, other), store, capsys)
        assert "LOO comparison" not in text
        assert "- m1/nuts: not compared with m0/nuts: it has log masses, and m0/nuts has log densities" in text
    assert {path.stem for path in store.tables.glob("*.csv")} == {"fits", "not_compared"}
    assert pd.read_csv(store.tables / "not_compared.csv")["cell"].tolist() == ["m1/nuts"]


def test_many_reasons_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    text = printed(rows(store, *(dataclasses.replace(ABOUT, values=f"v{i}") for i in range(14))), store, capsys)
    assert text.count("it observes other values") == 10
    assert "3 more in the table not_compared" in text


# ---- the order of commands


def sampled(store: Store) -> dict[str, tuple]:
    """Finished fits of one model by two samplers, as a study plans them."""
    known = {}
    for number, sampler in enumerate(("nuts", "advi")):
        key = f"s{number}"
        tree, spec = fake_tree(number), fake_spec(key, f"m/{sampler}", sampler)
        store.write_fit(fake_outcome(key, spec.cell), tree, fake_summary(tree))
        cell = Cell(spec.cell, spec.model, spec.model, spec.sampler, spec.options)
        known[key] = spec, CheckedCell(cell, "d", "f", 1, "nuts", ABOUT)
    return known


def references(store: Store) -> set[str]:
    return set(pd.read_parquet(store.tables / "agreement.parquet")["reference"])


def test_the_tables_keep_the_reference_of_the_study(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    known, asked = sampled(store), StudyOptions(name="s", reference="advi")
    ending(known, store, asked)
    assert references(store) == {"m/advi"}
    compared(real_data.rows(known, store, {}), store, "nuts")  # a look from elsewhere
    assert references(store) == {"m/advi"}
    ending(known, store, dataclasses.replace(asked, reference="nuts"))
    assert references(store) == {"m/nuts"}


def test_a_slow_command_does_not_write_over_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow one has read one fit of two when the other begins, and ends after it."""
    store = Store(tmp_path / "s")
    known, asked = sampled(store), StudyOptions(name="s")
    made = real_data.compared

    def overtaken(found: list[Row], *arguments: Any) -> Findings:
        monkeypatch.setattr(real_data, "compared", made)
        assert ending(known, store, asked).latest
        return made(found[:1], *arguments)

    monkeypatch.setattr(real_data, "compared", overtaken)
    assert not ending(known, store, asked).latest
    assert len(pd.read_parquet(store.tables / "fits.parquet")) == 2


def test_real_data_that_is_missing_is_unfinished(tmp_path: Path) -> None:
    store = Store(tmp_path / "s")
    known, asked = sampled(store), StudyOptions(name="s")
    whole = ending(known, store, asked)
    assert (whole.state, whole.exit_code) == ("note", 0)  # E-BFMI and others of a fake fit are below their bounds
    (store.fit_folder("s1") / "outcome.json").unlink()
    part = ending(known, store, asked)
    assert (part.state, part.exit_code, part.states["m/advi"]) == ("unfinished", 1, "unfinished")
    own = Plan((), (known["s0"][0],), frozenset())
    assert ending(known, store, asked, plan=own).exit_code == 0  # of what that command asked for


def test_mlflow_is_not_told_by_a_command_that_read_earlier(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "s")
    asked, options = StudyOptions(name="s"), TrackOptions(uri="http://127.0.0.1:9")
    end = ending(sampled(store), store, asked)
    recorder = tracking.recorder(store, asked, options)
    monkeypatch.setattr(recorder, "check", lambda: None)
    with take(store.root).at(options.uri or ""):
        pass
    assert recorder.finish(end) == [tracking.OLDER]
    with pytest.raises(TrackError, match="nothing was sent: MLflow was told by a command that read the fits later"):
        recorder.sync(end)


def test_a_comparison_that_raises_is_absent_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "s")
    known, asked = sampled(store), StudyOptions(name="s")

    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("not today")

    with monkeypatch.context() as patch:
        patch.setattr(real_data, "agreement", broken)
        end = ending(known, store, asked)
    assert end.exit_code == 1
    assert end.findings is not None
    assert list(end.findings.outcomes["status"]) == ["done", "done"]
    end.show(Console(width=200))
    assert "no agreement of samplers: failed: ZeroDivisionError: not today; the same command" in capsys.readouterr().out
    again = ending(known, store, asked)
    assert again.exit_code == 0
    assert again.findings is not None
    assert again.findings.agreements


def test_what_fails_in_tracking_costs_its_runs_alone(tmp_path: Path) -> None:
    class Broken(tracking.Recorder):
        def tell(self, row: Row) -> None:
            raise KeyError("größe")

        def finish(self, end: Any) -> list[str]:
            raise ValueError("not today")

    store = Store(tmp_path / "s")
    known = sampled(store)
    careful = tracking.Careful(Broken(store, TrackOptions(enabled=False), tmp_path))
    end = ending(known, store, StudyOptions(name="s"))
    for row in end.rows:
        careful.tell(row)
    assert careful.finish(end) == [
        f"no tracking: failed: ValueError: not today; bayesrun sync s --output-dir {tmp_path} tells MLflow"
    ]
    assert end.exit_code == 0


def test_a_fit_without_a_step_that_was_asked_for_is_told_of_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "s")
    known = sampled(store)
    steps = dataclasses.replace(known["s0"][0].steps, posterior_predictive=False, prior_predictive=False)
    gone = {
        "posterior_predictive": Absent("failed", "ValueError: not today"),
        "prior_predictive": Absent("cannot", "a has the improper prior Flat"),
    }
    whole = store.done("s0")
    assert whole is not None
    store.write_outcome(dataclasses.replace(whole, steps=steps, absent_steps=gone))
    end = ending(known, store, StudyOptions(name="s"))
    assert (end.exit_code, end.states[whole.cell]) == (1, "fail")
    end.show(Console(width=300))
    told = capsys.readouterr().out
    assert f"{whole.cell}: no posterior_predictive: failed: ValueError: not today (fits/s0/error.txt)" in told
    assert f"{whole.cell}: no prior_predictive: cannot be done: a has the improper prior Flat" in told
    assert "study s: finished, fail: 1 fit lacks a step that was asked for; the command that asked for it" in told
    assert end.findings is not None
    assert "no posterior_predictive: failed" in end.findings.outcomes.loc[whole.cell, "absent"]
    tags = fit_runs.tags(Record(known["s0"][0], dataclasses.replace(whole, absent_steps=gone)))
    assert tags["bayesrun.absent"].startswith("no posterior_predictive: failed: ValueError: not today; no prior")
    store.write_outcome(
        dataclasses.replace(whole, steps=steps, absent_steps={"prior_predictive": gone["prior_predictive"]})
    )
    left = Plan((), (dataclasses.replace(known["s0"][0], steps=steps),), frozenset())
    assert ending(known, store, StudyOptions(name="s"), plan=left).exit_code == 1  # neither there nor absent
    asked = {
        k: (dataclasses.replace(s, steps=dataclasses.replace(steps, prior_predictive=True)), c)
        for k, (s, c) in known.items()
    }
    assert ending(asked, store, StudyOptions(name="s")).exit_code == 0


def test_samplers_are_compared_where_one_command_kept_more_columns(tmp_path):
    store = Store(tmp_path)
    known = {
        key: (
            dataclasses.replace(spec, data_hash=f"columns kept by {spec.sampler.name}"),
            dataclasses.replace(checked, conditioned="values"),
        )
        for key, (spec, checked) in sampled(store).items()
    }
    assert len(ending(known, store, StudyOptions(name="s")).findings.agreements) == 1
    other = {
        key: (spec, dataclasses.replace(checked, conditioned=key)) for key, (spec, checked) in sampled(store).items()
    }
    assert ending(other, store, StudyOptions(name="s")).findings.agreements == []


# ---- decisions


RULES = ("P(mu > 0 | y) > 0.9", "0.9 interval of theta excludes 0", "far: P(theta < 9 | y) > 0.5")


def test_what_rules_say_is_printed_and_kept_and_a_rule_that_is_absent_says_nothing(tmp_path, capsys):
    store = Store(tmp_path)
    known = sampled(store)
    for number, (key, (spec, checked)) in enumerate(known.items()):
        asked = dataclasses.replace(spec.diagnostics, decisions=RULES)
        known[key] = dataclasses.replace(spec, diagnostics=asked), checked
        tree = fake_tree(number)
        summary = fake_summary(tree)
        summary["decision_mu_above_0_p0.9"] = [1.0 if label == "mu" else float("nan") for label in summary.index]
        summary["probability_mu_above_0_p0.9"] = [0.95312 if label == "mu" else float("nan") for label in summary.index]
        summary["mcse_of_probability_mu_above_0_p0.9"] = 0.0041
        if not number:
            summary["decision_theta_excludes_0_ci0.9"] = [
                0.0 if "[A]" in label else float("nan") for label in summary.index
            ]
        store.write_fit(fake_outcome(key, spec.cell, diagnostics_options=asked), tree, summary)
    end = ending(known, store, StudyOptions(name="s"))
    end.show(Console(width=120))
    text = capsys.readouterr().out
    assert "rule P(mu > 0 | y) > 0.9" in text
    assert text.count("0.9531 ± 0.0041") == 2
    assert "rule far" not in text
    table = pd.read_parquet(store.tables / "decisions.parquet")
    assert list(table.columns) == ["cell", "rule", "variable", "says", "probability", "mcse"]
    of_mu = table[table["variable"] == "mu"]
    assert of_mu["cell"].tolist() == ["m/nuts", "m/advi"]
    assert set(of_mu["says"]) == {"yes"}
    of_theta = table[table["rule"] == "0.9 interval of theta excludes 0"]
    assert set(of_theta["cell"]) == {"m/nuts"}
    assert dict(zip(of_theta["variable"], of_theta["says"], strict=True))["theta[A]"] == "no"
    assert set(of_theta["says"]) == {"no", "not known"}
    assert of_theta["probability"].isna().all()
    assert "decisions" in tracking._fits(end).tables


def test_runs_say_which_rows_of_a_table_they_are_about(tmp_path: Path) -> None:
    (row,) = rows(Store(tmp_path), ABOUT)
    data = Target("Kiel", "bayesrun.data.read", {"path": "all.csv", "by": "site", "level": "Campus Kiel"})
    cell = dataclasses.replace(row.checked.cell, data=data)
    record = tracking._record(dataclasses.replace(row, checked=dataclasses.replace(row.checked, cell=cell)))
    told = {name: value for name, value in fit_runs.params(record).items() if name.startswith("data")}
    assert told == {"data": "Kiel", "data.by": "site", "data.level": "Campus Kiel"}


def test_of_many_cells_no_summary_is_read_for_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store, read = Store(tmp_path), []
    found = rows(store, *[ABOUT] * 4)
    whole = Store.read_summary
    monkeypatch.setattr(Store, "read_summary", lambda store, key: read.append(key) or whole(store, key))
    few = real_data.estimates_of(found[:3], store)
    assert (len(few.parts), few.hint, read) == (3, "", ["k0", "k1", "k2"])
    real_data.show_estimates(Console(width=200), real_data.estimates_of(found, store))
    assert f"estimates of 4 cells: bayesrun show {tmp_path.name}" in capsys.readouterr().out
    assert len(read) == 3
