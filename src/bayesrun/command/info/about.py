"""All that is told of one choice, gathered from its config, the docstring of what it names, and the options' types."""

from __future__ import annotations

import dataclasses
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bayesrun.command.info.docstrings import SEEN, Docs, docs_of, source_of
from bayesrun.errors import ConfigError
from bayesrun.types import (
    DiagnosticsOptions,
    DispatchOptions,
    Gate,
    OutputOptions,
    Resources,
    SamplerOptions,
    Steps,
    StudyOptions,
    TrackOptions,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from bayesrun.command.info.catalogue import Catalogue
    from bayesrun.command.info.config_files import ConfigFile, Entry
    from bayesrun.command.info.docstrings import Role, Source

__all__ = ["NOTHING", "About", "Key", "about", "options_of", "sentence"]

OPTIONS: Final[Mapping[str, tuple[type, ...]]] = {
    "sampler": (SamplerOptions, Resources),
    "study": (StudyOptions,),
    "steps": (Steps,),
    "diagnostics": (DiagnosticsOptions,),
    "gate": (Gate,),
    "dispatch": (DispatchOptions,),
    "track": (TrackOptions,),
    "output": (OutputOptions,),
}
"""What the keys of a section are checked by, whose docstrings say what they mean."""
NOTHING: Final = "no meaning here"
"""The comment of a key that a sampler takes and does not read."""
DISTRIBUTED: Final = re.compile(r"\S ~ [A-Z]\w*")
"""In the comment of a key: a prior, which the key and others are numbers of."""
REFERENCE: Final = re.compile(r"\s*References?: (?P<text>.*)$")
DATA: Final = re.compile(r"\s*\bData: .*$")
POINTER: Final = re.compile(r"\bbayesrun(?:\.\w+)+")
"""In a docstring: where more of it is."""
WORDS_OF_PYTHON: Final = re.compile(r"\b(None|True|False)\b")
WORDS_OF_YAML: Final[Mapping[str, str]] = {"None": "null", "True": "true", "False": "false"}
LEAST: Final = 12
"""Letters of a sentence; what ends before that is an abbreviation."""


@dataclass(frozen=True)
class Key:
    """A key of a config.

    Parameters
    ----------
    path
        As it is typed: ``model.mu_mean``.
    default
        As the file writes it.
    value
        The same as plain mappings, lists and values.
    meaning
        What it is for; None where that is written nowhere.
    """

    path: str
    default: str
    value: Any
    meaning: str | None


@dataclass(frozen=True)
class About:
    """What is told of a choice.

    Parameters
    ----------
    word
        ``model=hierarchical``, or the name of a section.
    what
        What it is, in a sentence or a few.
    paragraphs
        What there is to know beyond that.
    formula, priors, roles
        Of a model.
    data
        What a model says of its data where it states no roles.
    keys
        With defaults and meanings.
    notes
        Path of a section to what is said of all of its keys.
    chosen
        Group to the choice that comes with it.
    examples
        Command lines.
    references
        What it is after.
    files
        Where it is written.
    lacking
        What of it cannot be told, and the remedy.
    untold
        What to do about a key without a meaning.
    """

    word: str
    what: str
    paragraphs: tuple[str, ...] = ()
    formula: tuple[str, ...] = ()
    priors: tuple[str, ...] = ()
    roles: tuple[Role, ...] = ()
    data: str = ""
    keys: tuple[Key, ...] = ()
    notes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    chosen: Mapping[str, str] = dataclasses.field(default_factory=dict)
    examples: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    lacking: tuple[str, ...] = ()
    untold: str = "write it as a comment behind the key"


def sentence(text: str) -> str:
    """Return the first sentence of a text, without its full stop."""
    for end in re.finditer(r"[.?](?= [A-Z])", text):
        if end.start() >= LEAST:
            return text[: end.start() + (end[0] == "?")]
    return text.removesuffix(".")


def about(catalogue: Catalogue, group: str, name: str) -> About:
    """Gather what is told of a choice.

    Raises
    ------
    ConfigError
        If there is no such choice, or the module that it names is no Python.
    """
    config = _on_bases(catalogue, group, catalogue.read(group, name))
    source = _source(config)
    told = REFERENCE.search(config.head)
    head = REFERENCE.sub("", config.head)
    docs, module = (source.docs, source.module) if source else (Docs(), Docs())
    if source and source.roles:
        head = DATA.sub("", head)
    keys, notes = _keys(catalogue, group, config, docs)
    listed, said = _shipped_table(config)
    is_model = group == "model"
    return About(
        f"{group}={name}",
        head or module.summary or docs.summary,
        (*said, *_paragraphs(group, docs)),
        _formula(config.entries, source) if is_model else (),
        _priors(config.entries, source) if is_model else (),
        source.roles if source and is_model else (),
        docs.parameters.get("data", "") if is_model else "",
        keys,
        notes,
        config.chosen,
        config.examples,
        (*([told["text"]] if told else []), *docs.references, *listed),
        (config.path, *([source.file] if source else [])),
        tuple(_lacking(config, source, head)),
        f"write it under Parameters of {config.target.rpartition('.')[2]}'s docstring"
        if config.target
        else About.untold,
    )


def options_of(catalogue: Catalogue, section: str) -> About:
    """Gather what is told of a section of the whole config, which has no choices."""
    config = catalogue.main()
    entry = next(one for one in config.entries if one.name == section)
    inner = entry.below or (dataclasses.replace(entry, above="", inline=entry.inline or entry.above),)
    keys = tuple(
        Key(f"{section}.{one.name}" if entry.below else section, one.default, one.value, _meaning(one, _of(section)))
        for one in inner
    )
    said = [docs_of(inspect.getdoc(kind) or "").summary for kind in OPTIONS.get(section, ())]
    return About(section, entry.above or entry.inline or "".join(said[:1]), keys=keys)


def _source(config: ConfigFile) -> Source | None:
    return source_of(config.target) if config.target is not None else None


def _on_bases(catalogue: Catalogue, group: str, config: ConfigFile, seen: tuple[Path, ...] = ()) -> ConfigFile:
    """Add what a config has of those of its group that it is made on; what it says itself wins."""
    for base in reversed(config.bases):
        try:
            other = catalogue.read(group, base)
        except ConfigError as error:
            raise ConfigError(f"{config.path}: defaults: {error}") from None
        if other.path in (*seen, config.path):
            continue
        below = _on_bases(catalogue, group, other, (*seen, config.path))
        own = {entry.name: entry for entry in config.entries}
        before = {entry.name: entry for entry in below.entries}
        commented = {name: _with_comments(entry, before.get(name)) for name, entry in own.items()}
        config = dataclasses.replace(
            config,
            entries=tuple((before | commented).values()),
            target=config.target or below.target,
            chosen={**below.chosen, **config.chosen},
        )
    return config


def _with_comments(entry: Entry, before: Entry | None) -> Entry:
    if before is None or entry.inline or entry.above:
        return entry
    return dataclasses.replace(entry, inline=before.inline, above=before.above)


def _keys(catalogue: Catalogue, group: str, config: ConfigFile, docs: Docs) -> tuple[tuple[Key, ...], dict[str, str]]:
    """Make the keys, and what is said of whole sections."""
    if not config.is_global:
        known = docs.parameters if config.target and group != "sampler" else _of(group)
        return tuple(
            Key(f"{group}.{entry.name}", entry.default, entry.value, _meaning(entry, known)) for entry in config.entries
        ), {}
    keys: list[Key] = []
    notes: dict[str, str] = {}
    for section in config.entries:
        if section.name == "hydra":
            keys += _swept(section)
            continue
        if section.above:
            notes[section.name] = section.above
        known = _of_choice(catalogue, section.name, config)
        inner = section.below or (section,)
        keys += [
            Key(
                f"{section.name}.{one.name}" if section.below else section.name,
                one.default,
                one.value,
                _meaning(one, known),
            )
            for one in inner
        ]
    return tuple(keys), notes


def _swept(section: Entry) -> list[Key]:
    """Make a key of each that an experiment sweeps over; the rest of Hydra's node is no one's to set."""
    value = section.value if isinstance(section.value, dict) else {}
    params = (value.get("sweeper") or {}).get("params") or {}
    return [Key(str(key), str(values), values, "swept over") for key, values in params.items()]


def _of(section: str) -> Mapping[str, str]:
    """Return what the options of a section mean, by their types' docstrings."""
    found: dict[str, str] = {}
    for kind in OPTIONS.get(section, ()):
        found |= docs_of(inspect.getdoc(kind) or "", kind.__module__).parameters
    return found


def _of_choice(catalogue: Catalogue, section: str, config: ConfigFile) -> Mapping[str, str]:
    """Return what the keys of a section mean in a config that is made of choices, by that choice's own words too."""
    found = dict(_of(section))
    choice = {**catalogue.main().chosen, **config.chosen}.get(section)
    if choice is not None and not config.path.is_relative_to(catalogue.folders[0] / section):
        other = about(catalogue, section, choice)
        found |= {key.path.partition(".")[2]: key.meaning for key in other.keys if key.meaning}
    return found


def _meaning(entry: Entry, known: Mapping[str, str]) -> str | None:
    """Find what a key means: what its config says, else a docstring; a prior is told among the priors."""
    comment = " ".join(part for part in (entry.inline, entry.above) if part)
    documented = WORDS_OF_PYTHON.sub(lambda m: WORDS_OF_YAML[m[0]], known.get(entry.name, ""))
    if comment and documented and DISTRIBUTED.search(comment):
        return documented
    return comment or documented or None


def _paragraphs(group: str, docs: Docs) -> tuple[str, ...]:
    """Return what docstrings say beyond the first words: of a model all, of others what cites."""
    if group == "model":
        return docs.paragraphs
    told = [docs, *(docs_of(inspect.getdoc(kind) or "") for kind in OPTIONS.get(group, ()))]
    cited = [text for one in told for text in (one.summary, *one.paragraphs) if _cites(text)]
    if cited:
        return tuple(cited)
    elsewhere = [source_of(path) for text in docs.paragraphs for path in POINTER.findall(text)]
    return tuple(text for one in elsewhere if one for text in (one.docs.summary, *one.docs.paragraphs) if _cites(text))


def _cites(text: str) -> bool:
    return re.search(r"\b(1[6-9]|20)\d\d\b", text) is not None


def _formula(entries: Sequence[Entry], source: Source | None) -> tuple[str, ...]:
    """Return the formula that a config gives, that of the docstring, or what the code says is observed."""
    given = [str(entry.value) for entry in entries if entry.name == "formula"]
    if given or source is None:
        return tuple(given)
    return source.docs.formula or tuple(line for line in source.variables if SEEN in line)


def _priors(entries: Sequence[Entry], source: Source | None) -> tuple[str, ...]:
    """Return the priors as the config's comments state them, as it gives them, or as the code has them."""
    numbers = {entry.name: entry.default for entry in entries}

    def filled(text: str) -> str:
        return re.sub(r"[A-Za-z_]\w*", lambda m: f"{m[0]} = {numbers[m[0]]}" if m[0] in numbers else m[0], text)

    stated = [entry.inline for entry in entries if DISTRIBUTED.search(entry.inline)]
    if stated:
        return tuple(filled(text) for text in stated)
    known = source.docs.parameters if source else {}
    told: list[str] = []
    for entry in entries:
        if entry.name == "priors" and isinstance(entry.value, dict):
            told += [f"{term} ~ {_distribution(prior)}" for term, prior in entry.value.items()]
        elif entry.name == "priors":
            told.append(": ".join(filter(None, (f"priors = {entry.default}", _meaning(entry, known)))))
    return (*told, *(line for line in (source.variables if source else ()) if SEEN not in line))


def _distribution(prior: Any) -> str:
    """Write a prior of a config, ``{dist: Normal, mu: 0}``, as Normal(mu = 0); others stay as they are."""
    if not isinstance(prior, dict) or "dist" not in prior:
        return str(prior)
    numbers = (f"{name} = {_distribution(value)}" for name, value in prior.items() if name != "dist")
    return f"{prior['dist']}({', '.join(numbers)})"


def _shipped_table(config: ConfigFile) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the citation of a shipped table, and what its rows and columns are."""
    named = next((entry.value for entry in config.entries if entry.name == "table"), None)
    if config.target != "bayesrun.data.shipped" or not isinstance(named, str):
        return (), ()
    from bayesrun.data.catalogue import CATALOGUE

    table = CATALOGUE.get(named)
    return ((table.citation,), (table.about,)) if table else ((), ())


def _lacking(config: ConfigFile, source: Source | None, head: str) -> Iterable[str]:
    if config.target is not None and source is None:
        yield (
            f"{config.target}: it is no function of a module in this folder or installed, so that its docstring is "
            "not shown; start in the folder of the module, or install it"
        )
    if not head and (source is None or not (source.module.summary or source.docs.summary)):
        yield f"no description: write it as a comment at the top of {config.path.name}"
