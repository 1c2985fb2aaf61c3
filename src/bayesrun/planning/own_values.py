"""Whether a model that holds its data itself uses their values for anything but to be observed.

Simulated values take the place of what is observed after the model was built, so that numbers worked out from the
values before (a prior's scale, a standardised outcome, an earlier value as a predictor) would stay those of the real
data. No second build shows them: they are looked for in the text of the module, and among the numbers of the model.
What is not certain is refused.
"""

from __future__ import annotations

import ast
import functools
import inspect
from dataclasses import dataclass, field
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant
from pytensor.graph.traversal import ancestors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pymc as pm

__all__ = ["worked_out"]

IMPUTED: Final = "_observed"
"""What PyMC puts behind the name of a variable for those of its values that are not missing."""

MAKERS: Final = frozenset({
    "array", "asarray", "Data", "MutableData", "ConstantData", "as_tensor", "as_tensor_variable", "constant", "Series",
    "masked_array", "masked_invalid", "float64", "int64",
})  # fmt: skip
"""Functions that hold the values of their data argument as they are."""
NAMED: Final = frozenset({"Data", "MutableData", "ConstantData"})
"""Of these the ones whose first argument is a name."""
READERS: Final = frozenset({
    "loadtxt", "genfromtxt", "load", "fromfile", "read_csv", "read_table", "read_parquet", "read_json", "read_excel",
    "read_feather", "get_data", "open_dataset", "load_dataset", "from_netcdf", "scan_csv", "draw",
})  # fmt: skip
RANDOM: Final = frozenset({
    "normal", "standard_normal", "poisson", "binomial", "negative_binomial", "uniform", "random", "integers", "gamma",
    "exponential", "beta", "lognormal", "standard_t", "laplace", "weibull", "multivariate_normal", "rvs", "choice",
})  # fmt: skip
"""Methods that make values up."""
KEEPING: Final = frozenset({"to_numpy", "astype", "copy", "ravel", "flatten", "reshape", "squeeze", "tolist", "item"})
"""Methods that leave each value as it is."""
ELEMENTWISE: Final = frozenset({"log", "log1p", "log2", "log10", "sqrt", "exp", "expm1", "abs", "square"})
SAME: Final = frozenset({"values", "T", "array", "data"})
"""Attributes that are the values themselves."""
SHAPES: Final = frozenset({"shape", "size", "dtype", "ndim", "index", "columns", "dims", "coords", "sizes"})
"""Attributes that no value matters to."""
COUNTING: Final = frozenset({"len", "isnan", "isna", "isnull", "isfinite", "notna", "shape", "size", "ndim"})
"""Functions and methods that no finite value matters to."""
INSPECTING: Final = frozenset({"locals", "vars", "eval", "exec", "globals"})

WRITTEN: Final = (
    ast.Constant, ast.List, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context,
)  # fmt: skip
"""What numbers in a text consist of."""

FEWEST: Final = 3
"""Values from which numbers worked out from them are told from such that happen to be alike."""
ROUNDING: Final = 1e-9
STATISTICS: Final[Mapping[str, Callable[[np.ndarray], Any]]] = {
    "mean": np.mean,
    "standard deviation": np.std,
    "standard deviation (n - 1)": lambda values: np.std(values, ddof=1),
    "variance": np.var,
    "variance (n - 1)": lambda values: np.var(values, ddof=1),
    "median": np.median,
    "smallest value": np.min,
    "largest value": np.max,
    "sum": np.sum,
}


def worked_out(builder: Callable[..., Any], model: pm.Model, held: Mapping[str, np.ndarray]) -> list[str]:
    """Say why numbers of a model may be worked out from the values that it holds and observes; empty if none are.

    Parameters
    ----------
    builder
        ``build(data, **params)`` or ``build(**params)``.
    model
        What it built.
    held
        Observed variable to its values, of those whose values the builder holds.
    """
    found = []
    for name, values in held.items():
        reason = _in_text(builder, name) or _among_numbers(model, values)
        if reason:
            found.append(
                f"{name} observes values that the model holds itself, and {reason}, so that simulated data might go "
                "with numbers of the real ones; hand the data over (build(data), with data=csv data.path=FILE), or "
                "let the values be observed and nothing else"
            )
    return found


class _Uncertain(Exception):
    """Why it is not certain that values are only observed."""


@dataclass
class _Text:
    """The module that a builder was written in.

    Parameters
    ----------
    function, module
        Their trees.
    above
        A node to the one that it is in.
    names
        Names that hold observed values to the columns of them that do; None: the whole does.
    seen
        Uses of these on the way from where the values come from to where they are observed.
    """

    function: ast.FunctionDef
    module: ast.Module
    above: dict[ast.AST, ast.AST]
    names: dict[str, set[str] | None] = field(default_factory=dict)
    seen: set[ast.AST] = field(default_factory=set)

    @classmethod
    def of(cls, builder: Callable[..., Any]) -> _Text:
        while isinstance(builder, functools.partial):
            builder = builder.func
        function = inspect.unwrap(builder)
        try:
            if not isinstance(function, FunctionType):
                raise TypeError
            module = ast.parse(inspect.getsource(inspect.getmodule(function) or function))
        except (OSError, TypeError, SyntaxError):
            raise _Uncertain("its text cannot be read") from None
        line = function.__code__.co_firstlineno
        above = {child: node for node in ast.walk(module) for child in ast.iter_child_nodes(node)}
        for node in ast.walk(module):
            if isinstance(node, ast.FunctionDef) and node.name == function.__name__ and node.lineno == line:
                return cls(node, module, above)
        raise _Uncertain("its text is not that of a plain function")


def _in_text(builder: Callable[..., Any], name: str) -> str:
    try:
        text = _Text.of(builder)
        _follow(text, _observed(text, name.removesuffix(IMPUTED), name))
        for node in _loads(text):
            _refuse_use(text, node)
    except _Uncertain as reason:
        return str(reason)
    return ""


def _observed(text: _Text, *names: str) -> ast.expr:
    """Find what is handed over as ``observed=`` of the variable of some name."""
    found = []
    for node in ast.walk(text.function):
        if not isinstance(node, ast.Call):
            continue
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        label = node.args[0] if node.args else given.get("name")
        if "observed" in given and isinstance(label, ast.Constant) and label.value in names:
            found.append(given["observed"])
    if len(found) != 1:
        raise _Uncertain("its text has no one place that names it and what it observes")
    return found[0]


def _follow(text: _Text, node: ast.expr) -> None:
    """Go from observed values to where they come from, and note the names on the way.

    Raises
    ------
    _Uncertain
        Where they are changed on the way in a manner that may look at several of them at once.
    """
    if _is_literal(node):
        return
    if isinstance(node, ast.Name):
        _note(text, node, None)
    elif isinstance(node, ast.Attribute) and node.attr in SAME:
        _follow(text, node.value)
    elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        _note(text, node.value, node.attr)
    elif isinstance(node, ast.Subscript):
        column, inner = _column(node.slice), node.value
        inner = inner.value if isinstance(inner, ast.Attribute) and inner.attr in ("loc", "iloc") else inner
        if column is not None and isinstance(inner, ast.Name):
            _note(text, inner, column)
        else:
            _follow(text, inner)
    elif isinstance(node, ast.BinOp) and (_is_literal(node.left) or _is_literal(node.right)):
        _follow(text, node.left if _is_literal(node.right) else node.right)
    elif isinstance(node, ast.Call):
        _follow_call(text, node)
    else:
        raise _Uncertain(f"they are worked out: {_shown(node)}")


def _follow_call(text: _Text, node: ast.Call) -> None:
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    inputs = {keyword.arg: keyword.value for keyword in node.keywords}
    if called in MAKERS or called in ELEMENTWISE:
        place = 1 if called in NAMED else 0
        value = node.args[place] if len(node.args) > place else inputs.get("value", inputs.get("data"))
        if value is not None:
            return _follow(text, value)
    elif called in KEEPING and isinstance(node.func, ast.Attribute):
        return _follow(text, node.func.value)
    elif called in READERS or (called in RANDOM and isinstance(node.func, ast.Attribute)):
        if sum(ast.dump(other) == ast.dump(node) for other in ast.walk(text.module)) == 1:
            return None
        raise _Uncertain(f"{_shown(node)} is there twice")
    raise _Uncertain(f"they come from {_shown(node)}, which may be worked out")


def _note(text: _Text, node: ast.Name, column: str | None) -> None:
    """Note a name that holds observed values, and follow it to where it is bound, once."""
    name = node.id
    text.seen.add(node)
    if name in text.names:
        known = text.names[name]
        text.names[name] = None if known is None or column is None else {*known, column}
        return
    text.names[name] = None if column is None else {column}
    inside = [n for n in ast.walk(text.function) if _binds(n, name)]
    outside = [n for n in text.module.body if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
    bound = inside or [n for n in outside if any(_binds(inner, name) for inner in ast.walk(n))]
    if len(bound) != 1:
        raise _Uncertain(f"{name} is bound {len(bound)} times" if bound else f"{name} is not bound in its module")
    (place,) = bound
    statement = text.above.get(place) if inside else place
    if isinstance(statement, ast.AnnAssign) and statement.value is not None:
        return _from(text, statement.value, column)
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        raise _Uncertain(f"{name} comes from elsewhere: {_shown(statement or place)}")
    if not isinstance(statement.targets[0], ast.Name):
        raise _Uncertain(f"{name} comes from {_shown(statement)}, which may be worked out")
    return _from(text, statement.value, column)


def _from(text: _Text, value: ast.expr, column: str | None) -> None:
    """Follow what a name is bound to; of a table in the text the one column."""
    if column is not None and isinstance(value, ast.Dict):
        for key, inner in zip(value.keys, value.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == column:
                return _follow(text, inner)
    if column is not None and isinstance(value, ast.Call) and _name_of(value.func) in ("DataFrame", "dict"):
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if column in given:
            return _follow(text, given[column])
        if value.args:
            return _from(text, value.args[0], column)
    return _follow(text, value)


def _binds(node: ast.AST, name: str) -> bool:
    if isinstance(node, ast.Name):
        return node.id == name and isinstance(node.ctx, ast.Store)
    if isinstance(node, ast.alias):
        return (node.asname or node.name).split(".")[0] == name
    return isinstance(node, ast.arg) and node.arg == name


def _loads(text: _Text) -> Iterator[ast.Name]:
    """Yield the other uses of names that hold observed values, in what is run to build the model."""
    for place, nodes in _run(text).items():
        local = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        for node in nodes:
            if not isinstance(node, ast.Name) or not isinstance(node.ctx, ast.Load):
                continue
            if node.id in INSPECTING:
                raise _Uncertain(f"{node.id}() is called in its module")
            hidden = place not in (text.module, text.function) and node.id in local
            if node.id in text.names and node not in text.seen and not hidden:
                yield node


def _run(text: _Text) -> dict[ast.AST, list[ast.AST]]:
    """Return what is run to build the model: the module without its functions, the builder, and what these name."""
    functions = {node.name: node for node in text.module.body if isinstance(node, ast.FunctionDef)}
    outside = [node for node in text.module.body if not isinstance(node, ast.FunctionDef)]
    found: dict[ast.AST, list[ast.AST]] = {text.module: [inner for node in outside for inner in ast.walk(node)]}
    waiting: list[ast.AST] = [text.function]
    while waiting:
        place = waiting.pop()
        if place in found:
            continue
        found[place] = list(ast.walk(place))
        named = {node.id for nodes in found.values() for node in nodes if isinstance(node, ast.Name)}
        waiting += [functions[name] for name in named & set(functions)]
    return found


def _refuse_use(text: _Text, node: ast.Name) -> None:
    """Refuse a use of observed values that a value may matter to."""
    columns, use = text.names[node.id], text.above[node]
    if columns is not None:
        column = _column(use.slice) if isinstance(use, ast.Subscript) and use.value is node else None
        if isinstance(use, ast.Attribute) and use.attr in ("loc", "iloc") and _is_indexed(text, use):
            use = text.above[use]
            column = _column(use.slice) if isinstance(use, ast.Subscript) else None
        elif isinstance(use, ast.Attribute) and not _is_called(text, use) and use.attr not in SAME:
            column = use.attr
        if column is not None and column not in columns:
            return
        if column is not None and isinstance(use, ast.Subscript | ast.Attribute) and _is_harmless(text, use):
            return
    if not _is_harmless(text, node):
        raise _Uncertain(f"line {node.lineno} uses them otherwise: {_shown(_statement(text, node))}")


def _is_harmless(text: _Text, node: ast.expr) -> bool:
    """Whether what is done with an array needs no value of it."""
    use = text.above[node]
    if isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
        return True
    if isinstance(use, ast.keyword):
        return use.arg == "observed"
    if isinstance(use, ast.Attribute):
        return use.attr in (SHAPES if not _is_called(text, use) else COUNTING)
    if isinstance(use, ast.Call):
        return _name_of(use.func) in COUNTING
    return isinstance(use, ast.Subscript) and use.value is node and isinstance(use.ctx, ast.Store)


def _is_called(text: _Text, node: ast.Attribute) -> bool:
    above = text.above[node]
    return isinstance(above, ast.Call) and above.func is node


def _is_indexed(text: _Text, node: ast.Attribute) -> bool:
    above = text.above[node]
    return isinstance(above, ast.Subscript) and above.value is node


def _column(index: ast.expr) -> str | None:
    """Name of the column that an index asks for; the last part of ``table.loc[rows, "y"]``."""
    last = index.elts[-1] if isinstance(index, ast.Tuple) and index.elts else index
    return last.value if isinstance(last, ast.Constant) and isinstance(last.value, str) else None


def _is_literal(node: ast.expr) -> bool:
    return all(
        isinstance(part, WRITTEN)
        or (isinstance(part, ast.Attribute) and part.attr in ("nan", "NaN"))
        or (isinstance(part, ast.Name) and part.id in ("np", "numpy"))
        for part in ast.walk(node)
    )


def _name_of(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _statement(text: _Text, node: ast.AST) -> ast.AST:
    while not isinstance(node, ast.stmt) or isinstance(node, ast.With | ast.FunctionDef):
        above = text.above[node]
        if isinstance(above, ast.With | ast.FunctionDef | ast.Module):
            return node
        node = above
    return node


def _shown(node: ast.AST) -> str:
    """Text of a piece of code in one short line."""
    line = " ".join(ast.unparse(node).split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def _among_numbers(model: pm.Model, values: np.ndarray) -> str:
    """Find a number of the model that is one worked out from the values, or an array that is made of them."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if known.size < FEWEST or (known == np.round(known)).all():
        return ""
    told = {name: float(of(known)) for name, of in STATISTICS.items()}
    for number in _numbers(model):
        if number.size == 1:
            for name, statistic in told.items():
                if statistic != round(statistic) and np.isclose(number.flat[0], statistic, ROUNDING, 0.0):
                    return f"a number of the model, {number.flat[0]:.6g}, is their {name}"
        elif len(np.unique(number)) >= FEWEST and np.isin(number, known).all() and (number != np.round(number)).any():
            return f"{number.size} numbers of the model are among them"
    return ""


def _numbers(model: pm.Model) -> Iterator[np.ndarray]:
    """Yield the constants and shared values of all variables of a model, but not what is observed."""
    values = set(model.rvs_to_values.values())
    observed = {v for value in values for v in ancestors([value])}
    outputs: Sequence[Any] = [*model.basic_RVs, *model.deterministics, *model.potentials]
    for variable in ancestors(outputs):
        if variable in observed:
            continue
        if isinstance(variable, Constant):
            found = np.asarray(variable.data)
        elif isinstance(variable, SharedVariable) and hasattr(variable.type, "dtype"):
            found = np.asarray(variable.get_value(borrow=True))
        else:
            continue
        if found.dtype.kind == "f" and found.size:
            yield found
