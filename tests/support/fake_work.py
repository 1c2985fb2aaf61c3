"""Work for dispatchers that needs no model: each batch does what the cell of its fit says. It imports nothing heavy."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bayesrun.types import Batch, Outcome

REPORTED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "JAX_PLATFORMS")


@dataclass(frozen=True)
class Work:
    """Does what the fit's cell is called, or nothing.

    ``exit``, ``fail``, ``kill``, ``raise``, ``hang`` and ``loud`` do so; ``where`` tells of its environment, ``wait``
    waits for the file ``go``, and ``kill heard`` for the file ``heard`` before it kills.

    A cell with ``once`` in its name misbehaves the first time only. `folder` gets a file for each fit, with a
    line for each call.
    """

    folder: Path

    def __call__(self, batch: Batch) -> Iterator[Outcome]:
        for spec in batch.specs:
            yield self._one(spec)

    def calls(self, key: str) -> int:
        file = self.folder / key
        return len(file.read_text().splitlines()) if file.exists() else 0

    def _one(self, spec) -> Outcome:
        with (self.folder / spec.key).open("a") as file:
            file.write(f"{os.getpid()}\n")
        if self.calls(spec.key) == 1 or "once" not in spec.cell:
            if "heard" in spec.cell:
                self._wait_for("heard")
            self._misbehave(spec.cell.split()[0])
        if spec.cell.startswith("fail"):
            return Outcome(
                spec.key, spec.cell, spec.replicate, "failed", "error", f"KeyError: 'tau' in row {len(spec.key)}"
            )
        message = _environment() if spec.cell == "where" else ""
        return Outcome(spec.key, spec.cell, spec.replicate, "done", message=message, where=str(os.getpid()))

    def _misbehave(self, name: str) -> None:
        if name == "exit":
            os._exit(3)
        if name == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "raise":
            raise ValueError("out of the work\nsecond line")
        if name == "hang":
            time.sleep(600)
        if name == "wait":
            self._wait_for("go")
        if name == "loud":
            for stream in (sys.stdout, sys.stderr):
                stream.write("a worker's words\n")
                stream.flush()

    def _wait_for(self, file: str) -> None:
        while not (self.folder / file).exists():
            time.sleep(0.05)


def _environment() -> str:
    import pytensor

    flags = {"policy": pytensor.config.cast_policy, "fastmath": pytensor.config.numba__fastmath}
    return json.dumps({name: os.environ.get(name) for name in REPORTED} | flags)
