"""Where to begin, in words: the region of a mode, and a reset card for one start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["Factors", "card", "inside", "region"]

Factors = Mapping[str, float | str]
MOST_WORDS_N = 4
MOST_NUMBERS_N = 8


def region(starts: Sequence[Factors]) -> dict[str, str]:
    """Return the smallest box about starts, by factor: "low..high", or the words that were met, the commonest first.

    A factor that not all of them name, or with more than four words, is left out.
    """
    found = {}
    for name in sorted({name for one in starts for name in one}):
        values = [one[name] for one in starts if name in one]
        if len(values) < len(starts):
            continue
        numbers = [value for value in values if not isinstance(value, str)]
        if len(numbers) == len(values):
            low, high = min(numbers), max(numbers)
            found[name] = f"{low:.4g}..{high:.4g}" if low < high else f"{low:.4g}"
            continue
        words = sorted({str(value) for value in values}, key=lambda word: (-sum(v == word for v in values), word))
        if len(words) <= MOST_WORDS_N:
            found[name] = " or ".join(words)
    return found


def inside(start: Factors, box: Sequence[Factors]) -> bool:
    """Say whether a start lies in the smallest box about others, ends included."""
    for name, value in start.items():
        values = [one[name] for one in box if name in one]
        numbers = [each for each in values if not isinstance(each, str)]
        if isinstance(value, str):
            if value not in values:
                return False
        elif not numbers or not min(numbers) <= value <= max(numbers):
            return False
    return bool(box)


def card(factors: Factors, seen: Mapping[str, Sequence[float]]) -> str:
    """Write what to put where: the start's named factors, and the first row that was logged.

    Args:
        factors: of the start, in the site's own units.
        seen: by stream, the first row; at most eight numbers of each are written.
    """
    put = ", ".join(f"{name} {_said(value)}" for name, value in sorted(factors.items()))
    rows = "; ".join(f"{name} {_numbers(row)}" for name, row in sorted(seen.items()) if len(row))
    return "; first seen: ".join(part for part in (f"Put {put}" if put else "", rows) if part) or ""


def _numbers(row: Sequence[float]) -> str:
    shown = " ".join(f"{value:.3g}" for value in row[:MOST_NUMBERS_N])
    return f"{shown} ..." if len(row) > MOST_NUMBERS_N else shown


def _said(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"
