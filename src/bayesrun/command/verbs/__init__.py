"""The verbs beside the Hydra application: what there is to do with a study after the run. None of them fits."""

from __future__ import annotations

import argparse
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun.base.verb_hints import STUDIES, verb
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bayesrun.report.real_data import Known
    from bayesrun.store.folder import Store
    from bayesrun.types import StudyOptions, TrackOptions

__all__ = ["VERBS"]


def _parser(name: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bayesrun {name}", description=about)
    parser.add_argument("study", help="name of the study, or the path of its folder")
    parser.add_argument("--output-dir", default=STUDIES, help=f"the folder of the studies (default: {STUDIES})")
    return parser


def _store(arguments: argparse.Namespace) -> Store:
    from bayesrun.store.folder import Store

    path = Path(arguments.study)
    named = Path(arguments.output_dir).expanduser().absolute() / arguments.study
    return Store(path.absolute() if (path / "study.json").exists() else named)


@dataclass(frozen=True)
class _Study:
    """A study as it is stored: where, what it asks, how it is tracked, and every planned fit."""

    store: Store
    options: StudyOptions
    track: TrackOptions
    known: Known

    @property
    def simulated(self) -> bool:
        return self.options.kind != "fit"


def _open(arguments: argparse.Namespace) -> _Study:
    from bayesrun.base.imports import make_importable
    from bayesrun.planning.batches import specs_of
    from bayesrun.report import study_file

    make_importable(Path.cwd())  # the sources of quantities are held against those that the fits were summarised by
    store = _store(arguments)
    seed, tracked, cells = study_file.read_design(store)
    return _Study(store, study_file.read_study(store), tracked, specs_of(cells, seed))


def _status(words: Sequence[str]) -> int:
    parser = _parser("status", "What a study has, what failed, and what is missing.")
    parser.add_argument("--verify", action="store_true", help="read every posterior and check that it is unchanged")
    arguments = parser.parse_args(words)
    study = _open(arguments)
    return (_report_on if study.simulated else _status_of)(study, verify=arguments.verify)


def _status_of(study: _Study, *, verify: bool) -> int:
    """Print what there is of a study of real data, and its state."""
    from bayesrun.command import terminal
    from bayesrun.report import real_data, terminal_tables
    from bayesrun.report.inventory import inventory, lacking_lines
    from bayesrun.statistics import states

    store, rows = study.store, real_data.rows(study.known, study.store, {})
    standings = real_data.standings(study.known, rows)
    state = states.study_state(real_data.states(standings).values())
    pairs = [(row.outcome, row.verdict) for row in rows]
    done = sum(row.outcome.status == "done" for row in rows)
    console = terminal.console()
    total = len(study.known)
    counts = f"{total} fits, {done} done, {len(rows) - done} failed, {total - len(rows)} not done or damaged"
    console.print(f"study {store.root.name}: {counts}", markup=False)
    console.print(terminal_tables.outcome_table(pairs))
    changed = [row.spec for row in rows if verify and row.outcome.status == "done"]
    changed = [spec for spec in changed if not store.verify(spec.key)]
    lost = [f"{spec.cell}: posterior.nc of {spec.key} was changed after it was written" for spec in changed]
    harmed = lacking_lines(inventory(study.known, store).lacking, study.known)
    for line in (
        *terminal_tables.verdict_lines(pairs),
        *harmed,
        *lost,
        states.sentence(store.root.name, state, standings.values()),
    ):
        console.print(line, markup=False, soft_wrap=True)
    return int(bool(states.EXIT_CODES[state] or changed))


def _report_on(study: _Study, *, verify: bool = False) -> int:
    """Make the tables and the page of a simulation study again, and print what they say."""
    from bayesrun.command import terminal
    from bayesrun.report.verdict import ending

    console, store = terminal.console(), study.store
    end = ending(study.known, store, study.options)
    end.show(console)
    changed = [key for key in study.known if verify and store.done(key) is not None and not store.verify(key)]
    for key in changed:
        console.print(f"posterior.nc of {key} was changed after it was written", markup=False, soft_wrap=True)
    console.print(f"report: {end.files[0]}", markup=False, soft_wrap=True)
    return int(bool(end.exit_code or changed))


def _report(words: Sequence[str]) -> int:
    parser = _parser("report", "Make the tables, figures and real_data.html of a simulation study again from its fits.")
    study = _open(parser.parse_args(words))
    if not study.simulated:
        raise ConfigError(
            f"report is for simulation studies; this one is of real data: {verb('status', study.store.root)}"
        )
    return _report_on(study)


def _replay(words: Sequence[str]) -> int:
    """Fit one fit again and hold it against what is stored."""
    from bayesrun.command import terminal

    parser = _parser("replay", "Fit one fit of a study again, here, without storing anything; errors are shown whole.")
    parser.add_argument("fit", help="key of the fit, or number of the replicate where the study has one cell")
    parser.add_argument("--data", action="store_true", help="only show the dataset and, if it is simulated, the truth")
    arguments = parser.parse_args(words)
    from bayesrun.command.replay import replay

    return replay(_store(arguments), arguments.fit, terminal.console(), data_only=arguments.data)


def _plan(words: Sequence[str]) -> int:
    """Say how many replicates a target needs."""
    from bayesrun.command import terminal
    from bayesrun.statistics.measures import check_targets, needed

    parser = argparse.ArgumentParser(
        prog="bayesrun plan", description="How many replicates a Monte Carlo standard error needs."
    )
    parser.add_argument("targets", nargs="+", metavar="MEASURE=MCSE", help="coverage=0.01, bias=0.02, power=0.02, ...")
    parser.add_argument("--pilot", dest="study", help="a study whose measures say how much replicates vary")
    parser.add_argument("--output-dir", default=STUDIES, help=f"the folder of the studies (default: {STUDIES})")
    arguments = parser.parse_args(words)
    targets = dict(_target(text) for text in arguments.targets)
    check_targets(targets)
    measured = None
    if arguments.study:
        import pandas as pd

        from bayesrun.store.turns import whole

        store: Store = _store(arguments)
        path = store.tables / "measures.parquet"
        with whole(store.root):
            if not path.exists():
                hint = verb("report", store.root)
                raise ConfigError(f"{arguments.study}: it has no tables/measures.parquet; make it first: {hint}")
            measured = pd.read_parquet(path)
    count = needed(targets, measured)
    basis = f"by what {arguments.study} measured" if arguments.study else "in the worst case, without a pilot"
    terminal.console().print(f"{count} replicates, {basis}", markup=False)
    return 0


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigError(f"{text}: wanted MEASURE=MCSE, for instance coverage=0.01") from None


def _compare(words: Sequence[str]) -> int:
    from bayesrun.command import terminal
    from bayesrun.report import real_data, study_file, verdict
    from bayesrun.report.inventory import inventory, lacking_lines

    parser = _parser("compare", "Compare the fits of a study: LOO between models, agreement between samplers.")
    parser.add_argument(
        "--reference",
        help="the sampler that the others are held against, here; the tables of the study keep study.reference",
    )
    arguments = parser.parse_args(words)
    study, console = _open(arguments), terminal.console()
    if arguments.reference is None and not study.simulated:
        end = verdict.ending(study.known, study.store, study.options)
        assert end.findings is not None
        real_data.show(console, end.rows, end.findings)
    else:
        rows = real_data.rows(study.known, study.store, {})
        study_file.check_reference([row.checked for row in rows], arguments.reference)
        real_data.show(console, rows, real_data.compared(rows, study.store, arguments.reference))
    harmed = lacking_lines(inventory(study.known, study.store).lacking, study.known)
    for line in harmed:
        console.print(line, markup=False, soft_wrap=True)
    return int(bool(harmed))


def _sync(words: Sequence[str]) -> int:
    from bayesrun.command import terminal
    from bayesrun.report import study_file, verdict
    from bayesrun.statistics import states

    parser = _parser("sync", "Write to MLflow what it does not have of a study; runs are made again from the store.")
    parser.add_argument("--uri", help="address of the tracking server (default: the study's own)")
    arguments = parser.parse_args(words)
    study = _open(arguments)
    end = verdict.ending(study.known, study.store, study.options)
    wanted = dataclasses.replace(study.track, enabled=True, uri=arguments.uri or study.track.uri)
    recorder = study_file.recorder(study.store, study.options, wanted)
    synced = recorder.sync(end)
    console = terminal.console()
    console.print(f"{synced.told(len(study.known))}: {recorder.shown}", markup=False, soft_wrap=True)
    line = states.sentence(study.store.root.name, end.state, end.standings.values())
    console.print(line, markup=False, soft_wrap=True)
    return end.exit_code


def _ui(words: Sequence[str]) -> int:
    from bayesrun.command import terminal
    from bayesrun.report import study_file

    study = _open(_parser("ui", "Say how to open the MLflow page of a study.").parse_args(words))
    recorder = study_file.recorder(study.store, study.options, study.track)
    terminal.console().print(recorder.where(), markup=False, soft_wrap=True)
    return 0


def _pipeline(words: Sequence[str]) -> int:
    from bayesrun.command.verbs.pipeline import pipeline

    return pipeline(words)


VERBS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "status": _status,
    "compare": _compare,
    "report": _report,
    "replay": _replay,
    "plan": _plan,
    "pipeline": _pipeline,
    "sync": _sync,
    "ui": _ui,
}
