"""How wide a log is: what COLUMNS asks for, or wide enough for tables."""

import pytest

from bayesrun.command.terminal import LOG_WIDTH, console


@pytest.mark.parametrize(
    ("asked", "width"), [("80", 80), ("160", 160), ("", LOG_WIDTH), ("0", LOG_WIDTH), ("a", LOG_WIDTH)]
)
def test_a_log_is_as_wide_as_columns_asks_for(monkeypatch, asked, width):
    monkeypatch.setenv("COLUMNS", asked)
    assert console().width == width
    monkeypatch.delenv("COLUMNS")
    assert console().width == LOG_WIDTH
