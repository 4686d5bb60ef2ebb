"""How pages write figures, moments and names: filters for the templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from saqiya.loop.pages.wheel_pictures import percent

__all__ = ["FILTERS"]

UNITS: Final = ("s", "m", "rad", "N", "Nm", "Hz", "deg", "mm")
NARROW: Final = "\u202f"
MINUS: Final = "\u2212"
_MINUS: Final = re.compile(r"(?<![\w-])-(?=[\d.])")
_RANGE: Final = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?![\w.]*\d)")
"""Both ends of a bin of a factor, as triage and coverage write it."""
_ID: Final = re.compile(r"([a-z_]+)-[a-z0-9]+-[0-9a-f]{24}([0-9a-f]{8})")
_DIGEST: Final = re.compile(r"[0-9a-f]{32,}")


def moment(t_ns: int) -> str:
    """Write a moment as day and minute, UTC."""
    return datetime.fromtimestamp(t_ns / 1e9, UTC).strftime("%d %b %H:%M").lstrip("0")


def iso(t_ns: int) -> str:
    """Write a moment for machines."""
    return datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(timespec="seconds")


def lasting(seconds: float) -> str:
    """Write a time span in the unit that fits it."""
    for unit, size in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if abs(seconds) >= size:
            return f"{minus(f'{seconds / size:.1f}'.removesuffix('.0'))}{NARROW}{unit}"
    return f"{minus(f'{seconds:.1f}'.removesuffix('.0'))}{NARROW}s"


def minus(text: object) -> str:
    """Write a minus as one, and a range as words; a hyphen inside a word stays."""
    return _MINUS.sub(MINUS, _RANGE.sub(lambda ends: f"{float(ends[1]):.3g} to {float(ends[2]):.3g}", str(text)))


def figure(value: object) -> str:
    """Write a number to about three digits; words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return minus(f"{value:.3g}" if isinstance(value, float) else str(value))


def points(share: float) -> str:
    """Write a difference of shares in points, with its sign."""
    return minus(f"{100 * share:+.1f}")


def share(value: float) -> str:
    """Write a share in percent."""
    return f"{percent(value)}{NARROW}%"


def ends(interval: Any) -> str:  # noqa: ANN401 - an Interval, or a stored one
    """Write the ends of an interval of a share."""
    low, high = (interval["low"], interval["high"]) if isinstance(interval, dict) else (interval.low, interval.high)
    return f"{percent(low)} to {percent(high)}{NARROW}%"


def words(name: object) -> str:
    """Write a name of the vocabulary, or a condition, as words."""
    return minus(str(name).replace("_", " ").replace("=", " ").replace(",", ", "))


def sentence(text: str) -> str:
    """Write the first letter large and end with a full stop."""
    said = minus(text).strip()
    return f"{said[:1].upper()}{said[1:]}{'' if said.endswith(('.', '!', '?')) else '.'}"


def clauses(reason: str) -> list[str]:
    """Return the parts of a reason, the most important first, each as a sentence."""
    return [sentence(part) for part in reason.split("; ") if part.strip()]


def part(text: str) -> str:
    """Write a part of a key: a long digest by its beginning, an id as `named` does."""
    return f"{text[:8]}\u2026" if _DIGEST.fullmatch(text) else named(text)


def measured(name: str) -> str:
    """Write the name of a measured number: its unit behind a comma, a count without its `_n`."""
    what, _, unit = name.rpartition("_")
    found = {"n": what, **{one: f"{what}, {one}" for one in UNITS}}.get(unit, name) if what else name
    return found.replace("_", " ").replace("/", ": ")


def named(subject: str) -> str:
    """Write an id as its kind and its end; a name or a key stays."""
    found = _ID.fullmatch(subject)
    return f"{found[1].replace('_', ' ')} \u2026{found[2]}" if found else subject


def thousands(count: float) -> str:
    """Write a count with narrow spaces."""
    return f"{count:,.0f}".replace(",", NARROW)


def brief(noun_id: str) -> str:
    """Write the end of an id, which names it."""
    return noun_id[-8:]


FILTERS: Final[dict[str, Callable[..., str | list[str]]]] = {
    "brief": brief,
    "clauses": clauses,
    "ends": ends,
    "figure": figure,
    "iso": iso,
    "lasting": lasting,
    "measured": measured,
    "minus": minus,
    "moment": moment,
    "named": named,
    "part": part,
    "points": points,
    "sentence": sentence,
    "share": share,
    "thousands": thousands,
    "words": words,
}
