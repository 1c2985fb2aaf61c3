"""Facts of a fit + thresholds -> verdict, with what to try next. Pure: it reads nothing but its arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bayesrun.types import Gate, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["judge"]

ESCALATION = (0.95, 0.99)
"""Values of target_accept to try one after another when a fit diverges."""


@dataclass(frozen=True)
class _Case:
    """What a check sees: the facts, why some are absent, the sampler's kind and what is known of the model."""

    gate: Gate
    outcome: Outcome
    kind: str
    centred: Mapping[str, tuple[str, ...]]

    def fact(self, name: str) -> float | None:
        return self.outcome.diagnostics.get(name)

    def missing(self, name: str) -> str:
        return f"{name} is absent: {self.outcome.absent.get(name, 'it was not computed')}"


type _Finding = tuple[str, tuple[str, ...]]


def judge(
    gate: Gate, outcome: Outcome, *, centred: Mapping[str, tuple[str, ...]] | None = None, kind: str = "nuts"
) -> Verdict:
    """Hold a fit's facts against thresholds that were fixed before it ran.

    R-hat, ESS, divergences or k-hat that the fit's kind of draws must have and that are absent do not pass:
    what could not be judged is not converged. E-BFMI and tree depth are judged where they are there. Draws that
    are not finite never pass.

    Parameters
    ----------
    gate
        The thresholds; None switches one off.
    outcome
        The fit; a failed one does not pass, with its reason.
    centred
        Variables that are centred on others, and on which, for the remedy of divergences.
    kind
        The sampler's kind: ``nuts``, ``mcmc``, ``smc`` or ``variational``. R-hat is judged for all but the
        last, ESS for Markov chains, divergences, E-BFMI and tree depth for ``nuts``, k-hat for
        ``variational``.

    Returns
    -------
    Verdict
        Failures by severity, and remedies in the same order, most promising first, without repetition.
    """
    if outcome.status == "failed":
        return Verdict(
            False, (f"{outcome.reason or 'error'}: {outcome.message}".rstrip(": "),), _after_failure(outcome)
        )
    case = _Case(gate, outcome, kind, centred or {})
    findings = [finding for check in _CHECKS for finding in check(case)]
    remedies = dict.fromkeys(remedy for _, tried in findings for remedy in tried)
    return Verdict(not findings, tuple(text for text, _ in findings), tuple(remedies))


def _after_failure(outcome: Outcome) -> tuple[str, ...]:
    return {
        "timeout": ("give it more time with sampler.timeout", "draw less: sampler.draws, sampler.tune"),
        "oom": ("sampler.resources.memory_gb: run fewer fits at once", "draw less: sampler.draws, sampler.chains"),
    }.get(outcome.reason or "", ())


def _nonfinite(case: _Case) -> Iterator[_Finding]:
    count = case.fact("n_nonfinite")
    if count:
        yield (
            f"{count:.0f} draws are NaN or infinite",
            ("look for overflow, a division by zero or a log of 0 in the model's deterministics", "use tighter priors"),
        )


def _divergences(case: _Case) -> Iterator[_Finding]:
    limit, count = case.gate.n_divergent, case.fact("n_divergent")
    if case.kind != "nuts" or limit is None:
        return
    if count is None:
        yield case.missing("n_divergent"), ()
        return
    if count <= limit:
        return
    draws = case.fact("n_draws")
    share = f" ({100 * count / draws:.1f} % of the draws)" if draws else ""
    yield f"n_divergent {count:.0f} > {limit}{share}", (*_noncentred(case), *_more_careful(case))


def _divergent_share(case: _Case) -> Iterator[_Finding]:
    limit, count, draws = case.gate.divergent_share, case.fact("n_divergent"), case.fact("n_draws")
    if case.kind != "nuts" or limit is None:
        return
    if count is None or not draws:
        yield case.missing("n_divergent"), ()
    elif count / draws > limit:
        text = f"{100 * count / draws:.1f} % of the draws diverge, bound {100 * limit:g} %"
        yield text, (*_noncentred(case), *_more_careful(case))


def _noncentred(case: _Case) -> Iterator[str]:
    for name, parents in case.centred.items():
        formula = f"{parents[0]} + {parents[1]} * {name}_raw" if len(parents) == 2 else f"location + scale * {name}_raw"
        yield (
            f"{name} is centred on {', '.join(parents)}: use model.parameterization=noncentered, "
            f"or write {name} = {formula} with {name}_raw ~ Normal(0, 1)"
        )


def _more_careful(case: _Case) -> Iterator[str]:
    tried = [attempt["target_accept"] for attempt in case.outcome.attempts if "target_accept" in attempt]
    used = max([*tried, case.fact("target_accept") or 0.0])
    left = [value for value in ESCALATION if value > used]
    if left:
        yield f"sampler.target_accept={left[0]:g}"
        yield f"'sampler.escalate=[{','.join(f'{value:g}' for value in left)}]' tries it by itself"
    else:
        yield "reparameterise the model, or use tighter priors: smaller steps will not help much more"


def _rhat(case: _Case) -> Iterator[_Finding]:
    bound, value = case.gate.rhat_max, case.fact("rhat_max")
    if case.kind == "variational" or bound is None:
        return
    if value is None:
        if case.fact("n_scalars") != 0:
            several = ("sampler.chains=4",) if case.fact("n_chains") == 1 else ()
            yield case.missing("rhat_max"), (*several, *_longer(case, "tune", "draws"))
    elif value > bound:
        scalars = case.fact("n_scalars")
        over = f" (over {scalars:.0f} scalars)" if scalars else ""
        yield f"rhat_max {_above(value, bound)} > {bound:g}{over}", tuple(_longer(case, "tune", "draws"))


def _above(value: float, bound: float) -> str:
    """Show a value with as many digits as it needs to be seen to exceed its bound."""
    for digits in range(2, 6) if value < 100 else ():
        text = f"{value:.{digits}f}"
        if float(text) > bound:
            return text
    return f"{value:.3g}"


def _longer(case: _Case, *first: str) -> Iterator[str]:
    if case.kind == "mcmc":
        yield "use sampler=nuts, which moves far better where the density has gradients"
    if case.kind == "smc":
        yield "more particles: sampler.draws"
        yield "slower tempering: sampler.extra.threshold=0.7"
        return
    words = {"tune": "longer warm-up: sampler.tune", "draws": "more draws: sampler.draws"}
    yield from (words[name] for name in first)


def _ess(case: _Case) -> Iterator[_Finding]:
    if case.kind not in ("nuts", "mcmc"):
        return
    chains = case.fact("n_chains") or 1.0
    for name, per_chain in (
        ("ess_bulk_min", case.gate.ess_bulk_per_chain),
        ("ess_tail_min", case.gate.ess_tail_per_chain),
    ):
        value = case.fact(name)
        if per_chain is None:
            continue
        if value is None:
            if case.fact("n_scalars") != 0:
                yield case.missing(name), tuple(_longer(case, "draws", "tune"))
        elif value < per_chain * chains:
            wanted = f"{per_chain * chains:g} ({per_chain:g} for each of {chains:.0f} chains)"
            yield f"{name} {value:.0f} < {wanted}", tuple(_longer(case, "draws", "tune"))


def _treedepth(case: _Case) -> Iterator[_Finding]:
    bound, count, draws = case.gate.n_max_treedepth, case.fact("n_max_treedepth"), case.fact("n_draws")
    if case.kind == "nuts" and bound is not None and count is not None and draws and count / draws > bound:
        yield (
            f"n_max_treedepth {count:.0f} of {draws:.0f} draws > {100 * bound:g} %",
            ("sampler.max_treedepth=12", "longer warm-up: sampler.tune", "standardise the predictors"),
        )


def _bfmi(case: _Case) -> Iterator[_Finding]:
    bound, value = case.gate.bfmi_min, case.fact("bfmi_min")
    if case.kind == "nuts" and bound is not None and value is not None and value < bound:
        yield (
            f"bfmi_min {value:.2f} < {bound:g}",
            (*_noncentred(case), "reparameterise heavy tails and hierarchies", "longer warm-up: sampler.tune"),
        )


def _khat(case: _Case) -> Iterator[_Finding]:
    bound, value = case.gate.khat, case.fact("khat")
    if case.kind != "variational" or bound is None:
        return
    if value is None or value > bound:
        more = ("sampler.iterations: its ELBO had not settled",) if case.fact("elbo_converged") == 0 else ()
        text = case.missing("khat") if value is None else f"khat {_above(value, bound)} > {bound:g}"
        yield text, (*more, "use sampler=fullrank_advi, which keeps correlations", "use sampler=nuts")


def _pareto(case: _Case) -> Iterator[_Finding]:
    bound, count, terms = case.gate.pareto_k_share, case.fact("n_bad_pareto_k"), case.fact("n_loo_terms")
    if bound is not None and count is not None and terms and count / terms > bound:
        yield (
            f"n_bad_pareto_k {count:.0f} of {terms:.0f} > {100 * bound:g} %",
            ("a likelihood with heavier tails", "exact refits or moment matching for those observations"),
        )


_CHECKS: tuple[Callable[[_Case], Iterator[_Finding]], ...] = (
    _nonfinite,
    _divergences,
    _divergent_share,
    _rhat,
    _ess,
    _bfmi,
    _treedepth,
    _khat,
    _pareto,
)
