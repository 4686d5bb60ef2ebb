"""How pages write figures, moments and names: filters for the templates."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from saqiya.loop.pages.wheel_pictures import percent

__all__ = ["FILTERS"]

NARROW: Final = "\u202f"
MINUS: Final = "\u2212"
_MINUS: Final = re.compile(r"(?<![\w-])-(?=[\d.])")


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
    """Write a minus as one; a hyphen inside a word stays."""
    return _MINUS.sub(MINUS, str(text))


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


def thousands(count: float) -> str:
    """Write a count with narrow spaces."""
    return f"{count:,.0f}".replace(",", NARROW)


def brief(noun_id: str) -> str:
    """Write the end of an id, which names it."""
    return noun_id[-8:]


FILTERS: Final[dict[str, Callable[..., str]]] = {
    "brief": brief,
    "ends": ends,
    "figure": figure,
    "iso": iso,
    "lasting": lasting,
    "minus": minus,
    "moment": moment,
    "points": points,
    "share": share,
    "thousands": thousands,
    "words": words,
}
