"""Everything that is drawn comes from one seed and the name of what it is for, so a turn can be repeated."""

from __future__ import annotations

from saqiya.domain.contracts import Site
from saqiya.domain.ids import digest_of
from saqiya.domain.streams import Start

__all__ = ["seed", "starts"]


def seed(run_seed: int, purpose: str, turn: int, index: int) -> int:
    """Return a 31-bit seed for one draw; different purposes, turns and indexes never share one by design."""
    return int(digest_of(f"{run_seed}/{purpose}/{turn}/{index}".encode())[:8], 16) >> 1


def starts(site: Site, run_seed: int, purpose: str, turn: int, count: int, *, region: float) -> tuple[Start, ...]:
    """Draw `count` starts from the middle `region` of every factor's range."""
    return tuple(site.sample_start(seed(run_seed, purpose, turn, i), region=region) for i in range(count))
