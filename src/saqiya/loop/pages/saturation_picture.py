"""A learning curve as SVG drawn by hand: points with intervals, the band of curves that fit, forecast and breaks."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

import numpy as np

from saqiya.errors import AlreadyThere
from saqiya.evaluate.intervals import clopper_pearson, wilson
from saqiya.measure.saturation import STOP_N, WITHIN, Curve, Point, breaks, fit, gain, points, since
from saqiya.stores.disk import replace_file

__all__ = ["svg_of", "write_picture"]

WIDE, HIGH = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 620.0, 46.0, 262.0
AHEAD_N = 50
STEPS_N = 60
Scale = Callable[[float], float]


def write_picture(curve: Curve, path: Path, *, seed: int = 0) -> Path:
    """Write the picture of a curve.

    Raises:
        AlreadyThere: the file exists.
        TooLittle: the curve has no point.
    """
    if path.exists():
        raise AlreadyThere("exists", subject=str(path), remedy="Choose another name.")
    replace_file(path, svg_of(curve, seed=seed).encode())
    return path


def svg_of(curve: Curve, *, seed: int = 0) -> str:
    """Draw a curve with a point; equal curves and seeds give equal bytes.

    Raises:
        TooLittle: the curve has no point.
    """
    recent, most = since(curve), max(one.demonstrations for one in curve.points) + AHEAD_N
    fitted, now = fit(recent, seed=seed), since(curve).points[-1].demonstrations

    def x(n: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * n / most, 1)

    def y(share: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * share, 1)

    at = np.linspace(recent.points[0].demonstrations, most, STEPS_N)
    band = [np.quantile(fitted.success(n), (WITHIN[0], 0.5, WITHIN[1])) for n in at]
    upper = " ".join(f"{x(n)},{y(b[2])}" for n, b in zip(at, band, strict=True))
    lower = " ".join(f"{x(n)},{y(b[0])}" for n, b in zip(at[::-1], band[::-1], strict=True))
    middle = [f"{x(n)},{y(b[1])}" for n, b in zip(at, band, strict=True)]
    seen = [one for one, n in zip(middle, at, strict=True) if n <= now]
    title = f"{escape(curve.name)}: {_what(curve)}"
    promise = " · ".join(f"{n} more: {points(gain(recent, n, seed=seed))}" for n in (STOP_N, AHEAD_N))
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE:g} {HIGH:g}" role="img" aria-label="{title}">',
        "<style>text{font:12px system-ui,sans-serif;fill:#333}.s{font-size:11px;fill:#666}</style>",
        f'<rect width="{WIDE:g}" height="{HIGH:g}" fill="#fff"/>',
        f'<text x="{LEFT:g}" y="18" font-weight="600">{title}</text>',
        f'<text class="s" x="{LEFT:g}" y="34">{promise}</text>',
        *_axes(x, y, most),
        f'<polygon points="{upper} {lower}" fill="#2b6cb0" opacity=".16"/>',
        _line(middle, "5 4"),
        _line(seen, "none"),
    ]
    for one in breaks(curve, seed=seed):
        place = round((x(one.before.demonstrations) + x(one.after.demonstrations)) / 2, 1)
        lines.append(
            f'<line x1="{place}" x2="{place}" y1="{TOP:g}" y2="{BOTTOM:g}" stroke="#c05621" stroke-dasharray="3 3"/>'
        )
        lines.append(
            f'<text class="s" x="{place + 4}" y="{BOTTOM - 6:g}" style="fill:#c05621">{escape(one.why[:60])}</text>'
        )
    lines += [_dot(one, x, y, old=one not in recent.points) for one in curve.points]
    under = "Band: 95 % of curves that fit since the last break; dashed: forecast; bars: 95 % of each policy."
    lines += [f'<text class="s" x="{LEFT:g}" y="{HIGH - 8:g}">{under}</text>', "</svg>"]
    return "\n".join(line for line in lines if line) + "\n"


def _line(places: list[str], dashes: str) -> str:
    return f'<polyline points="{" ".join(places)}" fill="none" stroke="#2b6cb0" stroke-dasharray="{dashes}"/>'


def _what(curve: Curve) -> str:
    if curve.basis == "held-out error":
        return "share of held-out actions' variance explained"
    return {"mode": "tries without this failure", "condition": "success there"}.get(curve.kind, "success") + (
        ", nested parts retrained" if curve.basis == "retrained" else ", deployed policies"
    )


def _axes(x: Scale, y: Scale, most: int) -> list[str]:
    lines = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        lines.append(f'<line x1="{LEFT:g}" x2="{RIGHT:g}" y1="{y(share)}" y2="{y(share)}" stroke="#e5e7eb"/>')
        lines.append(f'<text class="s" x="{LEFT - 6:g}" y="{y(share) + 4}" text-anchor="end">{share:.0%}</text>')
    step = next(size for size in (5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, most) if most / size <= 8)
    lines += [
        f'<text class="s" x="{x(n)}" y="{BOTTOM + 16:g}" text-anchor="middle">{n}</text>'
        for n in range(0, most + 1, step)
    ]
    middle = (LEFT + RIGHT) / 2
    return [*lines, f'<text class="s" x="{middle:g}" y="{BOTTOM + 32:g}" text-anchor="middle">demonstrations</text>']


def _dot(one: Point, x: Scale, y: Scale, *, old: bool) -> str:
    """Draw a policy with its own interval; one from before the last break is grey."""
    whole = float(one.tries).is_integer() and float(one.good).is_integer()
    tries = (int(one.good), int(one.tries)) if whole else (round(one.good), max(round(one.tries), round(one.good)))
    held = clopper_pearson(*tries) if whole else wilson(*tries)
    colour, place, rate = "#9aa5b1" if old else "#1a365d", x(one.demonstrations), y(one.good / one.tries)
    return (
        f'<line x1="{place}" x2="{place}" y1="{y(held.low)}" y2="{y(held.high)}" stroke="{colour}"/>'
        f'<circle cx="{place}" cy="{rate}" r="3.5" fill="{colour}"><title>{escape(one.name)}: '
        f"{one.good:.0f}/{one.tries:.0f}</title></circle>"
    )
