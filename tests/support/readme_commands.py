"""The commands and files that README.md shows, so that tests can run what it promises."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from places import README

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["README", "readme_commands", "readme_files"]

FENCE = re.compile(r"^```(\w+)[ \t]*(\S*)[ \t]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def readme_commands(path: Path = README) -> list[str]:
    """List the commands of all ```bash blocks, in order, one text each.

    Lines continued with a backslash are joined; blank lines and lines of comment are left out, and so is a comment
    at the end of a line (a `#` after two spaces).
    """
    commands: list[str] = []
    for language, _, body in FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "bash":
            lines = re.sub(r"\\\n\s*", "", body).splitlines()
            commands += [re.sub(r"\s{2,}#\s.*$", "", line).strip() for line in lines]
    return [c for c in commands if c and not c.startswith("#")]


def readme_files(path: Path = README) -> dict[str, str]:
    """Map the name of each file that README.md shows, as in "```python mine.py", to its text."""
    return {
        name: body
        for language, name, body in FENCE.findall(path.read_text(encoding="utf-8"))
        if name and language != "bash"
    }
