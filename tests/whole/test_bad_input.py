"""Bad input of five kinds: configs, data files, models, stores, cluster and tracking.

Each ends before any fit with the exit code of that and a sentence with the remedy: never a traceback, never a defect.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from command_line import Ran, bayesrun

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

DRY = ("dispatch=serial", "dry_run=true")
TABLE = "y,x,g\n" + "".join(f"{i * 0.5},{i % 7},{'ab'[i % 2]}\n" for i in range(20))


def refused(*words: str) -> str:
    ran = bayesrun(*words)
    assert ran.code == 2, ran
    _plain(ran)
    assert ran.err
    return ran.err


def _plain(ran: Ran) -> None:
    assert "Traceback" not in ran.out + ran.err
    assert "defect of bayesrun" not in ran.err, ran.err
    assert all(line.startswith("bayesrun: ") for line in ran.err.splitlines()), ran.err


CONFIGS = {
    "data.columns={y: q, X: [x]}": "the data have no column 'q', wanted for y",
    "data.columns={y: y, X: []}": "data.columns.X: got []; wanted a column or a list of columns",
    "data.columns=y": "data.columns: got 'y'; wanted a valid dictionary",
    "data.columns={z: y, X: [x]}": "the model needs y, which the data do not have",
    "data.index=q": "data.index: the data have no column 'q'",
    "data.transform={q: log}": "data.transform: there is no array or chosen column 'q'",
    "data.transform={y: cube}": "data.transform.y: there is no transform 'cube'",
    "data.transform={y: log}": "data.transform.y: log needs values > 0; got 0 in row 1",
    "data.order={g: a}": "data.order: got {'g': 'a'}; wanted a valid list",
    "data.event={y: 3}": "data.event.y: got 3; an event is one of two labels, and y has 20",
    "data.standardize=[q]": "data.standardize: there is no array or chosen column 'q'",
    "data.drop_missing=maybe": "data.drop_missing: got 'maybe'; wanted a valid boolean",
    "data.encoding=utf-99": "data.encoding: got 'utf-99'; wanted the name of an encoding",
    "data.decimal=x": "data.decimal: got 'x'; wanted",
    "data.thousands=1": "data.thousands: got '1'; wanted",
    "data.format=xml": "data.format: got 'xml'",
    "data.by=q": "data.by: the data have no column 'q'",
    "data.dates={y: time}": "data.dates: y holds numbers; wanted a column of dates",
    "data.keep=[q]": "data.keep: there is no array or column 'q'",
    "data.path=*.xyz": "data.path: no file matches '*.xyz'",
    "data.path=5": "data.path: got 5; wanted a valid string",
    "output.keep=[nothing]": "output.keep: got 'nothing'; wanted all, lean, or a list of groups",
    "output.precision=float16": "output.precision: got 'float16'; wanted 'float64' or 'float32'",
    "output.dir=''": "output.dir: got ''; wanted text of at least 1 character",
    "steps.timeout=0": "steps.timeout: got 0; wanted greater than 0",
    "steps.prior_draws=-1": "steps.prior_draws: got -1; wanted greater than or equal to 1",
    "sampler.timeout=soon": "sampler.timeout: got 'soon'; wanted seconds greater than 0, or null",
    "diagnostics.ci_prob=1.5": "diagnostics.ci_prob: got 1.5; wanted less than 1",
    "diagnostics.ci_kind=x": "diagnostics.ci_kind: got 'x'; wanted 'eti' or 'hdi'",
    "diagnostics.quantities={a: 3}": "diagnostics.quantities.a: got 3; wanted a valid string",
    "diagnostics.quantities={a: nowhere.f}": "nowhere.f cannot be imported: there is no module 'nowhere'",
    "diagnostics.decisions=['P(q > 0 | y) > 0.9']": "is about q, and model=linear has alpha, beta, sigma, mu",
    "diagnostics.decisions=['P(beta > 0']": "cannot read the rule 'P(beta > 0'",
    "gate.rhat_max=0": "gate.rhat_max: got 0; wanted greater than or equal to 1",
    "study.seed=-1": "study.seed: got -1; wanted greater than or equal to 0",
    "study.replicates=0": "study.replicates: got 0; wanted auto or a whole number from 1 on",
    "study.reference=q": "study.reference: no sampler or cell is called 'q'",
    "study.kind=x": "study.kind: got 'x'; wanted 'fit', 'sbc', 'recovery' or 'power'",
    "sampler.init=foo": "sampler.init: unknown key; sampler has batch_size",
    "model.alpha_sigma=-1": "want a number above 0, because it is a scale, a rate or a shape",
    "model.alpha_sigma=nan": "want a finite number",
    "model.alpha_sigma=[1,2]": "model.alpha_sigma: got [1, 2]; wanted a valid number",
    "a b": "put quotes around values with blanks",
    "model=": "model=: there is no model ''; there are ar1",
    "~model": "model: got None; wanted a config with _target_",
}


@pytest.mark.parametrize("word", CONFIGS)
def test_configs(workdir: Path, word: str) -> None:
    (workdir / "ok.csv").write_text(TABLE)
    data = ("model=linear", "data=csv", "data.path=ok.csv", "data.columns={y: y, X: [x]}")
    assert CONFIGS[word] in refused(*data, word, *DRY, "track=off")
    assert not (workdir / "studies").exists()


FILES: dict[str, tuple[str | bytes, str]] = {
    "empty.csv": ("", "empty.csv is empty; wanted a first line with the names of the columns"),
    "header.csv": ("y,x\n", "header.csv has no rows (its columns: y, x)"),
    "one.csv": ("y,x\n1,2\n", "X has one row, from which no slope can be learned"),
    "no_x.csv": ("y,y\n1,2\n3,4\n", "the data have no column 'x', wanted for X"),
    "ragged.csv": ("y,x\n1,2\n3\n4,5,6\n", "Expected 2 fields in line 4, saw 3"),
    "text.csv": ("y,x\n1,a\n2,b\n3,c\n", "X takes numbers, and column 'x' holds text such as 'a'"),
    "gaps.csv": ("y,x\n1,\n2,\n3,\n", "3 values that are missing or infinite of x: rows 1, 2, 3"),
    "infinite.csv": ("y,x\n1,inf\n2,3\n3,4\n", "1 value that is missing or infinite of x: row 1"),
    "mark.csv": ("\ufeff", "mark.csv is empty"),
    "blank.csv": ("\n\n\n", "blank.csv is empty"),
    "quote.csv": ('y,x\n"1,2\n3,4\n', "EOF inside string starting at row 1"),
    "constant.csv": ("y,x\n1,1\n1,1\n1,1\n", "y is constant over all 3 rows: nothing can be learned from it"),
    "junk.csv": (bytes(range(128, 250)), "junk.csv is not in UTF-8"),
    "zeros.csv": (b"y,x\n1,\x002\n", "zeros.csv has bytes of zero"),
    "not.csv.gz": (b"y,x\n1,2\n", "BadGzipFile"),
    "broken.json": ("{", "cannot be read as json"),
    "scalar.json": ("3", "scalar.json"),
    "junk.parquet": (b"PAR1junk", "cannot be read as parquet"),
    "empty.parquet": (b"", "empty.parquet"),
    "junk.nc": (b"CDF\x09junk", "cannot be read as netcdf"),
    "empty.nc": (b"", "empty.nc"),
}


@pytest.mark.parametrize("name", FILES)
def test_data_files(workdir: Path, name: str) -> None:
    content, message = FILES[name]
    (workdir / name).write_bytes(content.encode() if isinstance(content, str) else content)
    kind = {"json": "json", "parquet": "parquet", "nc": "netcdf"}.get(name.rsplit(".", 1)[-1], "csv")
    words = ("model=linear", "data=csv", f"data.format={kind}", f"data.path={name}", "data.columns={y: y, X: [x]}")
    assert message in refused(*words, *DRY, "track=off")


@pytest.mark.parametrize("path", ["folder.csv", "absent.csv", "~/no.csv", "a\\b.csv"])
def test_data_that_are_no_file(workdir: Path, path: str) -> None:
    (workdir / "folder.csv").mkdir()
    assert "data.path: " in refused("model=linear", "data=csv", f"data.path={path}", *DRY, "track=off")


NORMAL = """    with pm.Model() as m:
        a = pm.Normal('a')
        pm.Normal('y', a, 1, observed=data['y'])
    return m
"""
MODELS = {
    "raises": ("def build(data):\n    raise RuntimeError('no such')\n", "RuntimeError: no such (line 2 of "),
    "returns nothing": ("def build(data):\n    return None\n", "returned NoneType; wanted a pm.Model"),
    "is a generator": ("def build(data):\n    yield 1\n", "returned generator; wanted a pm.Model"),
    "is a class": ("class build:\n    def __init__(self, _):\n        pass\n", "returned build; wanted a pm.Model"),
    "has nothing free": ("import pymc as pm\ndef build(data):\n    return pm.Model()\n", "it has no free variable"),
    "is no Python": ("def build(data:\n", "SyntaxError: '(' was never closed (line 1 of "),
    "imports what is not there": ("import not_there_1\n", "No module named 'not_there_1' (line 1 of "),
    "exits": ("import sys\ndef build(data):\n    sys.exit(3)\n", "SystemExit: 3 (line 3 of "),
    "exits when imported": ("import sys\nsys.exit(4)\n", "SystemExit: 4 (line 2 of "),
    "calls itself": ("def build(data):\n    return build(data)\n", "RecursionError"),
    "wants more": ("def build(data, table):\n    pass\n", "build needs a value; set it: model."),
    "is not there": ("X = 1\n", "has no function 'build'"),
    "wants an array that is not there": ("def build(data):\n    return data['none']\n", "data has no array 'none'"),
    "names a variable twice": (
        "import pymc as pm\ndef build(data):\n    with pm.Model():\n        pm.Normal('a'); pm.Normal('a')\n",
        "Variable name a already exists. (line 4 of ",
    ),
    "has shapes that do not go together": (
        "import pymc as pm\ndef build(data):\n" + NORMAL.replace("'a')", "'a', shape=7)"),
        "its log density cannot be written down: ValueError: Incompatible Elemwise input shapes [(20,), (7,)]\n",
    ),
    "has a scale below zero": (
        "import pymc as pm\ndef build(data):\n" + NORMAL.replace("'a')", "'a', 0, -1)"),
        "cannot be evaluated at the start: ParameterValueError: sigma > 0\n",
    ),
    "is outside of its support": (
        "import pymc as pm\ndef build(data):\n" + NORMAL.replace("observed=data", "observed=10.0**200 * data"),
        "the log density is not finite at the start for y (-inf)",
    ),
    "is never the same": (
        "import numpy as np, pymc as pm\ndef build(data):\n" + NORMAL.replace("'a')", "'a', np.random.rand())"),
        "two builds of it differ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MODELS)
def test_models(workdir: Path, case: str) -> None:
    body, message = MODELS[case]
    name = f"bad_{sorted(MODELS).index(case)}"
    (workdir / "ok.csv").write_text(TABLE)
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "mine.yaml").write_text(f"_target_: {name}.build\n")
    (workdir / f"{name}.py").write_text(body)
    said = refused("--config-dir", "conf", "model=mine", "data=csv", "data.path=ok.csv", *DRY, "track=off")
    assert message in said


PLACES = {
    "track.uri=foo://x": "foo://x does not answer as an MLflow server",
    "track.uri=http://127.0.0.1:99999": "no MLflow server answers at http://127.0.0.1:99999",
    "track.uri=http://127.0.0.1:9": "no MLflow server answers at http://127.0.0.1:9",
    "track.uri=http://": "no MLflow server answers at http://",
    "track.uri=http://[::1": "track.uri=http://[::1 is no address (Invalid IPv6 URL)",
    "track.uri=mlruns": "track.uri=mlruns is a folder, which MLflow no longer writes to",
    "track.uri=5": "track.uri: got 5; wanted a valid string",
    "track.experiment=''": "track.experiment: got ''; wanted text of at least 1 character",
    "track.experiment=[a]": "track.experiment: got ['a']; wanted a valid string",
    "dispatch.retries=-1": "dispatch.retries: got -1; wanted greater than or equal to 0",
    "dispatch.num_cpus=0": "dispatch.num_cpus: got 0; wanted greater than or equal to 1",
    "dispatch.runtime_env=5": "dispatch.runtime_env: got 5; wanted keys with values",
    "dispatch.address=5": "dispatch.address: got 5; wanted a valid string",
    "sampler.resources.num_cpus=-1": "sampler.resources.num_cpus: got -1; wanted greater than 0",
    "sampler.resources.num_gpus=-1": "sampler.resources.num_gpus: got -1; wanted greater than or equal to 0",
    "sampler.timeout=-3": "sampler.timeout: got -3; wanted seconds greater than 0, or null",
}


@pytest.mark.parametrize("word", PLACES)
def test_cluster_and_tracking(workdir: Path, word: str) -> None:
    del workdir
    assert PLACES[word] in refused("model=linear", word, *DRY, *(() if word.startswith("track") else ("track=off",)))


# ---- stores

VERBS = (
    ("status",),
    ("show",),
    ("report",),
    ("compare",),
    ("verify",),
    ("replay",),
    ("forget", "--superseded", "--yes"),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one study of real and one of simulated data."""
    folder = tmp_path_factory.mktemp("made")
    quick = (
        "track=off", "dispatch=serial", "sampler=numpyro", "sampler.draws=20", "sampler.tune=20", "sampler.chains=2",
        "steps.figures=false", "steps.prior_predictive=false", "steps.posterior_predictive=false",
        f"output.dir={folder}",
    )  # fmt: skip
    assert bayesrun("model=linear", "study.name=real", *quick).code == 0
    words = ("study=sbc", "study.ranks=9", "study.replicates=3", "model=hierarchical", "study.name=simulated")
    assert bayesrun(*words, *quick).code in (0, 1)
    return folder


def _half(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :]


def _edited(**fields: Any) -> Callable[[bytes], bytes]:
    def edit(content: bytes) -> bytes:
        facts = json.loads(content)
        del facts["sha256"]
        return json.dumps(facts | fields).encode()

    return edit


HARMS: dict[str, tuple[str, Callable[[bytes], bytes] | bytes | None]] = {
    f"{name} {how}": (name, harm)
    for name in ("study.json", "fits/*/outcome.json", "fits/*/posterior.nc", "fits/*/summary.parquet", "data/*.nc",
                 "tables/*.parquet", "tables/findings.json", "fits/*/config.yaml", "journal.jsonl")
    for how, harm in (("cut", _half), ("flipped", _flipped), ("empty", b""), ("list", b"[1]"), ("no text", b"\xff\xfe"),
                      ("gone", None))
} | {
    f"study.json with {fields}": ("study.json", _edited(**fields))
    for fields in ({"schema": 99}, {"schema": 1}, {"seed": "x"}, {"seed": -1}, {"cells": []}, {"cells": [{}]},
                   {"cells": 5}, {"study": {"kind": "x"}}, {"track": None}, {"refused": 3}, {"name": "other"})
}  # fmt: skip


@pytest.mark.parametrize("harm", HARMS)
def test_stores(made: Path, tmp_path: Path, harm: str) -> None:
    pattern, change = HARMS[harm]
    for study in ("real", "simulated"):
        for verb, *flags in VERBS:
            folder = tmp_path / verb
            shutil.copytree(made / study, folder / study)
            for path in (folder / study).glob(pattern):
                if change is None:
                    path.unlink()
                else:
                    path.write_bytes(change(path.read_bytes()) if callable(change) else change)
            ran = bayesrun(verb, study, "--output-dir", str(folder), *flags)
            _plain(ran)
            assert ran.code in (0, 1, 2), ran
            shutil.rmtree(folder)


KEYS = (
    "model",
    "sampler",
    "data",
    "data.path",
    "sampler.draws",
    "study.name",
    "study",
    "gate.rhat_max",
    "diagnostics.levels",
    "steps.figures",
)
ATOMS = st.sampled_from(
    [
        *KEYS,
        "=",
        "+",
        "~",
        ",",
        ":",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "$",
        "${",
        "}",
        "\\",
        "..",
        "@",
        " ",
        "linear",
        "nuts",
        "1",
        "-0",
        "1e999",
        "nan",
        "null",
        "true",
        "é",
        "\u202e",
        "\x00x",
    ]
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(ATOMS, max_size=6).map("".join), min_size=1, max_size=3))
def test_any_words(workdir: Path, words: list[str]) -> None:
    """Whatever is typed is planned or refused."""
    assert os.getcwd() == str(workdir)
    ran = bayesrun(*words, "model=linear", "track=off", *DRY)
    assert ran.code in (0, 2), ran
    _plain(ran)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7), cut=st.booleans())
def test_any_harm_to_a_study_file(made: Path, tmp_path: Path, place: int, bit: int, cut: bool) -> None:
    """A bit that is turned, or an end that is lost, is told of or is not there."""
    shutil.rmtree(tmp_path / "real", ignore_errors=True)
    shutil.copytree(made / "real", tmp_path / "real")
    path = tmp_path / "real" / "study.json"
    content = bytearray(path.read_bytes())
    place %= len(content)
    content[place] ^= 1 << bit
    path.write_bytes(bytes(content[:place]) if cut else bytes(content))
    ran = bayesrun("status", "real", "--output-dir", str(tmp_path))
    _plain(ran)
    assert ran.code in (0, 1, 2)
