"""Audit the clocks of a log, and say how one reads on another; no stamp is changed.

Where a log keeps two stamps of a message (the sensor's, and when the logger received it: a stream `clock/<name>`),
their difference is the clocks' offset plus the delay of the delivery, which is never negative. So the line below all
of the differences is the clocks' relation, up to the delay that even the fastest message had: no one-way stamp shows
that part, and every map leaves it out of its uncertainty.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.logged import ClockMap
from saqiya.domain.streams import EpisodeLog, Stamp
from saqiya.ingest.clock_fit import ClockFit, Jump, find_jumps, fit_clock
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.ingest.stamps import check_spans, check_stamps, stamps_of

__all__ = ["VERSION", "ClockAudit", "ClockEstimate", "audit_clocks"]

VERSION = "clock-audit-1"
PAIR = "clock/"
FASTEST_DRIFT_PPM = 500.0
"""Crystals drift by less than 200 ppm over all temperatures; two of them differ by less than twice that."""
LONGEST_DELAY_S = 2.0
"""Streams of one clock may arrive this much apart (a slow camera driver); more is another clock."""
LATE_S = 0.1


@dataclass(frozen=True)
class ClockEstimate:
    """How one clock reads on another, by the streams that show it; see `ClockMap` for the equation.

    Attributes:
        streams: what it was estimated from, the fastest delivery first.
        fit: the figures behind it.
    """

    source: str
    target: str
    streams: tuple[str, ...]
    fit: ClockFit

    def as_map(self, own_id: str, recording: str) -> ClockMap:
        """Return it as the noun that is stored."""
        return ClockMap(
            id=own_id,
            recording=recording,
            source=self.source,
            target=self.target,
            at_ns=self.fit.at_ns,
            offset_ns=self.fit.offset_ns,
            drift_ppm=self.fit.drift_ppm,
            uncertainty_ns=self.fit.uncertainty_ns,
            method=self.fit.method,
            version=VERSION,
        )


@dataclass(frozen=True)
class ClockAudit:
    """What the stamps of a log are worth, and how its clocks read on one another."""

    findings: tuple[Finding, ...]
    estimates: tuple[ClockEstimate, ...]


@dataclass(frozen=True)
class _Pair:
    """A stream's two kinds of stamps, in the order in which the sensor made them."""

    name: str
    source: str
    sensor_ns: NDArray[np.int64]
    receive_ns: NDArray[np.int64]
    fit: ClockFit
    jumps: tuple[Jump, ...]


def audit_clocks(log: EpisodeLog, *, now_ns: int | None = None) -> ClockAudit:
    """Look at every stream's stamps, alone and beside one another.

    Args:
        log: the whole recording where there is one: drift is seen the better the longer it lasts.
        now_ns: when the log was taken in; stamps after it are in the future. None leaves that out.
    """
    found: list[Finding] = []
    stamps = stamps_of(log)
    for one in stamps:
        also = f" (and so do {len(one.also)} more streams with the same stamps)" if one.also else ""
        found += [replace(said, what=said.what + also) for said in check_stamps(one, now_ns=now_ns)]
    assumed = sum(1 + len(one.also) for one in stamps if one.stamp is Stamp.ASSUMED)
    whole = sum(1 + len(one.also) for one in stamps)
    if assumed:
        found.append(Finding(
            "clock/assumed", "", Severity.NOTE,
            f"the source stored no time for {assumed} of {whole} streams: their stamps were made from a "
            "rate, and show neither gap nor delay",
            figures(streams=assumed, of=whole),
        ))  # fmt: skip
    pairs = [pair for name in sorted(log.streams) if (pair := _pair(log, name)) is not None]
    for pair in pairs:
        found += _check_pair(pair)
    found += _check_late(pairs)
    found += _check_jumps(pairs)
    estimates, torn = _estimates(pairs, _receiver(log))
    found += torn
    found += check_spans(stamps, linked=_linked(estimates))
    return ClockAudit(tuple(found), estimates)


def _pair(log: EpisodeLog, name: str) -> _Pair | None:
    stream = log.streams[name]
    if not name.startswith(PAIR) or stream.t_ns.size < 2 or stream.values.dtype.kind not in "iu":
        return None
    receive = stream.values.reshape(stream.t_ns.size, -1)[:, 0].astype(np.int64)
    about = name.removeprefix(PAIR)
    jumps = find_jumps(stream.t_ns, receive)
    return _Pair(about, stream.clock, stream.t_ns, receive, fit_clock(stream.t_ns, receive, jumps), jumps)


def _receiver(log: EpisodeLog) -> str:
    """Name the logger's clock: that of the streams that have only its stamps."""
    names = [s.clock for s in log.streams.values() if s.stamp is Stamp.RECEIVE]
    names += [v.track.clock for v in log.videos.values() if v.track.stamp is Stamp.RECEIVE]
    return max(sorted(set(names)), key=names.count) if names else "log"


def _check_pair(pair: _Pair) -> list[Finding]:
    fit, name = pair.fit, pair.name
    said = figures(
        offset_s=fit.offset_ns / 1e9,
        drift_ppm=fit.drift_ppm,
        uncertainty_ms=fit.uncertainty_ns / 1e6,
        delay_median_ms=fit.delay_median_ns / 1e6,
        delay_95_ms=fit.delay_95_ns / 1e6,
        delay_most_ms=fit.delay_most_ns / 1e6,
        samples=fit.samples,
    )
    found = [
        Finding(
            "clock/skew", name, Severity.NOTE,
            f"the logger's clock reads {fit.offset_ns / 1e9:+.4f} s against this stream's, drifting "
            f"{fit.drift_ppm:+.1f} ppm, known to {fit.uncertainty_ns / 1e6:.2f} ms; half of the messages arrive "
            f"{fit.delay_median_ns / 1e6:.1f} ms after the fastest, 95 % within {fit.delay_95_ns / 1e6:.1f} ms",
            said,
        )
    ]  # fmt: skip
    resolved = abs(fit.drift_ppm) > FASTEST_DRIFT_PPM + fit.drift_uncertainty_ppm
    if resolved and not pair.jumps:
        found.append(Finding(
            "clock/drift", name, Severity.WARNING,
            f"its clock drifts by {fit.drift_ppm:+.0f} ppm against the logger's: no crystal does that, so its stamps "
            "are made from a nominal rate or by a clock that is being steered",
            said,
        ))  # fmt: skip
    back = np.flatnonzero(np.diff(pair.receive_ns) < 0)
    if back.size:
        share = back.size / (pair.receive_ns.size - 1)
        worst_s = float(-np.diff(pair.receive_ns)[back].min()) / 1e9
        found.append(Finding(
            "clock/reordered", name, Severity.WARNING if share > 0.01 else Severity.NOTE,
            f"{back.size} of {pair.receive_ns.size} messages were received before one that the sensor took earlier, "
            f"by up to {worst_s:.3f} s",
            figures(messages=int(back.size), share=share, worst_s=worst_s),
        ))  # fmt: skip
    return found


def _check_late(pairs: Sequence[_Pair]) -> list[Finding]:
    """Report uneven delays once a clock: it is the logger, or the way to it, that is late."""
    found = []
    for clock in sorted({pair.source for pair in pairs}):
        late = [one for one in pairs if one.source == clock and one.fit.delay_95_ns > LATE_S * 1e9]
        if late:
            worst = max(late, key=lambda one: one.fit.delay_95_ns)
            others = f" (and {len(late) - 1} streams more)" if len(late) > 1 else ""
            found.append(Finding(
                "clock/late", worst.name, Severity.WARNING,
                f"messages come late unevenly{others}: 5 % more than {worst.fit.delay_95_ns / 1e6:.0f} ms after "
                "the fastest; use the sensor's stamps, not the logger's",
                figures(delay_95_ms=worst.fit.delay_95_ns / 1e6, streams=len(late)),
            ))  # fmt: skip
    return found


def _check_jumps(pairs: Sequence[_Pair]) -> list[Finding]:
    """Report clock jumps; one that several streams show at one moment is the logger's own."""
    found = []
    for pair in pairs:
        for jump in pair.jumps:
            others = [
                other.name
                for other in pairs
                if other.source != pair.source
                and any(
                    abs(one.receive_ns - jump.receive_ns) < 2e9
                    and abs(one.step_ns - jump.step_ns) < 5e6 + 0.1 * abs(jump.step_ns)
                    for one in other.jumps
                )
            ]
            at_s = (jump.sensor_ns - int(pair.sensor_ns[0])) / 1e9
            whose = "the logger's clock, for other clocks show it too," if others else "one of the two clocks"
            found.append(Finding(
                "clock/jump", pair.name, Severity.FAULT,
                f"{whose} jumped by {jump.step_ns / 1e9:+.3f} s, {at_s:.1f} s "
                "after this stream's first sample; stamps before and after it have no common zero",
                figures(step_s=jump.step_ns / 1e9, sensor_ns=jump.sensor_ns, receive_ns=jump.receive_ns),
            ))  # fmt: skip
    return found


def _estimates(pairs: Sequence[_Pair], target: str) -> tuple[tuple[ClockEstimate, ...], list[Finding]]:
    """One estimate a clock; streams that cannot be of one clock, though they are named so, get one each."""
    clocks: dict[str, list[_Pair]] = {}
    for pair in pairs:
        clocks.setdefault(pair.source, []).append(pair)
    made: list[ClockEstimate] = []
    found: list[Finding] = []
    for clock, group in sorted(clocks.items()):
        ordered = sorted(group, key=lambda one: (one.fit.offset_ns, one.name))
        fastest = ordered[0]
        apart = [one for one in ordered[1:] if not _one_clock(fastest.fit, one.fit)]
        for one in apart:
            found.append(Finding(
                "clock/several", one.name, Severity.WARNING,
                f"its stamps are named {clock!r} like those of {fastest.name}, but the two lie "
                f"{(one.fit.offset_ns - fastest.fit.offset_ns) / 1e9:+.3f} s and "
                f"{one.fit.drift_ppm - fastest.fit.drift_ppm:+.0f} ppm apart: they are two clocks",
                figures(
                    offset_s=(one.fit.offset_ns - fastest.fit.offset_ns) / 1e9,
                    drift_ppm=one.fit.drift_ppm - fastest.fit.drift_ppm,
                ),
            ))  # fmt: skip
            made.append(ClockEstimate(f"{clock}:{one.name}", target, (one.name,), one.fit))
        alike = tuple(one.name for one in ordered if one not in apart)
        made.append(ClockEstimate(clock, target, alike, _best(ordered, apart)))
    return tuple(sorted(made, key=lambda one: one.source)), found


def _best(ordered: Sequence[_Pair], apart: Sequence[_Pair]) -> ClockFit:
    """Take the fastest stream's offset: the other streams of the same clock are only later, never earlier."""
    alike = [one.fit for one in ordered if one not in apart]
    return replace(
        alike[0], method=f"{alike[0].method}; fastest of {len(alike)}" if len(alike) > 1 else alike[0].method
    )


def _one_clock(a: ClockFit, b: ClockFit) -> bool:
    unsure_ns = a.uncertainty_ns + b.uncertainty_ns
    unsure_ppm = a.drift_uncertainty_ppm + b.drift_uncertainty_ppm
    at_a_ns = a.offset_at(b.at_ns)
    near = abs(b.offset_ns - at_a_ns) <= LONGEST_DELAY_S * 1e9 + unsure_ns
    return near and abs(a.drift_ppm - b.drift_ppm) <= max(5.0, 2.0 * unsure_ppm)


def _linked(estimates: Sequence[ClockEstimate]) -> Mapping[str, str]:
    return {one.source: one.target for one in estimates}
