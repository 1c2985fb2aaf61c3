"""The Hydra application: the words of a command line without a verb become one study.

Hydra composes; all jobs of a sweep arrive here together (the launcher hands them over).
Nothing heavy is imported before the configs were checked.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrun.base import machine
from bayesrun.command import verbs
from bayesrun.command.overrides import decoded, has_encoded, refuse_wrong_flags, to_hydra
from bayesrun.command.wording import OK, say
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hydra.core.utils import JobReturn
    from omegaconf import DictConfig

    from bayesrun.planning.config import Composed

__all__ = ["launch", "run"]

_ended: list[int | Exception] = []
"""How the studies of this process ended: Hydra hands on the values of jobs only, and announces exceptions."""


def run(arguments: Sequence[str]) -> int:
    """Compose a study from overrides and run it, or do what Hydra's own flags ask for.

    Parameters
    ----------
    arguments
        The command line, flags at any place.

    Returns
    -------
    int
        Exit code: 0 all done, 1 a fit or a verdict failed.

    Raises
    ------
    BayesrunError, HydraException, OmegaConfBaseException
        With what is wrong in words or config, before anything starts.
    """
    import hydra
    from omegaconf import OmegaConf

    from bayesrun.planning.config import shipped_conf

    words = to_hydra(arguments)
    refuse_wrong_flags(words)
    _ended.clear()
    OmegaConf.register_new_resolver("bayesrun.verbs", verbs.listed, replace=True)  # hydra.help shows them
    with tempfile.TemporaryDirectory(prefix="bayesrun-") as scratch:
        os.environ["BAYESRUN_SCRATCH"] = scratch
        # Hydra then raises what it finds instead of printing it and leaving with 1
        os.environ["HYDRA_FULL_ERROR"] = "1"
        sys.argv[1:] = words
        hydra.main(config_path=str(shipped_conf()), config_name="config", version_base="1.3")(_single)()
    for end in _ended:
        if isinstance(end, Exception):
            raise end
    return max((end for end in _ended if isinstance(end, int)), default=OK)


def _single(config: DictConfig) -> Any:
    from hydra.core.hydra_config import HydraConfig

    try:
        hydra = HydraConfig.get()
        return _study([config], hydra, [hydra.overrides.task])[0]
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
        configs[0].hydra,
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
    hydra: Any,
    overrides: Sequence[Sequence[str]],
    choices: Sequence[Any] | None = None,
) -> list[float | None]:
    from omegaconf import OmegaConf, open_dict

    from bayesrun.planning.config import Composed, as_overridden, generator_target, to_cells, user_shadows
    from bayesrun.planning.several_datasets import named_after_source, several
    from bayesrun.types import StudyOptions

    folders = [Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"]
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
        if any(map(has_encoded, overrides[index])):
            own = OmegaConf.create(decoded(OmegaConf.to_container(own, resolve=False)))
        chosen = choices[index] if choices is not None else hydra.runtime.choices
        named = {str(k): str(v) for k, v in chosen.items()} | {"config": str(hydra.job.config_name)}
        composed.append(Composed(own, named, tuple(overrides[index])))
    parted = several(composed)
    settings, cells, labels = to_cells(parted.composed)
    name = named_after_source(cells, labels, parted.sources, settings.study, StudyOptions().seed)
    settings = dataclasses.replace(
        settings,
        study=dataclasses.replace(settings.study, name=name or settings.study.name),
        generator=generator_target(settings.study, _with_model),
    )

    from bayesrun.base.imports import make_importable
    from bayesrun.command import study
    from bayesrun.command.terminal import console

    if machine.fastmath():
        say("PYTENSOR_FLAGS sets numba__fastmath: the same seed may give other draws when code comes from a cache")
    make_importable(Path.cwd())
    terminal = console()
    for note in parted.notes:
        terminal.print(f"note: {note}", markup=False, soft_wrap=True)
    apart = {labels[place]: parted.sources.get(place, "") for place in sorted(parted.apart)}
    result = study.run(settings, cells, terminal, apart)
    _ended.append(result.exit_code)
    # a config of several datasets has no single objective
    return [result.objective.get(labels[group[0]]) if len(group) == 1 else None for group in parted.places]
