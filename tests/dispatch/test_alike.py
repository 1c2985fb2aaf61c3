"""A cell whose first fits all fail in the same words is given up; one that has any other outcome never is."""

import dataclasses

import pytest

from bayesrun.dispatch import ray as on_ray
from bayesrun.dispatch import serial
from bayesrun.dispatch.alike import FIRST, Watch, stopped_cells, until_alike
from bayesrun.errors import DispatchError
from bayesrun.types import Batch, DispatchOptions, Outcome
from fake_work import Work
from tiny_models import batch, spec


def failed(cell: str = "a", message: str = "ValueError: scale 0.3 < 0", replicate: int = 0) -> Outcome:
    return Outcome(f"{cell}{replicate}", cell, replicate, "failed", "error", message)


def done(cell: str = "a") -> Outcome:
    return Outcome("k", cell, 0, "done")


def watch(outcomes, planned: int = 1000) -> Watch:
    made = Watch({"a": planned, "b": planned})
    list(made.told(outcomes))
    return made


def test_it_takes_twenty_that_say_the_same_but_for_their_numbers():
    alike = [failed(message=f"ValueError: scale {-i / 7} < 0 in row {i}") for i in range(FIRST)]
    assert not watch(alike[:-1]).stops("a")
    assert watch(alike).stops("a")
    assert not watch(alike).stops("b")


@pytest.mark.parametrize(
    "odd",
    [done(), failed(message="KeyError: 'x1'"), dataclasses.replace(failed(), reason="oom")],
    ids=["done", "other words", "other reason"],
)
@pytest.mark.parametrize("place", [0, 7, FIRST - 1, FIRST])
def test_one_other_outcome_among_the_first_keeps_a_cell_going(odd, place):
    outcomes = [failed(replicate=i) for i in range(3 * FIRST)]
    outcomes.insert(place, odd)
    found = watch(outcomes[: FIRST + 1])
    assert found.stops("a") == (place == FIRST), "what was given up stays so"


def test_after_a_fit_that_found_no_room_on_the_disk_nothing_is_started(tmp_path):
    full = dataclasses.replace(failed(message="the disk of /x is full"), reason="disk")
    made, passed = Watch({"a": 3}), []
    with pytest.raises(
        DispatchError, match="the disk of /x is full; no fit after it could be written, so nothing more"
    ):
        passed.extend(iter_into(passed, made.told([done(), full, done()])))
    assert [outcome.status for outcome in passed] == ["done", "failed"]
    started = []

    def work(one: Batch):
        started.append(one)
        yield full

    with pytest.raises(DispatchError, match="is full"):
        list(serial.dispatch(cells(a=1, b=1), work, DispatchOptions()))
    assert len(started) == 1


def iter_into(passed: list, outcomes) -> list:
    """Keep what comes before an error."""
    for outcome in outcomes:
        passed.append(outcome)
    return []


def test_a_cell_of_twenty_fits_is_tried_to_its_end():
    assert not watch([failed()] * FIRST, planned=FIRST).stops("a")


def cells(**sizes: int) -> list[Batch]:
    return [batch(*(spec(f"{cell}{i}", cell=cell) for i in range(size))) for cell, size in sizes.items()]


def test_a_batch_ends_early_only_where_its_own_first_fits_fail_alike():
    (whole,) = cells(a=50)
    assert len(list(until_alike(whole, iter([failed()] * 50)))) == FIRST
    assert len(list(until_alike(whole, iter([failed()] * 19 + [done()] + [failed()] * 30)))) == 50


def test_what_is_said_of_a_cell_that_was_given_up():
    batches = cells(a=25, b=25)
    outcomes = [failed("a", f"ValueError: {i}") for i in range(FIRST)] + [done("b")] * 25
    (line,) = stopped_cells(batches, outcomes)
    assert line.startswith("a: all of the first 20 fits failed alike (ValueError: 0), so the other 5 were not started")
    assert stopped_cells(batches, [failed("a")] * 25) == []


def broken_and_fine() -> list[Batch]:
    broken = [batch(*(spec(f"a{i}_{j}", cell="fail alike") for j in range(100))) for i in range(20)]
    return [*broken, batch(*(spec(f"b{i}", cell="fine") for i in range(30)))]


def counted(dispatch, work) -> dict[str, int]:
    found = list(dispatch(broken_and_fine(), work, DispatchOptions()))
    return {cell: sum(outcome.cell == cell for outcome in found) for cell in ("fail alike", "fine")}


def test_of_two_thousand_fits_that_cannot_be_done_twenty_are_started(tmp_path):
    work = Work(tmp_path)
    assert counted(serial.dispatch, work) == {"fail alike": FIRST, "fine": 30}
    assert sum(1 for path in tmp_path.iterdir() if path.name.startswith("a")) == FIRST


def test_a_batch_that_ended_early_goes_on_where_its_cell_is_no_longer_in_doubt(monkeypatch):
    task = on_ray._Task(cells(a=50)[0], doubted=True)
    for i in range(FIRST):
        task.left.discard(f"a{i}")
    assert [s.key for s in on_ray._rest(task).specs] == [f"a{i}" for i in range(FIRST, 50)]
