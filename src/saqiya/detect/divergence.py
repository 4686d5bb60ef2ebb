"""Runtime signal: how far what was executed lies from what a policy in the shadow would have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.rowwise import Rowwise
from saqiya.domain.contracts import FittedDetector, Seen, Vector
from saqiya.errors import InvalidEpisode, TooLittle
from saqiya.models.rows import EXECUTED, names_array, names_of, side_by_side, widths
from saqiya.models.scaling import robust_scale

__all__ = ["SHADOW", "Divergence"]

SHADOW = "shadow/"
WISH = "/action"
LEAST_SHARE = 0.05
"""Two policies that agree exactly in normal tries are still this share of an action's spread apart."""


class Divergence:
    """Distance between what was executed and what a shadow policy would have done, 1.0 being usual in normal tries.

    It reads streams "shadow/<name>/action" (`loop.tries.shadow` makes them from a log, `rollout` while a try runs) and
    "action/executed". Each dimension is divided by the root mean square of the difference in normal tries, so that
    the two policies' own noise counts as nothing, never by less than a twentieth of the executed actions' spread. The
    score is the mean over dimensions (root mean square), smoothed; of several shadows, that of the farthest.
    """

    name = "divergence"
    version = "1"

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:  # noqa: ARG002 - what is usual
        """Learn how far the two are apart in normal tries; those without a shadow (demonstrations) are passed over.

        Raises:
            TooLittle: no normal try has a shadow policy and executed actions.
            InvalidEpisode: the shadow is a policy of another robot: its actions have another width.
        """
        known = [seen.streams for seen in normal if EXECUTED in seen.streams and _shadows(seen)]
        names = sorted(set.intersection(*(set(_shadows(Seen(streams))) for streams in known)) if known else ())
        if not names:
            raise TooLittle(
                "no normal try has a shadow policy's actions", remedy="Run one over the log (saqiya.loop.tries.shadow)."
            )
        wide = {width for streams in known for width in widths(streams, (*names, EXECUTED))}
        if len(wide) > 1:
            raise InvalidEpisode(
                f"a shadow policy's action and the executed one have {' and '.join(map(str, sorted(wide)))} numbers",
                remedy="Run a policy of this robot.",
            )
        rows = np.concatenate([side_by_side(streams, (*names, EXECUTED))[1] for streams in known])
        apart = rows.reshape(len(rows), len(names) + 1, -1)
        least = LEAST_SHARE * robust_scale(apart[:, -1], [apart.shape[2]]).spread
        usual = np.sqrt(np.mean((apart[:, :-1] - apart[:, -1:]) ** 2, axis=0))
        return Rowwise(_Pair((*names, EXECUTED), np.maximum(usual, least)))

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the detector again from its arrays."""
        return Rowwise(_Pair(names_of(arrays["names"]), arrays["usual"]))


def _shadows(seen: Seen) -> tuple[str, ...]:
    return tuple(
        name
        for name, stream in seen.streams.items()
        if name.startswith(SHADOW) and name.endswith(WISH) and stream.t_ns.size
    )


@dataclass(frozen=True)
class _Pair:
    """The shadows' streams and the executed one, and how far apart they usually are: float64 (shadows, d)."""

    names: tuple[str, ...]
    usual: Vector

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.usual.shape[1],) * len(self.names)

    def strangeness(self, rows: Vector) -> Vector:
        """Return the farthest shadow's distance at each row, 1.0 being usual."""
        apart = self._apart(rows)
        found: Vector = np.sqrt(np.mean(apart**2, axis=2)).max(axis=1)
        return found

    def apart(self, row: Vector) -> tuple[Vector, str]:
        """Return how far each shadow's action is from the executed one."""
        apart = self._apart(row[None])[0].reshape(-1)
        return np.concatenate([apart, np.zeros(self.usual.shape[1])]), "what was executed"

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the names and what is usual."""
        return {"names": names_array(self.names), "usual": self.usual}

    def _apart(self, rows: Vector) -> Vector:
        table = rows.reshape(len(rows), len(self.names), -1)
        scaled: Vector = (table[:, :-1] - table[:, -1:]) / self.usual
        return scaled
