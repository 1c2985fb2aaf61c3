"""What samplers cannot take is refused before the start, by the variable or op, with the samplers that can."""

import pytest
from tests.support import refused_models as models

from bayesrun.base.imports import import_target, sampler_constant
from bayesrun.errors import ConfigError
from bayesrun.planning.fingerprint import observed_digest
from bayesrun.planning.loo_comparable import observed_of, pseudo_likelihoods
from bayesrun.planning.sampler_needs import SHIPPED, Lacks, check_needs
from bayesrun.types import Cell, Dataset, SamplerOptions, Target

PYMC = ("nuts", "metropolis", "smc", "advi", "fullrank_advi")
OPTIMISED = ("advi", "fullrank_advi")
NO_GRADIENT = ("metropolis", "smc")
BATCH = "sees a random batch of rows (pm.Minibatch)"
ABC = "is a pm.Simulator, which has no density"

TABLE = {
    "plain": (SHIPPED, ""),
    "minibatch": (OPTIMISED, f"y {BATCH}"),
    "minibatch_pair": (OPTIMISED, f"y {BATCH}"),
    "minibatch_predictor": (OPTIMISED, f"fit {BATCH}"),
    "noisy_potential": (OPTIMISED, "the density of p holds a random number that is no variable of the model"),
    "simulator": (("smc",), f"y {ABC}"),
    "simulator_beside": (("smc",), f"y {ABC}"),
    "simulator_minibatch": ((), "no sampler takes it"),
    "wrapped_python": (NO_GRADIENT, "no gradient for a, because _square (FromFunctionOp) has none"),
    "wrapped_python_potential": (NO_GRADIENT, "no gradient for a, because _square (FromFunctionOp) has none"),
    "with_gradient": (PYMC, "No JAX conversion for the given `Op`: WithGradient"),
    "unwritten_gradient": (NO_GRADIENT, "no gradient for a, because Unwritten has none"),
    "broken_gradient": (NO_GRADIENT, "no gradient for a, because Broken has none"),
    "without_gradient": (NO_GRADIENT, "no gradient for a, because Cubed has none"),
    "discrete_and_wrapped": (NO_GRADIENT, "no gradient for a, because _square (FromFunctionOp) has none"),
    "wrapped_jax": (SHIPPED, ""),
    "while_in_jax": (NO_GRADIENT, "Reverse-mode differentiation does not work for lax.while_loop"),
    "of_data_alone": (SHIPPED, ""),
    "data_in_jax": (SHIPPED, ""),
    "looped": (SHIPPED, ""),
    "until_small": (PYMC, "While Scan cannot yet be converted to JAX"),
    "inverse_gamma_quantile": (NO_GRADIENT, "because GammaIncInv has none"),
    "inverse_beta_quantile": (NO_GRADIENT, "because BetaIncInv has none"),
    "bessel": (PYMC, "JAX cannot take its density"),
    "branch": (SHIPPED, ""),
    "sorted_values": (SHIPPED, ""),
    "boolean_mask": (SHIPPED, ""),
    "matrix": (SHIPPED, ""),
    "weighted": (SHIPPED, ""),
    "scaled": (SHIPPED, ""),
}


def cell(model: str, sampler: str) -> Cell:
    return Cell(model, Target(model, ""), Target("none", ""), Target(sampler, ""), SamplerOptions())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyMC's own Simulator
@pytest.mark.parametrize("name", TABLE)
def test_each_sampler_takes_a_model_or_refuses_it(name):
    able, words = TABLE[name]
    lacks = Lacks(getattr(models, name)())
    refused = {}
    for sampler in SHIPPED:
        needs = sampler_constant(import_target("sampler", f"bayesrun.samplers.{sampler}.sample"), "NEEDS")
        try:
            check_needs(lacks, cell(name, sampler), needs)
        except ConfigError as error:
            refused[sampler] = str(error)
    assert set(SHIPPED) - set(refused) == set(able)
    for sampler, text in refused.items():
        assert text.startswith(f"model={name} sampler={sampler}: ")
        assert len(text.splitlines()) == 1
        assert all(f"sampler={other}" in text.partition("; ")[2] for other in able)
        assert not any(f"sampler={other} " in text.partition("; ")[2] for other in set(SHIPPED) - set(able))
    assert not words or any(words in text for text in refused.values())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain", ""),
        ("minibatch", "the terms of y are those of a random batch of rows"),
        ("minibatch_pair", "the terms of y are those of a random batch of rows"),
        ("simulator", "a kernel on simulated values"),
        ("weighted", "the likelihood of y is weighted"),
        ("scaled", "total_size scales the likelihood of y"),
    ],
)
def test_terms_that_are_no_log_densities_are_known_by_the_graph(name, words):
    first, second = (getattr(models, name)() for _ in range(2))
    found = pseudo_likelihoods(first)
    assert set(found) == ({"y"} if words else set())
    assert words in found.get("y", "")
    own = [observed_of(getattr(models, name), model, Dataset({"y": models.Y})) for model in (first, second)]
    assert own[0] == own[1]
    assert own[0].values
    assert own[0].reason == found.get("y", "")
    assert observed_digest(first) == observed_digest(second)


def test_random_batches_of_other_data_are_other_observed_values():
    one, other = models.minibatch(), models.minibatch(y=models.Y + 1.0)
    data = Dataset({"y": models.Y})
    assert observed_of(models.minibatch, one, data).values != observed_of(models.minibatch, other, data).values
    assert observed_digest(one) != observed_digest(other)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_sampler_of_ones_own_that_states_no_needs_is_not_refused():
    check_needs(Lacks(models.simulator()), cell("simulator", "mine"), sampler_constant(lambda *_: None, "NEEDS"))
