"""The wheel's pictures as SVG that is drawn by hand: text stays text, and equal facts give equal bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saqiya.loop.pages.wheel_facts import Facts, NoveltyRow, Triage

__all__ = ["Cell", "Dot", "ModeLine", "Picture", "Scatter", "percent", "picture_of", "scatters_of"]

LEFT, RIGHT, TOP, BOTTOM = 40.0, 322.0, 64.0, 262.0
"""The success panel's plot area, in px of a picture 800 px wide."""
CELLS_X, CELLS_END = 552.0, 800.0
ROW_PX, NUMBER_PX = 22.0, 25.0
MOST_ROWS_N, MOST_TURNS_N = 7, 5
CROWDED_PX = 54.0
SCATTER_PX, SCATTER_LEFT, SCATTER_TOP, SCATTER_BOTTOM = 296.0, 44.0, 24.0, 168.0


@dataclass(frozen=True)
class Dot:
    """A turn's success: the middle of its mark, the ends of its interval, and what stands beside it."""

    x: float
    y: float
    low_y: float
    high_y: float
    tick: str
    label: str
    counts: str
    fresh: bool


@dataclass(frozen=True)
class Cell:
    """A count as a bar; a count of None is not known yet."""

    x: float
    width: float
    count: int | None


@dataclass(frozen=True)
class ModeLine:
    """One row of the failures panel."""

    label: str
    y: float
    kind: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Picture:
    """Success by turn, and beside it the failures by mode and turn."""

    height: float
    dots: tuple[Dot, ...]
    line: str
    target: float
    target_y: float
    grid: tuple[tuple[str, float], ...]
    tries: str
    heads: tuple[tuple[str, float], ...]
    lines: tuple[ModeLine, ...]
    left_out_n: int
    waiting: bool
    words: str


def picture_of(facts: Facts) -> Picture:
    """Lay out the picture of a wheel; a wheel without a turn gives an empty frame."""
    dots = _dots(facts)
    heads, lines = _failures(facts.triages)
    height = max(BOTTOM + 62.0, TOP + ROW_PX * len(lines) + 40.0)
    tries = sorted({turn.figures["success"]["n"] for turn in facts.turns})
    return Picture(
        height=height,
        dots=dots,
        line=" ".join(f"{dot.x},{dot.y}" for dot in dots) if len(dots) > 1 else "",
        target=facts.target,
        target_y=_y(facts.target),
        grid=tuple((f"{share} %", _y(share / 100)) for share in (0, 25, 50, 75, 100)),
        tries=_tries(tries),
        heads=heads,
        lines=lines,
        left_out_n=max(0, len(facts.triages) - MOST_TURNS_N),
        waiting=any(triage.modes is None and triage.failures_n for triage in facts.triages),
        words="; ".join(f"turn {dot.tick}: {dot.counts}, {dot.label}" for dot in dots),
    )


def _tries(counts: Sequence[int]) -> str:
    if not counts:
        return "no turn is finished yet"
    n = str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{n} autonomous tries a turn, exact 95 % intervals"


def percent(share: float) -> str:
    """Write a share in percent without decimals, save where that would make it look certain: 99.5 is not 100."""
    text = f"{100 * share:.0f}"
    return text if text not in {"0", "100"} or share in {0.0, 1.0} else f"{100 * share:.1f}"


def _y(share: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * share, 1)


def _dots(facts: Facts) -> tuple[Dot, ...]:
    if not facts.turns:
        return ()
    apart = (RIGHT - LEFT) / len(facts.turns)
    sparse = ceil(CROWDED_PX / apart)
    last = len(facts.turns) - 1
    dots = []
    for index, turn in enumerate(facts.turns):
        success = turn.figures["success"]
        share = success["k"] / success["n"] if success["n"] else 0.0
        told = index in {0, last} or (index % sparse == 0 and last - index >= sparse)
        dots.append(
            Dot(
                x=round(LEFT + apart * (index + 0.5), 1),
                y=_y(share),
                low_y=_y(success["low"]),
                high_y=_y(success["high"]),
                tick=str(turn.number) if told else "",
                label=f"{percent(share)} %" if told else "",
                counts=f"{success['k']}/{success['n']}" if told else "",
                fresh=turn.figures["decision"] in {"INITIAL", "PROMOTE"},
            )
        )
    return tuple(dots)


def _failures(triages: Sequence[Triage]) -> tuple[tuple[tuple[str, float], ...], tuple[ModeLine, ...]]:
    shown = triages[-MOST_TURNS_N:]
    if not shown:
        return (), ()
    apart = (CELLS_END - CELLS_X) / len(shown)
    places = [round(CELLS_X + apart * index, 1) for index in range(len(shown))]
    totals: Counter[str] = Counter()
    for triage in shown:
        totals.update({mode.label: mode.failures_n for mode in triage.modes or ()})
    ranked = sorted(totals, key=lambda label: (-totals[label], label))
    named, rest = ranked[:MOST_ROWS_N], set(ranked[MOST_ROWS_N:])
    rows: list[tuple[str, str, list[int | None]]] = [("all failures", "all", [t.failures_n for t in shown])]
    rows += [(label.replace("_", " "), "mode", [_count(t, {label}) for t in shown]) for label in named]
    if rest:
        rows.append((f"{len(rest)} rarer modes", "mode", [_count(t, rest) for t in shown]))
    if any(triage.unnamed_n for triage in shown):
        rows.append(("not named yet", "open", [triage.unnamed_n for triage in shown]))
    most = max((triage.failures_n for triage in shown), default=0) or 1
    lines = []
    for index, (label, kind, counts) in enumerate(rows):
        cells = tuple(
            Cell(x, round((apart - NUMBER_PX - 6.0) * (count or 0) / most, 1), count)
            for x, count in zip(places, counts, strict=True)
        )
        lines.append(ModeLine(label, TOP + ROW_PX * index, kind, cells))
    heads = tuple((f"turn {triage.turn}" if apart > 44.0 else str(triage.turn), x) for triage, x in
                  zip(shown, places, strict=True))  # fmt: skip
    return heads, tuple(lines)


def _count(triage: Triage, labels: set[str]) -> int | None:
    if triage.modes is None and triage.failures_n:
        return None
    return sum(mode.failures_n for mode in triage.modes or () if mode.label in labels)


@dataclass(frozen=True)
class Scatter:
    """The corrections of one turn: bits against steps."""

    row: NoveltyRow
    points: tuple[tuple[float, float, bool], ...]
    x_ticks: tuple[tuple[str, float], ...]
    y_ticks: tuple[tuple[str, float], ...]


def scatters_of(rows: Sequence[NoveltyRow]) -> tuple[Scatter, ...]:
    """Lay out one panel a row, all on the same scales."""
    points = [point for row in rows for point in row.points]
    xs = _ticks(max((point.steps for point in points), default=0))
    ys = _ticks(max((point.bits for point in points), default=0.0))

    def x_of(steps: float) -> float:
        return round(SCATTER_LEFT + (SCATTER_PX - SCATTER_LEFT - 14.0) * steps / xs[-1], 1)

    def y_of(bits: float) -> float:
        return round(SCATTER_BOTTOM - (SCATTER_BOTTOM - SCATTER_TOP) * bits / ys[-1], 1)

    return tuple(
        Scatter(
            row=row,
            points=tuple((x_of(point.steps), y_of(point.bits), point.accepted) for point in row.points),
            x_ticks=tuple((f"{tick:g}", x_of(tick)) for tick in xs),
            y_ticks=tuple((f"{tick:g}", y_of(tick)) for tick in ys),
        )
        for row in rows
    )


def _ticks(top: float) -> list[float]:
    """Return round numbers from 0 to at least `top`, three to six of them."""
    if top <= 0:
        return [0.0, 1.0]
    power = 10.0 ** int(log10(top) - (1 if top < 1 else 0))
    step = next(size * power for size in (0.2, 0.25, 0.5, 1.0, 2.0, 2.5) if top / (size * power) <= 5)
    return [step * index for index in range(ceil(top / step - 1e-9) + 1)]
