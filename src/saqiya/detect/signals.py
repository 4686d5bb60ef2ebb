"""Runtime signal: plain rules about signals, each with a limit from normal tries and a floor from physics.

| rule | measures | too much is |
|---|---|---|
| force | the size of a force, a torque, a joint's effort | 1.5 x, 5 N or 0.5 N m at least; a grip 1,000 N |
| rest | seconds without measured motion | 1.5 x, 1 s |
| blocked | seconds of commanded, without measured, motion | 1.5 x, 0.5 s |
| jerk | third difference of what is measured | 2 x, a quarter of the usual spread |
| dropout | seconds without a sample | 3 x, 5 samples and 0.2 s |
| hold | how often something held was lost, how short it was held | once more; half of the shortest |
| closing | how far a closed gripper closes further | 1.5 x, a tenth of its stroke |
| lost | events that say that the object was lost | once more |

"x" is times the most that nineteen of twenty normal tries showed: one odd success must not make a limit for all. Which
stream is what follows from names and units (`models.roles`). The score is by how many doublings the worst rule is over
its limit: 0 for a try that keeps to what normal tries do, so that normal grasps, rests and releases never count.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.gauges import ANGLE, GAUGES, QUATERNION, Rule, Shown, Whole, latest
from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.domain.streams import Stream
from saqiya.errors import TooLittle
from saqiya.models.roles import Role, numeric, roles_of
from saqiya.models.rows import finite, names_array, names_of
from saqiya.models.scaling import robust_scale

__all__ = ["LEAST_TRIES_N", "Signals", "broken"]

LEAST_TRIES_N = 5
MARGIN: Mapping[str, float] = {"force": 1.5, "rest": 1.5, "blocked": 1.5, "jerk": 2.0, "dropout": 3.0, "closing": 1.5}
FORCE_FLOOR_N, TORQUE_FLOOR_N_M, GRIP_FLOOR_N = 5.0, 0.5, 1000.0
REST_FLOOR_S, BLOCKED_FLOOR_S, DROPOUT_FLOOR_S, DROPOUT_FLOOR_ROWS = 1.0, 0.5, 0.2, 5.0
JERK_FLOOR_SPREADS, CLOSING_FLOOR = 0.25, 0.1
USUAL_QUANTILE = 0.95
MOVES_SHARE = 0.5
"""A stream that rests for more of a normal try tells nothing by resting."""
GRIP_SHARE = 0.2
ASKS_MARGIN = 1.5
HELD = ("/held", "/grasped")
TORQUES = ("torque", "moment", "effort", "nm", "n m")
WANTED = ("action/operator", "action/intended", "policy/", "shadow/")
"""What is wanted, and not done; and what only some kinds of tries log."""
QUATERNIONS = ("qx", "qy", "qz", "qw")
SPEEDS = ("vel", "velocity", "qvel", "speed", "twist")


class Signals:
    """Force spikes, stalls, jerks, dropouts and slips, as rules that say their reason.

    The table above is the whole method. Nothing is assumed of the robot: a rule whose stream is not there, or of which
    normal tries show nothing, does not exist.
    """

    name = "signals"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - limits come from normal tries
        """Find the rules that fit these streams, and learn their limits.

        Raises:
            TooLittle: there are fewer than five normal tries, or no rule fits their streams.
        """
        if len(normal) < LEAST_TRIES_N:
            raise TooLittle(
                f"limits need {LEAST_TRIES_N} normal tries, not {len(normal)}", remedy="Set more successes aside."
            )
        wholes = [Whole(seen) for seen in normal]
        rules = list(_candidates(normal, wholes))
        most = _most(rules, wholes)
        lengths_s = [_length_s(seen) for seen in normal]
        limited = [
            one
            for rule, table in zip(rules, most, strict=True)
            if (one := _limited(rule, table, lengths_s)) is not None
        ]
        if not limited:
            raise TooLittle("no rule fits the streams of normal tries", remedy="Name forces, joints and grippers so.")
        return _Limits(tuple(limited))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        rules = []
        parts = {name: iter(_split(arrays[name], arrays[f"{name}_n"])) for name in ("params", "usual", "limit")}
        for line in names_of(arrays["rules"]):
            kind, unit, streams, columns = line.split("\t")
            params, usual, limit = (next(parts[name]) for name in ("params", "usual", "limit"))
            rules.append(Rule(kind, tuple(streams.split("|")), params, usual, limit, unit, tuple(columns.split("|"))))
        return _Limits(tuple(rules))


@dataclass(frozen=True)
class _Limits:
    rules: tuple[Rule, ...]

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and scores (t,): 0 within all limits, 1.0 at twice a limit, 2.0 at four times.

        Raises:
            InvalidEpisode: no stream has a sample.
        """
        whole = Whole(seen)
        worst = np.ones(len(whole.beats))
        for rule, (t_ns, values) in zip(self.rules, _shown(self.rules, whole), strict=True):
            share = (values / rule.limit).max(axis=1)
            if share.max(initial=0.0) > 1.0:
                at = latest(t_ns, whole.beats)
                worst = np.maximum(worst, np.where(at >= 0, share[at], 0.0))
        over = np.flatnonzero(worst > 1.0)
        scores = np.zeros(len(worst))
        scores[over] = [math.log2(share) for share in worst[over].tolist()]
        return whole.beats, scores

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say which rule is broken most, with its numbers."""
        most, why = 1.0, ""
        for rule, (known_ns, values) in zip(self.rules, _shown(self.rules, Whole(seen)), strict=True):
            for now in values[: known_ns.searchsorted(t_ns, side="right")][-1:]:
                share = now / rule.limit
                if share.max() > most:
                    most, worst = float(share.max()), int(share.argmax())
                    why = _SAYS[rule.kind](rule, float(now[worst]), worst)
        return why

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch(self.rules)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the rules with what they learned."""
        lines = ["\t".join((r.kind, r.unit, "|".join(r.streams), "|".join(r.columns))) for r in self.rules]
        made: dict[str, NDArray[Any]] = {"rules": names_array(lines)}
        for name in ("params", "usual", "limit"):
            tables = [getattr(rule, name) for rule in self.rules]
            made[name] = np.concatenate(tables)
            made[f"{name}_n"] = np.array([len(table) for table in tables], np.int64)
        return made


class _Gauges:
    """The gauges of all rules on one try, their numbers side by side."""

    def __init__(self, rules: Sequence[Rule]) -> None:
        ends = np.cumsum([len(rule.limit) for rule in rules]).tolist()
        self._now = np.zeros(ends[-1])
        self._place = [slice(end - len(rule.limit), end) for rule, end in zip(rules, ends, strict=True)]
        self._gauges = [GAUGES[rule.kind](rule.streams, rule.params) for rule in rules]
        self._always = {at for at, rule in enumerate(rules) if rule.kind == "dropout"}
        self._of: dict[str, list[int]] = {name: [] for rule in rules for name in rule.streams}
        for at, rule in enumerate(rules):
            for name in rule.streams:
                self._of[name].append(at)

    def read(self, t_ns: int, row: Row, events: Sequence[str]) -> Vector:
        """Return what all gauges show now; valid until the next call. Only those to which something came are asked."""
        known = _finite(row, self._of)
        asked = self._always.union(*(self._of[name] for name in known), self._of.get("", ()) if events else ())
        for at in asked:
            self._now[self._place[at]] = self._gauges[at].read(t_ns, known, events)
        return self._now


class _Watch:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self._rules, self._gauges = rules, _Gauges(rules)
        self._limit = np.concatenate([rule.limit for rule in rules])
        self._worst, self._value = -1, 0.0

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:
        """Return by how many doublings the worst rule is over its limit."""
        now = self._gauges.read(t_ns, row, events)
        share = now / self._limit
        worst = int(share.argmax())
        over = math.log2(max(float(share[worst]), 1.0))
        self._worst, self._value = (worst, float(now[worst])) if over > 0.0 else (-1, 0.0)
        return over

    def reason(self) -> str:
        """Say which rule is broken most, with its numbers."""
        at = self._worst
        for rule in self._rules if at >= 0 else ():
            if at < len(rule.limit):
                return _SAYS[rule.kind](rule, self._value, at)
            at -= len(rule.limit)
        return ""


def _shown(rules: Sequence[Rule], whole: Whole) -> Iterator[Shown]:
    """Yield what the gauge of each rule shows of a whole try; nothing, (0, C), where its stream never came."""
    for rule in rules:
        if not rule.streams[0] or whole.rows(rule.streams[0])[0].size:
            yield GAUGES[rule.kind](rule.streams, rule.params).of(whole)
        else:
            yield whole.beats[:0], np.zeros((0, len(rule.limit)))


def broken(fitted: FittedDetector, seen: Seen) -> dict[str, float]:
    """Return by how much each kind of rule was broken at most, as `over/<kind>`: 1.0 at twice its limit.

    For the evidence of a failure: rules that were kept, and detectors that are not `Signals`, add nothing.
    """
    if not isinstance(fitted, _Limits):
        return {}
    over: dict[str, float] = {}
    for rule, (_, values) in zip(fitted.rules, _shown(fitted.rules, Whole(seen)), strict=True):
        most = float((values / rule.limit).max(initial=0.0)) - 1.0
        if most > 0.0:
            over[f"over/{rule.kind}"] = max(most, over.get(f"over/{rule.kind}", 0.0))
    return over


def _finite(row: Row, names: Iterable[str]) -> dict[str, Vector]:
    """Return what arrived; a row that is not finite did not."""
    return {name: row[name].reshape(-1) for name in names if name in row and finite(row[name])}


def _over(what: str, rule: Rule, value: float, at: int) -> str:
    unit = f" {rule.unit}" if rule.unit else ""
    usual, limit = f"{rule.usual[at]:.3g}{unit}", f"{rule.limit[at]:.3g}{unit}"
    return f"{what} {value:.3g}{unit}; nearly all normal tries at most {usual}, limit {limit}"


def _hold(rule: Rule, value: float, at: int) -> str:
    if at == 0:
        return _over(f"{rule.streams[0]} lost its hold:", rule, value, at)
    return (
        f"{rule.streams[0]} lost its hold after {1 / value:.2f} s; nearly all normal tries hold for "
        f"{1 / rule.usual[at]:.2f} s at least, limit {1 / rule.limit[at]:.2f} s"
    )


_SAYS = {
    "force": lambda r, v, at: _over(f"force spike: {r.streams[0]} {r.columns[at]}".rstrip() + " is", r, v, at),
    "rest": lambda r, v, at: _over(f"stall: {r.streams[0]} has not moved for", r, v, at),
    "blocked": lambda r, v, at: _over(f"stall: {r.streams[1]} asks, {r.streams[0]} has not moved for", r, v, at),
    "jerk": lambda r, v, at: _over(f"jerk: {r.streams[0]} {r.columns[at]}".rstrip() + " jumps by", r, v, at),
    "dropout": lambda r, v, at: _over(f"dropout: {r.streams[0]} is silent for", r, v, at),
    "hold": lambda r, v, at: "slip: " + _hold(r, v, at),
    "closing": lambda r, v, at: _over(f"slip: the closed {r.streams[0]} closes further by", r, v, at),
    "lost": lambda r, v, at: _over("slip: the object was lost, by events,", r, v, at),
}


def _split(flat: NDArray[Any], counts: NDArray[Any]) -> list[NDArray[Any]]:
    return [part.copy() for part in np.split(flat, np.cumsum(counts)[:-1])]


def _length_s(seen: Seen) -> float:
    ends = [(int(s.t_ns[0]), int(s.t_ns[-1])) for s in seen.streams.values() if s.t_ns.size]
    return (max(end for _, end in ends) - min(begin for begin, _ in ends)) / 1e9


def _most(rules: Sequence[Rule], wholes: Sequence[Whole]) -> list[Vector]:
    """Return for each rule the most that its gauge showed in each normal try, float64 (n, C)."""
    peaks = [[values.max(axis=0, initial=0.0) for _, values in _shown(rules, whole)] for whole in wholes]
    return [np.array(most) for most in zip(*peaks, strict=True)]


def _limited(rule: Rule, most: Vector, lengths_s: Sequence[float]) -> Rule | None:
    """Return the rule with its limit: what is too much beside the most of normal tries; None where it tells nothing."""
    usual = np.quantile(most, USUAL_QUANTILE, axis=0, method="inverted_cdf")
    floor = rule.limit
    if (
        rule.kind in {"rest", "blocked"}
        and (most[:, 0] > MOVES_SHARE * np.array(lengths_s)).mean() > 1 - USUAL_QUANTILE
    ):
        return None
    if rule.kind == "lost":
        return replace(rule, usual=usual, limit=usual + 0.5)
    if rule.kind == "hold":
        short = 2.0 * usual[1] if usual[1] > 0.0 else np.inf
        return replace(rule, usual=usual, limit=np.array([usual[0] + 0.5, short]))
    return replace(rule, usual=usual, limit=np.maximum(floor, MARGIN[rule.kind] * usual))


def _candidates(normal: Sequence[Seen], wholes: Sequence[Whole]) -> Iterator[Rule]:
    """Yield the rules that fit the streams that all normal tries have; `limit` is the floor yet."""
    shared = set.intersection(*(set(seen.streams) for seen in normal))
    known = {
        name: normal[0].streams[name]
        for name in sorted(shared)
        if not name.startswith(WANTED)
        and not roles_of(name) & {Role.CLOCK, Role.LABEL}
        and all(seen.streams[name].t_ns.size > 1 for seen in normal)
    }
    for name, stream in known.items():
        period_s = float(np.median([1.0 / max(seen.streams[name].rate_hz, 1e-9) for seen in normal]))
        yield _rule("dropout", name, limit=[max(DROPOUT_FLOOR_S, DROPOUT_FLOOR_ROWS * period_s)], unit="s")
        if not numeric(stream) or Role.CAMERA in roles_of(name, stream):
            continue
        rows = np.concatenate([_rows_of(seen.streams[name]) for seen in normal])
        if not len(rows):
            continue
        roles = roles_of(name)
        if name.endswith(HELD):
            yield _rule("hold", name, params=[0.5], limit=[0.0, 0.0], columns=("times", "shortness"))
        elif Role.FORCE in roles:
            yield from _forces(name, stream, rows, grip=Role.GRIPPER in roles)
        elif Role.GRIPPER in roles_of(name, stream) and Role.COMMANDED not in roles:
            yield from _gripper(name, stream, rows)
    body = [name for name in known if Role.MEASURED in roles_of(name) and numeric(known[name])]
    body = body or [
        name for name in known if not roles_of(name) & {Role.FORCE, Role.INERTIAL, Role.COMMANDED, Role.CAMERA}
        and numeric(known[name]) and not name.endswith(HELD)
    ]  # fmt: skip
    commands = [name for name in known if Role.COMMANDED in roles_of(name) and numeric(known[name])]
    for name in body:
        yield from _motion(name, commands, normal, wholes)
    yield _rule("lost", "", limit=[0.5], unit="times")


def _rule(
    kind: str,
    *streams: str,
    params: Sequence[float] | Vector = (),
    limit: Sequence[float] | Vector,
    unit: str = "",
    columns: Sequence[str] = ("",),
) -> Rule:
    floor = np.asarray(limit, np.float64)
    return Rule(kind, streams, np.asarray(params, np.float64), np.zeros(len(floor)), floor, unit, tuple(columns))


def _rows_of(stream: Stream) -> Vector:
    """Return a stream's finite rows, float64 (t, C)."""
    rows = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64)
    kept: Vector = rows[np.isfinite(rows).all(axis=1)]
    return kept


def _forces(name: str, stream: Stream, rows: Vector, *, grip: bool) -> Iterator[Rule]:
    """Yield the rules of a force: force and torque apart, each joint and each finger apart, and what it grips."""
    wide = rows.shape[1]
    fields = stream.fields if len(stream.fields) == wide else ("",) * wide
    last = name.rsplit("/", 1)[-1].casefold()
    said = [f"{field} {stream.unit}" if field or stream.unit else last for field in fields]
    turns = [any(word in one.casefold() for word in TORQUES) for one in said]
    if wide == 6 and not any(turns) and not any(stream.fields):  # a wrench
        turns = [False] * 3 + [True] * 3
    if grip or (wide > 3 and len(set(turns)) == 1):
        group, kinds = list(range(wide)), turns
        words = [field or f"column {at}" for at, field in enumerate(fields)]
    else:
        kinds = sorted(set(turns))
        group, words = [kinds.index(turn) for turn in turns], ["torque" if turn else "force" for turn in kinds]
    floor = [GRIP_FLOOR_N if grip else TORQUE_FLOOR_N_M if turn else FORCE_FLOOR_N for turn in kinds]
    yield _rule("force", name, params=group, limit=floor, unit=stream.unit, columns=words)
    level = GRIP_SHARE * float(np.quantile(np.abs(rows).max(axis=1), 0.95)) if grip else 0.0
    if level > 0.0:
        yield _rule("hold", name, params=[level], limit=[0.0, 0.0], columns=("times", "shortness"))


def _gripper(name: str, stream: Stream, rows: Vector) -> Iterator[Rule]:
    """Yield the rule of a gripper's opening, where it is plain which columns are the opening."""
    if any(word in name.casefold() for word in SPEEDS):
        return
    named = [at for at, field in enumerate(stream.fields) if Role.GRIPPER in roles_of(field)]
    columns = named or (list(range(rows.shape[1])) if rows.shape[1] <= 2 else [])
    opening = np.abs(rows[:, columns]).sum(axis=1)
    stroke = float(opening.max() - opening.min()) if columns else 0.0
    if stroke > 0.0:
        yield _rule("closing", name, params=[stroke, *columns], limit=[CLOSING_FLOOR], unit="of its stroke")


def _motion(name: str, commands: Sequence[str], normal: Sequence[Seen], wholes: Sequence[Whole]) -> Iterator[Rule]:
    """Yield the rules of a stream that shows where the robot is."""
    stream = normal[0].streams[name]
    rows = np.concatenate([_rows_of(seen.streams[name]) for seen in normal])
    if not len(rows):
        return
    spread = robust_scale(rows, [rows.shape[1]]).spread
    period_s = float(np.median([1.0 / max(seen.streams[name].rate_hz, 1e-9) for seen in normal]))
    fields = stream.fields if len(stream.fields) == rows.shape[1] else ("",) * rows.shape[1]
    columns = [field or f"column {at}" for at, field in enumerate(fields)]
    unit = f"{stream.unit} a step cubed".strip()
    yield _rule(
        "jerk",
        name,
        params=[period_s, *_turns(name, stream, fields)],
        limit=JERK_FLOOR_SPREADS * spread,
        unit=unit,
        columns=columns,
    )
    yield _rule("rest", name, params=spread, limit=[REST_FLOOR_S], unit="s")
    for command in commands:
        wishes = np.concatenate([_rows_of(seen.streams[command]) for seen in normal])
        if not len(wishes):
            continue
        asks = _asks(name, command, wholes, spread)
        about = robust_scale(wishes, [wishes.shape[1]]).spread
        params = np.concatenate([[float(len(spread))], spread, about, asks])
        yield _rule("blocked", name, command, params=params, limit=[BLOCKED_FLOOR_S], unit="s")


def _turns(name: str, stream: Stream, fields: Sequence[str]) -> list[float]:
    """Return for each column whether it is a number, an angle, or part of a quaternion."""
    kinds = [ANGLE if re.search(r"\brad\b", f"{field} {stream.unit}".casefold()) else 0.0 for field in fields]
    at = fields.index("qx") if "qx" in fields else 0
    if tuple(fields[at : at + 4]) == QUATERNIONS or (len(fields) == 4 and re.search("quat|orientation|rotation", name)):
        kinds[at : at + 4] = [QUATERNION] * 4
    return kinds


def _asks(name: str, command: str, wholes: Sequence[Whole], spread: Vector) -> Vector:
    """Return how large each column of a command must be to ask for motion: above what it is while the robot rests."""
    rests = [np.zeros((0, wholes[0].rows(command)[1].shape[1]))]
    for whole in wholes:
        (t_ns, _), (wished_ns, wishes) = whole.rows(name), whole.rows(command)
        if t_ns.size and wished_ns.size:
            at, wished = latest(t_ns, whole.beats), latest(wished_ns, whole.beats)
            rested = (at >= 0) & ((whole.beats - whole.moved_ns(name, spread)[at]) / 1e9 >= BLOCKED_FLOOR_S / 2)
            rests.append(np.abs(wishes[wished[rested & (wished >= 0)]]))
    at_rest = np.concatenate(rests)
    if not len(at_rest):
        return np.full(at_rest.shape[1], np.inf)
    asks: Vector = ASKS_MARGIN * at_rest.max(axis=0)
    return asks
