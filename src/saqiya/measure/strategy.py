"""What streams and instructions hint of how a task was done; a hint is never an assertion, and a person decides.

- An instruction that has one word of the list in it ("push the block", "with both hands").
- *Arms*: where streams name two sides (left and right, `arm0` and `arm1`), whether both move.
- *Regrasp*: held twice with a pause between, or a gripper that closes, opens and closes again.
- *Pinch*: held while the gripper is closed.
- *Push* and *pull*: the object moves and is never held; ahead of the hand or after it.

Scooping shows in no stream that logs commonly have: only an instruction or a person tells of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.domain.nouns import Episode
from saqiya.domain.streams import Span, Stream
from saqiya.models.conditions import STRATEGY, Strategy, field_of
from saqiya.models.rows import OBSERVATION
from saqiya.models.scene import scene

__all__ = ["Hint", "hints_of"]

SIDES = (re.compile(r"(?<![a-z])(left|l|(arm|robot|hand)_?0)(?![a-z0-9])"),
         re.compile(r"(?<![a-z])(right|r|(arm|robot|hand)_?1)(?![a-z0-9])"))  # fmt: skip
BOTH = re.compile(r"\b(both|two) (hands|arms)\b|\bbimanual", re.IGNORECASE)
MOVES_SHARE = 0.1
"""An arm that goes less than a tenth of the other one's way is holding still."""
SMALLEST_MOVE = 1e-3
CLOSED_BELOW, OPEN_ABOVE = 0.5, 0.7
CHATTER_ROWS = 3
FAST_SHARE = 0.2
CLEAR = 0.3
"""Cosine of the object's way with its place seen from the hand: above, it is pushed; below minus that, pulled."""
HANDS, OBJECTS = ("hand", "eef/position", "tcp/position"), ("object", "puck")


@dataclass(frozen=True)
class Hint:
    """A word for one side of the strategy, and what hints at it."""

    factor: str
    value: str
    why: str


def hints_of(episode: Episode, streams: Mapping[str, Stream], words: Mapping[str, Strategy]) -> tuple[Hint, ...]:
    """Return at most one hint for each side of the strategy: what the instruction says before what streams show.

    Args:
        episode: the try.
        streams: its own, at their own rates.
        words: the words of the workspace.
    """
    made = [*_told(str(field_of(episode, "instruction") or ""), words), *_shown(episode, streams)]
    return tuple({hint.factor: hint for hint in reversed(made)}.values())


def _told(instruction: str, words: Mapping[str, Strategy]) -> list[Hint]:
    said: dict[str, set[str]] = {}
    for one in words.values():
        if re.search(rf"\b{re.escape(one.word)}(s|es|ed|ing)?\b", instruction, re.IGNORECASE):
            said.setdefault(one.factor, set()).add(one.word)
    if BOTH.search(instruction):
        said["arms"] = {"two arms"}
    return [Hint(side, some.pop(), "the instruction says so") for side, some in said.items() if len(some) == 1]


def _shown(episode: Episode, streams: Mapping[str, Stream]) -> list[Hint]:
    found = scene(streams, episode.events, Span(episode.start_ns, episode.end_ns))
    bare = {name.removeprefix(OBSERVATION): _rows(one) for name, one in streams.items()}
    told = {name: rows for name, rows in bare.items() if rows is not None}
    closings_n = _closings(told["gripper/opening"][:, 0]) if "gripper/opening" in told else 0
    return [*_arms(streams), *_grasps(found, closings_n), *_contact(found, told, closings_n)]


def _rows(stream: Stream) -> Vector | None:
    """Return finite rows (t, D) as float64; None for pictures, and for what has no number in it."""
    if stream.values.dtype.kind not in "fiub" or stream.values.ndim > 2 or not len(stream.t_ns):
        return None
    rows: Vector = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64)
    return rows if np.isfinite(rows).all() else None


def _arms(streams: Mapping[str, Stream]) -> list[Hint]:
    """Compare how far the columns of either side go, where streams or their columns name two sides."""
    ways: list[dict[str, float]] = [{}, {}]
    for name, stream in streams.items():
        rows = None if name.startswith("camera/") else _rows(stream)
        if rows is None:
            continue
        for at, column in enumerate(rows.T):
            field = stream.fields[at].lower() if at < len(stream.fields) else ""
            side = [bool(one.search(field) or one.search(name.lower())) for one in SIDES]
            if side[0] != side[1]:
                text = f"{name.lower()}/{field or at}"
                ways[side[1]][SIDES[side[1]].sub("*", text)] = float(np.ptp(column))
    shared = sorted(set(ways[0]) & set(ways[1]))
    if not shared:
        return []
    left, right = (float(np.median([way[name] for name in shared])) for way in ways)
    if max(left, right) < SMALLEST_MOVE:
        return []
    word = "two arms" if min(left, right) >= MOVES_SHARE * max(left, right) else "one arm"
    return [Hint("arms", word, f"of two sides, {'both move' if word == 'two arms' else 'one holds still'}")]


def _closings(opening: Vector) -> int:
    """Count how often a gripper closes; how it began is no closing, and what is shorter than 3 rows is noise."""
    low, high = float(opening.min()), float(opening.max())
    if high - low < SMALLEST_MOVE:
        return 0
    share = (opening - low) / (high - low)
    state = np.where(share < CLOSED_BELOW, 1, np.where(share > OPEN_ABOVE, 0, -1))
    steady = state[state >= 0]
    edges = np.flatnonzero(np.diff(steady, prepend=0, append=0)).reshape(-1, 2)
    return int(((np.diff(edges, axis=1)[:, 0] >= CHATTER_ROWS) & (edges[:, 0] > 0)).sum())


def _grasps(found: Mapping[str, float], closings_n: int) -> list[Hint]:
    if found.get("holds_n", 0.0) >= 2.0:
        return [Hint("regrasp", "regrasp", f"it is held {found['holds_n']:.0f} times")]
    if "holds_n" not in found and closings_n >= 2:
        return [Hint("regrasp", "regrasp", f"the gripper closes {closings_n} times")]
    once = found.get("holds_n") == 1.0 or ("holds_n" not in found and closings_n == 1)
    return [Hint("regrasp", "one grasp", "it is taken once")] if once else []


def _contact(found: Mapping[str, float], told: Mapping[str, Vector], closings_n: int) -> list[Hint]:
    """Say pinch for what is held by a closed gripper; push or pull for what moves and is known never to be held."""
    if found.get("held") == 1.0:
        return [Hint(STRATEGY, "pinch", "it is held while the gripper is closed")] if closings_n else []
    never_held = found.get("held") == 0.0 or ("gripper/opening" in told and not closings_n)
    hand = next((told[name] for name in HANDS if name in told), None)
    thing = next((told[name] for name in OBJECTS if name in told), None)
    if not never_held or hand is None or thing is None or len(hand) != len(thing):
        return []
    width = min(3, hand.shape[1], thing.shape[1])
    where = thing[:, :width]
    if width < 2 or float(np.ptp(where, axis=0).max()) < max(SMALLEST_MOVE, 0.05 * float(np.ptp(hand[:, :width]))):
        return []
    cosine = _ahead(where, where - hand[:, :width])
    if abs(cosine) < CLEAR:
        return []
    push = cosine > 0.0
    return [Hint(STRATEGY, "push" if push else "pull", f"it moves {'ahead of' if push else 'after'} the hand, unheld")]


def _ahead(where: Vector, from_hand: Vector) -> float:
    """Return the mean cosine between the object's way and its place as seen from the hand, while it moves fast."""
    step: NDArray[np.float64] = np.diff(where, axis=0)
    speed = np.linalg.norm(step, axis=1)
    fast = speed > FAST_SHARE * speed.max()
    apart = from_hand[:-1][fast]
    product = (step[fast] * apart).sum(axis=1) / (speed[fast] * np.linalg.norm(apart, axis=1) + 1e-12)
    return float(product.mean())
