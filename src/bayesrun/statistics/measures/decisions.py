"""Rules that decide by the posterior, such as ``P(beta > 0 | y) > 0.95``: from their text to a decision for draws.

How often a rule decides rightly is measured in `by_cell`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bayesrun.errors import ConfigError, FitError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import ArrayLike

    from bayesrun.statistics.measures.estimate import Flags, Floats

type Relation = Literal["<", ">", "!="]

__all__ = [
    "DEFAULT_LEVEL",
    "FORMS",
    "LOG_LIKELIHOOD",
    "Decision",
    "Relation",
    "effect",
    "null_of",
    "parse_decision",
    "parse_decisions",
    "spaceless",
]

NODE = "study.decisions"

DEFAULT_LEVEL = 0.95
"""Probability of the interval where a rule names none."""

LOG_LIKELIHOOD = "log_likelihood"
"""The scalar that is there to test calibration, and that nobody decides about."""

FORMS = (
    "P(beta > 0 | y) > 0.95",
    "P(beta[x1] < 0.5 | y) > 0.9",
    "0.95 interval of beta excludes 0",
    "interval of beta excludes 0",
    "interval excludes 0",
    "my_name: P(beta > 0 | y) > 0.95",
)
"""The accepted forms, by example. ``eti`` or ``hdi`` in the place of ``interval`` asks for that kind."""

NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
VARIABLE: Final = r"[^\W\d]\w*(?:\.\w+)*(?:\s*\[[^\[\]]+\])?"
NAMED: Final = re.compile(r"\s*([A-Za-z][\w.-]*)\s*:\s*(.+)", re.DOTALL)
PROBABILITY: Final = re.compile(
    rf"\s*P(?:r)?\s*\(\s*(?P<variable>{VARIABLE})\s*(?P<relation>[<>])\s*(?P<value>{NUMBER})\s*(?:\|\s*y\s*)?\)"
    rf"\s*>\s*(?P<threshold>{NUMBER})\s*"
)
INTERVAL: Final = re.compile(
    rf"\s*(?:(?P<level>{NUMBER})\s*(?P<percent>%)?\s+)?(?P<kind>interval|eti|hdi)"
    rf"(?:\s+of\s+(?P<variable>{VARIABLE}))?\s+excludes\s+(?P<value>{NUMBER})\s*"
)


@dataclass(frozen=True)
class Decision:
    """One rule: yes or no for the draws of one scalar.

    Parameters
    ----------
    name
        Of the column ``decision_NAME``; letters, digits, ``_``, ``.`` and ``-``.
    text
        The rule as people read it.
    variable
        Label of the scalar (``beta[x1]``), or of a variable, whose elements are all decided; None: every scalar
        but the joint log-likelihood.
    relation
        ``>`` or ``<``: the rule says yes to the variable being above or below `value`; ``!=``: to either.
    value
        The null value, in the variable's unit.
    threshold
        Posterior probability that must be exceeded, or the probability of the interval that must exclude the value.
    kind
        Of the interval: ``eti`` (equal tails) or ``hdi`` (highest density). No meaning for probabilities.
    """

    name: str
    text: str
    variable: str | None
    relation: Relation
    value: float
    threshold: float
    kind: Literal["eti", "hdi"] = "eti"

    def about(self, label: str) -> bool:
        """Whether the rule is about the scalar with this label: ``beta`` is about ``beta`` and ``beta[x1]``."""
        if self.variable is None:
            return label != LOG_LIKELIHOOD
        wanted, given = spaceless(self.variable), spaceless(label)
        return given == wanted or given.partition("[")[0] == wanted

    def evaluate(self, draws: ArrayLike) -> bool:
        """Decide for one scalar.

        Parameters
        ----------
        draws
            Its posterior draws, dims (chain, draw).

        Returns
        -------
        bool
            Whether the share of draws beyond the value exceeds the threshold, or the interval excludes the value.

        Raises
        ------
        FitError
            If there are no draws or one is NaN.
        """
        values = np.asarray(draws, dtype=np.float64).ravel()
        if not values.size or np.isnan(values).any():
            missing = int(np.isnan(values).sum())
            raise FitError(
                f"the rule {self.text!r} got {missing} NaN among {values.size} draws and needs draws without: "
                "look at the model's deterministics, or leave this variable out of the rule"
            )
        if self.relation == ">":
            return bool((values > self.value).mean() > self.threshold)
        if self.relation == "<":
            return bool((values < self.value).mean() > self.threshold)
        lower, upper = _interval(values, self.threshold, self.kind)
        return bool(self.value < lower or self.value > upper)

    def score(self, label: str, draws: ArrayLike) -> float:
        """Fill the column ``decision_NAME``: 1.0 or 0.0, and NaN where the rule is not about `label`, or without draws.

        Parameters
        ----------
        label
            Label of the scalar.
        draws
            As for `evaluate`; draws with a NaN decide nothing.

        Returns
        -------
        float
            1.0, 0.0 or NaN.
        """
        if not self.about(label):
            return float("nan")
        try:
            return float(self.evaluate(draws))
        except FitError:
            return float("nan")


def effect(truth: ArrayLike, null: ArrayLike, relation: Relation) -> Flags:
    """Where yes is right: the truth is on the side that the rule says, or for ``!=`` not at the null value.

    Parameters
    ----------
    truth
        True values, any shape.
    null
        Null values that broadcast to them.
    relation
        Of the rule.

    Returns
    -------
    array of bool
        A truth within rounding of the null is at it.
    """
    t, at = np.asarray(truth, dtype=np.float64), np.asarray(null, dtype=np.float64)
    away = ~np.isclose(t, at, rtol=1e-9, atol=1e-12)
    side = {"<": t < at, ">": t > at, "!=": t != at}[relation]
    return np.asarray(away & side)


def null_of(label: str, name: str, decisions: Iterable[Decision], nulls: Mapping[str, float]) -> float | None:
    """Find the value at which a yes of a rule is an error: of the study for the scalar or its variable, or the rule's.

    Parameters
    ----------
    label
        Label of the scalar.
    name
        Name of the rule.
    decisions
        The rules that are known.
    nulls
        Label of a scalar or name of a variable to its null value; the scalar's own wins.

    Returns
    -------
    float or None
        In the variable's unit; None where neither says one.
    """
    by_label = {spaceless(key): value for key, value in nulls.items()}
    wanted = spaceless(label)
    for key in (wanted, wanted.partition("[")[0]):
        if key in by_label:
            return float(by_label[key])
    return next((rule.value for rule in decisions if rule.name == name and rule.about(label)), None)


def spaceless(label: str) -> str:
    """Return the label of a scalar without its spaces, as labels are compared."""
    return re.sub(r"\s+", "", label)


def parse_decisions(
    rules: Iterable[str], kind: Literal["eti", "hdi"] = "eti", node: str = NODE
) -> tuple[Decision, ...]:
    """Read all rules of a study.

    Parameters
    ----------
    rules
        Each in one of `FORMS`.
    kind
        Kind of the intervals where a rule says only ``interval``.
    node
        Config path of the rules, for messages.

    Returns
    -------
    tuple of Decision
        In the order given.

    Raises
    ------
    ConfigError
        If one cannot be read, or two have the same name.
    """
    found = tuple(parse_decision(rule, kind, node) for rule in rules)
    for place, decision in enumerate(found):
        twin = next((other for other in found[:place] if other.name == decision.name), None)
        if twin is not None:
            raise ConfigError(
                f"{node}: {twin.text!r} and {decision.text!r} are both called {decision.name!r}: "
                f"leave one out, or name it, for instance 'other: {decision.text}'"
            )
    return found


def parse_decision(rule: str, kind: Literal["eti", "hdi"] = "eti", node: str = NODE) -> Decision:
    """Read one rule.

    Parameters
    ----------
    rule
        In one of `FORMS`; ``NAME: `` before it names it.
    kind
        Kind of the interval where the rule says only ``interval``.
    node
        Config path of the rule, for messages.

    Returns
    -------
    Decision
        Without a name of its own it is called by what it says, ``beta_above_0_p0.95``.

    Raises
    ------
    ConfigError
        If it cannot be read, or its probability is not between 0 and 1.

    Examples
    --------
    >>> parse_decision("P(beta[x1] < 0.5 | y) > 0.9").name
    'beta.x1_below_0.5_p0.9'
    """
    if not isinstance(rule, str):
        raise ConfigError(f"{node}: got {rule!r}, which is not text. {_accepted()}")
    named = NAMED.fullmatch(rule)
    name, body = (named[1], named[2]) if named else ("", rule)
    if found := PROBABILITY.fullmatch(body):
        relation: Literal["<", ">"] = "<" if found["relation"] == "<" else ">"
        threshold = _share(found["threshold"], f"{node}: {rule!r}")
        variable, value = _tidied(found["variable"]), float(found["value"])
        text = f"P({variable} {relation} {value:g} | y) > {threshold:g}"
        side = "below" if relation == "<" else "above"
        name = name or _slug(f"{variable}_{side}_{value:g}_p{threshold:g}")
        return Decision(name, text, variable, relation, value, threshold)
    if found := INTERVAL.fullmatch(body):
        level = _share(found["level"], f"{node}: {rule!r}", bool(found["percent"])) if found["level"] else DEFAULT_LEVEL
        chosen: Literal["eti", "hdi"] = kind
        if found["kind"] != "interval":
            chosen = "hdi" if found["kind"] == "hdi" else "eti"
        about = _tidied(found["variable"]) if found["variable"] else None
        value = float(found["value"])
        text = f"{level:g} {found['kind']}{f' of {about}' if about else ''} excludes {value:g}"
        word = "ci" if found["kind"] == "interval" else chosen
        name = name or _slug(f"{f'{about}_' if about else ''}excludes_{value:g}_{word}{level:g}")
        return Decision(name, text, about, "!=", value, level, chosen)
    raise ConfigError(f"{node}: cannot read the rule {rule!r}. {_hint(body)}{_accepted()}")


def _share(text: str, where: str, percent: bool = False) -> float:
    value = float(text) / (100.0 if percent else 1.0)
    if not 0 < value < 1:
        maybe = f"; did you mean {value / 100:g}?" if 1 < value < 100 and not percent else ""
        raise ConfigError(f"{where} has the probability {value:g}, not one between 0 and 1{maybe}")
    return value


def _hint(body: str) -> str:
    """Say what is most likely wrong."""
    if re.search(r"[<>]=|==|≥|≤", body):
        return "Use > or <: for continuous parameters they mean the same as >= and <=. "
    if re.match(r"\s*Pr?\s*\(", body):
        if re.search(r"\)\s*<", body):
            return "Ask for the opposite event: P(beta > 0 | y) < 0.05 is P(beta < 0 | y) > 0.95. "
        if not re.search(r"\)\s*>", body):
            return "The probability that must be exceeded is missing. "
        return "Inside P( ) stand one variable, > or <, and a number. "
    if "exclude" in body:
        return "After 'excludes' stands one number, and before it 'interval of VARIABLE'. "
    return ""


def _accepted() -> str:
    return f"Accepted are: {'; '.join(FORMS)}"


def _interval(values: Floats, level: float, kind: str) -> tuple[float, float]:
    """Equal-tailed: linear between order statistics; highest density: the narrowest of floor(level n) steps."""
    if kind == "eti":
        lower, upper = np.quantile(values, [(1 - level) / 2, 1 - (1 - level) / 2])
        return float(lower), float(upper)
    ordered = np.sort(values)
    apart = min(int(np.floor(level * ordered.size)), ordered.size - 1)
    place = int(np.argmin(ordered[apart:] - ordered[: ordered.size - apart]))
    return float(ordered[place]), float(ordered[place + apart])


def _tidied(variable: str) -> str:
    """One spelling of a label: ``beta [ x1,2 ]`` is ``beta[x1, 2]``."""
    name, bracket, inside = variable.strip().partition("[")
    if not bracket:
        return name
    return f"{name.strip()}[{', '.join(part.strip() for part in inside.removesuffix(']').split(','))}]"


def _slug(text: str) -> str:
    """Letters, digits, ``_``, ``.`` and ``-``, which column and metric names may have."""
    plain = re.sub(r"[^\w.-]+", ".", text.replace("]", ""), flags=re.ASCII)
    return plain.strip(".")
