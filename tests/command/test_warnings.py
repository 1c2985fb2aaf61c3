"""Warnings of libraries: once, without their place, and none that is meant for developers of a library."""

import sysconfig
import warnings
from pathlib import Path

import pytest

from bayesrun.command.wording import plain_warnings

LIBRARY = str(Path(sysconfig.get_path("purelib")) / "pymc" / "model.py")


def test_each_is_said_once_and_a_users_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        plain_warnings()
        for line in (3, 4):
            warnings.warn_explicit("values are\nimputed", UserWarning, LIBRARY, line)
            warnings.warn_explicit("Numba will use object mode to run f's perform method.", UserWarning, LIBRARY, line)
            warnings.warn_explicit("will change", FutureWarning, LIBRARY, line)
            warnings.warn_explicit("overflow in exp", RuntimeWarning, LIBRARY, line)
        warnings.warn_explicit("odd", RuntimeWarning, str(tmp_path / "model.py"), 7)
    assert capsys.readouterr().err.splitlines() == [
        "bayesrun: warning: values are imputed",
        "bayesrun: warning: odd (model.py, line 7)",
    ]
