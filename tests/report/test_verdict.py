"""The ending of a simulated study stands where a picture or the page breaks: tables, sentences and what is there."""

import io

import pytest
from rich.console import Console

from bayesrun.errors import StoreError
from bayesrun.figures import coverage
from bayesrun.report import page, simulated_data, verdict
from bayesrun.store.folder import Store
from simulated_fits import SBC, calibration_study


@pytest.fixture
def made(tmp_path, monkeypatch):
    """Make the ending of a study of 100 replicates that are calibrated."""
    (tmp_path / "s" / "tables").mkdir(parents=True)
    found = calibration_study(["done"] * 100).tabulate(SBC, monkeypatch)
    fits = calibration_study(["done"] * 100)
    monkeypatch.setattr(simulated_data, "tabulate", lambda *_: found)
    monkeypatch.setattr(verdict, "superseded", lambda _store: {})
    return lambda: verdict.ending(fits.known, Store(tmp_path / "s"), SBC)


def breaking(error: Exception):
    def raises(*_args, **_named):
        raise error

    return raises


def shown(end: verdict.Ending) -> str:
    text = io.StringIO()
    end.show(Console(file=text, width=200))
    return text.getvalue()


def test_a_figure_that_raises_anything_is_told_and_costs_the_exit_code_alone(made, monkeypatch):
    whole = made()
    assert (whole.exit_code, whole.broken) == (0, ())
    with monkeypatch.context() as patch:
        patch.setattr(coverage, "zip_plot", breaking(OSError("no font")))
        end = made()
    line = "no figure zip: failed: OSError: no font; bayesrun report s"
    assert [text.startswith(line) for text in end.broken] == [True]
    assert line in shown(end)
    assert end.facts["absent"] == end.broken[0]
    assert (end.state, end.exit_code) == ("pass", 1)
    assert [path.name for path in whole.files if path not in end.files] == ["zip.png"]
    assert "This figure could not be drawn: OSError: no font" in end.page.read_text()
    assert made().files == whole.files  # the same command draws it


def test_a_page_that_raises_is_told_and_no_older_one_stands_for_it(made, monkeypatch):
    whole = made()
    with monkeypatch.context() as patch:
        patch.setattr(page, "write_report", breaking(KeyError("progress")))
        end = made()
    assert end.broken[0].startswith("no report.html: failed: KeyError: 'progress'; bayesrun report s")
    assert (end.page, end.files, end.exit_code) == (None, whole.files[1:], 1)
    assert not whole.page.exists()
    assert [path.name for path in (whole.page.parent / "tables").iterdir()]
    assert made().page == whole.page


def test_a_folder_that_cannot_be_written_to_is_no_broken_figure(made, monkeypatch):
    monkeypatch.setattr(page, "write_report", breaking(StoreError("disk full")))
    with pytest.raises(StoreError, match="disk full"):
        made()
