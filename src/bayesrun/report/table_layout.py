"""Tables that fit the width of what they are printed on: words wrap between words, and what is least needed goes first.

It knows text only, and no numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich import box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console, ConsoleOptions

__all__ = ["Column", "Sheet", "numbers", "words"]

BREAKS: Final = re.compile(r"[^\s/,;|]*[/,;|]+ ?|\S+ ?|\s+")
"""What stays together of a text that is wrapped: words, each with the mark that ends it."""
MARKS: Final = "._=-["
"""Where a word is broken that alone is wider than the room."""
LONG_WORD: Final = 30
"""Letters of a word for which columns that can be done without are left out; longer ones are broken."""
NARROW: Final = (LONG_WORD, 14, 6)
"""What a column that wraps is given at least: the first for which there is room."""
INDENT: Final = 2


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    name
        Its head.
    wraps
        Whether its texts may take several lines.
    right
        Whether they end at the right.
    spare
        When it is left out where there is no room: the largest first; 0: never.
    """

    name: str
    wraps: bool = False
    right: bool = False
    spare: int = 0


def words(*names: str, spare: int = 0) -> tuple[Column, ...]:
    """Make columns of names and texts, which may wrap."""
    return tuple(Column(name, wraps=True, spare=spare) for name in names)


def numbers(*names: str, spare: int = 0) -> tuple[Column, ...]:
    """Make columns of numbers, which do not wrap."""
    return tuple(Column(name, right=True, spare=spare) for name in names)


@dataclass
class Sheet:
    """A table that is laid out when it is printed.

    Parameters
    ----------
    columns
        From left to right.
    head
        What is said once above the rows; empty: nothing.
    caption
        What is said below them.
    rows
        Texts, as many as columns, each with the style of the row.
    """

    columns: tuple[Column, ...]
    head: str = ""
    caption: str = ""
    rows: list[tuple[tuple[Text, ...], str]] = field(default_factory=list)

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.rows)

    def add_row(self, *texts: str | Text, style: str = "") -> None:
        """Add a row; what looks like markup is text."""
        self.rows.append((tuple(text if isinstance(text, Text) else Text(text) for text in texts), style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text | Table]:
        """Lay it out."""
        del console
        places, widths = self._layout(options.max_width)
        if self.head:
            yield Text("\n".join(_wrapped(self.head, options.max_width)))
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        for place in places:
            column = self.columns[place]
            header = "\n".join(_wrapped(column.name, widths[place]))
            table.add_column(
                header, width=widths[place], justify="right" if column.right else "left", no_wrap=True, overflow="fold"
            )
        for texts, style in self.rows:
            table.add_row(*(_fitted(texts[place], widths[place]) for place in places), style=style)
        yield table
        if self.caption:
            yield Text("\n".join(_wrapped(self.caption, options.max_width)), style="dim")

    def _layout(self, room: int) -> tuple[list[int], dict[int, int]]:
        """Choose the columns that are shown, and their widths."""
        places = list(range(len(self.columns)))
        while True:
            wraps = [place for place in places if self.columns[place].wraps]
            fixed = {place: self._widest(place) for place in places if place not in wraps}
            left = room - sum(fixed.values()) - 2 * len(places)
            longest = {place: self._longest_word(place) for place in wraps}
            spare = max(places, key=lambda place: self.columns[place].spare)
            if sum(min(word, LONG_WORD) for word in longest.values()) <= left or not self.columns[spare].spare:
                for narrow in NARROW:
                    least = {place: min(word, narrow) for place, word in longest.items()}
                    if sum(least.values()) <= left:
                        break
                return places, fixed | _shared_out({place: self._widest(place) for place in wraps}, least, left)
            places.remove(spare)

    def _texts(self, place: int) -> Sequence[str]:
        return [self.columns[place].name, *(texts[place].plain for texts, _ in self.rows)]

    def _widest(self, place: int) -> int:
        return max(cell_len(text) for text in self._texts(place))

    def _longest_word(self, place: int) -> int:
        return max((cell_len(word.rstrip()) for text in self._texts(place) for word in BREAKS.findall(text)), default=1)


def _shared_out(wanted: dict[int, int], least: dict[int, int], room: int) -> dict[int, int]:
    """Give each column what it wants; where that is too much, the widest give way first, each down to its least."""
    widths = dict(wanted)
    while sum(widths.values()) > room:
        movable = [place for place in widths if widths[place] > least[place]]
        if not movable:
            break
        widths[max(movable, key=lambda place: widths[place])] -= 1
    return widths


def _fitted(text: Text, width: int) -> Text:
    """Wrap a text, with its style."""
    return text if cell_len(text.plain) <= width else Text("\n".join(_wrapped(text.plain, width)), style=text.style)


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text between its words, and within one only where that alone is wider than the room."""
    lines, line, indent = [], "", ""
    for word in BREAKS.findall(text):
        rest = word
        if cell_len((indent + line + rest).rstrip()) > width and line:
            lines.append((indent + line).rstrip())
            line, rest = "", rest.lstrip()
            indent = " " * INDENT if width > LONG_WORD else ""
        while cell_len((indent + line + rest).rstrip()) > width:
            cut = _cut(rest, max(1, width - len(indent)))
            lines.append(indent + rest[:cut])
            rest = rest[cut:]
        line += rest
    return [*lines, *([(indent + line).rstrip()] if line.strip() or not lines else [])]


def _cut(text: str, width: int) -> int:
    """Count the letters that have room in so many columns, up to a mark if there is one; some letters take two."""
    most = next((n for n in range(len(text), 1, -1) if cell_len(text[:n]) <= width), 1)
    return next((n for n in range(most, most // 3, -1) if text[n - 1] in MARKS), most)
