"""The key ``priors`` of models that have two sets of them: ``default``, by the numbers of the config, or ``scaled``.

Those that are scaled to the data are built by another function of the same module, so that `default` is the model that
it is without the key.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Final

from bayesrun.base.imports import import_target, module_constant
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from bayesrun.types import Target

__all__ = ["NOTED", "SCALED", "with_priors"]

KEY: Final = "priors"
DEFAULT: Final = "default"
SCALED: Final = "scaled"
"""The word, and what the function is called that builds such a model of its data alone."""
NOTED: Final = "priors scaled to the data: "
"""What a note says before the priors that a model works out, by which it is found in a recipe."""


SCALABLE: Final = ("linear", "logistic", "multiple_regression", "polynomial", "varying_effects", "varying_slopes")
"""Shipped models with scaled priors."""
OF_TIMES: Final = "times that are censored have no standard deviation that could be its scale"
OF_ESTIMATES: Final = "its data are estimates with standard errors, and for these rstanarm states no priors"
WHY_NOT: Final = {
    "ar1": "it is a series, and for these rstanarm states no priors",
    "hierarchical": OF_ESTIMATES,
    "meta_analysis": OF_ESTIMATES,
    "survival": OF_TIMES,
    "survival_lognormal": OF_TIMES,
}
"""Why the others have none; a formula has the priors of Bambi, which take scales from the data by themselves."""


def with_priors(node: str, target: Target) -> Target:
    """Choose the function that builds a model by its key ``priors``.

    Parameters
    ----------
    node
        ``model`` or ``study.generator``, for messages.
    target
        As the config states it.

    Returns
    -------
    Target
        Without the key; as it is where its module has no function for scaled priors, or its builder takes the key.

    Raises
    ------
    ConfigError
        If the word is another one, or ``scaled`` comes with numbers that would not count, or the model is a shipped one
        that has no scaled priors.
    """
    if KEY not in target.params:
        return target
    builder = import_target(node, target.path)
    parameters = inspect.signature(builder).parameters
    build_scaled = module_constant(builder, SCALED, None)
    if KEY not in parameters and build_scaled is None:
        _refuse_shipped(node, target)
    if KEY in parameters or build_scaled is None:
        return target
    word = target.params[KEY]
    rest = {name: value for name, value in target.params.items() if name != KEY}
    if word not in (DEFAULT, SCALED):
        hint = did_you_mean(str(word), (DEFAULT, SCALED), "model.priors=")
        raise ConfigError(f"{node}.{KEY}: got {word!r}; {hint}wanted {DEFAULT} or {SCALED}")
    if word == DEFAULT:
        return dataclasses.replace(target, params=rest)
    kept = {name: value for name, value in rest.items() if name in inspect.signature(build_scaled).parameters}
    own = [
        name
        for name, value in rest.items()
        if name not in kept and (name not in parameters or value != parameters[name].default)
    ]
    if own:
        raise ConfigError(
            f"{node}.{KEY}={SCALED} takes the numbers from the data, and {', '.join(f'{node}.{name}' for name in own)} "
            f"would not count; leave {'it' if len(own) == 1 else 'them'} out, or choose {node}.{KEY}={DEFAULT}"
        )
    return dataclasses.replace(target, path=f"{target.path.rpartition('.')[0]}.{SCALED}", params=kept)


def _refuse_shipped(node: str, target: Target) -> None:
    """Say of a shipped model why it has no scaled priors."""
    name = target.path.removeprefix("bayesrun.models.").removesuffix(".build")
    if why := WHY_NOT.get(name):
        raise ConfigError(
            f"{node}.{KEY}: {name} has one set of priors: {why}. Models with scaled priors are {', '.join(SCALABLE)}"
        )
