"""Through Ray: a worker that is lost in a step, or does not come back from one, costs that step and no draw."""

import dataclasses

import pytest

import bayesrun.dispatch.ray as on_ray
from bayesrun.types import DiagnosticsOptions, DispatchOptions, Outcome
from bayesrun.work.worker import Workplace, kept
from fake_samplers import calls
from places import SUPPORT
from tiny_models import NO_STEPS, batch, spec, stored

pytestmark = [
    pytest.mark.ray,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def cluster():
    """A cluster whose workers find the fakes."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(SUPPORT))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        yield
        ray.shutdown()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "calls.txt"


def wanted(log, key: str = "k0", *, quantities: dict[str, str], timeout: float | None = None, **fields):
    steps = dataclasses.replace(NO_STEPS, log_likelihood=True, timeout=timeout)
    asked = DiagnosticsOptions(quantities=quantities)
    return spec(key, extra={"log": str(log)}, steps=steps, diagnostics=asked, **fields)


def dispatched(store, fits, **options) -> dict[str, Outcome]:
    known = {one.key: one for one in fits}
    work = Workplace(store.root, SUPPORT)
    arriving = on_ray.dispatch([batch(*fits)], work, DispatchOptions(**options))
    return {o.key: kept(o, known[o.key], store) for o in arriving}


@pytest.mark.parametrize("retries", [0, 1])
def test_a_worker_that_is_killed_in_a_step_costs_that_step(cluster, tmp_path, log, retries):
    store = stored(tmp_path)
    fit = wanted(log, quantities={"size": "step_faults.size", "gone": "step_faults.killed"})
    found = dispatched(store, [fit], retries=retries)["k0"]
    assert found.status == "done"
    assert found.absent_steps["quantity gone"].why == "its worker was lost in it"
    # a second worker does what comes after that step
    assert set(found.absent_steps) == (
        {"quantity gone"} if retries else {"quantity gone", "quantity size", "diagnostics", "log_likelihood"}
    )
    assert ("elpd_loo" in found.diagnostics) == bool(retries)
    mended = wanted(log, quantities={"size": "step_faults.size"})
    again = dispatched(store, [mended], retries=retries)["k0"]
    assert (again.status, "size" in store.read_summary("k0").index) == ("done", True)
    assert "elpd_loo" in again.diagnostics
    assert len(calls(log)) == 1


def test_a_step_that_cannot_be_interrupted_is_stopped_with_its_worker(cluster, tmp_path, log, monkeypatch):
    monkeypatch.setattr(on_ray, "GRACE_SECONDS", 1.0)
    store = stored(tmp_path)
    fit = wanted(log, quantities={"stuck": "step_faults.stuck", "size": "step_faults.size"}, timeout=2.0)
    found = dispatched(store, [fit], retries=1)["k0"]
    assert found.status == "done"
    assert {name: why.kind for name, why in found.absent_steps.items()} == {"quantity stuck": "timeout"}
    assert {"size", "theta"} <= set(store.read_summary("k0").index)
    assert len(calls(log)) == 1


def test_one_of_several_fits_is_killed_in_a_step_and_the_others_are_whole(cluster, tmp_path, log):
    store = stored(tmp_path)
    good = [wanted(log, f"k{i}", quantities={}, fit_seed=i) for i in range(3)]
    bad = wanted(log, "bad", quantities={"gone": "step_faults.killed"}, fit_seed=9)
    found = dispatched(store, [good[0], bad, *good[1:]], retries=1)
    assert {key for key, outcome in found.items() if outcome.status == "done"} == {"k0", "k1", "k2", "bad"}
    assert {key for key, outcome in found.items() if outcome.absent_steps} == {"bad"}
    assert set(found["bad"].absent_steps) == {"quantity gone"}
    assert len(calls(log)) == 4
