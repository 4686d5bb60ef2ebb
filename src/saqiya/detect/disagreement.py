"""Runtime signal: how much the members of a policy's ensemble disagree about the next action."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import smooth
from saqiya.domain.contracts import FittedDetector, Vector
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode

__all__ = ["UNCERTAINTY", "Disagreement"]

UNCERTAINTY = "policy/uncertainty"


class Disagreement:
    """Ensemble disagreement as the rollout logged it, smoothed (Lakshminarayanan et al. 2017; needs no fitting)."""

    name = "disagreement"
    version = "1"

    def fit(self, training: Sequence[Mapping[str, Stream]]) -> FittedDetector:  # noqa: ARG002 - the policy was fitted
        """Return the detector: what is normal lies in the ensemble's weights and is calibrated on successes."""
        return _Logged()


@dataclass(frozen=True)
class _Logged:
    def score(self, streams: Mapping[str, Stream]) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (t,) and smoothed disagreement (t,).

        Raises:
            InvalidEpisode: the episode logs no uncertainty: a policy without an ensemble acted, or an operator.
        """
        stream = streams.get(UNCERTAINTY)
        if stream is None or not stream.t_ns.size:
            raise InvalidEpisode(
                f"has no stream {UNCERTAINTY}", remedy="Use the detector 'distance' for a policy without an ensemble."
            )
        values = stream.values.reshape(len(stream.t_ns), -1).astype(np.float64).mean(axis=1)
        if not np.all(np.isfinite(values)):
            raise InvalidEpisode(f"stream {UNCERTAINTY} holds a value that is not finite")
        return stream.t_ns, smooth(values)
