"""`bayesrun diff`: in what two cells or fits of a study differ, in what changes their draws."""

from __future__ import annotations

import click

from bayesrun.command.verbs.stored_study import STUDY, named_study, store_of
from bayesrun.command.verbs.usage import verb

__all__ = ["command"]

WORDS = f"{STUDY} A and B are labels of cells, as status has them, or keys of fits."


@verb("diff", "bayesrun diff my_study linear/engel/nuts 'linear/engel/nuts beta_sigma=5'", words=WORDS)
@named_study
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
def command(study: str, output_dir: str, first: str, second: str) -> int:
    """Say in what two cells or fits differ."""
    from bayesrun.base.spelling import did_you_mean
    from bayesrun.command import terminal
    from bayesrun.errors import ConfigError
    from bayesrun.planning.keys import specs_of
    from bayesrun.planning.reasons import differences, stored_dataset
    from bayesrun.report import study_file

    store = store_of(study, output_dir)
    seed, _, cells = study_file.read_design(store)
    by_label = {cell.cell.label: (cell, None) for cell in cells}
    by_key = {key: (cell, spec.replicate) for key, (spec, cell) in specs_of(cells, seed).items()}
    named = {**by_key, **by_label}
    for word in (first, second):
        if word not in named:
            hint = did_you_mean(word, by_label)
            raise ConfigError(
                f"{word}: no cell or fit of study {store.root.name}; {hint}there are {', '.join(sorted(by_label))}"
            )
    (old, one), (new, other) = named[first], named[second]
    lines = differences(
        old,
        new,
        old_data=lambda: stored_dataset(store.read_data, old.data_hash),
        new_data=lambda: stored_dataset(store.read_data, new.data_hash),
        drawn_with=lambda: (study_file.drawn_with(store, seed, old), study_file.drawn_with(store, seed, new)),
    )
    if one is not None and other is not None and one != other:
        lines = [f"replicate {one} -> {other}", *(line for line in lines if old is not new)]
    for line in lines:
        terminal.console().print(line, markup=False, soft_wrap=True)
    return 0
