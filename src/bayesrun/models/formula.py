"""Regression models written as formulas, through Bambi. The pm.Model is Bambi's own, with one variable more.

Bambi is imported when a model is built, because it is an optional dependency.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import pymc as pm

from bayesrun.errors import ConfigError, DataError

if TYPE_CHECKING:
    from bayesrun.types import Dataset, Role

__all__ = ["DATA", "build"]

_LABEL_FAMILIES: Final = {"bernoulli", "categorical", "cumulative", "sratio"}
"""Families whose outcome may be labels; for the others Bambi would silently model an indicator of the first."""

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
        Columns by name, each (obs,). A category column counts as categorical, with its labels as levels.
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
        If the formula names a column that the dataset does not have.

    References
    ----------
    Capretto, T., Piho, C., Kumar, R., Westfall, J., Yarkoni, T., Martin, O. A. (2022). Bambi: A simple interface
    for fitting Bayesian linear models in Python. Journal of Statistical Software 103(15). doi:10.18637/jss.v103.i15
    """
    try:
        import bambi
        from formulae import model_description  # type: ignore[import-untyped]
        from formulae.parser import ParseError  # type: ignore[import-untyped]
        from formulae.scanner import ScanError  # type: ignore[import-untyped]
    except ImportError as error:
        raise ConfigError(f"model=formula needs Bambi ({error}): pip install 'bayesrun[formula]'") from error
    frame = _frame(data)
    try:
        names = {str(name) for name in model_description(formula).var_names if name}
    except (ParseError, ScanError, ValueError, TypeError, IndexError) as error:
        raise ConfigError(f"model.formula={formula!r} cannot be read: {_cause(error)}") from error
    _check_columns(formula, names, list(frame.columns))
    bambi.config["UNUSED_PRIORS"] = "error"
    try:
        spec = bambi.Model(
            formula,
            frame,
            family=family,
            link=link,
            priors={name: _prior(f"model.priors.{name}", value) for name, value in (priors or {}).items()},
            noncentered=noncentered,
        )
        spec.build()
    except (ParseError, ScanError, ValueError, TypeError, KeyError, NameError, AttributeError, IndexError) as error:
        raise ConfigError(
            f"Bambi cannot build model.formula={formula!r} with family={family}, link={link}: {_cause(error)}"
        ) from error
    if spec.response_term.categorical and family not in _LABEL_FAMILIES:
        raise ConfigError(
            f"model.family={family} wants a numeric outcome, and the outcome of model.formula={formula!r} has labels; "
            f"families for labels: {', '.join(sorted(_LABEL_FAMILIES))}"
        )
    _add_intercept_at_zero(spec)
    return spec.backend.model


def _frame(data: Dataset) -> pd.DataFrame:
    """Lay the one-dimensional arrays out as columns; text and category codes become categoricals."""
    columns: dict[str, Any] = {}
    for name, array in data.items():
        if array.ndim != 1 or data.dims.get(name, ("obs",)) != ("obs",):
            continue
        if name in data.coords:
            columns[name] = pd.Categorical.from_codes(array.astype(np.int64), categories=pd.Index(data.coords[name]))
        elif array.dtype.kind in "OUST":
            columns[name] = pd.Categorical(array)
        else:
            columns[name] = array
    return pd.DataFrame(columns)


def _check_columns(formula: str, names: set[str], present: list[str]) -> None:
    missing = sorted(names - set(present))
    if not missing:
        return
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
