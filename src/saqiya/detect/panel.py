"""Tries side by side on one grid, and the distance of each to the nearest successes at each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.conformal import success_horizon
from saqiya.detect.profile import BIN_S, Profile, Track
from saqiya.detect.smoothing import smooth
from saqiya.models.scaling import robust_scale

__all__ = ["Panel", "Reference", "panel_of", "scores_of"]

COMMON_SHARE = 0.8
MOST_BINS_N = 400
MOST_REFERENCES_N = 40
NEAREST_N = 5
SLACK_S = 0.5
"""A success counts as near when it was like this within half a second: speed varies a little between tries."""
BASELINE_S = 0.25
FLOOR_SHARE = 0.1


@dataclass(frozen=True)
class Panel:
    """Tries on one grid.

    Attributes:
        names: the streams used; `widths` their columns; `columns` a name for each column.
        values: float32 (n, T, C), NaN where a try has no sample.
        resolution: float64 (C,), in the columns' units.
        lengths_n: int64 (n,), bins up to which every stream that a try has still runs.
    """

    names: tuple[str, ...]
    widths: tuple[int, ...]
    columns: tuple[str, ...]
    values: NDArray[np.float32]
    resolution: NDArray[np.float64]
    lengths_n: NDArray[np.int64]
    bin_s: float
    left_out: tuple[tuple[str, str], ...]

    def since_start(self) -> Panel:
        """Return the panel with each try's first quarter second taken as zero in every column."""
        first = max(1, round(BASELINE_S / self.bin_s))
        with np.errstate(all="ignore"):
            held = np.isfinite(self.values[:, :first])
            base = np.where(held, self.values[:, :first], 0.0).sum(axis=1) / np.maximum(held.sum(axis=1), 1)
        return replace(self, values=(self.values - base[:, None]).astype(np.float32))

    def without(self, name: str) -> Panel:
        """Return the panel without one stream."""
        at = self.names.index(name)
        keep = np.ones(sum(self.widths), dtype=np.bool_)
        keep[sum(self.widths[:at]) : sum(self.widths[: at + 1])] = False
        return replace(
            self,
            names=self.names[:at] + self.names[at + 1 :],
            widths=self.widths[:at] + self.widths[at + 1 :],
            columns=tuple(label for label, kept in zip(self.columns, keep, strict=True) if kept),
            values=self.values[:, :, keep],
            resolution=self.resolution[keep],
            left_out=(*self.left_out, (name, "it differs before anything has happened")),
        )

    def loudest(self, stream: int, until_n: int) -> list[float]:
        """Return each try's largest norm of one stream before `until_n`; 0 for a try that lacks the stream."""
        begin = sum(self.widths[:stream])
        part = np.nan_to_num(self.values[:, :until_n, begin : begin + self.widths[stream]], nan=0.0)
        return [float(value) for value in np.sqrt((part.astype(np.float64) ** 2).sum(axis=2)).max(axis=1)]


def panel_of(profiles: Sequence[Profile], success: Sequence[bool]) -> Panel:
    """Lay tries side by side, with the streams that at least 80 % of the successes and of the failures have.

    A stream that one kind of try mostly lacks would tell the label by its absence. Columns that only count time are
    dropped. Bins are 50 ms, or wide enough that 400 reach the success horizon; what lies beyond is cut.
    """
    names, left_out = _common(profiles, success)
    horizon_s = success_horizon([item.length_s for item, good in zip(profiles, success, strict=True) if good])
    factor = max(1, int(np.ceil(horizon_s / BIN_S / MOST_BINS_N)))
    keep: dict[str, NDArray[np.bool_]] = {}
    for name in names:
        keep[name] = _columns(profiles, success, name)
    used = tuple(name for name in names if keep[name].any())
    left_out += [(name, "only counts time, or never changes in a success") for name in names if not keep[name].any()]
    total = int(horizon_s / BIN_S) // factor + 1
    blocks, lengths = [], np.full(len(profiles), total, dtype=np.int64)
    for name in used:
        block = np.full((len(profiles), total, int(keep[name].sum())), np.nan, dtype=np.float32)
        for number, item in enumerate(profiles):
            track = item.tracks.get(name)
            if track is None or track.values.shape[1] != len(keep[name]):
                continue
            rows = _coarser(track.values[:, keep[name]], factor)[:total]
            block[number, : len(rows)] = rows
            lengths[number] = min(lengths[number], len(rows))
        blocks.append(block)
    example = {name: next(p.tracks[name] for p in profiles if _fits(p, name, len(keep[name]))) for name in used}
    resolution = [_resolution(profiles, name, keep[name]) for name in used]
    return Panel(
        names=used,
        widths=tuple(int(keep[name].sum()) for name in used),
        columns=tuple(label for name in used for label in _labels(name, example[name], keep[name])),
        values=np.concatenate(blocks, axis=2) if blocks else np.zeros((len(profiles), total, 0), dtype=np.float32),
        resolution=np.concatenate(resolution) if resolution else np.zeros(0),
        lengths_n=lengths,
        bin_s=BIN_S * factor,
        left_out=tuple(left_out),
    )


def _common(profiles: Sequence[Profile], success: Sequence[bool]) -> tuple[list[str], list[tuple[str, str]]]:
    kinds = {True: "successes", False: "failures"}
    sizes = Counter(success)
    used, left_out = [], []
    for name in sorted({name for item in profiles for name in item.tracks}):
        width = _usual_width(profiles, name)
        have = Counter(good for item, good in zip(profiles, success, strict=True) if _fits(item, name, width))
        short = [kind for kind, n in sizes.items() if have[kind] < COMMON_SHARE * n]
        if short:
            kind = short[0]
            left_out.append((name, f"only {have[kind]} of {sizes[kind]} {kinds[kind]} have it with {width} columns"))
        else:
            used.append(name)
    return used, left_out


def _usual_width(profiles: Sequence[Profile], name: str) -> int:
    widths = Counter(item.tracks[name].values.shape[1] for item in profiles if name in item.tracks)
    usual: int = max(widths, key=lambda width: (widths[width], width))
    return usual


def _fits(item: Profile, name: str, width: int) -> bool:
    return name in item.tracks and item.tracks[name].values.shape[1] == width


def _columns(profiles: Sequence[Profile], success: Sequence[bool], name: str) -> NDArray[np.bool_]:
    """Keep a column that moves in some success and is no clock."""
    width = _usual_width(profiles, name)
    tracks = [p.tracks[name] for p, good in zip(profiles, success, strict=True) if good and _fits(p, name, width)]
    clock = np.median(np.array([track.clock_like for track in tracks], dtype=np.float64), axis=0) >= 0.5
    moves = np.array([track.resolution for track in tracks]).max(axis=0) > 0.0
    return np.asarray(moves & ~clock)


def _resolution(profiles: Sequence[Profile], name: str, keep: NDArray[np.bool_]) -> NDArray[np.float64]:
    found = np.array([p.tracks[name].resolution[keep] for p in profiles if _fits(p, name, len(keep))])
    middle: NDArray[np.float64] = np.median(found, axis=0)
    return middle


def _labels(name: str, track: Track, keep: NDArray[np.bool_]) -> list[str]:
    fields = track.fields if len(track.fields) == len(keep) else tuple(str(number) for number in range(len(keep)))
    unit = f" [{track.unit}]" if track.unit else ""
    return [f"{name} {field}{unit}" for field, kept in zip(fields, keep, strict=True) if kept]


def _coarser(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    if factor == 1:
        return values
    whole = values[: len(values) // factor * factor].reshape(-1, factor, values.shape[1]).astype(np.float64)
    held = np.isfinite(whole)
    counts = held.sum(axis=1)
    mean = np.where(held, whole, 0.0).sum(axis=1) / np.maximum(counts, 1)
    return np.where(counts > 0, mean, np.nan).astype(np.float32)


@dataclass(frozen=True)
class Reference:
    """The successes that tries are compared with (at most 40, evenly chosen), and the spread of each column by time."""

    members: NDArray[np.int64]
    spread: NDArray[np.float32]
    success: NDArray[np.bool_]

    @classmethod
    def of(cls, panel: Panel, success: NDArray[np.bool_]) -> Reference:
        """Choose the reference successes and measure spreads, float32 (T, C)."""
        all_members = np.flatnonzero(success)
        chosen = np.linspace(0, len(all_members) - 1, min(len(all_members), MOST_REFERENCES_N)).astype(np.int64)
        members = all_members[chosen]
        rows = panel.values[members].reshape(-1, panel.values.shape[2]).astype(np.float64)
        overall = np.array([_spread(column[np.isfinite(column)]) for column in rows.T])
        filled = np.where(np.isfinite(rows), rows, np.nanmedian(rows, axis=0))
        floor = np.maximum(panel.resolution, FLOOR_SHARE * np.maximum(overall, 1e-12))
        floor = np.maximum(floor, FLOOR_SHARE * robust_scale(filled, panel.widths, resolution=panel.resolution).spread)
        return cls(members, _local(panel.values[members], floor), success)

    def odd_column(self, panel: Panel, number: int, at: int, stream: int) -> int:
        """Return the column of one stream that lay farthest from the successes' median at a time, in spreads."""
        begin = sum(panel.widths[:stream])
        columns = slice(begin, begin + panel.widths[stream])
        middle = _quantile(panel.values[self.members][:, at : at + 1, columns], 0.5)[0]
        off = np.abs(panel.values[number, at, columns] - middle) / self.spread[at, columns]
        return begin + int(np.argmax(np.nan_to_num(off, nan=0.0)))

    def band(self, panel: Panel, column: int) -> NDArray[np.float32]:
        """Return the 5 %, 50 % and 95 % quantiles of the successes in one column, float32 (3, T)."""
        part = panel.values[self.members][:, :, column : column + 1]
        return np.stack([_quantile(part, level)[:, 0] for level in (0.05, 0.5, 0.95)])


def _spread(values: NDArray[np.float64]) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values)))) if values.size else 0.0


def _quantile(values: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    """Quantile over tries, float32 (T, C); NaN, without a warning, where no try has a sample."""
    ordered = np.sort(values, axis=0)  # NaN last
    last = np.isfinite(values).sum(axis=0) - 1
    place = level * np.maximum(last, 0)
    under = np.floor(place).astype(np.int64)
    over = np.minimum(under + 1, np.maximum(last, 0))
    low = np.take_along_axis(ordered, under[None], axis=0)[0]
    high = np.take_along_axis(ordered, over[None], axis=0)[0]
    found: NDArray[np.float32] = (low + (place - under) * (high - low)).astype(np.float32)
    return found


def _local(values: NDArray[np.float32], floor: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the successes' robust spread at each time, float32 (T, C), never below `floor`."""
    middle = _quantile(values, 0.5)
    local = 1.4826 * np.nan_to_num(_quantile(np.abs(values - middle[None]), 0.5), nan=0.0)
    spread: NDArray[np.float32] = np.maximum(local, floor[None]).astype(np.float32)
    return spread


def scores_of(panel: Panel, reference: Reference) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Score every try at every time, and say which stream the distance came from.

    Returns:
        float64 (n, T): spreads of the successes' own scores above their median at that time, NaN where a try has no
        sample or no success to compare with; float32 (n, T, streams): shares of the squared distance.
    """
    raw, shares = [], []
    for number in range(len(panel.values)):
        others = reference.members[reference.members != number]
        distance, share = _distance(panel, reference, number, others)
        raw.append(distance)
        shares.append(share)
    scores = np.array(raw)
    for number, row in enumerate(scores):
        held = np.isfinite(row)
        scores[number, held] = smooth(row[held])
        scores[number, int(panel.lengths_n[number]) :] = np.nan
    return _normalised(scores, reference.success, max(1, round(SLACK_S / panel.bin_s))), np.array(shares)


def _distance(
    panel: Panel, reference: Reference, number: int, others: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    own, known = panel.values[number], panel.values[others]
    slack = max(1, round(SLACK_S / panel.bin_s))
    begins = np.concatenate([[0], np.cumsum(panel.widths)[:-1]]).astype(np.int64)
    total = own.shape[0]
    nearest = np.full((len(others), total), np.inf, dtype=np.float32)
    parts = np.zeros((len(others), total, len(panel.widths)), dtype=np.float32)
    for offset in sorted({round(step * slack / 5) for step in range(-5, 6)}):
        rows = np.arange(total) + offset
        inside = (rows >= 0) & (rows < total)
        shifted = np.where(inside[None, :, None], known[:, np.clip(rows, 0, total - 1)], np.float32(np.nan))
        squares = ((own[None] - shifted) / reference.spread[None]) ** 2
        held = np.isfinite(squares)
        sums = np.add.reduceat(np.where(held, squares, np.float32(0.0)), begins, axis=2)
        counts = np.add.reduceat(held.astype(np.float32), begins, axis=2)
        there = counts > 0
        part = np.where(there, sums / np.maximum(counts, 1.0), np.float32(0.0))
        distance = np.where(there.any(axis=2), part.sum(axis=2) / np.maximum(there.sum(axis=2), 1), np.float32(np.inf))
        closer = distance < nearest
        nearest = np.where(closer, distance, nearest)
        parts = np.where(closer[:, :, None], part, parts)
    k = min(NEAREST_N, len(others))
    order = np.argsort(nearest, axis=0, kind="stable")[:k]
    found = np.take_along_axis(nearest, order, axis=0)
    score = np.where(np.isfinite(found).all(axis=0), np.sqrt(found).mean(axis=0), np.nan)
    share = np.take_along_axis(parts, order[:, :, None], axis=0).sum(axis=0)
    return score.astype(np.float64), share / np.maximum(share.sum(axis=1, keepdims=True), 1e-12)


def _normalised(scores: NDArray[np.float64], success: NDArray[np.bool_], slack: int) -> NDArray[np.float64]:
    """Centre and scale scores by the successes' own scores within `slack` bins of the same time."""
    good = scores[success]
    total = scores.shape[1]
    middle, spread = np.full(total, np.nan), np.full(total, np.nan)
    for at in range(total):
        near = good[:, max(0, at - slack) : at + slack + 1]
        near = near[np.isfinite(near)]
        if near.size:
            middle[at] = np.median(near)
            spread[at] = 1.4826 * np.median(np.abs(near - middle[at]))
    typical = np.nanmedian(spread) if bool(np.any(np.isfinite(spread))) else 1.0
    scaled: NDArray[np.float64] = (scores - middle) / np.maximum(spread, 0.5 * max(float(typical), 1e-9))
    return scaled
