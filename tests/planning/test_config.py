"""Every mistake in a config is found before anything starts, all of them at once, with the nearest remedy."""

import dataclasses

import pytest
from omegaconf import OmegaConf

from bayesrun.errors import ConfigError
from bayesrun.planning.config import Composed, as_overridden, shipped_conf, to_cells, user_shadows


def composed(changes: dict | None = None, **choices) -> Composed:
    values = {
        "model": {"_target_": "pkg.models.linear.build", "scale": 2.5},
        "data": {"_target_": "pkg.data.shipped", "name": "engel"},
        "sampler": {
            "_target_": "pkg.samplers.nuts.sample",
            "draws": 100,
            "resources": {"num_cpus": 1},
            "timeout": None,
        },
        "study": {"seed": 1},
        "dispatch": {"kind": "serial"},
        "gate": {},
        "track": {"enabled": False},
        "steps": {},
        "diagnostics": {},
        "output": {"dir": "studies"},
        "dry_run": False,
        "verbose": False,
    }
    config = OmegaConf.merge(OmegaConf.create(values), OmegaConf.create(changes or {}))
    return Composed(config, {"model": "linear", "data": "engel", "sampler": "nuts"} | choices)


def test_a_config_becomes_a_cell():
    settings, (cell,), labels = to_cells([composed()])
    assert labels == ("linear/engel/nuts",) == (cell.label,)
    assert cell.model.path == "pkg.models.linear.build"
    assert cell.model.params == {"scale": 2.5}
    assert cell.options.draws == 100
    assert settings.study.seed == 1
    assert settings.dispatch.kind == "serial"
    assert "scale: 2.5" in cell.config


def test_cells_are_labelled_by_what_differs():
    _, cells, labels = to_cells([composed(), composed({"model": {"scale": 5.0}}), composed(sampler="advi")])
    assert labels == ("linear/engel/nuts scale=2.5", "linear/engel/nuts scale=5.0", "linear/engel/advi")
    assert cells[1].overrides["model.scale"] == 5.0


def test_the_same_cell_twice_is_merged_but_answers_twice():
    _, cells, labels = to_cells([composed(), composed()])
    assert len(cells) == 1
    assert labels == ("linear/engel/nuts",) * 2


def test_a_data_path_is_made_absolute_and_names_the_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, (cell,), _ = to_cells([composed({"data": {"_target_": "pkg.read", "path": "my.csv"}}, data="csv")])
    assert cell.data.params["path"] == str(tmp_path / "my.csv")
    assert cell.label == "linear/my/nuts"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sampler": {"drawz": 5}}, "sampler.drawz: unknown key; did you mean sampler.draws? sampler has "),
        ({"smapler": {"draws": 5}}, "smapler: unknown key; did you mean sampler? the config has "),
        ({"gate": {"rhat": 1.1}}, "gate.rhat: unknown key; did you mean gate.rhat_max? gate has "),
        ({"study": {"sed": 1}}, "study.sed: unknown key; did you mean study.seed? study has "),
        ({"sampler": {"resources": {"cpus": 1}}}, "sampler.resources.cpus: unknown key; did you mean"),
        ({"sampler": {"draws": "abc"}}, "sampler.draws: got 'abc'; wanted a valid integer"),
        ({"sampler": {"draws": 0}}, "sampler.draws: got 0; wanted greater than or equal to 1"),
        ({"sampler": {"target_accept": 1.5}}, "sampler.target_accept: got 1.5; wanted less than 1"),
        ({"sampler": {"escalate": [0.95, 2]}}, "sampler.escalate.1: got 2; wanted less than 1"),
        ({"sampler": {"timeout": -1}}, "sampler.timeout: got -1; wanted seconds greater than 0, or null"),
        ({"sampler": {"resources": {"num_cpus": 0}}}, "sampler.resources.num_cpus: got 0; wanted greater than 0"),
        ({"diagnostics": {"ci_prob": 89}}, "diagnostics.ci_prob: got 89; wanted less than 1"),
        ({"diagnostics": {"ci_kind": "hpd"}}, "diagnostics.ci_kind: got 'hpd'; wanted 'eti' or 'hdi'"),
        ({"dispatch": {"kind": "dask"}}, "dispatch.kind: got 'dask'; wanted 'ray' or 'serial'"),
        ({"dry_run": "perhaps"}, "dry_run: got 'perhaps'; wanted true or false"),
        ({"model": {"width": "???"}}, "model.width: no value given; set it: model.width=VALUE"),
        ({"model": {"_target_": "build"}}, "model._target_: got 'build'; wanted the import path of a function"),
        ({"steps": 3}, "steps: got 3; wanted keys of steps"),
        ({"study": {"replicates": 0}}, "study.replicates: got 0; wanted auto or a whole number from 1 on"),
        ({"study": {"replicates": "many"}}, "study.replicates: got 'many'; wanted auto or a whole number from 1 on"),
        ({"sampler": {"batch_size": 0}}, "sampler.batch_size: got 0; wanted auto or a whole number from 1 on"),
        ({"study": {"generator": 3}}, "study.generator: got 3; wanted a name or {KEY: VALUE} or null"),
        ({"study": {"levels": 0.95}}, "study.levels: got 0.95; wanted a list: 'study.levels=[0.95]'"),
        ({"study": {"levels": None}}, "study.levels: got None; wanted a list: 'study.levels=[...]'"),
        ({"sampler": {"escalate": 0.99}}, "sampler.escalate: got 0.99; wanted a list: 'sampler.escalate=[0.99]'"),
        ({"diagnostics": {"levels": 0.5}}, "diagnostics.levels: got 0.5; wanted a list: 'diagnostics.levels=[0.5]'"),
        (
            {"diagnostics": {"decisions": "P(mu > 0 | y) > 0.9"}},
            "diagnostics.decisions: got 'P(mu > 0 | y) > 0.9'; wanted a list: "
            "'diagnostics.decisions=[\"P(mu > 0 | y) > 0.9\"]'",
        ),
        ({"study": {"nulls": 0}}, "study.nulls: got 0; wanted keys with values: 'study.nulls={KEY: VALUE}'"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(changes, message):
    with pytest.raises(ConfigError) as caught:
        to_cells([composed(changes)])
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_field_takes_is_taken_in_each_of_its_forms():
    for replicates, levels, generator in (("auto", [], None), (3, [0.5], "linear"), ("3", [0.5, 0.9], {"name": "a"})):
        asked = {"replicates": replicates, "levels": levels, "generator": generator}
        study = to_cells([composed({"study": asked})])[0].study
        assert study.replicates == ("auto" if replicates == "auto" else 3)
        assert (study.levels, study.generator) == (tuple(levels), generator)


def test_all_mistakes_of_all_cells_are_reported_once():
    with pytest.raises(ConfigError) as caught:
        to_cells([composed({"sampler": {"draws": 0, "tune": -1}}), composed({"sampler": {"draws": 0}})])
    assert len(str(caught.value).splitlines()) == 2


def test_what_a_study_has_once_may_not_differ_between_cells():
    with pytest.raises(
        ConfigError, match=r"study\.seed: differs between the cells of this sweep, and one study has one"
    ):
        to_cells([composed(), composed({"study": {"seed": 2}})])


def test_an_interpolation_that_leads_nowhere_is_refused():
    with pytest.raises(ConfigError, match="the config cannot be resolved: Interpolation key 'nowhere' not found"):
        to_cells([composed({"model": {"scale": "${nowhere}"}})])


def test_a_users_file_with_a_shipped_name_is_found(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "mine.yaml").touch()
    (tmp_path / "model" / "linear.yaml").touch()
    assert user_shadows([tmp_path, shipped_conf()]) == [str(tmp_path / "model" / "linear.yaml")]


@pytest.mark.parametrize(
    ("overrides", "columns"),
    [
        (["data.columns={y: effect}"], {"y": "effect"}),
        (["data.columns={y: effect}", "data.columns.group=school"], {"y": "effect", "group": "school"}),
        (["data.columns.y=effect"], {"y": "merged", "sigma": "error"}),
        (["model.scale=2"], {"y": "merged", "sigma": "error"}),
    ],
)
def test_columns_of_the_command_line_take_the_place_of_the_configs(overrides, columns):
    shipped = {"table": "eight_schools", "columns": {"y": "merged", "sigma": "error"}}
    config = composed({"data": shipped}).config
    assert dict(as_overridden(config, overrides).data.columns) == columns
    # a design needs its other columns for its outcome
    design = composed({"data": {"n": 50, "columns": {"y": "merged", "sigma": "error"}}}).config
    assert dict(as_overridden(design, overrides).data.columns) == {"y": "merged", "sigma": "error"}


def test_a_label_has_the_option_that_one_cell_has_and_not_the_empty_mapping_of_the_other():
    _, _, labels = to_cells([composed(), composed({"sampler": {"extra": {"jitter": 1}}})])
    assert labels == ("linear/engel/nuts sampler.extra.jitter=null", "linear/engel/nuts sampler.extra.jitter=1")


def test_the_words_of_a_cell_are_what_was_typed_and_can_change_a_draw():
    item = composed({"model": {"scale": 5.0}, "sampler": {"timeout": 60}}, dispatch="serial", study="fit")
    typed = ("++model.scale=5.0", "++sampler.timeout=60", "study.seed=1", "gate.fail=true", "++sampler.draws=100")
    _, (cell,), _ = to_cells([dataclasses.replace(item, typed=typed)])
    chosen = {"model": "linear", "data": "engel", "sampler": "nuts", "study": "fit"}
    assert cell.words == chosen | {"model.scale": 5.0, "sampler.draws": 100}
