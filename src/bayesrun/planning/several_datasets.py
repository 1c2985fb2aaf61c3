"""One config as several: a cell for each file that a pattern matches, and for each level of a column.

It reads files only where a column is to part them. What is wrong with one of several datasets is the matter of its own
cell.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from bayesrun.errors import BayesrunError, ConfigError
from bayesrun.planning.batches import study_name
from bayesrun.planning.config import TARGET, Composed, data_of, with_data
from bayesrun.planning.loaded_data import levels_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bayesrun.types import Cell, StudyOptions

__all__ = ["Several", "named_after_source", "several"]

UNSET: Final = "???"
"""What a config holds that wants a value."""
PATTERN: Final = re.compile(r"[*?\[]")
SHORT: Final = 32
"""Characters of a dataset's name."""
CUT: Final = ".."
"""Stands for what is left out of a longer one."""


@dataclasses.dataclass(frozen=True)
class Several:
    """Configs of a command, each with one dataset.

    Parameters
    ----------
    composed
        What Hydra composed, once for each dataset.
    places
        For each config that Hydra composed, those in `composed`.
    apart
        Places of those that are one of several datasets: what is wrong with one does not stop the others.
    sources
        What the datasets of a config are together, by its place.
    notes
        What people should know of how they were parted.
    """

    composed: tuple[Composed, ...]
    places: tuple[tuple[int, ...], ...]
    apart: frozenset[int] = frozenset()
    sources: Mapping[int, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class _One:
    """A config of one dataset: its file as typed, or what names its table, and its level."""

    item: Composed
    where: str
    level: str | None
    source: str


def several(composed: Sequence[Composed]) -> Several:
    """Part configs that name several datasets.

    Parameters
    ----------
    composed
        As Hydra composed them.

    Raises
    ------
    ConfigError
        If a pattern matches no file.
    """
    notes: dict[str, None] = {}
    parted = [_parted(item, notes) for item in composed]
    flat = [one for ones in parted for one in ones]
    names = _names(flat)
    found = [
        dataclasses.replace(one.item, data_name=names[one.where, one.level])
        if (one.where, one.level) in names
        else one.item
        for one in flat
    ]
    starts = [sum(map(len, parted[:place])) for place in range(len(parted))]
    places = tuple(tuple(range(start, start + len(ones))) for start, ones in zip(starts, parted, strict=True))
    apart = frozenset(place for group in places if len(group) > 1 for place in group)
    sources = {place: one.source for place, one in enumerate(flat) if one.source}
    return Several(tuple(found), places, apart, sources, tuple(notes))


def named_after_source(
    cells: Sequence[Cell], labels: Sequence[str], sources: Mapping[int, str], study: StudyOptions, default_seed: int
) -> str | None:
    """Name a study after what its datasets are together, so that another file or level belongs to it too.

    Parameters
    ----------
    cells, labels
        The cells, and for each config the label of its cell.
    sources
        What the datasets of a config are together, by its place.
    study
        Has a name, or is named here.
    default_seed
        The seed that is part of no name.

    Returns
    -------
    str, optional
        None where the study has a name, or its datasets are no parts.
    """
    if study.name is not None or not sources:
        return None
    by_label = {labels[place]: source for place, source in sources.items()}
    renamed = [
        dataclasses.replace(cell, data=dataclasses.replace(cell.data, name=by_label.get(cell.label, cell.data.name)))
        for cell in cells
    ]
    return study_name(renamed, study.seed, default_seed, study.kind)


def _parted(item: Composed, notes: dict[str, None]) -> list[_One]:
    data = data_of(item)
    path, by = data.get("path"), data.get("by")
    if path == UNSET:  # which is said where the config is read
        return [_One(item, "", None, "")]
    files = _files(path) if isinstance(path, str) else None
    source = "" if files is None else _clean(_folder(str(path)))
    here = str(path) if isinstance(path, str) else f"{data.get(TARGET)} {data.get('table', '')}"
    items = [(here, item)] if files is None else [(file, with_data(item, path=file)) for file in files]
    if by is None or data.get("level") is not None:
        level = None if by is None else str(data["level"])
        return [_One(one, where, level, source) for where, one in items]
    source = source or (_clean(_stem(here)) if isinstance(path, str) else item.choices.get("data", ""))
    return [
        _One(one if level is None else with_data(one, level=level), where, level, f"{source}-by-{_clean(str(by))}")
        for where, one in items
        for level in _levels(where, one, notes, alone=len(items) == 1)
    ]


def _levels(where: str, item: Composed, notes: dict[str, None], *, alone: bool) -> Sequence[str | None]:
    """List the levels of one table; a table among others that has none is refused when its cell is checked."""
    values = data_of(item)
    try:
        levels, absent = levels_of(str(item.choices.get("data", "data")), values)
    except BayesrunError:
        if alone:
            raise
        return [None]
    if absent:
        name = _stem(where) if isinstance(values.get("path"), str) else item.choices.get("data", "data")
        notes[
            f"data={name}: {absent} row{'' if absent == 1 else 's'} without {values['by']} "
            f"{'is' if absent == 1 else 'are'} in no dataset"
        ] = None
    return sorted(levels, key=_natural)


def _files(path: str) -> list[str] | None:
    """List the files that a pattern matches in the order in which people count; None where it is none."""
    if not PATTERN.search(path):
        return None
    if "://" in path:
        return _remote(path)
    if Path(path).expanduser().exists():
        return None
    found = sorted(
        (one for one in glob.glob(str(Path(path).expanduser()), recursive=True) if Path(one).is_file()), key=_natural
    )
    if not found:
        raise ConfigError(f"data.path: no file matches {path!r}; {_nearby(path)}")
    return found


def _remote(path: str) -> list[str]:
    try:
        import fsspec

        system, _, paths = fsspec.get_fs_token_paths(path)
    except Exception as error:
        raise ConfigError(
            f"data.path: {path} cannot be listed ({type(error).__name__}: {error}); check the address and the "
            "credentials, and install 'bayesrun[s3]' for s3"
        ) from error
    if not paths:
        raise ConfigError(f"data.path: no file matches {path!r}; check the address")
    return sorted((system.unstrip_protocol(one) for one in paths), key=_natural)


def _nearby(path: str) -> str:
    folder = Path(_folder_path(path)).expanduser()
    if not folder.is_dir():
        return f"there is no folder {folder}"
    names = sorted(entry.name for entry in folder.iterdir())
    return (
        f"the folder {folder.absolute()} has {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"
        if names
        else (f"the folder {folder.absolute()} is empty")
    )


def _folder_path(path: str) -> str:
    """Return what of a pattern stands before its first part with a sign of patterns."""
    parts = PurePosixPath(path).parts
    plain = next(place for place, part in enumerate(parts) if PATTERN.search(part))
    return str(PurePosixPath(*parts[:plain]))


def _folder(path: str) -> str:
    folder = _folder_path(path)
    return PurePosixPath(folder).name or (Path.cwd().name if "://" not in path else "files")


def _stem(path: str) -> str:
    return PurePosixPath(path).stem


def _names(ones: Sequence[_One]) -> dict[tuple[str, str | None], str]:
    """Name datasets by what tells them apart: levels, names of files, and of folders where files have the same."""
    paths = [one.where for one in ones if isinstance(data_of(one.item).get("path"), str)]
    stems = _shortened(map(_stem, paths))
    of_files = _telling(paths, stems)
    known = {one.where for one in ones if not one.source}  # these keep the plain name of the file
    tables = {one.where for one in ones if one.level is not None}
    of_levels = _shortened(one.level for one in ones if one.level is not None)
    found: dict[tuple[str, str | None], str] = {}
    for one in ones:
        file = of_files.get(one.where)
        if one.level is None:
            if file is not None and (one.where not in known or file != stems[_stem(one.where)]):
                found[one.where, None] = file
            continue
        level = of_levels[one.level]
        prefix = file or _clean(one.item.choices.get("data", ""))
        name = f"{prefix}-{level}" if len(tables) > 1 else level
        taken = {other for key, other in found.items() if key != (one.where, one.level)}
        found[one.where, one.level] = name if name not in taken else _free(name, taken)
    return found


def _free(name: str, taken: set[str]) -> str:
    return next(f"{name}_{number}" for number in range(2, len(taken) + 3) if f"{name}_{number}" not in taken)


def _telling(paths: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Name files by their stems; those of one stem by the folders, and what else, that not all of them share."""
    unique = list(dict.fromkeys(paths))
    stems: dict[str, list[str]] = {}
    for path in unique:
        stems.setdefault(names[_stem(path)], []).append(path)
    found = {}
    for stem, same in stems.items():
        if len(same) == 1:
            found[same[0]] = stem
            continue
        parts = {
            path: [*PurePosixPath(str(Path(path).absolute())).parent.parts, PurePosixPath(path).name] for path in same
        }
        shared = min(len(one) for one in parts.values()) - 1
        start = next((i for i in range(shared) if len({one[i] for one in parts.values()}) > 1), shared)
        end = next((i for i in range(shared) if len({one[-1 - i] for one in parts.values()}) > 1), shared)
        short = {path: _clean("-".join(one[start : len(one) - end])) for path, one in parts.items()}
        if len(set(short.values())) < len(same):
            short = {path: f"{stem}_{number}" for number, path in enumerate(same, start=1)}
        found |= short
    return found


def _clean(text: str) -> str:
    """Write a name without what parts a label, as blanks, slashes and signs of equality, and a long one shorter."""
    return _cut(_whole(text))


def _whole(text: str) -> str:
    return re.sub(r"[\s/\\=,]+", "_", text).strip("_") or "blank"


def _cut(name: str) -> str:
    half = (SHORT - len(CUT)) // 2
    return name if len(name) <= SHORT else f"{name[:half]}{CUT}{name[-half:]}"


def _shortened(texts: Iterable[str]) -> dict[str, str]:
    """Write names so that they fit: without the words with which all that are too long begin, and then cut."""
    names = {text: _whole(text) for text in dict.fromkeys(texts)}
    long = [name for name in names.values() if len(name) > SHORT]
    shared = os.path.commonprefix(long) if len(long) > 1 else ""  # noqa: RUF071 - these are letters, and no paths
    start = max((place + 1 for place, letter in enumerate(shared) if letter in "_-."), default=0)
    ends = {name: name[start:] for name in long}
    told = {name: name if end in ("", *names.values()) else end for name, end in ends.items()}
    return {text: _cut(told.get(name, name)) for text, name in names.items()}


def _natural(text: str) -> list[Any]:
    return [(0, int(part), "") if part.isdigit() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", text)]
