"""`bayesrun`: the Hydra application and its errors in plain words.

Hydra composes; all jobs of a sweep arrive here together (the launcher hands them over) and become one study.
Nothing heavy is imported before the configs were checked.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bayesrun import __version__
from bayesrun.base import machine
from bayesrun.command.overrides import to_hydra
from bayesrun.errors import BayesrunError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bayesrun.planning.config import Composed

__all__ = ["launch", "main"]

OK, FAILED, REFUSED = 0, 1, 2

_ended: list[int | Exception] = []
"""How the studies of this process ended: Hydra hands on the values of jobs only, and announces exceptions."""


def main() -> NoReturn:
    """Run the command line: 0 all done, 1 a fit or a verdict failed, 2 refused and nothing started."""
    for name, threads in machine.THREADS.items():  # read when NumPy is imported, which no module has done yet
        os.environ.setdefault(name, threads)
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: Sequence[str]) -> int:
    from bayesrun.command.verbs import VERBS

    if list(arguments) == ["--version"]:
        sys.stdout.write(f"bayesrun {__version__}\n")
        return OK
    if arguments and arguments[0] in VERBS:
        words = [word for word in arguments[1:] if not _asks_for_more(word)]
        return _reported(lambda: VERBS[arguments[0]](words))
    if arguments and arguments[0].isidentifier():
        return _say(
            f"{arguments[0]}: no verb of that name; {_nearest(arguments[0], tuple(VERBS))}, or KEY=VALUE overrides"
        )
    with tempfile.TemporaryDirectory(prefix="bayesrun-") as scratch:
        os.environ["BAYESRUN_SCRATCH"] = scratch
        # Hydra then raises what it finds instead of printing it and leaving with 1
        os.environ["HYDRA_FULL_ERROR"] = "1"
        sys.argv[1:] = to_hydra(arguments)
        return _reported(_hydra)


def _hydra() -> int:
    import hydra

    from bayesrun.planning.config import shipped_conf

    _ended.clear()
    hydra.main(config_path=str(shipped_conf()), config_name="config", version_base="1.3")(_single)()
    for end in _ended:
        if isinstance(end, Exception):
            raise end
    return max((end for end in _ended if isinstance(end, int)), default=OK)


def _reported(action: Any) -> int:
    """Do something and word its errors: every one the user can make is one line or a few, never a traceback."""
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    try:
        return int(action())
    except BayesrunError as error:
        if _verbose():
            raise
        return _say(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        if _verbose():
            raise
        return _say(_hydra_words(error))
    except Exception as error:
        if _verbose():
            raise
        _say(_unexpected(error))
        return FAILED
    except KeyboardInterrupt:
        _say("interrupted; finished fits are kept, and the same command goes on from there")
        return 130


def _verbose() -> bool:
    return any(map(_asks_for_more, sys.argv[1:]))


def _asks_for_more(argument: str) -> bool:
    return argument.lstrip("+") == "verbose=true"


def _unexpected(error: Exception) -> str:
    """Word what nobody foresaw: a user's code may raise anything, and the rest is ours."""
    from bayesrun.base.imports import users_place

    place = users_place(error)
    if place is None:
        return f"unexpected {type(error).__name__}: {error}; this is a defect of bayesrun, and verbose=true shows where"
    return f"{type(error).__name__}: {error} ({place}); this is code of yours, and verbose=true shows how it got there"


def _say(text: str) -> int:
    for line in text.splitlines():
        sys.stderr.write(f"bayesrun: {line}\n")
    return REFUSED


def _hydra_words(error: BaseException) -> str:
    """Say in one line what Hydra found, with the nearest right spelling."""
    text = str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    options = getattr(error, "options", None)
    missing = getattr(error, "missing_cfg_file", None)
    if options is not None and missing:
        group, _, name = str(missing).rpartition("/")
        return f"{group}={name}: there is no {group} {name!r}; {_nearest(name, options)}"
    match = re.search(r"Could not override '([^']+)'", text)
    if match:
        return _unknown_override(match.group(1))
    if "Ambiguous value for argument" in text:
        given = re.search(r"'(.*)'", lines[0])
        return f"{(given.group(1) if given else lines[0]).lstrip('+')}: several values are a sweep: add -m"
    if type(error).__name__ == "OverrideParseException":
        return f"{lines[0]}; put quotes around values with blanks, commas, parentheses, '=' or '~': \"key='value'\""
    return lines[0]


def _unknown_override(key: str) -> str:
    from bayesrun.planning.config import TOP_LEVEL

    return f"{key}: unknown key; {_nearest(key, TOP_LEVEL)}"


def _nearest(name: str, options: Sequence[str]) -> str:
    from bayesrun.base.spelling import did_you_mean

    return f"{did_you_mean(name, options)}there are {', '.join(sorted(options))}"


def _single(config: DictConfig) -> Any:
    from hydra.core.hydra_config import HydraConfig

    try:
        hydra = HydraConfig.get()
        return _study([config], hydra.runtime, [hydra.overrides.task])[0]
    except BrokenPipeError:
        # whoever read the output has gone, as `| head` does; nothing more is to be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # noqa: BLE001 - it is raised again outside of Hydra
        _ended.append(error)
        return None


def launch(configs: Sequence[DictConfig], overrides: Sequence[list[str]]) -> list[JobReturn]:
    """Run all jobs of a sweep as one study: the launcher's entry.

    Parameters
    ----------
    configs
        Each composed, with Hydra's own node.
    overrides
        What each job was swept with.

    Returns
    -------
    list of JobReturn
        With the study's objective as the value, for sweepers that optimise.
    """
    from hydra.core.utils import JobReturn, JobStatus

    values = _study(
        configs,
        configs[0].hydra.runtime,
        [config.hydra.overrides.task for config in configs],
        [config.hydra.runtime.choices for config in configs],
    )
    return [
        JobReturn(overrides=swept, cfg=config, _return_value=value, status=JobStatus.COMPLETED)
        for config, swept, value in zip(configs, overrides, values, strict=True)
    ]


def _with_model(name: str) -> Composed:
    """Compose the configuration again with another model, of which only its own node is used."""
    from hydra import compose

    from bayesrun.planning.config import Composed

    return Composed(compose("config", overrides=[f"model={name}"]), {"model": name})


def _study(
    configs: Sequence[DictConfig],
    runtime: Any,
    overrides: Sequence[Sequence[str]],
    choices: Sequence[Any] | None = None,
) -> list[float | None]:
    from omegaconf import open_dict

    from bayesrun.planning.config import Composed, as_overridden, generator_target, to_cells, user_shadows

    folders = [Path(source.path) for source in runtime.config_sources if source.schema == "file"]
    shadowed = user_shadows(folders)
    if shadowed:
        raise ConfigError(
            "\n".join(
                f"{path}: bayesrun ships a config of that name, and Hydra would use it; rename yours"
                for path in shadowed
            )
        )
    composed = []
    for index, config in enumerate(configs):
        own = as_overridden(config, overrides[index]).copy()
        with open_dict(own):
            own.pop("hydra", None)
        chosen = choices[index] if choices is not None else runtime.choices
        composed.append(Composed(own, {str(k): str(v) for k, v in chosen.items()}))
    settings, cells, labels = to_cells(composed)
    settings = dataclasses.replace(settings, generator=generator_target(settings.study, _with_model))

    from bayesrun.base.imports import make_importable
    from bayesrun.command.study import run
    from bayesrun.command.terminal import console

    if machine.fastmath():
        _say("PYTENSOR_FLAGS sets numba__fastmath: the same seed may give other draws when code comes from a cache")
    make_importable(Path.cwd())
    result = run(settings, cells, console())
    _ended.append(result.exit_code)
    return [result.objective.get(label) for label in labels]
