"""Facts of a fit + thresholds -> verdict, with what to try next. Pure: it reads nothing but its arguments."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bayesrun.base.digits import against, exact
from bayesrun.base.messages import few
from bayesrun.errors import ConfigError
from bayesrun.statistics.chains_apart import CLIMBING, STUCK
from bayesrun.types import Gate, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from bayesrun.types import CheckedCell

__all__ = ["SIMULATED", "check_asked", "judge", "unjudged"]

SIMULATED: Final = Gate(
    rhat_max=1.05, ess_bulk_per_chain=25.0, ess_tail_per_chain=25.0, n_divergent=None, divergent_share=0.05
)
"""The thresholds of simulated data that nobody asked for: those of `conf/study`."""

MARKOV: Final = ("nuts", "mcmc")
KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "rhat_max": (*MARKOV, "smc"),
    "ess_bulk_per_chain": MARKOV,
    "ess_tail_per_chain": MARKOV,
    "n_divergent": ("nuts",),
    "divergent_share": ("nuts",),
    "bfmi_min": ("nuts",),
    "n_max_treedepth": ("nuts",),
    "khat": ("variational",),
}
"""Kinds of samplers for which a threshold has something to judge; it is for all kinds where it is not here."""

JUDGED: Final[Mapping[str, tuple[str, str]]] = {
    "rhat_max": ("rhat_max", "R-hat"),
    "ess_bulk_min": ("ess_bulk_per_chain", "bulk ESS"),
    "ess_tail_min": ("ess_tail_per_chain", "tail ESS"),
}
"""Diagnostics of every scalar, which are judged of the parameters, to their thresholds and what people call them."""

DERIVED: Final = "_derived"
"""What the names of the same diagnostics of Deterministics end with."""

LABEL: Final = 60
"""Letters of a label that are shown."""

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
        """Value of a diagnostic; one that is not a number is absent."""
        value = self.outcome.diagnostics.get(name)
        return None if value is None or math.isnan(value) else value

    def bound(self, name: str) -> float | None:
        """Value of a threshold; None where it is off, or not for this kind of draws."""
        value: float | None = getattr(self.gate, name) if self.kind in KINDS.get(name, (self.kind,)) else None
        return value

    def asked(self, name: str) -> bool:
        """Whether somebody set a threshold, so that it does not pass where it cannot be judged."""
        return bool(getattr(self.gate, name) != getattr(Gate, name))

    @property
    def apart(self) -> bool:
        """Whether a chain sits so far below the others that what else does not hold follows from that."""
        return self.bound("rhat_max") is not None and bool(self.fact("n_chains_apart"))

    @property
    def elsewhere(self) -> bool:
        """Whether chains are at different places for good, so that longer ones or smaller steps change nothing."""
        named = self.outcome.named
        return self.apart or (not self.holds("rhat_max") and bool({"modes", "switching"} & set(named)))

    @property
    def parameters(self) -> float | None:
        """How many scalars are judged; an older outcome counts all."""
        own = self.fact("n_parameters")
        return self.fact("n_scalars") if own is None else own

    def limit(self, name: str) -> float | None:
        """Bound on a diagnostic in `JUDGED`, of all chains together; None where it is off."""
        bound = self.bound(JUDGED[name][0])
        return bound if bound is None or name == "rhat_max" else bound * (self.fact("n_chains") or 1.0)

    def beyond(self, name: str, value: float) -> bool:
        """Whether a value of a diagnostic in `JUDGED` is worse than its bound."""
        limit = self.limit(name)
        return limit is not None and (value > limit if name == "rhat_max" else value < limit)

    def holds(self, name: str) -> bool:
        """Whether a diagnostic in `JUDGED` is there, where it is judged, and within its bound."""
        value = self.fact(name)
        return self.limit(name) is None or (value is not None and not self.beyond(name, value))

    def worst(self, name: str) -> dict[str, float]:
        """Scalars that are beyond the bound on a diagnostic, as far as they were named, the worst first."""
        of, about = name.removesuffix(DERIVED), self.outcome.named.get(name, {})
        order = sorted(about.items(), key=lambda pair: -pair[1] if of == "rhat_max" else pair[1])
        return {label: value for label, value in order if self.beyond(of, value)}

    def missing(self, name: str) -> str:
        return f"{name} is absent: {self.outcome.absent.get(name, 'it was not computed')}"


type _Finding = tuple[str, tuple[str, ...]]


def judge(
    gate: Gate, outcome: Outcome, *, centred: Mapping[str, tuple[str, ...]] | None = None, kind: str = "nuts"
) -> Verdict:
    """Hold a fit's facts against thresholds that were fixed before it ran.

    R-hat, ESS, divergences or k-hat that the fit's kind of draws must have and that are absent do not pass:
    what could not be judged is not converged. E-BFMI, tree depth and Pareto k are judged where they are there; a
    threshold of theirs that differs from its default was asked for, and does not pass without them either. Draws
    that are not finite never pass.

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
    return Verdict(not findings, tuple(text for text, _ in findings), tuple(remedies), tuple(_notes(case)))


def check_asked(cells: Sequence[CheckedCell]) -> None:
    """Refuse thresholds that somebody set and that can judge no fit, before any fit starts.

    Parameters
    ----------
    cells
        Of one command. A threshold counts as set where it differs from the default of its kind of study.

    Raises
    ------
    ConfigError
        If no cell has a sampler with what the threshold is about, or Pareto k is to be judged without log-likelihood.
    """
    lines = []
    for name, (able, others) in _asked(cells).items():
        if not able:
            samplers = ", ".join(dict.fromkeys(checked.cell.sampler.name for checked in others))
            remedy = f"leave it out, or choose a sampler of kind {' or '.join(KINDS[name])}"
            value = exact(getattr(others[0].cell.gate, name))
            lines.append(f"gate.{name}: got {value}, and fits by {samplers} have nothing that it could judge; {remedy}")
    for checked in cells:
        share = checked.cell.gate.pareto_k_share
        if share is not None and not checked.cell.steps.log_likelihood:
            lines.append(
                f"gate.pareto_k_share: got {exact(share)}, and steps.log_likelihood=false leaves no Pareto k to judge; "
                "set steps.log_likelihood=true, or leave the gate out"
            )
    if lines:
        raise ConfigError("\n".join(dict.fromkeys(lines)))


def unjudged(cells: Sequence[CheckedCell]) -> list[str]:
    """Say which thresholds that somebody set judge some of the cells and cannot judge the others."""
    return [
        f"gate.{name} is for samplers of kind {' or '.join(KINDS[name])}: it judges no fit of {checked.cell.label}"
        for name, (able, others) in _asked(cells).items()
        for checked in others
        if able
    ]


def _asked(cells: Sequence[CheckedCell]) -> dict[str, tuple[list[CheckedCell], list[CheckedCell]]]:
    """Threshold that was set to the cells that ask for it: those whose kind of draws has it, and the others."""
    found: dict[str, tuple[list[CheckedCell], list[CheckedCell]]] = {}
    for checked in cells:
        default = SIMULATED if checked.simulation is not None else Gate()
        for name, kinds in KINDS.items():
            value = getattr(checked.cell.gate, name)
            if value is not None and value != getattr(default, name):
                found.setdefault(name, ([], []))[checked.kind not in kinds].append(checked)
    return found


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


def _apart(case: _Case) -> Iterator[_Finding]:
    """Name the chain that is furthest below the others; R-hat is the threshold that says chains have to agree."""
    chain, below, since, moves = (case.fact(f"apart_{name}") for name in ("chain", "below", "since", "moves"))
    if not case.apart or chain is None or below is None:
        return
    more = (case.fact("n_chains_apart") or 1.0) - 1.0
    others = f", and {more:.0f} more {'do' if more > 1 else 'does'}" if more else ""
    when = f"from draw {since:.0f} on" if since else "from the first draw on"
    does = {STUCK: "hardly moves", CLIMBING: "is still climbing"}.get(int(moves or 0), "moves about there")
    text = (
        f"chain {chain:.0f} sits apart{others}: its log density is {below:.3g} below the others' {when}, and it {does}"
    )
    yield text, tuple(_together(case, does))


def _together(case: _Case, does: str) -> Iterator[str]:
    """Say what may bring a chain to the others; smaller steps do not."""
    yield from _noncentred(case)
    if does == "moves about there":
        yield "look where that chain is: if it is another mode, the model or its priors have to say which one is meant"
    else:
        yield "give the variables that are far off in that chain an initval, or tighter priors, such as of a log scale"
    yield "sampler.chains=8 shows how many chains end there; none may be left out of what is reported for that alone"
    yield "another start: sampler=numpyro with sampler.restart=true, or another study.seed"


def _divergences(case: _Case) -> Iterator[_Finding]:
    limit, count = case.bound("n_divergent"), case.fact("n_divergent")
    if limit is None:
        return
    if count is None:
        yield case.missing("n_divergent"), ()
        return
    if count <= limit:
        return
    draws = case.fact("n_draws")
    share = f" ({against(count / draws, 0.0, '.1f', percent=True)} % of the draws)" if draws else ""
    yield f"n_divergent {count:.0f} > {exact(limit)}{share}", (*_noncentred(case), *_more_careful(case))


def _divergent_share(case: _Case) -> Iterator[_Finding]:
    limit, count, draws = case.bound("divergent_share"), case.fact("n_divergent"), case.fact("n_draws")
    if limit is None:
        return
    if count is None or not draws:
        yield case.missing("n_divergent"), ()
    elif count / draws > limit:
        share = against(count / draws, limit, ".1f", percent=True)
        text = f"{share} % of the draws diverge, bound {exact(limit, percent=True)} %"
        yield text, (*_noncentred(case), *_more_careful(case))


def _noncentred(case: _Case) -> Iterator[str]:
    for name, parents in case.centred.items():
        formula = f"{parents[0]} + {parents[1]} * {name}_raw" if len(parents) == 2 else f"location + scale * {name}_raw"
        yield (
            f"{name} is centred on {', '.join(parents)}: use model.parameterization=noncentered, "
            f"or write {name} = {formula} with {name}_raw ~ Normal(0, 1)"
        )


def _more_careful(case: _Case) -> Iterator[str]:
    if case.elsewhere:
        return
    tried = [attempt["target_accept"] for attempt in case.outcome.attempts if "target_accept" in attempt]
    used = max([*tried, case.fact("target_accept") or 0.0])
    left = [value for value in ESCALATION if value > used]
    if left:
        yield f"sampler.target_accept={left[0]:g}"
        yield f"'sampler.escalate=[{','.join(f'{value:g}' for value in left)}]' tries it by itself"
    else:
        yield "reparameterise the model, or use tighter priors: smaller steps will not help much more"


def _rhat(case: _Case) -> Iterator[_Finding]:
    bound, value = case.bound("rhat_max"), case.fact("rhat_max")
    if bound is None:
        return
    if value is None:
        if case.parameters != 0:
            several = ("sampler.chains=4",) if case.fact("n_chains") == 1 else ()
            yield case.missing("rhat_max"), (*several, *_longer(case, "tune", "draws"))
    elif value > bound:
        text = f"rhat_max {_above(value, bound)} > {exact(bound)}{_about(case, 'rhat_max')}"
        slow = case.outcome.named.get("drifting", {})
        if slow and not case.elsewhere:
            text += f"; {_chains(map(int, slow))} still {'drifts' if len(slow) == 1 else 'drift'}, being slow"
        yield text, tuple(_longer(case, "tune", "draws"))


def _about(case: _Case, name: str) -> str:
    """Say which scalars are beyond a bound, how many parameters there are, and what the worst Deterministic has."""
    named, count = case.worst(name), case.parameters
    if not named:
        return f" (over {count:.0f} scalars)" if count and name == "rhat_max" else ""
    told = _listed(name, named, case.limit(name))
    if name != "rhat_max":
        return f": {told}"
    derived = case.outcome.named.get(f"{name}{DERIVED}", {})
    worst = max(derived, key=lambda label: derived[label], default=None)
    beside = f"; worst Deterministic {_cut(worst)} {_above(derived[worst], case.limit(name) or 1.0)}" if worst else ""
    many = f"{count:.0f} parameter{'' if count == 1 else 's'}"
    return f": {told} (of {many}{beside})" if count else f": {told}"


def _listed(name: str, named: Mapping[str, float], limit: float | None) -> str:
    form = _above if name == "rhat_max" else lambda value, bound: against(value, bound, ".0f")
    return ", ".join(f"{_cut(label)} {form(value, limit or 1.0)}" for label, value in named.items())


def _cut(label: str) -> str:
    return label if len(label) <= LABEL else f"{label[: LABEL - 1]}\N{HORIZONTAL ELLIPSIS}"


def _chains(numbers: Iterable[int]) -> str:
    """Name chains, such as ``chains 0 and 2``."""
    names = [str(number) for number in sorted(numbers)]
    if len(names) == 1:
        return f"chain {names[0]}"
    return f"chains {', '.join(names[:-1])} and {names[-1]}"


def _elsewhere(case: _Case) -> Iterator[_Finding]:
    """Tell chains that are in different modes, or have their components in different orders, from slow ones."""
    named = case.outcome.named
    if case.apart or case.holds("rhat_max"):
        return
    if order := sorted(named.get("switching", {}), key=lambda name: named["switching"][name]):
        facts = named.get("switching_rhat", {})
        first, others = order[0], order[1:]
        beside = f" (with {few(others, 3)})" if others else ""
        count = facts.get("components", 0.0)
        yield (
            f"label switching: the chains agree as soon as the {count:.0f} components of {first}{beside} are in order, "
            f"R-hat {facts.get('after', 1.0):.3f} instead of {facts.get('before', 1.0):.2f}",
            (
                f"order the components by {first} (of a Normal prior transform=pm.distributions.transforms.ordered, "
                "with an initval in order), or give them priors that tell them apart",
                "what does not depend on their order (density, predictions, LOO) holds as it is",
            ),
        )
    elif modes := named.get("modes", {}):
        groups: dict[int, list[int]] = {}
        for chain, mode in modes.items():
            groups.setdefault(int(mode), []).append(int(chain))
        density = named.get("mode_density", {})
        told = [
            f"{_chains(chains)}" + (f" (log density {density[str(mode)]:.5g})" if str(mode) in density else "")
            for mode, chains in sorted(groups.items())
        ]
        yield (
            f"the chains are in {len(groups)} different modes: {'; '.join(told)}; each stays where it is, so that they "
            "are not slow",
            (
                "more draws do not help: the model or its priors have to say which mode is meant; compare where the "
                "chains are, by chain, in posterior.nc",
                "sampler=smc weighs modes that are far apart",
            ),
        )


def _notes(case: _Case) -> Iterator[str]:
    """Say where Deterministics are worse than a bound that all parameters hold."""
    found, remedy = [], "more draws (sampler.draws)"
    for name, (_, word) in JUDGED.items():
        if not case.holds(name):
            return
        if worst := list(case.worst(f"{name}{DERIVED}").items())[:1]:
            ((label, value),) = worst
            limit, sign = case.limit(name) or 1.0, ">" if name == "rhat_max" else "<"
            shown = _above(value, limit) if name == "rhat_max" else against(value, limit, ".0f")
            if stuck := math.isinf(value):
                remedy = "look at where each chain is (posterior.nc)"
            told = " (no chain moves, and they differ)" if stuck else ""
            found.append(f"{word} {shown} {sign} {exact(limit)} of {_cut(label)}{told}")
    if found:
        yield (
            f"all parameters converged; of the Deterministics the worst have {', '.join(found)}: {remedy} before these "
            "are reported"
        )


def _above(value: float, bound: float) -> str:
    return against(value, bound, ".2f" if value < 100 else ".3g")


def _longer(case: _Case, *first: str) -> Iterator[str]:
    if case.elsewhere:
        return
    if case.kind == "mcmc":
        yield "use sampler=nuts, which moves far better where the density has gradients"
    if case.kind == "smc":
        yield "more particles: sampler.draws"
        yield "slower tempering: sampler.extra.threshold=0.7"
        return
    words = {"tune": "longer warm-up: sampler.tune", "draws": "more draws: sampler.draws"}
    yield from (words[name] for name in first)


def _ess(case: _Case) -> Iterator[_Finding]:
    chains = case.fact("n_chains") or 1.0
    told = set(case.worst("rhat_max"))
    for name, threshold in (("ess_bulk_min", "ess_bulk_per_chain"), ("ess_tail_min", "ess_tail_per_chain")):
        value, per_chain = case.fact(name), case.bound(threshold)
        if per_chain is None:
            continue
        if value is None:
            if case.parameters != 0:
                yield case.missing(name), tuple(_longer(case, "draws", "tune"))
        elif value < per_chain * chains:
            bound = per_chain * chains
            wanted = f"{exact(bound)} ({exact(per_chain)} for each of {chains:.0f} chains)"
            text = f"{name} {against(value, bound, '.0f')} < {wanted}"
            if not set(case.worst(name)) <= told:
                text += _about(case, name)
            told |= set(case.worst(name))
            yield text, tuple(_longer(case, "draws", "tune"))


def _treedepth(case: _Case) -> Iterator[_Finding]:
    bound, count, draws = case.bound("n_max_treedepth"), case.fact("n_max_treedepth"), case.fact("n_draws")
    if bound is None:
        return
    if count is None or not draws:
        if case.asked("n_max_treedepth"):
            yield case.missing("n_max_treedepth"), ()
    elif count / draws > bound:
        yield (
            f"n_max_treedepth {count:.0f} of {draws:.0f} draws > {exact(bound, percent=True)} %",
            ()
            if case.elsewhere
            else ("sampler.max_treedepth=12", "longer warm-up: sampler.tune", "standardise the predictors"),
        )


def _bfmi(case: _Case) -> Iterator[_Finding]:
    bound, value = case.bound("bfmi_min"), case.fact("bfmi_min")
    if bound is None:
        return
    if value is None:
        if case.asked("bfmi_min"):
            yield case.missing("bfmi_min"), ()
    elif value < bound:
        yield (
            f"bfmi_min {against(value, bound, '.2f')} < {exact(bound)}",
            (*_noncentred(case), "reparameterise heavy tails and hierarchies", *_longer(case, "tune")),
        )


def _khat(case: _Case) -> Iterator[_Finding]:
    bound, value = case.bound("khat"), case.fact("khat")
    if bound is None:
        return
    if value is None or value > bound:
        more = ("sampler.iterations: its ELBO had not settled",) if case.fact("elbo_converged") == 0 else ()
        text = case.missing("khat") if value is None else f"khat {_above(value, bound)} > {exact(bound)}"
        other = ("use sampler=fullrank_advi, which keeps correlations", "use sampler=nuts")
        yield text, (*more, *(other if value is not None else ("gate.khat=null, where it is judged otherwise",)))


def _pareto(case: _Case) -> Iterator[_Finding]:
    bound, count, terms = case.bound("pareto_k_share"), case.fact("n_bad_pareto_k"), case.fact("n_loo_terms")
    if bound is None:
        return
    if count is None or not terms:
        yield case.missing("n_bad_pareto_k"), ("steps.log_likelihood=true", "gate.pareto_k_share=null")
    elif count / terms > bound:
        yield (
            f"n_bad_pareto_k {count:.0f} of {terms:.0f} > {exact(bound, percent=True)} %",
            ("a likelihood with heavier tails", "exact refits or moment matching for those observations"),
        )


_CHECKS: tuple[Callable[[_Case], Iterator[_Finding]], ...] = (
    _nonfinite,
    _apart,
    _elsewhere,
    _divergences,
    _divergent_share,
    _rhat,
    _ess,
    _bfmi,
    _treedepth,
    _khat,
    _pareto,
)
