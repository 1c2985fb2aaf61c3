"""What a pipeline is, and where the files are that state one. It runs nothing."""

from __future__ import annotations

import dataclasses
import re
import runpy
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bayesrun.base.shipped import shipped_folder
from bayesrun.base.spelling import did_you_mean
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Gates", "Pipeline", "find", "names"]

FOLDER = "pipelines"
NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Of a pipeline: it names a Python file, a folder and, with - for _, objects of Kubernetes."""

CRON = (("minute", 0, 59), ("hour", 0, 23), ("day of the month", 1, 31), ("month", 1, 12), ("day of the week", 0, 7))


@dataclass(frozen=True)
class Gates:
    """The bounds of a study, fixed before it runs.

    Parameters
    ----------
    alpha
        Chance that a study without fault is reported, at most, for each cell and each of the two questions, calibration
        and coverage; both adjust for the number of their quantities (Holm). It becomes ``study.alpha``. A study that
        runs every night with the usual 0.05 would cry wolf every third week.
    calibrated
        Whether every cell has to be calibrated. A study whose truth is not drawn from the prior has no calibration, and
        none of it passes.
    coverage
        Level of an interval to how far from it the share of truths that the intervals cover may be. 0 where truth is
        drawn from the prior and coverage has to be the level itself; for a fixed truth it need not be.
    max_failed
        Largest share of fits in a cell that failed or did not converge. It becomes ``study.max_failed``.

    Raises
    ------
    ConfigError
        For a number that is no probability.
    """

    alpha: float = 0.001
    calibrated: bool = True
    coverage: Mapping[float, float] = field(default_factory=lambda: {0.95: 0.0})
    max_failed: float = 0.05

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ConfigError(f"gates.alpha: got {self.alpha!r}; wanted a probability in (0, 1)")
        if not 0 <= self.max_failed <= 1:
            raise ConfigError(f"gates.max_failed: got {self.max_failed!r}; wanted a share in [0, 1]")
        for level, within in self.coverage.items():
            if not (0 < level < 1 and 0 <= within < 1):
                raise ConfigError(
                    f"gates.coverage: got {{{level!r}: {within!r}}}; wanted a level in (0, 1) and a distance in [0, 1)"
                )


@dataclass(frozen=True)
class Pipeline:
    """A study that is run again and again, once for each date.

    Parameters
    ----------
    experiment
        Name of the config in ``conf/experiment``.
    about
        What it is for, in a sentence.
    schedule
        When, as the five fields of cron: minute, hour, day of the month, month, day of the week. Nothing here acts on
        it: the deployments state the same.
    overrides
        Words of the command line after the experiment (``study.replicates=200``).
    gates
        Bounds that make a run exit with 1.
    fresh
        Whether each date has its own datasets (``study.seed`` is the date as a number), or all dates the same ones.
    name
        Name of its file, which is filled in when the file is read.

    Raises
    ------
    ConfigError
        For a schedule that cron would not read.
    """

    experiment: str
    about: str
    schedule: str
    overrides: tuple[str, ...] = ()
    gates: Gates = field(default_factory=Gates)
    fresh: bool = True
    name: str = ""

    def __post_init__(self) -> None:
        fields = self.schedule.split()
        if len(fields) != len(CRON):
            raise ConfigError(f"schedule: got {self.schedule!r}; wanted five fields, for instance '17 1 * * *'")
        for text, (what, low, high) in zip(fields, CRON, strict=True):
            if not all(_in_cron(part, low, high) for part in text.split(",")):
                raise ConfigError(
                    f"schedule: got {text!r} for the {what}; wanted *, a number from {low} to {high}, a range 1-5, a "
                    "list 1,3 or a step */2"
                )


def _in_cron(text: str, low: int, high: int) -> bool:
    match = re.fullmatch(r"(\*|(\d+)(?:-(\d+))?)(?:/(\d+))?", text)
    if not match:
        return False
    first = int(match[2] or low)
    last = int(match[3] or match[2] or high)
    return low <= first <= last <= high and int(match[4] or 1) > 0


def find(name: str) -> Pipeline:
    """Read the pipeline of that name: from ``pipelines/`` in the working directory, or a shipped one.

    Parameters
    ----------
    name
        Name of the file without its suffix. The file sets ``PIPELINE``.

    Raises
    ------
    ConfigError
        If there is none, if one of the user hides a shipped one, or if the file does not state one.
    """
    files = _files()
    if name not in files:
        hint = did_you_mean(name, sorted(files))
        raise ConfigError(f"{name}: there is no pipeline of that name; {hint}there are {', '.join(sorted(files))}")
    if len(files[name]) > 1:
        raise ConfigError(f"{files[name][0]}: bayesrun ships a pipeline of that name; rename yours")
    path = files[name][0]
    found = _loaded(path)
    if not isinstance(found, Pipeline):
        raise ConfigError(f"{path}: it has no PIPELINE = Pipeline(...), which a pipeline states")
    return dataclasses.replace(found, name=name)


def names() -> tuple[str, ...]:
    """Names of all pipelines in reach, sorted."""
    return tuple(sorted(_files()))


def _files() -> dict[str, list[Path]]:
    """Files of the pipelines by name, those of the user first."""
    found: dict[str, list[Path]] = {}
    for folder in dict.fromkeys((Path.cwd() / FOLDER, shipped_folder(FOLDER))):
        for path in sorted(folder.glob("*.py")):
            if NAME.fullmatch(path.stem):
                found.setdefault(path.stem, []).append(path)
    return found


def _loaded(path: Path) -> object:
    """Run the file, which leaves no bytecode beside it: the folder is packed into the wheel as it is."""
    try:
        return runpy.run_path(str(path), run_name=f"{FOLDER}.{path.stem}").get("PIPELINE")
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    except Exception as error:
        raise ConfigError(f"{path}: it cannot be read: {type(error).__name__}: {error}") from error
