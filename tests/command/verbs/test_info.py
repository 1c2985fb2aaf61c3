"""`bayesrun info` tells of every shipped choice and of a user's own, and runs no code of either."""

import functools
import json
import re
import subprocess
import sys

import pytest

from bayesrun.command.info import Catalogue, about, lines, options_of
from command_line import bayesrun
from places import CONF

SHIPPED = Catalogue.within(None)
CHOICES = [(group, name) for group in SHIPPED.groups() for name in SHIPPED.names(group)]
MODELS = SHIPPED.names("model")
shipped = functools.cache(functools.partial(about, SHIPPED))
YEAR = re.compile(r"\b(1[89]|20)\d\d\b")


def test_every_file_of_the_shipped_configs_is_a_choice():
    files = {path for path in CONF.rglob("*.yaml") if path != CONF / "config.yaml"}
    assert {SHIPPED.path_of(*choice) for choice in CHOICES} == files


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_key_of_every_shipped_config_has_a_line(group, name):
    found = shipped(group, name)
    assert found.what
    assert [key.path for key in found.keys if not key.meaning] == []
    assert found.lacking == ()


@pytest.mark.parametrize("section", SHIPPED.sections())
def test_every_key_of_the_whole_config_has_a_line(section):
    found = options_of(SHIPPED, section)
    assert found.what
    assert found.keys
    assert [key.path for key in found.keys if not key.meaning] == []


@pytest.mark.parametrize("name", MODELS)
def test_every_shipped_model_has_formula_priors_roles_and_reference(name):
    found = shipped("model", name)
    assert found.formula
    assert found.priors
    assert found.roles or found.data
    assert any(map(YEAR.search, found.references))
    assert found.chosen["data"] in SHIPPED.names("data")


@pytest.mark.parametrize("name", [name for name in MODELS if name != "formula"])
def test_every_number_of_a_shipped_model_that_is_said_to_be_a_priors_is_told_there(name):
    found = shipped("model", name)
    stated = " ".join(found.priors)
    numbers = [key for key in found.keys if "prior" in str(key.meaning).lower() and "bounds" not in str(key.meaning)]
    assert numbers
    for key in numbers:
        assert f"{key.path.removeprefix('model.')} = {key.default}" in stated


@pytest.mark.parametrize(("group", "name"), [one for one in CHOICES if one[0] in ("sampler", "study", "gate")])
def test_every_shipped_sampler_and_study_names_what_it_is_after(group, name):
    found = shipped(group, name)
    assert YEAR.search(" ".join((*found.paragraphs, *found.references)))


@pytest.mark.parametrize(
    "name", [name for name in SHIPPED.names("data") if (CONF / f"data/{name}.yaml").read_text().count("table:")]
)
def test_a_shipped_table_has_its_citation_and_its_columns(name):  # fmt: skip
    found = shipped("data", name)
    assert YEAR.search(found.references[0])
    assert found.paragraphs[0].startswith("one row a")


@pytest.mark.parametrize("width", [80, 160])
def test_it_is_legible_whatever_the_width(width):
    for group, name in CHOICES:
        found = shipped(group, name)
        kept = [*found.examples, *(str(path) for path in found.files)]  # command lines and paths stay whole
        long = [line for line in lines(found, width) if len(line) > width and line.strip() not in kept]
        assert long == []


def test_a_model_as_it_is_shown(workdir):
    ran = bayesrun("info", "model=hierarchical")
    assert (ran.code, ran.err) == (0, "")
    for told in (
        "  θ_j = μ + τ z_j\n",
        "  SD between groups ~ HalfCauchy(tau_scale = 2.5)\n",
        "  sigma  positive, optional  known standard error of each row;",
        "  mu_sigma          5.0\n",
        "  parameterization  noncentered  noncentered or centered\n",
        "With it\n  data=eight_schools\n",
        "doi:10.3102/10769986006004377",
    ):
        assert told in ran.out


def test_what_a_sampler_does_not_read_is_named_at_the_end():
    shown = lines(shipped("sampler", "nuts"), 120)
    [unread] = [line for line in shown if line.startswith("  no meaning here: ")]
    assert unread.startswith("  no meaning here: iterations, learning_rate, engine, precision")
    assert not [line for line in shown if line.startswith("  learning_rate")]


def test_an_experiment_tells_what_it_chooses_and_sweeps_over():
    found = shipped("experiment", "power_logistic")
    keys = {key.path: (key.default, key.meaning) for key in found.keys}
    assert keys["data.n"] == ("50,100,200", "swept over")
    assert keys["data.redraw"][1].startswith("false: covariates are the same in every replicate")
    assert found.chosen == {"model": "logistic", "data": "design", "sampler": "numpyro", "study": "power"}


def test_all_groups_are_listed_with_their_defaults(workdir):
    ran = bayesrun("info")
    assert (ran.code, ran.err) == (0, "")
    for name in (name for _, name in CHOICES):
        assert re.search(rf"^  {name}  +\S", ran.out, re.MULTILINE)
    assert "  hierarchical         Exchangeable group means (default)\n" in ran.out
    assert "\n+experiment=NAME\n" in ran.out
    assert re.search(r"^  diagnostics  how a posterior is summarised$", ran.out, re.MULTILINE)
    assert bayesrun("info", "sampler").out == bayesrun("info", "sampler=").out


@pytest.fixture
def own(workdir):
    (workdir / "conf" / "model").mkdir(parents=True)
    (workdir / "conf" / "model" / "visits.yaml").write_text("_target_: visits.build\nscale: 2.0\nk: 3\n")
    (workdir / "conf" / "model" / "narrow.yaml").write_text(
        "# Narrow slopes.\ndefaults: [linear, _self_]\nbeta_sigma: 0.5\n"
    )
    (workdir / "visits.py").write_text(
        'raise SystemExit("never run")\n'
        "def build(data, *, scale=1.0, k=3):\n"
        '    """Visits of sites.\n\n    Parameters\n    ----------\n'
        '    scale\n        Of the prior; None: wide.\n    """\n'
        '    pm.Normal("a", 0, scale)\n'
    )
    return workdir


def test_a_model_of_a_users(own):
    ran = bayesrun("info", "--config-dir", "conf", "model=visits")
    assert (ran.code, ran.err) == (0, "")
    assert "  Visits of sites.\n" in ran.out
    assert "  a ~ Normal(0, scale)\n" in ran.out
    assert "  scale  2.0  Of the prior; null: wide.\n" in ran.out
    assert "  k      3    no description: write it under Parameters of build's docstring\n" in ran.out
    assert "  visits               Visits of sites\n" in bayesrun("info", "-cd", "conf", "model").out


def test_a_config_that_is_made_on_a_shipped_one(own):
    found = about(Catalogue.within("conf"), "model", "narrow")
    assert found.what == "Narrow slopes."
    assert "every slope ~ Normal(beta_mean = 0.0, beta_sigma = 0.5)" in found.priors
    assert (found.roles[0].name, found.chosen) == ("y", {"data": "engel"})
    assert [key.path for key in found.keys if not key.meaning] == []


def test_priors_that_a_config_gives_are_told_by_terms(own):
    (own / "conf" / "model" / "dose.yaml").write_text(
        "defaults: [formula, _self_]\nformula: y ~ dose\n"
        "priors: {dose: {dist: Normal, mu: 0, sigma: {dist: HalfNormal, sigma: 2}}, sigma: fixed}\n"
    )
    found = about(Catalogue.within("conf"), "model", "dose")
    assert found.formula == ("y ~ dose",)
    assert found.priors == ("dose ~ Normal(mu = 0, sigma = HalfNormal(sigma = 2))", "sigma ~ fixed")


def test_what_is_observed_is_the_formula_where_no_docstring_has_one(own):
    with (own / "visits.py").open("a") as file:
        file.write('    pm.Poisson("y_obs", a, observed=data["y"])\n')
    found = json.loads(bayesrun("info", "--config-dir", "conf", "model=visits", "--json").out)
    assert found["formula"] == ["y_obs ~ Poisson(a), observed: data['y']"]
    assert found["priors"] == ["a ~ Normal(0, scale)"]


def test_a_config_that_is_made_on_none(own):
    (own / "conf" / "model" / "narrow.yaml").write_text("defaults: [lineer]\n")
    ran = bayesrun("info", "--config-dir", "conf", "model=narrow")
    assert ran.code == 2
    assert "narrow.yaml: defaults: model=lineer: there is no model 'lineer'; did you mean model=linear? " in ran.err


def test_a_config_that_cannot_be_read_is_listed_with_the_others_and_refused_alone(own):
    (own / "conf" / "model" / "broken.yaml").write_text("a: [\n")
    (own / "visits.py").write_text("def build(:\n")
    listed = bayesrun("info", "--config-dir", "conf", "model")
    assert listed.code == 0
    assert "broken               cannot be read: bayesrun info model=broken says why" in listed.out
    told = bayesrun("info", "--config-dir", "conf", "model=broken")
    assert (told.code, "broken.yaml, line 2" in told.err) == (2, True)
    told = bayesrun("info", "--config-dir", "conf", "model=visits")
    assert (told.code, "visits.py, line 1: this is no Python: " in told.err) == (2, True)


def test_a_function_that_is_nowhere_is_said(own):
    (own / "visits.py").unlink()
    ran = bayesrun("info", "--config-dir", "conf", "model=visits")
    assert ran.code == 0
    assert "visits.build: it is no function of a module in this folder or installed" in ran.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["model=hierarchicl"], "there is no model 'hierarchicl'; did you mean model=hierarchical? there are ar1, "),
        (["samplr=nuts"], "samplr=nuts: wanted GROUP=NAME; did you mean sampler=nuts? there are model, data, "),
        (["numpyro"], "numpyro: wanted GROUP=NAME; did you mean sampler=numpyro? there are "),
        (["diagnostic"], "did you mean diagnostics? there are "),
        (["sampler.draws"], "this is a key; wanted GROUP=NAME; bayesrun info sampler=NAME tells of its keys"),
        (["steps.figures"], "this is a key; wanted GROUP=NAME; bayesrun info steps tells of its keys"),
        (["model=visits"], "model=visits: it is in conf/; add --config-dir conf"),
        (["--config-dir", "nowhere"], "--config-dir: got nowhere; wanted a folder of configs: DIR/model/NAME.yaml"),
        (["--jsn"], "info: there is no option --jsn; did you mean --json?"),
    ],
)
def test_wrong_words(own, words, told):
    ran = bayesrun("info", *words)
    assert (ran.code, ran.out) == (2, "")
    assert told in ran.err


def test_machines_get_one_object_or_a_list_of_them(workdir):
    one = json.loads(bayesrun("info", "sampler=nuts", "--json").out)
    keys = {key["key"]: key for key in one["keys"]}
    assert keys["sampler.draws"] == {
        "key": "sampler.draws", "default": 1000, "meaning": "kept draws per chain", "read": True,
    }  # fmt: skip
    assert keys["sampler.iterations"]["read"] is False
    two = json.loads(bayesrun("info", "--json", "model=linear,logistic").out)
    assert [found["choice"] for found in two] == ["model=linear", "model=logistic"]
    assert two[0]["roles"][0] == {"name": "y", "kind": "real", "doc": "outcome", "optional": False, "unit": None}
    assert json.loads(bayesrun("info", "--json").out)["gate"] == ["default"]


def test_neither_pymc_nor_jax_is_imported(workdir):
    code = (
        "import sys; from bayesrun.command import verbs; verbs.call('info', ['model=linear', 'sampler=numpyro', "
        "'data=rats', 'study=sbc', 'dispatch=ray', 'track=mlflow']); verbs.call('info', []); "
        "sys.stderr.write(','.join({name.split('.')[0] for name in sys.modules} & "
        "{'pymc', 'pytensor', 'jax', 'numpyro', 'ray', 'mlflow', 'pandas', 'hydra'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
