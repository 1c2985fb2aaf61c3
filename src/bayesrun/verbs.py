"""The verbs beside the Hydra application: what there is to do with a study after the run. None of them fits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bayesrun.report import Known, Row
    from bayesrun.store import Store
    from bayesrun.types import StudyOptions, TrackOptions

__all__ = ["VERBS"]


def _parser(verb: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bayesrun {verb}", description=about)
    parser.add_argument("study", help="name of the study, or the path of its folder")
    parser.add_argument("--output-dir", default="studies", help="the folder of the studies (default: studies)")
    return parser


def _store(arguments: argparse.Namespace) -> Store:
    from bayesrun.store import Store

    path = Path(arguments.study)
    named = Path(arguments.output_dir).expanduser().absolute() / arguments.study
    return Store(path.absolute() if (path / "study.json").exists() else named)


def _open(arguments: argparse.Namespace) -> tuple[Store, TrackOptions, tuple[Row, ...], int]:
    """Read a study: its store, tracking options, finished fits, and how many fits it has."""
    from bayesrun import records, report
    from bayesrun.plan import specs_of

    store = _store(arguments)
    seed, options, cells = records.read_design(store)
    design = specs_of(cells, seed)
    return store, options, report.rows(design, store, {}), len(design)


def _simulated(arguments: argparse.Namespace) -> tuple[Store, StudyOptions, Known] | None:
    """Read a simulation study: its store, what it asks, and every planned fit; None for one of real data."""
    from bayesrun import records
    from bayesrun.plan import specs_of
    from bayesrun.targets import make_importable

    make_importable(Path.cwd())  # the sources of quantities are held against those that the fits were summarised by
    store = _store(arguments)
    seed, _, cells = records.read_design(store)
    study = records.read_study(store)
    return None if study.kind == "fit" else (store, study, specs_of(cells, seed))


def _status(words: Sequence[str]) -> int:
    from bayesrun import tables, terminal

    parser = _parser("status", "What a study has, what failed, and what is missing.")
    parser.add_argument("--verify", action="store_true", help="read every posterior and check that it is unchanged")
    arguments = parser.parse_args(words)
    simulated = _simulated(arguments)
    if simulated is not None:
        return _report_on(*simulated, verify=arguments.verify)
    store, _, rows, total = _open(arguments)
    pairs = [(row.outcome, row.verdict) for row in rows]
    done = sum(row.outcome.status == "done" for row in rows)
    console = terminal.console()
    counts = f"{total} fits, {done} done, {len(rows) - done} failed, {total - len(rows)} not done or damaged"
    console.print(f"study {store.root.name}: {counts}", markup=False)
    console.print(tables.outcome_table(pairs))
    changed = [row.spec for row in rows if arguments.verify and row.outcome.status == "done"]
    changed = [spec for spec in changed if not store.verify(spec.key)]
    lost = [f"{spec.cell}: posterior.nc of {spec.key} was changed after it was written" for spec in changed]
    for line in (*tables.verdict_lines(pairs), *lost):
        console.print(line, markup=False, soft_wrap=True)
    return int(done < total or bool(changed))


def _report_on(store: Store, study: StudyOptions, known: Known, *, verify: bool = False) -> int:
    """Make the tables and the page of a simulation study again, and print what they say."""
    from bayesrun import terminal
    from bayesrun.endings import simulated

    console = terminal.console()
    end = simulated(known, store, study, {})
    end.show(console)
    changed = [key for key in known if verify and store.done(key) is not None and not store.verify(key)]
    for key in changed:
        console.print(f"posterior.nc of {key} was changed after it was written", markup=False, soft_wrap=True)
    console.print(f"report: {end.files[0]}", markup=False, soft_wrap=True)
    return int(bool(end.exit_code or changed))


def _report(words: Sequence[str]) -> int:
    parser = _parser("report", "Make the tables, figures and report.html of a simulation study again from its fits.")
    simulated = _simulated(parser.parse_args(words))
    if simulated is None:
        raise ConfigError("report is for simulation studies; bayesrun status shows a study of real data")
    return _report_on(*simulated)


def _replay(words: Sequence[str]) -> int:
    """Fit one fit again and hold it against what is stored."""
    from bayesrun import terminal

    parser = _parser("replay", "Fit one fit of a study again, here, without storing anything; errors are shown whole.")
    parser.add_argument("fit", help="key of the fit, or number of the replicate where the study has one cell")
    parser.add_argument("--data", action="store_true", help="only show the dataset and, if it is simulated, the truth")
    arguments = parser.parse_args(words)
    from bayesrun.replay import replay

    return replay(_store(arguments), arguments.fit, terminal.console(), data_only=arguments.data)


def _plan(words: Sequence[str]) -> int:
    """Say how many replicates a target needs."""
    from bayesrun import terminal
    from bayesrun.measures import check_targets, needed

    parser = argparse.ArgumentParser(
        prog="bayesrun plan", description="How many replicates a Monte Carlo standard error needs."
    )
    parser.add_argument("targets", nargs="+", metavar="MEASURE=MCSE", help="coverage=0.01, bias=0.02, power=0.02, ...")
    parser.add_argument("--pilot", dest="study", help="a study whose measures say how much replicates vary")
    parser.add_argument("--output-dir", default="studies", help="the folder of the studies (default: studies)")
    arguments = parser.parse_args(words)
    targets = dict(_target(text) for text in arguments.targets)
    check_targets(targets)
    measured = None
    if arguments.study:
        import pandas as pd

        store: Store = _store(arguments)
        path = store.tables / "measures.parquet"
        if not path.exists():
            raise ConfigError(f"{arguments.study}: it has no tables/measures.parquet; run bayesrun report on it first")
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
    from bayesrun import records, report, terminal

    parser = _parser("compare", "Compare the fits of a study: LOO between models, agreement between samplers.")
    parser.add_argument("--reference", help="the sampler that the others are held against")
    arguments = parser.parse_args(words)
    store, _, rows, _ = _open(arguments)
    records.check_reference([row.checked for row in rows], arguments.reference)
    report.show(terminal.console(), rows, report.compared(rows, store, arguments.reference))
    return 0


def _sync(words: Sequence[str]) -> int:
    import dataclasses

    from bayesrun import endings, records, report, terminal

    parser = _parser("sync", "Write to MLflow what it does not have of a study; runs are made again from the store.")
    parser.add_argument("--uri", help="address of the tracking server (default: the study's own)")
    arguments = parser.parse_args(words)
    simulated = _simulated(arguments)
    if simulated is not None:
        store, study, known = simulated
        _, options, _ = records.read_design(store)
        end, fits = endings.simulated(known, store, study, {}), len(known)
    else:
        store, options, rows, _ = _open(arguments)
        study, fits = records.read_study(store), len(rows)
        end = endings.Ending(0, rows=rows, findings=report.compared(rows, store, None))
    wanted = dataclasses.replace(options, enabled=True, uri=arguments.uri or options.uri)
    recorder = records.recorder(store, study, wanted)
    sent = recorder.sync(end)
    terminal.console().print(f"{sent} fits sent, {fits - sent} were there: {recorder.shown}", markup=False)
    return 0


def _ui(words: Sequence[str]) -> int:
    from bayesrun import records, terminal

    store = _store(_parser("ui", "Say how to open the MLflow page of a study.").parse_args(words))
    _, options, _ = records.read_design(store)
    recorder = records.recorder(store, records.read_study(store), options)
    terminal.console().print(recorder.where(), markup=False, soft_wrap=True)
    return 0


def _pipeline(words: Sequence[str]) -> int:
    from bayesrun.schedule.command import pipeline

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
