"""Datasets that cannot be fitted, among others that can: kept until they are asked for again, and told everywhere."""

import dataclasses

import pandas as pd

from bayesrun.report.not_fitted import Refusals, refusals, refused_frame, refused_in, refused_lines
from bayesrun.types import Cell, Refused, SamplerOptions, Target

NONE = Target("x", "x.y")
GLOB = {"model": "formula", "model.formula": "y ~ x"}


def cell(label: str, **words) -> Cell:
    return Cell(label, NONE, NONE, NONE, SamplerOptions(), words=GLOB | words)


def site(number: int) -> Cell:
    return cell(f"m/s{number}/n", **{"data.path": f"sites/s{number}.csv"})


def of(cells: list[Cell], **reasons: str) -> Refusals:
    return refusals(cells, {one.label: "sites" for one in cells}, {f"m/{name}/n": why for name, why in reasons.items()})


def test_those_of_another_source_stay_and_those_asked_for_again_do_not():
    first = of([site(1), site(2), site(3)], s1="one row\nwanted two", s3="no column y").after(())
    assert [(one.label, one.reason) for one in first] == [("m/s1/n", "one row\nwanted two"), ("m/s3/n", "no column y")]
    assert of([site(1), site(2)]).after(first) == ()  # s1 was mended, s3 is gone
    assert of([site(1), site(2)], s1="bad").after(first) == (dataclasses.replace(first[0], reason="bad"),)
    alone = refusals([site(3)], {}, {})
    assert alone.after(first) == first[:1]
    other = cell("m/s1/n", **{"data.path": "sites/s1.csv", "model.priors": "scaled"})
    assert refusals([other], {other.label: "sites"}, {}).after(first) == first
    assert refusals([site(1), site(2)], {one.label: "wards" for one in (site(1), site(2))}, {}).after(first) == (
        first[1],
    )


def test_a_study_of_an_earlier_version_has_none():
    assert refused_in({}) == ()
    kept = refused_in({"refused": [{"label": "a", "reason": "b", "source": "c", "words": {"d": 1}}]})
    assert kept == (Refused("a", "b", "c", {"d": 1}),)


def test_of_many_the_first_are_named():
    many = [Refused(f"s{number}", "one row\nwanted two") for number in range(13)]
    lines = refused_lines(many)
    assert len(lines) == 11
    assert lines[0] == "not fitted: s0: one row; wanted two"
    assert lines[-1] == "not fitted: 3 more datasets: tables/not_fitted.csv"
    assert refused_frame(many).shape == (13, 2)
    pd.testing.assert_frame_equal(refused_frame([]), pd.DataFrame())
