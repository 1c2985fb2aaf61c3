"""The steps of a fit after drawing, each on its own: where one raises, or takes too long, the others go on.

Before each step its name is put into a file, so that whoever takes over after a lost worker knows which one it was in.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bayesrun.base import stop_signals
from bayesrun.base.digits import against, exact
from bayesrun.base.messages import first_line, in_one_line
from bayesrun.base.secrets import without_secrets
from bayesrun.base.time_limit import LateError, within
from bayesrun.errors import BayesrunError, DiskError
from bayesrun.types import Absent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bayesrun.types import Try

__all__ = ["Attempts", "Unguarded", "lost_in", "stopped", "text_of"]


def text_of(error: BaseException) -> str:
    """Type and first line of an error; of one that is raised on purpose the line alone."""
    return first_line(error) if isinstance(error, BayesrunError) else in_one_line(error)


class Unguarded:
    """Steps that raise: for those who want to see it."""

    def __call__[T](self, name: str, step: Callable[[], T], *, may_lack: bool = False) -> T | None:
        """Do a step."""
        del name
        try:
            return step()
        except NotImplementedError:
            if may_lack:
                return None
            raise


@dataclass
class Attempts:
    """What became of the steps of one fit.

    Parameters
    ----------
    bound
        Wall-clock seconds that each may take; None: no bound.
    mark
        File for the names of the step that is under way, and of those in which a worker was lost before; None: none.
    lost
        Steps that are left out, since a worker of this command was lost in them.
    absent
        Steps that are not there, with the reason.
    traces
        Tracebacks of those that raised.
    """

    bound: float | None = None
    mark: Path | None = None
    lost: Mapping[str, Absent] = field(default_factory=dict)
    absent: dict[str, Absent] = field(default_factory=dict)
    traces: list[str] = field(default_factory=list)

    @property
    def traceback(self) -> str:
        """What goes into error.txt; empty where nothing raised."""
        return "\n".join(self.traces)

    def __call__[T](
        self, name: str, step: Callable[[], T], *, may_lack: bool = False, bounded: bool = True
    ) -> T | None:
        """Do a step.

        Parameters
        ----------
        name
            Of the step.
        step
            What to do.
        may_lack
            Whether NotImplementedError says that nobody wrote how to do it for this model, as of a predictive draw.
        bounded
            Whether it may take no longer than a step; not where it consists of several.

        Returns
        -------
        T or None
            What the step returns; None where it did not come to its end.
        """
        if name in self.lost:
            self.absent[name] = self.lost[name]
            return None
        if self.mark is not None and bounded:
            self.mark.write_text("\n".join([*self.lost, name]))
        try:
            done = within(self.bound if bounded else None, step)
        except LateError as late:
            after = against(late.seconds, self.bound or 0.0, ".1f")
            why = f"took longer than {exact(self.bound or 0.0)} s, and was stopped after {after} s; raise steps.timeout"
            self.absent[name] = Absent("timeout", why)
        except DiskError:  # what comes after it cannot be written either
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever a step raises, the draws are there
            stop_signals.check()
            why = text_of(error)
            if may_lack and isinstance(error, NotImplementedError):
                self.absent[name] = Absent("cannot", why.removeprefix("NotImplementedError: "))
                return None
            self.absent[name] = Absent("failed", why)
            self.traces.append(f"{name}\n{without_secrets(''.join(traceback.format_exception(error)))}")
        else:
            self.absent.pop(name, None)
            return done
        return None

    def leave_out(self, name: str, why: str) -> None:
        """Say of a step that is not begun, since another failed, why it is not there."""
        self.absent[name] = Absent("failed", why)


def lost_in(mark: Path, tries: Sequence[Try]) -> dict[str, Absent]:
    """Say in which steps workers were lost that had a fit before; nothing where no worker of this command had.

    Parameters
    ----------
    mark
        See `Attempts`.
    tries
        The times that the fit was started in this command.
    """
    ended = next((one.reason for one in reversed(tries) if one.reason != "error"), None)
    if ended is None or not mark.exists():
        mark.unlink(missing_ok=True)
        return {}
    names = [name for name in mark.read_text().splitlines() if name]
    return {name: stopped(ended) for name in names}


def stopped(reason: str) -> Absent:
    """Say why a step is not there in which a worker was stopped."""
    if reason == "timeout":
        return Absent(
            "timeout", "its worker was stopped in it, since it did not come back in time; raise steps.timeout"
        )
    if reason == "oom":
        return Absent("lost", "its worker ran out of memory in it")
    return Absent("lost", "its worker was lost in it")
