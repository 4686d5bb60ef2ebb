"""Where lines and marks of a page's pictures go: plain numbers for the templates to write down as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from saqiya.loop.evidence import Evidence

__all__ = ["Spread", "Walk", "spreads_of", "walk_of"]

LEFT, RIGHT, TOP, BOTTOM = 46.0, 500.0, 22.0, 236.0
"""The plot area, in px of a picture 560 px wide."""
MOST_TICKS_N = 7
ENDED = {
    "superior": "it is shown better, and the test ended",
    "inferior": "it is shown worse, and the test ended",
    "futile": "more trials would hardly show a gain, and the test ended",
    "exhausted": "that was all that was promised, and it shows no difference",
    "continue": "the test goes on",
}
"""How a test ended, in words."""


@dataclass(frozen=True)
class Walk:
    """The gate's evidence: the candidate's lead as it grew, and the boundaries it walked between.

    Attributes:
        path, better, worse, better_ahead, worse_ahead: points of lines, "" where there is nothing to draw.
        marks: (x, y) of each boundary's looks: the test stops only there.
        end: (x, y) of the last trial that counted.
        zero_y: no lead.
        leads, trials: ticks: what stands there, and where.
        words: the same for who cannot see it.
    """

    path: str
    better: str
    worse: str
    better_ahead: str
    worse_ahead: str
    marks: tuple[tuple[float, float], ...]
    end: tuple[float, float]
    zero_y: float
    leads: tuple[tuple[str, float], ...]
    trials: tuple[tuple[str, float], ...]
    words: str


def walk_of(found: Evidence) -> Walk:
    """Lay out a comparison; the part of a boundary that was still ahead when the test stopped is a line of its own."""
    bounds = [value for look in found.looks for value in (look.better, look.worse) if value is not None]
    most = max(3, *(abs(value) for value in (*bounds, *found.leads)))

    def x_of(n: int) -> float:
        return round(LEFT + (RIGHT - LEFT) * n / max(1, found.n_max), 1)

    def y_of(lead: float) -> float:
        return round((TOP + BOTTOM) / 2 - (BOTTOM - TOP) / 2 * lead / most, 1)

    def line(side: str, *, ahead: bool) -> str:
        points = [(look.n, getattr(look, side)) for look in found.looks if getattr(look, side) is not None]
        past = [(n, lead) for n, lead in points if n <= found.n]
        kept = [*past[-1:], *((n, lead) for n, lead in points if n > found.n)] if ahead else past
        return " ".join(f"{x_of(n)},{y_of(lead)}" for n, lead in kept) if len(kept) > 1 else ""

    step = max(1, -(-2 * most // MOST_TICKS_N))
    used = found.leads[: found.n + 1]
    return Walk(
        path=" ".join(f"{x_of(n)},{y_of(lead)}" for n, lead in enumerate(used)),
        better=line("better", ahead=False),
        worse=line("worse", ahead=False),
        better_ahead=line("better", ahead=True),
        worse_ahead=line("worse", ahead=True),
        marks=tuple(
            (x_of(look.n), y_of(lead)) for look in found.looks for lead in (look.better, look.worse) if lead is not None
        ),
        end=(x_of(found.n), y_of(used[-1])),
        zero_y=y_of(0),
        leads=tuple((f"{lead:+d}".replace("-", "\u2212") if lead else "0", y_of(lead))
                    for lead in range(-(most // step) * step, most + 1, step)),
        trials=tuple((str(n), x_of(n)) for n in _round_steps(found.n_max)),
        words=(
            f"After {found.n} of at most {found.n_max} {found.unit} the candidate {_lead(used[-1])}; "
            f"{ENDED.get(found.stopped, found.stopped)}."
        ),
    )  # fmt: skip


def _lead(lead: int) -> str:
    return f"leads by {lead}" if lead > 0 else f"is {-lead} behind" if lead else "is level"


def _round_steps(top: int) -> list[int]:
    size = next(step for step in (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500) if top / step <= MOST_TICKS_N)
    return list(range(0, top + 1, size))


@dataclass(frozen=True)
class Spread:
    """A figure with its interval on a line from `low` to `high`: all in shares of the line's width, in percent."""

    start: float
    width: float
    middle: float
    zero: float


def spreads_of(figures: Sequence[tuple[float, float, float]]) -> tuple[Spread, ...]:
    """Lay out (value, low, high) on one common scale that holds zero."""
    ends = [0.0, *(end for one in figures for end in one)]
    least, most = min(ends), max(ends)
    width = (most - least) or 1.0

    def at(value: float) -> float:
        return round(100.0 * (value - least) / width, 2)

    return tuple(
        Spread(start=at(low), width=max(0.5, at(high) - at(low)), middle=at(value), zero=at(0.0))
        for value, low, high in figures
    )
