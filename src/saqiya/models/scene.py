"""What a try's own streams say of object, goal, gripper and arm: the numbers that a failure's name rests on.

Streams are known by these names, with or without "observation/" before them; `ingest` can rename a team's streams:

| stream | what it is |
|---|---|
| `reach` | from the hand to the object (m); else `object` less `hand`, both at least 3 wide |
| `carry` | from the object to the goal (m); else `goal` less `object` (or `puck`) |
| `object/orientation`, `goal/orientation` | a quaternion (4), in either order, or a unit vector (3) |
| `gripper/opening` | one number, larger is wider |
| `.../held`, `.../grasped` | 1 while the object is held, else 0 |
| `action/executed` | what it was told to do, the gripper's command last |
| `hand`, `eef/position`, `tcp/position`, `joint/position` | where the arm is; the first there is |

What is not there is left out of the answer: a number that is missing names nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.streams import Event, Span, Stream
from saqiya.models.rows import EXECUTED, OBSERVATION

__all__ = ["Usual", "scene", "usual"]

Usual = Mapping[str, tuple[float, float]]
"""The 5 % and 95 % quantiles of each number over tries that succeeded."""

PHASE = "phase/"
HELD = ("/held", "/grasped")
OBJECTS = ("object", "puck")
ARMS = ("hand", "eef/position", "tcp/position", "joint/position")
CLOSING_BELOW, OPEN_ABOVE = 0.8, 0.9
"""A closing begins when the opening falls below 80 % of its widest, and ends when it is above 90 % again."""
STILL_SHARE = 0.02
"""An arm is still while it stays within this share of the way it came in the whole try."""
FEWEST_N = 8
CHATTER_ROWS = 3
"""Contact chatters: only what lasts this many rows is a hold, or the end of one."""
LET_GO_NS = 150_000_000


def scene(
    streams: Mapping[str, Stream], events: Sequence[Event], span: Span, *, until_ns: int | None = None
) -> dict[str, float]:
    """Return what the streams of a try show, as far as they are there; times count from the beginning of `span`.

    - `goal_first_m`, `goal_last_m`: from the object to the goal at the beginning and at the end
    - `angle_rad`: between the object's and the goal's orientation at the end
    - `closed_s`, `closed_to`, `closed_reach_m`: of the gripper's first closing: when it began, the least opening in it
      (share of the widest), and how far hand and object were apart, by the log, when it was closed
    - `held`: 1.0 when the object was held at any time, else 0.0
    - `holds_n`, `dropped_s`, `let_go`: how often it was held, when the first hold ended, and how far the gripper's
      command had changed in the 0.15 s before (share of its range in the try): a let-go is told, a slip is not
    - `still_s`: how long the arm had been still at the end
    - `phase_s/<name>`: when a phase was reached

    Args:
        streams: of one try, at their own rates.
        events: of the same try.
        span: the whole try.
        until_ns: where a person took over or stopped it: what comes after was not the policy's work.
    """
    end_ns = span.end_ns if until_ns is None else until_ns
    cuts = ((name.removeprefix(OBSERVATION), _until(one, end_ns)) for name, one in streams.items())
    told = {name: cut for name, cut in cuts if cut is not None}
    found: dict[str, float] = {}
    for event in events:
        if event.name.startswith(PHASE) and event.t_ns <= end_ns:
            found.setdefault(f"phase_s/{event.name.removeprefix(PHASE)}", (event.t_ns - span.start_ns) / 1e9)
    carry = _between(told, "carry", OBJECTS, ("goal",), least=1)
    if carry is not None:
        away = np.linalg.norm(carry[1], axis=1)
        found |= {"goal_first_m": float(away[0]), "goal_last_m": float(away[-1])}
    angle = _angle(told)
    if angle is not None:
        found["angle_rad"] = angle
    return found | _holding(told, span.start_ns) | _closing(told, span.start_ns) | _arm(told)


def usual(tries: Iterable[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    """Return the 5 % and 95 % quantile of every number over successes; fewer than 8 say nothing of what is usual."""
    values: dict[str, list[float]] = {}
    for one in tries:
        for name, value in one.items():
            values.setdefault(name, []).append(value)
    return {
        name: (float(np.quantile(some, 0.05)), float(np.quantile(some, 0.95)))
        for name, some in values.items()
        if len(some) >= FEWEST_N
    }


_Told = Mapping[str, tuple[NDArray[np.int64], Vector]]


def _until(stream: Stream, end_ns: int) -> tuple[NDArray[np.int64], Vector] | None:
    """Return stamps and finite rows (t, D) up to an instant; None when there are none, or it is no table of numbers."""
    if stream.values.dtype.kind not in "fiub" or stream.values.ndim > 2:
        return None
    rows = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64)
    kept = (stream.t_ns <= end_ns) & np.isfinite(rows).all(axis=1)
    return (stream.t_ns[kept], rows[kept]) if kept.any() else None


def _at(told: tuple[NDArray[np.int64], Vector], t_ns: NDArray[np.int64]) -> Vector:
    """Return the latest row at each instant; before the first, the first."""
    rows: Vector = told[1][np.maximum(np.searchsorted(told[0], t_ns, side="right") - 1, 0)]
    return rows


def _between(
    told: _Told, name: str, froms: Sequence[str], tos: Sequence[str], *, least: int
) -> tuple[NDArray[np.int64], Vector] | None:
    """Return a difference of two places: logged as it is, or of the streams of both, their first 2 or 3 columns."""
    if name in told:
        return told[name]
    pair = [next((told[one] for one in names if one in told), None) for names in (froms, tos)]
    if pair[0] is None or pair[1] is None:
        return None
    width = min(3, pair[0][1].shape[1], pair[1][1].shape[1])
    if width < least:
        return None
    return pair[0][0], _at(pair[1], pair[0][0])[:, :width] - pair[0][1][:, :width]


def _angle(told: _Told) -> float | None:
    """Return the angle between the last orientations of object and goal; a quaternion and its negative are one."""
    if "object/orientation" not in told or "goal/orientation" not in told:
        return None
    one, other = told["object/orientation"][1][-1], told["goal/orientation"][1][-1]
    size = float(np.linalg.norm(one) * np.linalg.norm(other))
    if one.shape != other.shape or len(one) not in {3, 4} or size == 0.0:
        return None
    cosine = float(one @ other) / size
    return float(2.0 * np.arccos(min(1.0, abs(cosine))) if len(one) == 4 else np.arccos(np.clip(cosine, -1.0, 1.0)))


def _holding(told: _Told, start_ns: int) -> dict[str, float]:
    name = next((name for name in told if name.endswith(HELD)), None)
    if name is None:
        return {}
    t_ns, held = told[name][0], told[name][1][:, 0] > 0.5
    edges = np.flatnonzero(np.diff(held, prepend=False, append=False)).reshape(-1, 2)  # a hold is [begin, end)
    holds: list[tuple[int, int]] = []
    for begin, end in edges.tolist():
        joined = bool(holds) and begin - holds[-1][1] < CHATTER_ROWS
        holds.append((holds.pop()[0] if joined else begin, end))
    holds = [(begin, end) for begin, end in holds if end - begin >= CHATTER_ROWS]
    found = {"held": float(bool(held.any())), "holds_n": float(len(holds))}
    if not holds or holds[0][1] > len(held) - CHATTER_ROWS:
        return found
    at_ns = int(t_ns[holds[0][1]])
    found["dropped_s"] = (at_ns - start_ns) / 1e9
    if EXECUTED in told:
        stamps, command = told[EXECUTED][0], told[EXECUTED][1][:, -1]
        lately = command[(stamps >= at_ns - LET_GO_NS) & (stamps <= at_ns)]
        if lately.size and np.ptp(command) > 0.0:
            found["let_go"] = float(np.ptp(lately) / np.ptp(command))
    return found


def _closing(told: _Told, start_ns: int) -> dict[str, float]:
    if "gripper/opening" not in told or told["gripper/opening"][1].shape[1] != 1:
        return {}
    t_ns, rows = told["gripper/opening"]
    opening = rows[:, 0]
    widest = np.maximum.accumulate(opening)
    begun = np.flatnonzero(opening < CLOSING_BELOW * widest)
    if not begun.size:
        return {}
    begin = int(begun[0])
    again = np.flatnonzero(opening[begin:] > OPEN_ABOVE * widest[begin])
    end = begin + int(again[0]) if again.size else len(opening)
    least = float(opening[begin:end].min())
    closed = begin + int(np.argmax(opening[begin:end] <= least + 0.02 * float(widest[begin])))
    found = {"closed_s": (int(t_ns[begin]) - start_ns) / 1e9, "closed_to": least / float(widest[begin])}
    reach = _between(told, "reach", ("hand",), OBJECTS, least=3)
    if reach is not None:
        found["closed_reach_m"] = float(np.linalg.norm(_at(reach, t_ns[closed : closed + 1])[0]))
    return found


def _arm(told: _Told) -> dict[str, float]:
    arm = next((told[name] for name in ARMS if name in told and len(told[name][0]) > FEWEST_N), None)
    if arm is None:
        return {}
    t_ns, rows = arm
    moved = np.flatnonzero((np.abs(rows - rows[-1]) > STILL_SHARE * np.ptp(rows, axis=0)).any(axis=1))
    return {"still_s": (int(t_ns[-1]) - int(t_ns[moved[-1]])) / 1e9} if moved.size else {}
