"""A fire drill for the gate: a recording fault is put into a mix on purpose, and the candidate must not get through.

The fault is a common one: the last action dimension (a gripper's command) is logged with its sign turned round. What
the drill brought in is quarantined by the rejection like any other suspect batch, and is in no later mix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from saqiya import plugins
from saqiya.correct.stage import DRILL
from saqiya.domain.contracts import Demonstrable, Roll
from saqiya.domain.nouns import (
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetVersion,
    Episode,
    GateDecision,
    Policy,
    Source,
)
from saqiya.domain.streams import EpisodeLog, Start, Stream
from saqiya.errors import GuardRefusal
from saqiya.ingest import stage as ingest
from saqiya.loop import draws
from saqiya.mix import stage as mix

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["drill"]

FAULT = "drill: gripper command logged with its sign turned round"


def drill(wheel: Flywheel, *, count: int) -> GateDecision:
    """Mix `count` faulty demonstrations into the champion's data, train, evaluate, and return the gate's word.

    The candidate takes a round of the scope's alpha ledger, as every candidate does.

    Raises:
        GuardRefusal: nothing is deployed yet, or the site has no expert to demonstrate.
    """
    champion = wheel.champion()
    if champion is None or champion[0].dataset is None or not isinstance(wheel.site, Demonstrable):
        raise GuardRefusal(
            "a drill needs a champion that was trained here and a site with an expert",
            subject=wheel.scope,
            remedy="Run saqiya turn first.",
        )
    starts = draws.starts(wheel.site, wheel.config.run.seed, "drill", wheel.number, count, region=1.0)
    faulty = _faulty_corrections(wheel, starts)
    parent = wheel.store.catalog.get(champion[0].dataset, DatasetVersion)
    kept = {entry.episode for entry in parent.entries}
    sound = [one for one in wheel.store.catalog.all(Correction) if one.accepted and one.episode in kept]
    dataset = mix.run(
        wheel.store,
        [*sound, *faulty],
        parent=parent,
        evaluation=wheel.evaluation_starts("drill-evaluate"),
        note=FAULT,
        key=wheel.key("drill", "dataset"),
    )
    candidate: Policy = wheel.train(dataset, key=wheel.key("drill", "policy"))
    return wheel.evaluate(candidate, key=wheel.key("drill", "decision"), purpose="drill-evaluate")


def _faulty_corrections(wheel: Flywheel, starts: Sequence[Start]) -> list[Correction]:
    catalog = wheel.store.catalog
    request = catalog.put(
        CorrectionRequest(
            id=catalog.new_id("correction_request"),
            target=DRILL,
            mode=None,
            correction_kind=CorrectionKind.DEMONSTRATION,
            count=len(starts),
            starts=tuple(starts),
            reason=FAULT,
        ),
        key=wheel.key("drill", "request"),
    )
    rolls = [
        Roll(wheel.key("drill", "sound", f"{index:04d}"), start, Source.DEMONSTRATION, operator="drill")
        for index, start in enumerate(starts)
    ]
    made = []
    for index, rolled in enumerate(wheel.roller(rolls)):
        if rolled.episode is None or not rolled.success:
            continue
        key = wheel.key("drill", "faulty", f"{index:04d}")
        episode = catalog.by_key(Episode, key) or _spoil(wheel, rolled.episode, key)
        correction = Correction(
            id=catalog.new_id("correction"),
            request=request.id,
            episode=episode.id,
            failure=None,
            correction_kind=CorrectionKind.DEMONSTRATION,
            operator="drill",
            human_steps=0,
            takeovers=0,
            accepted=True,
            reason=FAULT,
        )
        made.append(catalog.put(correction, key=f"{key}/correction"))
    return made


def _spoil(wheel: Flywheel, episode: Episode, key: str) -> Episode:
    """Write the faulty log as the faulty recorder would have, and take it in."""
    streams = dict(wheel.store.streams(episode).items())
    executed = streams["action/executed"]
    turned = executed.values * np.where(np.arange(executed.values.shape[1]) == executed.values.shape[1] - 1, -1.0, 1.0)
    streams["action/executed"] = Stream(executed.t_ns, turned, executed.clock, executed.stamp, executed.unit)
    path = wheel.store.spool / f"{key.replace('/', '__')}.mcap"
    path.unlink(missing_ok=True)
    log = EpisodeLog(
        key, streams, episode.events, {"task": episode.task, "source": "demonstration", "operator": "drill"}
    )
    writer = plugins.load("saqiya.formats", "mcap")()
    writer.write(log, path)
    taken = ingest.admit(wheel.store, [(path, key)], writer, clock=wheel.clock)[0]
    path.unlink()
    return taken
