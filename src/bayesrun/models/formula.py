"""Regression models written as formulas, through Bambi. The pm.Model is Bambi's own, with one variable more.

Bambi is imported when a model is built, because it is an optional dependency.
"""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pymc as pm
import pytensor.tensor as pt
from pymc.util import treelist

from bayesrun.base.dates import choices, look_like_dates
from bayesrun.base.spelling import EXACT, known_order
from bayesrun.errors import ConfigError, DataError

if TYPE_CHECKING:
    from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build", "notes"]

_ORDINAL: Final = {"cumulative", "sratio"}
_LABEL_FAMILIES: Final = {"bernoulli", "categorical", *_ORDINAL}
"""Families whose outcome may be labels; for the others Bambi would silently model an indicator of the first."""

_REAL_FAMILIES: Final = {"gaussian", "t", "laplace", "asymmetriclaplace", "exgaussian"}
"""Families of any real outcome: standard scores mean something to them alone."""

_LARGEST: Final = 2**31 - 1
"""PyMC keeps whole numbers in 32 bits, and larger ones would wrap."""

MANY_ROWS: Final = 10
"""Fewer rows may well have a label each."""

DATA: Final[dict[str, Role]] = {}
"""Empty: the formula names the columns it needs, and `build` checks that the dataset has them."""


def build(
    data: Dataset,
    *,
    formula: str,
    family: str = "gaussian",
    link: str | None = None,
    priors: Mapping[str, Any] | None = None,
    noncentered: bool = True,
) -> pm.Model:
    """Build the regression that a formula describes.

    Where no prior is given, Bambi scales its default prior to the data, the outcome included. Such a model can be
    fitted and compared, but it is no generator for simulated data: give every term a prior for that.

    Bambi centres the predictors of a model with an intercept, so ``Intercept`` and its prior are about the linear
    predictor at the mean of all predictors; ``Intercept_at_zero`` is the one where all predictors are 0.

    Parameters
    ----------
    data
        Columns by name, each (obs,). A category column counts as categorical, with its labels as levels. Of the two
        labels of a bernoulli outcome the event is modelled, which is stated (``data.event``), known (no, yes), or named
        by the formula (``y['yes'] ~ x``). The labels of a cumulative or sratio outcome need an order (``data.order``);
        whole numbers are in their own.
    formula
        For example ``invest ~ value + capital + (1|firm)``: an intercept is implied, ``0 +`` removes it, and
        ``(1 + x|g)`` lets intercepts and slopes vary between the levels of g.
    family
        Distribution of the outcome: gaussian, t, bernoulli, binomial, poisson, negativebinomial, gamma, ...
    link
        Link function of the mean; None is the family's default.
    priors
        Term or parameter to its prior: ``{value: {dist: Normal, mu: 0, sigma: 1}, sigma: {dist: HalfNormal,
        sigma: 2}, "1|firm": {dist: Normal, mu: 0, sigma: {dist: HalfNormal, sigma: 1}}}``.
    noncentered
        Whether the effects of groups are drawn as standard normals and scaled.

    Returns
    -------
    pm.Model
        The variables that Bambi names by the terms; the observed one has the name of the outcome.

    Raises
    ------
    ConfigError
        If Bambi is not installed, or the formula, family, link or a prior is not understood.
    DataError
        If the formula names a column that the dataset does not have, or one that has the name of a variable of the
        model, or if nothing says which label of the outcome is the event, or the order of its labels.

    References
    ----------
    Capretto, T., Piho, C., Kumar, R., Westfall, J., Yarkoni, T., Martin, O. A. (2022). Bambi: A simple interface
    for fitting Bayesian linear models in Python. Journal of Statistical Software 103(15). doi:10.18637/jss.v103.i15
    """
    try:
        import bambi
        from formulae.parser import ParseError  # type: ignore[import-untyped]
        from formulae.scanner import ScanError  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(f"model=formula needs Bambi ({error}): pip install 'bayesrun[formula]'") from error
    names, outcome, named = _read(formula)
    _check_columns(formula, names, data)
    groups, factors = _labels_meant(formula)
    _check_factors(formula, factors, data)
    _check_labels(formula, names - factors - {outcome}, data)
    frame = _frame(data, names, factors, names - groups - {outcome})
    if len(frame) == 1:
        raise DataError(f"model.formula={formula!r}: the data have one row, from which nothing can be learned")
    _check_scale(formula, data, outcome, family)
    if outcome is not None:
        frame[outcome] = (
            _outcome(data, outcome, family, frame[outcome])
            if named is None
            else _against_others(data, outcome, named, frame[outcome])
        )
    bambi.config["UNUSED_PRIORS"] = "error"
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The intercept is omitted in ordinal families")
            spec = bambi.Model(
                formula,
                frame,
                family=family,
                link=link,
                priors={name: _prior(f"model.priors.{name}", value) for name, value in (priors or {}).items()},
                noncentered=noncentered,
            )
        _check_names(names, spec)
        spec.build()
    except (
        ParseError,
        ScanError,
        ValueError,
        TypeError,
        LookupError,
        NameError,
        AttributeError,
        AssertionError,
    ) as error:
        raise ConfigError(
            f"Bambi cannot build model.formula={formula!r} with family={family}, link={link}: {_cause(error)}"
        ) from error
    if spec.response_term.categorical and family not in _LABEL_FAMILIES:
        raise ConfigError(
            f"model.family={family} wants a numeric outcome, and the outcome of model.formula={formula!r} has labels; "
            f"families for labels: {', '.join(sorted(_LABEL_FAMILIES))}"
        )
    _add_intercept_at_zero(spec)
    model = spec.backend.model
    _lay_along_rows(model, len(frame))
    if family in _ORDINAL:
        # cumulative probabilities: one for each cut point, where Bambi names the dim of the levels
        model.named_vars_to_dims[spec.family.likelihood.parent] = ("__obs__", "threshold_dim")
    return model


def notes(data: Dataset, *, formula: str, family: str = "gaussian", **rest: Any) -> list[str]:
    """Say what the labels of the outcome were taken for."""
    del rest
    _, outcome, named = _read(formula)
    if outcome is None or family not in _LABEL_FAMILIES:
        return []
    if named is not None:
        return [f"{outcome}: 1 is {named!r}, the event, as the formula says"]
    levels = _levels(data, outcome)
    if levels is None:
        return []
    if family == "bernoulli":
        event = _event(data, outcome, levels)
        return [f"{outcome}: 1 is {event[1]!r}, the event, and 0 is {event[0]!r}"]
    if family in _ORDINAL:
        return [f"{outcome}: ordered as {' < '.join(map(str, levels))}"]
    return [f"{outcome}: compared with {(levels if _stated(data, outcome) else sorted(levels))[0]!r}"]


def _lay_along_rows(model: pm.Model, rows: int) -> None:
    """Repeat what is the same for all rows, and yet has their dim: Bambi's mean of a formula without predictors."""
    for place, variable in enumerate(list(model.deterministics)):
        dims = model.named_vars_to_dims.get(variable.name) or ()
        shape = tuple(
            rows if dim == "__obs__" and size == 1 else size
            for dim, size in zip(dims, variable.type.shape, strict=False)
        )
        if shape == variable.type.shape or None in shape:
            continue
        whole = pt.broadcast_to(variable, shape)
        whole.name = variable.name
        model.deterministics = treelist([*model.deterministics[:place], whole, *model.deterministics[place + 1 :]])
        model.named_vars[variable.name] = whole


def _read(formula: str) -> tuple[set[str], str | None, str | None]:
    """Return the columns that a formula names, its outcome if that is a column alone, and the label that it names."""
    from formulae import model_description  # type: ignore[import-untyped]
    from formulae.parser import ParseError
    from formulae.scanner import ScanError

    try:
        description = model_description(formula)
        names = {str(name) for name in description.var_names if name}
    except (ParseError, ScanError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"model.formula={formula!r} cannot be read: {_cause(error)}") from error
    response = description.response
    parts = response.term.components if response is not None else []
    single = parts[0] if len(parts) == 1 and hasattr(parts[0], "reference") else None
    return names, getattr(single, "name", None), getattr(single, "reference", None)


def _labels_meant(formula: str) -> tuple[set[str], set[str]]:
    """Return the columns that are groups, and all that are taken as labels whatever they hold."""
    from formulae import model_description

    description = model_description(formula)
    groups = {str(name) for term in description.group_terms for name in term.factor.var_names}
    terms = [*description.common_terms, *(term.expr for term in description.group_terms)]
    calls = [c for term in terms for c in getattr(term, "components", ())]
    return groups, groups | {
        str(name) for call in calls if str(getattr(call, "name", "")).startswith("C(") for name in call.var_names
    }


def _check_factors(formula: str, factors: set[str], data: Dataset) -> None:
    """Refuse numbers as labels where the file writes more than the numbers say: 1.1 and 1.10 would be one level."""
    for name in sorted(factors & set(data.origin.written)):
        words = sorted({str(word) for word in data.origin.written[name] if word is not None})
        raise DataError(
            f"model.formula={formula!r} takes {name} as labels, and the file writes its numbers as "
            f"{', '.join(words[:5])}, of which only the number would be left; say that they are labels: "
            f"'data.categories=[{name}]'"
        )
    for name in sorted(factors):
        if data[name].dtype.kind == "f" and (abs(data[name]) >= EXACT).any():
            raise DataError(
                f"model.formula={formula!r} takes {name} as labels, and its numbers are as large as "
                f"{abs(data[name]).max():.17g}: fractions of that size do not tell neighbours apart. Write them as text"
            )


def _check_labels(formula: str, covariates: set[str], data: Dataset) -> None:
    """Refuse dates as labels, and labels that hardly two rows share, unless that is what the user says."""
    for name in sorted(covariates - set(data.origin.meant)):
        levels = _levels(data, name)
        if levels is None:
            continue
        if look_like_dates(levels):
            raise DataError(f"model.formula={formula!r}: {choices(name, str(levels[0]))}")
        count = len(data[name])
        if count >= MANY_ROWS and 2 * len(levels) > count:
            raise DataError(
                f"model.formula={formula!r}: {name} has {len(levels)} labels in {count} rows, such as "
                f"{str(levels[0])!r}, and each would have a coefficient. Let intercepts vary: (1|{name}); leave it "
                f"out; or say that it is meant: 'data.categories=[{name}]'"
            )


def _is_column(data: Dataset, name: str) -> bool:
    return data.dims[name] == ("obs",) if name in data.dims else data[name].ndim == 1


def _frame(data: Dataset, names: set[str], factors: set[str], covariates: set[str]) -> pd.DataFrame:
    """Lay the columns that are named out; text and category codes become categoricals, factors stay what they are.

    Levels that no row has are left out of covariates: such a level would be the one that others are compared with, or
    have a coefficient of which the data say nothing. Groups keep them, because their effects have a distribution.
    """
    columns: dict[str, Any] = {}
    for name in sorted(names):
        array, labels = data[name], data.labels(name)
        if labels is not None:
            coded = pd.Categorical.from_codes(
                array.astype(np.int64), categories=pd.Index(labels), ordered=name in data.ordered
            )
            columns[name] = coded.remove_unused_categories() if name in covariates else coded
        elif array.dtype.kind in "OUST":
            columns[name] = pd.Categorical(array)
        elif name not in factors and array.dtype.kind in "iu" and array.size and abs(array).max() > _LARGEST:
            columns[name] = array.astype(np.float64)
        else:
            columns[name] = array
    return pd.DataFrame(columns)


def _levels(data: Dataset, name: str) -> tuple[Any, ...] | None:
    """Return the labels of a column; None for numbers and truth values."""
    if data.arrays[name].dtype.kind in "OUST":
        return tuple(sorted({str(value) for value in data[name]}))
    return data.labels(name)


def _stated(data: Dataset, name: str) -> bool:
    return name in data.ordered and data.labels(name) is not None


def _event(data: Dataset, name: str, levels: tuple[Any, ...]) -> tuple[Any, Any]:
    """Return the two labels of an outcome, the event last."""
    found = (levels[0], levels[-1]) if len(levels) == 2 and _stated(data, name) else known_order(levels)
    if found is None:
        told = ", ".join(repr(level) for level in levels[:8])
        raise DataError(
            f"model.family=bernoulli: the outcome {name} has the labels {told}, and nothing says which one is 1, the "
            f"event. State it: 'data.event={{{name}:LABEL}}', with the label that is modelled"
            if len(levels) == 2
            else f"model.family=bernoulli wants two labels, and the outcome {name} has {len(levels)}: {told}. For one "
            f"label against all others: \"data.transform={{{name}:'is:LABEL'}}\""
        )
    return found


def _outcome(data: Dataset, name: str, family: str, column: pd.Series[Any]) -> Any:
    """Give an outcome of labels as the family wants it: 1 for the event, or levels in their order."""
    levels = _levels(data, name)
    if family == "bernoulli" and levels is not None:
        return (column.astype(str) == str(_event(data, name, levels)[1])).astype(np.int64)
    if family == "bernoulli" and not np.isin(column, (0, 1)).all():
        raise DataError(
            f"model.family=bernoulli: the outcome {name} must be 0 or 1; got "
            f"{column[~np.isin(column, (0, 1))].iloc[0]}. If two values are its labels, state which is the event: "
            f"'data.event={{{name}:LABEL}}'"
        )
    if family not in _LABEL_FAMILIES - {"bernoulli"}:
        return column
    if levels is None:
        values = np.asarray(column, dtype=np.float64)
        odd = values[values != np.round(values)]
        if odd.size:
            raise DataError(
                f"model.family={family}: the outcome {name} must be labels or whole numbers; got {odd[0]:g}"
            )
        whole = values.astype(np.int64)
        return pd.Categorical(whole, categories=np.unique(whole), ordered=True)
    if family in _ORDINAL and not _has_order(data, name, levels):
        raise DataError(
            f"model.family={family}: the outcome {name} has the labels {', '.join(map(repr, levels[:8]))}, and nothing "
            f"says their order. State it: 'data.order={{{name}:[LOWEST,...,HIGHEST]}}', with every label once"
        )
    if family in _ORDINAL:
        return pd.Categorical(column.astype(str), categories=[str(level) for level in levels], ordered=True)
    return column


def _against_others(data: Dataset, name: str, label: str, column: pd.Series[Any]) -> Any:
    """Give an outcome as the label that the formula names, and all others; Bambi finds none among numbers."""
    levels = _levels(data, name) or tuple(column.unique().tolist())
    found = [level for level in levels if _is_called(level, label)]
    if len(found) != 1 or not (column == found[0]).any():
        told = ", ".join(repr(str(level)) for level in levels[:8])
        raise DataError(
            f"model.formula names the label {label!r} of the outcome {name}, which has {told}; name one of these"
        )
    return pd.Categorical(np.where(column == found[0], label, f"not {label}"))


def _is_called(level: Any, label: str) -> bool:
    if isinstance(level, bool):
        return str(level).lower() == label.lower()
    return label == (f"{level:.17g}" if isinstance(level, float) else str(level))


def _has_order(data: Dataset, name: str, levels: tuple[Any, ...]) -> bool:
    if _stated(data, name) or known_order(levels) == levels:
        return True
    try:
        numbers = [float(level) for level in levels]
    except ValueError:
        return False
    return numbers == sorted(numbers)


def _check_scale(formula: str, data: Dataset, outcome: str | None, family: str) -> None:
    """Refuse standard scores where the numbers themselves count: outcomes that are not real, offsets, weights."""
    from formulae import model_description

    description = model_description(formula)
    calls = [c for term in description.common_terms for c in getattr(term, "components", ())]
    counted = {
        name for call in calls if str(getattr(call, "name", "")).startswith("offset(") for name in call.var_names
    }
    for part in description.response.term.components if description.response is not None else ():
        arguments = part.call.args if hasattr(part, "call") else ()
        first = {str(getattr(argument, "name", "")) for argument in arguments[:1]}
        real = first | part.var_names if not arguments else first
        counted |= part.var_names - real if family in _REAL_FAMILIES else part.var_names
    for name in sorted(name for name in counted if "standardize" in data.origin.changed.get(name, "")):
        word = f"the outcome {name} too, which this family" if name == outcome else f"{name} too, which model.formula"
        raise DataError(
            f"model.family={family}: data.standardize scaled {word} takes as it is; name the columns that are to be "
            "scaled: 'data.standardize=[COLUMN,COLUMN]'"
        )


def _check_names(names: set[str], spec: Any) -> None:
    """Refuse columns that have the name of a variable of the model: one would take the place of the other."""
    own = {"Intercept", "Intercept_at_zero", "chain", "draw", *spec.family.likelihood.params, *spec.parameters}
    if taken := sorted(names & own):
        raise DataError(
            f"model.formula names {', '.join(taken)}, and {'these are' if len(taken) > 1 else 'this is'} what the "
            "model calls its own variables; give the column another name, beside the others that are used: "
            f"'data.columns={{{taken[0]}_given:{taken[0]},OUTCOME:OUTCOME}}'"
        )


def _check_columns(formula: str, names: set[str], data: Dataset) -> None:
    if wrong := sorted(name for name in names if "/" in name):
        raise DataError(
            f"model.formula={formula!r} names {wrong[0]!r}, and no variable of PyMC may have '/' in its name; give the "
            f"column another one, beside the others that are used: 'data.columns={{{wrong[0].replace('/', '_per_')}: "
            f'"{wrong[0]}", OUTCOME: OUTCOME}}\''
        )
    missing = sorted(name for name in names if name not in data or not _is_column(data, name))
    if not missing:
        return
    present = [name for name in data if _is_column(data, name)]
    near = [match for name in missing for match in difflib.get_close_matches(name, present, n=1)]
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise DataError(
        f"model.formula={formula!r} names {', '.join(missing)}, which the data do not have; "
        f"they have {', '.join(sorted(present)) or 'no columns'}.{hint}"
    )


def _prior(path: str, value: Any) -> Any:
    """Turn the config of one prior into Bambi's object; a mapping without `dist` holds priors of terms."""
    import bambi

    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, Mapping):
        raise ConfigError(f"{path}={value!r}: want a number or a mapping like {{dist: Normal, mu: 0, sigma: 1}}")
    if "dist" not in value:
        return {name: _prior(f"{path}.{name}", entry) for name, entry in value.items()}
    name = value["dist"]
    distribution = getattr(pm, str(name), None)
    if not hasattr(distribution, "dist"):
        known = [known for known in dir(pm) if hasattr(getattr(pm, known), "dist")]
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ConfigError(f"{path}.dist={name!r} is not a distribution of PyMC.{hint}")
    arguments = {key: entry for key, entry in value.items() if key != "dist"}
    _check_arguments(path, distribution, set(arguments))
    return bambi.Prior(
        name, auto_scale=False, **{key: _argument(f"{path}.{key}", entry) for key, entry in arguments.items()}
    )


def _check_arguments(path: str, distribution: Any, given: set[str]) -> None:
    """Refuse unknown arguments, which PyMC would drop without a word."""
    parameters = inspect.signature(distribution.dist).parameters.values()
    known = sorted(p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY))
    if unknown := sorted(given - set(known)):
        raise ConfigError(f"{path} has no argument {', '.join(unknown)}; it takes {', '.join(known)}")


def _argument(path: str, value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return np.asarray(value, dtype=np.float64)
    return _prior(path, value)


def _add_intercept_at_zero(spec: Any) -> None:
    """Add the intercept of the predictors as given, for every scalar intercept of centred predictors."""
    model = spec.backend.model
    for component in spec.backend.distributional_components.values():
        design = getattr(component, "design_matrix_without_intercept", None)
        intercept = component.component.intercept_term
        if design is None or intercept is None:
            continue
        name = intercept.alias or intercept.name
        slopes = [model[term.alias or term.name] for term in component.component.common_terms.values()]
        if model[name].ndim != 0 or any(slope.ndim > 1 for slope in slopes):
            continue
        shift = pm.math.dot(design.mean(axis=0), pm.math.concatenate([slope.reshape((-1,)) for slope in slopes]))
        with model:
            pm.Deterministic(f"{name}_at_zero", model[name] - shift)


def _cause(error: Exception) -> str:
    """Say in one line what Bambi objects to, without advice about Bambi's own settings."""
    text = str(error.args[0]) if error.args else str(error)
    text = " ".join(text.split()).split(" Set `bmb.config")[0]
    return f"{type(error).__name__}: {text}" if isinstance(error, (KeyError, NameError)) else text
