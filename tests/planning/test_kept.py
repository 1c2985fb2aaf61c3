"""The words of output.keep are checked against the models before anything starts."""

import pytest

from bayesrun.errors import ConfigError
from bayesrun.planning.kept import with_kept
from bayesrun.types import Kept, OutputOptions
from checked_cells import checked
from tiny_models import DATA, build, rare

CELLS = (checked("a"), checked("b"))


def kept(**output) -> Kept:
    found = {cell.kept for cell in with_kept(CELLS, [build(DATA), rare(DATA)], OutputOptions(**output))}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    ("keep", "has", "lacks"),
    [
        (None, ("log_likelihood", "double"), ()),
        ("all", ("log_likelihood", "double"), ()),
        ("lean", (), ("log_likelihood", "double", "prior")),
        (("double",), ("double",), ("log_likelihood",)),
        (("posterior", "prior"), ("double", "prior"), ("log_likelihood", "log_prior")),
        (("theta",), (), ("double", "log_likelihood")),
        ("log_likelihood", ("log_likelihood",), ("double",)),
    ],
)
def test_words_say_what_is_kept(keep, has, lacks):
    found = kept(keep=keep)
    assert all(map(found.has, has))
    assert not any(map(found.has, lacks))


def test_single_precision_is_kept_in_mind():
    assert kept(precision="float32").single
    assert not kept().single


@pytest.mark.parametrize(
    ("keep", "word"), [(("log_likelyhood",), "log_likelihood"), (("dobule",), "double"), ("laen", "lean")]
)
def test_a_word_that_is_wrong_is_refused_with_the_right_one(keep, word):
    with pytest.raises(
        ConfigError, match=rf"^output\.keep: got .*did you mean output\.keep={word}.*posterior_predictive"
    ):
        kept(keep=keep)


def test_all_is_no_part_of_a_list():
    with pytest.raises(ConfigError, match=r"output\.keep: got 'all'"):
        kept(keep=("all", "double"))
