"""A stored study as verbs see it: the words that name it, how it is opened, and what is said of a simulated one."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from bayesrun.base.verb_hints import STUDIES
from bayesrun.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bayesrun.report.real_data import Known
    from bayesrun.store.folder import Store
    from bayesrun.types import Refused, StudyOptions, TrackOptions

__all__ = [
    "STUDY",
    "StoredStudy",
    "agreed",
    "named_study",
    "names",
    "open_study",
    "output_dir",
    "report_on",
    "store_of",
    "with_superseded",
]

STUDY = "STUDY is the name of a study, or the path of its folder."


def names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the name of a study in the folder of the studies, or the path of one anywhere."""
    del parameter
    if "/" in incomplete:
        return [CompletionItem(incomplete, type="dir")]
    folder = Path(context.params.get("output_dir") or STUDIES).expanduser()
    found = sorted(path.parent.name for path in folder.glob("*/study.json"))
    return [CompletionItem(name) for name in found if name.startswith(incomplete)]


def output_dir(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the option --output-dir."""
    return click.option(
        "--output-dir",
        default=STUDIES,
        show_default=True,
        metavar="DIR",
        help="The folder of the studies.",
        shell_complete=_folders,
    )(function)


def _folders(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    del context, parameter
    return [CompletionItem(incomplete, type="dir")]


def named_study(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the argument STUDY, the name of a study or the path of its folder, and --output-dir."""
    return click.argument("study", metavar="STUDY", shell_complete=names)(output_dir(function))


def with_superseded(function: Callable[..., int]) -> Callable[..., int]:
    """Give a verb the option --superseded."""
    return click.option(
        "--superseded", is_flag=True, help="With the fits whose words mean something else now, labelled as such."
    )(function)


def store_of(study: str, output_dir: str) -> Store:
    """Return the store of a study that is named, or whose folder is given."""
    from bayesrun.store.folder import Store

    path = Path(study)
    named = Path(output_dir).expanduser().absolute() / study
    return Store(path.absolute() if (path / "study.json").exists() else named)


@dataclass(frozen=True)
class StoredStudy:
    """A study as it is stored: where, what it asks, how it is tracked, every planned fit, and those superseded.

    `refused` are datasets that cannot be fitted.
    """

    store: Store
    options: StudyOptions
    track: TrackOptions
    known: Known
    superseded: Known
    refused: tuple[Refused, ...] = ()

    @property
    def everything(self) -> Known:
        """Every fit, superseded ones last."""
        return {**self.known, **self.superseded}

    @property
    def simulated(self) -> bool:
        """Whether its data are simulated."""
        return self.options.kind != "fit"


def open_study(study: str, output_dir: str) -> StoredStudy:
    """Read the design of a study.

    Raises
    ------
    BayesrunError
        If there is none, with those that there are, or all of its cells were forgotten or are superseded.
    """
    from bayesrun.base.imports import make_importable
    from bayesrun.planning.keys import specs_of
    from bayesrun.planning.meanings import current
    from bayesrun.report import study_file
    from bayesrun.report.not_fitted import refused_in
    from bayesrun.report.superseded import superseded_lines

    make_importable(Path.cwd())  # the sources of quantities are held against those that the fits were summarised by
    store = store_of(study, output_dir)
    seed, tracked, cells = study_file.read_design(store)
    old = [cell for cell in cells if cell.superseded]
    if len(old) == len(cells):
        lines = superseded_lines(specs_of(old, seed), store, ())
        none = f"study {store.root.name} has no current cell; the command that asks for one makes it anew"
        raise StoreError("\n".join((none, *lines)))
    known = specs_of(current(cells), seed)
    refused = refused_in(store.read_study())
    return StoredStudy(store, study_file.read_study(store), tracked, known, specs_of(old, seed), refused)


def report_on(study: StoredStudy, *, superseded: bool = False) -> int:
    """Make the tables and the page of a simulation study again, and print what they say."""
    from bayesrun.command import terminal
    from bayesrun.report.verdict import ending

    console, store = terminal.console(), study.store
    end = ending(study.everything if superseded else study.known, store, study.options)
    end.show(console)
    if end.page is not None:
        console.print(f"report: {end.page}", markup=False, soft_wrap=True)
    return end.exit_code


def agreed(verb: str, total: str) -> bool:
    """Ask whether something is to be removed.

    Raises
    ------
    ConfigError
        If nobody can be asked.
    """
    if not sys.stdin.isatty():
        raise ConfigError(f"{verb}: nothing was removed, since nobody can be asked here; add --yes")
    return click.confirm(f"Remove {total}?")
