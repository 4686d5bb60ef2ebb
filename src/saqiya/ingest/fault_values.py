"""Hard faults in the values of single streams: not finite, glitches, saturation, slips of unit, constants."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Stream
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.models.roles import Role, roles_of

__all__ = [
    "check_constant",
    "check_finite",
    "check_glitches",
    "check_saturation",
    "check_units",
    "column_name",
    "filling_of",
    "table_of",
]

FEWEST_N = 20
LIVELY = 0.02
"""A column whose 80 % quantile of steps is less than this share of its largest step rests nearly always."""
SMOOTH = 0.7
"""Median change of a step over the step: .1 for a sampled motion, 1.2 for white noise."""
FACTORS = {"degrees and radians": 57.29577951, "metres and millimetres": 1000.0}
OUT_OF_RANGE = ("range", "ranges", "intensities", "intensity", "scan", "battery", "percentage")
"""Words of streams in which NaN and infinity are the message's own way to say "nothing there"."""


def table_of(stream: Stream) -> Vector:
    """Return the values as float64 (T, C)."""
    return stream.values.reshape(stream.t_ns.size, -1).astype(np.float64)


def column_name(stream: Stream, column: int) -> str:
    """Return a column's name, or its number."""
    return stream.fields[column] if column < len(stream.fields) else f"column {column}"


def filling_of(stream: Stream, count: Stream | None) -> NDArray[np.bool_] | None:
    """Return which cells, bool (T, C), only fill up lists of varying length; None where `count` tells no lengths."""
    shape = stream.values.shape
    if count is None or len(shape) < 2 or count.values.shape != (shape[0], 1) or count.values.dtype.kind not in "iu":
        return None
    beyond = np.arange(shape[1])[None, :] >= count.values
    return np.repeat(beyond, int(np.prod(shape[2:], dtype=np.int64)), axis=1)


def check_finite(name: str, values: Vector, filling: NDArray[np.bool_] | None = None) -> list[Finding]:
    """Find NaN and infinity: beside numbers they are lost samples; a column of nothing else was never measured.

    Cells that only fill up a list (`filling`) are neither. In a stream whose name says of nothing that it measures or
    commands, NaN is as a rule the message's word for "not known": it is warned of, and holds no try back.
    """
    bad = ~np.isfinite(values)
    if filling is not None:
        bad &= ~filling
    if not bad.any():
        return []
    empty = bad.all(axis=0)
    found = []
    if empty.any():
        whole = bool(empty.all())
        found.append(Finding(
            "values/none-finite" if whole else "values/empty-column", name,
            Severity.FAULT if whole and name.startswith(("action/", "observation/")) else Severity.NOTE,
            f"{int(empty.sum())} of {empty.size} columns hold no number at all",
            figures(columns=int(empty.sum()), of=int(empty.size)),
        ))  # fmt: skip
    rows = bad[:, ~empty].any(axis=1)
    if rows.any():
        share = float(rows.mean())
        said = f"{int(rows.sum())} of {rows.size} samples hold NaN or infinity beside numbers"
        expected = set(name.casefold().replace("/", " ").replace("_", " ").split()) & set(OUT_OF_RANGE)
        acted = name.startswith("action/")
        meant = acted or name.startswith("observation/") or bool(roles_of(name))
        grave = Severity.NOTE if expected else Severity.FAULT if acted or (meant and share > 0.01) else Severity.WARNING
        found.append(Finding(
            "values/not-finite", name, grave, said, figures(samples=int(rows.sum()), share=share)
        ))  # fmt: skip
    return found


def check_constant(name: str, stream: Stream, values: Vector, roles: frozenset[Role]) -> list[Finding]:
    """Find force and inertial sensors that give one value from start to end: such sensors have noise when they live."""
    finite = values[np.isfinite(values).all(axis=1)]
    if (
        finite.shape[0] < 50
        or (finite != finite[0]).any()
        or not roles & {Role.FORCE, Role.INERTIAL}
        or "covariance" in name
    ):
        return []
    dead = bool((finite[0] != 0.0).any()) and stream.values.dtype.kind == "f"
    return [Finding(
        "values/constant", name, Severity.WARNING if dead else Severity.NOTE,
        f"all {finite.shape[0]} samples are equal" + (
            ": a live sensor of this kind has noise" if dead else " to zero: no contact, or nothing was connected"
        ),
        figures(samples=int(finite.shape[0]), value=float(finite[0, 0])),
    )]  # fmt: skip


def check_glitches(name: str, stream: Stream, values: Vector) -> list[Finding]:
    """Find single samples that jump out and come back by more than the stream ever steps elsewhere.

    A sample is a candidate when it sticks out of both neighbours by 8 times what these differ, and by 6 times the 95 %
    quantile of all steps. It is a glitch when it sticks out by 3 times the largest step that touches no candidate, in a
    column that moves smoothly, as places do. Forces and speeds do not: an impact is a peak of one sample. There it
    takes 10 times to be warned of and 30 times to be a fault. Not looked at are columns of few values (flags, gripper
    words), those that rest nearly always (an object that is bumped), and those with more than 2 % candidates.
    """
    worst: tuple[float, Severity, int, int] | None = None
    total = columns = 0
    for column in range(values.shape[1]):
        x = values[:, column]
        x = x[np.isfinite(x)]
        if x.size < FEWEST_N or stream.values.dtype.kind != "f" or np.unique(x[:4096]).size <= 8:
            continue
        at, ratio, smooth = _glitches(x)
        hit = ratio > np.where(smooth, 3.0, 10.0)
        if hit.any():
            peak = int(np.where(hit, ratio, 0.0).argmax())
            grave = Severity.FAULT if smooth[peak] or ratio[peak] > 30.0 else Severity.WARNING
            total, columns = total + int(hit.sum()), columns + 1
            own = (float(ratio[peak]), grave, int(at[peak]), column)
            worst = max(worst or own, own, key=lambda one: (one[1] is Severity.FAULT, one[0]))
    if worst is None:
        return []
    moment_s = (int(stream.t_ns[min(worst[2], stream.t_ns.size - 1)]) - int(stream.t_ns[0])) / 1e9
    return [Finding(
        "values/glitch", name, worst[1],
        f"{total} single samples jump out and back; the worst in {column_name(stream, worst[3])}, {moment_s:.2f} s "
        f"after the first sample, by {worst[0]:.0f} times the largest other step",
        figures(samples=total, columns=columns, worst_ratio=worst[0], at_s=moment_s, column=worst[3]),
    )]  # fmt: skip


def _glitches(x: Vector) -> tuple[NDArray[np.int64], Vector, NDArray[np.bool_]]:
    """Return candidates, how far each sticks out over the largest other step, and whether it is smooth about it."""
    steps = np.abs(np.diff(x))
    out = np.where(np.sign(x[1:-1] - x[:-2]) == np.sign(x[1:-1] - x[2:]), np.minimum(steps[:-1], steps[1:]), 0.0)
    usual = float(np.quantile(steps, 0.95))
    candidate = (out >= 8.0 * np.abs(x[2:] - x[:-2])) & (out > 6.0 * usual)
    none = np.empty(0, dtype=np.int64), np.empty(0), np.empty(0, dtype=bool)
    if not candidate.any() or candidate.sum() > max(2, 0.02 * x.size):
        return none
    at = np.flatnonzero(candidate)
    touched = np.zeros(steps.size, dtype=bool)
    touched[at] = touched[at + 1] = True
    largest = float(steps[~touched].max(initial=0.0))
    if largest == 0.0 or float(np.quantile(steps, 0.8)) < LIVELY * largest:
        return none
    mended = x.copy()
    mended[at + 1] = (x[at] + x[at + 2]) / 2.0
    level = 0.5 * float(np.quantile(steps, 0.8))
    windows = [mended[max(0, one - 8) : one + 11] for one in at]
    smooth = [_is_smooth(mended, level) and _is_smooth(w, 0.1 * np.abs(np.diff(w)).max(initial=0.0)) for w in windows]
    return at + 1, out[at] / largest, np.asarray(smooth)


def _is_smooth(x: Vector, level: float) -> bool:
    """Say whether steps above `level` change little from one to the next."""
    steps, bends = np.abs(np.diff(x)), np.abs(np.diff(x, 2))
    moving = steps[1:] > level
    return not moving.any() or float(np.median(bends[moving] / steps[1:][moving])) < SMOOTH


def check_saturation(name: str, stream: Stream, values: Vector, roles: frozenset[Role]) -> list[Finding]:
    """Find force and inertial sensors that rest exactly at the end of their range: the truth lay beyond it.

    Only a stream that hardly ever repeats a value elsewhere (at most 5 % of its steps) can show it. What rests by
    nature (a joint at its stop, a closed gripper) rests at its ends too. Actions are clipped by design: a note.
    """
    if not roles & {Role.FORCE, Role.INERTIAL, Role.COMMANDED}:
        return []
    found: list[int] = []
    share = 0.0
    for column in range(values.shape[1]):
        x = values[:, column]
        x = x[np.isfinite(x)]
        if x.size < 100 or stream.values.dtype.kind not in "fi" or x.min() == x.max():
            continue
        for end in (x.min(), x.max()):
            at = x == end
            if at.sum() < max(10, 0.005 * x.size) or at.sum() > 0.5 * x.size:
                continue
            inner = ~(at[1:] | at[:-1])
            together = int((at[1:] & at[:-1]).sum())
            if inner.sum() >= 50 and float((np.diff(x)[inner] == 0.0).mean()) <= 0.05 and together >= 5:
                found.append(column)
                share = max(share, float(at.mean()))
    if not found:
        return []
    grave = Severity.NOTE if Role.COMMANDED in roles else Severity.WARNING
    names = ", ".join(column_name(stream, one) for one in sorted(set(found))[:4])
    return [Finding(
        "values/saturated", name, grave,
        f"rests exactly at the end of its range in {names}, up to {share:.1%} of the time: what lay beyond is lost",
        figures(columns=len(set(found)), share=share),
    )]  # fmt: skip


def check_units(name: str, stream: Stream, values: Vector) -> list[Finding]:
    """Find a change of unit inside a stream, and radians that can only be degrees.

    A slip: from one sample to the next most columns change by one factor (57.3 or 1000, within 5 %) without changing
    sign, and the medians of five samples on both sides stand in the same ratio (within 15 %).
    """
    found = []
    for what, factor in FACTORS.items():
        at = _slips(values, factor)
        if at.size:
            at_s = (int(stream.t_ns[at[0] + 1]) - int(stream.t_ns[0])) / 1e9
            found.append(Finding(
                "values/unit-slip", name, Severity.FAULT,
                f"changes between {what}: by a factor of {factor:.4g} from one sample to the next, first {at_s:.2f} s "
                f"after its start, {at.size} times",
                figures(factor=factor, at_s=at_s, times=int(at.size)),
            ))  # fmt: skip
    radians = [c for c in range(values.shape[1]) if stream.unit == "rad" or "(rad)" in column_name(stream, c)]
    if radians and (part := np.abs(values[:, radians])[np.isfinite(values[:, radians]).all(axis=1)]).size:
        middle = float(np.median(part.max(axis=1)))
        if middle > 4.0 * np.pi:
            found.append(Finding(
                "values/units", name, Severity.WARNING,
                f"is said to be in radians, but its largest joint stands at {middle:.0f}: these are degrees",
                figures(median_rad=middle),
            ))  # fmt: skip
    return found


def _slips(values: Vector, factor: float) -> NDArray[np.int64]:
    rows = values.shape[0]
    if rows < 2 * 5:
        return np.empty(0, dtype=np.int64)
    old, new = values[:-1], values[1:]
    usable = (old != 0.0) & (new != 0.0) & np.isfinite(old) & np.isfinite(new)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(usable, new / np.where(old == 0.0, 1.0, old), 1.0)
    up, down = np.abs(ratio / factor - 1.0) < 0.05, np.abs(ratio * factor - 1.0) < 0.05
    counted = usable.sum(axis=1)
    likely = (np.maximum(up.sum(axis=1), down.sum(axis=1)) >= np.maximum(1, 0.6 * counted)) & (counted > 0)
    kept = []
    for at in np.flatnonzero(likely)[:1000]:
        columns = up[at] if up[at].sum() >= down[at].sum() else down[at]
        before, after = values[max(0, at - 4) : at + 1, columns], values[at + 1 : at + 6, columns]
        if before.shape[0] < 5 or after.shape[0] < 5:
            continue
        levels = np.median(np.abs(before), axis=0), np.median(np.abs(after), axis=0)
        held = max(levels[0].max(), levels[1].max()) / max(float(np.minimum(*levels).max()), 1e-300)
        if abs(held / factor - 1.0) < 0.15:
            kept.append(int(at))
    return np.asarray(kept, dtype=np.int64)
