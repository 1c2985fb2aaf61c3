"""The same seed gives the same draws: whatever was compiled before, and wherever it is loaded from."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from bayesrun.base import machine
from command_line import bayesrun
from places import SUPPORT

STUDY = """
    import hashlib, json, sys
    from pathlib import Path
    import numpy as np
    from bayesrun.dispatch import outcomes
    from bayesrun.work.worker import Workplace
    from bayesrun.store.folder import Store
    from bayesrun.types import Dataset, DispatchOptions, SamplerOptions, Steps, Target
    from tiny_models import batch, spec
    from eight_schools import SCHOOLS

    DATA = Dataset({"y": SCHOOLS}, coords={"obs": tuple(range(8))}, dims={"y": ("obs",)})

    def digest(tree):
        groups = [(name, tree[name].to_dataset()) for name in sorted(tree.children)]
        arrays = [np.ascontiguousarray(group[name].values) for _, group in groups for name in sorted(group.data_vars)]
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    if __name__ == "__main__":
        root, kind, folder, *samplers = sys.argv[1:]
        store = Store(Path(root))
        store.prepare()
        store.write_data(DATA)
        options = SamplerOptions(draws=60, tune=60, chains=2, iterations=500)
        steps = Steps(prior_draws=20, figures=False)
        batches = [
            batch(
                spec(
                    f"{name}{i}",
                    steps,
                    options,
                    fit_seed=i,
                    data_hash=DATA.digest(),
                    model=Target("schools", "eight_schools.eight_schools"),
                    sampler=Target(name, f"bayesrun.samplers.{name}.sample"),
                )
            )
            for i, name in enumerate(samplers)
        ]
        done = outcomes(batches, Workplace(store.root, Path(folder)), DispatchOptions(kind=kind, num_cpus=2))
        assert [o.message for o in done if o.status != "done"] == []
        print(json.dumps({path.name: digest(store.read_tree(path.name)) for path in (store.root / "fits").iterdir()}))
"""


def drawn(folder: Path, kind: str, *samplers: str) -> dict[str, str]:
    """Digests of what one process drew and stored, by fit; `folder` has the only compiled code that it finds."""
    script = folder / "study.py"
    script.write_text(textwrap.dedent(STUDY))
    root = folder / f"study{len(list(folder.glob('study*')))}"
    own = {
        "PYTENSOR_FLAGS": f"base_compiledir={folder / 'pytensor'}",
        "BAYESRUN_CACHE": str(folder / "programs"),
        "PYTHONPATH": str(SUPPORT),
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(root), kind, str(SUPPORT), *samplers],
        env=os.environ | own, capture_output=True, text=True, timeout=550, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == len(samplers)
    return found


@pytest.mark.parametrize(
    "samplers",
    [
        ("nuts",),
        pytest.param(("metropolis", "smc", "advi", "fullrank_advi", "numpyro", "advi_jax"), marks=pytest.mark.slow),
    ],
)
def test_draws_are_the_same_when_code_is_compiled_and_when_it_is_loaded(tmp_path, samplers):
    cold = drawn(tmp_path, "serial", *samplers)
    assert list((tmp_path / "pytensor").rglob("*.nbi"))  # the user's own flag holds, and there is something to load
    assert len(set(cold.values())) == len(samplers)
    assert drawn(tmp_path, "serial", *samplers) == cold


@pytest.mark.ray
@pytest.mark.slow
def test_draws_are_the_same_in_workers_that_compile_or_load_at_the_same_time(tmp_path):
    cold = drawn(tmp_path, "ray", *["nuts"] * 6)
    assert len(set(cold.values())) == 6
    assert drawn(tmp_path, "ray", *["nuts"] * 6) == cold


FLAGS = """
    import os, sys
    if sys.argv[1] == "late":
        import pytensor
    import bayesrun
    import pytensor
    from bayesrun.base import machine
    assert machine.fastmath() == pytensor.config.numba__fastmath
    print(pytensor.config.numba__fastmath, pytensor.config.cast_policy, pytensor.config.floatX)
"""


@pytest.mark.parametrize(
    ("given", "set_to"),
    [
        (None, "False numpy+floatX float64"),
        ("", "False numpy+floatX float64"),
        ("floatX=float32", "False numpy+floatX float32"),
        ("numba__fastmath=True", "True numpy+floatX float64"),
        (" cast_policy=custom , floatX=float32,", "False custom float32"),
    ],
)
@pytest.mark.parametrize("when", ["first", "late"])
def test_flags_of_the_user_stand_and_ours_are_added(given, set_to, when):
    environment = {name: value for name, value in os.environ.items() if name != "PYTENSOR_FLAGS"}
    if given is not None:
        environment["PYTENSOR_FLAGS"] = given
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FLAGS), when],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split("\n")[0] == set_to


THREADS = """
    import os, sys
    from bayesrun.command import main
    sys.argv = ["bayesrun", "--version"]
    try:
        main.main()
    except SystemExit:
        print(os.environ["OMP_NUM_THREADS"], os.environ["OPENBLAS_NUM_THREADS"], "numpy" in sys.modules)
"""


def test_the_command_keeps_to_one_thread_unless_the_user_says_otherwise():
    """How many threads a factorisation has changes its rounding, and a worker of Ray has one."""
    bare = {name: value for name, value in os.environ.items() if name not in machine.THREADS}
    for chosen, expected in (({}, "1 1 False"), ({"OMP_NUM_THREADS": "3"}, "3 1 False")):
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(THREADS)],
            env=bare | chosen, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout.splitlines()[-1] == expected


def test_a_command_with_fastmath_says_what_that_means(workdir, monkeypatch):
    arguments = ("model=hierarchical", "dispatch=serial", "track=off", "dry_run=true")
    plain = bayesrun(*arguments)
    monkeypatch.setenv("PYTENSOR_FLAGS", "numba__fastmath=True")
    told = bayesrun(*arguments)
    assert (plain.code, told.code) == (0, 0)
    assert plain.err == ""
    assert told.err.startswith("bayesrun: PYTENSOR_FLAGS sets numba__fastmath: the same seed may give other draws")
