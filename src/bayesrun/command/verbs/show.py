"""`bayesrun show`: what is known of a fit or a cell: estimates, recipe, verdict, warnings, times, files."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bayesrun.base.spreadsheets import without_formulas
from bayesrun.command.verbs.stored_study import STUDY, named_study, open_study, store_of
from bayesrun.command.verbs.usage import verb
from bayesrun.errors import BayesrunError, ConfigError

if TYPE_CHECKING:
    import pandas as pd

    from bayesrun.command.verbs.stored_study import StoredStudy

__all__ = ["command"]

WORDS = (
    f"{STUDY} CELL is the label of a cell, or what the tables write of it; KEY that of a fit, or how it begins. "
    "Without them a study of one fit shows that, and any other lists its cells."
)


def _cells(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Complete the label of a cell, or a key."""
    from bayesrun.report import study_file

    del parameter
    words: list[str] = []
    with contextlib.suppress(BayesrunError, KeyError):
        store = store_of(context.params["study"], context.params["output_dir"])
        words = [*(cell.cell.label for cell in study_file.read(store).cells), *store.fit_keys()]
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


@verb(
    "show",
    "bayesrun show hierarchical-eight_schools",
    "bayesrun show hierarchical-eight_schools nuts --var theta",
    "bayesrun show my_study --var beta --csv",
    words=WORDS,
)
@named_study
@click.argument("wanted", metavar="[CELL|KEY]", required=False, shell_complete=_cells)
@click.option("--var", "variables", metavar="NAME", multiple=True, help="This variable, or element; may be repeated.")
@click.option("--csv", "as_csv", is_flag=True, help="For machines: the estimates, or measures, as CSV.")
@click.option("--json", "as_json", is_flag=True, help="For machines: everything as JSON.")
def command(
    study: str, output_dir: str, wanted: str | None, variables: tuple[str, ...], *, as_csv: bool, as_json: bool
) -> int:
    """Show a fit."""
    from bayesrun.command import terminal
    from bayesrun.report import shown
    from bayesrun.report.not_fitted import refused_lines

    if as_csv and as_json:
        raise ConfigError("show: got --csv and --json; wanted one of them")
    found = open_study(study, output_dir)
    known, store = found.known, found.store
    target = shown.find(found.everything, wanted, store) if wanted is not None else None
    if isinstance(target, shown.Cell):
        known = target.known
    elif target is not None:
        known = {target.key: found.everything[target.key]}
    fits = [shown.fit_of(key, known, store) for key in known]
    if len(fits) == 1 and not (found.simulated and isinstance(target, shown.Cell)):
        if as_json:
            _print_json(shown.as_json(fits[0], store, variables))
        elif as_csv:
            _print_csv(shown.of_cells(fits, store, variables))
        else:
            shown.show_fit(terminal.console(), fits[0], store, variables)
            for line in refused_lines(found.refused) if wanted is None and not variables else ():
                terminal.console().print(line, markup=False, soft_wrap=True)
        return 0
    cell = target if isinstance(target, shown.Cell) else None
    return _several(found, cell, fits, variables, as_csv=as_csv, as_json=as_json)


def _several(
    study: StoredStudy, cell: Any, fits: list[Any], variables: tuple[str, ...], *, as_csv: bool, as_json: bool
) -> int:
    """Show several fits: of real data their estimates, of simulated data the measures of their cells."""
    from bayesrun.command import terminal
    from bayesrun.report import shown

    store, console = study.store, terminal.console()
    refused = study.refused if cell is None else ()
    simulated = study.simulated and (cell is not None or bool(variables) or as_csv)
    if as_csv or as_json:
        label = cell.label if cell is not None else None
        if simulated:
            frame = shown.measures_of(store, label, variables)
        else:
            frame = shown.of_cells(fits, store, variables) if variables or as_csv else shown.listed(fits, refused)
        if as_csv:
            _print_csv(frame)
        else:
            _print_json(shown.records(frame))
        return 0
    if simulated:
        shown.show_cell(console, cell, store, variables)
    elif variables:
        console.print(shown.across(shown.of_cells(fits, store, variables), fits))
        return 0
    if not variables:
        shown.show_list(console, fits, store, refused)
    return 0


def _print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def _print_csv(frame: pd.DataFrame) -> None:
    click.echo(without_formulas(frame).to_csv(index=False), nl=False)
