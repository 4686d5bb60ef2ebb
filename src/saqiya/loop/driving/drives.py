"""Drives of a workspace: from a lease to what a process lets a person drive, and from its journal to a submission.

A journal is taken in the same way whether its try was saved or cut off: as one episode. What was saved is handed in for
its lease; what was cut off is an aborted try, and the lease runs out by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from saqiya.correct import stage as correct
from saqiya.domain.contracts import Roll
from saqiya.domain.controls import Controls
from saqiya.domain.ids import Digest, PolicyId
from saqiya.domain.nouns import (
    AuthorKind,
    Calibration,
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Outcome,
    OutcomeClaim,
    Source,
    Submission,
)
from saqiya.errors import GuardRefusal, InvalidEpisode, SaqiyaError
from saqiya.formats.mcap.log import McapFormat
from saqiya.loop.driving import journal
from saqiya.loop.driving.cockpit import Order, controls_of, pace_of
from saqiya.loop.driving.journal import Drove
from saqiya.loop.people.claims import Lease

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Begin", "Drives", "Settled"]

SUFFIX = ".drive"


class Begin(StrEnum):
    """Where a drive begins: at the failure's restored state, with the policy at work, or with the person alone."""

    FAILURE = "failure"
    WATCH = "watch"
    WHOLE = "whole"


@dataclass(frozen=True)
class Settled:
    """What became of a drive: its episode (None when the person did nothing), and what was handed in.

    `lost` says why a saved try could not be handed in; it is stored all the same.
    """

    episode: Episode | None
    submission: Submission | None = None
    lost: str = ""


class Drives:
    """What can be driven in a workspace, and what became of it."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog
        self.place = wheel.store.spool / "drives"

    def ways(self, lease: Lease) -> tuple[Begin, ...]:
        """Return where a drive for a lease can begin, the usual way first.

        Raises:
            GuardRefusal: nothing here can be driven for it.
        """
        request = lease.request
        if not self.wheel.turning:
            raise GuardRefusal(
                "has no simulated site to drive",
                subject=str(self.wheel.store.root.name),
                remedy="Record it on the robot.",
            )
        if not request.starts:
            raise GuardRefusal(
                "names no start that could be set up here",
                subject=self.catalog.key_of(request.id),
                remedy="Record it where it happened, and hand in the recording.",
            )
        rescue = request.correction_kind in {CorrectionKind.TAKEOVER, CorrectionKind.RECOVERY}
        at_failure = (Begin.FAILURE,) if rescue and (request.failures or request.tries) else ()
        watched = (Begin.WATCH,) if request.target != correct.BOOTSTRAP and self.wheel.champion() else ()
        return (*at_failure, *watched, Begin.WHOLE) if at_failure else (Begin.WHOLE, *watched)

    def controls(self) -> tuple[Controls, float]:
        """Return how the site is driven, and how many steps a second."""
        return controls_of(self.wheel.site), pace_of(self.wheel.site.spec.rate_hz)

    def order(self, lease: Lease, begin: Begin | None = None) -> Order:
        """Return what a process is to let the holder of a lease drive.

        Raises:
            GuardRefusal: it cannot begin there.
        """
        ways = self.ways(lease)
        begin = begin or ways[0]
        if begin not in ways:
            raise GuardRefusal(
                f"cannot begin with {begin.value!r}", subject=lease.id, remedy=f"Use one of {', '.join(ways)}."
            )
        key, path = self._free(lease)
        task = self.wheel.roller.task(self._roll(lease, begin, key))
        asked = {"lease": lease.id, "request": self.catalog.key_of(lease.request.id), "begin": begin.value}
        return Order(self.wheel.config.site.name, task.told(asked), path)

    def settle(self, path: Path) -> Settled:
        """Take in what a drive left, and hand it in where the person saved it; told twice, it is taken in once.

        Raises:
            InvalidEpisode: the journal is none.
        """
        drove = journal.read(path)
        if not drove.human_steps:
            path.unlink()
            return Settled(None)
        written = path.with_suffix(".mcap")
        if not written.exists():
            McapFormat().write(drove.log(), written, fsync=True)
        episode = self.wheel.roller.admit(written, drove.head["key"])
        settled = self._hand_in(drove, episode) if drove.end is not None else Settled(episode)
        path.unlink()
        return settled

    def recover(self) -> tuple[Settled, ...]:
        """Take in what drives left whose server died; those that still run are left alone."""
        settled = []
        for path in sorted(self.place.glob(f"*{SUFFIX}")):
            if journal.alive(path):
                continue
            try:
                settled.append(self.settle(path))
            except InvalidEpisode:
                path.unlink()  # killed while its first record was written: nobody had done anything yet
        return tuple(settled)

    def _hand_in(self, drove: Drove, episode: Episode) -> Settled:
        facts, person = drove.head["facts"], drove.head["facts"]["operator"]
        desk, said = self.wheel.desk, (drove.end or {}).get("said", "")
        request = self.catalog.get(facts["request"], CorrectionRequest)
        # Nobody passes an examination on their own word.
        if said and desk.asked(request.id).examines is None:
            claim = OutcomeClaim(
                id=self.catalog.new_id("outcome_claim"),
                episode=episode.id,
                value=Outcome(said),
                author_kind=AuthorKind.PERSON,
                author=person,
                version=str(facts.get("criterion", "")),
                time_ns=self.wheel.clock(),
            )
            self.catalog.put(claim, key=f"{drove.head['key']}/person")
        try:
            made = desk.submit(facts["lease"], person, episode.id, redos=int(drove.facts["redos"]))
        except SaqiyaError as error:
            return Settled(episode, lost=f"{error.what}. {error.remedy}")
        return Settled(episode, made)

    def _roll(self, lease: Lease, begin: Begin, key: str) -> Roll:
        request, config = lease.request, self.wheel.config
        index = lease.slot % len(request.starts)
        if begin is Begin.FAILURE:
            return correct.roll_of(
                self.wheel.store,
                request,
                index,
                key,
                operator=lease.person,
                lead_s=config.correct.lead_s,
                rate_hz=self.wheel.site.spec.rate_hz,
            )
        champion = self.wheel.champion() if begin is Begin.WATCH else None
        source = Source.DEMONSTRATION if request.target == correct.BOOTSTRAP else Source.CORRECTION
        policy = champion[0].id if champion else None
        monitor = self._monitor(policy) if policy else None
        return Roll(key, request.starts[index], source, policy=policy, operator=lease.person, monitor=monitor)

    def _monitor(self, policy: PolicyId) -> Digest | None:
        """Return the newest monitor that was calibrated for a policy and can alarm."""
        made = [one for one in self.catalog.all(Calibration) if one.policy == policy and one.threshold is not None]
        return next((one.monitor for one in reversed(made) if one.monitor is not None), None)

    def _free(self, lease: Lease) -> tuple[str, Path]:
        """Return a key that no episode has and no journal waits for."""
        place, number = f"{self.catalog.key_of(lease.request.id)}/slot/{lease.slot:04d}/{lease.id}/drive", 0
        while True:
            key = f"{place}/{number}"
            path = self.place / f"{key.replace('/', '__')}{SUFFIX}"
            if self.catalog.by_key(Episode, key) is None and not path.exists():
                return key, path
            number += 1
