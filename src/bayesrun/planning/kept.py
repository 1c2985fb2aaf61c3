"""What is kept of the fits of a study: the words of ``output.keep``, checked against its models."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.types.kept import ALL, DETERMINISTICS, GROUPS, LEAN, Kept

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pymc as pm

    from bayesrun.types import CheckedCell, OutputOptions

__all__ = ["with_kept"]


def with_kept(
    cells: Sequence[CheckedCell], models: Iterable[pm.Model], output: OutputOptions
) -> tuple[CheckedCell, ...]:
    """Say of each cell what its fits keep.

    Parameters
    ----------
    cells, models
        Of the study.
    output
        What is to be kept.

    Raises
    ------
    ConfigError
        If a word is neither a group nor a variable of any of the models.
    """
    words = (output.keep,) if isinstance(output.keep, str) else (ALL,) if output.keep is None else output.keep
    whole = {model: [str(variable.name) for variable in model.deterministics] for model in models}
    derived = sorted({name for names in whole.values() for name in names})
    free = {str(variable.name) for model in whole for variable in model.free_RVs}
    known = (*GROUPS, DETERMINISTICS, *derived)
    for word in words:
        if word in (ALL, LEAN) and len(words) == 1:
            continue
        if word not in known and word not in free:
            hint = did_you_mean(word, (ALL, LEAN, *known), "output.keep=")
            raise ConfigError(
                f"output.keep: got {word!r}; {hint}wanted {ALL}, {LEAN}, or a list of groups ({', '.join(GROUPS)}, "
                f"{DETERMINISTICS} for all Deterministics) and Deterministics ({', '.join(derived) or 'there is none'})"
            )
    kept = Kept(tuple(words), single=output.precision == "float32")
    return tuple(dataclasses.replace(cell, kept=kept) for cell in cells)
