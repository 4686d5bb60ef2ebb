"""Show a cut before it is kept: as text for a terminal, as a picture for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from saqiya.domain.logged import CutSpan
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UsageError
from saqiya.ingest.cut import Cutting
from saqiya.ingest.motion import Motion, motion_of
from saqiya.ingest.stamps import YEAR_2000_NS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["timeline_picture", "timeline_text"]

MARKS = {"success": "█", "failure": "▓", "aborted": "▒", "": "░", "unknown": "░"}
COLOURS = {"success": "#009e73", "failure": "#d55e00", "aborted": "#cc79a7", "": "#0072b2", "unknown": "#0072b2"}
"""Told apart by people with any colour vision (Okabe and Ito, 2008)."""
BARS = " ▁▂▃▄▅▆▇"
ROWS_S = (10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)
MOST_ROWS_N = 24
COLUMNS_A_TRY = 3


def timeline_text(log: EpisodeLog, cutting: Cutting, *, width: int = 100, listed: int = 200) -> str:
    """Return rows of time with tries and motion in them, then the tries with length, outcome and why.

    Args:
        log: the log that was cut.
        cutting: what the rules made of it.
        width: columns of a row.
        listed: how many tries are listed one by one; the rest is counted.
    """
    motion = motion_of(log)
    row_s = _row_s(cutting, width)
    start, end = cutting.span.start_ns, cutting.span.end_ns
    rows = -(-(end - start) // (row_s * 1_000_000_000))
    edges = start + (np.arange(rows * width + 1) * (row_s * 1_000_000_000 / width)).astype(np.int64)
    tries = [" "] * (rows * width)
    for span in cutting.spans:
        low, high = (int(np.searchsorted(edges, t, side="right")) - 1 for t in (span.start_ns, span.end_ns - 1))
        for column in range(low, high + 1):
            tries[column] = MARKS.get(span.outcome, "░")
        if tries[low - 1 : low] != [" "] and low % width:
            tries[low] = "▏"  # two tries that touch stay two
    bars = _bars(motion, edges)
    lines = [_head(cutting), f"one row is {_length(row_s)}; above: tries ({_legend()}), below: motion", ""]
    for row in range(rows):
        at = slice(row * width, (row + 1) * width)
        lines.append(f"{_clock(int(edges[row * width]), start):>10} │{''.join(tries[at]).rstrip()}")
        if motion is not None:
            lines.append(f"{'':>10} │{''.join(bars[at]).rstrip()}")
    lines += ["", *_listing(cutting, listed)]
    return "\n".join(lines) + "\n"


def timeline_picture(log: EpisodeLog, cutting: Cutting, *, form: str = "png", events: Sequence[str] = ()) -> bytes:
    """Draw the same rows as PNG or SVG; equal logs and cuts give equal SVG bytes.

    Args:
        log: the log that was cut.
        cutting: what the rules made of it.
        form: "png" or "svg".
        events: names of events to mark with a tick.

    Raises:
        UsageError: `form` is neither.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    if form not in {"png", "svg"}:
        raise UsageError(f"a timeline is drawn as png or svg, not {form!r}", remedy="Name a file .png or .svg.")
    row_s = _row_s(cutting, 100)
    start, end = cutting.span.start_ns, cutting.span.end_ns
    rows = -(-(end - start) // (row_s * 1_000_000_000))
    figure = Figure(figsize=(11.0, 1.2 + 0.42 * rows), layout="constrained")
    (FigureCanvasSVG if form == "svg" else FigureCanvasAgg)(figure)
    axes = figure.add_subplot()
    motion = motion_of(log)
    for row in range(rows):
        begin = start + row * row_s * 1_000_000_000
        _draw_motion(axes, motion, begin, row_s, row)
        shown = [one for one in log.events if one.name in events and begin <= one.t_ns < begin + row_s * 1e9]
        axes.plot([(one.t_ns - begin) / 1e9 for one in shown], [row - 0.28] * len(shown), "k|", markersize=4)
    for span in cutting.spans:
        for row in range((span.start_ns - start) // (row_s * 1_000_000_000), rows):
            begin = start + row * row_s * 1_000_000_000
            low, high = max(span.start_ns, begin), min(span.end_ns, begin + row_s * 1_000_000_000)
            if low >= high:
                break
            axes.broken_barh(
                [((low - begin) / 1e9, (high - low) / 1e9)], (row - 0.2, 0.4),
                facecolors=COLOURS.get(span.outcome, COLOURS[""]), edgecolors="white", linewidth=0.6,
            )  # fmt: skip
    axes.set_yticks(range(rows), [_clock(start + row * row_s * 1_000_000_000, start) for row in range(rows)])
    axes.set_ylim(rows - 0.4, -0.6)
    axes.set_xlim(0, row_s)
    axes.set_xlabel(f"seconds into the row ({_length(row_s)} a row; times are UTC where the clock knows them)")
    axes.set_title(_head(cutting), loc="left", fontsize=10)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend_of(figure, cutting.spans)
    out = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "saqiya", "svg.fonttype": "none"}):
        figure.savefig(out, format=form, dpi=110, metadata={"Date": None} if form == "svg" else None)
    return out.getvalue()


def _draw_motion(axes: Axes, motion: Motion | None, begin_ns: int, row_s: int, row: int) -> None:
    if motion is None:
        return
    edges = begin_ns + (np.arange(401) * (row_s * 1e9 / 400)).astype(np.int64)
    height = 0.18 * _shares(motion, edges)
    x = (edges[:-1] - begin_ns) / 1e9
    axes.fill_between(x, row + 0.42, row + 0.42 - height, color="#999999", linewidth=0)


def _legend_of(figure: Figure, spans: Sequence[CutSpan]) -> None:
    from matplotlib.patches import Patch

    seen = sorted({span.outcome for span in spans})
    patches = [Patch(color=COLOURS.get(one, COLOURS[""]), label=one or "no outcome") for one in seen]
    if patches:
        figure.legend(handles=patches, loc="outside lower right", ncols=len(patches), frameon=False, fontsize=8)


def _row_s(cutting: Cutting, width: int) -> int:
    """Return how long a row is: so that a usual try has three columns, but with no more than 24 rows."""
    whole_s = (cutting.span.end_ns - cutting.span.start_ns) / 1e9
    lengths = sorted((one.end_ns - one.start_ns) / 1e9 for one in cutting.spans)
    wanted = width * lengths[len(lengths) // 2] / COLUMNS_A_TRY if lengths else whole_s
    least = next((one for one in ROWS_S if whole_s / one <= MOST_ROWS_N), None)
    if least is None:
        return int(-(-whole_s // MOST_ROWS_N))
    fitting = [one for one in ROWS_S if one <= wanted]
    return max(least, fitting[-1] if fitting else ROWS_S[0])


def _shares(
    motion: Motion, edges: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return for each column of time the share of its bins in which the robot moves."""
    from saqiya.ingest.motion import BIN_NS

    moved = np.concatenate([[0], np.cumsum(motion.level > 1.0)])
    at = np.clip((edges - motion.zero_ns) / BIN_NS, 0, motion.level.size)
    low, high = np.floor(at[:-1]).astype(np.int64), np.ceil(at[1:]).astype(np.int64)
    return np.asarray((moved[high] - moved[low]) / np.maximum(high - low, 1))


def _bars(motion: Motion | None, edges: np.ndarray[tuple[int], np.dtype[np.int64]]) -> list[str]:
    if motion is None:
        return []
    return [BARS[round(float(share) * (len(BARS) - 1))] for share in _shares(motion, edges)]


def _head(cutting: Cutting) -> str:
    lengths = sorted((one.end_ns - one.start_ns) / 1e9 for one in cutting.spans)
    whole_s = (cutting.span.end_ns - cutting.span.start_ns) / 1e9
    if not lengths:
        return f"no try in {_length(whole_s)}"
    counts = {word or "without outcome": 0 for word in ("success", "failure", "aborted", "")}
    for one in cutting.spans:
        counts[one.outcome if one.outcome in ("success", "failure", "aborted") else "without outcome"] += 1
    said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return (
        f"{len(lengths)} tries in {_length(whole_s)} ({said}); {lengths[0]:.1f} to {lengths[-1]:.1f} s long, "
        f"median {lengths[len(lengths) // 2]:.1f} s; {sum(lengths) / whole_s:.0%} of the time"
    )


def _legend() -> str:
    return ", ".join(f"{MARKS[word]} {word or 'no outcome'}" for word in ("success", "failure", "aborted", ""))


def _listing(cutting: Cutting, listed: int) -> list[str]:
    lines = [f"{'':>4}  {'start':>10}  {'length':>9}  {'outcome':<8}  why"]
    for number, one in enumerate(cutting.spans[:listed], start=1):
        clock = _clock(one.start_ns, cutting.span.start_ns)
        lines.append(
            f"{number:>4}  {clock:>10}  {(one.end_ns - one.start_ns) / 1e9:>7.1f} s  {one.outcome or '-':<8}  {one.why}"
        )
    if len(cutting.spans) > listed:
        lines.append(f"      and {len(cutting.spans) - listed} more")
    lines += [f"note: {note}" for note in cutting.notes]
    return lines


def _clock(t_ns: int, start_ns: int) -> str:
    """Return a time of day (UTC) for a clock that knows the year, else the time since the log's start."""
    if start_ns >= YEAR_2000_NS:
        return datetime.fromtimestamp(t_ns / 1e9, UTC).strftime("%H:%M:%S")
    seconds = (t_ns - start_ns) // 1_000_000_000
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _length(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:g} s" if seconds == int(seconds) else f"{seconds:.1f} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
