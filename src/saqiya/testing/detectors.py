"""What every detector must keep: see `saqiya.domain.contracts.Detector`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Detector, Explains, FittedDetector, Online, Reloadable, Seen, Vector
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.testing.demand import demand
from saqiya.testing.episodes import make_episode

__all__ = ["check_detector"]

_STEPS = 40


def check_detector(detector: Detector) -> None:
    """Check that a detector keeps the contract, on made-up episodes (`make_episode`).

    One that is `Online` and `Reloadable` is checked as such too: watched step by step, and made again from its arrays;
    one that `Explains` itself must have something to say.

    Raises:
        AssertionError: a sentence of what the contract demands.
    """
    demand(detector.name and detector.version, "A detector must have a name and a version.")
    normal = [_tried(seed) for seed in range(40)]
    failed = [_tried(seed, strange=True) for seed in range(40, 80)]
    fitted = detector.fit(normal, failed)
    strange = _tried(100, strange=True)
    stamps, scores = fitted.score(strange)
    demand(stamps.dtype == np.int64 and stamps.ndim == 1, "score must return stamps as int64 (t,).")
    demand(
        scores.dtype == np.float64 and scores.shape == stamps.shape,
        "score must return scores as float64 (t,), one a stamp.",
    )
    demand(stamps.size > 0 and (np.diff(stamps) >= 0).all(), "score must return at least one stamp, in time order.")
    demand(np.isfinite(scores).all(), "Scores must be finite.")
    for fraction in (0.25, 0.5, 0.8):
        cut_ns = int(stamps[int(fraction * len(stamps))])
        early_stamps, early = fitted.score(strange.until(cut_ns))
        known = int(np.searchsorted(stamps, cut_ns, side="right"))
        demand(
            np.array_equal(early_stamps, stamps[:known]) and np.allclose(early, scores[:known], rtol=1e-9, atol=1e-12),
            "A score must never look ahead: the scores of the first part of a try must not depend on the rest.",
        )
    again = detector.fit(normal, failed).score(strange)
    demand(np.array_equal(again[1], scores), "Equal tries and streams must give equal scores.")
    usual = max(float(fitted.score(_tried(seed))[1].max()) for seed in range(100, 104))
    demand(
        float(scores.max()) > usual,
        "Higher must be worse: a try that leaves all normal ones behind must score above usual ones.",
    )
    if isinstance(fitted, Explains):
        said = fitted.reason(strange, int(stamps[scores.argmax()]))
        demand(bool(said), "A detector that explains itself must say something where its score is highest.")
    if isinstance(fitted, Online) and isinstance(detector, Reloadable):
        _check_online(detector.load(fitted.arrays()), strange, stamps, scores)


def _check_online(reloaded: FittedDetector, seen: Seen, stamps: NDArray[np.int64], scores: Vector) -> None:
    demand(
        np.array_equal(reloaded.score(seen)[1], scores),
        "A detector that is made again from its arrays must give the same scores.",
    )
    demand(isinstance(reloaded, Online), "A detector that is made again from its arrays must be Online too.")
    if not isinstance(reloaded, Online):
        return
    watch, found = reloaded.watch(), {}
    for t_ns, row, events in _rows(seen):
        score = watch.see(t_ns, row, events)
        if score is not None:
            found[t_ns] = score
    demand(
        list(found) == stamps.tolist() and np.allclose(list(found.values()), scores, rtol=1e-6, atol=1e-9),
        "A watched try must give the scores that its log gives.",
    )


def _tried(seed: int, *, strange: bool = False) -> Seen:
    """Return a made-up try with all that a detector may look for: a phase, a shadow policy, a person.

    From its middle on a strange one leaves the others behind: it never reaches the phase, the shadow policy wants
    something else, and shortly before the end a person takes over.
    """
    log = make_episode(seed=seed, success=not strange, strange_from=_STEPS // 2 if strange else None)
    executed, rng = log.streams["action/executed"], np.random.default_rng(seed)
    wish = executed.values + rng.normal(0.0, 0.01, executed.values.shape)
    wish[_STEPS // 2 :] += float(strange)
    late_ns = int(executed.t_ns[3 * _STEPS // 4])
    event = Event(late_ns, "takeover" if strange else "phase/arrive")
    streams = {**log.streams, "shadow/other/action": Stream(executed.t_ns.copy(), wish, executed.clock)}
    return _seen(replace(log, streams=streams, events=tuple(sorted((*log.events, event), key=lambda e: e.t_ns))))


def _seen(log: EpisodeLog) -> Seen:
    """Return what a detector may look at, on one clock and at one rate: a step is what a watch is shown at once."""
    steps = log.streams["action/executed"].t_ns
    streams = {}
    for name, stream in log.streams.items():
        kept = np.isin(stream.t_ns, steps)
        streams[name] = Stream(stream.t_ns[kept], stream.values[kept], stream.clock, stream.stamp)
    return Seen.of(streams, [event for event in log.events if event.t_ns <= int(steps[-1])])


def _rows(seen: Seen) -> Iterator[tuple[int, dict[str, Vector], list[str]]]:
    every = sorted({int(t_ns) for stream in seen.streams.values() for t_ns in stream.t_ns})
    before = -1
    for t_ns in every:
        row = {}
        for name, stream in seen.streams.items():
            at = int(np.searchsorted(stream.t_ns, t_ns))
            if at < len(stream.t_ns) and stream.t_ns[at] == t_ns:
                row[name] = stream.values[at].reshape(-1).astype(np.float64)
        yield t_ns, row, [event.name for event in seen.events if before < event.t_ns <= t_ns]
        before = t_ns
