"""By the command line: a column parts a table into cells, one that cannot be fitted stops none of the others."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from command_line import bayesrun
from table_oracles import slope_of

WORDS = (
    "model=formula", "model.formula=y ~ x", "data=csv", "data.path=all.csv", "data.by=site", "sampler=nuts",
    "sampler.draws=100", "sampler.tune=100", "sampler.chains=2", "dispatch=serial", "track=off", "steps.figures=false",
    "steps.prior_predictive=false",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    lines = ["site;x;y"]
    for slope, site in ((1, "s2"), (5, "s10")):
        lines += [f"{site};{x:.3f};{slope * x + rng.normal(0, 0.1):.3f}".replace(".", ",") for x in rng.normal(size=12)]
    (tmp_path / "all.csv").write_text("\n".join([*lines, "alone;1,5;2,5"]) + "\n")
    return tmp_path


def test_a_dry_run_shows_the_cells(folder):
    ran = bayesrun(*WORDS, "dry_run=true")
    assert ran.code == 0, ran.err
    assert "study formula-all-by-site: 2 fits, 0 done, 2 to do" in ran.out
    assert "note: data=s2, s10: read with ';' between columns" in ran.out
    assert "not fitted: formula/alone/nuts: model=formula: model.formula='y ~ x': the data have one row" in ran.out
    assert ran.out.index("formula/s2/nuts\n") < ran.out.index("formula/s10/nuts\n")
    every = bayesrun(*WORDS, "model.formula=y ~ z", "dry_run=true")
    assert every.code == 2
    assert "formula/alone/nuts is one of 3 cells, none of which can be fitted" in every.err


def test_where_one_cannot_begin_the_others_are_fitted(folder):
    lines = [*(folder / "all.csv").read_text().split(), *(f"still;{x},5;1,0" for x in range(5))]
    (folder / "all.csv").write_text("\n".join(lines) + "\n")
    ran = bayesrun(*WORDS, "dry_run=true")
    assert ran.code == 0, ran.err
    assert "2 fits, 0 done, 2 to do" in ran.out
    assert "not fitted: formula/still/nuts: model=formula: its log density cannot be evaluated at the start" in ran.out


def test_each_dataset_is_fitted(folder):
    ran = bayesrun(*WORDS)
    assert ran.code == 1
    assert ran.out.count("not fitted: formula/alone/nuts") == 2
    study = json.loads(Path("studies/formula-all-by-site/study.json").read_text())
    assert [cell["cell"]["data"]["params"]["level"] for cell in study["cells"]] == ["s2", "s10"]
    assert [one["label"] for one in study["refused"]] == ["formula/alone/nuts"]
    assert "the data have one row" in pd.read_csv("studies/formula-all-by-site/tables/not_fitted.csv")["reason"][0]
    for verb, code in (("status", 1), ("show", 0)):
        told = bayesrun(verb, "formula-all-by-site")
        assert told.code == code
        assert "not fitted: formula/alone/nuts: model=formula: model.formula='y ~ x': the data have one row" in told.out
    assert (
        "study formula-all-by-site: finished, fail: 1 dataset is not fitted"
        in bayesrun("status", "formula-all-by-site").out
    )
    assert "formula/alone/nuts is not fitted" in bayesrun("show", "formula-all-by-site", "formula/alone/nuts").err
    rows = json.loads(bayesrun("show", "formula-all-by-site", "--json").out)
    assert [(row["replicate"], row["state"]) for row in rows[-2:]] == [(0, rows[1]["state"]), (None, "not fitted")]
    slopes = {}
    for summary in Path("studies").rglob("summary.parquet"):
        table = pd.read_parquet(summary)
        config = yaml.safe_load((summary.parent / "config.yaml").read_text())
        assert config["data"]["separator"] == ";"
        slopes[config["data"]["level"]] = float(table.loc["x", "mean"])
    table = pd.read_csv("all.csv", sep=";", decimal=",")
    for site, slope in slopes.items():
        rows = table[table["site"] == site]
        assert slope == pytest.approx(slope_of(rows["x"], rows["y"]), abs=0.1)
    assert sorted(slopes) == ["s10", "s2"]
    Path("all.csv").write_text(Path("all.csv").read_text().rpartition("alone")[0])
    again = bayesrun(*WORDS)
    assert "nothing to fit" in again.out
    assert again.code == 0
    assert "not fitted" not in bayesrun("status", "formula-all-by-site").out
    assert not Path("studies/formula-all-by-site/tables/not_fitted.csv").exists()
