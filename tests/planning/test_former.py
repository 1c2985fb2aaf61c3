"""Keys and seeds of the older format stay as its versions made them."""

import pytest

from bayesrun.planning.former import former_key, former_seed, is_former
from checked_cells import checked

REAL = checked("a", simulation=None)
SIMULATED = checked("b", sampler_options=("draws", "chains", "extra"))


@pytest.mark.parametrize(
    ("cell", "key", "seed"),
    [(REAL, "83399818075d34af", 1398448529), (SIMULATED, "ba2ba6815b5a2064", 253066783)],
)
def test_what_versions_before_this_format_made(cell, key, seed):
    assert (former_key(cell, 7, 3), former_seed(cell, 7, 3)) == (key, seed)


def test_a_cell_that_says_what_it_observes_is_of_this_format():
    assert is_former(REAL)
    assert not is_former(checked("a", conditioned="c"))
