"""What each fit of a batch is conditioned on: a dataset of the store, or one that is simulated here from its seed.

It fits nothing and writes nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING

from bayesrun.fit import Case
from bayesrun.seeds import named_seed
from bayesrun.targets import import_target, module_constant
from bayesrun.types import canonical_json

if TYPE_CHECKING:
    from bayesrun.simulate import Simulator
    from bayesrun.store import Store
    from bayesrun.types import Dataset, FitSpec, Simulation

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
        drawn = simulator.draw(spec.data_seed, _covariates(simulation, spec.data_seed))
        case = Case(spec, drawn.dataset, self.data(spec.data_hash), drawn.truth, drawn.degenerate)
        if not simulation.joint:
            return case
        from bayesrun.simulate import joined

        observed = self.data(simulation.base_hash)
        return dataclasses.replace(
            case,
            dataset=joined(observed, drawn.dataset, simulator.replaced),
            form=joined(observed, observed, simulator.replaced),
        )


_simulators: dict[str, Simulator] = {}


def _simulator(simulation: Simulation, base: Dataset) -> Simulator:
    """Compile a generator once for the process."""
    from bayesrun.simulate import parse_truth, simulator

    name = canonical_json(simulation)
    if name not in _simulators:
        generator = simulation.generator
        build = functools.partial(import_target("study.generator", generator.path), **generator.params)
        _simulators[name] = simulator(build, base, parse_truth(simulation.truth))
    return _simulators[name]


def _covariates(simulation: Simulation, seed: int) -> Dataset | None:
    """Draw the covariates of a replicate, where they are drawn anew."""
    if simulation.design is None:
        return None
    from bayesrun.data import conform
    from bayesrun.data.design import redrawn

    roles = module_constant(import_target("study.generator", simulation.generator.path), "DATA", {})
    return conform(redrawn(simulation.design, named_seed(seed, "design")), roles)
