"""The verbs beside the Hydra application: what there is to do with a study after the run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

__all__ = ["VERBS"]

VERBS: Mapping[str, Callable[[Sequence[str]], int]] = {}
