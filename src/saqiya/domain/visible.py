"""What passes as words: text that a person can see. Names, reasons, notes and values that people type go through here.

Characters that nobody sees, and that could make one name look like another or a reason out of nothing, are taken out:
controls, zero-width spaces and marks, and those that turn the direction of text (Unicode category C, and letters that
are blank). Joiners stay inside words, where Persian, Hindi and emoji need them.
"""

from __future__ import annotations

import unicodedata
from typing import Final

__all__ = ["line", "words"]

_BLANK: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINERS: Final = frozenset("\u200c\u200d")
_BREAKS: Final = frozenset("\n\t")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_MARKS: Final = frozenset({"Mn", "Me", "Zs", "Zl", "Zp"})
"""Marks and spaces, which are seen only beside something."""


def words(text: str) -> str:
    """Return what of a text can be seen, without white space around it; "" where nothing can."""
    kept = "".join(one for one in text.replace("\r\n", "\n") if _stays(one)).strip().strip("".join(_JOINERS)).strip()
    return kept if any(_seen(one) for one in kept) else ""


def line(text: str) -> str:
    """Return the same in one line, with single spaces."""
    return words(" ".join(words(text).split()))


def _stays(one: str) -> bool:
    return one in _BREAKS or one in _JOINERS or not (one in _BLANK or unicodedata.category(one) in _UNSEEN)


def _seen(one: str) -> bool:
    return one not in _JOINERS and one not in _BREAKS and unicodedata.category(one) not in _MARKS
