"""Models as people of the field bring them, each with small data of its own: what is known of every sampler is held.

Each is built without arguments from numbers of a fixed seed. `MODELS` says what is worth comparing between samplers.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pymc as pm
import pytensor
import pytensor.tensor as pt

MODELS: dict[str, "Everyday"] = {}


@dataclass(frozen=True)
class Everyday:
    """A model of the list.

    Parameters
    ----------
    build
        Makes it.
    refused
        Sampler to words of the true reason for which it is not fitted.
    identified
        Whether its posterior has one mode that all chains find, so that samplers are held against each other.
    loo
        Whether it has pointwise terms.
    """

    build: Callable[[], pm.Model]
    refused: dict[str, str] = field(default_factory=dict)
    identified: bool = True
    loo: bool = True


def everyday(**facts):
    """Put a builder on the list by its name."""

    def put(build):
        MODELS[build.__name__.removeprefix("_")] = Everyday(build, **facts)
        return build

    return put


def build(*, case: str) -> pm.Model:
    """Build one of the list."""
    return MODELS[case].build()


def _rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


# ---- Gaussian processes and smooths


@everyday(loo=False)
def _gp_marginal() -> pm.Model:
    rng = _rng(1)
    x = np.sort(rng.uniform(0.0, 6.0, 25))[:, None]
    y = np.sin(x[:, 0]) + 0.2 * rng.standard_normal(25)
    with pm.Model() as model:
        length = pm.InverseGamma("length", 5.0, 5.0)
        scale = pm.HalfNormal("scale", 1.0)
        noise = pm.HalfNormal("noise", 0.5)
        gp = pm.gp.Marginal(cov_func=scale**2 * pm.gp.cov.Matern52(1, length))
        gp.marginal_likelihood("y", X=x, y=y, sigma=noise)
    return model


@everyday()
def _gp_latent_counts() -> pm.Model:
    rng = _rng(2)
    x = np.linspace(0.0, 4.0, 18)[:, None]
    y = rng.poisson(np.exp(1.0 + np.sin(2 * x[:, 0])))
    with pm.Model() as model:
        length = pm.InverseGamma("length", 5.0, 5.0)
        gp = pm.gp.Latent(mean_func=pm.gp.mean.Constant(1.0), cov_func=pm.gp.cov.ExpQuad(1, length))
        pm.Poisson("y", pt.exp(gp.prior("f", X=x)), observed=y)
    return model


@everyday()
def _gp_hilbert() -> pm.Model:
    rng = _rng(3)
    x = np.linspace(0.0, 6.0, 60)[:, None]
    y = np.sin(x[:, 0]) + 0.3 * rng.standard_normal(60)
    with pm.Model() as model:
        length = pm.InverseGamma("length", 5.0, 5.0)
        scale = pm.HalfNormal("scale", 1.0)
        gp = pm.gp.HSGP(m=[12], c=1.5, cov_func=scale**2 * pm.gp.cov.ExpQuad(1, length))
        f = gp.prior("f", X=x)
        pm.Normal("y", f, pm.HalfNormal("sigma", 0.5), observed=y)
    return model


@everyday()
def _spline() -> pm.Model:
    from scipy.interpolate import BSpline

    rng = _rng(4)
    x = np.sort(rng.uniform(0.0, 1.0, 80))
    knots = np.concatenate([np.zeros(3), np.linspace(0.0, 1.0, 6), np.ones(3)])
    basis = BSpline.design_matrix(x, knots, 3).toarray()
    y = np.sin(6 * x) + 0.2 * rng.standard_normal(80)
    with pm.Model(coords={"basis": np.arange(basis.shape[1])}) as model:
        tau = pm.HalfNormal("tau", 1.0)
        weight = pm.Normal("weight", 0.0, tau, dims="basis")
        pm.Normal("y", basis @ weight, pm.HalfNormal("sigma", 0.5), observed=y)
    return model


# ---- outcomes


@everyday()
def _mixture_of_normals() -> pm.Model:
    rng = _rng(5)
    y = np.concatenate([rng.normal(-2.0, 0.6, 40), rng.normal(2.0, 0.9, 60)])
    with pm.Model() as model:
        weight = pm.Dirichlet("weight", np.ones(2))
        mu = pm.Normal(
            "mu", 0.0, 3.0, shape=2, transform=pm.distributions.transforms.ordered, initval=np.array([-1.0, 1.0])
        )
        sigma = pm.HalfNormal("sigma", 1.0, shape=2)
        pm.NormalMixture("y", w=weight, mu=mu, sigma=sigma, observed=y)
    return model


@everyday()
def _ordered_logistic() -> pm.Model:
    rng = _rng(6)
    x = rng.standard_normal(90)
    y = np.digitize(1.0 * x + rng.logistic(size=90), [-1.0, 0.5, 2.0])
    with pm.Model() as model:
        slope = pm.Normal("slope", 0.0, 2.0)
        cuts = pm.Normal(
            "cuts", 0.0, 3.0, shape=3, transform=pm.distributions.transforms.ordered, initval=np.array([-1.0, 0.0, 1.0])
        )
        pm.OrderedLogistic("y", eta=slope * x, cutpoints=cuts, observed=y)
    return model


@everyday()
def _ordered_probit() -> pm.Model:
    rng = _rng(7)
    x = rng.standard_normal(90)
    y = np.digitize(0.8 * x + rng.standard_normal(90), [-0.8, 0.3, 1.2])
    with pm.Model() as model:
        slope = pm.Normal("slope", 0.0, 2.0)
        cuts = pm.Normal(
            "cuts", 0.0, 3.0, shape=3, transform=pm.distributions.transforms.ordered, initval=np.array([-1.0, 0.0, 1.0])
        )
        pm.OrderedProbit("y", eta=slope * x, cutpoints=cuts, observed=y)
    return model


@everyday()
def _zero_inflated_poisson() -> pm.Model:
    rng = _rng(8)
    x = rng.standard_normal(120)
    y = rng.poisson(np.exp(1.0 + 0.4 * x)) * (rng.uniform(size=120) < 0.7)
    with pm.Model() as model:
        psi = pm.Beta("psi", 2.0, 2.0)
        a, b = pm.Normal("a", 0.0, 2.0), pm.Normal("b", 0.0, 1.0)
        pm.ZeroInflatedPoisson("y", psi=psi, mu=pt.exp(a + b * x), observed=y)
    return model


@everyday()
def _zero_inflated_negative_binomial() -> pm.Model:
    rng = _rng(9)
    y = rng.negative_binomial(3, 3 / (3 + 5.0), 120) * (rng.uniform(size=120) < 0.8)
    with pm.Model() as model:
        psi = pm.Beta("psi", 2.0, 2.0)
        mu = pm.Gamma("mu", 2.0, 0.4)
        alpha = pm.Gamma("alpha", 2.0, 0.5)
        pm.ZeroInflatedNegativeBinomial("y", psi=psi, mu=mu, alpha=alpha, observed=y)
    return model


@everyday()
def _hurdle_negative_binomial() -> pm.Model:
    rng = _rng(10)
    y = (1 + rng.negative_binomial(2, 0.3, 100)) * (rng.uniform(size=100) < 0.6)
    with pm.Model() as model:
        psi = pm.Beta("psi", 2.0, 2.0)
        mu = pm.Gamma("mu", 2.0, 0.4)
        alpha = pm.Gamma("alpha", 2.0, 0.5)
        pm.HurdleNegativeBinomial("y", psi=psi, mu=mu, alpha=alpha, observed=y)
    return model


@everyday()
def _student_t_regression() -> pm.Model:
    rng = _rng(11)
    x = rng.standard_normal(80)
    y = 1.0 + 2.0 * x + 0.5 * rng.standard_t(3, 80)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 5.0), pm.Normal("b", 0.0, 5.0)
        pm.StudentT("y", nu=pm.Gamma("nu", 2.0, 0.1), mu=a + b * x, sigma=pm.HalfNormal("sigma", 2.0), observed=y)
    return model


@everyday()
def _beta_regression() -> pm.Model:
    rng = _rng(12)
    x = rng.standard_normal(70)
    mean = 1 / (1 + np.exp(-(0.3 + 0.7 * x)))
    y = rng.beta(mean * 12, (1 - mean) * 12)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 2.0), pm.Normal("b", 0.0, 2.0)
        pm.Beta("y", mu=pm.math.invlogit(a + b * x), nu=pm.Gamma("nu", 2.0, 0.1), observed=y)
    return model


@everyday()
def _skew_normal() -> pm.Model:
    y = _rng(13).gamma(3.0, 1.0, 100)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 2.0, 3.0), pm.HalfNormal("sigma", 3.0)
        pm.SkewNormal("y", mu=mu, sigma=sigma, alpha=pm.TruncatedNormal("alpha", 2.0, 3.0, lower=0.0), observed=y)
    return model


@everyday()
def _von_mises() -> pm.Model:
    y = _rng(14).vonmises(0.7, 3.0, 60)
    with pm.Model() as model:
        pm.VonMises("y", mu=pm.Normal("mu", 0.0, 1.0), kappa=pm.Gamma("kappa", 2.0, 0.5), observed=y)
    return model


@everyday()
def _exponentially_modified() -> pm.Model:
    rng = _rng(15)
    y = rng.normal(1.0, 0.3, 120) + rng.exponential(0.8, 120)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 1.0, 2.0), pm.HalfNormal("sigma", 1.0)
        pm.ExGaussian("y", mu=mu, sigma=sigma, nu=pm.HalfNormal("nu", 2.0), observed=y)
    return model


@everyday()
def _inverse_gaussian_times() -> pm.Model:
    y = _rng(16).wald(1.5, 3.0, 80)
    with pm.Model() as model:
        pm.Wald("y", mu=pm.HalfNormal("mu", 3.0), lam=pm.HalfNormal("lam", 5.0), observed=y)
    return model


@everyday()
def _quantile_regression() -> pm.Model:
    rng = _rng(17)
    x = rng.uniform(0.0, 2.0, 80)
    y = 1.0 + x + (0.3 + 0.3 * x) * rng.standard_normal(80)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 3.0), pm.Normal("b", 0.0, 3.0)
        pm.AsymmetricLaplace("y", b=1 / pm.HalfNormal("s", 1.0), q=0.8, mu=a + b * x, observed=y)
    return model


@everyday()
def _gamma_with_offset() -> pm.Model:
    rng = _rng(18)
    x, offset = rng.standard_normal(80), rng.uniform(0.0, 1.0, 80)
    mean = np.exp(0.5 + 0.4 * x + offset)
    y = rng.gamma(4.0, mean / 4.0)
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 2.0), pm.Normal("b", 0.0, 2.0)
        shape = pm.HalfNormal("shape", 5.0)
        pm.Gamma("y", alpha=shape, beta=shape / pt.exp(a + b * x + offset), observed=y)
    return model


@everyday()
def _poisson_with_exposure() -> pm.Model:
    rng = _rng(19)
    x, exposure = rng.standard_normal(80), rng.uniform(0.5, 20.0, 80)
    y = rng.poisson(exposure * np.exp(-0.5 + 0.5 * x))
    with pm.Model() as model:
        hours = pm.Data("hours", exposure)
        a, b = pm.Normal("a", 0.0, 2.0), pm.Normal("b", 0.0, 2.0)
        pm.Poisson("y", hours * pt.exp(a + b * x), observed=y)
    return model


@everyday()
def _multinomial() -> pm.Model:
    rng = _rng(20)
    y = rng.multinomial(20, [0.2, 0.5, 0.3], size=12)
    with pm.Model() as model:
        p = pm.Dirichlet("p", np.ones(3))
        pm.Multinomial("y", n=20, p=p, observed=y)
    return model


@everyday()
def _dirichlet_multinomial() -> pm.Model:
    rng = _rng(21)
    y = np.array([rng.multinomial(30, rng.dirichlet([2.0, 5.0, 3.0])) for _ in range(15)])
    with pm.Model() as model:
        share = pm.Dirichlet("share", np.ones(3))
        weight = pm.Gamma("weight", 2.0, 0.2)
        pm.DirichletMultinomial("y", n=30, a=share * weight, observed=y)
    return model


# ---- cut off, imputed, measured with error


@everyday()
def _censored_normal() -> pm.Model:
    rng = _rng(22)
    y = np.clip(rng.normal(1.0, 2.0, 80), None, 2.5)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("sigma", 5.0)
        pm.Censored("y", pm.Normal.dist(mu, sigma), lower=None, upper=2.5, observed=y)
    return model


@everyday()
def _censored_student_t() -> pm.Model:
    rng = _rng(23)
    y = np.clip(1.0 + rng.standard_t(4, 80), -0.5, None)
    with pm.Model() as model:
        mu, sigma = pm.Normal("mu", 0.0, 5.0), pm.HalfNormal("sigma", 3.0)
        nu = pm.Gamma("nu", 4.0, 0.5)
        pm.Censored("y", pm.StudentT.dist(nu=nu, mu=mu, sigma=sigma), lower=-0.5, upper=None, observed=y)
    return model


@everyday()
def _truncated_normal_regression() -> pm.Model:
    rng = _rng(24)
    x = rng.standard_normal(300)
    y = 0.5 + x + rng.standard_normal(300)
    keep = y > 0
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 3.0), pm.Normal("b", 0.0, 3.0)
        sigma = pm.HalfNormal("sigma", 2.0)
        pm.Truncated("y", pm.Normal.dist(a + b * x[keep], sigma), lower=0.0, upper=None, observed=y[keep])
    return model


@everyday()
def _truncated_negative_binomial() -> pm.Model:
    rng = _rng(25)
    y = rng.negative_binomial(3, 3 / (3 + 4.0), 120)
    with pm.Model() as model:
        mu, alpha = pm.Gamma("mu", 2.0, 0.4), pm.Gamma("alpha", 2.0, 0.5)
        pm.Truncated("y", pm.NegativeBinomial.dist(mu=mu, alpha=alpha), lower=1, upper=None, observed=y[y > 0])
    return model


@everyday(loo=False)
def _weibull_with_censoring() -> pm.Model:
    rng = _rng(26)
    time, end = 2.0 * rng.weibull(1.5, 90), rng.uniform(0.5, 4.0, 90)
    seen, y = time <= end, np.minimum(time, end)
    with pm.Model() as model:
        shape, scale = pm.HalfNormal("shape", 2.0), pm.HalfNormal("scale", 5.0)
        hazard = pt.log(shape) - shape * pt.log(scale) + (shape - 1.0) * pt.log(y[seen])
        pm.Potential("events", hazard.sum())
        pm.Potential("survival", -((y / scale) ** shape).sum())
    return model


@everyday()
def _missing_outcomes() -> pm.Model:
    rng = _rng(27)
    x = rng.standard_normal(40)
    y = 1.0 + x + 0.5 * rng.standard_normal(40)
    y[[3, 17, 30]] = np.nan
    with pm.Model() as model:
        a, b = pm.Normal("a", 0.0, 3.0), pm.Normal("b", 0.0, 3.0)
        pm.Normal("y", a + b * x, pm.HalfNormal("sigma", 2.0), observed=y)
    return model


@everyday()
def _missing_covariate() -> pm.Model:
    rng = _rng(28)
    x = rng.normal(1.0, 2.0, 50)
    y = 0.5 + 0.8 * x + 0.5 * rng.standard_normal(50)
    x[[2, 11, 29, 44]] = np.nan
    with pm.Model() as model:
        level, spread = pm.Normal("level", 0.0, 3.0), pm.HalfNormal("spread", 3.0)
        whole = pm.Normal("x", level, spread, observed=x)
        a, b = pm.Normal("a", 0.0, 3.0), pm.Normal("b", 0.0, 3.0)
        pm.Normal("y", a + b * whole, pm.HalfNormal("sigma", 2.0), observed=y)
    return model


@everyday()
def _measurement_error() -> pm.Model:
    rng = _rng(29)
    true = rng.standard_normal(40)
    seen, y = true + 0.3 * rng.standard_normal(40), 1.0 + 1.5 * true + 0.4 * rng.standard_normal(40)
    with pm.Model() as model:
        x = pm.Normal("x", 0.0, 1.0, shape=40)
        pm.Normal("seen", x, 0.3, observed=seen)
        a, b = pm.Normal("a", 0.0, 3.0), pm.Normal("b", 0.0, 3.0)
        pm.Normal("y", a + b * x, pm.HalfNormal("sigma", 1.0), observed=y)
    return model


# ---- groups and covariances


@everyday()
def _varying_slopes() -> pm.Model:
    rng = _rng(30)
    group = np.repeat(np.arange(8), 12)
    x = rng.standard_normal(96)
    own = rng.multivariate_normal([1.0, 0.5], [[0.4, 0.1], [0.1, 0.2]], 8)
    y = own[group, 0] + own[group, 1] * x + 0.5 * rng.standard_normal(96)
    with pm.Model(coords={"group": list("abcdefgh"), "effect": ["level", "slope"]}) as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=2, eta=2.0, sd_dist=pm.Exponential.dist(1.0), compute_corr=True)
        mean = pm.Normal("mean", 0.0, 2.0, dims="effect")
        z = pm.Normal("z", 0.0, 1.0, dims=("group", "effect"))
        effects = pm.Deterministic("effects", mean + z @ chol.T, dims=("group", "effect"))
        pm.Normal("y", effects[group, 0] + effects[group, 1] * x, pm.HalfNormal("sigma", 1.0), observed=y)
    return model


@everyday()
def _correlated_outcomes() -> pm.Model:
    y = _rng(31).multivariate_normal([0.0, 1.0, -1.0], [[1.0, 0.5, 0.2], [0.5, 2.0, 0.0], [0.2, 0.0, 0.5]], 60)
    with pm.Model() as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=3, eta=2.0, sd_dist=pm.HalfNormal.dist(2.0), compute_corr=True)
        pm.MvNormal("y", mu=pm.Normal("mu", 0.0, 3.0, shape=3), chol=chol, observed=y)
    return model


@everyday()
def _zero_sum_effects() -> pm.Model:
    rng = _rng(32)
    group = np.repeat(np.arange(5), 15)
    y = 2.0 + np.array([-1.0, -0.5, 0.0, 0.5, 1.0])[group] + 0.7 * rng.standard_normal(75)
    with pm.Model(coords={"group": list("abcde")}) as model:
        level = pm.Normal("level", 0.0, 5.0)
        effect = pm.ZeroSumNormal("effect", 1.0, dims="group")
        pm.Normal("y", level + effect[group], pm.HalfNormal("sigma", 2.0), observed=y)
    return model


def _neighbours(size: int) -> np.ndarray:
    grid = np.zeros((size, size))
    index = np.arange(size - 1)
    grid[index, index + 1] = grid[index + 1, index] = 1.0
    return grid


@everyday()
def _besag_icar() -> pm.Model:
    rng = _rng(33)
    expected = rng.uniform(5.0, 30.0, 15)
    y = rng.poisson(expected * np.exp(0.5 * np.sin(np.arange(15) / 3.0)))
    with pm.Model() as model:
        field_ = pm.ICAR("field", W=_neighbours(15))
        scale = pm.HalfNormal("scale", 1.0)
        pm.Poisson("y", expected * pt.exp(pm.Normal("level", 0.0, 1.0) + scale * field_), observed=y)
    return model


@everyday()
def _car() -> pm.Model:
    rng = _rng(34)
    y = np.sin(np.arange(15) / 3.0) + 0.3 * rng.standard_normal(15)
    with pm.Model() as model:
        alpha = pm.Beta("alpha", 4.0, 1.0)
        tau = pm.Gamma("tau", 2.0, 1.0)
        latent = pm.CAR("latent", mu=np.zeros(15), W=_neighbours(15), alpha=alpha, tau=tau)
        pm.Normal("y", latent, 0.3, observed=y)
    return model


@everyday()
def _item_response() -> pm.Model:
    rng = _rng(35)
    ability, hard = rng.standard_normal(25), np.linspace(-1.0, 1.0, 6)
    y = rng.uniform(size=(25, 6)) < 1 / (1 + np.exp(-(ability[:, None] - hard)))
    with pm.Model(coords={"person": np.arange(25), "item": list("abcdef")}) as model:
        theta = pm.Normal("theta", 0.0, 1.0, dims="person")
        difficulty = pm.Normal("difficulty", 0.0, 2.0, dims="item")
        slope = pm.LogNormal("slope", 0.0, 0.5, dims="item")
        pm.Bernoulli(
            "y", logit_p=slope * (theta[:, None] - difficulty), observed=y.astype(int), dims=("person", "item")
        )
    return model


# ---- time


@everyday(loo=False)
def _garch() -> pm.Model:
    rng = _rng(36)
    y, variance = np.zeros(120), 0.5
    for t in range(1, 120):
        variance = 0.2 + 0.3 * y[t - 1] ** 2 + 0.4 * variance
        y[t] = np.sqrt(variance) * rng.standard_normal()
    with pm.Model() as model:
        omega = pm.HalfNormal("omega", 0.5)
        shares = pm.Dirichlet("shares", np.array([2.0, 2.0, 2.0]))
        pm.GARCH11("y", omega=omega, alpha_1=shares[0], beta_1=shares[1], initial_vol=0.7, observed=y)
    return model


@everyday()
def _local_level() -> pm.Model:
    rng = _rng(37)
    y = np.cumsum(0.3 * rng.standard_normal(40)) + 0.5 * rng.standard_normal(40)
    with pm.Model() as model:
        step = pm.HalfNormal("step", 0.5)
        level = pm.GaussianRandomWalk("level", sigma=step, init_dist=pm.Normal.dist(0.0, 1.0), shape=40)
        pm.Normal("y", level, pm.HalfNormal("noise", 1.0), observed=y)
    return model


@everyday(loo=False)
def _autoregression() -> pm.Model:
    rng = _rng(38)
    y = np.zeros(100)
    for t in range(2, 100):
        y[t] = 0.5 * y[t - 1] + 0.2 * y[t - 2] + 0.5 * rng.standard_normal()
    with pm.Model() as model:
        rho = pm.Normal("rho", 0.0, 0.5, shape=2)
        pm.AR("y", rho=rho, sigma=pm.HalfNormal("sigma", 1.0), init_dist=pm.Normal.dist(0.0, 1.0), observed=y)
    return model


@everyday(loo=False)
def _hidden_markov() -> pm.Model:
    rng = _rng(39)
    state, states = 0, []
    for _ in range(80):
        state = state if rng.uniform() < 0.9 else 1 - state
        states.append(state)
    y = np.array([-1.0, 1.5])[states] + 0.6 * rng.standard_normal(80)
    with pm.Model() as model:
        stay = pm.Beta("stay", 8.0, 2.0, shape=2)
        mu = pm.Normal(
            "mu", 0.0, 2.0, shape=2, transform=pm.distributions.transforms.ordered, initval=np.array([-1.0, 1.0])
        )
        sigma = pm.HalfNormal("sigma", 1.0)
        moves = pt.log(pt.stack([pt.stack([stay[0], 1 - stay[0]]), pt.stack([1 - stay[1], stay[1]])]))
        terms = pm.logp(pm.Normal.dist(mu, sigma), y[:, None])

        def forward(term, before, moves):
            return term + pt.logsumexp(before[:, None] + moves, axis=0)

        ahead = pytensor.scan(
            forward,
            sequences=[terms[1:]],
            outputs_info=[terms[0] - np.log(2.0)],
            non_sequences=[moves],
            return_updates=False,
        )
        pm.Potential("path", pt.logsumexp(ahead[-1]))
    return model


@everyday()
def _differential_equation() -> pm.Model:
    rng = _rng(40)
    value, path = 0.1, []
    for _ in range(30):
        value += 0.2 * 1.2 * value * (1 - value / 2.0)
        path.append(value)
    y = np.array(path) + 0.05 * rng.standard_normal(30)
    with pm.Model() as model:
        rate, limit = pm.LogNormal("rate", 0.0, 0.5), pm.LogNormal("limit", 0.5, 0.5)

        def step(before, rate, limit):
            return before + 0.2 * rate * before * (1 - before / limit)

        solved = pytensor.scan(
            step, outputs_info=[pt.constant(0.1)], non_sequences=[rate, limit], n_steps=30, return_updates=False
        )
        pm.Normal("y", solved, pm.HalfNormal("sigma", 0.2), observed=y)
    return model


@everyday(
    refused={name: "discrete" for name in ("numpyro", "advi", "nuts")},
)
def _discrete_change_point() -> pm.Model:
    rng = _rng(41)
    y = np.concatenate([rng.poisson(2.0, 30), rng.poisson(5.0, 30)])
    with pm.Model() as model:
        change = pm.DiscreteUniform("change", 0, 59)
        early, late = pm.Exponential("early", 0.3), pm.Exponential("late", 0.3)
        pm.Poisson("y", pt.switch(np.arange(60) < change, early, late), observed=y)
    return model


# ---- densities of people's own


@everyday()
def _own_density() -> pm.Model:
    y = np.abs(_rng(42).standard_normal(80)) ** 1.3

    def logp(value, rate, power):
        return pt.log(power * rate) + (power - 1) * pt.log(value) - rate * value**power

    with pm.Model() as model:
        rate, power = pm.HalfNormal("rate", 2.0), pm.HalfNormal("power", 2.0)
        pm.CustomDist("y", rate, power, logp=logp, observed=y)
    return model


@everyday(loo=False)
def _funnel() -> pm.Model:
    with pm.Model() as model:
        v = pm.Normal("v", 0.0, 1.0)
        pm.Normal("x", 0.0, pt.exp(v / 2), shape=3)
    return model


@everyday()
def _interpolated_prior() -> pm.Model:
    y = _rng(43).normal(1.0, 1.0, 30)
    grid = np.linspace(-3.0, 5.0, 81)
    with pm.Model() as model:
        mu = pm.Interpolated("mu", grid, np.exp(-0.5 * ((grid - 0.5) / 1.0) ** 2))
        pm.Normal("y", mu, pm.HalfNormal("sigma", 2.0), observed=y)
    return model


@everyday()
def _stick_breaking_weights() -> pm.Model:
    rng = _rng(44)
    y = np.concatenate([rng.normal(-3.0, 0.5, 50), rng.normal(1.0, 0.7, 40)])
    with pm.Model() as model:
        weights = pm.StickBreakingWeights("weights", alpha=1.0, K=2)
        mu = pm.Normal(
            "mu", 0.0, 3.0, shape=3, transform=pm.distributions.transforms.ordered, initval=np.array([-3.0, 0.0, 2.0])
        )
        pm.NormalMixture("y", w=weights, mu=mu, sigma=pm.Gamma("sigma", 4.0, 6.0), observed=y)
    return model


@everyday(loo=False)
def _matrix_of_effects() -> pm.Model:
    y = _rng(45).standard_normal((6, 3)) @ np.linalg.cholesky([[1.0, 0.4, 0.0], [0.4, 1.0, 0.2], [0.0, 0.2, 1.0]]).T
    with pm.Model() as model:
        chol, _, _ = pm.LKJCholeskyCov("chol", n=3, eta=3.0, sd_dist=pm.HalfNormal.dist(2.0), compute_corr=True)
        mu = pm.Normal("mu", 0.0, 1.0, shape=3)
        pm.MatrixNormal("y", mu=pt.ones((6, 1)) * mu, rowcov=pt.eye(6), colchol=chol, observed=y)
    return model
