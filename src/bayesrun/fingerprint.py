"""What a model means, as a digest, and what its graph shows: narrow integers, centred variables.

The fingerprint has two parts: the syntax trees of the builder's module and of the user's own modules that
it imports (comments and docstrings do not count), and the graph that was built, with its constants. It
draws nothing and compiles nothing.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import site
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pymc.distributions.distribution import SymbolicRandomVariable
from pytensor.compile.sharedvalue import SharedVariable
from pytensor.graph.basic import Constant, Variable
from pytensor.graph.traversal import ancestors, toposort
from pytensor.tensor.random.op import RandomVariable
from pytensor.tensor.random.type import RandomType
from pytensor.tensor.subtensor import AdvancedSubtensor, Subtensor

from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    import pymc as pm

__all__ = [
    "centred_variables",
    "fingerprint",
    "graph_digest",
    "narrow_constants",
    "source_digest",
]

NARROW = ("int8", "int16", "uint8", "uint16")
INDEXING = (Subtensor, AdvancedSubtensor)
DISTRIBUTIONS = (RandomVariable, SymbolicRandomVariable)
SHAPING = ("MakeVector", "Alloc", "SpecifyShape", "Reshape", "Shape_i", "ScalarFromTensor")
"""Ops whose integers are lengths and axes, not numbers of the model."""


def fingerprint(builder: Callable[..., Any], model: pm.Model) -> str:
    """Digest of a model's meaning, ``SOURCES-GRAPH``: of its sources, and of what `graph_digest` reads."""
    return f"{source_digest(builder)}-{graph_digest(model)}"


def source_digest(function: Callable[..., Any]) -> str:
    """Digest of the module a function is in and of the user's own modules that it imports."""
    return digest(sorted(_sources(function).items()))


def graph_digest(model: pm.Model) -> str:
    """Digest of what was built: variables, dims and coords, and the log density with its constants.

    Observed values do not count: they are in the digest of the data.
    """
    observed = [model.rvs_to_values[rv] for rv in model.observed_RVs]
    return digest([_graph(_outputs(model)), _graph(model.logp(sum=False), observed), _names(model)])


def _outputs(model: pm.Model) -> list[Variable]:
    return [*model.basic_RVs, *model.deterministics, *model.potentials]


def _names(model: pm.Model) -> list[Any]:
    transforms = [type(model.rvs_to_transforms[rv]).__qualname__ for rv in model.basic_RVs]
    return [
        [v.name for v in _outputs(model)],
        transforms,
        {k: list(map(str, v or ())) for k, v in model.coords.items()},
    ]


def _sources(builder: Callable[..., Any]) -> dict[str, str]:
    """Normalised source text of the builder's module and of the user's own modules that it imports."""
    library = _library()
    start = inspect.getmodule(inspect.unwrap(builder))
    waiting: list[ModuleType] = [start] if start is not None else []
    texts: dict[str, str] = {}
    while waiting:
        module = waiting.pop()
        file = getattr(module, "__file__", None)
        if module.__name__ in texts or not file or not file.endswith(".py"):
            continue
        path = Path(file).resolve()
        tree = ast.parse(path.read_bytes())
        texts[module.__name__] = hashlib.sha256(_meaning(tree).encode()).hexdigest()
        for name in _imported(tree, module):
            found = sys.modules.get(name)
            origin = getattr(found, "__file__", None)
            own = origin and not any(Path(origin).resolve().is_relative_to(folder) for folder in library)
            if found is not None and own and name.split(".")[0] != "bayesrun":
                waiting.append(found)
    return texts


def _library() -> list[Path]:
    """Folders of Python and of installed packages: what is in them is not the user's own."""
    paths = sysconfig.get_paths()
    folders = [*(paths[name] for name in ("purelib", "platlib", "stdlib")), *site.getsitepackages()]
    return [Path(folder).resolve() for folder in (*folders, site.getusersitepackages())]


def _meaning(tree: ast.Module) -> str:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef) or not body:
            continue
        if (
            isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            body[:1] = [] if len(body) > 1 else [ast.Pass()]
    return ast.unparse(tree)


def _imported(tree: ast.Module, module: ModuleType) -> Iterable[str]:
    package = (module.__package__ or "").split(".")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = (
                ".".join([*package[: len(package) - node.level + 1], node.module or ""]) if node.level else node.module
            )
            base = (base or "").strip(".")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _graph(outputs: list[Variable], unread: Sequence[Variable] = ()) -> str:
    """Digest of a graph: ops with their properties, how they are joined, and the values of constants."""
    ids: dict[Variable, int] = {}
    lines: list[Any] = []

    def see(variable: Variable) -> int:
        if variable not in ids:
            ids[variable] = len(ids)
            value = "observed" if variable in unread else _value(variable)
            lines.append([ids[variable], str(variable.type), value])
        return ids[variable]

    for node in toposort(outputs):
        inputs = [see(variable) for variable in node.inputs]
        for output in node.outputs:
            ids.setdefault(output, len(ids))
        lines.append([_op(node.op), inputs, [ids[output] for output in node.outputs]])
    return digest([lines, [see(variable) for variable in outputs]])


def _value(variable: Variable) -> str:
    if isinstance(variable.type, RandomType):
        return "rng"
    if isinstance(variable, Constant):
        return _bytes(variable.data)
    if isinstance(variable, SharedVariable):
        return _bytes(variable.get_value(borrow=True))
    return variable.name or ""


def _bytes(value: Any) -> str:
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        return hashlib.sha256(str((array.dtype, array.shape)).encode() + array.tobytes("C")).hexdigest()[:16]
    return _stable(value)


def _op(op: Any) -> list[Any]:
    name = f"{type(op).__module__}.{type(op).__qualname__}"
    properties = [[key, _property(getattr(op, key, None))] for key in getattr(op, "__props__", ()) or ()]
    inner = getattr(op, "fgraph", None)
    return [name, properties, _graph(list(inner.outputs)) if inner is not None else ""]


def _property(value: Any) -> str:
    if hasattr(value, "__props__"):
        return str(_op(value))
    return _stable(value)


def _stable(value: Any) -> str:
    """Text of a value that is the same in every process: no address, no order of a set."""
    if isinstance(value, (set, frozenset)):
        return str(sorted(map(_stable, value)))
    text = repr(value)
    return type(value).__qualname__ if " at 0x" in text else text


def narrow_constants(model: pm.Model) -> list[str]:
    """Name the variables whose graph computes in a narrow integer type.

    Indexing is not computing: int8 category codes are safe as an index. Nor is a narrow array in danger where it
    meets a float, since the result is a float. The parameter of a distribution is, because its density squares it.
    """
    found = []
    for output in _outputs(model):
        stop = [v for v in _outputs(model) if v is not output]
        for node in toposort([output], blockers=stop):
            narrow = [v.type.dtype for v in node.inputs if _is_narrow(v)]
            if narrow and _computes(node):
                found.append(f"{output.name} (a constant of type {narrow[0]})")
    return sorted(set(found))


def _is_narrow(variable: Variable) -> bool:
    return getattr(variable.type, "dtype", "") in NARROW


def _computes(node: Any) -> bool:
    if isinstance(node.op, INDEXING) or type(node.op).__name__ in SHAPING:
        return False
    return isinstance(node.op, DISTRIBUTIONS) or any(_is_narrow(v) for v in node.outputs)


def centred_variables(model: pm.Model) -> dict[str, list[str]]:
    """Find vector variables whose location and scale are other free variables: the centred form of a hierarchy.

    Returns
    -------
    dict
        Name of the variable to the names of the free variables that it stands on, two or more.
    """
    free = set(model.free_RVs)
    found = {}
    for rv in model.free_RVs:
        if rv.ndim == 0 or rv.owner is None:
            continue
        stop = free - {rv}
        parents = [v.name for v in ancestors([rv], blockers=list(stop)) if v in stop]
        if len(parents) > 1:
            found[str(rv.name)] = sorted({str(name) for name in parents})
    return found
