"""Tables at the width of what they are printed on."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from bayesrun.base.cell_labels import told_once
from bayesrun.report.table_layout import Column, Sheet, numbers, words

LABELS = [
    f"my_package.regression/hospital_readmissions/{sampler} model.formula=y ~ age + sex model.tau_scale={scale}"
    for sampler in ("nuts", "numpyro")
    for scale in (1, 2.5, 10)
]


def printed(sheet: Sheet, width: int) -> str:
    file = io.StringIO()
    Console(file=file, width=width).print(sheet)
    return file.getvalue()


def sheet() -> Sheet:
    made = Sheet((*words("cell"), *numbers("elpd"), *numbers("time", spare=1), Column("where", spare=2)), "all: x")
    for label in told_once(LABELS)[1].values():
        made.add_row(label, "-3021.8 ± 41.1", "12345.6", "compute-node-0123")
    return made


@pytest.mark.parametrize("width", [30, 60, 80, 160])
def test_no_line_is_wider_and_no_number_is_cut(width: int) -> None:
    text = printed(sheet(), width)
    assert max(map(len, text.splitlines())) <= width
    assert text.count("-3021.8 ± 41.1") == len(LABELS)


@pytest.mark.parametrize("width", [60, 80, 160])
def test_words_stay_whole(width: int) -> None:
    text = printed(sheet(), width)
    for word in ("model.tau_scale=2.5", "numpyro"):
        assert word in text


def test_what_is_least_needed_goes_first() -> None:
    heads = [printed(sheet(), width).splitlines()[2].split() for width in (160, 48, 38)]
    assert heads == [["cell", "elpd", "time", "where"], ["cell", "elpd", "time"], ["cell", "elpd"]]


def test_markup_is_text_and_styles_stay_on_wrapped_texts() -> None:
    made = Sheet(words("cell", "warning"))
    made.add_row("theta[red]x[/red]", Text("two words", style="yellow"))
    file = io.StringIO()
    Console(file=file, width=26, force_terminal=True, color_system="standard").print(made)
    assert "theta[red]" in file.getvalue()
    assert "\x1b[33m" in file.getvalue()


def test_what_all_labels_share_is_said_once() -> None:
    shared, own = told_once(LABELS)
    assert shared == "my_package.regression/hospital_readmissions model.formula=y ~ age + sex"
    assert own[LABELS[1]] == "nuts model.tau_scale=2.5"
    assert len(set(own.values())) == len(LABELS)


@pytest.mark.parametrize(
    "labels", [["a/b/c"], ["a/b/c", "a/b/c x=1"], ["one", "two"], ["a/b/c", "a"], ["y ~ a == b/c/d", "y ~ a"]]
)
def test_labels_that_share_nothing_or_would_be_empty_stay(labels: list[str]) -> None:
    assert told_once(labels) == ("", {label: label for label in labels})
