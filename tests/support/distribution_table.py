"""Every distribution of PyMC with parameters to draw it at, and why those are refused that cannot generate data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pymc as pm
import pytensor.tensor as pt
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

N = 3
"""Length of vector parameters."""
COV = np.array([[1.0, 0.5], [0.5, 2.0]])
TRIANGLE = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]])

type Change = Callable[[Any], Any]
"""From a parameter to what is handed over in its place: itself, or what hangs on a free variable."""


@dataclass(frozen=True)
class Row:
    """A distribution with parameters of one form.

    Parameters
    ----------
    form
        Of its parameters: ``scalar``, ``vector``, ``mixed`` (the last one a vector, the others numbers) or a word of
        its own.
    shape
        Of its values.
    make
        ``make(create, change, **more)``: the variable, where `create` is the class, its ``dist``, or one of these with
        a name.
    refused
        What a study says that cannot draw it; empty where it draws.
    outcome, latent
        Whether it can be observed, and whether it can be free.
    density
        SciPy's pointwise log density, where SciPy has it.
    """

    name: str
    form: str
    shape: tuple[int, ...]
    make: Callable[..., Any]
    refused: str = ""
    outcome: bool = True
    latent: bool = True
    density: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def label(self) -> str:
        """A name for tests."""
        return f"{self.name}-{self.form}"


@dataclass(frozen=True)
class Of:
    """Makes a variable of a class from parameters that are named numbers and arrays."""

    parameters: Mapping[str, Any]

    def __call__(self, create: Callable[..., Any], change: Change, **more: Any) -> Any:
        """Make the variable."""
        return create(**{name: change(value) for name, value in self.parameters.items()}, **more)


ELEMENTWISE: dict[str, tuple[dict[str, Any], Any]] = {
    "AsymmetricLaplace": (
        {"kappa": 2.0, "mu": 1.0, "b": 0.5},
        lambda kappa, mu, b: stats.laplace_asymmetric(kappa, mu, 1 / b),
    ),
    "Bernoulli": ({"p": 0.3}, stats.bernoulli),
    "Beta": ({"alpha": 2.0, "beta": 3.0}, stats.beta),
    "BetaBinomial": ({"alpha": 2.0, "beta": 3.0, "n": 9}, lambda alpha, beta, n: stats.betabinom(n, alpha, beta)),
    "Binomial": ({"n": 9, "p": 0.3}, stats.binom),
    "Cauchy": ({"alpha": 1.0, "beta": 2.0}, stats.cauchy),
    "ChiSquared": ({"nu": 4.0}, stats.chi2),
    "DiracDelta": ({"c": 2.0}, None),
    "DiscreteUniform": ({"lower": 1, "upper": 6}, lambda lower, upper: stats.randint(lower, upper + 1)),
    "DiscreteWeibull": ({"q": 0.7, "beta": 1.2}, None),
    "ExGaussian": ({"mu": 1.0, "sigma": 0.5, "nu": 2.0}, lambda mu, sigma, nu: stats.exponnorm(nu / sigma, mu, sigma)),
    "Exponential": ({"lam": 2.0}, lambda lam: stats.expon(0, 1 / lam)),
    "Gamma": ({"alpha": 2.0, "beta": 3.0}, lambda alpha, beta: stats.gamma(alpha, scale=1 / beta)),
    "Geometric": ({"p": 0.3}, stats.geom),
    "Gumbel": ({"mu": 1.0, "beta": 2.0}, stats.gumbel_r),
    "HalfCauchy": ({"beta": 2.0}, lambda beta: stats.halfcauchy(0, beta)),
    "HalfNormal": ({"sigma": 2.0}, lambda sigma: stats.halfnorm(0, sigma)),
    "HalfStudentT": ({"nu": 4.0, "sigma": 2.0}, None),
    "HurdleGamma": ({"psi": 0.7, "alpha": 2.0, "beta": 3.0}, None),
    "HurdleLogNormal": ({"psi": 0.7, "mu": 0.5, "sigma": 0.5}, None),
    "HurdleNegativeBinomial": ({"psi": 0.7, "mu": 3.0, "alpha": 2.0}, None),
    "HurdlePoisson": ({"psi": 0.7, "mu": 3.0}, None),
    "HyperGeometric": ({"N": 20, "k": 7, "n": 12}, lambda N, k, n: stats.hypergeom(N, k, n)),
    "InverseGamma": ({"alpha": 3.0, "beta": 2.0}, lambda alpha, beta: stats.invgamma(alpha, scale=beta)),
    "Kumaraswamy": ({"a": 2.0, "b": 3.0}, None),
    "Laplace": ({"mu": 1.0, "b": 2.0}, stats.laplace),
    "LogNormal": ({"mu": 0.5, "sigma": 0.5}, lambda mu, sigma: stats.lognorm(sigma, scale=np.exp(mu))),
    "Logistic": ({"mu": 1.0, "s": 2.0}, stats.logistic),
    "LogitNormal": ({"mu": 0.5, "sigma": 0.5}, None),
    "Moyal": ({"mu": 1.0, "sigma": 2.0}, stats.moyal),
    "NegativeBinomial": ({"mu": 3.0, "alpha": 2.0}, lambda mu, alpha: stats.nbinom(alpha, alpha / (alpha + mu))),
    "Normal": ({"mu": 1.0, "sigma": 2.0}, stats.norm),
    "Pareto": ({"alpha": 3.0, "m": 2.0}, lambda alpha, m: stats.pareto(alpha, scale=m)),
    "Poisson": ({"mu": 3.0}, stats.poisson),
    "PolyaGamma": ({"h": 2.0, "z": 1.0}, None),
    "Rice": ({"nu": 2.0, "sigma": 1.5}, lambda nu, sigma: stats.rice(nu / sigma, scale=sigma)),
    "SkewNormal": ({"mu": 1.0, "sigma": 2.0, "alpha": 3.0}, lambda mu, sigma, alpha: stats.skewnorm(alpha, mu, sigma)),
    "SkewStudentT": ({"a": 3.0, "b": 2.0, "mu": 1.0, "sigma": 2.0}, stats.jf_skew_t),
    "StudentT": ({"nu": 4.0, "mu": 1.0, "sigma": 2.0}, stats.t),
    "Triangular": ({"lower": 0.0, "c": 1.0, "upper": 4.0}, None),
    "TruncatedNormal": (
        {"mu": 1.0, "sigma": 2.0, "lower": 0.0, "upper": 4.0},
        lambda mu, sigma, lower, upper: stats.truncnorm((lower - mu) / sigma, (upper - mu) / sigma, mu, sigma),
    ),
    "Uniform": ({"lower": 1.0, "upper": 4.0}, lambda lower, upper: stats.uniform(lower, upper - lower)),
    "VonMises": ({"mu": 0.5, "kappa": 2.0}, lambda mu, kappa: stats.vonmises(kappa, mu)),
    "Wald": ({"mu": 1.0, "lam": 2.0}, lambda mu, lam: stats.invgauss(mu / lam, scale=lam)),
    "Weibull": ({"alpha": 2.0, "beta": 3.0}, lambda alpha, beta: stats.weibull_min(alpha, scale=beta)),
    "ZeroInflatedBinomial": ({"psi": 0.7, "n": 9, "p": 0.3}, None),
    "ZeroInflatedNegativeBinomial": ({"psi": 0.7, "mu": 3.0, "alpha": 2.0}, None),
    "ZeroInflatedPoisson": ({"psi": 0.7, "mu": 3.0}, None),
}
"""Distributions whose values are independent given the parameters: these, and SciPy's distribution of the same ones."""


NOT_INSTALLED = {"PolyaGamma": "polyagamma package is not installed"}
"""What PyMC says of distributions whose draws need a package that bayesrun does not bring."""


def _elementwise() -> list[Row]:
    rows = []
    for name, (scalars, law) in ELEMENTWISE.items():
        steps = np.array([0, 1, 2])
        vectors = {key: v + steps if isinstance(v, int) else v * (1 + steps / 16) for key, v in scalars.items()}
        if name == "HyperGeometric":
            vectors |= {"N": vectors["N"] + 10}
        refused = NOT_INSTALLED.get(name, "")
        forms: dict[str, dict[str, Any]] = {"scalar": scalars, "vector": vectors}
        if len(scalars) > 1:
            last = list(scalars)[-1]
            forms["mixed"] = scalars | {last: vectors[last]}
        if "mu" in scalars and len(scalars) > 1:
            forms["vector mu"] = scalars | {"mu": vectors["mu"]}
        for form, parameters in forms.items():
            rows.append(Row(name, form, (N,), Of(parameters), refused, density=_log_density(law, parameters)))
    return rows


def _log_density(law: Any, parameters: Mapping[str, Any]) -> Callable[[np.ndarray], np.ndarray] | None:
    if law is None:
        return None
    frozen = (
        law(*parameters.values()) if isinstance(law, (stats.rv_continuous, stats.rv_discrete)) else law(**parameters)
    )
    discrete = isinstance(frozen.dist, stats.rv_discrete)
    return frozen.logpmf if discrete else frozen.logpdf


def _mixture(create, change, **more):
    parts = [pm.Normal.dist(change(-2.0), 1.0), pm.StudentT.dist(nu=4.0, mu=change(np.arange(1.0, N + 1)), sigma=0.5)]
    return create(w=change(np.array([0.4, 0.6])), comp_dists=parts, **more)


def _stacked(create, change, **more):
    part = pm.Normal.dist(change(np.array([-2.0, 2.0])), change(np.array([1.0, 0.5])))
    return create(w=change(np.array([0.4, 0.6])), comp_dists=part, **more)


def _censored(create, change, **more):
    return create(pm.StudentT.dist(nu=4.0, mu=change(1.0), sigma=2.0), lower=-1.0, upper=change(2.0), **more)


def _censored_vector(create, change, **more):
    inner = pm.StudentT.dist(nu=4.0, mu=change(np.arange(1.0, N + 1)), sigma=2.0)
    return create(inner, lower=None, upper=np.array([2.0, 1.0, 4.0]), **more)


def _truncated(create, change, **more):
    return create(pm.Normal.dist(change(1.0), 2.0), lower=0.0, upper=change(2.0), **more)


def _truncated_vector(create, change, **more):
    return create(pm.Gamma.dist(change(np.arange(1.0, N + 1)), 2.0), lower=0.5, upper=None, **more)


def _truncated_without_icdf(create, change, **more):
    return create(pm.StudentT.dist(nu=4.0, mu=change(np.arange(1.0, N + 1)), sigma=2.0), lower=0.5, upper=5.0, **more)


def _around(mu, sigma, rng=None, size=None):
    return rng.normal(mu, sigma, size)


def _simulated(rng, mu, sigma, size=None):
    return rng.normal(mu, sigma, size)


def _log_normal(value, mu, sigma):
    return pm.logp(pm.Normal.dist(mu, sigma), value)


def _from_dist(mu, sigma, size):
    return pm.Normal.dist(mu, sigma, size=size)


def _custom(mu, sigma, **how):
    def make(create, change, **more):
        return create(change(mu), change(sigma), **how, **more)

    return make


def _simulator(mu, sigma, **how):
    def make(create, change, **more):
        return create(_simulated, change(mu), change(sigma), epsilon=1.0, **how, **more)

    return make


def _lkj_cov(create, change, **more):
    return create(n=3, eta=change(2.0), sd_dist=pm.Exponential.dist(change(1.0), size=3), **more)


def _ar(rho, constant=False):
    def make(create, change, **more):
        return create(change(rho), sigma=change(0.5), constant=constant, init_dist=pm.Normal.dist(0.0, 1.0), **more)

    return make


def _walk(create, change, **more):
    return create(mu=change(0.5), sigma=change(1.0), init_dist=pm.Normal.dist(0.0, 2.0), **more)


def _walks(create, change, **more):
    sigma = change(np.array([1.0, 2.0]))
    return create(mu=0.5, sigma=sigma, init_dist=pm.Normal.dist(0.0, np.array([2.0, 3.0])), **more)


def _general_walk(create, change, **more):
    innovations = pm.StudentT.dist(nu=4.0, mu=change(0.5), sigma=1.0)
    return create(init_dist=pm.Normal.dist(0.0, 2.0), innovation_dist=innovations, **more)


def _mv_walk(create, change, **more):
    start = pm.MvNormal.dist(np.zeros(2), np.eye(2))
    return create(mu=change(np.array([0.5, 0.0])), cov=change(COV), init_dist=start, **more)


def _mv_t_walk(create, change, **more):
    start = pm.MvNormal.dist(np.zeros(2), np.eye(2))
    return create(nu=5.0, mu=change(np.array([0.5, 0.0])), scale=change(COV), init_dist=start, **more)


def _drift(x, rate, noise):
    return -rate * x, noise


def _sde(create, change, **more):
    start = pm.Normal.dist(0.0, 1.0)
    return create(dt=0.1, sde_fn=_drift, sde_pars=(change(1.0), change(0.5)), init_dist=start, **more)


def _flat(create, change, **more):
    return create(**more)


def _interpolated(create, change, **more):
    return create(x_points=np.linspace(0.0, 3.0, 9), pdf_points=np.linspace(1.0, 2.0, 9), **more)


def _bartlett(create, change, **more):
    return create(S=COV, nu=5, **more)


IMPROPER = "has the improper prior {}, from which nothing can be drawn"
P = np.array([0.2, 0.3, 0.5])
PS = np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
A = np.array([1.0, 2.0, 3.0])
AS = np.array([[1.0, 2.0, 3.0], [4.0, 3.0, 2.0]])
CUTS = np.array([-1.0, 0.5])
ROWS: tuple[Row, ...] = (
    *_elementwise(),
    Row("Flat", "scalar", (N,), _flat, IMPROPER.format("Flat")),
    Row("HalfFlat", "scalar", (N,), _flat, IMPROPER.format("HalfFlat")),
    Row("ICAR", "matrix", (3,), Of({"W": TRIANGLE}), IMPROPER.format("ICAR")),
    Row("Interpolated", "scalar", (N,), _interpolated),
    Row("Categorical", "scalar", (N,), Of({"p": P})),
    Row("Categorical", "vector", (2,), Of({"p": PS})),
    Row("OrderedLogistic", "scalar", (N,), Of({"eta": 0.5, "cutpoints": CUTS})),
    Row("OrderedLogistic", "vector", (N,), Of({"eta": np.array([0.5, 0.0, -0.5]), "cutpoints": CUTS})),
    Row("OrderedProbit", "scalar", (N,), Of({"eta": 0.5, "cutpoints": CUTS})),
    Row("OrderedProbit", "vector", (N,), Of({"eta": np.array([0.5, 0.0, -0.5]), "cutpoints": CUTS})),
    Row("OrderedMultinomial", "scalar", (3,), Of({"eta": 0.5, "cutpoints": CUTS, "n": 9})),
    Row("OrderedMultinomial", "vector", (2, 3), Of({"eta": np.array([0.5, 0.0]), "cutpoints": CUTS, "n": 9})),
    Row("Multinomial", "scalar", (3,), Of({"n": 9, "p": P}), density=stats.multinomial(9, P).logpmf),
    Row("Multinomial", "vector", (2, 3), Of({"n": np.array([9, 5]), "p": PS})),
    Row("DirichletMultinomial", "scalar", (3,), Of({"n": 9, "a": A}), density=stats.dirichlet_multinomial(A, 9).logpmf),
    Row("DirichletMultinomial", "vector", (2, 3), Of({"n": np.array([9, 5]), "a": AS})),
    Row("Dirichlet", "scalar", (3,), Of({"a": A}), density=lambda x: stats.dirichlet(A).logpdf(x / x.sum())),
    Row("Dirichlet", "vector", (2, 3), Of({"a": AS})),
    Row("StickBreakingWeights", "scalar", (4,), Of({"alpha": 2.0, "K": 3})),
    Row("StickBreakingWeights", "vector", (2, 4), Of({"alpha": np.array([2.0, 3.0]), "K": 3})),
    Row("MvNormal", "scalar", (2,), Of({"mu": 1.0, "cov": COV})),
    Row(
        "MvNormal", "vector", (2,), Of({"mu": A[:2], "cov": COV}), density=stats.multivariate_normal(A[:2], COV).logpdf
    ),
    Row("MvNormal", "matrix", (N, 2), Of({"mu": np.arange(6.0).reshape(3, 2), "cov": COV})),
    Row("MvNormal", "chol", (2,), Of({"mu": A[:2], "chol": np.linalg.cholesky(COV)})),
    Row("MvStudentT", "scalar", (2,), Of({"nu": 5.0, "mu": 1.0, "scale": COV})),
    Row(
        "MvStudentT",
        "vector",
        (2,),
        Of({"nu": 5.0, "mu": A[:2], "scale": COV}),
        density=stats.multivariate_t(A[:2], COV, 5.0).logpdf,
    ),
    Row("MvStudentT", "matrix", (N, 2), Of({"nu": 5.0, "mu": np.arange(6.0).reshape(3, 2), "scale": COV})),
    Row(
        "MatrixNormal",
        "matrix",
        (2, 3),
        Of({"mu": np.ones((2, 3)), "rowcov": COV, "colcov": np.diag(A)}),
        density=stats.matrix_normal(np.ones((2, 3)), COV, np.diag(A)).logpdf,
    ),
    Row(
        "KroneckerNormal",
        "vector",
        (4,),
        lambda create, change, **more: create(
            mu=change(np.arange(4.0)), covs=[change(COV), change(np.eye(2))], sigma=0.5, **more
        ),
    ),
    Row(
        "KroneckerNormal",
        "scalar",
        (4,),
        lambda create, change, **more: create(mu=change(np.zeros(4)), covs=[COV, np.eye(2)], **more),
    ),
    Row("CAR", "scalar", (3,), Of({"mu": np.zeros(3), "W": TRIANGLE, "alpha": 0.5, "tau": 2.0})),
    Row("CAR", "vector", (3,), Of({"mu": A, "W": TRIANGLE, "alpha": 0.5, "tau": 2.0})),
    Row("ZeroSumNormal", "scalar", (4,), Of({"sigma": 2.0})),
    Row("ZeroSumNormal", "vector", (2, 4), Of({"sigma": np.array([[2.0], [3.0]])})),
    Row(
        "ZeroSumNormal",
        "two axes",
        (2, 4),
        lambda create, change, **more: create(sigma=change(2.0), n_zerosum_axes=2, **more),
    ),
    Row("Wishart", "matrix", (2, 2), Of({"nu": 5, "V": COV}), density=stats.wishart(5, COV).logpdf),
    Row("WishartBartlett", "matrix", (2, 2), _bartlett, outcome=False),
    Row("LKJCorr", "scalar", (3, 3), Of({"n": 3, "eta": 2.0}), outcome=False),
    Row("LKJCholeskyCov", "scalar", (6,), _lkj_cov, outcome=False),
    Row("Mixture", "scalar", (N,), _stacked),
    Row("Mixture", "vector", (N,), _mixture),
    Row("NormalMixture", "scalar", (N,), Of({"w": np.array([0.4, 0.6]), "mu": np.array([-2.0, 2.0]), "sigma": 1.0})),
    Row(
        "NormalMixture",
        "vector",
        (2,),
        Of(
            {
                "w": np.array([[0.4, 0.6], [0.9, 0.1]]),
                "mu": np.array([[-2.0, 2.0], [0.0, 5.0]]),
                "sigma": np.array([1.0, 0.5]),
            }
        ),
    ),
    Row("Censored", "scalar", (N,), _censored),
    Row("Censored", "vector", (N,), _censored_vector),
    Row("Truncated", "scalar", (N,), _truncated),
    Row("Truncated", "vector", (N,), _truncated_vector),
    Row("Truncated", "vector, by trial", (N,), _truncated_without_icdf),
    Row("AR", "scalar", (5,), _ar(0.6)),
    Row("AR", "vector", (5,), _ar(np.array([0.3, 0.5, 0.1]), constant=True)),
    Row("GARCH11", "scalar", (5,), Of({"omega": 0.5, "alpha_1": 0.2, "beta_1": 0.3, "initial_vol": 1.0})),
    Row(
        "GARCH11",
        "vector",
        (2, 5),
        Of(
            {
                "omega": np.array([0.5, 1.0]),
                "alpha_1": np.array([0.2, 0.1]),
                "beta_1": np.array([0.3, 0.2]),
                "initial_vol": np.array([1.0, 2.0]),
            }
        ),
    ),
    Row("GaussianRandomWalk", "scalar", (4,), _walk),
    Row("GaussianRandomWalk", "vector", (2, 4), _walks),
    Row("RandomWalk", "scalar", (4,), _general_walk),
    Row("MvGaussianRandomWalk", "vector", (4, 2), _mv_walk),
    Row("MvStudentTRandomWalk", "vector", (4, 2), _mv_t_walk),
    Row("EulerMaruyama", "scalar", (5,), _sde),
    Row("CustomDist", "scalar, random", (N,), _custom(1.0, 2.0, random=_around), latent=False),
    Row("CustomDist", "vector, random", (N,), _custom(A, 2.0, random=_around), latent=False),
    Row(
        "CustomDist",
        "vector, random and logp",
        (N,),
        _custom(A, 2.0, random=_around, logp=_log_normal),
        density=stats.norm(A, 2.0).logpdf,
    ),
    Row("CustomDist", "vector, dist", (N,), _custom(A, 2.0, dist=_from_dist), density=stats.norm(A, 2.0).logpdf),
    Row("CustomDist", "vector, logp", (N,), _custom(A, 2.0, logp=_log_normal), "is a CustomDist without a way to draw"),
    Row("Simulator", "scalar", (N,), _simulator(1.0, 2.0, sum_stat="sort"), latent=False),
    Row("Simulator", "vector", (N,), _simulator(A, 2.0), latent=False),
)

ALIASES = {"Lognormal": "LogNormal", "DensityDist": "CustomDist"}
"""Other names of PyMC for the same."""
BASES = {"Distribution", "Discrete", "Continuous", "SymbolicRandomVariable"}
"""What distributions are made of."""


def hanging_on(variable: Any) -> Change:
    """Return a change by which real parameters hang on a variable, and stay what they are."""

    def change(value: Any) -> Any:
        return value if np.asarray(value).dtype.kind in "iu" else pt.as_tensor(value) + 0.0 * variable

    return change
