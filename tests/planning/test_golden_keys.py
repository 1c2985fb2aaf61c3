"""Keys and seeds of studies that were stored earlier: found again, or every user's fits are made anew.

`golden/keys.json` has them as they were. Where keys change on purpose, `python tests/planning/test_golden_keys.py`
writes it again, and the changelog says so.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from unittest import mock

import pytest

from bayesrun.command import study
from command_line import bayesrun

GOLDEN = Path(__file__).parent / "golden"
OFF = ("track=off", "dispatch=serial", "dry_run=true")
COMMANDS = {
    "shipped": (
        "-m", "model=ar1,hierarchical,linear,logistic,meta_analysis,multiple_regression,polynomial,survival,"
        "survival_lognormal,varying_effects,varying_slopes",
    ),
    "formula": ("-m", "model=formula", "model.formula=invest ~ value,invest ~ value + capital + (1|firm)"),
    "samplers": ("-m", "model=linear", "sampler=nuts,numpyro,advi,advi_jax,fullrank_advi,metropolis,smc"),
    "user": ("-m", "--config-dir", "conf", "model=lines", "model.slope_sigma=1,2", "data=csv", "data.path=line.csv"),
    "simulated": ("study=sbc", "model=linear", "sampler=advi_jax", "study.replicates=5"),
    "misspecified": ("+experiment=misspecified_survival", "study.replicates=3"),
    "made up": ("+experiment=power_logistic", "study.replicates=2"),
}  # fmt: skip
"""Every shipped model, every sampler, formulas, a user's model that takes checks from ours, studies of all kinds."""


def planned(arguments: tuple[str, ...]) -> dict[str, list[object]]:
    """Key, seed of the draws and seed of the data of every fit that a command plans, by label and replicate."""
    found: dict[str, list[object]] = {}
    expand = study.expand

    def kept(*given: object, **options: object) -> object:
        plan = expand(*given, **options)  # type: ignore[arg-type]
        found.update(
            {f"{spec.cell} #{spec.replicate}": [spec.key, spec.fit_seed, spec.data_seed] for spec in plan.specs}
        )
        return plan

    with mock.patch.object(study, "expand", kept):
        ran = bayesrun(*arguments, *OFF)
    assert ran.code == 0, ran.err
    return found


def in_folder(folder: Path) -> None:
    shutil.copytree(GOLDEN, folder, dirs_exist_ok=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_fits_of_a_stored_study_are_found_again(name: str, workdir: Path) -> None:
    in_folder(workdir)
    stored = json.loads((GOLDEN / "keys.json").read_text())[name]
    assert planned(COMMANDS[name]) == stored


if __name__ == "__main__":
    import os
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        in_folder(Path(folder))
        os.chdir(folder)
        keys = {name: planned(arguments) for name, arguments in COMMANDS.items()}
    (GOLDEN / "keys.json").write_text(json.dumps(keys, indent=1) + "\n")
