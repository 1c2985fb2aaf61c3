"""Facts from fake trees: golden against ArviZ, closed forms, and everything that is undefined stays absent."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats

from bayesrun.statistics.fit_summary import diagnose, psis_khat, scalars
from bayesrun.store.folder import Store
from bayesrun.types import DIAGNOSTICS, DiagnosticsOptions
from fake_trees import fake_outcome, fake_tree

DEFAULT = DiagnosticsOptions()


def group(**variables):
    """A dataset of arrays with dims (chain, draw, name_dim...)."""
    return xr.Dataset(
        {
            name: (("chain", "draw", *(f"{name}_{i}" for i in range(np.ndim(values) - 2))), np.asarray(values))
            for name, values in variables.items()
        }
    )


def tree_of(posterior, seconds=2.0, **groups):
    tree = xr.DataTree.from_dict({"/posterior": posterior, **{f"/{name}": value for name, value in groups.items()}})
    tree.attrs["sampling_seconds"] = seconds
    return tree


def autocorrelated(seed, shape, rho=0.6):
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(shape)
    for t in range(1, shape[1]):
        noise[:, t] += rho * noise[:, t - 1]
    return noise


@pytest.fixture(scope="module")
def golden():
    """A tree with autocorrelated draws of two variables, one of them a matrix with labels."""
    tree = fake_tree(draws=250)
    mu = autocorrelated(3, (4, 250))
    matrix = xr.DataArray(
        autocorrelated(4, (4, 250, 2, 2)),
        dims=("chain", "draw", "row", "col"),
        coords={"row": ["a", "b"], "col": [10, 20]},
    )
    tree["posterior"] = xr.DataTree(tree["posterior"].to_dataset().assign(mu=(("chain", "draw"), mu), matrix=matrix))
    tree.attrs["sampling_seconds"] = 4.0
    return tree


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_summary_agrees_with_arviz(golden, kind):
    ours = diagnose(golden, "nuts", DiagnosticsOptions(ci_prob=0.8, ci_kind=kind)).summary
    theirs = arviz_stats.summary(golden, ci_prob=0.8, ci_kind=kind, round_to="none")
    assert list(ours.index) == list(theirs.index)
    assert "matrix[a, 10]" in ours.index
    pairs = {
        "mean": "mean",
        "sd": "sd",
        "ci_lb": f"{kind}80_lb",
        "ci_ub": f"{kind}80_ub",
        "mcse_mean": "mcse_mean",
        "mcse_sd": "mcse_sd",
        "ess_bulk": "ess_bulk",
        "rhat": "r_hat",
    }
    for name, other in pairs.items():
        np.testing.assert_allclose(ours[name], theirs[other].astype(float), rtol=1e-10, err_msg=name)
    tail = arviz_stats.ess(golden, method="tail", prob=(0.05, 0.95))
    np.testing.assert_allclose(ours.loc["mu", "ess_tail"], float(tail["mu"]))
    assert ours.attrs == {"ci_kind": kind, "ci_prob": 0.8}
    assert ours.loc["mu", "median"] == pytest.approx(float(golden["posterior"]["mu"].median()))


@pytest.mark.parametrize("kind", ["eti", "hdi"])
def test_further_intervals_are_further_columns(golden, kind):
    options = DiagnosticsOptions(ci_prob=0.8, ci_kind=kind, levels=(0.5, 0.95))
    found = diagnose(golden, "nuts", options).summary
    assert tuple(found.columns[-4:]) == ("lower_0.5", "upper_0.5", "lower_0.95", "upper_0.95")
    for level in (0.5, 0.95):
        alone = diagnose(golden, "nuts", DiagnosticsOptions(ci_prob=level, ci_kind=kind)).summary
        pd.testing.assert_series_equal(found[f"lower_{level}"], alone["ci_lb"], check_names=False)
        pd.testing.assert_series_equal(found[f"upper_{level}"], alone["ci_ub"], check_names=False)


def test_scalars_are_labelled_in_order_wherever_chain_and_draw_are(golden):
    posterior = golden["posterior"].to_dataset()
    found, turned = scalars(posterior), scalars(posterior.transpose("draw", "school", "row", "chain", "col"))
    assert found.labels == turned.labels
    assert found.labels[-4:] == ["matrix[a, 10]", "matrix[a, 20]", "matrix[b, 10]", "matrix[b, 20]"]
    np.testing.assert_array_equal(found.draws, turned.draws)
    np.testing.assert_array_equal(found.draws[-2], posterior["matrix"].sel(row="b", col=10).values)
    assert scalars(posterior[["matrix"]].drop_vars("col")).labels[1] == "matrix[a, 1]"


def test_extremes_are_those_of_arviz(golden):
    found = diagnose(golden, "nuts", DEFAULT)
    rhat = arviz_stats.rhat(golden)
    ess = arviz_stats.ess(golden)
    assert found.facts["rhat_max"] == pytest.approx(max(float(rhat[name].max()) for name in rhat.data_vars))
    assert found.facts["ess_bulk_min"] == pytest.approx(min(float(ess[name].min()) for name in ess.data_vars))
    assert found.facts["ess_per_second"] == pytest.approx(found.facts["ess_bulk_min"] / 4.0)
    assert found.facts["n_scalars"] == 22
    assert found.facts["n_draws"] == 1000
    assert found.facts["n_chains"] == 4
    ratio = found.summary["mcse_mean"] / found.summary["sd"]
    assert found.facts["mcse_sd_ratio_max"] == pytest.approx(ratio.max())


def test_parameters_are_told_from_what_is_worked_out_from_them():
    """Five parameters that converged, and 600 rows of which one did not."""
    rng = np.random.default_rng(7)
    beta, mu = rng.standard_normal((4, 400, 5)), rng.standard_normal((4, 400, 600))
    mu[3, :, 17] += 2.0
    found = diagnose(tree_of(group(beta=beta, mu=mu)), "nuts", DEFAULT, parameters={"beta"})
    rhat, ess = found.summary["rhat"], found.summary["ess_bulk"]
    own = found.summary.index.str.startswith("beta")
    assert (found.facts["n_scalars"], found.facts["n_parameters"]) == (605, 5)
    assert found.facts["rhat_max"] == rhat[own].max() < 1.02
    assert found.facts["ess_bulk_min"] == ess[own].min()
    assert found.facts["rhat_max_derived"] == rhat["mu[17]"] > 1.1
    assert found.facts["ess_bulk_min_derived"] == ess["mu[17]"]
    assert list(found.named["rhat_max"]) == list(rhat[own].nlargest(3).index)
    assert next(iter(found.named["rhat_max_derived"])) == "mu[17]"
    together = diagnose(tree_of(group(beta=beta, mu=mu)), "nuts", DEFAULT)
    assert together.facts["rhat_max"] == rhat.max()
    assert not any(name.endswith("_derived") for name in (*together.facts, *together.named))


def test_a_deterministic_that_stays_where_each_chain_is_has_an_infinite_rhat(tmp_path):
    rng = np.random.default_rng(7)
    beta = rng.standard_normal((4, 400))
    side = np.repeat([[0.0], [1.0], [0.0], [1.0]], 400, axis=1)
    draws = group(beta=beta, side=side, shift=beta + 1.0, always=np.full((4, 400), 2.5))
    found = diagnose(tree_of(draws), "nuts", DEFAULT, parameters={"beta"})
    assert found.facts["rhat_max"] < 1.01
    assert list(found.named["rhat_max_derived"]) == ["side", "shift"]
    assert found.named["rhat_max_derived"]["side"] == np.inf
    assert found.absent["rhat_max_derived"] == "side never moves within a chain, and chains differ"
    assert found.facts["n_constant"] == 1.0
    same = diagnose(tree_of(draws.drop_vars("side")), "nuts", DEFAULT, parameters={"beta"})
    assert list(same.named["rhat_max_derived"]) == ["shift"]
    outcome = fake_outcome("k", "c", diagnostics=found.facts, named=found.named)
    store = Store(tmp_path)
    stored = store.write_fit(outcome, fake_tree(), found.summary)
    assert store.read_outcome("k").named == stored.named == found.named


def test_parameters_that_never_vary_are_said_beside_rows_that_do():
    x = np.random.default_rng(1).standard_normal((4, 100))
    found = diagnose(tree_of(group(c=np.ones((4, 100)), x=x)), "nuts", DEFAULT, parameters={"c"})
    assert found.absent["rhat_max"] == "no parameter varies"
    assert (found.facts["n_scalars"], found.facts["n_parameters"]) == (1, 0)


def test_why_chains_disagree_is_said_of_parameters_alone():
    rng = np.random.default_rng(8)
    mu = np.array([-3.0, 3.0]) + 0.2 * rng.standard_normal((4, 300, 2))
    mu[1] = mu[1][:, ::-1]
    dims = ("chain", "draw")
    switched = xr.Dataset({"mu": ((*dims, "part"), mu), "y": ((*dims, "obs"), mu[..., [0, 0, 0]])})
    found = diagnose(tree_of(switched), "nuts", DEFAULT, parameters={"mu"})
    assert found.named["switching"] == {"mu": 0.0}
    assert found.named["switching_rhat"]["components"] == 2
    x = rng.standard_normal((4, 300)) + np.array([0.0, 0.0, 40.0, 40.0])[:, None]
    lp = rng.standard_normal((4, 300)) - np.array([0.0, 0.0, 3.0, 3.0])[:, None]
    modes = diagnose(tree_of(group(x=x), sample_stats=group(lp=lp)), "mcmc", DEFAULT)
    assert modes.named["modes"] == {"0": 0, "1": 0, "2": 1, "3": 1}
    assert modes.named["mode_density"]["1"] == pytest.approx(modes.named["mode_density"]["0"] - 3, abs=0.3)
    below = lp - 300 * np.array([0.0, 0.0, 0.0, 1.0])[:, None]
    apart = diagnose(tree_of(group(x=x), sample_stats=group(lp=below)), "mcmc", DEFAULT)
    assert (apart.facts["n_chains_apart"], apart.facts["apart_chain"]) == (1, 3)
    assert "modes" not in apart.named


def test_loo_agrees_with_arviz_and_can_be_compared_later(golden):
    found = diagnose(golden, "nuts", DEFAULT)
    theirs = arviz_stats.loo(golden, pointwise=True)
    assert found.facts["elpd_loo"] == pytest.approx(theirs.elpd)
    assert found.facts["se_elpd_loo"] == pytest.approx(theirs.se)
    assert found.facts["p_loo"] == pytest.approx(theirs.p)
    assert found.facts["pareto_k_max"] == pytest.approx(float(theirs.pareto_k.max()))
    assert found.facts["n_loo_terms"] == 8
    assert found.loo["elpd_i"].dims == ("school",)
    xr.testing.assert_allclose(found.loo["pareto_k"], theirs.pareto_k.rename("pareto_k"))
    assert found.loo.attrs["elpd"] == pytest.approx(theirs.elpd, rel=1e-12)
    assert {type(value) for value in found.loo.attrs.values()} <= {int, float, str}


def test_loo_keeps_what_is_known_of_the_observations():
    """Dims, labels and what else belongs to observations alone, in the order of the variable."""
    rng = np.random.default_rng(3)
    terms = xr.DataArray(
        rng.standard_normal((3, 4, 2, 50)),
        dims=("day", "chain", "site", "draw"),
        coords={"day": [3, 1, 2], "altitude": ("site", [10.0, 500.0]), "weight": ("draw", np.ones(50)), "unit": "mm"},
        name="y",
    )
    tree = tree_of(group(x=rng.standard_normal((4, 50))), log_likelihood=terms.to_dataset())
    pointwise = diagnose(tree, "mcmc", DEFAULT).loo
    assert pointwise.elpd_i.dims == ("day", "site")
    assert set(pointwise.coords) == {"day", "altitude", "unit"}
    of_one = tree_of(group(x=tree["posterior"]["x"]), log_likelihood=terms.isel(site=1).to_dataset())
    alone = diagnose(of_one, "mcmc", DEFAULT).loo
    np.testing.assert_allclose(pointwise.elpd_i.sel(day=1, site=1), alone.elpd_i.sel(day=1))


def test_waic_of_normal_terms():
    """For log-likelihoods that are N(m, v) over draws, elpd_waic tends to sum(m + v/2 - v)."""
    rng = np.random.default_rng(5)
    m, v = np.array([-1.0, -2.0, -3.0]), np.array([0.1, 0.2, 0.9])
    terms = m + np.sqrt(v) * rng.standard_normal((4, 20_000, 3))
    tree = tree_of(group(mu=rng.standard_normal((4, 20_000))), log_likelihood=group(y=terms))
    found = diagnose(tree, "mcmc", DiagnosticsOptions(waic=True))
    assert found.facts["elpd_waic"] == pytest.approx((m - v / 2).sum(), abs=0.02)
    assert found.facts["p_waic"] == pytest.approx(v.sum(), abs=0.02)
    assert found.facts["se_elpd_waic"] == pytest.approx(np.sqrt(3 * np.var(m - v / 2, ddof=1)), abs=0.02)
    assert any("1 of 3 terms have a variance above 0.4" in text for text in found.warnings)
    assert "elpd_waic" not in diagnose(tree, "mcmc", DEFAULT).facts


def test_bad_pareto_k_is_counted_and_told():
    rng = np.random.default_rng(1)
    terms = rng.standard_normal((4, 250, 5)) * 0.1 - 1.0
    terms[..., 2] = -np.log1p(rng.pareto(1.0, (4, 250)))  # ratios with a Pareto tail of shape 1
    found = diagnose(tree_of(group(mu=rng.standard_normal((4, 250))), log_likelihood=group(y=terms)), "nuts", DEFAULT)
    assert found.facts["n_bad_pareto_k"] == 1
    assert 0.7 < found.facts["pareto_k_max"] < 1.3
    assert found.warnings == ("1 of 5 Pareto k are above 0.67: elpd_loo is unreliable there",)
    terms[..., 2] = -np.abs(rng.standard_cauchy((4, 250))) * 1e4  # ratios beyond any Pareto fit
    beyond = diagnose(tree_of(group(mu=rng.standard_normal((4, 250))), log_likelihood=group(y=terms)), "nuts", DEFAULT)
    assert beyond.facts["n_bad_pareto_k"] == 1
    assert "no Pareto tail" in beyond.absent["pareto_k_max"]


def test_nuts_statistics():
    shape = (4, 250)
    rng = np.random.default_rng(2)
    statistics = group(
        diverging=np.arange(1000).reshape(shape) % 100 == 0,
        reached_max_treedepth=np.arange(1000).reshape(shape) < 3,
        energy=rng.standard_normal(shape),
        acceptance_rate=np.full(shape, 0.85),
        step_size=np.repeat([[0.1], [0.2], [0.3], [0.4]], 250, axis=1),
        n_steps=np.full(shape, 7),
    )
    tree = tree_of(group(mu=rng.standard_normal(shape)), sample_stats=statistics)
    tree.attrs["target_accept"] = 0.9
    facts = diagnose(tree, "nuts", DEFAULT).facts
    assert facts["n_divergent"] == 10
    assert facts["n_max_treedepth"] == 3
    assert facts["bfmi_min"] == pytest.approx(float(arviz_stats.bfmi(tree)["energy"].min()))
    assert facts["acceptance_rate"] == pytest.approx(0.85)
    assert facts["step_size"] == pytest.approx(0.25)
    assert facts["n_steps_mean"] == 7
    assert facts["target_accept"] == 0.9


def test_constants_are_left_out_and_counted():
    """The diagonal of a correlation matrix never varies, up to rounding; it has no R-hat and is no failure."""
    rng = np.random.default_rng(3)
    corr = np.ones((4, 100, 2, 2))
    corr[..., 0, 1] = corr[..., 1, 0] = rng.uniform(-1, 1, (4, 100))
    corr[:, ::2, 1, 1] += np.finfo(float).eps
    found = diagnose(tree_of(group(corr=corr)), "nuts", DEFAULT)
    assert found.facts["n_constant"] == 2
    assert found.facts["n_scalars"] == 2
    assert found.facts["rhat_max"] < 1.1
    constant = found.summary.loc["corr[0, 0]"]
    assert (constant["mean"], constant["sd"], constant["ci_lb"], constant["ci_ub"]) == (1.0, 0.0, 1.0, 1.0)
    assert constant[["rhat", "ess_bulk", "mcse_mean"]].isna().all()


def test_nothing_that_varies():
    found = diagnose(tree_of(group(c=np.ones((4, 50)))), "nuts", DEFAULT)
    assert found.facts["n_scalars"] == 0
    assert found.absent["rhat_max"] == "no scalar varies"


def test_draws_that_are_not_finite_are_counted_and_named():
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4, 100, 6))
    x[0, 3, 1], x[1, 0, 2], x[1, 1, 2], x[2, 2, 3], x[0, 0, 4] = np.nan, np.inf, -np.inf, np.nan, np.nan
    found = diagnose(tree_of(group(x=x)), "nuts", DEFAULT)
    assert found.facts["n_nonfinite"] == 5
    assert found.facts["n_scalars"] == 2
    assert found.summary.loc["x[1]"].isna().all()
    assert np.isfinite(found.facts["rhat_max"])
    assert "draws that are not finite in x[1], x[2], x[3] and 1 more" in found.warnings


def test_chains_that_never_move_have_no_rhat():
    """Between-chain variance over nearly zero: huge, or absent with the scalar's name, and never small."""
    stuck = np.repeat(np.arange(4.0)[:, None], 100, axis=1)
    found = diagnose(tree_of(group(a=np.random.default_rng(1).standard_normal((4, 100)), b=stuck)), "nuts", DEFAULT)
    assert found.facts.get("rhat_max", np.inf) > 1e6
    assert all(np.isfinite(value) for value in found.facts.values())


@pytest.mark.parametrize(("chains", "draws"), [(4, 1), (4, 3), (1, 1)])
def test_short_chains(chains, draws):
    tree = fake_tree(chains=chains, draws=draws)
    found = diagnose(tree, "nuts", DEFAULT)
    if (chains, draws) == (1, 1):
        assert found.absent["rhat_max"] == "no scalar varies"
    else:
        assert found.absent["rhat_max"] == f"needs 4 draws in each chain, got {draws}"
    assert all(np.isfinite(value) for value in found.facts.values())


def test_single_chain_has_ess_but_no_rhat():
    found = diagnose(fake_tree(chains=1), "nuts", DEFAULT)
    assert found.absent["rhat_max"] == "needs at least two chains"
    assert found.facts["ess_bulk_min"] > 50
    assert found.summary["rhat"].isna().all()


def test_ties_of_a_discrete_variable():
    k = np.random.default_rng(6).integers(0, 3, (4, 500))
    found = diagnose(tree_of(group(k=k)), "mcmc", DEFAULT)
    assert 0.99 < found.facts["rhat_max"] < 1.02
    assert found.facts["ess_bulk_min"] > 500
    assert found.absent["n_divergent"] == "the sampler simulates no Hamiltonian"


def variational(seed, inflate, draws=4000, dims=3):
    """Draws of q = N(0, 1) for a target N(0, inflate^2), with their densities."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((1, draws, dims))
    lp = stats.norm(0, inflate).logpdf(z).sum(axis=-1) + 5.0
    tree = tree_of(group(z=z), sample_stats=group(lp=lp, log_q=stats.norm.logpdf(z).sum(axis=-1)))
    tree.attrs |= {"elbo": 4.5, "converged": 0}
    return tree


def test_variational_has_khat_and_no_rhat():
    found = diagnose(variational(1, 1.1), "variational", DEFAULT)
    assert {"rhat_max", "ess_bulk_min", "ess_tail_min", "ess_per_second"} <= set(found.absent)
    assert found.facts["khat"] < 0.7
    assert found.facts["elbo"] == 4.5
    assert found.facts["elbo_converged"] == 0
    assert any("ELBO had not settled" in text for text in found.warnings)
    assert found.summary[["rhat", "ess_bulk", "ess_tail"]].isna().all(axis=None)
    np.testing.assert_allclose(found.summary["mcse_mean"], found.summary["sd"] / np.sqrt(4000))
    np.testing.assert_allclose(found.summary["mcse_sd"], found.summary["sd"] / np.sqrt(2 * 4000), rtol=0.1)


def test_khat_of_a_known_tail():
    """Ratios of N(0, s^2) to N(0, 1) have a Pareto tail of shape 1 - 1/s^2."""
    for inflate, low, high in ((1.0001, -0.5, 0.2), (1.5, 0.35, 0.75), (3.0, 0.7, 1.2)):
        tree = variational(2, inflate, draws=100_000, dims=1)["sample_stats"]
        assert low < psis_khat((tree["lp"] - tree["log_q"]).values) < high


def test_khat_that_cannot_be_estimated():
    assert np.isnan(psis_khat(np.array([0.0, np.inf, 1.0])))
    found = diagnose(variational(1, 1.0, draws=3), "variational", DEFAULT)
    assert "too few draws" in found.absent["khat"]
    assert psis_khat(np.full((1, 100), 3.2)) == 0.0
    assert np.isnan(psis_khat(np.repeat([0.0, 1.0], 50)))
    assert all(np.isfinite(value) for value in found.facts.values())
    assert diagnose(fake_tree(kind="variational"), "variational", DEFAULT).absent["khat"] == (
        "the densities lp and log_q are missing"
    )


def test_loo_of_an_approximation_is_corrected():
    """theta ~ N(0, 1), y_i ~ N(theta, 1), q wider and shifted: corrected LOO meets the exact leave-one-out density."""
    rng = np.random.default_rng(8)
    y = np.array([0.2, -0.5, 1.3, 0.8, 0.1])
    mean, sd = y.sum() / (y.size + 1), (y.size + 1) ** -0.5
    q = stats.norm(mean + 0.1 * sd, 1.2 * sd)
    theta = q.rvs((1, 40_000), random_state=rng)
    terms = stats.norm.logpdf(y, theta[..., None], 1.0)
    lp = stats.norm.logpdf(theta) + terms.sum(axis=-1)
    tree = tree_of(group(theta=theta), sample_stats=group(lp=lp, log_q=q.logpdf(theta)), log_likelihood=group(y=terms))
    exact = 0.0
    for i in range(y.size):
        rest = np.delete(y, i)
        exact += stats.norm.logpdf(y[i], rest.sum() / (rest.size + 1), np.sqrt(1 + 1 / (rest.size + 1)))
    assert diagnose(tree, "variational", DEFAULT).facts["elpd_loo"] == pytest.approx(exact, abs=0.02)
    waic = diagnose(tree, "variational", DiagnosticsOptions(waic=True))
    assert "approximation" in waic.absent["elpd_waic"]


def test_loo_of_a_posterior_is_near_exact():
    """The same model with draws of the posterior."""
    rng = np.random.default_rng(9)
    y = np.array([0.2, -0.5, 1.3, 0.8, 0.1])
    theta = stats.norm(y.sum() / 6, 6**-0.5).rvs((4, 5000), random_state=rng)
    tree = tree_of(group(theta=theta), log_likelihood=group(y=stats.norm.logpdf(y, theta[..., None], 1.0)))
    exact = sum(stats.norm.logpdf(y[i], np.delete(y, i).sum() / 5, np.sqrt(1 + 1 / 5)) for i in range(y.size))
    assert diagnose(tree, "nuts", DEFAULT).facts["elpd_loo"] == pytest.approx(exact, abs=0.02)


def test_smc_compares_runs_and_has_no_ess():
    rng = np.random.default_rng(7)
    particles = rng.standard_normal((4, 500))
    particles[:, 250:] += 5.0  # order within a run means nothing: a split R-hat would be far above 1
    evidence = xr.DataArray([-30.0, -30.2, -29.9, -30.1], dims="chain")
    tree = tree_of(group(x=particles), sample_stats=xr.Dataset({"log_marginal_likelihood": evidence}))
    found = diagnose(tree, "smc", DEFAULT)
    assert found.facts["rhat_max"] < 1.02
    assert found.absent["ess_bulk_min"] == "particles are no Markov chain"
    assert found.facts["log_marginal_likelihood"] == pytest.approx(-30.05)
    assert found.facts["log_marginal_likelihood_sd"] == pytest.approx(float(evidence.std(ddof=1)))
    means = particles.mean(axis=1)
    assert found.summary.loc["x", "mcse_mean"] == pytest.approx(means.std(ddof=1) / 2)
    shifted = tree_of(group(x=rng.standard_normal((4, 500)) + np.arange(4)[:, None]))
    assert diagnose(shifted, "smc", DEFAULT).facts["rhat_max"] > 1.3
    single = diagnose(tree_of(group(x=particles[:1])), "smc", DEFAULT)
    assert single.absent["rhat_max"] == "needs at least two chains"


@pytest.mark.parametrize(
    ("groups", "options", "reason"),
    [
        ({}, DEFAULT, "no log-likelihood was computed"),
        (
            {"log_likelihood": group(a=np.zeros((4, 50, 3)), b=np.zeros((4, 50, 2)))},
            DEFAULT,
            "2 observed variables (a, b)",
        ),
        (
            {"log_likelihood": group(a=np.zeros((4, 50, 3)))},
            DiagnosticsOptions(loo_var="c"),
            "loo_var=c is not observed",
        ),
        (
            {"log_likelihood": group(y=np.zeros((4, 50))), "observed_data": xr.Dataset({"y": ("t", np.zeros(9))})},
            DEFAULT,
            "the likelihood of y is not pointwise: one log density for 9 observed values",
        ),
        ({"log_likelihood": group(y=np.zeros((4, 50, 1)))}, DEFAULT, "y has one observation"),
        ({"log_likelihood": group(y=np.full((4, 50, 3), -np.inf))}, DEFAULT, "600 values that are not finite"),
    ],
)
def test_loo_is_absent_with_the_reason(groups, options, reason):
    x = np.random.default_rng(1).standard_normal((4, 50))
    found = diagnose(tree_of(group(x=x), **groups), "nuts", options)
    assert reason in found.absent["elpd_loo"]
    assert set(found.absent) >= {"elpd_loo", "se_elpd_loo", "p_loo", "pareto_k_max", "n_bad_pareto_k"}
    assert found.loo is None


def test_loo_of_a_named_variable():
    rng = np.random.default_rng(2)
    terms = group(a=rng.standard_normal((4, 200, 3)) * 0.1, b=rng.standard_normal((4, 200, 4)) * 0.1)
    tree = tree_of(group(x=rng.standard_normal((4, 200))), log_likelihood=terms)
    found = diagnose(tree, "nuts", DiagnosticsOptions(loo_var="b"))
    assert found.loo.sizes == {"b_0": 4}
    assert found.loo.attrs["var_name"] == "b"


@pytest.mark.parametrize("kind", ["nuts", "mcmc", "smc", "variational"])
def test_facts_are_finite_floats_and_nothing_is_both(kind):
    tree = fake_tree(kind=kind)
    found = diagnose(tree, kind, DiagnosticsOptions(waic=True))
    assert {type(value) for value in found.facts.values()} == {float}
    assert np.isfinite(list(found.facts.values())).all()
    assert not set(found.facts) & set(found.absent)
    assert all(found.absent.values())
    assert {*found.facts, *found.absent} <= set(DIAGNOSTICS)
    assert isinstance(found.summary, pd.DataFrame)
    assert tuple(found.summary.columns) == (
        *("mean", "sd", "median", "ci_lb", "ci_ub"),
        *("mcse_mean", "mcse_sd", "ess_bulk", "ess_tail", "rhat"),
    )


def test_summary_goes_to_parquet_and_back(tmp_path):
    summary = diagnose(fake_tree(), "nuts", DEFAULT).summary
    summary.to_parquet(tmp_path / "summary.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "summary.parquet"), summary)
