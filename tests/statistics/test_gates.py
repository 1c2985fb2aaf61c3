"""Verdicts from facts alone: what fails, in which words, and what to try."""

import dataclasses
import math

import pytest

from bayesrun.errors import ConfigError
from bayesrun.statistics.gates import KINDS, SIMULATED, check_asked, judge, unjudged
from bayesrun.types import Cell, CheckedCell, Gate, Outcome, SamplerOptions, Simulation, Steps, Target

GOOD = {
    "n_nonfinite": 0.0,
    "n_scalars": 18.0,
    "n_chains": 4.0,
    "n_draws": 4000.0,
    "rhat_max": 1.004,
    "ess_bulk_min": 1200.0,
    "ess_tail_min": 900.0,
    "n_divergent": 0.0,
    "n_max_treedepth": 0.0,
    "bfmi_min": 0.9,
    "n_bad_pareto_k": 0.0,
    "n_loo_terms": 8.0,
}
GATE = Gate()


def outcome(absent=(), **facts):
    values = {key: value for key, value in {**GOOD, **facts}.items() if value is not None}
    return Outcome("k", "cell", 0, "done", diagnostics=values, absent=dict(absent))


def test_a_good_fit_passes():
    verdict = judge(GATE, outcome(), kind="nuts")
    assert verdict.passed
    assert verdict.failures == verdict.remedies == ()


@pytest.mark.parametrize(
    ("facts", "failure", "remedy"),
    [
        ({"rhat_max": 1.04}, "rhat_max 1.04 > 1.01 (over 18 scalars)", "longer warm-up: sampler.tune"),
        ({"rhat_max": 1.0102}, "rhat_max 1.0102 > 1.01 (over 18 scalars)", "more draws: sampler.draws"),
        ({"rhat_max": 3.2e16}, "rhat_max 3.2e+16 > 1.01 (over 18 scalars)", "more draws: sampler.draws"),
        ({"ess_bulk_min": 399.0}, "ess_bulk_min 399 < 400 (100 for each of 4 chains)", "more draws: sampler.draws"),
        ({"ess_tail_min": 12.3}, "ess_tail_min 12 < 400 (100 for each of 4 chains)", "more draws: sampler.draws"),
        ({"n_divergent": 40.0}, "n_divergent 40 > 0 (1.0 % of the draws)", "sampler.target_accept=0.95"),
        ({"bfmi_min": 0.2}, "bfmi_min 0.20 < 0.3", "reparameterise heavy tails and hierarchies"),
        ({"n_max_treedepth": 400.0}, "n_max_treedepth 400 of 4000 draws > 5 %", "sampler.max_treedepth=12"),
        ({"n_nonfinite": 3.0}, "3 draws are NaN or infinite", "use tighter priors"),
        ({"ess_bulk_min": 399.7}, "ess_bulk_min 399.7 < 400 (100 for each of 4 chains)", "more draws: sampler.draws"),
        ({"bfmi_min": 0.2999}, "bfmi_min 0.2999 < 0.3", "reparameterise heavy tails and hierarchies"),
        ({"n_divergent": 1.0}, "n_divergent 1 > 0 (0.02 % of the draws)", "sampler.target_accept=0.95"),
    ],
)
def test_each_threshold(facts, failure, remedy):
    verdict = judge(GATE, outcome(**facts), kind="nuts")
    assert not verdict.passed
    assert verdict.failures == (failure,)
    assert remedy in verdict.remedies


@pytest.mark.parametrize(
    ("count", "text"),
    [(202.0, "5.05 % of the draws diverge, bound 5 %"), (240.0, "6.0 % of the draws diverge, bound 5 %")],
)
def test_a_share_is_seen_to_exceed_its_bound(count, text):
    gate = dataclasses.replace(GATE, n_divergent=None, divergent_share=0.05)
    assert judge(gate, outcome(n_divergent=count), kind="nuts").failures == (text,)
    assert judge(gate, outcome(n_divergent=200.0), kind="nuts").passed


@pytest.mark.parametrize(
    ("threshold", "facts"),
    [
        ("rhat_max", {"rhat_max": 9.0}),
        ("ess_bulk_per_chain", {"ess_bulk_min": 1.0}),
        ("ess_tail_per_chain", {"ess_tail_min": 1.0}),
        ("n_divergent", {"n_divergent": 999.0}),
        ("bfmi_min", {"bfmi_min": 0.01}),
        ("n_max_treedepth", {"n_max_treedepth": 4000.0}),
    ],
)
def test_null_switches_a_threshold_off(threshold, facts):
    assert not judge(GATE, outcome(**facts), kind="nuts").passed
    assert judge(dataclasses.replace(GATE, **{threshold: None}), outcome(**facts), kind="nuts").passed


def test_the_bound_itself_passes():
    exact = {"rhat_max": 1.01, "ess_bulk_min": 400.0, "ess_tail_min": 400.0, "bfmi_min": 0.3, "n_max_treedepth": 200.0}
    assert judge(GATE, outcome(**exact), kind="nuts").passed


def test_divergences_of_a_centred_model_name_the_remedy_first():
    verdict = judge(GATE, outcome(n_divergent=25.0), centred={"theta": ("mu", "tau")}, kind="nuts")
    assert verdict.remedies[0] == (
        "theta is centred on mu, tau: use model.parameterization=noncentered, or write "
        "theta = mu + tau * theta_raw with theta_raw ~ Normal(0, 1)"
    )
    assert "sampler.target_accept=0.95" in verdict.remedies


@pytest.mark.parametrize(
    ("used", "wanted"),
    [
        (None, ("sampler.target_accept=0.95", "'sampler.escalate=[0.95,0.99]' tries it by itself")),
        (0.9, ("sampler.target_accept=0.95", "'sampler.escalate=[0.95,0.99]' tries it by itself")),
        (0.95, ("sampler.target_accept=0.99", "'sampler.escalate=[0.99]' tries it by itself")),
        (0.99, ("reparameterise the model, or use tighter priors: smaller steps will not help much more",)),
    ],
)
def test_the_next_target_accept(used, wanted):
    assert judge(GATE, outcome(n_divergent=1.0, target_accept=used), kind="nuts").remedies == wanted


def test_escalation_that_was_tried_is_not_advised_again():
    tried = dataclasses.replace(
        outcome(n_divergent=1.0, target_accept=0.9),
        attempts=({"target_accept": 0.9}, {"target_accept": 0.95}, {"target_accept": 0.99}),
    )
    assert "reparameterise" in judge(GATE, tried, kind="nuts").remedies[0]


def test_what_could_not_be_judged_does_not_pass():
    alone = outcome({"rhat_max": "needs at least two chains"}, rhat_max=None, n_chains=1.0)
    verdict = judge(GATE, alone, kind="nuts")
    assert verdict.failures == ("rhat_max is absent: needs at least two chains",)
    assert verdict.remedies[0] == "sampler.chains=4"
    short = outcome({"ess_bulk_min": "too short"}, ess_bulk_min=None)
    assert judge(GATE, short, kind="nuts").failures == ("ess_bulk_min is absent: too short",)


def told(named, **facts):
    return dataclasses.replace(outcome(n_parameters=10.0, **facts), named=named)


def test_the_worst_parameters_are_named_the_worst_first_and_the_worst_deterministic():
    named = {
        "rhat_max": {"mu": 1.2, "tau": 1.31, "theta[Choate]": 1.42},
        "ess_bulk_min": {"mu": 30.0, "tau": 12.0},
        "ess_tail_min": {"theta[Deerfield]": 90.0, "tau": 500.0},
        "rhat_max_derived": {"shrinkage[A]": 1.05, "shrinkage[B]": 1.06},
    }
    verdict = judge(GATE, told(named, rhat_max=1.42, ess_bulk_min=12.0, ess_tail_min=90.0))
    assert verdict.failures == (
        "rhat_max 1.42 > 1.01: theta[Choate] 1.42, tau 1.31, mu 1.20 (of 10 parameters; worst Deterministic "
        "shrinkage[B] 1.06)",
        "ess_bulk_min 12 < 400 (100 for each of 4 chains)",
        "ess_tail_min 90 < 400 (100 for each of 4 chains): theta[Deerfield] 90",
    )
    assert verdict.notes == ()
    assert "x" * 60 not in judge(GATE, told({"rhat_max": {"x" * 90: 2.0}}, rhat_max=2.0)).failures[0]


def test_a_deterministic_that_is_bad_while_the_parameters_are_good_is_a_note():
    named = {"rhat_max_derived": {"mu[3]": 1.0101, "mu[17]": 1.04}, "ess_bulk_min_derived": {"mu[17]": 93.0}}
    verdict = judge(GATE, told(named, rhat_max=1.007, rhat_max_derived=1.04))
    assert verdict.passed
    assert verdict.failures == verdict.remedies == ()
    assert verdict.notes == (
        "all parameters converged; of the Deterministics the worst have R-hat 1.04 > 1.01 of mu[17], bulk ESS 93 < "
        "400 of mu[17]: more draws (sampler.draws) before these are reported",
    )
    stuck = judge(GATE, told({"rhat_max_derived": {"side": math.inf, "mu[17]": 1.04}}, rhat_max=1.007))
    assert stuck.passed
    assert stuck.notes == (
        "all parameters converged; of the Deterministics the worst have R-hat inf > 1.01 of side (no chain moves, and "
        "they differ): look at where each chain is (posterior.nc) before these are reported",
    )
    good = {"rhat_max_derived": {"mu[17]": 1.009}, "ess_bulk_min_derived": {"mu[17]": 900.0}}
    assert judge(GATE, told(good)).notes == ()
    off = dataclasses.replace(GATE, rhat_max=None, ess_bulk_per_chain=None)
    assert judge(off, told(named)).notes == ()


def test_labels_that_switch_are_said_instead_of_longer_chains():
    named = {
        "rhat_max": {"mu[0]": 2.3},
        "switching": {"sd": 1.0, "mu": 0.0, "w": 2.0},
        "switching_rhat": {"components": 3.0, "before": 2.35, "after": 1.001},
    }
    verdict = judge(GATE, told(named, rhat_max=2.35, n_divergent=3.0))
    assert verdict.failures[0] == (
        "label switching: the chains agree as soon as the 3 components of mu (with sd, w) are in order, R-hat 1.001 "
        "instead of 2.35"
    )
    assert verdict.remedies[0].startswith("order the components by mu")
    assert not any(word in remedy for remedy in verdict.remedies for word in ("sampler.draws", "sampler.tune", "0.95"))


def test_modes_are_said_with_their_chains_and_densities():
    named = {"modes": {"0": 0, "1": 1, "10": 1, "2": 0}, "mode_density": {"0": -812.25, "1": -840.0}}
    verdict = judge(GATE, told(named, rhat_max=1.8))
    assert verdict.failures[0] == (
        "the chains are in 2 different modes: chains 0 and 2 (log density -812.25); chains 1 and 10 (log density "
        "-840); each stays where it is, so that they are not slow"
    )
    assert verdict.remedies[0].startswith("more draws do not help")
    assert judge(GATE, told(named)).passed


def test_slow_chains_are_said_to_be_slow_and_want_longer_chains():
    named = {"rhat_max": {"tau": 1.3}, "drifting": {"3": 1.0}}
    verdict = judge(GATE, told(named, rhat_max=1.3))
    assert verdict.failures == ("rhat_max 1.30 > 1.01: tau 1.30 (of 10 parameters); chain 3 still drifts, being slow",)
    assert verdict.remedies[0] == "longer warm-up: sampler.tune"


def test_a_model_in_which_nothing_varies_is_not_held_to_rhat():
    still = outcome(rhat_max=None, ess_bulk_min=None, ess_tail_min=None, n_scalars=0.0)
    assert judge(GATE, still, kind="nuts").passed


def test_variational_is_judged_by_khat_alone():
    fit = outcome(rhat_max=None, ess_bulk_min=None, ess_tail_min=None, n_divergent=None, bfmi_min=None, khat=0.5)
    assert judge(GATE, fit, kind="variational").passed
    poor = dataclasses.replace(fit, diagnostics={**fit.diagnostics, "khat": 0.83, "elbo_converged": 0.0})
    verdict = judge(GATE, poor, kind="variational")
    assert verdict.failures == ("khat 0.83 > 0.7",)
    assert verdict.remedies[0].startswith("sampler.iterations")
    assert "use sampler=nuts" in verdict.remedies
    unknown = dataclasses.replace(fit, diagnostics={k: v for k, v in fit.diagnostics.items() if k != "khat"})
    verdict = judge(GATE, dataclasses.replace(unknown, absent={"khat": "the density is random"}), kind="variational")
    assert verdict.failures == ("khat is absent: the density is random",)
    assert verdict.remedies == ("gate.khat=null, where it is judged otherwise",)


def test_metropolis_is_told_of_nuts():
    verdict = judge(GATE, outcome(rhat_max=1.2, ess_bulk_min=20.0, n_divergent=None), kind="mcmc")
    assert len(verdict.failures) == 2
    assert verdict.remedies[0].startswith("use sampler=nuts")


def test_smc_has_rhat_and_no_ess():
    fit = outcome(ess_bulk_min=None, ess_tail_min=None, n_divergent=None, bfmi_min=None)
    assert judge(GATE, fit, kind="smc").passed
    verdict = judge(GATE, outcome(ess_bulk_min=None, ess_tail_min=None, rhat_max=1.1), kind="smc")
    assert verdict.remedies[0] == "more particles: sampler.draws"


def test_share_of_bad_pareto_k():
    gate = Gate(pareto_k_share=0.1)
    assert judge(gate, outcome(), kind="nuts").passed
    assert judge(gate, outcome(n_bad_pareto_k=1.0), kind="nuts").failures == ("n_bad_pareto_k 1 of 8 > 10 %",)
    assert judge(GATE, outcome(n_bad_pareto_k=8.0), kind="nuts").passed


@pytest.mark.parametrize(
    ("reason", "message", "failure"),
    [
        ("error", "ValueError: no", "error: ValueError: no"),
        ("timeout", "", "timeout"),
        ("oom", "killed", "oom: killed"),
        (None, "?", "error: ?"),
    ],
)
def test_a_failed_fit_does_not_pass(reason, message, failure):
    verdict = judge(GATE, Outcome("k", "cell", 0, "failed", reason=reason, message=message), kind="nuts")
    assert not verdict.passed
    assert verdict.failures == (failure,)


def test_several_failures_share_their_remedies():
    verdict = judge(GATE, outcome(n_divergent=5.0, rhat_max=1.1, ess_bulk_min=3.0), kind="nuts")
    assert len(verdict.failures) == 3
    assert len(set(verdict.remedies)) == len(verdict.remedies)


@pytest.mark.parametrize(
    ("kind", "threshold", "value", "fact", "failure"),
    [
        ("nuts", "pareto_k_share", 0.0, "n_bad_pareto_k", "n_bad_pareto_k is absent: no log-likelihood"),
        ("nuts", "pareto_k_share", 0.1, "n_loo_terms", "n_bad_pareto_k is absent: it was not computed"),
        ("variational", "pareto_k_share", 0.0, "n_bad_pareto_k", "n_bad_pareto_k is absent: no log-likelihood"),
        ("nuts", "bfmi_min", 0.5, "bfmi_min", "bfmi_min is absent: it was not computed"),
        ("nuts", "n_max_treedepth", 0.0, "n_max_treedepth", "n_max_treedepth is absent: it was not computed"),
    ],
)
def test_a_threshold_that_was_set_does_not_pass_where_it_cannot_be_judged(kind, threshold, value, fact, failure):
    gate = dataclasses.replace(GATE, **{threshold: value})
    why = {"n_bad_pareto_k": "no log-likelihood"} if fact == "n_bad_pareto_k" else {}
    more = {"khat": 0.5} if kind == "variational" else {}
    assert judge(gate, outcome(why, **{fact: None}, **more), kind=kind).failures == (failure,)
    assert judge(gate, outcome(**more), kind=kind).passed
    assert judge(GATE, outcome(why, **{fact: None}, **more), kind=kind).passed  # nobody asked


def test_what_is_not_a_number_is_not_judged_as_one():
    assert judge(GATE, outcome(rhat_max=math.nan), kind="nuts").failures == ("rhat_max is absent: it was not computed",)


def cell(sampler, kind, simulation=None, **gate):
    asked = dataclasses.replace(GATE if simulation is None else SIMULATED, **gate)
    targets = Target("m", "m.build"), Target("d", "d.load"), Target(sampler, "s.sample")
    own = Cell(f"m/d/{sampler}", *targets, SamplerOptions(), gate=asked)
    return CheckedCell(own, "d0", "f", 1, kind, simulation=simulation)


@pytest.mark.parametrize(
    ("sampler", "kind", "gate"),
    [
        ("nuts", "nuts", {"khat": 0.5}),
        ("advi", "variational", {"rhat_max": 1.05}),
        ("advi", "variational", {"divergent_share": 0.1}),
        ("smc", "smc", {"ess_bulk_per_chain": 50.0}),
        ("metropolis", "mcmc", {"bfmi_min": 0.4}),
    ],
)
def test_a_threshold_that_can_judge_no_fit_is_refused(sampler, kind, gate):
    (name, value), = gate.items()  # fmt: skip
    with pytest.raises(ConfigError, match=rf"gate\.{name}: got {value:g}, and fits by {sampler} have nothing"):
        check_asked([cell(sampler, kind, **gate)])
    check_asked([cell(sampler, kind)])  # of a default nobody asked
    check_asked([cell(sampler, kind, **dict.fromkeys(gate))])
    able = cell("other", KINDS[name][0], **gate)
    check_asked([cell(sampler, kind, **gate), able])
    (line,) = unjudged([cell(sampler, kind, **gate), able])
    assert line.endswith(f"it judges no fit of m/d/{sampler}")
    assert unjudged([able]) == []


def test_thresholds_of_simulated_data_were_asked_for_by_nobody():
    simulation = Simulation(Target("m", "m.build"), "f")
    check_asked([cell("advi_jax", "variational", simulation)])
    with pytest.raises(ConfigError, match=r"gate\.rhat_max: got 1\.01"):
        check_asked([cell("advi_jax", "variational", simulation, rhat_max=1.01)])


def test_pareto_k_is_not_asked_for_without_a_log_likelihood():
    asked = cell("nuts", "nuts", pareto_k_share=0.0)
    check_asked([asked])
    blind = dataclasses.replace(asked, cell=dataclasses.replace(asked.cell, steps=Steps(log_likelihood=False)))
    with pytest.raises(ConfigError, match=r"gate\.pareto_k_share: got 0, and steps\.log_likelihood=false"):
        check_asked([blind])


APART = {"n_chains_apart": 1.0, "apart_chain": 2.0, "apart_below": 2.3e22, "apart_since": 0.0, "apart_moves": 0.0}


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (
            {},
            "chain 2 sits apart: its log density is 2.3e+22 below the others' from the first draw on, and it hardly "
            "moves",
        ),
        (
            {"apart_moves": 1.0, "apart_since": 40.0, "apart_below": 812.4},
            "chain 2 sits apart: its log density is 812 below the others' from draw 40 on, and it is still climbing",
        ),
        (
            {"apart_moves": 2.0, "n_chains_apart": 3.0},
            "chain 2 sits apart, and 2 more do: its log density is 2.3e+22 below the others' from the first draw on, "
            "and it moves about there",
        ),
    ],
)
def test_a_chain_that_sits_apart_is_named_first_and_no_smaller_steps_are_advised(facts, text):
    """Whatever else does not hold follows from that chain: neither smaller steps nor more of them would mend it."""
    bad = {"rhat_max": 3.0, "ess_bulk_min": 5.0, "n_divergent": 800.0, "n_max_treedepth": 900.0, "bfmi_min": 0.1}
    verdict = judge(GATE, outcome(**{**bad, **APART, **facts}))
    assert verdict.failures[0] == text
    assert len(verdict.failures) == 6
    advised = " ".join(verdict.remedies)
    for useless in ("target_accept", "sampler.tune", "sampler.draws", "max_treedepth"):
        assert useless not in advised
    assert "sampler.restart=true" in advised
    assert "sampler.chains=8" in advised
    assert ("another mode" in advised) == (facts.get("apart_moves") == 2.0)


def test_a_chain_that_sits_apart_follows_the_threshold_of_rhat():
    assert not judge(GATE, outcome(**APART)).passed
    assert judge(dataclasses.replace(GATE, rhat_max=None), outcome(**APART)).passed
