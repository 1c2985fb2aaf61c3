"""Functions of a posterior's scalars as people write them, ``b[x1] - b[x2]``: from their text to a tree, and values.

Nothing is executed that a text says: the grammar has names, numbers, ``+ - * / **``, parentheses and `FUNCTIONS`.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from bayesrun.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bayesrun.statistics.measures.estimate import Floats

__all__ = [
    "FUNCTIONS",
    "Call",
    "Misread",
    "Name",
    "Number",
    "Operation",
    "Reader",
    "Tree",
    "comparable",
    "constant",
    "element_of",
    "expanded",
    "is_instance",
    "names",
    "parse",
    "plain_name",
    "value",
    "written",
]

FUNCTIONS: Final[Mapping[str, tuple[Callable[..., Any], int | None]]] = {
    "exp": (np.exp, 1),
    "log": (np.log, 1),
    "sqrt": (np.sqrt, 1),
    "abs": (np.abs, 1),
    "min": (lambda *parts: functools.reduce(np.minimum, parts), None),
    "max": (lambda *parts: functools.reduce(np.maximum, parts), None),
}
"""What may be called, and with how many values (None: two or more)."""

SIGNS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "**": np.power,
}
BINDING: Final[Mapping[str, int]] = {"+": 1, "-": 1, "*": 2, "/": 2, "negative": 3, "**": 4}
"""How tightly an operation binds; that of names, numbers and calls is `TIGHT`."""
TIGHT: Final = 5

NUMBER: Final = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
WORD: Final = re.compile(r"[^\W\d]\w*(?:[.:]\w+)*")
TICKED: Final = re.compile(r"`((?:[^`]|``)+)`")
TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d*[1-9])?)\.?0*")
SEVERAL: Final = re.compile(r"\][-+*/].*\[")
"""In what looks like the brackets of one element, those of several with a sign between them."""
BESIDE: Final = re.compile(r" ?([\[\],]) ?")
DEEPEST: Final = 50
"""Parentheses inside of each other."""
SHOWN: Final = 20
"""Characters of a text that a message quotes after the place where reading stopped."""


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float


@dataclass(frozen=True)
class Name:
    """The label of a scalar as tables show it (``beta[x1]``), or the name of a variable: all of its elements."""

    text: str


@dataclass(frozen=True)
class Operation:
    """Two trees joined by a sign."""

    sign: str
    left: Tree
    right: Tree


@dataclass(frozen=True)
class Call:
    """A function of trees; ``negative`` is the sign before one."""

    function: str
    arguments: tuple[Tree, ...]


type Tree = Number | Name | Operation | Call


class Misread(ConfigError):
    """A text that is no expression: what was wanted, and what stands there."""


class Reader:
    """Reads a text from left to right.

    Parameters
    ----------
    text
        What people typed.
    place
        Where to begin.
    """

    def __init__(self, text: str, place: int = 0) -> None:
        self.text, self.place, self.depth = text, place, 0

    def takes(self, pattern: str) -> str | None:
        """Read what a pattern says, after blanks; None, and nothing is read, where something else stands there."""
        found = re.compile(rf"\s*({pattern})").match(self.text, self.place)
        if found is None:
            return None
        self.place = found.end()
        return found[1]

    def needs(self, pattern: str, wanted: str) -> str:
        """Read what a pattern says.

        Raises
        ------
        Misread
            If something else stands there.
        """
        found = self.takes(pattern)
        if found is None:
            raise self.stopped(wanted)
        return found

    def stopped(self, wanted: str) -> Misread:
        """Say where reading stopped."""
        rest = self.text[self.place :].strip()
        read = self.text[: self.place].strip()
        got = f"got {rest[:SHOWN] + ('...' if len(rest) > SHOWN else '')!r}" if rest else "the text ends"
        return Misread(f"{f'after {read[-SHOWN:]!r} ' if read else ''}{got}; wanted {wanted}")

    def expression(self) -> Tree:
        """Read the longest expression from here.

        Raises
        ------
        Misread
            If there is none.
        """
        found = self._product()
        while sign := self.takes(r"[-+]"):
            found = Operation(sign, found, self._product())
        return found

    def _product(self) -> Tree:
        found = self._signed()
        while sign := self.takes(r"\*(?!\*)|/"):
            found = Operation(sign, found, self._signed())
        return found

    def _signed(self) -> Tree:
        if self.takes(r"\+"):
            return self._nested(self._signed)
        if not self.takes("-"):
            return self._power()
        inner = self._nested(self._signed)
        return Number(-inner.value) if isinstance(inner, Number) else Call("negative", (inner,))

    def _power(self) -> Tree:
        base = self._atom()
        if self.takes(r"\*\*"):
            return Operation("**", base, self._nested(self._signed))
        if self.takes(r"\^"):
            raise Misread("^ is no sign here; write ** for powers")
        return base

    def _nested(self, read: Callable[[], Tree]) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Misread(f"more than {DEEPEST} parentheses and signs are nested; make it a study.quantities function")
        found = read()
        self.depth -= 1
        return found

    def _atom(self) -> Tree:
        if self.takes(r"\("):
            found = self._nested(self.expression)
            self.needs(r"\)", "a sign (+ - * / **) or )")
            return found
        if number := self.takes(NUMBER.pattern):
            return Number(float(number))
        if ticked := self.takes(TICKED.pattern):
            return Name(self._bracket(ticked[1:-1].replace("``", "`")))
        word = self.takes(WORD.pattern)
        if word is None:
            raise self.stopped("a name, a number or (; names with other characters stand in backticks: `1|firm_sigma`")
        if self.takes(r"\("):
            return self._call(word)
        return Name(self._bracket(word))

    def _call(self, word: str) -> Call:
        if word not in FUNCTIONS:
            raise Misread(
                f"there is no function {word}; there are {', '.join(FUNCTIONS)}; a variable of such a name stands in "
                f"backticks: `{word}(...)`"
            )
        arguments = [self._nested(self.expression)]
        while self.takes(","):
            arguments.append(self._nested(self.expression))
        self.needs(r"\)", "a sign (+ - * / **), a comma or )")
        size = FUNCTIONS[word][1]
        if (size is None and len(arguments) < 2) or (size is not None and len(arguments) != size):
            raise Misread(f"got {len(arguments)} value(s) in {word}(...); wanted {size or 'two or more'}")
        return Call(word, tuple(arguments))

    def _bracket(self, name: str) -> str:
        """Read the labels of an element after the name of a variable."""
        if not self.takes(r"\["):
            return name
        parts = [self._label()]
        while self.takes(","):
            parts.append(self._label())
        self.needs(r"\]", "a comma or ]")
        return f"{name}[{', '.join(parts)}]"

    def _label(self) -> str:
        if quoted := self.takes(r"\"[^\"]*\"(?=\s*[,\]])|'[^']*'(?=\s*[,\]])"):
            return quoted[1:-1]
        start, depth = self.place, 0
        for place in range(start, len(self.text)):
            character = self.text[place]
            if depth == 0 and character in ",]":
                break
            depth += (character == "[") - (character == "]")
        else:
            raise self.stopped("a label and ]")
        self.place = place
        found = self.text[start:place].strip()
        if not found:
            raise self.stopped("the label of an element")
        return found


@functools.lru_cache(maxsize=4096)
def parse(text: str) -> Tree:
    """Read a whole text.

    Parameters
    ----------
    text
        ``beta``, ``beta[x1]``, `` `dose:arm[treated]` ``, ``exp(a) / (1 + exp(a))``, ...

    Raises
    ------
    Misread
        If it is no expression; the message says after what, what stands there, and what was wanted.
    """
    reader = Reader(text)
    found = reader.expression()
    if reader.takes(r"\S"):
        reader.place -= 1
        raise reader.stopped("a sign (+ - * / **) or the end; names with other characters stand in backticks")
    return found


def plain_name(text: str) -> str:
    """Return what is meant by a name that may stand in backticks, as the keys of mappings may."""
    found = TICKED.fullmatch(text.strip())
    return found[1].replace("``", "`") if found else text


def written(tree: Tree) -> str:
    """Write a tree so that it is read as the same tree: one spelling for each."""
    return _written(tree)[0]


def _written(tree: Tree) -> tuple[str, int]:
    match tree:
        case Number(number):
            return f"{number:.15g}", TIGHT if number >= 0 else BINDING["negative"]
        case Name(text):
            return _named(text), TIGHT
        case Call("negative", (inner,)):
            return f"-{_inside(inner, BINDING['negative'])}", BINDING["negative"]
        case Call(function, arguments):
            return f"{function}({', '.join(map(written, arguments))})", TIGHT
        case Operation(sign, left, right):
            own = BINDING[sign]
            power = sign == "**"
            sides = _inside(left, own + power), _inside(right, BINDING["negative"] if power else own + 1)
            return f"{sides[0]} {sign} {sides[1]}", own


def _inside(tree: Tree, binding: int) -> str:
    text, own = _written(tree)
    return text if own >= binding else f"({text})"


@functools.lru_cache(maxsize=4096)
def _named(text: str) -> str:
    try:
        if parse(text) == Name(text):
            return text
    except Misread:
        pass
    return f"`{text.replace('`', '``')}`"


def names(tree: Tree) -> tuple[str, ...]:
    """List the names in a tree, each once, from left to right."""
    return tuple(dict.fromkeys(_names(tree)))


def _names(tree: Tree) -> Iterator[str]:
    match tree:
        case Name(text):
            yield text
        case Call(_, arguments):
            for part in arguments:
                yield from _names(part)
        case Operation(_, left, right):
            yield from _names(left)
            yield from _names(right)


def constant(tree: Tree) -> float | None:
    """Work out a tree without names; None of one that has some."""
    return None if names(tree) else float(value(tree, {}))


def value(tree: Tree, of: Mapping[str, Floats]) -> Floats:
    """Work out a tree.

    Parameters
    ----------
    tree
        What to work out.
    of
        The values of each of its names; all of one shape.

    Returns
    -------
    array
        Of that shape; NaN or infinite where a function or a quotient is not defined.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_value(tree, of), dtype=np.float64)


def _value(tree: Tree, of: Mapping[str, Floats]) -> Any:
    match tree:
        case Number(number):
            return np.float64(number)
        case Name(text):
            return np.asarray(of[text], dtype=np.float64)
        case Call("negative", (inner,)):
            return -_value(inner, of)
        case Call(function, arguments):
            return FUNCTIONS[function][0](*(_value(part, of) for part in arguments))
        case Operation(sign, left, right):
            return SIGNS[sign](_value(left, of), _value(right, of))


@functools.lru_cache(maxsize=65536)
def comparable(label: str) -> str:
    """Return a label as labels are compared: no space at brackets and commas, composed letters, a day for midnight."""
    plain = unicodedata.normalize("NFC", label)
    if "00:00" in plain or "." in plain:
        plain = TIME.sub(lambda m: m[1] if m[2] == "00:00:00" else f"{m[1]} {m[2]}", plain)
    return BESIDE.sub(r"\1", re.sub(r"\s+", " ", plain)).strip()


def element_of(label: str, name: str) -> str | None:
    """Return the brackets of a label with which it is an element of a variable; None if it is none.

    Parameters
    ----------
    label, name
        Of a scalar and of a variable, both as `comparable` gives them.
    """
    inside = label.startswith(f"{name}[") and label.endswith("]")
    return label[len(name) :] if inside and not SEVERAL.search(label, len(name)) else None


@functools.lru_cache(maxsize=256)
def expanded(tree: Tree, labels: tuple[str, ...]) -> tuple[tuple[str, Mapping[str, int]], ...]:
    """Find the scalars that a tree is of: one, or one for each element of the variables that stand in it as a whole.

    Parameters
    ----------
    tree
        With names of scalars and variables.
    labels
        Of all scalars there are.

    Returns
    -------
    tuple of label and mapping
        The label writes the tree for that element, ``exp(beta[x1])``; the mapping says which of `labels` each name
        is. Empty if a name is of none of them.

    Raises
    ------
    ConfigError
        If variables that stand in one tree have other elements.
    """
    found = {name: _matching(name, labels) for name in names(tree)}
    if not all(found.values()):
        return ()
    whole = {name: part for name, part in found.items() if tuple(part) != ("",)}
    if not whole:
        return ((written(tree), {name: part[""] for name, part in found.items()}),)
    first = next(iter(whole))
    for name, part in whole.items():
        if set(part) != set(whole[first]):
            ends = (f"{labels[next(iter(places.values()))]}, ..." for places in (whole[first], part))
            raise ConfigError(
                f"{first} and {name}, which have not the same elements ({' and '.join(ends)}), so that it is not known "
                "which belong together; name one of each"
            )
    rows = []
    for brackets, place in whole[first].items():
        at = {name: part[brackets if name in whole else ""] for name, part in found.items()}
        suffix = labels[place][_length(first, labels[place]) :]
        own = {name: f"{name}{suffix}" if name in whole else name for name in found}
        rows.append((written(_renamed(tree, own)), at))
    return tuple(rows)


def _length(name: str, label: str) -> int:
    """Where the brackets of an element begin, in a label that may have other spaces than the name."""
    wanted = comparable(name)
    places = (place for place, character in enumerate(label) if character == "[")
    return next(place for place in places if comparable(label[:place]) == wanted)


def _matching(name: str, labels: tuple[str, ...]) -> dict[str, int]:
    """Find the scalar of a name (brackets ""), or the elements of a variable by their brackets."""
    if name in labels:
        return {"": labels.index(name)}
    wanted = comparable(name)
    elements: dict[str, int] = {}
    for place, label in enumerate(labels):
        own = comparable(label)
        if own == wanted:
            return {"": place}
        brackets = element_of(own, wanted)
        if brackets is not None:
            elements[brackets] = place
    return elements


def _renamed(tree: Tree, new: Mapping[str, str]) -> Tree:
    match tree:
        case Name(text):
            return Name(new[text])
        case Call(function, arguments):
            return Call(function, tuple(_renamed(part, new) for part in arguments))
        case Operation(sign, left, right):
            return Operation(sign, _renamed(left, new), _renamed(right, new))
        case _:
            return tree


def is_instance(label: str, tree: Tree) -> bool:
    """Whether a label is what `expanded` writes for a tree, or for one of its elements."""
    if isinstance(tree, Name):
        own, wanted = comparable(label), comparable(tree.text)
        return own == wanted or element_of(own, wanted) is not None
    if not any(character in label for character in " (-"):
        return False
    try:
        return _like(parse(label), tree, {})
    except Misread:
        return False


def _like(own: Tree, wanted: Tree, brackets: dict[str, str]) -> bool:
    match own, wanted:
        case Name(text), Name(name):
            label, of = comparable(text), comparable(name)
            if label == of:
                return True
            suffix = element_of(label, of)
            return suffix is not None and brackets.setdefault("", suffix) == suffix
        case Call(), Call():
            pairs = zip(own.arguments, wanted.arguments, strict=False)
            same = own.function == wanted.function and len(own.arguments) == len(wanted.arguments)
            return same and all(_like(a, b, brackets) for a, b in pairs)
        case Operation(), Operation():
            return own.sign == wanted.sign and all(
                _like(a, b, brackets) for a, b in ((own.left, wanted.left), (own.right, wanted.right))
            )
        case _:
            return own == wanted
