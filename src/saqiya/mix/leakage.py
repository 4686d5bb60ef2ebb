"""Evaluation starts never enter training: this check refuses, it does not repair."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from saqiya.domain.streams import Start
from saqiya.errors import Leakage

__all__ = ["refuse_leakage"]

NAMED_N = 5


def refuse_leakage(training: Mapping[str, Start | None], evaluation: Iterable[Start]) -> tuple[str, ...]:
    """Compare where training episodes began with the evaluation starts, by place (`Start.key`), whatever the seed.

    Args:
        training: start of each episode about to enter training, by episode id; None where nobody knows it.
        evaluation: every start that a gate used or will use.

    Returns:
        The sorted ids of episodes without a known start: they could not be checked, and the caller must say so.

    Raises:
        Leakage: at least one episode began at an evaluation start; the message names episodes and starts.
    """
    held_out = {start.key: start for start in evaluation}
    leaked = sorted(one for one, start in training.items() if start is not None and start.key in held_out)
    if leaked:
        shown = "; ".join(f"{one} began at {_place(training[one])}" for one in leaked[:NAMED_N])
        more = f" and {len(leaked) - NAMED_N} more" if len(leaked) > NAMED_N else ""
        raise Leakage(
            f"{len(leaked)} training episodes began at evaluation starts: {shown}{more}",
            remedy="Leave these episodes out of the mix, or draw fresh evaluation starts.",
        )
    return tuple(sorted(one for one, start in training.items() if start is None))


def _place(start: Start | None) -> str:
    if start is None or not start.factors:
        return f"seed {start.seed}" if start else "an unknown start"
    return ", ".join(f"{name}={value}" for name, value in sorted(start.factors.items()))
