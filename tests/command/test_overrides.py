"""What people type reaches the config as they meant it, whatever Hydra's grammar wants."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from bayesrun.command.overrides import decoded, to_hydra


def value(argument: str):
    (word,) = to_hydra([argument])
    return OverridesParser.create().parse_override(word).value()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model.formula=invest ~ value + (1|firm)", "invest ~ value + (1|firm)"),
        ("data.path=C:\\x (1).csv", "C:\\x (1).csv"),
        ("data.path=my table (2).csv", "my table (2).csv"),
        ("data.path=a=b.csv", "a=b.csv"),
        ('data.path=say "no" (1).csv', 'say "no" (1).csv'),
        ("data.path=ends in \\", "ends in \\"),
        ("data.columns={y: price, X: [size, age]}", {"y": "price", "X": ["size", "age"]}),
        ("sampler.escalate=[0.95,0.99]", [0.95, 0.99]),
        ("model.x=null", None),
        ("model.x=3.5", 3.5),
        ("model.x=true", True),
        ("model.x='3.5'", "3.5"),
        ("data.decimal=,", ","),
        ("data.decimal=','", ","),
        ("data.separator=;", ";"),
        ("data.separator=\t", "\t"),
        ("data.thousands='", "'"),
        ("data.thousands=", ""),
        ("data.comment=#", "#"),
    ],
)
def test_a_value_arrives_as_it_was_meant(typed, meant):
    assert value(typed) == meant


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("model.formula=y ~ a,y ~ a + (b|c, d)", ["y ~ a", "y ~ a + (b|c, d)"]),
        ("model.formula=y ~ `a, b`,y ~ a", ["y ~ `a, b`", "y ~ a"]),
        ("model.link=null,(x)", [None, "(x)"]),
        ("model.formula='y ~ a, b','y ~ c'", ["y ~ a, b", "y ~ c"]),
        ("sampler.draws=10,20", [10, 20]),
    ],
)
def test_a_list_at_the_top_is_a_sweep(typed, meant):
    assert [getattr(part, "text", part) for part in value(typed).list] == meant


@pytest.mark.parametrize(
    ("typed", "passed"),
    [
        ("model=linear", "model=linear"),
        ("sampler.draws=10", "++sampler.draws=10"),
        ("+sampler.draws=10", "++sampler.draws=10"),
        ("++sampler.draws=10", "++sampler.draws=10"),
        ("~sampler.draws=10", "~sampler.draws=10"),
        ("hydra.mode=MULTIRUN", "hydra.mode=MULTIRUN"),
        ("sampler.draws=choice(1,2)", "++sampler.draws=choice(1,2)"),
        ("sampler.draws=range(1,5)", "++sampler.draws=range(1,5)"),
        ("+experiment=nightly", "+experiment=nightly"),
        ("data@study.data=engel", "data@study.data=engel"),
        ("output.dir=${oc.env:HOME}/x", "++output.dir=${oc.env:HOME}/x"),
    ],
)
def test_what_hydra_understands_is_left_alone(typed, passed):
    assert to_hydra([typed]) == [passed]


def test_flags_may_stand_anywhere():
    assert to_hydra(["model=linear", "-m", "sampler=nuts,advi", "--config-dir", "my=conf"]) == [
        "-m", "--config-dir", "my=conf", "model=linear", "sampler=nuts,advi",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("study.truth={dose: 0.5, dose:arm: 0.3}", {"dose": 0.5, "dose:arm": 0.3}),
        ('study.truth={"dose:arm": 0.3}', {"dose:arm": 0.3}),
        ("study.truth={'dose:arm': [0.3, 1]}", {"dose:arm": [0.3, 1]}),
        ("study.truth={`dose:arm`: 0.3, `1|g_sigma`: 1}", {"dose:arm": 0.3, "1|g_sigma": 1}),
        ('study.nulls={"b[(0, 1]]": 0.2, "b[x1] - b[x2]": 1}', {"b[(0, 1]]": 0.2, "b[x1] - b[x2]": 1}),
        ('study.truth={größe: 1, "\u03b2": 2, s: 3}', {"größe": 1, "\u03b2": 2, "s": 3}),
        ('study.truth={"it\'s": 1}', {"it's": 1}),
        ('study.truth={"1": 2}', {"1": 2}),
        ("study.truth={1: 2}", {1: 2}),
        ('study.truth={"true": 2, "_key_ab": 3}', {"true": 2, "_key_ab": 3}),
        ("study.truth.`dose:arm`=0.3", {"dose:arm": 0.3}),
        ("study.truth.`s(x, 3)`=[1, 2]", {"s(x, 3)": [1, 2]}),
        ("study.truth.'1|g_sigma'=1", {"1|g_sigma": 1}),
        ("model.priors.`dose:arm`={dist: Normal, mu: 0.0}", {"dose:arm": {"dist": "Normal", "mu": 0.0}}),
        ('model.priors={"a:b": {dist: Normal, mu: 1e-1}}', {"a:b": {"dist": "Normal", "mu": 0.1}}),
        ("data.columns={y: größe, X: [a b, c]}", {"y": "größe", "X": ["a b", "c"]}),
        ("data.event={sold: a: b}", {"sold": "a: b"}),
        ("data.event={sold: yes}", {"sold": "yes"}),
        ("study.decisions=[P(dose:arm > 0 | y) > 0.95]", ["P(dose:arm > 0 | y) > 0.95"]),
        ('study.decisions=["P(`dose:arm` > 0 | y) > 0.95"]', ["P(`dose:arm` > 0 | y) > 0.95"]),
    ],
)
def test_names_of_variables_are_keys(typed, meant):
    assert decoded(value(typed)) == meant


def test_two_names_of_one_mapping_are_merged():
    typed = to_hydra(["study.truth.`dose:arm`=0.3", "study.truth.`1|g`=1"])
    assert [word.partition("=")[0] for word in typed] == ["++study.truth", "++study.truth"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("study.truth.größe=2", {"größe": 2}),
        ("study.truth.dose:arm=0.3", {"dose:arm": 0.3}),
        ("study.nulls.1|g_sigma=1", {"1|g_sigma": 1}),
        ("study.truth.b[x1]=3", {"b[x1]": 3}),
        ("study.truth={größe:1, s: 2}", {"größe": 1, "s": 2}),
    ],
)
def test_names_need_no_quotes_where_nothing_else_can_be_meant(typed, meant):
    assert decoded(value(typed)) == meant
