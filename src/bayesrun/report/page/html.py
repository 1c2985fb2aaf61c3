"""The HTML page of a simulation study: one file that holds its description, verdicts, tables and figures.

It computes no measure and judges nothing: it writes down what it is given, rounded by its Monte Carlo error.
"""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from bayesrun.base.messages import few
from bayesrun.base.rounding import share
from bayesrun.figures.outcomes import count_outcomes
from bayesrun.report.page import sections as texts
from bayesrun.store.whole_files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from bayesrun.figures.one_study import StudyFigure

__all__ = ["Ademp", "Sentence", "StudyReport", "render_report", "write_report"]

TEMPLATE = "page.html.j2"
MOST_CELLS = 3
"""Cells that are named for one number of replicates."""

HANDLING = (
    "Failed fits are counted and never replaced, and no dataset is drawn again. The main analysis uses every replicate "
    "with output; the analyses of those that converged, and of those that converged with every method, stand beside it."
)


@dataclass(frozen=True)
class Ademp:
    """What a simulation study is, by the points of a protocol.

    Parameters
    ----------
    aims
        What is to be found out; a sentence or more.
    mechanisms
        How data are generated: generator, truth (fixed or drawn), factors with their levels. One line each.
    estimands
        The quantities that are estimated.
    methods
        The fitted models and samplers, with the options that matter.
    measures
        The performance measures.
    replicates
        Cell to its replicates that are planned.
    why
        Why so many, and the rule that stops the study if it runs in rounds.
    handling
        What is done with fits that fail or do not converge.
    seeds, versions
        Name to value, shown as they are.

    References
    ----------
    Morris, White, Crowther (2019), doi:10.1002/sim.8086. Siepe et al. (2024), doi:10.1037/met0000695.
    """

    aims: str
    mechanisms: Sequence[str] = ()
    estimands: Sequence[str] = ()
    methods: Sequence[str] = ()
    measures: Sequence[str] = ()
    replicates: Mapping[str, int] = field(default_factory=dict)
    why: str = ""
    handling: str = HANDLING
    seeds: Mapping[str, object] = field(default_factory=dict)
    versions: Mapping[str, object] = field(default_factory=dict)

    @property
    def many(self) -> str:
        """Say how many replicates there are, cell by cell where they differ; empty where that is not known."""
        cells: dict[int, list[str]] = {}
        for cell, count in self.replicates.items():
            cells.setdefault(count, []).append(cell)
        if len(cells) < 2:
            return "".join(f"{count:,} in each cell" for count in cells)
        return "; ".join(f"{count:,} in {few(cells[count], MOST_CELLS)}" for count in sorted(cells))


@dataclass(frozen=True)
class Sentence:
    """One sentence of the verdict, and whether it is good news (pass), bad news (fail) or neither (note)."""

    text: str
    state: Literal["pass", "fail", "note"] = "note"


@dataclass(frozen=True, eq=False)
class StudyReport:
    """Everything that is on the page of a study.

    Parameters
    ----------
    title
        Name of the study.
    ademp
        Its description.
    verdicts
        What was found, the most important first.
    tables
        Name to table: ``design``, ``fits``, ``estimates``, ``measures``, ``contrasts``, ``calibration``, ``symmetry``,
        ``failures`` and any others. A missing or empty one is said to be so where a reader expects it. ``fits`` and
        ``estimates`` have a row for each fit and are only summarised.
    figures
        What `study_figures` has drawn; the files are put into the page.
    notes
        Warnings and remarks, one sentence or more each.
    made
        When and by what the page was made; shown as it is.
    """

    title: str
    ademp: Ademp
    verdicts: Sequence[Sentence] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    figures: Sequence[StudyFigure] = ()
    notes: Sequence[str] = ()
    made: str = ""


def write_report(path: Path, report: StudyReport) -> None:
    """Write the page of a study, in one step under its final name.

    Parameters
    ----------
    path
        The HTML file. Nothing else is needed to show it: the figures are inside, and nothing is loaded from elsewhere.
    report
        What is on it.

    Raises
    ------
    StoreError
        If the folder cannot be written to.
    """
    text = render_report(report)
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def render_report(report: StudyReport) -> str:
    """Make the page of a study as text; see `write_report`."""
    from importlib.resources import files

    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("bayesrun.report.page").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    return template.render(
        title=report.title,
        made=report.made,
        progress=_progress(report.tables),
        verdicts=[(sentence.state, sentence.text) for sentence in report.verdicts],
        facts=_facts(report.ademp),
        failures=texts.failures(report.tables),
        trouble=texts.trouble(report.tables),
        results=texts.results(report.tables),
        figures=[_figure(figure) for figure in report.figures],
        notes=[*report.notes, *texts.standing_notes(report.tables)],
        files=texts.contents(report.tables),
    )


def _progress(tables: Mapping[str, pd.DataFrame]) -> str:
    """Say how far the study is, in one sentence or two."""
    fits = tables.get("fits")
    if fits is None or fits.empty:
        return "No fit is planned yet: there is nothing to show."
    counts = count_outcomes(fits)
    total = {kind: sum(found[kind] for found in counts.values()) for kind in next(iter(counts.values()))}
    planned, done = sum(total.values()), total["converged"] + total["not converged"]
    failed = planned - done - total["missing"]
    words = f"{planned:,} planned fits in {len(counts)} cell{'s' if len(counts) > 1 else ''}: "
    words += f"{done:,} done, {failed:,} failed, {total['missing']:,} missing."
    if done:
        stray = total["not converged"]
        words += f" Of the done fits {stray:,} ({share(stray / done)}) did not converge."
    elif failed and not total["missing"]:
        words += " Every fit failed: there is nothing to measure."
    else:
        words += " No fit is done yet: there is nothing to measure."
    if done == 1:
        words += " One fit has no Monte Carlo error: nothing can be concluded from it."
    if done and total["missing"]:
        words += " These are partial results."
    return words


def _facts(ademp: Ademp) -> list[tuple[str, list[str]]]:
    """List the points of the protocol: name and lines; what was not said is said to be missing."""
    return [
        ("Aims", _lines([ademp.aims])),
        ("Data-generating mechanisms", _lines(ademp.mechanisms)),
        ("Estimands", _lines(ademp.estimands)),
        ("Methods", _lines(ademp.methods)),
        ("Performance measures", _lines(ademp.measures)),
        ("Replicates", _lines([": ".join(word for word in (ademp.many, ademp.why) if word)])),
        ("Missing and non-converged fits", _lines([ademp.handling])),
        ("Seeds", _lines(f"{name}: {value}" for name, value in ademp.seeds.items())),
        ("Versions", _lines([", ".join(f"{name} {value}" for name, value in ademp.versions.items())])),
    ]


def _lines(words: Iterable[str]) -> list[str]:
    return [line for line in words if line.strip()]


def _figure(figure: StudyFigure) -> dict[str, object]:
    """Read what the template shows of a figure; a file that is gone leaves its caption."""
    try:
        content = figure.path.read_bytes() if figure.path is not None else b""
    except OSError:
        content = b""
    width, height = struct.unpack(">II", content[16:24]) if content.startswith(b"\x89PNG") else (0, 0)
    return {
        "anchor": re.sub(r"[^A-Za-z0-9_-]+", "-", figure.name),
        "title": figure.title,
        "caption": figure.caption if content or figure.path is None else f"The file is missing. {figure.caption}",
        "image": base64.b64encode(content).decode("ascii"),
        "width": width,
        "height": height,
    }
