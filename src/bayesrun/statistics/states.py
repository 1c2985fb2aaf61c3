"""The state of a cell and of a study, from its design, its outcomes and its gates; what every verb says and ends with.

Pure: counts and findings go in. README has the same as one table.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["EXIT_CODES", "WORDS", "Standing", "State", "cell_state", "sentence", "study_state"]

type State = Literal["pass", "note", "fail", "unfinished"]

WORDS: Final[Mapping[State, str]] = {
    "pass": "finished, pass",
    "note": "finished, with notes",
    "fail": "finished, fail",
    "unfinished": "unfinished",
}
"""From good to bad: a study is in the worst state of its cells."""

EXIT_CODES: Final[Mapping[State, int]] = {"pass": 0, "note": 0, "fail": 1, "unfinished": 1}

ORDER: Final = tuple(WORDS)


@dataclass(frozen=True)
class Standing:
    """What became of the planned fits of a cell.

    Parameters
    ----------
    planned
        Fits of the design.
    failed, missing
        Without output: tried in vain, and not there (yet, or no longer).
    not_converged
        With output that did not pass the gate.
    left_out
        Failed fits that may be left out of a verdict: those of degenerate datasets, if no degenerate dataset of the
        cell has output. What is left out then follows from the data alone.
    incomplete
        With output that lacks a step which was asked of it and failed, ran out of time or lost its worker; not one that
        cannot be done.
    enough
        Whether no more went wrong than may: of simulated data a share of failed, not converged and incomplete fits
        among those tried, of real data no failed and no incomplete fit.
    strict
        Whether every verdict has to pass, ``gate.fail``.

    References
    ----------
    Talts et al. (2018), doi:10.48550/arXiv.1804.06788: ranks are uniform over the prior, or over the part of it that a
    rule on the data alone selects; leaving out what a sampler could not fit selects by the truth.
    """

    planned: int
    failed: int = 0
    missing: int = 0
    not_converged: int = 0
    left_out: int = 0
    incomplete: int = 0
    enough: bool = True
    strict: bool = False

    @property
    def gated(self) -> bool:
        """Whether a verdict did not pass that has to."""
        return self.strict and self.failed + self.not_converged > 0


def cell_state(standing: Standing, finding: State = "pass") -> State:
    """Say in which state a cell is.

    Parameters
    ----------
    standing
        What became of its planned fits.
    finding
        What the fits that are there say: ``fail`` for a departure from calibration or where nothing is known to
        judge by, ``note`` for what is worth a look and has not to hold.

    Returns
    -------
    State
        ``unfinished`` as long as a planned fit is missing, whatever the others say. Then ``fail`` for a finding that
        says so, where no fit has output, where more went wrong than may, or where a verdict did not pass that has
        to. Otherwise the finding.
    """
    if standing.missing:
        return "unfinished"
    if not standing.enough or standing.gated or standing.failed == standing.planned:
        return "fail"
    return finding


def study_state(cells: Iterable[State], refused: int = 0) -> State:
    """Say in which state a study is: in the worst of its cells; without any it is not begun.

    `refused` datasets cannot be fitted; any of them counts as a failed cell.
    """
    worst: State = max(cells, key=ORDER.index, default="unfinished")
    return "fail" if refused and worst != "unfinished" else worst


def sentence(name: str, state: State, standings: Iterable[Standing], refused: int = 0) -> str:
    """Say in which state a study is, in one line for people.

    Parameters
    ----------
    name
        Of the study.
    state
        See `study_state`.
    standings
        Of all of its cells.
    refused
        Datasets that cannot be fitted.
    """
    found = list(standings)
    if state != "unfinished":
        return f"study {name}: {WORDS[state]}{_not_fitted(refused)}{_lacking(sum(s.incomplete for s in found))}"
    missing, planned = sum(s.missing for s in found), sum(s.planned for s in found)
    verb = "is" if missing == 1 else "are"
    return (
        f"study {name}: {WORDS[state]}: {missing} of {planned} fits {verb} not there; the command that asked for them "
        "goes on from there"
    )


def _not_fitted(refused: int) -> str:
    return f": {refused} {'dataset is' if refused == 1 else 'datasets are'} not fitted" if refused else ""


def _lacking(incomplete: int) -> str:
    if not incomplete:
        return ""
    who = "1 fit lacks" if incomplete == 1 else f"{incomplete} fits lack"
    return f": {who} a step that was asked for; the command that asked for it tries it again, without drawing"
