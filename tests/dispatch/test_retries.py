"""Which fits of a broken batch are tried again: halves until one is alone, and that one only if it was lost."""

import pytest

from bayesrun.dispatch.retries import next_tries
from bayesrun.types import Batch, Resources
from fake_trees import fake_spec

SPECS = tuple(fake_spec(name, name) for name in "abcd")


@pytest.mark.parametrize("reason", ["lost", "oom", "timeout"])
def test_what_is_left_of_several_is_cut_in_halves(reason):
    halves = next_tries(Batch(SPECS, Resources()), {"a", "c", "d"}, reason, 1, 2)
    assert [([spec.key for spec in batch.specs], tries) for batch, tries in halves] == [(["a"], 1), (["c", "d"], 1)]


@pytest.mark.parametrize(
    ("reason", "tries", "again"), [("lost", 1, True), ("lost", 2, False), ("oom", 0, False), ("timeout", 0, False)]
)
def test_one_that_is_alone_is_tried_again_only_if_it_was_lost(reason, tries, again):
    following = next_tries(Batch(SPECS, Resources()), {"b"}, reason, tries, 2)
    assert [([spec.key for spec in batch.specs], count) for batch, count in following] == [(["b"], tries + 1)] * again


def test_nothing_is_left():
    assert next_tries(Batch(SPECS, Resources()), (), "lost", 0, 2) == ()
