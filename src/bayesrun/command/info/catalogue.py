"""The configs in reach: those that are shipped, and those of a user's folder; each group with its choices."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bayesrun.base.spelling import did_you_mean
from bayesrun.command.info.config_files import read_config
from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from bayesrun.command.info.config_files import ConfigFile

__all__ = ["Catalogue"]

ORDER: Final = ("model", "data", "sampler", "study", "experiment", "gate", "dispatch", "track")
"""Groups in the order in which people choose; others follow by name."""
USUAL: Final = "conf"
"""Folder that people have their own configs in."""


@dataclass(frozen=True)
class Catalogue:
    """Folders of configs, in the order in which Hydra looks into them.

    Parameters
    ----------
    folders
        The first one has ``config.yaml``.
    """

    folders: tuple[Path, ...]

    @classmethod
    def within(cls, own: str | None) -> Catalogue:
        """Take the shipped configs, and those of a user's folder.

        Raises
        ------
        ConfigError
            If there is no such folder.
        """
        from bayesrun.base.shipped import shipped_folder

        if own is not None and not Path(own).expanduser().is_dir():
            raise ConfigError(f"--config-dir: got {own}; wanted a folder of configs: DIR/model/NAME.yaml, ...")
        return cls((shipped_folder("conf"), *([Path(own).expanduser().absolute()] if own is not None else [])))

    def groups(self) -> tuple[str, ...]:
        """List the groups."""
        found = {path.name for folder in self.folders for path in folder.iterdir() if _is_group(path)}
        return tuple(sorted(found, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)))

    def names(self, group: str) -> tuple[str, ...]:
        """List the choices of a group."""
        inside = [folder / group for folder in self.folders]
        return tuple(
            sorted({str(path.relative_to(one).with_suffix("")) for one in inside for path in one.rglob("*.yaml")})
        )

    def main(self) -> ConfigFile:
        """Read the config of the whole."""
        return read_config(self.folders[0] / "config.yaml")

    def sections(self) -> tuple[str, ...]:
        """List the keys at the top of the whole config that have no group."""
        return tuple(entry.name for entry in self.main().entries if entry.name != "hydra")

    def read(self, group: str, name: str) -> ConfigFile:
        """Read a choice; see `path_of`."""
        return read_config(self.path_of(group, name))

    def path_of(self, group: str, name: str) -> Path:
        """Find the file of a choice.

        Raises
        ------
        ConfigError
            If there is none of that name, with the nearest, and where else one is.
        """
        for folder in self.folders:
            if (path := folder / group / f"{name}.yaml").is_file():
                return path
        if len(self.folders) == 1 and (Path(USUAL) / group / f"{name}.yaml").is_file():
            raise ConfigError(f"{group}={name}: it is in {USUAL}/; add --config-dir {USUAL}")
        known = self.names(group)
        hint = did_you_mean(name, known, f"{group}=")
        raise ConfigError(f"{group}={name}: there is no {group} {name!r}; {hint}there are {', '.join(known)}")


def _is_group(path: Path) -> bool:
    return path.is_dir() and path.name != "hydra" and next(path.rglob("*.yaml"), None) is not None
