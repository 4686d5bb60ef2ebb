"""A policy in the shadow, afterwards: what it would have done on the observations that a log holds.

It is shown what the acting policy saw, never what would have come of its own actions: its answer is what it wants here,
and says nothing about how a try of its own would have ended. `rollout` asks one while a try runs, under the same names.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import RunnablePolicy
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode
from saqiya.loop.tries.mind import Mind, uncertainty_of
from saqiya.models.rows import EXECUTED, OBSERVATION, side_by_side, widths

__all__ = ["SAME_RATE", "shadow"]

SAME_RATE = 0.1
"""A log whose control steps come at the policy's rate, give or take this share, is answered step by step."""
_BEAT = "shadow/beat"


def shadow(policy: RunnablePolicy, name: str, streams: Mapping[str, Stream], *, seed: int) -> dict[str, Stream]:
    """Ask `policy` what it would have done at every control step of a log.

    At each step it sees the latest value of every stream it reads, none of them later than the step. It is asked for a
    chunk whenever the last one is used up, as its spec's `execute` says. The steps are those of "action/executed" where
    these come at the policy's rate; else they go on at the policy's own rate from the first instant it can see.

    Args:
        policy: any policy; a black box is enough.
        name: what to call it.
        streams: of one try, "observation/<name>" (or "<name>") for each stream that the policy reads.
        seed: what the policy draws comes from.

    Returns:
        "shadow/<name>/action" (n, d), and "shadow/<name>/uncertainty" (n, 1) where the policy has members or samples.

    Raises:
        InvalidEpisode: a stream that the policy reads is missing, has another width, or holds what is not finite.
        SiteFault: the policy predicts chunks of another shape than its spec says.
    """
    spec = policy.spec
    reads = {one: f"{OBSERVATION}{one}" if f"{OBSERVATION}{one}" in streams else one for one in spec.observation}
    lacks = [one for one, known in reads.items() if known not in streams or not streams[known].t_ns.size]
    if lacks:
        raise InvalidEpisode(
            f"has no stream {', '.join(lacks)}, which the policy reads",
            remedy="Give a log of the policy's own sensors.",
        )
    wide = dict(zip(reads, widths(streams, tuple(reads.values())), strict=True))
    for one, width in spec.observation.items():
        if wide[one] != width:
            raise InvalidEpisode(f"stream {reads[one]} has {wide[one]} numbers, and the policy reads {width}")
    beat = _beat(streams, tuple(reads.values()), spec.rate_hz)
    stamps, rows = side_by_side({**streams, _BEAT: beat}, (*reads.values(), _BEAT))
    mind = Mind(policy)
    mind.begin(seed)
    ends = np.cumsum(list(wide.values())).tolist()
    wishes = [
        mind.wish(
            {one: row[end - wide[one] : end] for one, end in zip(reads, ends, strict=True)},
            lambda _, ask, seen: ask(seen),
        )
        for row in rows
    ]
    made = {"action": np.array([wish.action for wish in wishes], np.float64)}
    if all(wish.members is not None for wish in wishes):
        made["uncertainty"] = uncertainty_of(np.array([wish.members for wish in wishes]))[:, None]
    return {f"shadow/{name}/{what}": Stream(stamps, values, clock=beat.clock) for what, values in made.items()}


def _beat(streams: Mapping[str, Stream], names: tuple[str, ...], rate_hz: float) -> Stream:
    """Return the control steps to answer, as a stream without columns."""
    executed = streams.get(EXECUTED)
    if executed is not None and abs(executed.rate_hz - rate_hz) <= SAME_RATE * rate_hz:
        return _bare(executed.t_ns.copy(), executed.clock)
    first_ns = max(int(streams[name].t_ns[0]) for name in names)
    last_ns = max(int(streams[name].t_ns[-1]) for name in names)
    steps_n = int(max(0, last_ns - first_ns) * rate_hz / 1e9) + 1
    t_ns = first_ns + np.rint(np.arange(steps_n) * (1e9 / rate_hz)).astype(np.int64)
    return _bare(t_ns, streams[names[0]].clock)


def _bare(t_ns: NDArray[np.int64], clock: str) -> Stream:
    return Stream(t_ns, np.empty((len(t_ns), 0)), clock)
