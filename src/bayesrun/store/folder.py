"""Where the files of a study are; is a fit done; read it back.

Every file is written aside, synced and renamed, and the small outcome.json comes last: it is the commit mark, and has
the size and the checksum of every other. A fit is done and whole if all of them are there as they were written. Of
thousands of fits the sizes are compared, and the checksums of files that are newer than their outcome; whoever opens a
file compares its checksum. It computes no diagnostics and knows no tracker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import re
import tempfile
import zipfile
from typing import TYPE_CHECKING, Any

from bayesrun.base.disks import full_or_read_only
from bayesrun.errors import DataError, StoreError
from bayesrun.store.locks import held
from bayesrun.store.posterior_file import read_tree, write_tree
from bayesrun.store.whole_files import (
    ASIDE,
    checksum_of,
    distrust,
    facts_of,
    harm_of,
    read_whole,
    sealed,
    share,
    unsealed,
    write_atomically,
    write_csv,
    write_parquet,
)
from bayesrun.types import SCHEMA_VERSION, Absent, Dataset, DiagnosticsOptions, Outcome, Steps, digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    import numpy as np
    import pandas as pd
    import xarray as xr

    from bayesrun.types import Simulation

__all__ = [
    "CONFIG",
    "DIGEST",
    "ERROR",
    "FIGURES",
    "LOCK",
    "OUTCOME",
    "POSTERIOR",
    "SPREAD",
    "SUMMARY",
    "Store",
    "spread_name",
]

POSTERIOR = "posterior.nc"
SUMMARY = "summary.parquet"
OUTCOME = "outcome.json"
ERROR = "error.txt"
CONFIG = "config.yaml"
FIGURES = "figures"
FINDINGS = "findings.json"
LOCK = "study.lock"
UNDER_WAY = "under_way"
OF_DRAWS = (
    "attempts", "effort", "steps", "diagnostics_options", "quantity_sources", "step_sources", "observed_hash",
    "size", "checksum", "files", "versions", "migrated", "left_out", "single",
    "absent_steps",
)  # fmt: skip
"""What an outcome says of stored draws and of what was worked out from them, whatever failed later."""
SINGLE = ("log_likelihood", "posterior_predictive", "prior_predictive")
"""Groups that may be stored in single precision."""
DIGEST = re.compile(r"[0-9a-f]{16}")
SPREAD = "spread-"
AGAIN = "the command of its study makes it again"


def spread_name(simulation: Simulation) -> str:
    """Name of the arrays that say how far the truth of simulated data spreads."""
    generator = simulation.generator
    own = [generator.path, generator.params, simulation.fingerprint, simulation.identity, simulation.base_hash]
    return f"{SPREAD}{digest(own)}"


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make tuples of JSON's lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


@dataclasses.dataclass(frozen=True)
class Store:
    """The folder of one study.

    Parameters
    ----------
    root
        Absolute path of ``studies/NAME``.
    """

    root: Path

    @property
    def tables(self) -> Path:
        """Folder of the tables, each as parquet and CSV."""
        return self.root / "tables"

    @property
    def journal(self) -> Path:
        """File of what the tracking server has confirmed."""
        return self.root / "journal.jsonl"

    @property
    def study_file(self) -> Path:
        """File of the study's design, seed, versions and host facts."""
        return self.root / "study.json"

    def fit_folder(self, key: str) -> Path:
        """Folder of one fit."""
        return self.root / "fits" / key

    def prepare(self) -> None:
        """Make the study folder and prove that it can be written to.

        Raises
        ------
        StoreError
            If it cannot.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            words = full_or_read_only(error, self.root) or f"{error.strerror}; choose another: output.dir=DIR"
            raise StoreError(f"cannot write to the study folder {self.root}: {words}") from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other command off this study while this one works on it.

        Raises
        ------
        StoreError
            If another command is at work.
        """
        self.prepare()

        def busy(who: str) -> StoreError:
            return StoreError(
                f"another command works on study {self.root.name} ({who}); wait for it, or choose another study.name"
            )

        with held(self.root / LOCK, busy):
            yield

    # datasets

    def data_file(self, data_hash: str) -> Path:
        """File of one real dataset as it is fitted."""
        return self.root / "data" / f"{data_hash}.nc"

    def datasets(self) -> list[str]:
        """Digests of the real datasets that are stored; other files beside them are somebody else's."""
        return sorted(path.stem for path in (self.root / "data").glob("*.nc") if DIGEST.fullmatch(path.stem))

    def write_data(self, dataset: Dataset) -> str:
        """Keep a dataset under its digest, once, and again where the file has changed; return the digest."""
        from bayesrun.data import save

        data_hash = dataset.digest()
        path = self.data_file(data_hash)
        try:
            self.read_data(data_hash)
        except StoreError:
            write_atomically(path, lambda aside: save(dataset, aside))
        return data_hash

    def write_datasets(self, datasets: Iterable[Dataset]) -> None:
        """Keep every dataset of a study."""
        for dataset in datasets:
            self.write_data(dataset)

    def read_data(self, data_hash: str) -> Dataset:
        """Read a dataset back and check that it is the one that was written.

        Raises
        ------
        StoreError
            If there is none, or its content no longer has that digest.
        """
        from bayesrun.data import load

        path = self.data_file(data_hash)
        if not path.exists():
            raise StoreError(f"{path} is missing; {AGAIN}")
        try:
            dataset = load(path)
            same = dataset.digest() == data_hash
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, DataError):  # of NetCDF, or what it holds
            same = False
        if not same:
            raise StoreError(f"{path} was changed after it was written; {AGAIN}")
        return dataset

    def array_file(self, name: str) -> Path:
        """File of named arrays that belong to the datasets of a study."""
        return self.root / "data" / f"{name}.npz"

    def spreads(self) -> list[str]:
        """Names of the stored arrays that say how far true values spread."""
        found = (path.stem for path in (self.root / "data").glob(f"{SPREAD}*.npz"))
        return sorted(name for name in found if DIGEST.fullmatch(name.removeprefix(SPREAD)))

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep named arrays together."""
        import numpy as np

        names = np.array(list(arrays), dtype=str)
        write_atomically(self.array_file(name), lambda aside: np.savez(aside, names, *arrays.values()))

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read named arrays back; empty where there are none, or they are not as they were written."""
        import numpy as np

        try:
            with self.array_file(name).open("rb") as file, np.load(file, allow_pickle=False) as stored:
                names = stored["arr_0"]
                return {str(label): stored[f"arr_{place}"] for place, label in enumerate(names, 1)}
        except (OSError, EOFError, LookupError, ValueError, zipfile.BadZipFile):  # a zip file has checksums
            return {}

    # fits

    def read_outcome(self, key: str) -> Outcome | None:
        """Read what came back from a fit; None where nothing was committed or the file is not as it was written."""
        return self._outcome(key, SCHEMA_VERSION)

    def read_older(self, key: str) -> Outcome | None:
        """Read what came back from a fit in the format before this one; None where there is no such."""
        return self._outcome(key, SCHEMA_VERSION - 1)

    def _outcome(self, key: str, schema: int) -> Outcome | None:
        try:
            fields = unsealed((self.fit_folder(key) / OUTCOME).read_text())
            if fields.pop("schema", None) != schema:
                return None
            return Outcome(
                **fields
                | {
                    "steps": Steps(**fields["steps"]),
                    "diagnostics_options": DiagnosticsOptions(**_tuples(fields["diagnostics_options"])),
                    "warnings": tuple(fields["warnings"]),
                    "attempts": tuple(fields["attempts"]),
                    "left_out": tuple(fields.get("left_out", ())),
                    "files": {name: tuple(facts) for name, facts in fields.get("files", {}).items()},
                    "absent_steps": {name: Absent(**why) for name, why in fields.get("absent_steps", {}).items()},
                }
            )
        except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
            return None

    def fit_keys(self) -> list[str]:
        """Keys of all fits that have a folder."""
        return sorted(path.name for path in (self.root / "fits").glob("*") if path.is_dir())

    def is_older(self, key: str) -> bool:
        """Whether what came back from a fit is in the format of an earlier version."""
        try:
            return bool(unsealed((self.fit_folder(key) / OUTCOME).read_text()).get("schema") != SCHEMA_VERSION)
        except (OSError, ValueError):
            return False

    def read_older_tree(self, older: Outcome) -> xr.DataTree:
        """Read the posterior of a fit in the format before this one, and compare its checksum.

        Raises
        ------
        StoreError
            If it is not as it was written.
        """
        path = self.fit_folder(older.key) / POSTERIOR
        if harm := read_whole(path, older.checksum)[1]:
            raise StoreError(harm)
        return read_tree(path)

    def adopt(self, older: Outcome, outcome: Outcome, config: str) -> None:
        """Commit the files of a fit in the format before this one as another fit, which shares them on the disk.

        Parameters
        ----------
        older
            What came back then. Its folder stays.
        outcome
            The same fit as it is called now.
        config
            Its configuration.

        Raises
        ------
        StoreError
            If the folder cannot be written to.
        """
        before, now = self.fit_folder(older.key), self.fit_folder(outcome.key)
        for name in (POSTERIOR, SUMMARY, ERROR, *outcome.files):
            if (before / name).exists():
                share(before / name, now / name)
        self.write_config(outcome.key, config)
        self._write_outcome(outcome)

    def done(self, key: str) -> Outcome | None:
        """Outcome of a fit that is done and whole."""
        outcome = self.settled(key)
        return outcome if outcome is not None and outcome.status == "done" else None

    def settled(self, key: str) -> Outcome | None:
        """Outcome of a fit that is done and whole, or that failed; None where there is none, or see `damage`."""
        outcome = self.read_outcome(key)
        if outcome is None or outcome.status == "failed":
            return outcome
        return None if self._first_harm(outcome, self._files(outcome)) else outcome

    def drawn(self, key: str) -> Outcome | None:
        """Outcome of a fit whose posterior is as it was written, whatever became of what was worked out from it."""
        outcome = self.read_outcome(key)
        if outcome is None or not outcome.checksum or self._first_harm(outcome, (POSTERIOR,)):
            return None
        return outcome

    def damage(self, key: str) -> str:
        """Say what of a fit is missing or changed; empty where it is whole, failed, or nothing was ever written."""
        outcome = self.read_outcome(key)
        if outcome is None:
            folder = self.fit_folder(key)
            if not any((folder / name).exists() for name in (POSTERIOR, OUTCOME)):
                return ""
            changed = (folder / OUTCOME).exists()
            return f"{OUTCOME} is {'not as it was written' if changed else 'missing, or the fit was stopped before it'}"
        return "" if outcome.status == "failed" else self._first_harm(outcome, self._files(outcome))

    def _files(self, outcome: Outcome) -> tuple[str, ...]:
        return (POSTERIOR, *dict.fromkeys((SUMMARY, *outcome.files)))

    def _first_harm(self, outcome: Outcome, names: Iterable[str]) -> str:
        """Say what became of the files of a fit; empty where nothing did."""
        folder = self.fit_folder(outcome.key)
        recorded = {POSTERIOR: (outcome.size, outcome.checksum), **outcome.files}
        try:
            since = (folder / OUTCOME).stat().st_mtime_ns
        except OSError:
            return f"{OUTCOME} is missing"
        found = (harm_of(folder / name, *recorded.get(name, (0, "")), since) for name in names)
        return next(filter(None, found), "")

    def verify(self, key: str) -> bool:
        """Whether the posterior still has the checksum that was recorded (reads the whole file)."""
        outcome = self.drawn(key)
        if outcome is None:
            return False
        path = self.fit_folder(key) / POSTERIOR
        same = checksum_of(path) == outcome.checksum
        if not same:
            distrust(path)
        return same

    def mark(self, key: str) -> Path:
        """File with the name of the step that is under way for a fit whose draws are there."""
        return self.fit_folder(key) / UNDER_WAY

    def write_draws(self, outcome: Outcome, tree: xr.DataTree) -> Outcome:
        """Commit the draws of a fit before its steps: until these are there it is not whole, and it is not drawn again.

        Parameters
        ----------
        outcome
            What came back, with every step absent.
        tree
            The posterior.
        """
        found = self._with_posterior(outcome, tree)
        self._write_outcome(found)
        return found

    def write_fit(
        self, outcome: Outcome, tree: xr.DataTree | None, summary: pd.DataFrame, *, traceback: str = ""
    ) -> Outcome:
        """Commit a fit: posterior and summary first, the outcome last.

        Parameters
        ----------
        outcome
            What came back.
        tree
            The posterior with its groups; None: the stored one stays, of which the outcome has size and checksum.
        summary
            One row for each scalar.
        traceback
            Of the steps that failed; empty: none did.

        Returns
        -------
        Outcome
            With size and checksum of every file filled in.
        """
        folder = self.fit_folder(outcome.key)
        if tree is not None:
            outcome = self._with_posterior(outcome, tree)
        write_atomically(folder / SUMMARY, lambda aside: write_parquet(summary, aside))
        figures = sorted((folder / FIGURES).glob("*.png")) if outcome.steps.figures else []
        names = (SUMMARY, *(f"{FIGURES}/{path.name}" for path in figures))
        whole = dataclasses.replace(outcome, files={name: facts_of(folder / name) for name in names})
        if traceback:
            write_atomically(folder / ERROR, lambda aside: aside.write_text(traceback))
        else:
            (folder / ERROR).unlink(missing_ok=True)
        return self.write_outcome(whole)

    def write_outcome(self, outcome: Outcome) -> Outcome:
        """Write what an outcome says now; the files beside it stay as they are."""
        self._write_outcome(outcome)
        self.mark(outcome.key).unlink(missing_ok=True)
        return outcome

    def _with_posterior(self, outcome: Outcome, tree: xr.DataTree) -> Outcome:
        path = self.fit_folder(outcome.key) / POSTERIOR
        write_atomically(path, lambda aside: write_tree(tree, aside, SINGLE if outcome.single else ()))
        size, checksum = facts_of(path)
        return dataclasses.replace(outcome, size=size, checksum=checksum)

    def write_failure(self, outcome: Outcome, traceback: str) -> Outcome:
        """Record a failed fit with its traceback; it is tried again by the next command.

        Draws that are stored stay, and are completed then: a fit that failed after its draws is failed, not lost.
        """
        write_atomically(self.fit_folder(outcome.key) / ERROR, lambda aside: aside.write_text(traceback))
        stored = self.drawn(outcome.key)
        if stored is not None:
            seconds = {**stored.seconds, **outcome.seconds}
            of_draws = {name: getattr(stored, name) for name in OF_DRAWS}
            outcome = dataclasses.replace(outcome, **of_draws, seconds=seconds)
        self._write_outcome(outcome)
        return outcome

    def keep(self, outcome: Outcome, complete: Callable[[Outcome], bool]) -> Outcome:
        """Record what only the driver knows: that a worker was lost, or ran out of time or memory.

        Parameters
        ----------
        outcome
            What came back.
        complete
            Whether a stored fit has everything that was wanted of it.

        Returns
        -------
        Outcome
            The stored one where the fit had been committed before its worker was lost.
        """
        written = outcome.reason == "error" and (self.fit_folder(outcome.key) / ERROR).exists()
        if outcome.status == "done" or written:
            return outcome
        stored = self.done(outcome.key)
        if stored is not None and complete(stored):
            return stored
        try:
            return self.write_failure(outcome, outcome.message + "\n")
        except (OSError, StoreError):
            return outcome  # the disk may be what failed; the study goes on and shows the outcome

    def _write_outcome(self, outcome: Outcome) -> None:
        text = sealed({"schema": SCHEMA_VERSION} | dataclasses.asdict(outcome))
        write_atomically(self.fit_folder(outcome.key) / OUTCOME, lambda aside: aside.write_text(text))

    def write_config(self, key: str, text: str) -> None:
        """Keep the resolved configuration of a fit beside it."""
        path = self.fit_folder(key) / CONFIG
        if not path.exists() or path.read_bytes() != text.encode():
            write_atomically(path, lambda aside: aside.write_bytes(text.encode()))

    def stored_keys(self) -> set[str]:
        """Keys of the fits of which anything is stored."""
        return {path.name for path in self.root.glob("fits/*") if self.has_fit(path.name)}

    def has_fit(self, key: str) -> bool:
        """Whether anything of a fit is stored, whole or not, beside its config."""
        return any((self.fit_folder(key) / name).exists() for name in (OUTCOME, POSTERIOR, SUMMARY, ERROR))

    def own_files(self, key: str) -> list[Path]:
        """Files of a fit that are there, and what was being written of it; not what somebody else put beside them."""
        folder = self.fit_folder(key)
        names = (OUTCOME, POSTERIOR, SUMMARY, ERROR, CONFIG, UNDER_WAY)
        found = [path for path in folder.glob("*") if path.name in names or ASIDE.fullmatch(path.name)]
        figures = folder / FIGURES
        if not figures.is_symlink():
            found += [path for path in figures.glob("*") if path.suffix == ".png" or ASIDE.fullmatch(path.name)]
        return sorted(path for path in found if path.is_symlink() or path.is_file())

    def size_of(self, key: str) -> int:
        """Bytes of the files of a fit."""
        return sum(path.lstat().st_size for path in self.fit_folder(key).rglob("*") if not path.is_dir())

    def forget_fit(self, key: str) -> None:
        """Remove a fit: its outcome first, so that one that is half removed is never taken for whole.

        Files that somebody else put beside it stay.

        Raises
        ------
        StoreError
            If its folder is not in that of the study, or cannot be removed.
        """
        folder = self.fit_folder(key)
        if folder.is_symlink() or not folder.resolve().is_relative_to(self.root.resolve()):
            raise StoreError(f"{folder} is a link to another place, which is left alone; remove it by hand")
        try:
            for path in (folder / OUTCOME, *self.own_files(key)):
                path.unlink(missing_ok=True)
            for left in (folder / FIGURES, folder):
                with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                    if not left.is_symlink() and not any(left.iterdir()):
                        left.rmdir()
        except OSError as error:
            raise StoreError(
                f"{folder} cannot be removed: {error.strerror}; what is left of it counts for nothing, and the same "
                "command removes it once that is mended"
            ) from None

    def read_tree(self, key: str) -> xr.DataTree:
        """Read a posterior into memory, and compare its checksum: 3 ms for 5 MB.

        Raises
        ------
        StoreError
            If there is none, or it is not as it was written.
        """
        from bayesrun.base.large_arrays import kept_in

        self.require_whole(key)
        with kept_in(self.root):
            return read_tree(self.fit_folder(key) / POSTERIOR)

    def require_whole(self, key: str) -> None:
        """Refuse a posterior that is not as it was written (reads the whole file).

        Raises
        ------
        StoreError
            If there is none, or it is another.
        """
        if self.verify(key):
            return
        outcome = self.read_outcome(key)
        if outcome is None or not outcome.checksum:
            raise StoreError(f"no finished fit {key} in {self.root}")
        lost = self._first_harm(outcome, (POSTERIOR,)) or f"{POSTERIOR} was changed after it was written"
        raise StoreError(f"{self.fit_folder(key)}: {lost}; {AGAIN}")

    def read_summary(self, key: str) -> pd.DataFrame:
        """Read the summary of a fit: one row per scalar.

        Raises
        ------
        StoreError
            If there is none, or it is not as it was written.
        """
        import pandas as pd

        outcome = self.read_outcome(key)
        path = self.fit_folder(key) / SUMMARY
        content, harm = read_whole(path, outcome.files.get(SUMMARY, (0, ""))[1] if outcome is not None else "")
        if not harm:
            with contextlib.suppress(OSError, ValueError):  # Arrow's errors are among them
                return pd.read_parquet(io.BytesIO(content))
        raise StoreError(f"{path.parent}: {harm or f'{SUMMARY} is no table'}; {AGAIN}")

    # the study

    def read_study(self) -> dict[str, Any]:
        """Read the study's facts; empty where there is no study yet."""
        try:
            return unsealed(self.study_file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except ValueError as error:
            what = "is not JSON" if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)) else "is damaged"
            raise StoreError(
                f"{self.study_file} {what}: {error}; restore it, or delete it: the next command writes it anew"
            ) from None

    def write_study(self, facts: Mapping[str, Any]) -> None:
        """Write the study's facts."""
        text = sealed(facts)
        write_atomically(self.study_file, lambda aside: aside.write_text(text))

    def read_findings(self) -> dict[str, Any]:
        """Read what the tables were made of last; empty where there are none or the file is not as it was written."""
        try:
            return unsealed((self.tables / FINDINGS).read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            return {}

    def write_findings(self, findings: Mapping[str, Any]) -> None:
        """Keep what the tables were made of, and comparisons, which take time."""
        text = sealed(findings)
        write_atomically(self.tables / FINDINGS, lambda aside: aside.write_text(text))

    def write_table(self, name: str, frame: pd.DataFrame, *, index: bool = True) -> None:
        """Write a table as parquet and CSV."""
        write_atomically(self.tables / f"{name}.parquet", lambda aside: frame.to_parquet(aside, index=index))
        write_atomically(self.tables / f"{name}.csv", lambda aside: write_csv(frame, aside, index=index))

    def remove_table(self, name: str) -> None:
        """Remove a table that an earlier command wrote and this one has no rows for."""
        for suffix in (".parquet", ".csv"):
            (self.tables / f"{name}{suffix}").unlink(missing_ok=True)
