"""Where the files of a study are; atomic writes; is a fit done; read it back.

Every file is written aside, synced and renamed, and the small outcome.json comes last: it is the commit
mark. A posterior whose outcome is missing, or whose size or checksum differs from the outcome's, is not
done. It computes no diagnostics and knows no tracker.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import socket
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bayesrun.errors import StoreError
from bayesrun.treefile import write_tree
from bayesrun.types import SCHEMA_VERSION, Dataset, DiagnosticsOptions, Outcome, Steps, canonical_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    import numpy as np
    import pandas as pd
    import xarray as xr

__all__ = ["INDEX", "SUMMARY", "Store", "write_atomically"]

POSTERIOR = "posterior.nc"
SUMMARY = "summary.parquet"
OUTCOME = "outcome.json"
ERROR = "error.txt"
CONFIG = "config.yaml"
FINDINGS = "findings.json"
LOCK = "study.lock"
LARGE_TABLE = 10_000
INDEX = "__index_level_0__"
"""What pandas calls an index without a name in a parquet file."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file aside, sync it, and put it under its name in one step.

    Parameters
    ----------
    path
        Final name; its folder is made.
    write
        Called with the path of the temporary file, which has the same suffix.

    Raises
    ------
    StoreError
        If the folder cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    except OSError as error:
        raise StoreError(
            f"cannot write to {path.parent}: {error.strerror}; choose another folder: output.dir=DIR"
        ) from None
    os.close(handle)
    aside = Path(name)
    try:
        write(aside)
        aside.chmod(0o644)
        _sync(aside)
        aside.replace(path)
        _sync(path.parent)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_parquet(summary: pd.DataFrame, path: Path) -> None:
    """Write a small table with less ado than pandas, which takes longer than measuring a fit."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {str(name): values.to_numpy() for name, values in summary.items()}
    table = pa.table({**columns, INDEX: pa.array(summary.index.to_numpy(dtype=object), pa.string())})
    index = {"name": None, "field_name": INDEX, "pandas_type": "unicode", "numpy_type": "object", "metadata": None}
    about = {"index_columns": [INDEX], "columns": [index], "column_indexes": [], "attributes": summary.attrs}
    pq.write_table(
        table.replace_schema_metadata({"pandas": json.dumps(about)}), path, compression="none", write_statistics=False
    )


def _write_csv(frame: pd.DataFrame, path: Path, *, index: bool) -> None:
    """Write a table as text; a large one by Arrow, which takes a twentieth of the time."""
    if index or len(frame) < LARGE_TABLE:
        frame.to_csv(path, index=index)
        return
    import pyarrow as pa
    import pyarrow.csv as pc

    pc.write_csv(pa.Table.from_pandas(frame, preserve_index=False), path)


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Make tuples of JSON's lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
            raise StoreError(
                f"cannot write to the study folder {self.root}: {error.strerror}; choose another: output.dir=DIR"
            ) from None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other command off this study while this one works on it.

        Raises
        ------
        StoreError
            If another command is at work.
        """
        self.prepare()
        with (self.root / LOCK).open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise StoreError(
                    f"another command works on study {self.root.name} ({file.read().strip() or 'unknown process'}); "
                    "wait for it, or choose another study.name"
                ) from None
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    # datasets

    def data_file(self, data_hash: str) -> Path:
        """File of one real dataset as it is fitted."""
        return self.root / "data" / f"{data_hash}.nc"

    def write_data(self, dataset: Dataset) -> str:
        """Keep a dataset under its digest, once; return the digest."""
        from bayesrun.data import save

        data_hash = dataset.digest()
        path = self.data_file(data_hash)
        if not path.exists():
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
            If its content no longer has that digest.
        """
        from bayesrun.data import load

        path = self.data_file(data_hash)
        dataset = load(path)
        if dataset.digest() != data_hash:
            raise StoreError(f"{path} was changed after it was written; remove it and run the command again")
        return dataset

    def array_file(self, name: str) -> Path:
        """File of named arrays that belong to the datasets of a study."""
        return self.root / "data" / f"{name}.npz"

    def write_arrays(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep named arrays together."""
        import numpy as np

        names = np.array(list(arrays), dtype=str)
        write_atomically(self.array_file(name), lambda aside: np.savez(aside, names, *arrays.values()))

    def read_arrays(self, name: str) -> dict[str, np.ndarray]:
        """Read named arrays back; empty where there are none."""
        import numpy as np

        try:
            with np.load(self.array_file(name), allow_pickle=False) as stored:
                names = stored["arr_0"]
                return {str(label): stored[f"arr_{place}"] for place, label in enumerate(names, 1)}
        except FileNotFoundError:
            return {}

    # fits

    def read_outcome(self, key: str) -> Outcome | None:
        """Read what came back from a fit; None where nothing was committed or the file is not whole."""
        try:
            fields = json.loads((self.fit_folder(key) / OUTCOME).read_text())
        except (FileNotFoundError, NotADirectoryError, json.JSONDecodeError):
            return None
        if fields.pop("schema", None) != SCHEMA_VERSION:
            return None
        return Outcome(
            **fields
            | {
                "steps": Steps(**fields["steps"]),
                "diagnostics_options": DiagnosticsOptions(**_tuples(fields["diagnostics_options"])),
                "warnings": tuple(fields["warnings"]),
                "attempts": tuple(fields["attempts"]),
            }
        )

    def done(self, key: str) -> Outcome | None:
        """Outcome of a fit that is done and whole: status done, posterior there with the size recorded."""
        outcome = self.settled(key)
        return outcome if outcome is not None and outcome.status == "done" else None

    def settled(self, key: str) -> Outcome | None:
        """Outcome of a fit that is done and whole, or that failed; None where a posterior is missing or cut."""
        outcome = self.read_outcome(key)
        if outcome is None or outcome.status == "failed":
            return outcome
        with contextlib.suppress(FileNotFoundError):
            if (self.fit_folder(key) / POSTERIOR).stat().st_size == outcome.size:
                return outcome
        return None

    def verify(self, key: str) -> bool:
        """Whether the posterior still has the checksum that was recorded (reads the whole file)."""
        outcome = self.done(key)
        return outcome is not None and _checksum(self.fit_folder(key) / POSTERIOR) == outcome.checksum

    def write_fit(self, outcome: Outcome, tree: xr.DataTree, summary: pd.DataFrame) -> Outcome:
        """Commit a fit: posterior and summary first, the outcome last.

        Returns
        -------
        Outcome
            With size and checksum of the posterior filled in.
        """
        folder = self.fit_folder(outcome.key)
        write_atomically(folder / POSTERIOR, lambda aside: write_tree(tree, aside))
        write_atomically(folder / SUMMARY, lambda aside: _write_parquet(summary, aside))
        path = folder / POSTERIOR
        whole = dataclasses.replace(outcome, size=path.stat().st_size, checksum=_checksum(path))
        (folder / ERROR).unlink(missing_ok=True)
        self._write_outcome(whole)
        return whole

    def write_failure(self, outcome: Outcome, traceback: str) -> Outcome:
        """Record a failed fit with its traceback; it is tried again by the next command."""
        write_atomically(self.fit_folder(outcome.key) / ERROR, lambda aside: aside.write_text(traceback))
        if self.done(outcome.key) is None:
            self._write_outcome(outcome)
        return outcome

    def keep(self, outcome: Outcome) -> Outcome:
        """Record what only the driver knows: that a worker was lost, or ran out of time or memory.

        Returns
        -------
        Outcome
            The stored one where the fit had been committed before its worker was lost.
        """
        written = outcome.reason == "error" and (self.fit_folder(outcome.key) / ERROR).exists()
        if outcome.status == "done" or written:
            return outcome
        try:
            return self.done(outcome.key) or self.write_failure(outcome, outcome.message + "\n")
        except (OSError, StoreError):
            return outcome  # the disk may be what failed; the study goes on and shows the outcome

    def _write_outcome(self, outcome: Outcome) -> None:
        text = json.dumps({"schema": SCHEMA_VERSION} | dataclasses.asdict(outcome), indent=1, sort_keys=True)
        write_atomically(self.fit_folder(outcome.key) / OUTCOME, lambda aside: aside.write_text(text + "\n"))

    def write_config(self, key: str, text: str) -> None:
        """Keep the resolved configuration of a fit beside it."""
        path = self.fit_folder(key) / CONFIG
        if not path.exists() or path.read_text() != text:
            write_atomically(path, lambda aside: aside.write_text(text))

    def read_tree(self, key: str) -> xr.DataTree:
        """Read a posterior into memory.

        Raises
        ------
        StoreError
            If there is none that is whole.
        """
        import xarray as xr

        if self.done(key) is None:
            raise StoreError(f"no finished fit {key} in {self.root}")
        with xr.open_datatree(self.fit_folder(key) / POSTERIOR, engine="netcdf4") as tree:
            return tree.load()

    def read_summary(self, key: str) -> pd.DataFrame:
        """Read the summary of a fit: one row per scalar."""
        import pandas as pd

        return pd.read_parquet(self.fit_folder(key) / SUMMARY)

    # the study

    def read_study(self) -> dict[str, Any]:
        """Read the study's facts; empty where there is no study yet."""
        try:
            facts: dict[str, Any] = json.loads(self.study_file.read_text())
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except json.JSONDecodeError as error:
            raise StoreError(
                f"{self.study_file} is not JSON: {error}; restore it, or delete it: the next command writes it anew"
            ) from None
        return facts

    def write_study(self, facts: Mapping[str, Any]) -> None:
        """Write the study's facts."""
        text = json.dumps(json.loads(canonical_json(facts)), indent=1, sort_keys=True)
        write_atomically(self.study_file, lambda aside: aside.write_text(text + "\n"))

    def read_findings(self) -> dict[str, Any]:
        """Read the comparisons that were made last; empty where there are none or the file is not whole."""
        try:
            found: dict[str, Any] = json.loads((self.tables / FINDINGS).read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return found

    def write_findings(self, findings: Mapping[str, Any]) -> None:
        """Keep the comparisons with the digest of what they were made from."""
        text = json.dumps(findings, indent=1)
        write_atomically(self.tables / FINDINGS, lambda aside: aside.write_text(text + "\n"))

    def write_table(self, name: str, frame: pd.DataFrame, *, index: bool = True) -> None:
        """Write a table as parquet and CSV."""
        write_atomically(self.tables / f"{name}.parquet", lambda aside: frame.to_parquet(aside, index=index))
        write_atomically(self.tables / f"{name}.csv", lambda aside: _write_csv(frame, aside, index=index))

    def remove_table(self, name: str) -> None:
        """Remove a table that an earlier command wrote and this one has no rows for."""
        for suffix in (".parquet", ".csv"):
            (self.tables / f"{name}{suffix}").unlink(missing_ok=True)
