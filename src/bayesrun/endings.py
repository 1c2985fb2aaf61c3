"""How a study ends: its tables, what is said of them, and the exit code; one way for real data, one for simulated.

It reads the store and fits nothing, so that an ending can be made again at any time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bayesrun import __version__, report, results
from bayesrun.ademp import ademp, text_of
from bayesrun.calibration import JOINT_LOG_LIKELIHOOD
from bayesrun.machine import versions
from bayesrun.page import StudyReport, write_report

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from rich.console import Console

    from bayesrun.page import Ademp
    from bayesrun.report import Findings, Known, Row
    from bayesrun.results import Results
    from bayesrun.store import Store
    from bayesrun.types import CheckedCell, Outcome, Plan, StudyOptions

__all__ = ["Ending", "ending", "simulated"]


@dataclass(frozen=True, eq=False)
class Ending:
    """What a study came to.

    Parameters
    ----------
    exit_code
        0, or 1 if a fit failed, a verdict did not pass that has to, or simulated data say that something is wrong.
    objective
        One diagnostic by cell label, for sweepers that optimise.
    rows, findings
        Of real data: every fit, and the comparisons.
    results, files
        Of simulated data: tables and sentences, and what was written for people to look at.
    cells, told
        Of simulated data: the design, and the study in the order of ADEMP.
    """

    exit_code: int
    objective: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    findings: Findings | None = None
    results: Results | None = None
    files: tuple[Path, ...] = ()
    cells: tuple[CheckedCell, ...] = ()
    told: Ademp | None = None

    @property
    def text(self) -> str:
        """Describe simulated data as Markdown."""
        return "" if self.told is None else text_of(self.told)

    @property
    def facts(self) -> dict[str, str]:
        """Say how many replicates there are, and why."""
        return {} if self.told is None else {"replicates": f"{self.told.replicates}: {self.told.why}"}

    def show(self, console: Console) -> None:
        """Print it."""
        if self.findings is not None:
            report.show(console, self.rows, self.findings)
        if self.results is not None:
            report.show_results(console, self.results)


def ending(known: Known, plan: Plan, store: Store, study: StudyOptions, fresh: Mapping[str, Outcome]) -> Ending:
    """Make the tables of a study and judge it.

    Parameters
    ----------
    known
        Every fit of the study by key.
    plan
        What this command is about: the exit code is.
    store
        Where fits are read and tables written.
    study
        What is asked.
    fresh
        Outcomes of this command by key.
    """
    if study.kind != "fit":
        return simulated(known, store, study, fresh, {spec.cell for spec in plan.specs})
    rows = report.rows(known, store, fresh)
    findings = report.compared(rows, store, study.reference)
    own = [row for row in rows if row.spec.key in plan]
    return Ending(
        report.exit_code(plan, own), report.objective(plan, own, study.objective), rows=rows, findings=findings
    )


def simulated(
    known: Known, store: Store, study: StudyOptions, fresh: Mapping[str, Outcome], own: Collection[str] | None = None
) -> Ending:
    """Make tables, figures and the report of a simulation study from what is there.

    Parameters
    ----------
    own
        Labels of the cells that the exit code is about; None: all.
    """
    found = results.tabulate(known, store, study, fresh)
    cells = list({checked.cell.label: checked for _, checked in known.values()}.values())
    told = ademp(study, cells, versions(), _estimands(found))
    with ThreadPoolExecutor(1) as beside:  # Arrow writes the tables while this thread draws
        kept = beside.submit(results.keep, found, store)
        files = _written(found, store, study, told)
        kept.result()
    failed = [label for label, fine in found.passed.items() if not fine and (own is None or label in own)]
    return Ending(int(bool(failed)), results=found, cells=tuple(cells), files=files, told=told)


def _estimands(found: Results) -> list[str]:
    table = found.tables["measures"]
    names = dict.fromkeys(table["variable"]) if "variable" in table else {}
    return [name for name in names if name and name != JOINT_LOG_LIKELIHOOD]


def _written(found: Results, store: Store, study: StudyOptions, told: Ademp) -> tuple[Path, ...]:
    """Draw the figures and write the page; the page comes first."""
    from bayesrun.plots.studies import study_figures

    figures = study_figures(study.kind, found.tables, store.root / "figures")
    path = store.root / "report.html"
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, bayesrun {__version__}"
    write_report(path, StudyReport(store.root.name, told, found.sentences, found.tables, figures, found.remarks, made))
    return (path, *(figure.path for figure in figures if figure.path is not None))
