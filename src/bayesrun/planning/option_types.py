"""What a field of an options class takes, in a few words: for messages about what was given instead.

It validates nothing itself: it reads what pydantic found, one line for each field or entry.
"""

from __future__ import annotations

import json
import shlex
import types
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["explain", "shell"]

WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a name",
    type(None): "null",
}
OPENED: Mapping[str, str] = {
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "mapping_type": "keys with values",
}
"""What a text that begins like it was meant to be."""
BOUNDS: Mapping[type, tuple[str, str]] = {
    Ge: ("ge", "from {} on"),
    Gt: ("gt", "above {}"),
    Le: ("le", "up to {}"),
    Lt: ("lt", "below {}"),
}


def explain(kind: type, path: str, details: Iterable[Any]) -> Iterator[str]:
    """Say what is wrong with the fields of an options class: config path, what was got, what is wanted.

    Parameters
    ----------
    kind
        The dataclass.
    path
        Its place in the config.
    details
        Errors as pydantic lists them. A union has one for each of its members, and a line for all of them.

    Yields
    ------
    str
        One line for each field, or for each entry of a list or mapping.
    """
    hints = get_type_hints(kind, include_extras=True)
    told = set()
    for detail in details:
        name, *inner = detail["loc"]
        hint = hints[str(name)]
        if len(_members(hint)) > 1:
            inner, wanted = [], " or ".join(_words(member) for member in get_args(hint))
        elif detail["type"] in OPENED and str(detail["input"]).lstrip()[:1] in ("[", "{"):
            wanted = f"{OPENED[detail['type']]}, whose brackets and quotes are all closed"
        elif detail["type"] == "tuple_type":
            wanted = f"a list: {shell(f'{path}.{name}', _listed(detail['input']))}"
        elif detail["type"] == "dict_type":
            wanted = f"keys with values: {shell(f'{path}.{name}', '{KEY: VALUE}')}"
        else:
            wanted = detail["msg"].replace("Input should be ", "").replace("String should have", "text of")
        where = ".".join([path, str(name), *map(str, inner)])
        if where not in told:
            told.add(where)
            yield f"{where}: got {detail['input']!r}; wanted {wanted}"


def shell(path: str, value: str) -> str:
    """Write an override as it is typed: in quotes where a shell would read its brackets, braces or spaces."""
    return shlex.quote(f"{path}={value}")


def _members(hint: Any) -> tuple[Any, ...]:
    """Return the members of a union but for None; of anything else itself."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(member for member in get_args(hint) if member is not type(None))
    return (hint,)


def _words(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(map(str, get_args(hint)))
    if get_origin(hint) is Annotated:
        base, *rules = get_args(hint)
        bounds = [text.format(getattr(rule, name)) for rule in rules for name, text in _bounds(rule)]
        return " ".join([_words(base), *bounds])
    if get_origin(hint) in (Mapping, dict):
        return "{KEY: VALUE}"
    return WORDS.get(hint, str(hint))


def _bounds(rule: Any) -> list[tuple[str, str]]:
    return [BOUNDS[type(rule)]] if type(rule) in BOUNDS else []


def _listed(value: Any) -> str:
    """Put one value that stands where a list belongs into a list."""
    return "[...]" if value is None or isinstance(value, Mapping) else json.dumps([value], ensure_ascii=False)
