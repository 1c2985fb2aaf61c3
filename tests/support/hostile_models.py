"""Models whose names and labels no file, table or figure takes as they are."""

import datetime
import decimal
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pymc as pm

from bayesrun.types import Dataset

LONG = "a variable whose name is longer than a file takes " * 8
DAYS = [datetime.date(2024, month, 1) for month in (1, 4, 7)]


@dataclass(frozen=True)
class Hostile:
    """Names of the variables (the first one has `dim`), the dim of effects and observations, and its labels.

    `read`: the labels as they come back, where those are not equal to `labels`.
    """

    names: tuple[str, ...] = ("effect",)
    dim: str = "band"
    labels: Any = ("a", "b", "c")
    read: Any = None


MODELS = {
    "intervals": Hostile(labels=pd.interval_range(0, 3)),
    "periods": Hostile(labels=pd.period_range("2024-01", periods=3, freq="Q")),
    "days": Hostile(labels=DAYS),
    "zones": Hostile(labels=pd.date_range("2024-03-30", periods=3, tz="Europe/Berlin")),
    "decimals": Hostile(labels=[decimal.Decimal("1.10"), decimal.Decimal("1.1"), decimal.Decimal("-0")]),
    "tuples": Hostile(labels=[("a", 1), ("a",), ()]),
    "levels": Hostile(labels=pd.MultiIndex.from_product([["a", "b", "c"], [2020]])),
    "mixed": Hostile(labels=["a", 1, 2.5], read=["a", "1", "2.5"]),
    "missing": Hostile(labels=["a", None, "b"], read=["a", "None", "b"]),
    "not a number": Hostile(labels=[1.0, float("nan"), 2.0], read=["1.0", "nan", "2.0"]),
    "twice": Hostile(labels=["a", "a", "a (2)"]),
    "one text": Hostile(labels=[DAYS[0], "2024-01-01", decimal.Decimal(1)]),
    "money": Hostile(labels=["$5-$10", r"$\x$ %", "\x00 end"]),
    "mathematics": Hostile(names=(r"$\beta$", r"$\sigma_{y}$", r"$\frac{1$", "$"), dim=r"$j$"),
    "slash": Hostile(dim="country/region"),
    "blanks": Hostile(names=(" effect ", "effect", "\teffect"), dim=" band "),
    "composed": Hostile(names=("größe", "gro\u0308ße", "GRÖSSE", "gräße"), dim="A\u030angstro\u0308m"),
    "first letters": Hostile(names=("(Intercept)", "+x", "%", "1|firm", "-", ".hidden"), dim="#"),
    "long": Hostile(names=(LONG, LONG + "2", "µ" * 200), dim=LONG + "dim"),
    "of ArviZ": Hostile(names=("model", "group_", "x", "y_dim_0"), dim="group"),
    "an axis of ArviZ": Hostile(names=("theta", "column", "sample_"), dim="sample"),
    "upper case": Hostile(names=("b", "B", "obs"), dim="Obs", labels=["x", "X", ""]),
    "other scripts": Hostile(names=("日本語", "ℵ", "😀", "مرحبا"), dim="भाषा", labels=["한국", "ไทย", "\u200b"]),
}


def build(data: Dataset, *, case: str) -> pm.Model:
    """One effect for each label, whose sum with the other variables is observed; a variable of nothing beside them."""
    hostile = MODELS[case]
    with pm.Model(coords={hostile.dim: hostile.labels, "nothing": []}) as model:
        mean = pm.Normal(hostile.names[0], 0.0, 1.0, dims=hostile.dim)
        for name in hostile.names[1:]:
            mean = mean + pm.Normal(name, 0.0, 1.0)
        pm.Normal("nobody", 0.0, 1.0, dims="nothing")
        pm.Deterministic("positive", mean > 0.0, dims=hostile.dim)
        pm.Data("codes", np.array([2**8, 1, 2], dtype=np.uint16), dims=hostile.dim)
        pm.Normal("y", mean, 1.0, observed=data["y"][:3], dims=hostile.dim)
    return model
