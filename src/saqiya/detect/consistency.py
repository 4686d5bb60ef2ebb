"""Runtime signal: the policy changes its mind: consecutive chunks disagree about the steps that both speak of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.smoothing import Smoother, smooth
from saqiya.domain.contracts import FittedDetector, Row, Seen, Vector
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.replay import reason_at
from saqiya.models.rows import EXECUTED
from saqiya.models.scaling import robust_scale

__all__ = ["CHUNK", "Consistency"]

CHUNK = "policy/chunk"


class Consistency:
    """Distance between overlapping parts of consecutive action chunks, in typical spreads of an action.

    After STAC (Agia et al. 2024), which compares the distributions of many sampled chunks; here each prediction is one
    chunk, so the distance is the root mean square over the steps that both speak of. How many steps were carried out
    between two predictions is counted in the log, so a policy may change it as it goes. It reads the policy's own
    output and no observation. Measured on the disturbed sites (seeds 11-15): area to the success horizon .980 on
    Metaworld and .946 on tiny; at half of it .795, the best of all signals there, and .838.
    """

    name = "consistency"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - novelty only
        """Learn how far normal actions spread.

        Raises:
            TooLittle: no try logs what was executed.
        """
        done = [one.streams[EXECUTED].values for one in normal if EXECUTED in one.streams]
        tables = [values.reshape(len(values), -1).astype(np.float64) for values in done if len(values)]
        if not tables:
            raise TooLittle(f"no try has the stream {EXECUTED}", remedy="Log what the robot carries out.")
        rows = np.concatenate(tables)
        return _Overlap(robust_scale(rows, [1] * rows.shape[1]).spread)  # actions share no unit with one another

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return _Overlap(arrays["spread"])


@dataclass(frozen=True)
class _Overlap:
    spread: Vector

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps (n,) and smoothed distances (n,), one for each prediction; 0 for the first.

        Raises:
            InvalidEpisode: the try logs no chunks, or no executed actions, or its chunks never overlap.
        """
        chunks, executed = seen.streams.get(CHUNK), seen.streams.get(EXECUTED)
        if chunks is None or not chunks.t_ns.size or executed is None:
            raise InvalidEpisode(
                f"has no stream {CHUNK} beside {EXECUTED}",
                remedy="Use 'dynamics' or 'distance' for a policy that answers one step at a time, and for operators.",
            )
        ahead = _shaped(chunks.values, self.spread)
        begun = np.searchsorted(executed.t_ns, chunks.t_ns)
        apart = [_apart(*pair, self.spread) for pair in zip(ahead[:-1], ahead[1:], np.diff(begun), strict=True)]
        if apart and all(one is None for one in apart):
            raise InvalidEpisode(
                f"its {ahead.shape[1]}-step chunks are carried out whole: no two speak of the same step",
                remedy="Execute fewer steps of each chunk than it has, or do without 'consistency'.",
            )
        return chunks.t_ns, smooth(np.array([0.0, *(one or 0.0 for one in apart)]))

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say how far the last two predictions are apart."""
        return reason_at(self.watch(), seen, (CHUNK, EXECUTED), t_ns)

    def watch(self) -> _Watch:
        """Begin a try."""
        return _Watch(self.spread)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the spread of normal actions."""
        return {"spread": self.spread}


class _Watch:
    def __init__(self, spread: Vector) -> None:
        self._spread, self._smoother = spread, Smoother()
        self._before: Vector | None = None
        self._executed_n, self._told = 0, ""

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:  # noqa: ARG002 - it reads two streams
        """Return the smoothed distance where the policy predicts anew, None between."""
        score, executed_n = None, self._executed_n
        if CHUNK in row:
            chunk = _shaped(row[CHUNK][None], self._spread)[0]
            apart = None if self._before is None else _apart(self._before, chunk, executed_n, self._spread)
            self._told = "" if apart is None else (
                f"the policy now wants something {apart:.2f} typical spreads away from what it wanted "
                f"{executed_n} steps before for the same {len(chunk) - executed_n} steps"
            )  # fmt: skip
            score = self._smoother.add(apart or 0.0)
            self._before, executed_n = chunk, 0
        self._executed_n = executed_n + (EXECUTED in row)
        return score

    def reason(self) -> str:
        """Say how far the last two predictions are apart."""
        return self._told


def _shaped(values: NDArray[Any], spread: Vector) -> Vector:
    """Return chunks as float64 (n, k, d); a watch sees each as one row of numbers."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    fits = flat.shape[1] % len(spread) == 0 and (values.ndim < 3 or values.shape[-1] == len(spread))
    if not fits or not np.isfinite(flat).all():
        raise InvalidEpisode(f"stream {CHUNK} is not finite chunks of {len(spread)} numbers a step")
    return flat.reshape(len(flat), -1, len(spread))


def _apart(before: Vector, now: Vector, executed_n: int, spread: Vector) -> float | None:
    """Return the distance over the steps that both speak of; None where there are none."""
    shared = before[executed_n:]
    if not len(shared):
        return None
    return float(np.sqrt((((now[: len(shared)] - shared) / spread) ** 2).mean()))
