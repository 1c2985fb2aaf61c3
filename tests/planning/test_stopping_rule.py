"""A study that grows in rounds judges and grows its own cells, and says what holds it up."""

import dataclasses
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from bayesrun.planning.keys import fit_key
from bayesrun.planning.stopping_rule import FIRST, first_round, next_round
from bayesrun.report.simulated_data import Results
from bayesrun.types import CheckedCell, StudyOptions
from checked_cells import checked

AUTO = StudyOptions(name="s", kind="recovery", replicates="auto", target_mcse={"bias": 0.01}, max_replicates=400)


@dataclass(frozen=True)
class Cells:
    cells: tuple[CheckedCell, ...]


def cells(*labels: str, replicates: int = FIRST) -> Cells:
    return Cells(tuple(checked(label, replicates=replicates) for label in labels))


def found(*rows: tuple[str, float, int], states: str = "pass") -> Results:
    """Cell, error of the bias, and replicates that it was measured by."""
    names = ["cell", "mcse", "n"]
    table = pd.DataFrame(rows, columns=names).assign(
        variable="mu", measure="bias", level=np.nan, value=0.0, lower=0.0, upper=0.0, analysis="all"
    )
    return Results({"measures": table}, (), (), dict.fromkeys(table["cell"], states), {}, made_of={})


def test_cells_of_other_commands_do_not_hold_a_study_up():
    end = next_round(cells("a"), found(("a", 0.009, 100), ("other", 0.5, 100)), ["a"], AUTO)
    assert end.checked is None
    assert end.why == "study.replicates=auto: every target is reached with 100 replicates"


def test_the_cell_that_holds_it_up_is_named_and_all_of_the_command_grow():
    more = next_round(cells("a", "b"), found(("a", 0.009, 100), ("b", 0.012, 100)), ["a", "b"], AUTO)
    assert more.checked is not None
    assert [cell.replicates for cell in more.checked.cells] == [144, 144]  # 100 * (0.012 / 0.01)^2
    assert more.why == (
        "study.replicates=auto: bias of mu in b has an error of 0.012, and 0.01 is wanted; 44 more replicates"
    )


def test_the_end_at_the_maximum_says_what_is_not_reached():
    end = next_round(cells("a", replicates=400), found(("a", 0.02, 400)), ["a"], AUTO)
    assert end.checked is None
    assert end.why.endswith("an error of 0.02, and 0.01 is wanted; stopped at study.max_replicates = 400")


def test_labels_are_those_of_the_study():
    """The command calls its only cell a; beside others it has a longer name."""
    end = next_round(cells("a"), found(("a n=20", 0.009, 100), ("a n=50", 0.5, 100)), ["a n=20"], AUTO)
    assert end.checked is None


@pytest.mark.parametrize("state", ["unfinished", "pass"])
def test_a_round_that_was_stopped_is_not_followed_by_a_larger_one(state):
    end = next_round(cells("a"), found(("a", 0.5, 100), states=state), ["a"], AUTO)
    assert (end.checked is None) == (state == "unfinished")


def test_an_asked_number_is_no_round():
    asked = dataclasses.replace(AUTO, replicates=100)
    assert next_round(cells("a"), found(("a", 0.5, 100)), ["a"], asked).checked is None
    assert first_round(cells("a", replicates=7), {}, asked).cells[0].replicates == 7


def test_the_first_round_begins_with_what_its_own_cells_have():
    one = cells("a")
    own = fit_key(one.cells[0], AUTO.seed, 0)
    assert first_round(one, {own: 250, "another": 390}, AUTO).cells[0].replicates == 250
    assert first_round(one, {"another": 390}, AUTO).cells[0].replicates == FIRST
    assert first_round(one, {own: 5}, dataclasses.replace(AUTO, max_replicates=60)).cells[0].replicates == 60
