"""Rolls become episodes: run what has not been run, take in what lies in the spool, and forget nothing on the way.

A roll's key is its place in the wheel. A key that is an episode already is answered from the catalog; a recording that
a killed run left complete in the spool is taken in without running it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from saqiya import plugins
from saqiya.domain.contracts import Progress, Roll, Rolled
from saqiya.domain.ids import Clock
from saqiya.domain.nouns import AuthorKind, Episode, Outcome, OutcomeClaim, Policy
from saqiya.errors import SaqiyaError, StorageFull, UsageError
from saqiya.ingest import stage as ingest
from saqiya.loop.account import Account
from saqiya.loop.config import Config
from saqiya.loop.tries.crew import Crew, PolicySource, Ran, Task
from saqiya.stores.workspace import Workspace

__all__ = ["Rolling"]

BATCH = 16
"""Tries that are taken in together: enough to share a transaction and a round of syncs, few enough not to be late."""


class Rolling:
    """Runs rolls for one workspace; an instance is the `Roller` that stages are given."""

    def __init__(
        self, store: Workspace, crew: Crew, config: Config, *, clock: Clock, account: Account, progress: Progress
    ) -> None:
        """Keep what every roll needs."""
        self._store, self._crew, self._config = store, crew, config
        self._clock, self._account, self._progress = clock, account, progress
        self._format = plugins.load("saqiya.formats", "mcap")()
        self._inline = config.run.workers == 0
        _clear(store.spool)

    def __call__(self, rolls: Sequence[Roll]) -> Iterator[Rolled]:
        """Yield what became of each roll, in their order.

        Raises:
            SiteFault: the site failed in a try; every other try is stored first.
            StorageFull: no room; what was stored before stays.
        """
        known: dict[str, Episode] = self._store.catalog.by_keys(Episode, [roll.key for roll in rolls])
        spooled = {roll.key for roll in rolls if roll.key not in known and self._spool(roll).exists()}
        running = self._run([roll for roll in rolls if roll.key not in known and roll.key not in spooled])
        faults: list[SaqiyaError] = []
        what = rolls[0].key.rsplit("/", 1)[0] if rolls else ""
        for first in range(0, len(rolls), BATCH):
            self._progress(what, first, len(rolls))
            batch = rolls[first : first + BATCH]
            ran = {one.key: next(running) for one in batch if one.key not in known and one.key not in spooled}
            faults += [one.fault for one in ran.values() if one.fault]
            self._admit(batch, known)
            yield from self._rolled(batch, known, ran)
        if rolls:
            self._progress(what, len(rolls), len(rolls))
        if faults:
            raise faults[0]

    def task(self, roll: Roll) -> Task:
        """Return all that a process needs to run a roll, or to let a person drive it."""
        return self._task(roll, {policy: self._source(policy) for policy in (roll.policy, roll.shadow)})

    def admit(self, path: Path, key: str) -> Episode:
        """Take in a recording under a key, and remove the file; one that is taken in already only goes."""
        known: dict[str, Episode] = self._store.catalog.by_keys(Episode, [key])
        if key not in known:
            known[key] = ingest.admit(self._store, [(path, key)], self._format, clock=self._clock)[0]
        path.unlink(missing_ok=True)
        return known[key]

    def _admit(self, rolls: Sequence[Roll], known: dict[str, Episode]) -> None:
        """Take in what lies in the spool, in one transaction, while the crew runs on."""
        files = [(self._spool(roll), roll.key) for roll in rolls]
        files = [(path, key) for path, key in files if path.exists()]
        # A run that was killed after the commit has left files whose episodes are known: they only need to go.
        fresh = [(path, key) for path, key in files if key not in known]
        for episode in ingest.admit(self._store, fresh, self._format, clock=self._clock):
            known[self._store.catalog.key_of(episode.id)] = episode
        for path, _ in files:
            path.unlink(missing_ok=True)

    def _run(self, rolls: Sequence[Roll]) -> Iterator[Ran]:
        sources = {policy: self._source(policy) for roll in rolls for policy in (roll.policy, roll.shadow)}
        done = self._crew.run([self._task(roll, sources) for roll in rolls])
        while True:
            if self._inline:
                ran = next(done, None)
            else:
                with self._account.spent("waiting"):
                    ran = next(done, None)
            if ran is None:
                return
            if isinstance(ran.fault, StorageFull):
                raise ran.fault
            (self._account.here if self._inline else self._account.add)(ran.seconds)
            yield ran

    def _task(self, roll: Roll, sources: Mapping[str | None, PolicySource | None]) -> Task:
        return Task(
            roll,
            sources[roll.policy],
            self._spool(roll),
            self._facts(roll),
            shadows=self._shadows(roll, sources),
            monitor=self._store.catalog.object_path(roll.monitor) if roll.monitor else None,
        )

    def _rolled(self, rolls: Sequence[Roll], known: Mapping[str, Episode], ran: Mapping[str, Ran]) -> Iterator[Rolled]:
        claims = self._store.catalog.by_keys(OutcomeClaim, [f"{roll.key}/log" for roll in rolls])
        for roll in rolls:
            episode, claim = known.get(roll.key), claims.get(f"{roll.key}/log")
            if episode is None:
                void = ran[roll.key].void if roll.key in ran else ""
                void = void or "the site failed before the try had an outcome"
                yield Rolled(roll, None, success=False, void=void)
                continue
            yield Rolled(
                roll,
                episode,
                success=claim is not None and claim.value is Outcome.SUCCESS,
                human_steps=int(str(episode.extra.get("human_steps", 0))),
                takeovers=int(str(episode.extra.get("takeovers", 0))),
            )

    def _spool(self, roll: Roll) -> Path:
        return self._store.spool / f"{roll.key.replace('/', '__')}.mcap"

    def _source(self, ref: str | None) -> PolicySource | None:
        if ref is None:
            return None
        policy = self._store.catalog.get(ref, Policy)
        if policy.weights is None or policy.spec is None:
            return None
        return PolicySource(self._store.catalog.object_path(policy.weights), policy.trainer, policy.spec)

    def _shadows(self, roll: Roll, sources: Mapping[str | None, PolicySource | None]) -> dict[str, PolicySource]:
        """The shadow under its key: an id would differ in a fresh workspace."""
        if roll.shadow is None:
            return {}
        source, key = sources[roll.shadow], self._store.catalog.key_of(roll.shadow)
        if source is None:
            raise UsageError("has no weights here", subject=key, remedy="Register it with its file to run it.")
        return {key: source}

    def _facts(self, roll: Roll) -> dict[str, Any]:
        task = self._config.task
        return {
            "task": task.name,
            "criterion": task.criterion,
            "embodiment": task.embodiment,
            "site": self._config.site.name,
            "claimed_by": AuthorKind.SIMULATOR.value,
            # Keys, not ids: the same run in a fresh workspace must give the same bytes.
            "policy": self._store.catalog.key_of(roll.policy) if roll.policy else "",
        }


def _clear(spool: Path) -> None:
    """Remove recordings that dead processes left half written; whoever still lives may still be writing."""
    for path in spool.glob(".*.partial"):
        pid = path.name.split(".")[-2]
        try:
            os.kill(int(pid), 0)
        except (ValueError, ProcessLookupError):
            path.unlink(missing_ok=True)
        except PermissionError:  # somebody else's process, and alive
            continue
