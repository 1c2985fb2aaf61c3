"""The fits of a simulated study without a store: what is planned, what became of it, and the summaries."""

from pathlib import Path

import pandas as pd
import pytest
from scipy import stats

from bayesrun.report import simulated_data
from bayesrun.store.folder import Store
from bayesrun.store.summaries import Summaries
from bayesrun.types import CheckedCell, StudyOptions
from checked_cells import checked
from fake_trees import fake_outcome, fake_spec

L = 99


class Fits:
    """The planned fits of a study, what became of them, and the summaries of those that are done."""

    def __init__(self) -> None:
        self.known, self.outcomes, self.summaries = {}, {}, []

    def add(self, cell: CheckedCell, replicate: int, state: str = "done", *rows: dict, degenerate: str = "") -> None:
        label = cell.cell.label
        spec = fake_spec(f"{label}|{replicate}", label, replicate=replicate)
        self.known[spec.key] = spec, cell
        if state == "missing":
            return
        diagnostics = {"n_divergent": float(state == "stuck")}
        fields = {"status": "failed" if state == "failed" else "done", "replicate": replicate, "degenerate": degenerate}
        if state == "failed":
            fields |= {"reason": "error", "message": "no"}
        self.outcomes[spec.key] = fake_outcome(spec.key, label, diagnostics=diagnostics, **fields)
        if state != "failed":
            self.summaries += [{"key": spec.key, **row} for row in rows]

    def tabulate(self, study: StudyOptions, monkeypatch: pytest.MonkeyPatch) -> simulated_data.Results:
        found = Summaries(pd.DataFrame(self.summaries), {})
        monkeypatch.setattr(simulated_data, "read_summaries", lambda _store, _checksums: found)
        return simulated_data.tabulate(self.known, Store(Path("/nowhere")), study, self.outcomes)


def row(variable: str, place: float, **fields: float) -> dict:
    """A summary whose truth has this posterior probability below it, from a normal posterior."""
    truth = stats.norm.ppf(place)
    ends = {f"{side}_0.95": sign * 1.96 for side, sign in (("lower", -1.0), ("upper", 1.0))}
    rank = min(int(place * (L + 1)), L)
    return {
        "variable": variable, "truth": truth, "mean": 0.0, "sd": 1.0, "mcse_mean": 0.05, "p_truth": place,
        "rank": rank, "n_ranks": L, "ess_tail": 400.0, **ends,
    } | fields  # fmt: skip


SBC = StudyOptions(name="s", kind="sbc", levels=(0.95,), max_failed=0.2)


def calibration_study(states: list[str], odd: frozenset[int] = frozenset(), label: str = "means/y/nuts") -> Fits:
    """Ranks that are as even as they can be, of as many fits as there are states."""
    fits, cell = Fits(), checked(label)
    for replicate, state in enumerate(states):
        place = (replicate + 0.5) / len(states)
        rows = [row(name, place) for name in ("mu", "log_likelihood")]
        fits.add(cell, replicate, state, *rows, degenerate="constant" if replicate in odd else "")
    return fits
