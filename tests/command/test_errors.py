"""What a user can get wrong ends before any fit starts: exit code 2, a line each, with the remedy, no traceback."""

import textwrap

import pytest

from command_line import bayesrun

QUIET = ("track=off", "dispatch=serial")


def refused(*arguments: str) -> str:
    ran = bayesrun(*QUIET, *arguments)
    assert ran.code == 2, ran
    assert "Traceback" not in ran.out + ran.err
    assert all(line.startswith("bayesrun: ") for line in ran.err.splitlines()), ran.err
    return ran.err


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (
            "model=hierarchcal",
            "model=hierarchcal: there is no model 'hierarchcal'; did you mean hierarchical? there are ar1, ",
        ),
        ("sampler=nut", "sampler=nut: there is no sampler 'nut'; did you mean nuts? there are advi, "),
        (
            "data=eight_school",
            "data=eight_school: there is no data 'eight_school'; did you mean eight_schools? there are ",
        ),
        ("sampler.drawz=10", "sampler.drawz: unknown key; did you mean sampler.draws? sampler has batch_size, "),
        ("+sampler.drawz=10", "sampler.drawz: unknown key; did you mean sampler.draws? sampler has batch_size, "),
        ("model.parametrization=centered", "model.parametrization: unknown key; did you mean model.parameterization? "),
        ("+gate.rhat=1", "gate.rhat: unknown key; did you mean gate.rhat_max? gate has "),
        ("dryrun=true", "dryrun: unknown key; did you mean dry_run? there are "),
        ("+dryrun=true", "dryrun: unknown key; did you mean dry_run? the config has "),
        ("sampler.draws=abc", "sampler.draws: got 'abc'; wanted a valid integer"),
        ("sampler.draws=0", "sampler.draws: got 0; wanted greater than or equal to 1"),
        ("sampler.target_accept=1.2", "sampler.target_accept: got 1.2; wanted less than 1"),
        ("model.tau_scale=wide", "model.tau_scale: got 'wide'; wanted a valid number"),
        (
            "model.parameterization=sideways",
            "model.parameterization: got 'sideways'; wanted 'noncentered' or 'centered'",
        ),
        (
            "model._target_=nowhere.build",
            "model._target_: nowhere.build cannot be imported: there is no module 'nowhere'; put ",
        ),
        ("model._target_=bayesrun.models.linear.bild", "bayesrun.models.linear has no function 'bild'; did you mean "),
        ("sampler._target_=math.pi", "sampler._target_: math has no function 'pi'"),
        ("data.table=nine_schools", "eight_schools"),
        ("sampler=nuts,advi", "sampler=nuts,advi: several values are a sweep: add -m"),
        ("model.tau_scale={", "model.tau_scale: got '{'; wanted a valid number"),
        ("output.dir=afile/studies", "cannot write to the study folder "),
        ('diagnostics.decisions=["P(mu > 0 | y) > 0.9"', "wanted a list, whose brackets and quotes are all closed"),
        ("study.nulls={mu: 1", "wanted keys with values, whose brackets and quotes are all closed"),
        ("output.dir=s3://bucket/studies", "output.dir: got 's3://bucket/studies'; a study is written to a folder"),
        ("diagnostics.loo_var=z", "diagnostics.loo_var: got 'z'; model=hierarchical observes y_obs"),
        ("study.name=..", "study.name: got '..'; wanted letters, digits and + - _ . without a leading dot"),
        ("study.name=a/b", "study.name: got 'a/b'; wanted letters, digits"),
        (
            "study.objective=elpd_lo",
            "study.objective: no diagnostic is called 'elpd_lo'; did you mean study.objective=elpd_loo? there are ",
        ),
        ("sampler.extra={inti: adapt_diag}", "sampler.extra.inti: unknown key; did you mean sampler.extra.init? "),
        ("sampler.draws=true", "sampler.draws: got True; wanted a number"),
        ("dispatch.timeout=5", "dispatch.timeout: dispatch=serial has no worker that could be stopped; bound each fit"),
        ("sampler.escalate=[0.95,1.5]", "sampler.escalate.1: got 1.5; wanted less than 1"),
    ],
)
def test_a_wrong_word_is_refused_with_the_remedy(workdir, argument, message):
    (workdir / "afile").write_text("not a folder")
    assert message in refused(argument)
    assert not (workdir / "studies").exists()


def test_data_that_are_not_there_say_where_was_looked(workdir):
    assert f"data.path: there is no file {workdir / 'my.csv'}" in refused("data=csv", "data.path=my.csv")
    assert "data.path: no value given; set it: data.path=VALUE" in refused("data=csv")


def test_a_missing_column_lists_those_present(workdir):
    (workdir / "my.csv").write_text("price,size\n1,2\n2,3\n3,5\n")
    message = refused("model=linear", "data=csv", "data.path=my.csv")
    assert "price" in message
    assert "size" in message
    assert "data.columns=" in message


def test_an_unreachable_tracking_server_is_refused_before_any_fit(workdir):
    message = refused("track=mlflow", "track.uri=http://127.0.0.1:9")
    assert "track.uri" in message
    assert "http://127.0.0.1:9" in message
    assert not list((workdir / "studies").glob("*/fits/*"))


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sampler.resources.num_cpus=4096", "sampler.resources.num_cpus: got 4096; this machine has "),
        ("sampler.resources.num_gpus=64", "sampler.resources.num_gpus: got 64; this machine has "),
        ("sampler.resources.memory_gb=1e9", "sampler.resources.memory_gb: got 1000000000; this machine has "),
    ],
)
def test_resources_that_no_node_has_are_refused(workdir, argument, message):
    assert message in refused("dispatch=ray", argument)


def test_a_cluster_that_is_not_there_is_refused(workdir):
    assert "dispatch.address: no Ray cluster at 127.0.0.1:9" in refused("dispatch=ray", "dispatch.address=127.0.0.1:9")


def test_every_mistake_of_a_sweep_is_reported_at_once(workdir):
    message = refused("-m", "model=linear,hierarchical", "sampler.draws=0", "sampler.tune=-1")
    assert len(message.splitlines()) == 2


def test_settings_of_the_study_may_not_be_swept(workdir):
    assert "study.seed: differs between the cells of this sweep" in refused("-m", "study.seed=1,2")


def test_escalation_needs_a_sampler_that_has_something_to_raise(workdir):
    message = refused("-m", "sampler=advi,nuts", "sampler.escalate=[0.95]")
    assert "sampler.escalate: sampler=advi has no target_accept to raise" in message


def own(workdir, body: str, **extra: str) -> tuple[str, ...]:
    """Write a user's model and its config; return the arguments that use them."""
    (workdir / "conf" / "model").mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{key}: {value}\n" for key, value in extra.items())
    name = f"own_{abs(hash(body)) % 10**9}"
    (workdir / "conf" / "model" / "mine.yaml").write_text(f"_target_: {name}.build\n{lines}")
    (workdir / f"{name}.py").write_text("import numpy as np\nimport pymc as pm\n" + textwrap.dedent(body))
    return ("--config-dir", str(workdir / "conf"), "model=mine")


BROKEN = {
    "an import that fails": ("import not_there_at_all\n", "ModuleNotFoundError: No module named 'not_there_at_all'"),
    "an error in the builder": (
        "def build(data):\n    return 1 / 0\n",
        "ZeroDivisionError: division by zero (line 4 of ",
    ),
    "no model": ("def build(data):\n    return 3\n", "returned int; wanted a pm.Model"),
    "an array that is not there": (
        "def build(data):\n    return data['z']\n",
        "data has no array 'z'; it has group, sigma, y",
    ),
    "a log density that is not finite": (
        "def build(data):\n    with pm.Model() as m:\n        s = pm.HalfNormal('s')\n"
        "        pm.HalfNormal('y_obs', s, observed=data['y'])\n    return m\n",
        "the log density is not finite at the start for y_obs",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_model_is_found_before_any_fit(workdir, case):
    body, message = BROKEN[case]
    assert message in refused(*own(workdir, body))


def test_a_discrete_variable_is_refused_with_the_samplers_that_can(workdir):
    body = """
        def build(data):
            with pm.Model() as m:
                k = pm.Poisson('k', 3.0)
                pm.Normal('y_obs', k, 10.0, observed=data['y'])
            return m
    """
    assert "k cannot be sampled, being discrete; use sampler=metropolis" in refused(
        *own(workdir, body), "sampler=numpyro"
    )


def test_a_parameter_that_the_builder_does_not_have_is_refused(workdir):
    body = "def build(data, sigma: float = 1.0):\n    return None\n"
    assert "model.sigmaa: unknown key; did you mean model.sigma? " in refused(*own(workdir, body, sigmaa="2"))


def test_a_users_file_with_a_shipped_name_is_refused(workdir):
    (workdir / "conf" / "model").mkdir(parents=True)
    path = workdir / "conf" / "model" / "linear.yaml"
    path.write_text("_target_: mine.build\n")
    message = refused("--config-dir", str(workdir / "conf"), "model=linear")
    assert f"{path}: bayesrun ships a config of that name, and Hydra would use it; rename yours" in message


def test_narrow_integers_in_a_users_graph_are_named(workdir):
    body = """
        def build(data):
            with pm.Model() as m:
                x = pm.Normal('x', 0.0, np.int8(36))
                pm.Normal('y_obs', x, 10.0, observed=data['y'])
            return m
    """
    ran = bayesrun(*QUIET, *own(workdir, body), "dry_run=true")
    assert ran.code == 0
    assert "x (a constant of type int8) computes with a narrow integer" in ran.out


def test_verbosity_shows_the_traceback_to_those_who_ask(workdir):
    with pytest.raises(Exception, match=r"sampler\.draws: got 0"):
        bayesrun(*QUIET, "sampler.draws=0", "verbose=true")


def test_coords_that_are_not_as_long_as_the_data_are_found_before_any_fit(workdir):
    body = """
        def build(data):
            with pm.Model(coords={"obs": range(3)}) as m:
                x = pm.Normal("x", 0.0, 1.0)
                pm.Normal("y_obs", x, 10.0, observed=data["y"], dims="obs")
            return m
    """
    assert "y_obs has 8 values along dim 'obs', which has 3 coords" in refused(*own(workdir, body))


def test_the_version_is_ours():
    from bayesrun import __version__

    assert bayesrun("--version").out == f"bayesrun {__version__}\n"


def test_a_misspelt_verb_names_the_right_one(workdir):
    ran = bayesrun("staus", "x")
    assert ran.code == 2
    assert "staus: no verb of that name; did you mean status? there are compare, diff, " in ran.err
    assert "plan, prune, replay, report, show, status, sync, ui, verify, or KEY=VALUE" in ran.err


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ("--confg-dir=x model=linear", "--confg-dir=x: there is no such flag; did you mean --config-dir? there are "),
        ("model=linear -x", "-x: there is no such flag; there are --cfg, "),
        ("--cfg jb", "--cfg/-c: invalid choice: 'jb' (choose from 'job', 'hydra', 'all'); bayesrun --help names "),
        ("model=linear --config-dir", "--config-dir: it has no value; wanted --config-dir VALUE"),
        ("-m --cfg job", "--multirun and --cfg: one at a time; leave out all but one"),
        ("--resolve", "--resolve: it says how a config is printed; add --cfg job"),
        ("--config-dir nosuch", "nosuch' not found"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_refused_in_one_line_with_the_nearest_right_one(workdir, typed, message):
    told = refused(*typed.split())
    assert message in told
    assert len(told.splitlines()) == 1


def test_flags_of_hydra_may_stand_anywhere_and_be_short(workdir):
    for words in ("--cfg job model=linear", "model=linear --cfg job", "model=linear -c job", "model=linear --cfg=job"):
        ran = bayesrun(*words.split())
        assert (ran.code, ran.err) == (0, "")
        assert "bayesrun.models.linear.build" in ran.out
