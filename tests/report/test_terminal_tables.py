"""What the terminal shows: readable without colour, at 100 and at 80 columns."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bayesrun.report.terminal_tables import (
    agreement_table,
    comparison_table,
    outcome_table,
    study_tables,
    verdict_lines,
)
from bayesrun.types import Verdict
from fake_studies import fake_study
from fake_trees import fake_outcome

if TYPE_CHECKING:
    from bayesrun.report.table_layout import Sheet

ROWS = [
    (fake_outcome(cell="hierarchical,nuts"), Verdict(True)),
    (
        fake_outcome(cell="hierarchical,advi", where="compute-node-0123:40991", diagnostics={"elpd_loo": -31.0}),
        Verdict(False, ("khat 0.93 > 0.7",), ("sampler=nuts", "sampler=fullrank_advi")),
    ),
    (
        fake_outcome(cell="linear[1],smc", status="failed", reason="timeout", message="took over 60 s", diagnostics={}),
        None,
    ),
]


def rendered(table: Sheet, width: int, *, colour: bool = False) -> str:
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=colour, color_system="standard" if colour else None).print(table)
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_outcomes_fit_and_read_without_colour(width: int) -> None:
    text = rendered(outcome_table(ROWS), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "\x1b" not in text
    joined = text.replace("\n", " ")
    for word in ("pass", "fail", "failed", "1.004", "812", "-30.8 ± 1.4", "3.2", "-31.0 ± -", "node-1:4242"):
        assert word in joined
    assert len(text.splitlines()) <= 3 + 2 * len(ROWS)


def test_labels_are_not_markup() -> None:
    text = rendered(outcome_table(ROWS), 100)
    assert "linear[1],smc" in text


def test_colour_only_on_a_terminal() -> None:
    assert "\x1b[32m" in rendered(outcome_table(ROWS), 100, colour=True)


def test_reasons_and_remedies_in_a_line_each() -> None:
    assert verdict_lines(ROWS) == [
        "hierarchical,advi: khat 0.93 > 0.7; try: sampler=nuts",
        "linear[1],smc failed (timeout): took over 60 s",
    ]


def test_notes_are_lines_of_fits_that_pass_too():
    row = (fake_outcome(), Verdict(True, notes=("mu[17] is worse than all parameters",)))
    assert verdict_lines([row]) == [f"{row[0].cell}: note: mu[17] is worse than all parameters"]


def test_replicates_have_their_number() -> None:
    assert "hierarchical/nuts #3" in rendered(outcome_table([(fake_outcome(replicate=3), None)]), 100)


def test_comparison_names_the_best_and_the_doubts() -> None:
    frame = pd.DataFrame(
        {
            "rank": [0, 1],
            "elpd_loo": [-30.81, -33.2],
            "p_loo": [1.2, np.nan],
            "elpd_diff": [0.0, -2.39],
            "se": [1.4, 1.5],
            "dse": [0.0, 0.8],
            "weight": [0.97, 0.03],
            "n_bad_pareto_k": [0, 2],
            "warning": ["", "small difference, high Pareto k"],
        },
        index=["invest ~ value", "invest ~ 1"],
    )
    for width in (80, 100):
        text = rendered(comparison_table(frame), width)
        assert max(len(line) for line in text.splitlines()) <= width
        for word in ("best", "-30.8 ± 1.4", "-2.4 ± 0.8", "0.97", "small", "Pareto"):
            assert word in text


def test_agreement_shows_the_worst_and_counts_the_rest() -> None:
    frame = pd.DataFrame(
        {
            "cell": "hierarchical,advi",
            "variable": [f"theta[{i}]" for i in range(12)],
            "mean_diff": np.linspace(1, 0, 12),
            "mean_diff_mcse": 0.02,
            "sd_ratio": np.linspace(0.3, 1, 12),
            "sd_ratio_mcse": 0.02,
            "differs": [True] * 11 + [False],
            "unclear": [False] * 12,
        }
    )
    for width in (80, 100):
        text = rendered(agreement_table(frame), width)
        assert max(len(line) for line in text.splitlines()) <= width
        assert "theta[9]" in text
        assert "theta[10]" not in text
        assert "2 more rows, 1 of them differ" in text
        assert "+1.00" in text


@pytest.mark.parametrize("cells", [1, 2])
def test_studies_fit_80_columns_and_begin_with_the_parameters(cells: int) -> None:
    """Cells are named by what sets them apart, and each rule has a row of its own."""
    study = fake_study(cells=cells, variables=9, replicates=50)
    shown = study_tables(study)
    assert [title.partition(",")[0].partition(":")[0] for title, _ in shown] == ["calibration", "measures", "decisions"]
    texts = [rendered(table, 80) for _, table in shown]
    for text in texts:
        assert max(map(len, text.splitlines())) <= 80
        assert text.count("linear/design") == (cells > 1)  # what all cells share is said once
        assert (" nuts " in text) == (cells > 1)
    rows = [line.split() for line in texts[1].splitlines() if "±" in line]
    assert [row[cells - 1] for row in rows[: 2 * cells]] == ["sigma", "log_likelihood"] * cells
    value = study["measures"].query("measure == 'decision:positive' and analysis == 'all'")["value"].iloc[0]
    first = next(line for line in texts[2].splitlines() if "positive" in line)
    assert f" {value:.3f} ±" in first
