"""What a study comes to: its tables, what is said of them, its state; one way for real data, one for simulated.

It reads the store and fits nothing, so that an ending can be made again at any time. What only simulated data need,
which takes time to import, is imported for these.
"""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from bayesrun import __version__
from bayesrun.base.machine import versions
from bayesrun.base.messages import in_one_line
from bayesrun.base.verb_hints import verb
from bayesrun.errors import StoreError
from bayesrun.report import real_data
from bayesrun.report.inventory import inventory, lacking_lines
from bayesrun.report.not_fitted import TABLE, refused_frame, refused_in, refused_lines
from bayesrun.report.superseded import superseded, superseded_lines
from bayesrun.statistics.states import EXIT_CODES, sentence, study_state
from bayesrun.store.turns import TABLES, take

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bayesrun.report.estimates import Told
    from bayesrun.report.page import Ademp
    from bayesrun.report.real_data import Findings, Known, Row
    from bayesrun.report.simulated_data import Results
    from bayesrun.statistics.states import Standing, State
    from bayesrun.store.folder import Store
    from bayesrun.store.turns import Turn
    from bayesrun.types import CheckedCell, Outcome, Plan, Refused, StudyOptions

__all__ = ["Ending", "ending"]

PAGE = "report.html"


@dataclass(frozen=True, eq=False)
class Ending:
    """What a study came to.

    Parameters
    ----------
    name
        Of the study.
    turn
        Taken before its outcomes were read.
    states, standings
        Label of a cell to its state, and to what became of its fits.
    own
        Labels of the cells that the exit code is about.
    objective
        One diagnostic by cell label, for sweepers that optimise.
    rows, findings
        Of real data: every fit, and the comparisons.
    results, files
        Of simulated data: tables and sentences, and what is there for people to look at, the page first.
    broken
        Of simulated data: one line for each figure that could not be drawn, and for the page.
    cells, told
        Of simulated data: the design, and the study in the order of ADEMP.
    latest
        Whether its tables are in the folder; False where a command that read later had written its own.
    lacking
        Of real data: which fits do not count since they are not whole, and why; of simulated data the results say it.
    superseded
        Which cells are left out since their words mean something else now.
    estimates
        Of real data: those of the cells that the exit code is about.
    refused
        Datasets of the study that cannot be fitted.
    """

    name: str
    turn: Turn
    states: Mapping[str, State]
    standings: Mapping[str, Standing]
    own: Collection[str]
    objective: Mapping[str, float] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()
    findings: Findings | None = None
    results: Results | None = None
    files: tuple[Path, ...] = ()
    broken: tuple[str, ...] = ()
    cells: tuple[CheckedCell, ...] = ()
    told: Ademp | None = None
    latest: bool = True
    lacking: tuple[str, ...] = ()
    superseded: tuple[str, ...] = ()
    estimates: Told | None = None
    refused: tuple[Refused, ...] = ()

    @property
    def state(self) -> State:
        """State of the study, with the cells of earlier commands."""
        return study_state(self.states.values(), len(self.refused))

    @property
    def exit_code(self) -> int:
        """Exit code by the state of the cells that it is about; 1 also where they could not be compared, or drawn."""
        failed = bool(self.broken) or (self.findings is not None and bool(self.findings.failed))
        whole = set(self.own) == set(self.states)
        state = self.state if whole else study_state(self.states[label] for label in self.own)
        return max(EXIT_CODES[state], int(failed))

    @property
    def page(self) -> Path | None:
        """The page for people, where there is one."""
        return next((path for path in self.files if path.name == PAGE), None)

    @property
    def text(self) -> str:
        """Describe simulated data as Markdown."""
        from bayesrun.report.ademp import text_of

        return "" if self.told is None else text_of(self.told)

    @property
    def facts(self) -> dict[str, str]:
        """Say how many replicates there are, and why, and what could not be drawn."""
        absent = {"absent": "; ".join(self.broken)} if self.broken else {}
        return absent if self.told is None else {"replicates": f"{self.told.many}: {self.told.why}"} | absent

    def show(self, console: Console) -> None:
        """Print it."""
        if self.findings is not None:
            real_data.show(console, self.rows, self.findings, self.estimates)
            self._print(console, refused_lines(self.refused))  # those of simulated data are among its sentences
        self._print(console, self.lacking)
        if self.results is not None:
            real_data.show_results(console, self.results)
        told = sentence(self.name, self.state, self.standings.values(), len(self.refused))
        self._print(console, (*self.broken, *self.superseded, told))
        if not self.latest:
            console.print(
                "note: a command that read the fits later wrote the tables of the folder; these are older", markup=False
            )

    def _print(self, console: Console, lines: Sequence[str]) -> None:
        for line in lines:
            console.print(line, markup=False, soft_wrap=True)


def ending(
    known: Known,
    store: Store,
    study: StudyOptions,
    fresh: Mapping[str, Outcome] | None = None,
    plan: Plan | None = None,
) -> Ending:
    """Make the tables of a study and judge it; of simulated data also figures and the report.

    Parameters
    ----------
    known
        Every fit of the study by key.
    store
        Where fits are read and tables written.
    study
        What is asked.
    fresh
        Outcomes of this command by key.
    plan
        What this command is about: the exit code is. None: the whole study.
    """
    turn = take(store.root)
    make = _real if study.kind == "fit" else _simulated
    left_out = {key: fit for key, fit in superseded(store).items() if key not in known}
    made = make(known, store, study, fresh or {}, turn)
    made = dataclasses.replace(made, superseded=tuple(superseded_lines(left_out, store, known)))
    if plan is None:
        return made
    own = tuple(dict.fromkeys(known[spec.key][1].cell.label for spec in plan.specs))
    told = real_data.estimates_of([row for row in made.rows if row.spec.cell in own], store)
    objective = real_data.objective(plan, made.rows, study.objective)
    return dataclasses.replace(made, own=own, objective=objective, estimates=told)


def _real(known: Known, store: Store, study: StudyOptions, fresh: Mapping[str, Outcome], turn: Turn) -> Ending:
    rows = real_data.rows(known, store, fresh)
    refused = refused_in(store.read_study())
    findings = real_data.compared(rows, store, study.reference)
    findings = dataclasses.replace(findings, not_fitted=refused_frame(refused))
    with turn.at(TABLES) as latest:
        if latest:
            real_data.keep(findings, store)
    lacking = tuple(lacking_lines(inventory(known, store, fresh).lacking, known))
    standings = real_data.standings(known, rows)
    states = real_data.states(standings)
    return Ending(
        store.root.name,
        turn,
        states,
        standings,
        tuple(states),
        rows=rows,
        findings=findings,
        latest=latest,
        lacking=lacking,
        refused=refused,
    )


def _simulated(known: Known, store: Store, study: StudyOptions, fresh: Mapping[str, Outcome], turn: Turn) -> Ending:
    from bayesrun.report import simulated_data
    from bayesrun.report.ademp import ademp

    refused = refused_in(store.read_study())
    found = _with_refused(simulated_data.tabulate(known, store, study, fresh), refused)
    cells = list({checked.cell.label: checked for _, checked in known.values()}.values())
    told = ademp(study, cells, versions(), _estimands(found))
    files = [path for path in (store.root / PAGE,) if path.exists()]
    broken: list[str] = []
    with turn.at(TABLES) as latest, ThreadPoolExecutor(1) as beside:  # Arrow writes the tables while this thread draws
        if latest:
            kept = beside.submit(simulated_data.keep, found, store)
            try:
                files, broken = _written(found, store, study, told)
            finally:
                kept.result()
    return Ending(
        store.root.name,
        turn,
        found.states,
        found.standings,
        tuple(found.states),
        results=found,
        files=tuple(files),
        broken=tuple(broken),
        cells=tuple(cells),
        told=told,
        latest=latest,
        refused=refused,
    )


def _with_refused(found: Results, refused: Sequence[Refused]) -> Results:
    """Say of a simulation study which datasets its replicates are not made after, in a table and in sentences."""
    from bayesrun.report.page import Sentence

    tables = {**found.tables, TABLE: refused_frame(refused)}
    sentences = (*found.sentences, *(Sentence(line, "fail") for line in refused_lines(refused)))
    return dataclasses.replace(found, tables=tables, sentences=sentences)


def _estimands(found: Results) -> list[str]:
    from bayesrun.statistics.calibration import JOINT_LOG_LIKELIHOOD

    table = found.tables["measures"]
    names = dict.fromkeys(table["variable"]) if "variable" in table else {}
    return [name for name in names if name and name != JOINT_LOG_LIKELIHOOD]


def _written(found: Results, store: Store, study: StudyOptions, told: Ademp) -> tuple[list[Path], list[str]]:
    """Draw the figures and write the page: the files, the page first, and a line for each that could not be made."""
    from bayesrun.figures.one_study import study_figures
    from bayesrun.report.page import StudyReport, write_report

    figures = study_figures(study.kind, found.tables, store.root / "figures")
    files = [figure.path for figure in figures if figure.path is not None]
    broken = [_not_made(f"figure {figure.name}", figure.failed, store) for figure in figures if figure.failed]
    path = store.root / PAGE
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, bayesrun {__version__}"
    page = StudyReport(store.root.name, told, found.sentences, found.tables, figures, found.remarks, made)
    try:
        write_report(path, page)
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - the fits and their tables are there
        path.unlink(missing_ok=True)  # that of an earlier ending tells of other tables
        return files, [*broken, _not_made(PAGE, in_one_line(error), store)]
    return [path, *files], broken


def _not_made(what: str, why: str, store: Store) -> str:
    return f"no {what}: failed: {why}; {verb('report', store.root)} tries it again"
