"""The page of a study: what is on it, what is escaped, what is said of studies with little or nothing to show."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from bayesrun.base.rounding import ABSENT
from bayesrun.errors import StoreError
from bayesrun.figures.coverage import COVERAGE_WARNING
from bayesrun.figures.one_study import StudyFigure
from bayesrun.report.page import Ademp, Sentence, StudyReport, render_report, write_report
from bayesrun.report.page.grids import MOST_ROWS, frame_grid
from bayesrun.report.page.sections import failures, trouble
from bayesrun.statistics.calibration import calibration_table, symmetry_table
from bayesrun.statistics.measures import measures_table
from fake_studies import LEVELS, fake_study

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VOID = {"meta", "img", "br", "link"}
ADEMP = Ademp(
    "Is the sampler calibrated?",
    mechanisms=["truth drawn from the prior", "data.n: 20, 50"],
    estimands=["sigma"],
    methods=["numpyro, 4 chains"],
    measures=["coverage"],
    replicates={"a": 200, "b": 200},
    why="an MCSE of 0.015 of coverage needs 211",
    seeds={"study_seed": 42},
    versions={"bayesrun": "0.1.0", "pymc": "6.4.1"},
)
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAIAAAA2iEnWAAAADElEQVR4nGP4//8/AAX+Av5Y8msOAAAAAElFTkSuQmCC")


class Page(HTMLParser):
    """Reads a page, and refuses tags that are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.words: dict[str, str] = {}
        self.section = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self.section = dict(attrs)["id"] or ""
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        if self.open and self.open[-1] not in ("style", "title"):
            self.words[self.section] = self.words.get(self.section, "") + data

    def table(self, *first: str) -> list[list[str]]:
        """The one table whose head begins so."""
        (found,) = [table for table in self.tables if tuple(table[0][: len(first)]) == first]
        return found


def with_results(study: dict[str, pd.DataFrame], *, kind: str = "nuts") -> dict[str, pd.DataFrame]:
    judge = symmetry_table if kind == "variational" else calibration_table
    study["measures"] = measures_table(study["estimates"], study["fits"], LEVELS)
    study["calibration"] = judge(study["estimates"])
    return study


def page(tables: Mapping[str, pd.DataFrame], **more: object) -> Page:
    return Page(render_report(StudyReport("name", ADEMP, tables=tables, **more)))


# ---- what is there


def test_a_page_has_description_verdicts_tables_figures_and_notes(tmp_path: Path) -> None:
    study = with_results(fake_study(cells=2, variables=2, replicates=100, failing=0.1))
    (tmp_path / "zip.png").write_bytes(PIXEL)
    figure = StudyFigure("zip", "Zip plot", tmp_path / "zip.png", "How to read it.")
    verdicts = [Sentence("beta[x1] is off.", "fail"), Sentence("All else is well.", "pass"), Sentence("By the way.")]
    report = StudyReport("my study", ADEMP, verdicts, study, [figure], ["Mind this."], made="Made today.")
    path = tmp_path / "reports" / "report.html"
    write_report(path, report)
    read = Page(path.read_text(encoding="utf-8"))
    assert "my study" in read.words[""]
    assert "Made today." in read.words[""]
    assert re.search(r"200 planned fits in 2 cells: \d+ done, \d+ failed, \d+ missing\.", read.words[""])
    states = [attrs["class"] for tag, attrs in read.tags if tag == "li" and "class" in attrs]
    assert states == ["fail", "pass", "note"]
    for words in (
        "Is the sampler calibrated?",
        "data.n: 20, 50",
        "200 in each cell: an MCSE",
        "needs 211",
        "study_seed: 42",
        "pymc 6.4.1",
    ):
        assert words in read.words["description"]
    assert "never replaced" in read.words["description"]
    (image,) = [attrs for tag, attrs in read.tags if tag == "img"]
    assert image["src"] == "data:image/png;base64," + base64.b64encode(PIXEL).decode()
    assert (image["width"], image["height"], image["alt"]) == ("2", "3", "Zip plot")
    assert "How to read it." in read.words["figures"]
    assert "Mind this." in read.words["notes"]
    assert COVERAGE_WARNING in read.words["notes"]
    assert ["tables/estimates.csv", f"{len(study['estimates']):,}"] in read.table("file")


def test_nothing_is_loaded_from_elsewhere() -> None:
    text = render_report(StudyReport("name", ADEMP, tables=with_results(fake_study(replicates=20))))
    read = Page(text)
    policy = next(attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert not {"script", "link", "iframe"} & {tag for tag, _ in read.tags}
    assert "http://" not in text
    assert "https://" not in text
    assert "url(" not in text
    targets = {attrs["href"] for tag, attrs in read.tags if tag == "a"}
    assert targets <= {f"#{attrs.get('id')}" for _, attrs in read.tags}


def test_anchors_are_unique() -> None:
    read = page(with_results(fake_study(cells=2, replicates=10)))
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


HOSTILE = '</td><script>alert("1")</script><img src=x onerror=alert(1)>&amp;\'{{ 7 * 7 }}'


def test_every_text_is_escaped() -> None:
    study = with_results(fake_study(cells=2, replicates=20, failing=0.2))
    study["fits"]["failures"] = HOSTILE
    for frame in study.values():
        for name in {"cell", "variable", "sampler"} & set(frame.columns):
            frame[name] = frame[name].str.replace("sigma", HOSTILE).str.replace("nuts", HOSTILE)
    study[HOSTILE] = pd.DataFrame({HOSTILE: [HOSTILE]})
    counts = {HOSTILE: 3, f"{HOSTILE} too": 4}
    ademp = Ademp(HOSTILE, *[[HOSTILE]] * 4, counts, HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE})
    figure = StudyFigure(HOSTILE, HOSTILE, None, HOSTILE)
    report = StudyReport(HOSTILE, ademp, [Sentence(HOSTILE)], study, [figure], [HOSTILE], HOSTILE)
    text = render_report(report)
    assert "<script" not in text
    assert "onerror=alert(1)>" not in text
    read = Page(text)
    assert not [attrs for tag, attrs in read.tags if tag == "img"]
    assert "{{ 7 * 7 }}" in read.words["notes"]
    assert any(HOSTILE in cell for table in read.tables for row in table for cell in row)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ({}, ""),
        ({"a": 1200, "b": 1200}, "1,200 in each cell"),
        ({"a": 400, "b": 20, "c": 400}, "20 in b; 400 in a, c"),
        ({**dict.fromkeys("abcde", 30), "f": 7}, "7 in f; 30 in a, b, c and 2 more"),
    ],
)
def test_replicates_are_told_cell_by_cell_where_they_differ(counts, told) -> None:
    assert Ademp("", replicates=counts).many == told


# ---- tables


def test_performance_is_rounded_by_its_error() -> None:
    study = fake_study(cells=2, replicates=100)
    study["fits"]["converged"] = True  # or the analysis of those that did has a table of its own
    table = page(with_results(study)).table("cell", "quantity", "n", "bias")
    assert table[0] == [
        "cell", "quantity", "n", "bias", "empirical SE", "RMSE", "model SE", "model SE error, %", "mean z",
        "coverage of 95%", "positive",
    ]  # fmt: skip
    assert [row[:3] for row in table[1:]] == [
        [sampler, variable, "100"] for sampler in ("numpyro", "nuts") for variable in ("sigma", "log_likelihood")
    ]
    row = study["measures"].query("measure == 'bias' and variable == 'sigma' and analysis == 'all'").iloc[0]
    value, _, error = table[1][3].partition(" ± ")
    decimals = len(value.partition(".")[2])
    assert float(value) == pytest.approx(row["value"], abs=0.51 * 10**-decimals)
    assert error == f"{row['mcse']:.{decimals}f}"
    assert len(error.replace(".", "").lstrip("0")) <= 2


def test_a_share_of_one_has_its_interval_and_what_is_missing_a_dash() -> None:
    columns = ["cell", "variable", "measure", "level", "value", "mcse", "lower", "upper", "n", "analysis"]
    rows = [
        ("a", "x", "coverage", 0.95, 1.0, 0.0, 0.963, 1.0, 100, "all"),
        ("a", "y", "bias", np.nan, np.nan, np.nan, np.nan, np.nan, 0, "all"),
        ("a", "", "failure", np.nan, 0.1, 0.03, 0.05, 0.17, 100, "all"),
    ]
    table = page({"measures": pd.DataFrame(rows, columns=columns)}).table("cell", "quantity")
    assert table[1:] == [["a", "x", "100", ABSENT, "1 [0.963, 1.000]"], ["a", "y", "0", ABSENT, ABSENT]]


def test_the_analysis_of_converged_fits_is_shown_where_it_differs() -> None:
    study = fake_study(cells=2, replicates=60)
    first, second = study["design"]["cell"]
    study["fits"]["converged"] = study["fits"]["cell"] == first
    none = page(with_results(dict(study)))
    assert len([table for table in none.tables if table[0][:2] == ["cell", "quantity"]]) == 1
    study["fits"].loc[study["fits"].index[-10:], "converged"] = True
    text = page(with_results(study))
    main, other = [table for table in text.tables if table[0][:2] == ["cell", "quantity"]]
    assert len(main) == 1 + 4
    assert [row[:3] for row in other[1:]] == [[second, "sigma", "10"], [second, "log_likelihood", "10"]]


def test_calibration_is_in_words_and_its_p_values_are_short() -> None:
    study = with_results(fake_study(variables=7, replicates=200))
    table = page(study).table("variable", "n", "L")  # the only cell is named by the design
    rows = {row[0]: dict(zip(table[0], row, strict=True)) for row in table[1:]}
    assert rows["sigma"]["p (Holm)"] == "< 0.001"
    assert (rows["sigma"]["calibrated"], rows["beta[x1]"]["calibrated"]) == ("no", "yes")
    assert rows["sigma"]["shape"].startswith("posterior shifted high")
    assert " ± " in rows["sigma"]["contraction"]


def test_long_tables_are_cut_and_say_where_the_rest_is() -> None:
    frame = pd.DataFrame({"cell": "c", "value": np.arange(1000.0), "mcse": 0.5})
    shown = page({"contrasts": frame})
    assert len(shown.table("cell", "value")) == 1 + MOST_ROWS
    assert "The first 200 of 1,000 rows; all are in tables/contrasts.csv." in shown.words["results"]
    names = [f"v{i:03d}" for i in range(300)]
    judged = pd.DataFrame({"cell": "c", "variable": names, "p_value": np.linspace(1.0, 0.0, 300)})
    cut = page({"calibration": judged})
    assert [row[1] for row in cut.table("cell", "variable")[1:4]] == ["v299", "v298", "v297"]
    assert "smallest p first" in cut.words["results"]


def test_a_long_table_of_measures_begins_with_the_parameters() -> None:
    names = [*(f"mu[{i}]" for i in range(250)), "sigma"]
    rows = pd.DataFrame({"cell": "c", "variable": names, "measure": "bias", "value": 0.5, "mcse": 0.1, "n": 9})
    shown = page({"measures": rows})
    assert [row[1] for row in shown.table("cell", "quantity")[1:3]] == ["sigma", "mu[0]"]
    assert "The first 200 of 251 rows" in shown.words["results"]


def test_columns_with_errors_and_intervals_are_joined() -> None:
    frame = pd.DataFrame(
        {
            "rule": ["a", None],
            "value": [0.12345, np.nan],
            "mcse": [0.012, np.nan],
            "lower": [0.1, np.nan],
            "upper": [0.14567, np.nan],
            "z_mean": [1.0, 2.0],
            "z_mcse": [0.5, np.inf],
            "rate": [0.5, np.nan],
            "ok": [True, False],
            "count": [3, 4],
        }
    )
    table = frame_grid("T", "t", frame)
    assert table.head == ("rule", "value", "95 % interval", "mean z", "rate", "ok", "count")
    assert table.rows[0] == ("a", "0.123 ± 0.012", "[0.100, 0.146]", "1.0 ± 0.5", "50.0 %", "yes", "3")
    assert table.rows[1] == (ABSENT, ABSENT, ABSENT, "2", ABSENT, "no", "4")
    assert table.words == (0, 5)


# ---- failures


def test_failures_are_counted_also_when_there_are_none() -> None:
    study = fake_study(cells=2, replicates=50)
    study["fits"]["converged"] = True
    table = page(study).table("cell", "planned", "tried")
    assert table[0][3:] == [
        "failed, 95 % interval", "error", "timeout", "oom", "lost", "missing", "not converged", "degenerate",
    ]  # fmt: skip
    assert [row[0] for row in table[1:]] == [*study["design"]["cell"], "all cells"]
    assert table[1][1:] == ["50", "50", "0 (0.0 %; 0.0 to 7.1 %)", *["0"] * 7]


def test_failures_have_their_class_and_share() -> None:
    study = fake_study(cells=1, replicates=200, failing=0.3)
    fits = study["fits"]
    (row,) = failures(study).rows
    tried = int((fits["status"] != "missing").sum())
    failed = int((fits["status"] == "failed").sum())
    assert row[1:3] == ("200", str(tried))
    assert row[3].startswith(f"{failed} ({100 * failed / tried:.1f} %; ")
    lost = int((fits["reason"] == "lost").sum())
    assert row[7] == f"{lost} ({100 * lost / tried:.1f} %)"
    missing = 200 - tried
    assert row[8] == f"{missing} ({missing / 2:.1f} %)"


def test_a_cell_without_a_fit_has_a_row() -> None:
    study = fake_study(cells=2, replicates=5)
    fits = study["fits"][study["fits"]["cell"] == study["design"]["cell"][0]]
    rows = failures({"design": study["design"], "fits": fits}).rows
    assert rows[1] == (study["design"]["cell"][1], "0", "0", ABSENT, *["0"] * 7)


def test_what_went_wrong_is_grouped_by_what_it_says() -> None:
    fits = pd.DataFrame(
        {
            "cell": "a",
            "replicate": range(8),
            "status": ["done"] * 6 + ["failed"] * 2,
            "reason": [""] * 6 + ["oom", "timeout"],
            "converged": [True, False, False, False, False, False, False, False],
            "failures": ["", *(f"rhat_max 1.0{i} > 1.01" for i in range(2, 6)), "n_divergent 3 > 0", "", None],
        }
    )
    rows = trouble({"fits": fits}).rows
    assert [row[:3] for row in rows] == [
        ("failed: oom", ABSENT, "1"),
        ("failed: timeout", ABSENT, "1"),
        ("not converged", "rhat_max 1.02 > 1.01", "4"),
        ("not converged", "n_divergent 3 > 0", "1"),
    ]
    assert rows[2][3] == "a #1, a #2, a #3, …"


# ---- little or nothing


def test_a_study_that_has_just_started_says_so() -> None:
    read = page({})
    assert "No fit is planned yet" in read.words[""]
    assert "No fit is planned, so there is no failure to count." in read.words["failures"]
    assert "Nothing has been judged yet." in read.words["verdict"]
    assert "There are no results yet." in read.words["results"]
    assert "There is nothing to draw yet." in read.words["figures"]
    assert "There is no table yet." in read.words["files"]


@pytest.mark.parametrize(
    ("status", "said"),
    [("missing", "No fit is done yet"), ("failed", "Every fit failed: there is nothing to measure.")],
)
def test_a_study_without_a_done_fit_says_so(status: str, said: str) -> None:
    study = fake_study(cells=2, replicates=3)
    study["fits"] = study["fits"].assign(status=status, reason="", converged=False)
    empty = {name: study[name].iloc[:0] for name in ("estimates", "measures", "calibration")}
    read = page(study | empty)
    assert said in read.words[""]
    assert len(read.table("cell", "planned")) == 4


def test_one_replicate_proves_nothing() -> None:
    read = page(with_results(fake_study(replicates=1)))
    assert "One fit has no Monte Carlo error" in read.words[""]
    assert "nan" not in " ".join(cell for table in read.tables for row in table for cell in row)


def test_a_figure_without_a_file_keeps_its_caption(tmp_path: Path) -> None:
    gone = StudyFigure("zip", "Zip plot", tmp_path / "gone.png", "How to read it.")
    broken = StudyFigure("rank", "Ranks", None, "This figure could not be drawn: ValueError: x")
    read = page({}, figures=[gone, broken])
    assert "The file is missing. How to read it." in read.words["figures"]
    assert "could not be drawn" in read.words["figures"]
    assert not [tag for tag, _ in read.tags if tag == "img"]


def test_variational_fits_and_maxima_of_rhat_are_explained() -> None:
    vi = page(with_results(fake_study(replicates=20, kind="variational"), kind="variational")).words["notes"]
    assert "R-hat and ESS are not defined" in vi
    assert "rhat_max" not in vi
    nuts = page(with_results(fake_study(replicates=20))).words["notes"]
    assert "rhat_max is the largest R-hat" in nuts
    assert "variational" not in nuts


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        write_report(tmp_path / "file" / "report.html", StudyReport("name", ADEMP))
