"""Runtime signal: how much the members of a policy's ensemble disagree about the next action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import WINDOW_N, Smoother, smooth
from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector, Watch
from saqiya.errors import InvalidEpisode
from saqiya.models.replay import reason_at

__all__ = ["UNCERTAINTY", "Disagreement"]

UNCERTAINTY = "policy/uncertainty"


class Disagreement:
    """Disagreement as the rollout logged it, smoothed: of an ensemble's members, or of passes with dropout.

    Ensembles: Lakshminarayanan et al. 2017; dropout: Gal and Ghahramani 2016. It needs no fitting.
    """

    name = "disagreement"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - the policy was fitted
        """Return the detector: what is normal lies in the policy's weights and is calibrated on successes."""
        return _Logged()

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:  # noqa: ARG002 - there are none
        """Return the detector."""
        return _Logged()


@dataclass(frozen=True)
class _Logged:
    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed disagreement (t,).

        Raises:
            InvalidEpisode: the episode logs no uncertainty: a policy without samples acted, or an operator.
        """
        stream = seen.streams.get(UNCERTAINTY)
        if stream is None or not stream.t_ns.size:
            raise InvalidEpisode(
                f"has no stream {UNCERTAINTY}", remedy="Use the detector 'distance' for a policy without samples."
            )
        values = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64).mean(axis=1)
        if not np.all(np.isfinite(values)):
            raise InvalidEpisode(f"stream {UNCERTAINTY} holds a value that is not finite")
        return stream.t_ns, smooth(values)

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say how much the members disagree."""
        return reason_at(_Watch(), seen, (UNCERTAINTY,), t_ns)

    def watch(self) -> Watch:
        """Begin a try."""
        return _Watch()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return nothing: nothing was learned."""
        return {}


class _Watch:
    def __init__(self) -> None:
        self._smoother, self._score = Smoother(), 0.0

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads one stream
        """Return the smoothed disagreement, None where the policy gave none."""
        values = row.get(UNCERTAINTY)
        if values is None:
            return None
        if not np.isfinite(values).all():
            raise InvalidEpisode(f"stream {UNCERTAINTY} holds a value that is not finite")
        self._score = self._smoother.add(float(values.mean()))
        return self._score

    def reason(self) -> str:
        """Say how much the members disagree."""
        apart = f"{self._score:.3g}, in the action's own unit"
        return f"the policy's members disagree by {apart}, over the last {WINDOW_N} steps"
