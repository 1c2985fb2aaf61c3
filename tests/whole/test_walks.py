"""Whatever happens to a study, in whatever order: what is said agrees with the files, and a plain run mends all of it.

A walk runs commands on one study of a fake sampler, kills them between two writes, removes, cuts and changes files,
lets a completion fail, changes a gate, and grows. After every step verbs are held against the files themselves, which
are read here by other means. At the end a plain run has to come to the tables of a study that nothing ever happened to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import shutil
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytensor
import pytest
from mlflow import MlflowClient

from bayesrun.planning.keys import specs_of
from bayesrun.report.study_file import read_design
from bayesrun.store import folder, summaries, whole_files
from bayesrun.track import journal
from command_line import Ran, bayesrun

# MLflow's SQL store uses a relationship that SQLAlchemy deprecates
pytestmark = pytest.mark.filterwarnings("ignore:.*noload.*:DeprecationWarning")

MODEL = """
import pymc as pm

def build(data):
    with pm.Model() as model:
        mu = pm.Normal("mu", 0.0, 1.0)
        pm.Normal("y_obs", mu, 1.0, observed=data["y"])
    return model

def broken(draws, data):
    raise ValueError("not today")
"""
COMMAND = (
    "--config-dir", "conf", "model=walk_model", "data=csv", "data.path=y.csv", "dispatch=serial", "study.name=s",
    "sampler._target_=fake_samplers.sample", "sampler.draws=20", "sampler.chains=2", "steps.prior_predictive=false",
    "gate.rhat_max=null", "gate.ess_bulk_per_chain=null", "gate.ess_tail_per_chain=null", "gate.bfmi_min=null",
)  # fmt: skip
KINDS = {
    "fit": ("-m", "steps.posterior_predictive=false"),
    "recovery": (
        "study=recovery", "study.ranks=10", "study.max_failed=0", "steps.posterior_predictive=false",
        "steps.figures=false",
    ),
}  # fmt: skip
MOST = {"fit": 3, "recovery": 7}
"""The largest study of a walk: cells, which differ in their draws, or replicates."""
OF_FITS = ("posterior.nc", "summary.parquet", "outcome.json", "config.yaml", "figures/*.png")
OF_STUDIES = (
    "data/*.nc", "data/*.npz", "tables/*.parquet", "tables/*.csv", "tables/findings.json", "journal.jsonl",
    ".summaries.arrow", "report.html",
)  # fmt: skip
VARIES = ("seconds", "where", "sampling_seconds", "ess_per_second")


class KilledError(BaseException):
    """Stands for the end of the process: nothing of bayesrun catches it."""


@dataclass
class Walk:
    """One study on its way."""

    kind: str
    seed: int
    size: int = 2
    loose: bool = True
    history: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(f"{self.kind} {self.seed}")
        self.root = Path("studies/s")

    def words(self, *more: str) -> tuple[str, ...]:
        gate = f"gate.n_divergent={'null' if self.loose else 0}"
        if self.kind == "fit":
            size = f"sampler.draws={','.join(str(20 + number) for number in range(self.size))}"
        else:
            size = f"study.replicates={self.size}"
        return (*KINDS[self.kind], *COMMAND, size, gate, *more)

    # what happens

    def plain(self) -> None:
        ran = bayesrun(*self.words())
        assert ran.err == "", ran
        assert ran.code == 0, ran
        assert all(state == "done" for state in self.states().values()), self.states()

    def killed(self) -> None:
        left = self.random.randrange(60)
        self.history[-1] += f" after {left} writes"
        with killing(left), contextlib.suppress(KilledError):
            assert bayesrun(*self.words()).code == 0  # it was done before its end came

    def failing(self) -> None:
        """Ask of every fit, old and new, for a quantity that raises: each is done, without that."""
        broken = "diagnostics.quantities={q: walk_model.broken}"
        ran = bayesrun(*self.words(broken))
        assert ran.code == 1, ran
        assert "quantity q (walk_model.broken) failed: ValueError: not today" in ran.out
        assert set(self.states().values()) == {"done"}

    def damaged(self) -> None:
        place = self.random.choice((*(f"fits/*/{name}" for name in OF_FITS), *OF_STUDIES))
        found = sorted(self.root.glob(place))
        if not found:
            return
        path = self.random.choice(found)
        way = self.random.choice(["removed", "cut", "changed"])
        self.history[-1] += f" {path}: {way}"
        harm(path, way, self.random)

    def damaged_in_secret(self) -> None:
        """Change a posterior, but not its size or time: only who reads it can tell, and then everybody knows."""
        done = [key for key, state in sorted(self.states().items()) if state == "done"]
        if done:
            path = self.root / "fits" / self.random.choice(done) / "posterior.nc"
            self.history[-1] += f" {path}"
            harm(path, "changed in secret", self.random)
            ran = bayesrun("verify", "s")
            assert ran.code == 1, ran
            assert f"fits/{path.parent.name}/posterior.nc: it was changed after it was written" in ran.out, ran.out

    def gated(self) -> None:
        self.loose = not self.loose

    def grown(self) -> None:
        self.size = min(self.size + 1, MOST[self.kind])

    def forgotten(self) -> None:
        shutil.rmtree(self.root / "fits", ignore_errors=True)

    # what is true

    def states(self) -> dict[str, str]:
        """Every planned fit by what its files say: done, failed, or missing."""
        if not (self.root / "study.json").exists():
            return {}
        seed, _, cells = read_design(folder.Store(self.root.absolute()))
        return {key: state_of(self.root / "fits" / key) for key in specs_of(cells, seed)}

    def checked(self) -> None:
        states = self.states()
        if not states:
            assert bayesrun("status", "s").code == 2
            return
        counts = {state: list(states.values()).count(state) for state in ("done", "failed", "missing")}
        for verb in self.random.sample(["status", "sync", "report" if self.kind != "fit" else "compare"], 2):
            ran = bayesrun(verb, "s")
            assert ran.err == "", (verb, ran)
            self.history.append(f"  {verb}: {ran.code}")
            self.agrees(verb, ran, states, counts)
            if verb != "compare":  # it ends with 1 only where something is damaged
                lacking = any(lacks(self.root / "fits" / key) for key in states)
                assert ran.code == int(counts["done"] < len(states) or lacking), (verb, counts, ran)

    def agrees(self, verb: str, ran: Ran, states: dict[str, str], counts: dict[str, int]) -> None:
        """Hold what a verb said and wrote against the files."""
        if self.kind == "fit" and verb == "status":
            told = re.search(r"(\d+) fits, (\d+) done, (\d+) failed, (\d+) not done or damaged", ran.out)
            assert told is not None, ran.out
            assert [*map(int, told.groups())] == [len(states), *counts.values()], (states, ran.out)
        else:
            table = pd.read_parquet(self.root / "tables" / "fits.parquet").reset_index()
            said = dict(zip(table["key"], table["status"], strict=True)) if len(table) else {}
            assert {key: said.get(key, "missing") for key in states} == states, (verb, ran.out)
        if self.kind != "fit":
            failures = pd.read_parquet(self.root / "tables" / "failures.parquet").set_index("class")["count"]
            assert failures["missing"] == counts["missing"]
            assert failures[["error", "timeout", "oom", "lost"]].sum() == counts["failed"]
            for name in ("estimates", "measures", "calibration"):
                path = self.root / "tables" / f"{name}.parquet"
                assert path.exists() == (counts["done"] > 0), (name, counts)
            if counts["done"]:
                estimates = pd.read_parquet(self.root / "tables" / "estimates.parquet")
                assert set(estimates["key"]) == {key for key, state in states.items() if state == "done"}
        if verb == "sync":
            self.tracked(states, counts)

    def tracked(self, states: dict[str, str], counts: dict[str, int]) -> None:
        """Hold the runs of MLflow against the files."""
        client = MlflowClient(f"sqlite:///{Path('studies/mlflow.db').absolute()}")
        runs = client.search_runs([client.get_experiment_by_name("bayesrun").experiment_id])
        (parent,) = [run for run in runs if run.data.tags["bayesrun.role"] == "study"]
        whole = counts["done"] == len(states)
        assert (parent.info.status == "FINISHED") == whole, (parent.info.status, parent.data.tags, counts)
        if self.kind == "fit":
            assert parent.data.metrics["n_done"] == counts["done"]
            assert parent.data.metrics["n_failed"] == counts["failed"]
            there = {run.data.tags["bayesrun.key"]: run for run in runs if run.data.tags["bayesrun.role"] == "fit"}
            for key, state in states.items():
                if state == "missing":
                    continue
                assert there[key].info.status == {"done": "FINISHED", "failed": "FAILED"}[state]
                files = {file.path for file in client.list_artifacts(there[key].info.run_id)}
                assert ("error.txt" in files) == (state == "failed")


def state_of(folder: Path) -> str:
    """What the files of a fit say of it, with the checksum of every one of them."""
    try:
        fields = json.loads((folder / "outcome.json").read_text())
        seal = fields.pop("sha256")
    except (OSError, ValueError, KeyError):
        return "missing"
    if hashlib.sha256(json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()).hexdigest() != seal:
        return "missing"
    if fields["status"] == "failed":
        return "failed"
    if "summary.parquet" not in fields["files"]:
        return "missing"  # it is drawn, and its end came before its steps
    recorded = {"posterior.nc": (fields["size"], fields["checksum"]), **fields["files"]}
    for name, (_, checksum) in recorded.items():
        path = folder / name
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != checksum:
            return "missing"
    return "done"


def lacks(folder: Path) -> bool:
    """Whether a fit lacks a step that was tried."""
    try:
        return bool(json.loads((folder / "outcome.json").read_text())["absent_steps"])
    except (OSError, ValueError, KeyError):
        return False


def harm(path: Path, way: str, chance: random.Random) -> None:
    if way == "removed":
        path.unlink()
        return
    before = path.stat()
    content = bytearray(path.read_bytes())
    if not content:
        return
    if way == "cut":
        content = content[: chance.randrange(len(content))]
    else:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
    secret = way == "changed in secret"
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns if secret else before.st_mtime_ns + 10**9))


@contextlib.contextmanager
def killing(left: int):
    """Let the process end before one of the next writes, or between the write and its name."""
    count = iter(range(left, -1, -1))

    def ends(whole):
        def instead(*arguments, **named):
            if next(count, 0) == 0:
                raise KilledError
            return whole(*arguments, **named)

        return instead

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(whole_files, "_sync", ends(whole_files._sync))
        patched.setattr(journal, "_append", ends(journal._append))
        yield


STEPS = {
    "plain": 2, "killed": 3, "failing": 1, "damaged": 6, "damaged_in_secret": 1, "gated": 1, "grown": 2,
    "forgotten": 0.3,
}  # fmt: skip
"""What happens, and how often against the others."""


@pytest.fixture
def project(workdir, monkeypatch, no_study_figures):
    (workdir / "walk_model.py").write_text(textwrap.dedent(MODEL))
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "walk_model.yaml").write_text("_target_: walk_model.build\n")
    (workdir / "y.csv").write_text("y\n0.3\n-0.2\n1.4\n0.9\n")
    monkeypatch.setattr(summaries, "MANY", 3)
    with pytensor.config.change_flags(mode="FAST_COMPILE"):
        yield workdir
    sys.modules.pop("walk_model", None)


def tables(name: str) -> dict[str, pd.DataFrame]:
    """Read all tables of a study, without what differs between any two runs."""
    found = {}
    for path in Path("studies", name, "tables").glob("*.parquet"):
        table = pd.read_parquet(path)
        found[path.stem] = table.drop(columns=[c for c in table if c in VARIES])
    return found


def walked(kind: str, seed: int, steps: int) -> None:
    walk = Walk(kind, seed)
    try:
        walk.history.append("plain")
        walk.plain()
        for _ in range(steps):
            step = walk.random.choices(list(STEPS), list(STEPS.values()))[0]
            walk.history.append(step)
            getattr(walk, step)()
            walk.checked()
        walk.size, walk.loose = MOST[kind], True
        walk.history.append("the last plain run")
        walk.plain()
        walk.checked()
        assert bayesrun(*walk.words("study.name=whole", "track=off")).code == 0
        ended, whole = tables("s"), tables("whole")
        assert set(ended) == set(whole)
        for name, table in whole.items():
            pd.testing.assert_frame_equal(ended[name], table, obj=name)
    except BaseException as error:
        error.add_note("\n".join(walk.history))
        raise


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_agrees_with_the_files_whatever_happened(project, kind):
    walked(kind, 1, 4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(2, 12))
def test_longer_walks(project, kind, seed):
    walked(kind, seed, 25)
