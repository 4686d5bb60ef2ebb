"""What was said and found of an episode: outcomes with their authors, factors, failures, alarms; and its relatives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from saqiya.domain.nouns import (
    Alarm,
    Correction,
    Episode,
    FactorClaim,
    Failure,
    FailureMode,
    ModeName,
    OutcomeClaim,
)
from saqiya.loop.episode.bands import Band

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel
    from saqiya.stores.catalog import Catalog

__all__ = ["Factor", "Moment", "Said", "like", "said_of"]


@dataclass(frozen=True)
class Factor:
    """A factor's value, and who says so: a person by name, or "log", "rule", "suggested"."""

    name: str
    value: str
    by: str


@dataclass(frozen=True)
class Moment:
    """A failure of the episode: its id, what it is called, its phase, and the moment to look at first."""

    failure: str
    label: str
    phase: str
    t_ns: int


@dataclass(frozen=True)
class Said:
    """What people, rules and detectors said of an episode."""

    outcomes: tuple[OutcomeClaim, ...]
    factors: tuple[Factor, ...]
    failures: tuple[Moment, ...]
    alarms: tuple[Band, ...]
    corrections: tuple[Correction, ...]

    def since(self, zero_ns: int) -> Said:
        """Return the same with moments counted from `zero_ns`."""
        failures = tuple(replace(one, t_ns=one.t_ns - zero_ns) for one in self.failures)
        alarms = tuple(
            replace(one, start_ns=one.start_ns - zero_ns, end_ns=one.end_ns - zero_ns) for one in self.alarms
        )
        return replace(self, failures=failures, alarms=alarms)


def said_of(wheel: Flywheel, episode: Episode) -> Said:
    """Gather what was said of an episode, oldest first."""
    catalog = wheel.store.catalog
    claims = {claim.factor: claim for claim in catalog.referring(episode.id, FactorClaim)}
    known = wheel.pump.factors.known([episode]).said[0]
    factors = [
        Factor(name, str(one.value), claims[name].author if one.by == "person" and name in claims else one.by)
        for name, one in sorted(known.items())
    ]
    failures = catalog.referring(episode.id, Failure)
    return Said(
        outcomes=tuple(catalog.referring(episode.id, OutcomeClaim)),
        factors=tuple(factors),
        failures=tuple(Moment(one.id, _label(catalog, one.id), one.phase, one.moment_ns) for one in failures),
        alarms=tuple(
            Band("alarm", one.detector or "alarm", one.start_ns, one.end_ns, 1.0, one.reason)
            for one in catalog.referring(episode.id, Alarm)
        ),
        corrections=tuple(catalog.referring(episode.id, Correction)),
    )


def like(wheel: Flywheel, episode: Episode, *, limit: int) -> tuple[Episode, ...]:
    """Return other episodes from the same start, and before them those that correct this one or that it corrects."""
    catalog = wheel.store.catalog
    failed = [catalog.get(one.failure, Failure) for one in catalog.referring(episode.id, Correction) if one.failure]
    own = catalog.referring(episode.id, Failure)
    near = [one.episode for one in failed]
    near += [made.episode for one in own for made in catalog.referring(one.id, Correction)]
    same: Iterable[Episode] = ()
    if episode.start is not None:
        key = episode.start.key
        same = (one for one in catalog.all(Episode) if one.start is not None and one.start.key == key)
    ids = dict.fromkeys([*near, *(one.id for one in same)])
    return tuple(catalog.get(one, Episode) for one in list(ids) if one != episode.id)[:limit]


def _label(catalog: Catalog, failure: str) -> str:
    modes = catalog.referring(failure, FailureMode)
    if not modes:
        return ""
    names = catalog.referring(modes[-1].id, ModeName)
    return names[-1].label if names else modes[-1].label
