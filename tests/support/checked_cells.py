"""Checked cells of simulation studies, without a model or data."""

from bayesrun.types import Cell, CheckedCell, DiagnosticsOptions, Gate, SamplerOptions, Simulation, Target


def checked(label: str, decisions: tuple[str, ...] = (), **fields: object) -> CheckedCell:
    """A cell of a simulation study, whose fits converge where they have no divergence."""
    cell = Cell(
        label,
        Target("means", "means.build"),
        Target("y", "data.y"),
        Target("nuts", "nuts.sample"),
        SamplerOptions(draws=1000, chains=2),
        diagnostics=DiagnosticsOptions(decisions=decisions),
        gate=Gate(rhat_max=None, ess_bulk_per_chain=None, ess_tail_per_chain=None, bfmi_min=None, n_max_treedepth=None),
    )
    given = {
        "data_hash": "d0",
        "fingerprint": "f",
        "sampler_version": 1,
        "kind": "nuts",
        "simulation": Simulation(Target("means", "means.build"), "f"),
        "replicates": 100,
    }
    return CheckedCell(cell, **given | fields)
