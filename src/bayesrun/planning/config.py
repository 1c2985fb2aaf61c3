"""The Hydra schema: composed configs -> cells and settings. The only place where OmegaConf exists.

It imports no model, sampler or dataset: whether a target can be imported is preflight's question.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from bayesrun.base.cell_labels import labelled
from bayesrun.base.secrets import keep_to_oneself, public
from bayesrun.base.shipped import shipped_folder
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError
from bayesrun.planning.option_types import explain
from bayesrun.types import (
    DIAGNOSTICS,
    Cell,
    DiagnosticsOptions,
    DispatchOptions,
    Gate,
    OutputOptions,
    Resources,
    SamplerOptions,
    Settings,
    Steps,
    StudyOptions,
    Target,
    TrackOptions,
    canonical_json,
)

__all__ = [
    "TARGET", "Composed", "as_overridden", "data_of", "generator_target", "shipped_conf", "to_cells", "user_shadows",
    "with_data",
]  # fmt: skip

TARGET = "_target_"
SECTIONS: Mapping[str, type] = {
    "study": StudyOptions,
    "dispatch": DispatchOptions,
    "track": TrackOptions,
    "output": OutputOptions,
}
NUMBERS: Mapping[type, tuple[str, ...]] = {
    kind: tuple(f.name for f in dataclasses.fields(kind) if "int" in str(f.type) or "float" in str(f.type))
    for kind in (SamplerOptions, Resources, DiagnosticsOptions, Gate, Steps, StudyOptions, DispatchOptions)
}
"""Fields that are numbers: pydantic would take true for 1."""

REPLACED = ("columns", "transform", "event", "order", "dates")
"""Mappings of the data config that a mapping on the command line replaces."""

SAFE_NAME = re.compile(r"[\w+-][\w+.-]*")
NODES = ("model", "data", "sampler")
FLAGS = ("dry_run", "verbose")
PER_CELL: Mapping[str, type] = {"steps": Steps, "diagnostics": DiagnosticsOptions, "gate": Gate}
SAME_DRAWS = ("hydra", "dispatch", "track", "gate")
"""Groups whose choice changes no draw."""
OF_CELLS = (*(f"{node}." for node in NODES), "study.truth.", "study.generator.")
NO_DRAWS = ("sampler.resources.", "sampler.timeout.", "sampler.batch_size.")
TOP_LEVEL = (*NODES, *SECTIONS, *PER_CELL, *FLAGS)


@dataclasses.dataclass(frozen=True)
class Composed:
    """One configuration as Hydra composed it.

    Parameters
    ----------
    config
        The configuration without Hydra's own node.
    choices
        Which file was chosen from each group.
    typed
        The overrides of the command line, those of its job where it is a sweep.
    data_name
        Of its dataset; empty: that of its file, or of what was chosen.
    """

    config: DictConfig
    choices: Mapping[str, str]
    typed: Sequence[str] = ()
    data_name: str = ""


def data_of(item: Composed) -> dict[str, Any]:
    """Return the data config of a composed one, as plain values; empty where it is no mapping."""
    values = OmegaConf.select(item.config, "data")
    values = _plain(values) if isinstance(values, DictConfig) else values
    return {str(key): value for key, value in values.items()} if isinstance(values, Mapping) else {}


def with_data(item: Composed, **values: Any) -> Composed:
    """State further values of the data config, as if they were typed."""
    config = item.config.copy()
    OmegaConf.set_struct(config, False)
    for key, value in values.items():
        OmegaConf.update(config, f"data.{key}", value)
    keys = [f"data.{key}=null" for key in values if not any(_is_of(word, f"data.{key}") for word in item.typed)]
    return dataclasses.replace(item, config=config, typed=(*item.typed, *keys))


def _is_of(word: str, key: str) -> bool:
    return word.lstrip("+").partition("=")[0] == key


def shipped_conf() -> Path:
    """Folder of the shipped configuration: inside the installed package, or the checkout's own."""
    folder = shipped_folder("conf")
    if (folder / "config.yaml").is_file():
        return folder
    raise ConfigError("the shipped conf/ folder is missing; install bayesrun again")


def user_shadows(folders: Iterable[Path]) -> list[str]:
    """List the files of user folders that Hydra would silently ignore, since a shipped one has their name."""
    shipped = shipped_conf()
    return [
        str(path)
        for folder in folders
        if folder.resolve() != shipped.resolve()
        for path in sorted(folder.rglob("*.yaml"))
        if (shipped / path.relative_to(folder)).is_file()
    ]


def to_cells(composed: Sequence[Composed]) -> tuple[Settings, tuple[Cell, ...], tuple[str, ...]]:
    """Turn composed configs into the study's settings and its cells, or report everything that is wrong.

    Parameters
    ----------
    composed
        One for each job of the sweep.

    Returns
    -------
    tuple of Settings, Cells and labels
        Configs that state the same thing are merged into one cell; there is one label for each config.

    Raises
    ------
    ConfigError
        One line for each mistake: the config path, what was got, what is wanted.
    """
    plain = [_plain(item.config) for item in composed]
    problems: dict[str, None] = {}
    settings: list[Settings] = []
    cells: list[Cell] = []
    written: dict[str, str] = {}
    for item, values in zip(composed, plain, strict=True):
        found = _Problems()
        settings.append(_settings(values, found))
        cells.append(_cell(item, values, found, written))
        problems |= dict.fromkeys(found.lines)
    problems |= dict.fromkeys(_one_study(plain))
    if problems:
        raise ConfigError("\n".join(problems))
    named = labelled(cells)
    merged = {cell.label: cell for cell in reversed(named)}
    return (
        settings[0],
        tuple(merged[label] for label in dict.fromkeys(c.label for c in named)),
        tuple(cell.label for cell in named),
    )


def as_overridden(config: DictConfig, overrides: Sequence[str]) -> DictConfig:
    """Let a mapping of columns on the command line take the place of the config's, with which Hydra merges it.

    Columns of the shipped config that the user did not name would otherwise stay in the dataset without a word.

    Parameters
    ----------
    config
        As Hydra composed it.
    overrides
        Of the command line, in its order.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(overrides))
    whole = {f"data.{name}" for name in REPLACED}
    given = [item for item in parsed if item.key_or_group in whole and not item.is_sweep_override()]
    # a design makes its columns up, and keeps what an outcome needs of them
    table = any(key in (config.get("data") or {}) for key in ("table", "path"))
    if not table or not any(isinstance(item.value(), Mapping) for item in given):
        return config
    found = config.copy()
    OmegaConf.set_struct(found, False)
    for item in parsed:
        if item.key_or_group in whole:
            OmegaConf.update(found, item.key_or_group, item.value(), merge=False)
        elif item.key_or_group.startswith(tuple(f"{key}." for key in whole)) and not item.is_delete():
            OmegaConf.update(found, item.key_or_group, item.value())
    return found


def generator_target(study: StudyOptions, compose: Callable[[str], Composed]) -> Target | None:
    """Read the model that a study names as its generator.

    Parameters
    ----------
    study
        Its ``generator`` is a name, or a mapping with ``name`` and parameters.
    compose
        Composes the configuration with a model of that name.

    Raises
    ------
    ConfigError
        If the mapping has no name.
    """
    given = study.generator
    if given is None:
        return None
    changed = dict(given) if isinstance(given, Mapping) else {"name": given}
    name = changed.pop("name", None)
    if not isinstance(name, str):
        raise ConfigError(f"study.generator: got {given!r}; wanted the name of a model, or {{name: MODEL, KEY: VALUE}}")
    found = _Problems()
    item = compose(name)
    target = _target("model", _plain(item.config).get("model"), {"model": name}, found)
    if found.lines:
        raise ConfigError("\n".join(f"study.generator: {line}" for line in found.lines))
    return dataclasses.replace(target, params={**target.params, **changed})


class _Problems:
    """What is wrong with one config, collected so that a user sees everything at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def validate[T](self, kind: type[T], values: object, path: str) -> T | None:
        if not isinstance(values, Mapping):
            self.lines.append(f"{path}: got {values!r}; wanted keys of {path}")
            return None
        known = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
        for key, value in values.items():
            if isinstance(value, bool) and key in NUMBERS.get(kind, ()):
                self.lines.append(f"{path}.{key}: got {value!r}; wanted a number")
        for key in sorted(set(values) - known):
            self.lines.append(_unknown(str(key), known, path))
        try:
            adapter: TypeAdapter[T] = _adapter(cast("Hashable", kind))
            return adapter.validate_python({k: v for k, v in values.items() if k in known})
        except ValidationError as error:
            self.lines += explain(kind, path, error.errors())
            return None


@functools.cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Make what checks values of a kind, once for all cells: that takes longer than the check."""
    return TypeAdapter(kind)


def _unknown(key: str, known: Iterable[str], where: str = "") -> str:
    names = sorted(known)
    full = f"{where}.{key}" if where else key
    hint = did_you_mean(key, names, f"{where}." if where else "")
    return f"{full}: unknown key; {hint}{where or 'the config'} has {', '.join(names) or 'no keys'}"


def _plain(config: DictConfig) -> dict[str, Any]:
    try:
        values = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    except OmegaConfBaseException as error:
        key = f"{error.full_key}: " if error.full_key else ""
        raise ConfigError(f"{key}the config cannot be resolved: {str(error).splitlines()[0]}") from None
    return {str(key): value for key, value in dict(values).items()}  # type: ignore[arg-type]


def _settings(values: Mapping[str, Any], found: _Problems) -> Settings:
    for key in sorted(set(values) - set(TOP_LEVEL)):
        found.lines.append(_unknown(key, TOP_LEVEL))
    sections: dict[str, Any] = {
        name: found.validate(kind, values.get(name, {}), name) or kind() for name, kind in SECTIONS.items()
    }
    name = sections["study"].name
    if name is not None and not SAFE_NAME.fullmatch(name):
        found.lines.append(
            f"study.name: got {name!r}; wanted letters, digits and + - _ . without a leading dot: it names a folder"
        )
    objective = sections["study"].objective
    if objective not in DIAGNOSTICS:
        hint = did_you_mean(objective, DIAGNOSTICS, "study.objective=")
        found.lines.append(
            f"study.objective: no diagnostic is called {objective!r}; {hint}there are {', '.join(sorted(DIAGNOSTICS))}"
        )
    if "://" in sections["output"].dir:
        found.lines.append(
            f"output.dir: got {sections['output'].dir!r}; a study is written to a folder; give one that all nodes share"
        )
    dispatch = sections["dispatch"]
    if dispatch.kind == "serial" and dispatch.timeout is not None:
        found.lines.append(
            "dispatch.timeout: dispatch=serial has no worker that could be stopped; bound each fit with "
            "sampler.timeout, or use dispatch=ray"
        )
    flags: dict[str, Any] = {}
    for flag in FLAGS:
        value = values.get(flag, False)
        if not isinstance(value, bool):
            found.lines.append(f"{flag}: got {value!r}; wanted true or false")
        flags[flag] = bool(value)
    return Settings(**sections, **flags)


def _cell(item: Composed, values: Mapping[str, Any], found: _Problems, written: dict[str, str]) -> Cell:
    targets: dict[str, Any] = {node: _target(node, values.get(node), item.choices, found) for node in NODES}
    if item.data_name:
        targets["data"] = dataclasses.replace(targets["data"], name=item.data_name)
    own = {field.name for field in dataclasses.fields(SamplerOptions)}
    sampler = dict(values.get("sampler") or {})
    sampler.pop(TARGET, None)
    resources = found.validate(Resources, sampler.pop("resources", {}), "sampler.resources")
    timeout = sampler.pop("timeout", None)
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        found.lines.append(f"sampler.timeout: got {timeout!r}; wanted seconds greater than 0, or null")
        timeout = None
    if isinstance(timeout, bool):
        found.lines.append(f"sampler.timeout: got {timeout!r}; wanted seconds greater than 0, or null")
    for key in sorted(set(sampler) - own):
        found.lines.append(_unknown(key, own | {"resources", "timeout"}, "sampler"))
    options = found.validate(SamplerOptions, {k: v for k, v in sampler.items() if k in own}, "sampler")
    rest: dict[str, Any] = {
        name: found.validate(kind, values.get(name, {}), name) or kind() for name, kind in PER_CELL.items()
    }
    config = OmegaConf.to_container(item.config, resolve=True)
    keep_to_oneself(config)
    return Cell(
        label="",
        **targets,
        options=options or SamplerOptions(),
        resources=resources or Resources(),
        timeout=timeout,
        **rest,
        config=_as_yaml(public(cast("dict[str, Any]", config)), written),
        words=_words(item),
    )


def _as_yaml(config: Mapping[str, Any], written: dict[str, str]) -> str:
    """Write a config node by node: the cells of a study share most of them, and it takes a while."""
    texts = {repr((key, value)): {key: value} for key, value in config.items()}
    for text, node in texts.items():
        if text not in written:
            written[text] = OmegaConf.to_yaml(OmegaConf.create(node))
    return "".join(written[text] for text in texts)


def _words(item: Composed) -> dict[str, Any]:
    """Return what was typed and chosen for a cell; what cannot change a draw is left out."""
    chosen = {group: name for group, name in item.choices.items() if group.split("/")[0] not in SAME_DRAWS}
    judged = ("gate.n_divergent",) if OmegaConf.select(item.config, "sampler.escalate") else ()
    typed = [
        key
        for key in _keys_typed(tuple(item.typed))
        if key in judged or (f"{key}.".startswith(OF_CELLS) and not f"{key}.".startswith(NO_DRAWS))
    ]
    return public(chosen | {key: _value(item.config, key) for key in typed if key not in chosen})


@functools.lru_cache(maxsize=64)
def _keys_typed(words: tuple[str, ...]) -> tuple[str, ...]:
    """Return the keys of overrides, which the cells of several datasets share."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    parsed = OverridesParser.create().parse_overrides(list(words))
    return tuple(dict.fromkeys(str(one.key_or_group) for one in parsed))


def _value(config: DictConfig, key: str) -> Any:
    found = OmegaConf.select(config, key)
    return OmegaConf.to_container(found, resolve=True) if OmegaConf.is_config(found) else found


def _target(node: str, values: Any, choices: Mapping[str, str], found: _Problems) -> Target:
    if not isinstance(values, Mapping):
        found.lines.append(f"{node}: got {values!r}; wanted a config with {TARGET}; choose one: {node}=NAME")
        return Target(node, "")
    path = values.get(TARGET)
    if not isinstance(path, str) or "." not in path:
        found.lines.append(
            f"{node}.{TARGET}: got {path!r}; wanted the import path of a function, PACKAGE.MODULE.FUNCTION"
        )
        path = ""
    for key, value in values.items():
        if value == "???":
            found.lines.append(f"{node}.{key}: no value given; set it: {node}.{key}=VALUE")
    params = {} if node == "sampler" else {str(k): v for k, v in values.items() if k != TARGET}
    name = str(choices.get(node) or path.rsplit(".", 1)[0].rsplit(".", 1)[-1])
    if node == "data" and isinstance(params.get("path"), str):
        path_given = params["path"]
        file = Path(path_given).expanduser().absolute()
        name, params = file.stem or name, params | {"path": path_given if "://" in path_given else str(file)}
    return Target(name, path, params)


def _one_study(plain: Sequence[Mapping[str, Any]]) -> list[str]:
    lines = []
    for section in (*SECTIONS, *FLAGS):
        parts = [values.get(section) for values in plain]
        keys = parts[0] if isinstance(parts[0], Mapping) else {}
        for key in keys or [None]:
            found = parts if key is None else [(part or {}).get(key) for part in parts]
            if len({canonical_json(value) for value in found}) > 1:
                name = section if key is None else f"{section}.{key}"
                lines.append(
                    f"{name}: differs between the cells of this sweep, and one study has one; run them in turn"
                )
    return lines
