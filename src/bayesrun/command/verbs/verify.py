"""`bayesrun verify`: every file of a study is read, and what is not as it was written is named with its remedy."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, store_of
from bayesrun.command.verbs.usage import verb

if TYPE_CHECKING:
    from bayesrun.report.files import Files

__all__ = ["command"]

WHAT = (
    "Says which files are missing, truncated or altered and how each is mended, which belong to nothing, and which are "
    "none of bayesrun's. Exits with 0 where all are whole, with 1 where one is not."
)


@verb("verify", "bayesrun verify my_study", "bayesrun verify my_study --json", words=f"{STUDY} {WHAT}")
@named_study
@click.option("--json", "as_json", is_flag=True, help="For machines: everything as JSON, a record for each file.")
def command(study: str, output_dir: str, *, as_json: bool) -> int:
    """Read every file of a study."""
    from bayesrun.command import terminal
    from bayesrun.report import files, study_file

    store = store_of(study, output_dir)
    if not store.study_file.exists() and not (store.root / "fits").is_dir():
        study_file.read_design(store)  # which says what there is
    found = files.look(store)
    if as_json:
        click.echo(json.dumps(_record(store.root.name, str(store.root), found), indent=2, ensure_ascii=False))
        return int(bool(found.harmed))
    console = terminal.console()
    if found.at_work:
        told = f"note: at work on it is {found.at_work}; what is being written just now may be among these"
        console.print(told, markup=False, soft_wrap=True)
    for line in files.lines_of(found):
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"study {store.root.name}: {_total(found)}", markup=False, soft_wrap=True)
    return int(bool(found.harmed))


def _total(found: Files) -> str:
    harmed, orphaned = len(found.harmed), len(found.orphaned)
    unknown = len(found.found) - harmed - orphaned
    parts = [f"{found.count} {'file' if found.count == 1 else 'files'} read, {found.bytes / 2**20:.1f} MiB"]
    parts.append(f"{harmed} not whole" if harmed else "all whole")
    parts += [f"{orphaned} that belong to nothing"] if orphaned else []
    parts += [f"{unknown} that are none of bayesrun's"] if unknown else []
    return ", ".join(parts)


def _record(name: str, folder: str, found: Files) -> dict[str, object]:
    return {
        "study": name,
        "folder": folder,
        "whole": not found.harmed,
        "files": found.count,
        "bytes": found.bytes,
        "at_work": found.at_work,
        "found": [dataclasses.asdict(one) for one in found.found],
    }
