"""What every detector must keep: see `saqiya.domain.contracts.Detector`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from saqiya.domain.contracts import Detector
from saqiya.domain.streams import Stream
from saqiya.testing.demand import demand
from saqiya.testing.episodes import make_episode

__all__ = ["check_detector"]

_STEPS = 40


def check_detector(detector: Detector) -> None:
    """Check that a detector keeps the contract, on made-up episodes (`make_episode`).

    Raises:
        AssertionError: a sentence of what the contract demands.
    """
    demand(detector.name and detector.version, "A detector must have a name and a version.")
    training = [make_episode(seed=seed).streams for seed in range(8)]
    fitted = detector.fit(training)
    streams = make_episode(seed=100, strange_from=_STEPS // 2).streams
    stamps, scores = fitted.score(streams)
    demand(stamps.dtype == np.int64 and stamps.ndim == 1, "score must return stamps as int64 (t,).")
    demand(
        scores.dtype == np.float64 and scores.shape == stamps.shape,
        "score must return scores as float64 (t,), one a stamp.",
    )
    demand(stamps.size > 0 and (np.diff(stamps) >= 0).all(), "score must return at least one stamp, in time order.")
    demand(np.isfinite(scores).all(), "Scores must be finite.")
    for fraction in (0.25, 0.5, 0.8):
        cut_ns = int(stamps[int(fraction * len(stamps))])
        early_stamps, early = fitted.score(_until(streams, cut_ns))
        known = int(np.searchsorted(stamps, cut_ns, side="right"))
        demand(
            np.array_equal(early_stamps, stamps[:known]) and np.allclose(early, scores[:known], rtol=1e-9, atol=1e-12),
            "A score must never look ahead: the scores of the first part of a try must not depend on the rest.",
        )
    again = detector.fit(training).score(streams)
    demand(np.array_equal(again[1], scores), "Equal training and streams must give equal scores.")
    usual = max(float(fitted.score(make_episode(seed=seed).streams)[1].max()) for seed in range(100, 104))
    demand(
        float(scores.max()) > usual,
        "Higher must be worse: a try that leaves all training behind must score above usual ones.",
    )


def _until(streams: Mapping[str, Stream], cut_ns: int) -> dict[str, Stream]:
    """Return what was known at `cut_ns`: every row stamped up to and including it."""
    kept = {}
    for name, stream in streams.items():
        count = int(np.searchsorted(stream.t_ns, cut_ns, side="right"))
        kept[name] = Stream(stream.t_ns[:count].copy(), stream.values[:count].copy(), stream.clock, stream.stamp)
    return kept
