"""The memory of a process keeps what was asked for last, and makes it once."""

import pytest

from bayesrun.base.recent import Recent


def test_a_value_is_made_once_and_the_one_not_asked_for_the_longest_is_forgotten():
    made, memory = [], Recent(2)

    def get(key):
        return memory.get(key, lambda: made.append(key) or key.upper())

    assert [get(key) for key in "abacab"] == ["A", "B", "A", "C", "A", "B"]
    assert made == ["a", "b", "c", "b"]
    assert len(memory) == 2


def test_what_raises_is_not_kept():
    memory = Recent(2)
    with pytest.raises(ZeroDivisionError):
        memory.get("a", lambda: 1 / 0)
    assert len(memory) == 0
    assert memory.get("a", lambda: 1) == 1
