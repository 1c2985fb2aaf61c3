"""The verbs beside the Hydra application: what there is to do with a study after the run. None of them fits."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bayesrun.report import Row
    from bayesrun.store import Store
    from bayesrun.types import TrackOptions

__all__ = ["VERBS"]


def _parser(verb: str, about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"bayesrun {verb}", description=about)
    parser.add_argument("study", help="name of the study, or the path of its folder")
    parser.add_argument("--output-dir", default="studies", help="the folder of the studies (default: studies)")
    return parser


def _open(arguments: argparse.Namespace) -> tuple[Store, TrackOptions, tuple[Row, ...], int]:
    """Read a study: its store, tracking options, finished fits, and how many fits it has."""
    from bayesrun import records, report
    from bayesrun.plan import specs_of
    from bayesrun.store import Store

    path = Path(arguments.study)
    named = Path(arguments.output_dir).expanduser().absolute() / arguments.study
    store = Store(path.absolute() if (path / "study.json").exists() else named)
    seed, options, cells = records.read_design(store)
    design = specs_of(cells, seed)
    return store, options, report.rows(design, store, {}), len(design)


def _status(words: Sequence[str]) -> int:
    from bayesrun import tables, terminal

    parser = _parser("status", "What a study has, what failed, and what is missing.")
    parser.add_argument("--verify", action="store_true", help="read every posterior and check that it is unchanged")
    arguments = parser.parse_args(words)
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

    from bayesrun import records, report, terminal

    parser = _parser("sync", "Write to MLflow what it does not have of a study; runs are made again from the store.")
    parser.add_argument("--uri", help="address of the tracking server (default: the study's own)")
    arguments = parser.parse_args(words)
    store, options, rows, _ = _open(arguments)
    wanted = dataclasses.replace(options, enabled=True, uri=arguments.uri or options.uri)
    recorder = records.Recorder(store, wanted, store.root.parent)
    sent = recorder.sync(rows, report.compared(rows, store, None))
    terminal.console().print(f"{sent} fits sent, {len(rows) - sent} were there: {recorder.shown}", markup=False)
    return 0


def _ui(words: Sequence[str]) -> int:
    from bayesrun import records, terminal

    store, options, _, _ = _open(_parser("ui", "Say how to open the MLflow page of a study.").parse_args(words))
    terminal.console().print(records.Recorder(store, options, store.root.parent).where(), markup=False, soft_wrap=True)
    return 0


VERBS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "status": _status,
    "compare": _compare,
    "sync": _sync,
    "ui": _ui,
}
