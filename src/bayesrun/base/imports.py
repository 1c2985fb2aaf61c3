"""Functions that configs name by `_target_`: import them, and fit the config's values to their signature.

It calls none of them.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import sysconfig
import traceback
import typing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUndefinedAnnotation

from bayesrun.base.shipped import PACKAGE
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.types import ALL_OPTIONS, Target, canonical_json

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = [
    "at_once",
    "bind",
    "import_target",
    "make_importable",
    "module_constant",
    "module_files",
    "sampler_constant",
    "takes_data",
    "users_place",
    "with_defaults",
]

HERE = (__file__, importlib.__file__)
LIBRARIES = tuple({Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


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
    except (Exception, SystemExit) as error:  # a user's module may raise anything, and a script leaves
        raise ConfigError(f"{node}._target_: {path} cannot be imported: {_cause(error, module_name)}") from error
    function = getattr(module, name, None)
    if not callable(function):
        names = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        hint = did_you_mean(name, names, f"{module_name}.")
        have = ", ".join(sorted(names)) or "none"
        raise ConfigError(f"{node}._target_: {module_name} has no function {name!r}; {hint}it has {have}")
    return typing.cast("Callable[..., Any]", function)


def _cause(error: BaseException, module_name: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name and module_name.split(".")[0] == error.name.split(".")[0]:
        return (
            f"there is no module {error.name!r}; put {error.name.replace('.', '/')}.py into the working directory "
            f"({Path.cwd()}) or install it"
        )
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg} (line {error.lineno} of {error.filename})"
    # the frames of the import machinery say nothing to the user
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in HERE and f.filename[0] != "<"]
    place = f" (line {frames[-1].lineno} of {frames[-1].filename})" if frames else ""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}{place}"


def users_place(error: BaseException) -> str | None:
    """Say where in a user's code an exception was raised, or passed by on its way out of a library.

    Parameters
    ----------
    error
        As it was caught.

    Returns
    -------
    str or None
        Line and file of the innermost frame outside of what is installed; None where that is one of bayesrun's.
    """
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(PACKAGE):
            return None
        if path.is_absolute() and not any(path.is_relative_to(root) for root in LIBRARIES):
            return f"line {frame.lineno} of {path}"
    return None


def module_constant(function: Callable[..., Any], name: str, default: Any) -> Any:
    """Read a constant of the module that a function is defined in."""
    return getattr(inspect.getmodule(inspect.unwrap(function)), name, default)


def module_files(path: str, function: Callable[..., Any]) -> list[str]:
    """Return the file of the module that a config names, unless it is where a plain function was written.

    There a partial, a wrapper or a method of an object gets its name.
    """
    module = path.rpartition(".")[0]
    file = getattr(sys.modules.get(module), "__file__", None)
    written = inspect.isfunction(function) and not hasattr(function, "__wrapped__") and function.__module__ == module
    return [] if written or file is None else [file]


def at_once(path: str) -> bool:
    """Whether the sampler of that path draws for many datasets at once; of one that cannot be imported, no."""
    try:
        return module_constant(import_target("sampler", path), "fits", None) is not None
    except ConfigError:  # the fits that need it say so
        return False


def takes_data(function: Callable[..., Any]) -> bool:
    """Whether a model's builder has an argument for data: its first one, unless that is a key of its config.

    A first argument whose default is a number, text or a truth value is such a key: no data are.
    """
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # what has no signature is told of when its parameters are bound
        return True
    if not parameters or parameters[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        return False
    return not isinstance(parameters[0].default, bool | int | float | str)


def sampler_constant(function: Callable[..., Any], name: str) -> Any:
    """Read VERSION, KIND, DISCRETE, NEEDS or OPTIONS of a sampler's module, or what a sampler without them gets."""
    return module_constant(
        function, name, {"VERSION": 0, "KIND": "mcmc", "DISCRETE": True, "NEEDS": (), "OPTIONS": ALL_OPTIONS}[name]
    )


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
    parameters = _parameters(node, function, target)[given:]
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    lines = []
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for key in sorted(set(target.params) - set(named)):
            hint = did_you_mean(key, named, f"{node}.")
            lines.append(f"{node}.{key}: unknown key; {hint}{target.path} takes {', '.join(named) or 'no parameters'}")
    missing = [p.name for p in named.values() if p.default is p.empty and p.name not in target.params]
    lines += [f"{node}.{name}: {target.path} needs a value; set it: {node}.{name}=VALUE" for name in missing]
    annotations = _annotations(function, target.params, parameters)
    params: dict[str, Any] = {}
    for key, value in target.params.items():
        try:
            params[key] = _convert(value, annotations[key]) if key in annotations else _like(value, named.get(key))
        except ValidationError as error:
            wanted = error.errors()[0]["msg"].replace("Input should be ", "")
            lines.append(f"{node}.{key}: got {value!r}; wanted {wanted}")
    if lines:
        raise ConfigError("\n".join(lines))
    return Target(target.name, target.path, params)


def with_defaults(function: Callable[..., Any], target: Target) -> Target:
    """Add to a bound target of a model its builder's own defaults, as far as a file can state them."""
    stated = list(inspect.signature(function).parameters.values())[int(takes_data(function)) :]
    own = {p.name: p.default for p in stated if p.default is not p.empty and _is_plain(p.default)}
    return Target(target.name, target.path, {**own, **target.params})


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    return value is None or isinstance(value, bool | int | float | str)


def _parameters(node: str, function: Callable[..., Any], target: Target) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise ConfigError(
            f"{node}._target_: {target.path} does not say which parameters it takes; wanted a Python function"
        ) from None


def _annotations(
    function: Callable[..., Any], keys: Iterable[str], parameters: Sequence[inspect.Parameter]
) -> dict[str, Any]:
    """Annotation of each key, evaluated one by one: those under TYPE_CHECKING cannot be, and leave the others alone."""
    module = inspect.getmodule(inspect.unwrap(function))
    stated = {p.name: p.annotation for p in parameters}
    # a builder with **priors: float takes any key as a float
    rest = next((p.annotation for p in parameters if p.kind is p.VAR_KEYWORD), inspect.Parameter.empty)
    found = {}
    for key in keys:
        annotation = stated.get(key, rest)
        if annotation is inspect.Parameter.empty:
            continue
        try:
            hints = SimpleNamespace(__annotations__={key: annotation})
            found[key] = typing.get_type_hints(hints, vars(module) if module else {}, include_extras=True)[key]
        except (AttributeError, NameError, SyntaxError, TypeError):
            continue
    return found


def _like(value: Any, parameter: inspect.Parameter | None) -> Any:
    """Make an int a float where the default is one: 1.0 says as much as an annotation."""
    wide = parameter is not None and type(parameter.default) is float and type(value) is int
    return float(value) if wide else value


def _convert(value: Any, annotation: Any) -> Any:
    try:
        adapter = TypeAdapter(annotation)
    except (PydanticSchemaGenerationError, PydanticUndefinedAnnotation):
        return value
    found = adapter.validate_python(value)
    try:
        canonical_json(found)
    except TypeError:
        # a Path, say: what has no plain form cannot be hashed or stored, so the function gets what the config states
        return value
    return found
