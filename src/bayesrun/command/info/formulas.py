r"""Formulas of docstrings as a terminal shows them: ``\theta_j \sim N(\mu, \tau)`` is θ_j ~ N(μ, τ).

It knows the LaTeX that formulas of models are written in. What it does not know is written by its name.
"""

from __future__ import annotations

import re
import unicodedata
from collections import deque
from typing import Final

__all__ = ["formula_lines", "in_text"]

LETTERS: Final = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu "
    "nu xi omicron pi rho finalsigma sigma tau upsilon phi chi psi omega"
)
SMALL: Final = {name: chr(0x3B1 + at) for at, name in enumerate(re.findall(r"\w+", LETTERS))}
SIGNS: Final = {
    **SMALL,
    **{name.capitalize(): sign.upper() for name, sign in SMALL.items()},
    **{"varepsilon": "ε", "vartheta": "θ", "varphi": "φ", "sim": "~", "sum": "Σ", "prod": "Π", "int": "∫"},
    **{"le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "propto": "∝", "in": "∈"},
    **{"cdot": "·", "times": "\u00d7", "pm": "±", "infty": "∞", "top": "ᵀ", "mid": "|", "ldots": "...", "dots": "..."},
    **{"to": "→", "rightarrow": "→", "partial": "∂", "odot": "⊙", "otimes": "⊗", "left": "", "right": ""},
    **{"{": "{", "}": "}", ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "displaystyle": "", "limits": ""},
}
"""What is written for a command without arguments."""
ACCENTS: Final = {"bar": "\u0304", "overline": "\u0304", "hat": "\u0302", "tilde": "\u0303", "dot": "\u0307"}
PLAIN: Final = frozenset(
    ["mathrm", "mathbf", "mathit", "mathcal", "mathbb", "text", "textrm", "operatorname", "boldsymbol", "mbox"]
)
FRACTIONS: Final = ("\\frac", "\\dfrac", "\\tfrac")
POWERS: Final = {"2": "²", "3": "³", "ᵀ": "ᵀ", "T": "ᵀ"}

APART: Final = re.compile(r",?\s*\\q?quad(?![a-zA-Z])\s*|,?\s*\\\\(?:\[[^\]]*\])?")
MATRIX: Final = re.compile(r"\\begin\{([bp]?matrix)\}(.*?)\\end\{\1\}")
TOKEN: Final = re.compile(r"\\[a-zA-Z]+|\\.|.")
ROOT: Final = re.compile(r"√\([^()]*\)")
ONE_TERM: Final = re.compile(r"\w+\.?\d*(\(\w+\))?")


def formula_lines(latex: str) -> list[str]:
    r"""Write a formula, one relation a line.

    Parameters
    ----------
    latex
        Of a ``.. math::`` block. What stands apart by ``\quad`` or a line break becomes a line of its own.
    """
    flat = MATRIX.sub(_matrix, " ".join(latex.split()))
    flat = re.sub(r"\\(?:begin|end)\{[^{}]*\}", " ", flat).replace("&", " ")
    return [line for part in APART.split(flat) if (line := in_text(part).rstrip(",."))]


def in_text(latex: str) -> str:
    """Write a formula in a line."""
    found = " ".join(_written(deque(TOKEN.findall(" ".join(latex.split())))).split())
    tight = re.sub(r"\s+([,)\]])", r"\1", re.sub(r"([(\[])\s+", r"\1", found))
    return unicodedata.normalize("NFC", tight)


def _written(tokens: deque[str]) -> str:
    """Write tokens up to the end, or to the brace that closes what they stand in."""
    found = ""
    while tokens and tokens[0] != "}":
        found += _next(tokens)
    if tokens:
        tokens.popleft()
    return found


def _next(tokens: deque[str]) -> str:
    """Write the next token, with the arguments that it takes."""
    token = tokens.popleft()
    if token == "{":
        return _written(tokens)
    if token in ("_", "^"):
        return _script(token, _argument(tokens))
    if not token.startswith("\\"):
        return token
    name = token[1:]
    if token in FRACTIONS:
        return f"{_whole(_argument(tokens))} / {_whole(_argument(tokens))}"
    if name == "sqrt":
        return f"√({_argument(tokens)})"
    if name == "binom":
        return f"({_argument(tokens)}, {_argument(tokens)})"
    if name in PLAIN:
        return _argument(tokens)
    if name in ACCENTS:
        return _argument(tokens) + ACCENTS[name]
    if name in SIGNS:
        return SIGNS[name]
    return f"{name} {_whole(_argument(tokens))}" if _comes_fraction(tokens) else name + " " * _comes_word(tokens)


def _comes_fraction(tokens: deque[str]) -> bool:
    """Whether a function such as log stands before a fraction, which it would seem to be the numerator of."""
    return next((token for token in tokens if token != " "), "") in FRACTIONS


def _comes_word(tokens: deque[str]) -> bool:
    return bool(tokens) and tokens[0].isalnum()


def _argument(tokens: deque[str]) -> str:
    """Write what a command or a script applies to: a group in braces, a command or one character."""
    while tokens and tokens[0] == " ":
        tokens.popleft()
    return _next(tokens).strip() if tokens and tokens[0] != "}" else ""


def _script(sign: str, text: str) -> str:
    if sign == "^" and text in POWERS:
        return POWERS[text]
    return sign + (text if ONE_TERM.fullmatch(text) else f"({text})")


def _whole(text: str) -> str:
    """Put a term with blanks into parentheses."""
    return text if " " not in text or ROOT.fullmatch(text) else f"({text})"


def _matrix(found: re.Match[str]) -> str:
    rows = [" ".join(row.split()).replace(" & ", ", ") for row in found[2].split(r"\\")]
    return f"[{'; '.join(rows)}]"
