"""Functions that configs name by `_target_`: import them, and fit the config's values to their signature.

It calls none of them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import traceback
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from bayesrun.errors import ConfigError
from bayesrun.spelling import did_you_mean
from bayesrun.types import Target

__all__ = ["bind", "import_target", "make_importable", "module_constant", "sampler_constant"]


def make_importable(folder: Path) -> None:
    """Let modules of a folder be imported, as `python` itself does for the working directory."""
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def import_target(node: str, path: str) -> Callable[..., Any]:
    """Import the function that a config names.

    Parameters
    ----------
    node
        The config node, for messages: ``model``, ``data`` or ``sampler``.
    path
        ``package.module.function``.

    Raises
    ------
    ConfigError
        If it cannot be imported, with the real cause and its place in the user's file.
    """
    module_name, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # noqa: BLE001 - a user's module may raise anything when it is imported
        raise ConfigError(f"{node}._target_: {path} cannot be imported: {_cause(error, module_name)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = did_you_mean(name, names, f"{module_name}.")
        have = ", ".join(sorted(names)) or "none"
        raise ConfigError(f"{node}._target_: {module_name} has no function {name!r}; {hint}it has {have}")
    return typing.cast("Callable[..., Any]", function)


def _cause(error: Exception, module_name: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and module_name.split(".")[0] == error.name.split(".")[0]:
        return (
            f"there is no module {error.name!r}; put {error.name.replace('.', '/')}.py into the working directory "
            f"({Path.cwd()}) or install it"
        )
    frames = traceback.extract_tb(error.__traceback__)
    place = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def module_constant(function: Callable[..., Any], name: str, default: Any) -> Any:
    """Read a constant of the module that a function is defined in."""
    return getattr(inspect.getmodule(inspect.unwrap(function)), name, default)


def sampler_constant(function: Callable[..., Any], name: str) -> Any:
    """Read VERSION, KIND or DISCRETE of a sampler's module, or what a sampler without them gets."""
    return module_constant(function, name, {"VERSION": 0, "KIND": "mcmc", "DISCRETE": True}[name])


def bind(node: str, function: Callable[..., Any], target: Target, given: int) -> Target:
    """Check a target's parameters against the function's signature, and convert them by its annotations.

    YAML and the command line write ``36`` for a scale; a parameter that is annotated ``float`` gets 36.0,
    since a Python int would take part in narrow integer arithmetic in PyTensor.

    Parameters
    ----------
    node
        The config node, for messages.
    function
        What the target names.
    target
        Its parameters as the config states them.
    given
        How many leading positional parameters bayesrun itself passes.

    Returns
    -------
    Target
        With converted parameters.

    Raises
    ------
    ConfigError
        For unknown, missing or unconvertible parameters: one line each.
    """
    parameters = list(inspect.signature(function).parameters.values())[given:]
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    lines = []
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for key in sorted(set(target.params) - set(named)):
            hint = did_you_mean(key, named, f"{node}.")
            lines.append(f"{node}.{key}: unknown key; {hint}{target.path} takes {', '.join(named) or 'no parameters'}")
    missing = [p.name for p in named.values() if p.default is p.empty and p.name not in target.params]
    lines += [f"{node}.{name}: {target.path} needs a value; set it: {node}.{name}=VALUE" for name in missing]
    hints = _hints(function)
    params: dict[str, Any] = {}
    for key, value in target.params.items():
        try:
            params[key] = _convert(value, hints[key]) if key in hints else value
        except ValidationError as error:
            wanted = error.errors()[0]["msg"].replace("Input should be ", "")
            lines.append(f"{node}.{key}: got {value!r}; wanted {wanted}")
    if lines:
        raise ConfigError("\n".join(lines))
    return Target(target.name, target.path, params)


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError:
        # annotations under TYPE_CHECKING cannot be evaluated here: keep those that can
        return {k: v for k, v in inspect.get_annotations(function).items() if not isinstance(v, str)} | {
            k: {"float": float, "int": int, "str": str, "bool": bool}[v]
            for k, v in inspect.get_annotations(function).items()
            if v in ("float", "int", "str", "bool")
        }


def _convert(value: Any, annotation: Any) -> Any:
    try:
        adapter = TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return value
    return adapter.validate_python(value)
