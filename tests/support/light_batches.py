"""Batches of one fit each for drivers of their own process; it imports nothing heavy."""

from collections.abc import Sequence

from bayesrun.types import Batch, DiagnosticsOptions, FitSpec, Resources, SamplerOptions, Steps, Target


def cells(names: Sequence[str], **resources: float) -> list[Batch]:
    """One batch for each name of a cell."""
    nothing = Target("none", "none.none")
    return [
        Batch(
            (
                FitSpec(
                    name.replace(" ", "_"), name, 0, 1, "d0", "o0", nothing, nothing, SamplerOptions(), Steps(),
                    DiagnosticsOptions(),
                ),
            ),
            Resources(**resources),
        )
        for name in names
    ]  # fmt: skip
