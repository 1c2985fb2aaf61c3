"""Studies as the format before this one wrote them down, made of ones that were drawn now."""

import dataclasses
import json

from bayesrun.planning import keys
from bayesrun.planning.former import FORMER, former_key, former_seed
from bayesrun.report import study_file
from bayesrun.store.folder import Store
from bayesrun.types import CheckedCell, FitSpec

LATER = ("conditioned", "same_draws", "parts", "meant_by", "superseded", "step_sources", "asked")
"""Fields of a cell that the older format does not have."""


def as_before(checked: CheckedCell) -> CheckedCell:
    """A cell as the older format has it; the first half of its fingerprint was of sources."""
    graph = checked.fingerprint.rpartition("-")[2]
    blank = {field.name: field.default for field in dataclasses.fields(CheckedCell) if field.name in LATER}
    fresh = {name: {} if default is dataclasses.MISSING else default for name, default in blank.items()}
    cell = dataclasses.replace(checked.cell, words={})
    return dataclasses.replace(checked, cell=cell, fingerprint=f"{'0' * 16}-{graph}", **fresh)


def drawn_as_before(monkeypatch) -> None:
    """Draw with the seeds of the older format from here on."""
    real = keys.fit_spec

    def fit_spec(checked: CheckedCell, study_seed: int, replicate: int) -> FitSpec:
        seed = former_seed(as_before(checked), study_seed, replicate)
        return dataclasses.replace(real(checked, study_seed, replicate), fit_seed=seed)

    monkeypatch.setattr(keys, "fit_spec", fit_spec)


def make_older(store: Store) -> dict[str, str]:
    """Rewrite a study to the older format by hand; returns its keys by those that its fits had."""
    facts = store.read_study()
    seed, _, cells = study_file.read_design(store)
    older = [as_before(cell) for cell in cells]
    moved = {}
    for cell, before in zip(cells, older, strict=True):
        for replicate in range(cell.replicates):
            key, was = keys.fit_key(cell, seed, replicate), former_key(before, seed, replicate)
            if not store.fit_folder(key).is_dir():
                continue
            moved[key] = was
            store.fit_folder(key).rename(store.fit_folder(was))
            path = store.fit_folder(was) / "outcome.json"
            said = json.loads(path.read_text())
            gone = ("sha256", "step_sources", "migrated", "absent_steps")
            said = {name: value for name, value in said.items() if name not in gone}
            path.write_text(json.dumps(said | {"schema": FORMER, "key": was}))
    told = [{k: v for k, v in dataclasses.asdict(cell).items() if k not in LATER} for cell in older]
    for cell in told:
        del cell["cell"]["words"]
    kept = {name: value for name, value in facts.items() if name != "schema"}
    store.write_study(kept | {"cells": told})
    return moved
