"""Whether a stored posterior is of a model: log densities written down here, independently of PyMC's."""

import numpy as np
import pymc as pm
import pytest
import xarray as xr
from scipy import stats

from bayesrun.errors import ConfigError
from bayesrun.planning import posterior_sbc
from bayesrun.planning.posterior_sbc import facts_of
from bayesrun.simulate import check_observed, densities_agree
from bayesrun.simulate.original import Agreement
from bayesrun.store.folder import Store
from bayesrun.types import Original, Target
from fake_trees import fake_outcome, fake_summary, fake_tree

Y = np.array([0.3, -0.2, 1.4, 0.9])


def model(prior: float = 1.0, noise: float = 1.0, y: np.ndarray = Y) -> pm.Model:
    with pm.Model() as built:
        location = pm.Normal("mu", 0.0, prior)
        scale = pm.HalfNormal("sigma", 1.0)
        pm.Normal("y_obs", location, noise * scale, observed=y)
    return built


def parts(mu: np.ndarray, sigma: np.ndarray) -> dict[str, np.ndarray]:
    """Log density of `model`: prior, Jacobian of log(sigma), terms of the likelihood; dims (chain, draw, ...)."""
    return {
        "prior": stats.norm.logpdf(mu) + stats.halfnorm.logpdf(sigma),
        "jacobian": np.log(sigma),
        "terms": stats.norm.logpdf(Y, mu[..., None], sigma[..., None]),
    }


def write(path, density=lambda p: p["prior"] + p["jacobian"] + p["terms"].sum(-1), *, terms=True, **attrs) -> str:
    """A file with draws, and beside them what a sampler would store."""
    rng = np.random.default_rng(4)
    mu, sigma = rng.normal(0.5, 0.4, (2, 30)), rng.gamma(5.0, 0.2, (2, 30))
    found = parts(mu, sigma)
    over = ("chain", "draw")
    groups = {"posterior": xr.Dataset({"mu": (over, mu), "sigma": (over, sigma)}, attrs=attrs)}
    if density is not None:
        groups["sample_stats"] = xr.Dataset({"lp": (over, density(found))})
    if terms:
        groups["log_likelihood"] = xr.Dataset({"y_obs": ((*over, "obs"), found["terms"])})
    groups["observed_data"] = xr.Dataset({"y_obs": ("obs", Y)})
    xr.DataTree.from_dict(groups).to_netcdf(path)
    return str(path)


OWN = {"inference_library": "pymc"}
ELSEWHERE = {"inference_library": "another"}


def natural(p):
    return p["prior"] + p["terms"].sum(-1)


def whole(p):
    return natural(p) + p["jacobian"]


@pytest.mark.parametrize(
    ("density", "attrs", "same"),
    [
        (whole, OWN, True),
        (lambda p: -whole(p), OWN, True),  # NumPyro's potential energy, as PyMC stores it
        (lambda p: whole(p) + 3.0, OWN, False),  # PyMC leaves out no constant: another support, say
        (lambda p: whole(p) + 3.0, OWN | {"sampler": "mine"}, True),
        (natural, OWN, False),  # an Exponential prior without its Jacobian is a Gamma prior with it
        (whole, ELSEWHERE, True),
        (lambda p: -whole(p) + 7.0, ELSEWHERE, True),
        (lambda p: natural(p) - 2.0, ELSEWHERE, True),
        (lambda p: whole(p) + 0.01 * p["prior"], ELSEWHERE, False),
        (lambda p: whole(p) + p["jacobian"], ELSEWHERE, False),
    ],
)
def test_the_density_of_a_fit_is_the_models_up_to_what_its_library_leaves_out(tmp_path, density, attrs, same):
    found = densities_agree(write(tmp_path / "posterior.nc", density, **attrs), model())
    assert (found.density, found.likelihood) == (same, True)


def test_another_prior_and_another_likelihood_are_told_apart(tmp_path):
    path = write(tmp_path / "posterior.nc", **OWN)
    same = densities_agree(path, model())
    assert (same.density, same.likelihood) == (True, True)
    assert same.differences == pytest.approx((0.0, 0.0), abs=1e-12)
    prior = densities_agree(path, model(prior=1.02))
    assert (prior.density, prior.likelihood) == (False, True)
    constant = densities_agree(path, model(noise=1.02))
    assert (constant.density, constant.likelihood) == (False, False)
    assert constant.differences[0] < constant.differences[1]


def test_what_is_not_stored_is_not_compared(tmp_path):
    assert densities_agree(write(tmp_path / "a.nc", None, terms=False), model(prior=9.0)) == Agreement(None, None)
    assert densities_agree(write(tmp_path / "b.nc", None), model(prior=9.0)) == Agreement(None, True)
    assert densities_agree(write(tmp_path / "c.nc", None), model(noise=2.0)) == Agreement(None, False)


def shares(path, z: np.ndarray) -> str:
    """Draws of a share with a Beta(2, 3) prior and one success, from log odds that round to 0 and 1."""
    p = 1 / (1 + np.exp(-z))
    density = np.log(12) - 3 * np.logaddexp(0, -z) - 3 * np.logaddexp(0, z)
    groups = {
        "posterior": xr.Dataset({"p": (("chain", "draw"), p[None])}, attrs=OWN),
        "sample_stats": xr.Dataset({"lp": (("chain", "draw"), density[None])}),
    }
    xr.DataTree.from_dict(groups).to_netcdf(path)
    return str(path)


def share(upper: float = 1.0) -> pm.Model:
    with pm.Model() as built:
        p = pm.Beta("p", 2.0, 3.0) if upper == 1.0 else pm.Uniform("p", 0.0, upper)
        pm.Bernoulli("y_obs", p, observed=np.array([1]))
    return built


def test_draws_that_are_rounded_at_a_bound_are_no_sign_of_another_prior(tmp_path):
    ordinary = np.linspace(-3, 3, 15)
    # 12 p (1 - p)^2, one success p, Jacobian p (1 - p)
    path = shares(tmp_path / "posterior.nc", np.concatenate([ordinary, [30.0, 33.0, 38.0]]))
    assert densities_agree(path, share()).density is True
    assert densities_agree(path, share(0.9)).density is False  # draws beyond the bound of the prior


def test_other_data_are_refused(tmp_path):
    path = write(tmp_path / "posterior.nc")
    check_observed(path, model())
    with pytest.raises(ConfigError, match="other observed values of y_obs"):
        check_observed(path, model(y=Y + 1e-6))
    xr.DataTree.from_dict({"posterior": xr.Dataset()}).to_netcdf(tmp_path / "draws.nc")
    with pytest.raises(ConfigError, match="no observed values of y_obs"):
        check_observed(str(tmp_path / "draws.nc"), model())


GENERATOR = Target("means", "means.build")


def test_what_could_not_be_compared_is_said(tmp_path):
    for density, terms, word in (
        (None, False, "whether it is of this study's model, prior and constants could not be compared"),
        (None, True, "whether its prior is could not be compared"),
        (whole, True, ""),
    ):
        path = write(tmp_path / f"{word == ''}{terms}.nc", density, terms=terms, **OWN)
        found = posterior_sbc.check_same_model(Original(path), model(), GENERATOR, "sources-graph")
        assert word in found.unknown
        assert bool(found.unknown) == bool(word)
    with pytest.raises(ConfigError, match="is a fit with another likelihood than this study's generating model"):
        posterior_sbc.check_same_model(Original(path), model(noise=2.0), GENERATOR, "sources-graph")


def test_a_file_of_no_study_is_judged_by_its_draws(tmp_path):
    found = posterior_sbc.facts_of(write(tmp_path / "posterior.nc", **OWN), ["mu", "sigma"])
    assert (found.key, found.sampler, found.kind) == ("", "pymc", "mcmc")
    assert found.facts["n_draws"] == 60
    assert any("ess_bulk_min" in failure for failure in found.failures)
    told = posterior_sbc.told(found)
    assert told.startswith("pymc, 60 draws in 2 chains, R-hat ")
    assert "verdict fail: " in told
    assert told.endswith(found.path)


@pytest.mark.parametrize(
    ("kind", "facts", "replicates", "few"),
    [
        ("nuts", {"n_draws": 4000.0, "ess_bulk_min": 250.4}, 250, False),
        ("nuts", {"n_draws": 4000.0, "ess_bulk_min": 250.4}, 251, True),
        ("nuts", {"n_draws": 4000.0, "ess_bulk_min": 250.4}, None, False),
        ("variational", {"n_draws": 1000.0, "khat": 0.4}, 1000, False),
        ("variational", {"n_draws": 1000.0, "khat": 0.4}, 1001, True),
    ],
)
def test_fewer_effective_draws_than_replicates_are_a_doubt(kind, facts, replicates, few):
    doubts = posterior_sbc.doubts(Original("p.nc", kind=kind, facts=facts), replicates)
    assert len(doubts) == int(few)
    if few:
        assert f"effective draws for {replicates} replicates" in doubts[0]
        assert "more draws" in doubts[0]
    bad = Original("p.nc", kind=kind, facts=facts, failures=("khat 0.94 > 0.7",), remedies=("use sampler=nuts",))
    first = posterior_sbc.doubts(bad, replicates)[0]
    assert "khat 0.94 > 0.7" in first
    assert "use sampler=nuts" in first


def test_a_posterior_that_its_study_did_not_write_so_is_no_source_of_truths(tmp_path):
    store = Store(tmp_path / "first")
    store.write_fit(fake_outcome("k0"), fake_tree(), fake_summary(fake_tree()))
    path = store.fit_folder("k0") / "posterior.nc"
    assert facts_of(str(path), ("mu", "tau")).kind == "nuts"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"study\.truth\.posterior: .* is not as study first wrote it .* run the command"
    ):
        facts_of(str(path), ("mu", "tau"))
