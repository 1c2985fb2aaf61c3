"""What each fit of a batch is conditioned on: a dataset of the store, or one that is simulated here from its seed.

It fits nothing, and writes nothing but how far the truth of a study spreads.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

from bayesrun.base.imports import import_target
from bayesrun.planning.generators import covariates
from bayesrun.store.folder import spread_name
from bayesrun.types import canonical_json
from bayesrun.work.case import Case

if TYPE_CHECKING:
    from bayesrun.simulate import Simulator, Spread
    from bayesrun.store.folder import Store
    from bayesrun.types import Dataset, FitSpec, Outcome, Simulation

__all__ = ["Sources"]


class Sources:
    """Datasets of a store, each read once.

    Parameters
    ----------
    store
        Where real datasets and the bases of simulated ones are.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._read: dict[str, Dataset] = {}
        self._spreads: dict[str, Spread | None] = {}

    def data(self, data_hash: str) -> Dataset:
        """Return a dataset of the store."""
        if data_hash not in self._read:
            self._read[data_hash] = self.store.read_data(data_hash)
        return self._read[data_hash]

    def case(self, spec: FitSpec) -> Case:
        """Return a fit with its dataset; a simulated one is the same wherever and whenever it is drawn."""
        if spec.simulation is None:
            return Case(spec, self.data(spec.data_hash))
        simulation = spec.simulation
        simulator = _simulator(simulation, self.data(simulation.base_hash))
        drawn = simulator.draw(spec.data_seed, covariates(simulation, spec.data_seed))
        base = self.data(spec.data_hash)
        spread = self._spread(simulation)
        if spread is not None and simulation.design is not None:
            # what the covariates of this replicate change has another spread, under which nothing was drawn
            alike = simulator.draw(spec.data_seed).truth
            spread = spread.only(name for name, values in drawn.truth.items() if np.array_equal(values, alike[name]))
        case = Case(spec, drawn.dataset, base, drawn.truth, drawn.degenerate, layouts=drawn.layouts, spread=spread)
        if not simulation.joint:
            return case
        from bayesrun.simulate import joined

        observed = self.data(simulation.base_hash)
        return dataclasses.replace(
            case,
            dataset=joined(observed, drawn.dataset, simulator.replaced),
            form=joined(observed, observed, simulator.replaced),
        )

    def keep_spread(self, spec: FitSpec) -> None:
        """Find, once for a study, how far the truth of its replicates spreads, where they are drawn alike."""
        simulation = spec.simulation
        if simulation is None or not simulation.ranked or self.store.read_arrays(spread_name(simulation)):
            return
        found = _simulator(simulation, self.data(simulation.base_hash)).spread()
        self.store.write_arrays(spread_name(simulation), found.arrays())

    def _spread(self, simulation: Simulation) -> Spread | None:
        from bayesrun.simulate import Spread

        name = spread_name(simulation)
        if name not in self._spreads:
            arrays = self.store.read_arrays(name) if simulation.ranked else {}
            self._spreads[name] = Spread.of(arrays) if arrays else None
        return self._spreads[name]

    def judged(self, outcome: Outcome, spec: FitSpec) -> Outcome:
        """Add to an outcome that no worker made, because it was lost or late, what is degenerate about the data.

        They are drawn again here: what is wrong with a dataset does not depend on what became of its fit.
        """
        if outcome.status == "done" or outcome.where or spec.simulation is None:
            return outcome
        try:
            return dataclasses.replace(outcome, degenerate=self.case(spec).degenerate)
        except Exception:  # noqa: BLE001 - a generator may raise anything, and without data the outcome stays as it is
            return outcome


_simulators: dict[str, Simulator] = {}


def _simulator(simulation: Simulation, base: Dataset) -> Simulator:
    """Compile a generator once for the process."""
    from bayesrun.simulate import parse_truth, simulator
    from bayesrun.simulate.builders import bound_builder

    name = canonical_json(simulation)
    if name not in _simulators:
        generator = simulation.generator
        build = bound_builder(import_target("study.generator", generator.path), generator.params)
        _simulators[name] = simulator(build, base, parse_truth(simulation.truth))
    return _simulators[name]
