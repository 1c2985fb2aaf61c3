"""The shipped datasets: real published numbers, each with its citation, and none; nothing is downloaded or made up.

Small tables are typed in under ``published/``; larger ones are read from the files that the statsmodels package
carries, without importing statsmodels, whose import takes seconds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping  # noqa: TC003 - annotations are read when a config is checked
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bayesrun.data.columns import Arrangement, Table
from bayesrun.data.files import Written
from bayesrun.data.files import table as read_table
from bayesrun.data.hints import nearest
from bayesrun.errors import DataError
from bayesrun.types import Dataset, Origin

__all__ = ["CATALOGUE", "Source", "nothing", "opened", "shipped"]

# exact by definition (international yard and pound agreement, 1959)
CM_PER_INCH = 2.54
KG_PER_POUND = 0.45359237


@dataclass(frozen=True)
class Source:
    """Where a shipped table is and what it is.

    Parameters
    ----------
    citation
        The publication that the numbers come from.
    about
        One line: what a row is, and the columns with their units.
    package
        Whether the file is statsmodels' own, rather than one under ``published/``.
    separator
        Between columns.
    derive
        Columns computed from those of the file.
    """

    citation: str
    about: str
    package: bool = True
    separator: str = ","
    derive: Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]] | None = None


def shipped(  # noqa: PLR0913 - each parameter is a key of the config
    table: str,
    columns: Mapping[str, str | list[str]] | None = None,
    index: str | None = None,
    categories: str | list[str] | None = None,
    transform: Mapping[str, str | list[str]] | None = None,
    standardize: bool | str | list[str] = False,
    drop_missing: bool = False,
    event: Mapping[str, Any] | None = None,
    order: Mapping[str, list[Any]] | None = None,
    keep: str | list[str] | None = None,
    dates: Mapping[str, Any] | None = None,
    by: str | None = None,
    level: Any = None,
) -> Dataset:
    """Give a dataset that comes with bayesrun; all columns that are chosen count as used.

    Parameters
    ----------
    table
        Which of the shipped tables (`CATALOGUE`); its columns have lower-case names.
    columns, index, categories, transform, standardize, drop_missing, event, order, keep, dates, by, level
        See `bayesrun.data.columns.Arrangement`; ``conf/data/TABLE.yaml`` has the values for the model that uses
        the table by default.

    Returns
    -------
    Dataset
        With dims (obs,), or (obs, predictor) for a list of columns, and the citation of the source.

    Raises
    ------
    DataError
        If there is no such table, its file is not there, or a column cannot be used as asked.
    """
    how = Arrangement(
        columns, index, categories, transform, standardize, drop_missing, event, order, keep, dates, by, level
    )
    return opened(table, how).arrays()


def nothing() -> Dataset:
    """Give no arrays: for a model that holds its own data, or has none."""
    return Dataset({}, name="none")


def opened(table: str, how: Arrangement) -> Table:
    """Read a shipped table, whose arrays are made when it is known which of them are used; see `shipped`."""
    if table not in CATALOGUE:
        near = nearest(table, CATALOGUE)
        hint = f"did you mean data.table={near}? " if near else ""
        raise DataError(f"data.table: there is no shipped table {table!r}; {hint}There are {', '.join(CATALOGUE)}")
    source = CATALOGUE[table]
    raw = read_table(_locate(table, source), "csv", Written(source.separator), table)
    arrays = {name.lower(): values for name, values in raw.arrays.items()}
    written = {name.lower(): words for name, words in raw.origin.written.items()}
    if source.derive:
        arrays |= source.derive(arrays)
    whole = replace(
        raw,
        arrays=arrays,
        dims=dict.fromkeys(arrays, ("obs",)),
        citation=source.citation,
        origin=Origin(written=written),
    )
    return Table(whole, how)


def _locate(name: str, source: Source) -> Path:
    if not source.package:
        return Path(__file__).parent / "published" / f"{name}.csv"
    spec = importlib.util.find_spec("statsmodels")
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"data={name} is read from the package statsmodels, which is not installed: pip install statsmodels"
        )
    path = Path(spec.submodule_search_locations[0]) / "datasets" / name / f"{name}.csv"
    if not path.is_file():
        raise DataError(
            f"data={name}: the installed statsmodels has no {path}; install the version that bayesrun asks for: "
            'pip install "statsmodels>=0.15,<0.16"'
        )
    return path


def _risk_ratios(table: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Log risk ratio, vaccinated against not, its standard error by the delta method, and a label for each trial.

    ``log_rr = log(tpos / nt) - log(cpos / nc)``, ``se**2 = 1/tpos - 1/nt + 1/cpos - 1/nc`` (Katz et al. 1978,
    doi:10.2307/2530610).
    """
    tpos, cpos = table["tpos"], table["cpos"]
    vaccinated, control = tpos + table["tneg"], cpos + table["cneg"]
    labels = [f"{trial} {year}" for trial, year in zip(table["trial"], table["year"], strict=True)]
    return {
        "log_rr": np.log(tpos / vaccinated) - np.log(cpos / control),
        "se": np.sqrt(1 / tpos - 1 / vaccinated + 1 / cpos - 1 / control),
        "label": np.array(labels, dtype=object),
    }


def _metric(table: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"height_cm": table["height_in"] * CM_PER_INCH, "weight_kg": table["weight_lb"] * KG_PER_POUND}


def _any_affair(table: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    return {"affair": (table["affairs"] > 0).astype(np.int64)}


CATALOGUE: Mapping[str, Source] = {
    "eight_schools": Source(
        "Rubin, D. B. (1981). Estimation in parallel randomized experiments. Journal of Educational Statistics, 6(4), "
        "377-401. doi:10.3102/10769986006004377",
        "one row a school: effect of coaching on the SAT-V score (points), and its standard error",
        package=False,
    ),
    "bcg": Source(
        "Colditz, G. A. et al. (1994). Efficacy of BCG vaccine in the prevention of tuberculosis: meta-analysis of the "
        "published literature. JAMA, 271(9), 698-702. doi:10.1001/jama.1994.03510330076038",
        "one row a trial: people with and without tuberculosis among the vaccinated (tpos, tneg) and the others (cpos, "
        "cneg); log_rr and se are computed from them",
        package=False,
        derive=_risk_ratios,
    ),
    "women": Source(
        "The World Almanac and Book of Facts (1975), in McNeil, D. R. (1977). Interactive Data Analysis. Wiley",
        "one row a group of American women aged 30-39: height (in, cm) and average weight (lb, kg)",
        package=False,
        derive=_metric,
    ),
    "rats": Source(
        "Gelfand, A. E., Hills, S. E., Racine-Poon, A., Smith, A. F. M. (1990). Illustration of Bayesian inference in "
        "normal data models using Gibbs sampling. JASA, 85(412), 972-985. doi:10.1080/01621459.1990.10474968",
        "one row a weighing: rat (1-30), day (age in days), weight (g)",
        package=False,
    ),
    "engel": Source(
        "Koenker, R., Bassett, G. (1982). Robust tests for heteroscedasticity based on regression quantiles. "
        "Econometrica, 50(1), 43-61. doi:10.2307/1912528",
        "one row a Belgian working-class household of 1857: income and foodexp (francs a year)",
    ),
    "spector": Source(
        "Spector, L. C., Mazzeo, M. (1980). Probit analysis and economic education. Journal of Economic Education, "
        "11(2), 37-44. doi:10.1080/00220485.1980.10844952",
        "one row a student: gpa (grade points), tuce (points of a test), psi (1: personalised teaching), "
        "grade (1: improved)",
        separator=r"\s+",
    ),
    "nile": Source(
        "Cobb, G. W. (1978). The problem of the Nile: conditional solution to a changepoint problem. Biometrika, "
        "65(2), 243-251. doi:10.1093/biomet/65.2.243",
        "one row a year, 1871-1970: volume (10^8 m^3) that passed Aswan",
    ),
    "heart": Source(
        "Miller, R. G. (1976). Least squares regression with censored data. Biometrika, 63(3), 449-464. "
        "doi:10.1093/biomet/63.3.449",
        "one row a heart transplant: survival (days), censors (1: died, 0: alive when last seen), age (years)",
    ),
    "statecrime": Source(
        "U.S. Census Bureau. American Statistical Abstracts, data of 2009",
        "one row a state or DC: violent, murder (a 100,000 people), hs_grad, poverty, single "
        "(families), white, urban (%)",
    ),
    "grunfeld": Source(
        "Grunfeld, Y. (1958). The determinants of corporate investment. PhD thesis, University of Chicago; as "
        "recreated by Kleiber, C., Zeileis, A. (2010). The Grunfeld data at 50. German Economic Review, 11(4), "
        "404-417. doi:10.1111/j.1468-0475.2010.00513.x",
        "one row a firm and year: invest, value and capital (million dollars of 1947)",
    ),
    "sunspots": Source(
        "National Geophysical Data Center. Yearly sunspot numbers, 1700-2008",
        "one row a year: sunactivity (number of sunspots)",
    ),
    "fair": Source(
        "Fair, R. C. (1978). A theory of extramarital affairs. Journal of Political Economy, 86(1), 45-61. "
        "doi:10.1086/260642",
        "one row a woman: rate_marriage (1-5), age, yrs_married, children, religious (1-4), educ (years), occupation, "
        "occupation_husb, affairs (time in them), affair (1: any)",
        derive=_any_affair,
    ),
}
"""The shipped tables by name."""
