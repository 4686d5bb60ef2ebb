"""What a stream's stamps say by themselves: gaps, jitter, drops, duplicates, impossible times, clocks apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.models.roles import Role, roles_of

__all__ = ["Stamps", "check_spans", "check_stamps", "stamps_of"]

YEAR_2000_NS = 946_684_800_000_000_000
DAY_NS = 86_400_000_000_000
UNSTEADY = 0.5
"""Where the periods' quartile range exceeds half of the median period, there is no rate to count drops by."""
FEWEST_N = 16
LONG_GAP_S = 1.0
LOST_SHARE = 0.10
PARTLY = ("action/operator",)


@dataclass(frozen=True)
class Stamps:
    """A stream's or camera's stamps and whose they are; `also` are further streams that came in the same messages."""

    name: str
    t_ns: NDArray[np.int64]
    clock: str
    stamp: Stamp
    repeated_rows_n: int = 0
    camera: bool = False
    also: tuple[str, ...] = ()

    @property
    def sparse(self) -> bool:
        """Say whether it may pause without a fault: a topic of commands speaks when there is something to command."""
        return Role.COMMANDED in roles_of(self.name) and not self.name.startswith("action/")


def stamps_of(log: EpisodeLog) -> tuple[Stamps, ...]:
    """Return the stamps of every stream and camera that has any, in order of name; equal stamps are returned once."""
    made = [
        Stamps(name, s.t_ns, s.clock, s.stamp, _repeated_rows_n(s.t_ns, s.values), Role.CAMERA in roles_of(name, s))
        for name, s in log.streams.items()
        if s.t_ns.size and not name.startswith("clock/")
    ]
    made += [
        Stamps(name, v.track.shown_ns, v.track.clock, v.track.stamp, camera=True)
        for name, v in log.videos.items()
        if len(v.track)
    ]
    groups: dict[tuple[str, bool, bytes], list[Stamps]] = {}
    for one in sorted(made, key=lambda one: one.name):
        key = one.clock, one.camera or one.sparse, hashlib.sha256(one.t_ns.tobytes()).digest()
        groups.setdefault(key, []).append(one)
    return tuple(replace(group[0], also=tuple(one.name for one in group[1:])) for group in groups.values())


def check_stamps(stamps: Stamps, *, now_ns: int | None = None) -> list[Finding]:
    """Look at one stream's stamps; those that were made from a rate can only be outside of all time."""
    found = _impossible(stamps, now_ns)
    if stamps.stamp is Stamp.ASSUMED:
        return found
    steps = np.diff(stamps.t_ns[stamps.t_ns >= YEAR_2000_NS] if _zeros_n(stamps.t_ns) else stamps.t_ns)
    if steps.size + 1 < FEWEST_N:
        return found
    repeated, same = int((steps == 0).sum()), stamps.repeated_rows_n
    if repeated:
        found.append(Finding(
            "clock/duplicates", stamps.name, Severity.WARNING if repeated > 0.01 * steps.size else Severity.NOTE,
            f"{repeated} of {steps.size + 1} samples have the stamp of the one before"
            + (f", {same} of them with equal values: messages that were logged twice" if same else ""),
            figures(samples=repeated, share=repeated / steps.size, equal_rows=same),
        ))  # fmt: skip
    return found + _pace(stamps, steps[steps > 0])


def _pace(stamps: Stamps, steps: NDArray[np.int64]) -> list[Finding]:
    name, t_ns = stamps.name, stamps.t_ns
    if steps.size + 1 < FEWEST_N:
        return []
    low, period, high = (float(q) for q in np.quantile(steps, [0.25, 0.5, 0.75]))
    longest = int(steps.argmax())
    gap_s = float(steps[longest]) / 1e9
    if high - low > UNSTEADY * period:
        said = f"has no steady rate (periods {low / 1e6:.1f} to {high / 1e6:.1f} ms): no drops can be told"
        return [Finding("clock/unsteady", name, Severity.NOTE, said, figures(
            period_ms=period / 1e6, low_ms=low / 1e6, high_ms=high / 1e6, longest_s=gap_s
        ))]  # fmt: skip
    found = []
    lost = np.maximum(np.rint(steps / period).astype(np.int64) - 1, 0)
    share = float(lost.sum() / (lost.sum() + steps.size))
    if lost.any():
        grave = Severity.FAULT if share > LOST_SHARE else Severity.WARNING if share > 0.01 else Severity.NOTE
        found.append(Finding(
            "clock/drops", name, Severity.NOTE if stamps.sparse else grave,
            f"{int(lost.sum())} samples are missing at its own rate of {1e9 / period:.4g} Hz, {share:.1%} of it, in "
            f"{int((lost > 0).sum())} places",
            figures(samples=int(lost.sum()), share=share, places=int((lost > 0).sum()), rate_hz=1e9 / period),
        ))  # fmt: skip
    if gap_s > LONG_GAP_S and steps[longest] > 5.0 * period:
        at = int(np.flatnonzero(np.diff(t_ns) == steps[longest])[0])
        at_s, gaps = (int(t_ns[at]) - int(t_ns[0])) / 1e9, int((steps > 5.0 * period).sum())
        found.append(Finding(
            "clock/gap", name, Severity.NOTE if stamps.sparse else Severity.WARNING,
            f"nothing for {gap_s:.2f} s, {at_s:.1f} s after its first sample; {gaps} such gaps",
            figures(longest_s=gap_s, at_s=at_s, gaps=gaps),
        ))  # fmt: skip
    jitter = 1.4826 * float(np.median(np.abs(steps - period)))
    if jitter > 0.1 * period:
        found.append(Finding(
            "clock/jitter", name, Severity.NOTE,
            f"its period of {period / 1e6:.2f} ms varies by {jitter / 1e6:.2f} ms",
            figures(period_ms=period / 1e6, jitter_ms=jitter / 1e6),
        ))  # fmt: skip
    return found


def _zeros_n(t_ns: NDArray[np.int64]) -> int:
    """Count stamps before the year 2000 beside later ones; 0 where the clock counts from its own zero."""
    return int(np.searchsorted(t_ns, YEAR_2000_NS)) if int(t_ns[-1]) >= YEAR_2000_NS else 0


def _impossible(stamps: Stamps, now_ns: int | None) -> list[Finding]:
    found = []
    zeros = _zeros_n(stamps.t_ns)
    if zeros:
        found.append(Finding(
            "clock/zero", stamps.name, Severity.FAULT,
            f"{zeros} of {stamps.t_ns.size} stamps lie before the year 2000 and the rest after it: they were never set",
            figures(samples=zeros, share=zeros / stamps.t_ns.size),
        ))  # fmt: skip
    ahead = stamps.t_ns.size - int(np.searchsorted(stamps.t_ns, now_ns + DAY_NS)) if now_ns is not None else 0
    if now_ns is not None and ahead:
        found.append(Finding(
            "clock/future", stamps.name, Severity.FAULT,
            f"{ahead} of {stamps.t_ns.size} stamps lie more than a day after the log was taken in",
            figures(samples=ahead, share=ahead / stamps.t_ns.size, days=(int(stamps.t_ns[-1]) - now_ns) / DAY_NS),
        ))  # fmt: skip
    return found


def check_spans(stamps: Sequence[Stamps], *, linked: Mapping[str, str]) -> list[Finding]:
    """Say which clocks, and which streams, do not meet the others in time.

    Args:
        stamps: of every stream and camera.
        linked: clocks that a map leads to another: they may count from where they like.
    """
    spans: dict[str, tuple[int, int]] = {}
    for one in stamps:
        own = (int(one.t_ns[min(_zeros_n(one.t_ns), one.t_ns.size - 1)]), int(one.t_ns[-1]))
        old = spans.get(one.clock, own)
        spans[one.clock] = (min(own[0], old[0]), max(own[1], old[1]))
    if len(spans) < 2:
        return _disjoint(stamps) + _partial(stamps)
    main = max(sorted(spans), key=lambda clock: sum(one.clock == clock for one in stamps))
    found = []
    for clock, (start, end) in sorted(spans.items()):
        if clock == main or {clock, linked.get(clock, clock)} & {main, linked.get(main, main)}:
            continue
        if end < spans[main][0] or start > spans[main][1]:
            away_s = (start - spans[main][0]) / 1e9
            names = sorted(one.name for one in stamps if one.clock == clock)
            most = max(one.t_ns.size for one in stamps if one.clock == clock)
            found.append(Finding(
                "clock/apart", names[0], Severity.FAULT if most >= FEWEST_N else Severity.NOTE,
                f"the clock {clock!r} ({', '.join(names[:4])}{' ...' if len(names) > 4 else ''}) never meets {main!r}: "
                f"it starts {away_s:+.1f} s from it, and no pair of stamps says how one reads on the other",
                figures(clock=clock, other=main, away_s=away_s, streams=len(names)),
            ))  # fmt: skip
    return found + _disjoint(stamps) + _partial(stamps)


def _partial(stamps: Sequence[Stamps]) -> list[Finding]:
    """Find streams of a steady rate that begin after, or end before, most others of their clock.

    Cameras are looked at where their pictures are; an operator's actions are there only while he acts.
    """
    found = []
    for clock in sorted({one.clock for one in stamps}):
        group = [one for one in stamps if one.clock == clock and one.t_ns.size >= FEWEST_N]
        if len(group) < 2:
            continue
        start = int(np.median([int(one.t_ns[0]) for one in group]))
        end = int(np.median([int(one.t_ns[-1]) for one in group]))
        for one in group:
            low, period, high = (float(q) / 1e9 for q in np.quantile(np.diff(one.t_ns), [0.25, 0.5, 0.75]))
            late_s, early_s = (int(one.t_ns[0]) - start) / 1e9, (end - int(one.t_ns[-1])) / 1e9
            missing_s, whole_s = max(late_s, 0.0) + max(early_s, 0.0), max((end - start) / 1e9, 1e-9)
            steady = high - low <= UNSTEADY * period
            partly = one.camera or one.sparse or one.name in PARTLY
            if not steady or partly or missing_s <= max(LONG_GAP_S, 5.0 * period, 0.05 * whole_s):
                continue
            if missing_s >= whole_s:
                continue  # it never meets them, which is told of it already
            share = missing_s / whole_s
            found.append(Finding(
                "clock/partial", one.name, Severity.FAULT if share > 0.5 else Severity.WARNING,
                f"begins {late_s:+.2f} s after and ends {early_s:+.2f} s before most others: {share:.0%} of "
                "the time is without it",
                figures(late_s=late_s, early_s=early_s, share=share),
            ))  # fmt: skip
    return found


def _disjoint(stamps: Sequence[Stamps]) -> list[Finding]:
    """Find streams that share no instant with the rest of their own clock."""
    found = []
    for one in stamps:
        others = [
            other for other in stamps if other.clock == one.clock and other is not one and other.t_ns.size >= FEWEST_N
        ]
        if not others or one.t_ns.size < FEWEST_N:
            continue  # a few messages may well come all at another time
        start, end = min(int(o.t_ns[0]) for o in others), max(int(o.t_ns[-1]) for o in others)
        if int(one.t_ns[-1]) < start or int(one.t_ns[0]) > end:
            away_s = (int(one.t_ns[0]) - start) / 1e9
            found.append(Finding(
                "clock/apart", one.name, Severity.FAULT,
                f"shares no instant with the others of its clock {one.clock!r}: it starts {away_s:+.1f} s from them",
                figures(clock=one.clock, away_s=away_s),
            ))  # fmt: skip
    return found


def _repeated_rows_n(t_ns: NDArray[np.int64], values: NDArray[np.generic]) -> int:
    at = np.flatnonzero(np.diff(t_ns) == 0)
    if not at.size:
        return 0
    same = values[at] == values[at + 1]
    return int(np.asarray(same).reshape(at.size, -1).all(axis=1).sum())
