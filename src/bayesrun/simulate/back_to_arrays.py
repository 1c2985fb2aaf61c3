"""The way from drawn observed variables back into a dataset, proved by building the model on what comes out.

It says why there is none, and never guesses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.base.messages import in_one_line
from bayesrun.errors import BayesrunError
from bayesrun.simulate.arrays import FromDraws, candidates, equal, filled, observed_values, replaced

if TYPE_CHECKING:
    import numpy as np
    import pymc as pm

    from bayesrun.types import Dataset

__all__ = ["Refused", "WayBack", "way_back"]

type Build = Callable[[Dataset], pm.Model]


class Refused(BayesrunError):
    """Data cannot be simulated from a model, for the reason that it says."""


@dataclass(frozen=True, eq=False)
class WayBack:
    """How draws become arrays, and the model that was built on them.

    Parameters
    ----------
    back
        From a dataset and draws by observed variable to the arrays that take their place.
    second
        The model on a drawn dataset.
    """

    back: FromDraws
    second: pm.Model


def way_back(
    build: Build, base: Dataset, model: pm.Model, drawn: Mapping[str, np.ndarray], hook: FromDraws | None
) -> WayBack:
    """Find which arrays the draws of the observed variables replace.

    Parameters
    ----------
    build
        The builder.
    base
        The dataset that `model` was built on.
    model
        The generating model.
    drawn
        Name of the observed variable to its draws.
    hook
        The ``from_draws(data, drawn)`` of the model's module, if it has one; then nothing is searched for.

    Raises
    ------
    Refused
        If the model observes values that are in no array, or cannot be built on what it draws.
    """
    if hook is not None:
        dataset = replaced(base, hook(base, drawn))
        second = _built(build, dataset)
        wrong = [name for name, values in observed_values(second).items() if not _alike(values, drawn[name])]
        if wrong:
            raise Refused(
                f"from_draws gives arrays on which {', '.join(wrong)} observes other values than those drawn; the "
                "model has to observe what from_draws was given"
            )
        return WayBack(hook, second)
    arrays = {name: _array(build, base, name, found, drawn[name]) for name, found in candidates(model, base).items()}
    _refuse_shared(arrays)

    def back(data: Dataset, draws: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        return {arrays[name]: filled(data[arrays[name]], values) for name, values in draws.items()}

    second = _built(build, replaced(base, back(base, drawn)))
    wrong = [name for name, values in observed_values(second).items() if not _alike(values, drawn[name])]
    if wrong:
        raise Refused(_not_there(wrong[0], base))
    return WayBack(back, second)


def _array(build: Build, base: Dataset, name: str, found: list[str], draws: np.ndarray) -> str:
    """Choose among arrays of equal values the one whose change the observed variable follows."""
    if not found:
        raise Refused(_not_there(name, base))
    if len(found) == 1:
        return found[0]
    for array in found:
        try:
            model = build(replaced(base, {array: filled(base[array], draws)}))
        except Exception:  # noqa: BLE001 - a builder may raise anything about data that are not its own
            continue
        if _alike(observed_values(model)[name], draws):
            return array
    raise Refused(
        f"{name} observes the values of {' and of '.join(found)}, and follows a change of none of them alone; leave "
        "all but one of them out of the data"
    )


def _built(build: Build, dataset: Dataset) -> pm.Model:
    try:
        return build(dataset)
    except Exception as error:
        raise Refused(f"the model cannot be built on data drawn from it: {in_one_line(error)}") from error


def _alike(observed: np.ndarray, drawn: np.ndarray) -> bool:
    return equal(drawn, observed)


def _refuse_shared(arrays: Mapping[str, str]) -> None:
    for array in sorted(set(arrays.values())):
        names = [name for name, other in arrays.items() if other == array]
        if len(names) > 1:
            raise Refused(
                f"{' and '.join(names)} observe the same array {array}, which can hold the draws of one of them only"
            )


def _not_there(name: str, base: Dataset) -> str:
    return (
        f"{name} observes values that are in no array of the data ({', '.join(base)}): the model transforms or selects "
        "them itself, so that its draws cannot be put back. Transform the data instead (data.transform, "
        "data.standardize), or add from_draws(data, drawn) beside the builder, which returns the arrays to replace"
    )
