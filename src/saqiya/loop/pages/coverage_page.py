"""The page about coverage: what was never shown, every factor with its figures, and pairs of factors as pictures."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import AlreadyThere, UsageError
from saqiya.measure.shown import Coverage, Pair
from saqiya.stores.disk import replace_file

__all__ = ["coverage_page", "day_of", "heatmap", "pair_of", "worst", "write_coverage"]

TEMPLATES = Path(__file__).parent / "templates"
LABEL_PX, CELL_PX, ROW_PX, HEAD_PX = 150, 64, 34, 26
LETTER_PX = 6.6
BREAKS = re.compile(r"(?<=[ +_/])(?=[^ ])|(?<=\w-)(?=[^ ])|(?<=\.\.)(?=[^ ])|(?<=[a-z])(?=[A-Z])")
"""Where a value may be broken: after blanks, signs and the dots of a range, and before a capital inside a word."""
HEAD_LINES_N = 6
"""Lines over a column: a region of two numbers needs them, and regions that are cut short all look the same."""
MOST_ROWS_N, MOST_COLUMNS_N, MOST_PICTURES_N, MOST_GAPS_N = 30, 14, 8, 30
SHADES = ("#e4eef6", "#c3d9ea", "#93bcda", "#5b97c4")
"""Of cells that were shown up to 4, 19, 99 times, and more often."""
MISSED, EMPTY, CANNOT, FAILED = "#b3401f", "#ffffff", "#eceef0", "#d9603a"


def heatmap(pair: Pair) -> str:
    """Draw two factors against each other as SVG: how often each pair of values was shown, met, and failed.

    Blue is shown, the deeper the oftener; solid red is met and never shown; white is neither. The bar at a cell's foot
    is the share of its judged tries that failed. The factor with more values goes down, and what is rarest is left out
    of a picture that would be too large, and counted in its last line.
    """
    laid = pair.turned if len(pair.values[0]) < len(pair.values[1]) else pair
    names, values, shown, met = laid.factors, laid.values, laid.shown, laid.met
    rows = _kept(shown.sum(axis=1) + met.sum(axis=1), MOST_ROWS_N)
    columns = _kept(shown.sum(axis=0) + met.sum(axis=0), MOST_COLUMNS_N)
    heads = [_wrapped(values[1][at], CELL_PX - 4, HEAD_LINES_N) for at in columns]
    head_px = HEAD_PX + 13 * max(len(one) for one in heads)
    width, height = LABEL_PX + CELL_PX * len(columns) + 2, head_px + ROW_PX * len(rows) + 22
    drawn = [_text(LABEL_PX, 12, f"{names[1]}", kind="axis"), _text(0, head_px - 6, names[0], kind="axis")]
    for x, words in enumerate(heads):
        for line, word in enumerate(words):
            drawn.append(_text(LABEL_PX + CELL_PX * (x + 0.5), HEAD_PX + 2 + 13 * line, word, middle=True))
    for y, row in enumerate(rows):
        top = head_px + ROW_PX * y
        lines = _wrapped(values[0][row], LABEL_PX - 8)
        middle = top + ROW_PX / 2 + 4 - 6.5 * (len(lines) - 1)
        drawn.extend(_text(0, middle + 13 * line, word) for line, word in enumerate(lines))
        for x, column in enumerate(columns):
            count = tuple(int(one[row, column]) for one in (shown, met, laid.judged, laid.failed))
            told = f"{names[0]} {values[0][row]}, {names[1]} {values[1][column]}"
            drawn.append(_cell(LABEL_PX + CELL_PX * x, top, told, count, cannot=bool(laid.impossible[row, column])))
    left = [f"{len(values[0]) - len(rows)} rarer of {names[0]}"] if len(rows) < len(values[0]) else []
    left += [f"{len(values[1]) - len(columns)} rarer of {names[1]}"] if len(columns) < len(values[1]) else []
    if left:
        drawn.append(_text(0, height - 6, f"not drawn: {', '.join(left)}", kind="axis"))
    label = escape(f"{names[0]} against {names[1]}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{label}" font-family="inherit, Segoe UI, Helvetica, Arial, sans-serif" '
        f'font-size="12" fill="#1c1e21">{"".join(drawn)}</svg>'
    )


def coverage_page(found: Coverage, pairs: Sequence[Pair]) -> str:
    """Return the page of a coverage, with pictures of the pairs that are given."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
    return pages.get_template("coverage.html").render(
        found=found,
        gaps=found.gaps[:MOST_GAPS_N],
        more_n=max(0, len(found.gaps) - MOST_GAPS_N),
        pictures=[(one.factors, heatmap(one)) for one in pairs],
        day=day_of,
        missed=MISSED,
        failed=FAILED,
        shades=SHADES,
    )


def write_coverage(found: Coverage, by: tuple[str, str] | None, out: Path) -> Path:
    """Write the page; without `by` it draws the pairs in which most is missing.

    Raises:
        AlreadyThere: `out` exists.
        UsageError: `by` names what is no pair of factors.
    """
    if out.exists():
        raise AlreadyThere("exists", subject=str(out), remedy="Choose another name.")
    replace_file(out, coverage_page(found, [pair_of(found, by)] if by else worst(found)).encode())
    return out


def pair_of(found: Coverage, by: tuple[str, str]) -> Pair:
    """Return two factors against each other, in the order they are asked for.

    Raises:
        UsageError: they are no two factors that have values to lay against each other.
    """
    if by in found.pairs:
        return found.pairs[by]
    if by[::-1] in found.pairs:
        return found.pairs[by[1], by[0]].turned
    named = sorted({name for both in found.pairs for name in both})
    raise UsageError(
        "are no two factors with at least two values each",
        subject=" and ".join(by),
        remedy=f"There are {', '.join(named)}." if named else "No factor has two values yet.",
    )


def worst(found: Coverage) -> list[Pair]:
    """Return the pairs of factors whose gaps cost deployment most, then those that have most of them."""
    missing: dict[tuple[str, ...], tuple[float, int]] = {}
    for gap in found.gaps:
        both = tuple(gap.factors)
        cost, n = missing.get(both, (0.0, 0))
        missing[both] = (cost + gap.expected_failures, n + 1)
    able = [both for both in found.pairs if found.spare.isdisjoint(both)]
    ranked = sorted(able, key=lambda both: missing.get(both, (0.0, 0)), reverse=True)
    return [found.pairs[both] for both in ranked[:MOST_PICTURES_N]]


def day_of(at_ns: int | None) -> str:
    """Write a moment as its day, UTC."""
    return "" if at_ns is None else datetime.fromtimestamp(at_ns / 1e9, tz=UTC).strftime("%Y-%m-%d")


def _kept(weight: NDArray[np.int64], most_n: int) -> list[int]:
    """Return the places of the heaviest, in their own order."""
    return sorted(np.argsort(-weight, kind="stable")[:most_n].tolist())


def _cell(x: float, y: float, told: str, count: tuple[int, ...], *, cannot: bool) -> str:
    shown, met, judged, failed = count
    missed = met > 0 and shown == 0 and not cannot
    shade = SHADES[min(len(SHADES) - 1, sum(shown >= edge for edge in (5, 20, 100)))] if shown else EMPTY
    fill = CANNOT if cannot else MISSED if missed else shade
    ink = "#ffffff" if missed else "#1c1e21"
    words = "cannot be" if cannot else f"shown {shown}, met {met}, failed {failed} of {judged} judged"
    parts = [
        f"<g><title>{escape(told)}: {words}</title>",
        f'<rect x="{x + 1}" y="{y + 1}" width="{CELL_PX - 2}" height="{ROW_PX - 2}" fill="{fill}" stroke="#d9dde1"/>',
    ]
    middle = x + CELL_PX / 2
    upper = "×" if cannot else "never" if not shown else _short(shown)
    parts.append(_text(middle, y + (14 if met else 21), upper, ink=ink if shown or missed else "#5d646c", middle=True))
    if met and not cannot:
        lower = f"{_short(failed)}/{_short(judged)}" if judged else f"met {_short(met)}"
        parts.append(_text(middle, y + 26, lower, ink=ink, middle=True, small=True))
    if judged and failed and not missed and not cannot:
        long = round((CELL_PX - 2) * failed / judged, 1)
        parts.append(f'<rect x="{x + 1}" y="{y + ROW_PX - 4}" width="{long}" height="3" fill="{FAILED}"/>')
    return "".join([*parts, "</g>"])


def _short(n: int) -> str:
    """Write a count in four letters at most."""
    for size, letter in ((10**6, "M"), (10**4, "k")):
        if n >= size:
            return f"{n / (1000 if letter == 'k' else size):.{0 if letter == 'k' else 1}f}{letter}"
    return str(n)


def _wrapped(text: str, room_px: float, most_n: int = 2) -> list[str]:
    """Break a value into at most so many lines that fit; what is longer ends in an ellipsis."""
    most = math.floor(room_px / LETTER_PX)
    halves = text.replace(", ", ",\n").split("\n")
    if len(halves) == 2 and max(map(len, halves)) <= most:
        return halves
    lines = [""]
    for part in BREAKS.split(text):
        if lines[-1] and len((lines[-1] + part).rstrip()) > most:
            lines.append("")
        lines[-1] += part
    lines = [line.strip() for line in lines]
    kept = [line if len(line) <= most else f"{line[: most - 1]}…" for line in lines[:most_n]]
    if len(lines) > most_n and not kept[-1].endswith("…"):
        kept[-1] = f"{kept[-1][: most - 1]}…"
    return kept


def _text(
    x: float, y: float, text: str, *, kind: str = "", ink: str = "", middle: bool = False, small: bool = False
) -> str:
    ink = ink or ("#5d646c" if kind == "axis" else "")
    more = f' fill="{ink}"' if ink else ""
    more += ' text-anchor="middle"' if middle else ""
    more += ' font-size="11"' if small else ' font-weight="600"' if kind == "axis" else ""
    return f'<text x="{x:g}" y="{y:g}"{more}>{escape(text)}</text>'
