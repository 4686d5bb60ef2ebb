"""The logs report as one page: self-contained, without scripts, made to be printed."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import asinh
from pathlib import Path
from statistics import median

from saqiya.detect.moments import Curve, Moment, Moments
from saqiya.errors import StorageFull, UsageError
from saqiya.loop.reports.logs import LogsReport
from saqiya.loop.reports.rates import LogTry

__all__ = ["page_of", "write_page"]

TEMPLATES = Path(__file__).parent / "templates"
WIDTH = 680.0
LEFT = 8.0
SCORE_HEIGHT = 56.0
VALUE_HEIGHT = 84.0
MOST_SHOWN_N = 40
MOST_NAMED_N = 8
FULL = 28  # ENOSPC


@dataclass(frozen=True)
class Strip:
    """One failure's drawing in SVG units: score above, driving column below, the moment as a line through both."""

    score: tuple[str, ...]
    threshold_y: float | None
    value: tuple[str, ...]
    band: tuple[str, ...]
    middle: tuple[str, ...]
    look_x: float
    peak_x: float
    peak_y: float
    phases: tuple[tuple[str, float], ...]
    ticks: tuple[tuple[str, float], ...]
    top: str
    bottom: str


def write_page(report: LogsReport, out: Path) -> None:
    """Write the page; a file that is there is replaced whole or not at all.

    Raises:
        UsageError: the place cannot be written to.
        StorageFull: the disk has no room.
    """
    text = page_of(report)
    draft = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):  # where the folder itself is none there is no draft to remove
            draft.unlink(missing_ok=True)
        if error.errno == FULL:
            raise StorageFull("the report does not fit on the disk", subject=str(out), remedy="Make room.") from error
        raise UsageError(
            f"the report cannot be written: {error.strerror}", subject=str(out), remedy="Choose another --out."
        ) from error


def page_of(report: LogsReport) -> str:
    """Return the page as HTML. Every word from outside goes through autoescape."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: f"{100 * share:.0f} %"
    environment.filters["seconds"] = lambda value: f"{value:.1f} s"
    environment.filters["area"] = lambda value: f"{value:.2f}"
    made = datetime.fromtimestamp(report.made_ns / 1e9, tz=UTC)
    return environment.get_template("logs.html").render(
        report=report,
        made=made.strftime("%Y-%m-%d %H:%M UTC"),
        counted=sum(item.counted for item in report.tries),
        reasons=Counter(item.why_not for item in report.tries if not item.counted),
        criteria=len({(rate.task, rate.criterion) for rate in report.rates}),
        strips={task: _strips(found) for task, found in report.moments.items()},
        shown=MOST_SHOWN_N,
        read=_read(report.tries),
        refused=report.refused_by_reason(),
        problems=[(item.key, item.problems) for item in report.tries if item.problems],
        width=WIDTH,
        score_height=SCORE_HEIGHT,
        value_height=VALUE_HEIGHT,
    )


def _read(tries: Sequence[LogTry]) -> list[tuple[str, int, float, str, str]]:
    """Say what came in: task, tries, median length in seconds, clock, streams."""
    groups: dict[tuple[str, str], list[LogTry]] = {}
    for item in tries:
        groups.setdefault((item.task, item.clock), []).append(item)
    return [
        (task, len(items), median(item.length_s for item in items), clock, _listed(items))
        for (task, clock), items in sorted(groups.items())
    ]


def _listed(items: Sequence[LogTry]) -> str:
    names = sorted({name for item in items for name in item.streams})
    return ", ".join(names[:MOST_NAMED_N]) + (
        f" and {len(names) - MOST_NAMED_N} more" if len(names) > MOST_NAMED_N else ""
    )


def _strips(found: Moments) -> list[tuple[Moment, Strip]]:
    ranked = sorted(found.moments, key=lambda moment: -moment.score)
    return [(moment, _strip(moment, found.threshold)) for moment in ranked[:MOST_SHOWN_N]]


def _strip(moment: Moment, threshold: float | None) -> Strip:
    curve = moment.curve
    end_s = curve.t_s[-1] if len(curve.t_s) > 1 and curve.t_s[-1] > 0 else 1.0

    def x_of(t_s: float) -> float:
        return round(LEFT + (WIDTH - 2 * LEFT) * min(t_s, end_s) / end_s, 1)

    # Scores span three orders of magnitude; asinh is a logarithm that survives zero.
    top = asinh(max([moment.score, threshold or 0.0, 1.0]))

    def score_y(score: float) -> float:
        return round(SCORE_HEIGHT - 4 - (SCORE_HEIGHT - 8) * asinh(max(score, 0.0)) / top, 1)

    low, high = _limits(curve)

    def value_y(value: float) -> float:
        return round(VALUE_HEIGHT - 6 - (VALUE_HEIGHT - 12) * (value - low) / (high - low), 1)

    return Strip(
        score=_lines(
            [(x_of(t), score_y(y)) if y is not None else None for t, y in zip(curve.t_s, curve.score, strict=True)]
        ),
        threshold_y=None if threshold is None else score_y(threshold),
        value=_lines(
            [(x_of(t), value_y(y)) if y is not None else None for t, y in zip(curve.t_s, curve.value, strict=True)]
        ),
        band=_bands(
            [
                (x_of(t), value_y(a), value_y(b)) if a is not None and b is not None else None
                for t, a, b in zip(curve.t_s, curve.low, curve.high, strict=True)
            ]
        ),
        middle=_lines(
            [(x_of(t), value_y(y)) if y is not None else None for t, y in zip(curve.t_s, curve.middle, strict=True)]
        ),
        look_x=x_of(moment.look_s),
        peak_x=x_of(moment.peak_s),
        peak_y=score_y(moment.score),
        phases=tuple((name, x_of(start_s)) for name, start_s in moment.phases if 0.0 < start_s < end_s),
        ticks=tuple((f"{t:g} s", x_of(t)) for t in _ticks(end_s)),
        top=f"{high:.3g}",
        bottom=f"{low:.3g}",
    )


def _limits(curve: Curve) -> tuple[float, float]:
    held = [value for line in (curve.value, curve.low, curve.high) for value in line if value is not None]
    low, high = min(held, default=0.0), max(held, default=1.0)
    return (low, high) if high > low else (low - 1.0, high + 1.0)


def _ticks(end_s: float) -> list[float]:
    step = next((s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 600.0) if end_s / s <= 9), 3600.0)
    return [round(step * number, 3) for number in range(int(end_s / step) + 1)]


def _runs(points: Sequence[tuple[float, ...] | None]) -> list[list[tuple[float, ...]]]:
    runs: list[list[tuple[float, ...]]] = [[]]
    for point in points:
        if point is not None:
            runs[-1].append(point)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if len(run) > 1]


def _lines(points: Sequence[tuple[float, float] | None]) -> tuple[str, ...]:
    return tuple(" ".join(f"{x},{y}" for x, y in run) for run in _runs(points))


def _bands(points: Sequence[tuple[float, float, float] | None]) -> tuple[str, ...]:
    return tuple(
        " ".join([*(f"{x},{a}" for x, a, _ in run), *(f"{x},{b}" for x, _, b in reversed(run))])
        for run in _runs(points)
    )
