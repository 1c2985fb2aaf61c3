"""`bayesrun diff` names in what two cells or fits of a study differ."""

from pathlib import Path

import pytest

from command_line import bayesrun

COMMAND = (
    "-m", "model=linear", "study.name=s", "dispatch=serial", "track=off", "sampler._target_=fake_samplers.sample",
    "sampler.draws=20", "sampler.chains=2", "steps.figures=false", "steps.prior_predictive=false",
    "steps.posterior_predictive=false",
)  # fmt: skip


@pytest.fixture
def study(workdir: Path, interpreted: None) -> Path:
    assert "0 done" in bayesrun(*COMMAND, "model.beta_sigma=1,2", "sampler.draws=20,30").out
    return workdir / "studies" / "s"


def test_cells_and_keys(study: Path) -> None:
    listed = bayesrun("status", "s").out
    assert "beta_sigma=1" in listed
    cells = [f"linear/engel/nuts beta_sigma={sigma}.0 sampler.draws={draws}" for sigma in (1, 2) for draws in (20, 30)]
    ran = bayesrun("diff", "s", cells[0], cells[3])
    assert (ran.code, ran.out) == (0, "draws 20 -> 30\nbeta_sigma 1 -> 2\n")
    assert bayesrun("diff", "s", cells[0], cells[1]).out == "draws 20 -> 30\n"
    assert bayesrun("diff", "s", cells[0], cells[0]).out == "the same in all that is known of it\n"
    keys = sorted(path.name for path in (study / "fits").iterdir())
    assert bayesrun("diff", "s", keys[0], keys[1]).code == 0


def test_a_name_that_is_none_is_told_with_the_nearest(study: Path) -> None:
    right = "linear/engel/nuts beta_sigma=1.0 sampler.draws=20"
    ran = bayesrun("diff", "s", right, right.replace("20", "2O"))
    assert ran.code == 2
    assert f"did you mean {right}?" in ran.err
