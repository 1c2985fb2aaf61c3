"""Which chain runs in which lane changes nothing about its draws: queues, few lanes, and programs that get narrower."""

import numpy as np
import pytest

from bayesrun.samplers.lanes.density import derive
from bayesrun.samplers.lanes.engine import prepare_jax
from bayesrun.samplers.lanes.fleet import Work, draw
from bayesrun.samplers.lanes.graphs import survey
from bayesrun.samplers.lanes.program import Settings, program
from conjugate_models import FIRST, SECOND, conjugate

N = 9


@pytest.fixture(scope="module")
def setting():
    """A density, the arguments of nine datasets, and a function that draws with some number of lanes."""
    prepare_jax()
    density = derive(conjugate(FIRST), [i for i, leaf in enumerate(survey(conjugate(FIRST)).leaves) if leaf.observed])
    surveys = [survey(conjugate(data)) for data in (FIRST, SECOND)]
    arguments = [density.arguments(surveys[i % 2]) for i in range(N)]
    shapes = density.shapes(surveys[0])

    def drawn(lanes, widths=(), order=range(N)):
        settings = Settings(lanes, chains=2, tune=60, draws=40, target_accept=0.8, max_treedepth=10)
        compiled = program(density, settings, shapes)
        compiled.stages.clear()
        for width in (lanes, *widths):
            compiled.stage(width)
        found = {c.work.index: c for c, _ in draw(compiled, [Work(i, 100 + i, arguments[i]) for i in order])}
        return found, compiled

    return drawn


def test_lanes_and_order_change_no_draw(setting):
    wide, _ = setting(32)
    few, _ = setting(2)
    turned, _ = setting(6, order=reversed(range(N)))
    assert set(wide) == set(few) == set(turned) == set(range(N))
    for i in range(N):
        np.testing.assert_array_equal(wide[i].z, few[i].z)
        np.testing.assert_array_equal(wide[i].z, turned[i].z)
        for name, values in wide[i].stats.items():
            np.testing.assert_array_equal(values, few[i].stats[name])


def test_moving_to_fewer_lanes_changes_no_draw(setting, monkeypatch):
    monkeypatch.setattr("bayesrun.samplers.lanes.program.CHUNK", 16)
    steady, _ = setting(16)
    narrowed, compiled = setting(16, widths=(4,))
    assert compiled.idle[4] >= 0.0
    for i in range(N):
        np.testing.assert_array_equal(steady[i].z, narrowed[i].z)
        assert narrowed[i].missing == 0
        assert narrowed[i].seconds > 0.0


def test_fewer_lanes_are_compiled_when_rest_has_cost_as_much(setting, monkeypatch):
    monkeypatch.setattr("bayesrun.samplers.lanes.program.CHUNK", 16)
    _, compiled = setting(16)
    compiled.idle[16] = 1e6
    found = list(draw(compiled, [Work(0, 1, setting(16)[0][0].work.arguments)]))
    assert len(found) == 1
    assert 4 in compiled.stages


def test_share_of_useful_steps(setting):
    _, compiled = setting(2)
    arguments = setting(2)[0][0].work.arguments
    shares = [share for _, share in draw(compiled, [Work(i, i, arguments) for i in range(20)])]
    assert all(0 < share <= 1 for share in shares)
    assert shares[-1] > 0.5
