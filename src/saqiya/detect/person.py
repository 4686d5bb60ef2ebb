"""Runtime signal: a person took over, switched the policy off or stopped the robot; and the clips around it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.domain.streams import Event, Span, Stream
from saqiya.errors import TooLittle
from saqiya.models.replay import reason_at, score_by, spoken
from saqiya.models.rows import EXECUTED
from saqiya.models.scaling import robust_scale

__all__ = ["AFTER_S", "BEFORE_S", "Hand", "Person", "Touch", "clip_spans", "touches"]

BEFORE_S = AFTER_S = 10.0
MOST_CHARS = 32
"""A longer text is a line of a program's log, which may speak of stops that never were."""
INTENDED, OPERATOR = "action/intended", "action/operator"


class Hand(StrEnum):
    """What a person can do to a try."""

    TAKEOVER = "takeover"
    ESTOP = "estop"


_PHRASES: tuple[tuple[str, Hand, bool], ...] = tuple(
    (phrase, hand, on)
    for hand, on, phrases in (
        (Hand.ESTOP, True, (
            "e_stop", "estop", "e_stopped", "estopped", "emergency_stop", "emergency_stopped", "emergencystop",
            "emergency", "protective_stop", "safeguard_stop", "safety_stop", "user_stop", "user_stopped",
            "kill_switch", "runstop", "run_stop",
        )),
        (Hand.TAKEOVER, True, (
            "takeover", "take_over", "taken_over", "intervention", "interventions", "intervene", "intervened",
            "disengage", "disengaged", "disengagement", "is_human", "human_control", "human_takeover", "user_acting",
            "teleop_active", "manual_mode", "manual_override", "operator_override", "author",
        )),
        (Hand.TAKEOVER, False, (
            "handback", "hand_back", "engage", "engaged", "re_engage", "reengage", "resume_policy", "policy_resumed",
            "policy_acting", "autonomous", "autonomous_mode",
        )),
    )
    for phrase in phrases
)  # fmt: skip
_ENDS = ("off", "end", "ended", "stop", "released", "release", "cleared", "clear", "reset", "finished", "over", "done")


@lru_cache(maxsize=1024)
def heard(name: str) -> tuple[Hand, bool] | None:
    """Return what the name of an event or of a 0-or-1 stream says of a person: (what, begins or ends), or None.

    It knows the loop's words, LeRobot's (`is_intervention`), robomimic's, and ROS topics' ("/emergency_stop").
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    plain = "_" + "_".join(part for part in re.split(r"[^a-z]+", spaced.casefold()) if part) + "_"
    for phrase, hand, on in _PHRASES:
        if f"_{phrase}_" in plain:
            rest = plain.replace(f"_{phrase}_", "_")
            ended = any(f"_{end}_" in rest for end in _ENDS)
            return hand, on != ended
    return None


def told(event: Event) -> str:
    """Return what an event says of a person: its name, or, where that says nothing, a short text that came with it."""
    name = spoken(event)
    return name if heard(name) or len(event.detail) > MOST_CHARS else f"{name}/{event.detail}"


def flags_of(streams: Mapping[str, Stream]) -> tuple[str, ...]:
    """Return the 0-or-1 streams that say who acts: `author`, intervention flags, e-stop switches."""
    return tuple(
        name
        for name, stream in sorted(streams.items())
        if not name.startswith(("action/", "observation/"))
        and stream.t_ns.size
        and stream.values.size == stream.t_ns.size
        and stream.values.dtype.kind in "fiub"
        and heard(name) is not None
    )


@dataclass(frozen=True)
class Touch:
    """A person's hand on a try: when, what, and the event or stream that says so."""

    t_ns: int
    hand: Hand
    told_by: str


@dataclass
class _Hands:
    """Who is at it: takes in what was said, and tells the moments at which a person begins.

    A try that a person drives from its beginning is a demonstration: nothing was taken from a policy.
    """

    at_work: set[Hand] = field(default_factory=set)
    flags: dict[str, bool] = field(default_factory=dict)

    def hear(self, name: str) -> Hand | None:
        """Take in an event; return what a person begins by it."""
        said = heard(name)
        return self._turn(*said) if said else None

    def read(self, name: str, value: float) -> Hand | None:
        """Take in a sample of a 0-or-1 stream; only its changes say something."""
        said, high = heard(name), value > 0.5
        before = self.flags.get(name)
        self.flags[name] = high
        if said is None or before is None or before == high:
            return None
        return self._turn(said[0], said[1] == high)

    def _turn(self, hand: Hand, on: bool) -> Hand | None:  # noqa: FBT001 - begins or ends
        if not on:
            self.at_work.discard(hand)
            return None
        if hand in self.at_work:
            return None
        self.at_work.add(hand)
        return hand


def touches(events: Sequence[Event], streams: Mapping[str, Stream]) -> tuple[Touch, ...]:
    """Return each moment at which a person took over or stopped the robot, in order of time.

    One that is told twice, by an event and by a stream, is one. A takeover is evidence of a failure, not proof.
    """
    said: list[tuple[int, int, str, float]] = [(event.t_ns, 0, told(event), 0.0) for event in events]
    for name in flags_of(streams):
        stream, high = streams[name], streams[name].values.reshape(-1) > 0.5
        turns = np.flatnonzero(np.diff(high, prepend=not high[0]))
        said += [(int(stream.t_ns[at]), 1, name, float(high[at])) for at in turns.tolist()]
    hands, found = _Hands(), []
    for t_ns, kind, name, value in sorted(said):
        begun = hands.read(name, value) if kind else hands.hear(name)
        if begun is not None:
            found.append(Touch(t_ns, begun, name))
    return tuple(found)


def clip_spans(
    moments_ns: Iterable[int], within: Span, *, before_s: float = BEFORE_S, after_s: float = AFTER_S
) -> tuple[Span, ...]:
    """Return what to show of a try: from before to after each moment, cut to the try, merged where they overlap."""
    spans: list[Span] = []
    for moment_ns in sorted(moments_ns):
        start_ns = max(within.start_ns, moment_ns - round(before_s * 1e9))
        end_ns = min(within.end_ns, moment_ns + round(after_s * 1e9))
        if start_ns >= end_ns:
            continue
        if spans and start_ns <= spans[-1].end_ns:
            start_ns, end_ns = spans[-1].start_ns, max(end_ns, spans.pop().end_ns)
        spans.append(Span(start_ns, end_ns))
    return tuple(spans)


class Person:
    """A person's word, as it happens: 0 while the policy acts alone, 1 under a person's control, 2 after an e-stop.

    Where the log has both what the policy wants and what the person does, their distance is added while the person
    acts, in typical spreads of normal actions: a takeover that changes nothing weighs less than one that turns the arm
    round. It reads events and 0-or-1 streams by name (`heard`), "action/intended", and "action/operator" or
    "action/executed". It is a label more than a warning: it comes when the person saw the failure.
    """

    name = "person"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:
        """Learn how far normal actions spread, and which streams say who acts.

        Raises:
            TooLittle: no try says who acted, by a stream or by an event.
        """
        flags = sorted({name for seen in chain(normal, failed) for name in flags_of(seen.streams)})
        if not flags and not any(heard(told(event)) for seen in chain(normal, failed) for event in seen.events):
            raise TooLittle(
                "no try says who acted", remedy="Log the stream 'author', an intervention flag, or takeover events."
            )
        done = [seen.streams[EXECUTED].values for seen in normal if EXECUTED in seen.streams]
        tables = [rows.reshape(len(rows), -1).astype(np.float64) for rows in done if rows.size]
        shared = [table for table in tables if table.shape[1] == tables[0].shape[1]]
        rows = np.concatenate(shared) if shared else np.zeros((0, 0))
        spread = robust_scale(rows, [rows.shape[1]]).spread if rows.size else np.zeros(0)
        return _Known(spread)

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return _Known(arrays["spread"])


@dataclass(frozen=True)
class _Known:
    spread: Vector

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and scores (t,): 0 alone, 1 and more with a person, 2 and more stopped.

        Raises:
            InvalidEpisode: no stream has a sample.
        """
        return score_by(_Watch(self.spread), _aloud(seen), self._names(seen))

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say what the person did, and how far from the policy's wish."""
        return reason_at(_Watch(self.spread), _aloud(seen), self._names(seen), t_ns)

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch(self.spread)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the spread of normal actions."""
        return {"spread": self.spread}

    @staticmethod
    def _names(seen: Seen) -> tuple[str, ...]:
        return (*flags_of(seen.streams), INTENDED, OPERATOR, EXECUTED)


def _aloud(seen: Seen) -> Seen:
    """Return a try whose events are named by what they say of a person."""
    return Seen(seen.streams, tuple(Event(event.t_ns, told(event)) for event in seen.events))


class _Watch:
    def __init__(self, spread: Vector) -> None:
        self._spread, self._hands = spread, _Hands()
        self._apart, self._told = 0.0, dict.fromkeys(Hand, "")
        self._ignored: set[str] = {INTENDED, OPERATOR, EXECUTED}

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it counts no time
        """Return 0 while the policy acts alone, else how much a person's hand weighs."""
        for name in events:
            self._keep(self._hands.hear(name), name)
        for name, value in row.items():
            if name in self._ignored:
                continue
            if value.size == 1 and not name.startswith(("action/", "observation/")) and heard(name):
                self._keep(self._hands.read(name, float(value.reshape(-1)[0])), name)
            else:
                self._ignored.add(name)
        if not self._hands.at_work:
            self._apart = 0.0
            return 0.0
        wish, act = row.get(INTENDED), row.get(OPERATOR, row.get(EXECUTED))
        if wish is not None and act is not None and wish.size == act.size == self._spread.size:
            self._apart = float(np.sqrt(np.mean(((act - wish).reshape(-1) / self._spread) ** 2)))
        return (2.0 if Hand.ESTOP in self._hands.at_work else 1.0) + self._apart

    def reason(self) -> str:
        """Say what the person did, and how far from the policy's wish."""
        said = [
            f"{'a person stopped the robot' if hand is Hand.ESTOP else 'a person took over'} ({self._told[hand]})"
            for hand in sorted(self._hands.at_work)
        ]
        if said and self._apart > 0.0:
            said.append(f"acts {self._apart:.2f} typical spreads away from what the policy wants")
        return ", and ".join(said)

    def _keep(self, begun: Hand | None, name: str) -> None:
        if begun is not None:
            self._told[begun] = name
