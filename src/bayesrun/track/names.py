"""Names of metrics, parameters and tags as every tracking server takes them: readable, short, and told apart."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from bayesrun.types import digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["MAX_NAME", "distinct", "legal", "legal_names"]

MAX_NAME = 250
"""Characters of the name of a metric, a parameter or a tag."""

ILLEGAL = re.compile(r"[^\w\-. :/]")
"""What a name may not hold."""

MARKUP = re.compile(r"[$\\{}]")
"""What mathematics is written with."""

INDEX = re.compile(r"\[([^\[\]]*)\]")
"""The index of a scalar: ``theta[0]``."""

LETTERS = str.maketrans(
    {
        "ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue", "ẞ": "SS",
        "æ": "ae", "Æ": "Ae", "œ": "oe", "Œ": "Oe", "ø": "oe", "Ø": "Oe", "å": "aa", "Å": "Aa",
        "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ł": "l", "Ł": "L", "ı": "i", "µ": "mu",  # noqa: RUF001
        **dict(zip("абвгдезийклмнопрстуфыэ", "abvgdezijklmnoprstufye", strict=True)),
        **dict(zip("АБВГДЕЗИЙКЛМНОПРСТУФЫЭ", "ABVGDEZIJKLMNOPRSTUFYE", strict=True)),
        "ё": "jo", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "ju",  # noqa: RUF001
        "я": "ja", "Ё": "Jo", "Ж": "Zh", "Х": "Kh", "Ц": "Ts", "Ч": "Ch", "Ш": "Sh", "Щ": "Shch", "Ъ": "", "Ь": "",  # noqa: RUF001
        "Ю": "Ju", "Я": "Ja", "є": "je", "і": "i", "ї": "ji", "ґ": "g", "Є": "Je", "І": "I", "Ї": "Ji", "Ґ": "G",  # noqa: RUF001
    }
)  # fmt: skip
"""Letters that are written with others in English."""

GREEK = re.compile(r"GREEK (SMALL|CAPITAL) LETTER (?:FINAL )?(\w+)")


def _in_latin(text: str) -> str:
    """Write what is Latin, Greek or Cyrillic in the letters of ASCII; other scripts stay, which MLflow takes."""
    if text.isascii():
        return text
    composed = unicodedata.normalize("NFC", text).translate(LETTERS)
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", composed) if not _is_accent(letter))
    return unicodedata.normalize("NFC", "".join(map(_greek, plain)))


def _is_accent(letter: str) -> bool:
    return unicodedata.combining(letter) > 0 and "\u0300" <= letter <= "\u036f"


def _greek(letter: str) -> str:
    found = GREEK.match(unicodedata.name(letter, "")) if letter > "\x7f" else None
    if found is None:
        return letter
    return found[2].replace("LAMDA", "LAMBDA").lower() if found[1] == "SMALL" else found[2].capitalize()


def legal(name: str) -> str:
    """Make a name that every server takes of any name; servers also refuse names that are no plain paths."""
    parts = ILLEGAL.sub("_", MARKUP.sub("", _in_latin(name)))[:MAX_NAME].split("/")
    plain = "/".join(part for part in parts if part not in ("", "."))
    return re.sub(r"(^|/)\.\.", r"\1__", plain) or "_"


def legal_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Make legal names of different names, no two of them the same.

    Parameters
    ----------
    names
        Names.
    taken
        Legal names that are in use; a name that would be one of them gets ``_overall`` at its end.

    Returns
    -------
    dict
        Name to legal name. Names that come out the same get a digest of themselves at the end, apart from one that was
        legal before.
    """
    return _apart({name: name for name in names}, taken)


def distinct(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """Make legal names, as `legal_names` does, of names that scalars may have: ``theta[0]`` is ``theta.0``."""
    return _apart({name: INDEX.sub(r".\1", name) for name in names}, taken)


def _apart(names: Mapping[str, str], taken: Iterable[str]) -> dict[str, str]:
    used = set(taken)
    short = {name: legal(text) for name, text in names.items()}
    for name in short:
        while short[name] in used:
            short[name] = f"{short[name][: MAX_NAME - 8]}_overall"
    often = Counter(short.values())
    return {
        name: text if often[text] == 1 or text == name else f"{text[: MAX_NAME - 9]}.{digest(name, 8)}"
        for name, text in short.items()
    }
