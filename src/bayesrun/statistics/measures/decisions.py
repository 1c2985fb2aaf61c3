"""Rules that decide by the posterior, such as ``P(beta > 0 | y) > 0.95``: from their text to a decision for draws.

What a rule is about is a scalar, a variable or an expression of these (`expressions`). How often a rule decides rightly
is measured in `by_cell`.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from bayesrun.errors import ConfigError, FitError
from bayesrun.statistics.measures.expressions import (
    Misread,
    Name,
    Operation,
    Reader,
    Tree,
    comparable,
    constant,
    element_of,
    expanded,
    is_instance,
    names,
    parse,
    plain_name,
    value,
    written,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import ArrayLike

    from bayesrun.statistics.measures.estimate import Flags, Floats

type Relation = Literal["<", ">", "!="]

__all__ = [
    "DEFAULT_LEVEL",
    "FORMS",
    "LOG_LIKELIHOOD",
    "Decision",
    "Relation",
    "decided_columns",
    "derived",
    "effect",
    "null_of",
    "parse_decision",
    "parse_decisions",
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
    "P(beta[x1] - beta[x2] > 0.2 | y) > 0.95",
    "P(`dose:arm[treated]` > 0 | y) > 0.95",
)
"""The accepted forms, by example. ``eti`` or ``hdi`` in the place of ``interval`` asks for that kind."""

NUMBER: Final = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
NAMED: Final = re.compile(r"\s*([A-Za-z][\w.-]*)\s*:\s*(.+)", re.DOTALL)
OTHER_SIGNS: Final = "[<>]=|[=!]=|=|≥|≤"
TICKS: Final = "names with other characters stand in backticks: P(`1|firm_sigma` > 0 | y) > 0.95"
SPELLED: Final = ((" ** ", "_to_"), (" + ", "_plus_"), (" - ", "_minus_"), (" * ", "_times_"), (" / ", "_over_"))
"""Signs of an expression in the name of a rule."""
USE: Final = "use > or <: for continuous parameters they mean the same as >= and <="


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
        Label of the scalar (``beta[x1]``), or of a variable, whose elements are all decided, or an expression of
        these, as `expressions.written` writes it; None: every scalar but the joint log-likelihood.
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
        return is_instance(label, parse(self.variable))

    @property
    def tree(self) -> Tree | None:
        """What the rule is about; None: every scalar."""
        return None if self.variable is None else parse(self.variable)

    def mentions(self, name: str) -> bool:
        """Whether the rule is about a variable or quantity of this name, or an element of it, among others."""
        wanted = comparable(name)
        found = () if self.tree is None else map(comparable, names(self.tree))
        return any(one == wanted or element_of(one, wanted) is not None for one in found)

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

    def beyond(self, draws: ArrayLike) -> Floats | None:
        """Say of each draw whether it is on the side that the rule is about: 1.0, 0.0, or NaN where it is none.

        Parameters
        ----------
        draws
            Of any dims, which the result has too.

        Returns
        -------
        array or None
            Their mean is the probability that is compared with the threshold; None for rules about intervals.
        """
        values = np.asarray(draws, dtype=np.float64)
        if self.relation == "!=":
            return None
        sides = values > self.value if self.relation == ">" else values < self.value
        return np.where(np.isnan(values), np.nan, sides.astype(np.float64))

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


def decided_columns(name: str) -> tuple[str, str, str]:
    """Names of the columns of a rule in a summary: what it says, by which probability, and the error of that."""
    return f"decision_{name}", f"probability_{name}", f"mcse_of_probability_{name}"


def derived(
    rules: Iterable[Decision], labels: Sequence[str], draws: Floats, truth: Floats
) -> list[tuple[str, Floats, float]]:
    """Work out the expressions that rules are about: further scalars, each once.

    Parameters
    ----------
    rules
        Those about a scalar or a variable as it is add nothing.
    labels, draws, truth
        Of all scalars there are: draws with dims (scalar, chain, draw), truth with dims (scalar,), NaN where it is not
        known.

    Returns
    -------
    list
        Label, draws with dims (chain, draw), and the value at the truth. A rule that names what is not there has none.
    """
    found: dict[str, tuple[Floats, float]] = {}
    for rule in rules:
        tree = rule.tree
        if tree is None or isinstance(tree, Name):
            continue
        try:
            rows = expanded(tree, tuple(labels))
        except ConfigError:
            continue  # they have other elements
        for label, places in rows:
            if label not in found:
                true = value(tree, {name: truth[place] for name, place in places.items()})
                found[label] = value(tree, {name: draws[place] for name, place in places.items()}), float(true)
    return [(label, *both) for label, both in found.items()]


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
    own = next((null for key, null in nulls.items() if _same(key, label)), None)
    found = next((null for key, null in nulls.items() if _whole(key, label)), None) if own is None else own
    if found is not None:
        return float(found)
    return next((rule.value for rule in decisions if rule.name == name and rule.about(label)), None)


def _same(key: str, label: str) -> bool:
    """Whether the key of a null value is the label of a scalar, in any spelling."""
    wanted = comparable(label)
    if wanted in (comparable(key), comparable(plain_name(key))):
        return True
    try:
        return comparable(written(parse(key))) == wanted
    except Misread:
        return False


def _whole(key: str, label: str) -> bool:
    """Whether the key of a null value is the variable, or the expression, that a scalar is an element of."""
    if element_of(comparable(label), comparable(plain_name(key))) is not None:
        return True
    try:
        return is_instance(label, parse(key))
    except Misread:
        return False


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
    try:
        found = _probability(body, f"{node}: {rule!r}") or _interval_rule(body, f"{node}: {rule!r}", kind)
    except Misread as error:
        reason = str(error)
        raise ConfigError(
            f"{node}: cannot read the rule {rule!r}. {reason[:1].upper()}{reason[1:]}. {_accepted()}"
        ) from None
    if found is None:
        raise ConfigError(f"{node}: cannot read the rule {rule!r}. {_hint(body)}{_accepted()}")
    return dataclasses.replace(found, name=name) if name else found


def _probability(body: str, where: str) -> Decision | None:
    """Read ``P(EXPRESSION > VALUE | y) > PROBABILITY``; None if the text is no rule of that form."""
    reader = Reader(body)
    if reader.takes(r"Pr?\s*\(") is None:
        return None
    left = reader.expression()
    relation = _relation(reader)
    right = reader.expression()
    if reader.takes(f"[<>]|{OTHER_SIGNS}"):
        raise Misread("inside P( ) stand one variable, > or <, and a number; make two rules of two bounds")
    reader.takes(r"\|\s*y(?!\w)")
    reader.needs(r"\)", f"a sign (+ - * / **), | y) or ); {TICKS}")
    if reader.takes("<"):
        raise Misread("ask for the opposite event: P(beta > 0 | y) < 0.05 is P(beta < 0 | y) > 0.95")
    if reader.takes(OTHER_SIGNS):
        raise Misread(USE)
    if not reader.takes(">"):
        raise Misread("the probability that must be exceeded is missing: P(beta > 0 | y) > 0.95")
    share = reader.needs(NUMBER, "the probability that must be exceeded")
    threshold = _share(share, where, bool(reader.takes("%")))
    _end(reader)
    tree, relation, at = _side(left, relation, right)
    variable = written(tree)
    text = f"P({variable} {relation} {at:g} | y) > {threshold:g}"
    side = "below" if relation == "<" else "above"
    return Decision(_slug(f"{_spelled(tree)}_{side}_{at:g}_p{threshold:g}"), text, variable, relation, at, threshold)


def _relation(reader: Reader) -> Literal["<", ">"]:
    if reader.takes(OTHER_SIGNS):
        raise Misread(USE)
    found = reader.needs("[<>]", f"a sign (+ - * / **), > or <; {TICKS}")
    return "<" if found == "<" else ">"


def _side(left: Tree, relation: Literal["<", ">"], right: Tree) -> tuple[Tree, Literal["<", ">"], float]:
    """Bring a comparison into the form of a tree, a relation and a number."""
    values = constant(left), constant(right)
    if values[0] is not None and values[1] is not None:
        raise Misread("it names no variable; inside P( ) stand one variable, > or <, and a number")
    tree, at = (left, values[1]) if values[1] is not None else (right, values[0])
    turned = values[0] is not None
    if at is None:
        return Operation("-", left, right), relation, 0.0
    if not np.isfinite(at):
        raise Misread(f"the number that the variable is compared with is {at:g}; wanted a finite one")
    if not turned:
        return tree, relation, at
    return tree, "<" if relation == ">" else ">", at


def _interval_rule(body: str, where: str, kind: Literal["eti", "hdi"]) -> Decision | None:
    """Read ``PROBABILITY interval of EXPRESSION excludes VALUE``; None if the text is no rule of that form."""
    reader = Reader(body)
    share = reader.takes(NUMBER)
    percent = bool(share and reader.takes("%"))
    word = reader.takes(r"(?:interval|eti|hdi)\b")
    if word is None:
        return None
    level = _share(share, where, percent) if share else DEFAULT_LEVEL
    tree = reader.expression() if reader.takes(r"of\b") else None
    if tree is not None and constant(tree) is not None:
        raise Misread("it names no variable; wanted 'interval of VARIABLE excludes NUMBER'")
    reader.needs(r"excludes\b", f"'excludes' and a number; {TICKS}" if tree else "'of VARIABLE', or 'excludes'")
    at = constant(reader.expression())
    if at is None or not np.isfinite(at):
        raise Misread("after 'excludes' stands one number, and before it 'interval of VARIABLE'")
    _end(reader)
    chosen: Literal["eti", "hdi"] = kind if word == "interval" else ("hdi" if word == "hdi" else "eti")
    about = None if tree is None else written(tree)
    text = f"{level:g} {word}{f' of {about}' if about else ''} excludes {at:g}"
    ending = f"excludes_{at:g}_{'ci' if word == 'interval' else chosen}{level:g}"
    name = _slug(ending if tree is None else f"{_spelled(tree)}_{ending}")
    return Decision(name, text, about, "!=", at, level, chosen)


def _end(reader: Reader) -> None:
    if reader.takes(r"\S"):
        reader.place -= 1
        raise reader.stopped("the end of the rule")


def _share(text: str, where: str, percent: bool = False) -> float:
    share = float(text) / (100.0 if percent else 1.0)
    if not 0 < share < 1:
        maybe = f"; did you mean {share / 100:g}?" if 1 < share < 100 and not percent else ""
        raise ConfigError(f"{where} has the probability {share:g}, not one between 0 and 1{maybe}")
    return share


def _hint(body: str) -> str:
    """Say what is most likely wrong with a text that has none of the forms."""
    if re.search(OTHER_SIGNS, body):
        return f"{USE[0].upper()}{USE[1:]}. "
    reader = Reader(body)
    try:
        reader.expression()
        _relation(reader)
        reader.expression()
        _end(reader)
    except Misread:
        return ""
    return f"A rule is about a probability: P({body.strip()} | y) > 0.95. "


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


def _spelled(tree: Tree) -> str:
    """Write a tree for the name of a rule, whose signs are words."""
    text = written(tree)
    if isinstance(tree, Name):
        return tree.text
    for sign, word in SPELLED:
        text = text.replace(sign, word)
    text = text.replace("`", "").rstrip(")")
    return f"minus_{text.removeprefix('-')}" if text.startswith("-") else text


def _slug(text: str) -> str:
    """Letters, digits, ``_``, ``.`` and ``-``, which names of columns have."""
    return re.sub(r"[^\w.-]+", ".", text.replace("]", "")).strip(".")
