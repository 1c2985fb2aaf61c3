"""What a study says of its comparisons: printed, kept, and made anew when what makes them has changed."""

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import xarray as xr
from rich.console import Console

from bayesrun import report
from bayesrun.report import Row, compared, show
from bayesrun.store import Store
from bayesrun.types import Cell, CheckedCell, Observed, Verdict
from fakes import fake_outcome, fake_spec, fake_summary, fake_tree

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


def printed(found: list[Row], store: Store, capsys: pytest.CaptureFixture[str]) -> str:
    show(Console(width=200), found, compared(found, store, None))
    return capsys.readouterr().out


def test_kept_comparisons_are_shown_as_long_as_what_makes_them_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, made = Store(tmp_path), []
    found = rows(store, ABOUT, ABOUT)
    whole = report.loo_comparisons

    def counted(*arguments: Any) -> Any:
        made.append(1)
        return whole(*arguments)

    monkeypatch.setattr(report, "loo_comparisons", counted)
    first, again = compared(found, store, None), compared(found, store, None)
    assert len(made) == 1
    pd.testing.assert_frame_equal(first.comparisons[0].frame, again.comparisons[0].frame, check_names=False)
    monkeypatch.setattr(report, "version", lambda: "another")
    compared(found, store, None)
    assert len(made) == 2


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
