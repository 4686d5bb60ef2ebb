"""Where the wheel stands, what is open, and what it would do next and why: one screen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.domain.nouns import (
    Audit,
    Calibration,
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Failure,
    FailureMode,
    GateDecision,
    Policy,
    Rejection,
    Review,
    Submission,
    Subset,
    Turn,
)
from saqiya.evaluate.stage import ledger
from saqiya.loop.figures import put_back, stopped_because
from saqiya.loop.novelty.phases import Place, place_of, places_of
from saqiya.loop.novelty.saturation import stops_of

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Holdings", "Standing", "holdings", "standing"]


@dataclass(frozen=True)
class Standing:
    """One screen of a workspace.

    Attributes:
        scope: task criterion and embodiment.
        phase: where in its life the task is, by the lower bound of success.
        place: which figures put it there, and what the next phase needs.
        stop: task and modes of which no more should be collected, each with a sentence that says why.
        champion: key of the deployed policy; "" before the first.
        turns: the figures of every finished turn.
        open_failures: failures of the last deployment that no accepted correction answers yet.
        unread: tries of the last deployment that failed, while `detect` has not read it; then there are no failures.
        waiting: corrections asked for in this turn that nobody gave or handed in yet, by request key: what the desk
            still offers of them.
        reviewing: how many were handed in for this turn, and wait for a reviewer.
        modes: the last deployment's failure modes with their counts, best priority first.
        alpha_spent: over all turns of the scope.
        rejections: files that could not be used.
        next: the next command, and `why`.
    """

    scope: str
    phase: str
    place: Place
    stop: dict[str, str]
    champion: str
    turns: tuple[dict[str, Any], ...]
    open_failures: int
    unread: int
    waiting: dict[str, int]
    reviewing: int
    modes: dict[str, int]
    alpha_spent: float
    rejections: int
    next: str
    why: str


@dataclass(frozen=True)
class Holdings:
    """One screen of a workspace for data alone.

    Attributes:
        episodes: tries, those of older cuts and erased ones among them.
        quarantined: how many of them are held back by their newest audit.
        recordings: files that they came from.
        rejections: files that could not be used.
        versions, subsets: keys of the dataset versions and names of the subsets, the newest last.
        places: where each task stands that the logs of a policy are of: `saqiya detect --logs` adopts them.
        next: the next command, and `why`.
    """

    episodes: int
    quarantined: int
    recordings: int
    rejections: int
    versions: tuple[str, ...]
    subsets: tuple[str, ...]
    places: tuple[Place, ...]
    next: str
    why: str


def holdings(wheel: Flywheel) -> Holdings:
    """Say what a workspace for data alone holds."""
    catalog = wheel.store.catalog
    newest = {one.episode: one.verdict for one in catalog.all(Audit)}
    held = sum(verdict != "good" for verdict in newest.values())
    count, versions = catalog.count(), catalog.all(DatasetVersion)
    place = "" if wheel.store.root == Path() else f" -w {wheel.store.root}"
    if not count.get("episode"):
        command, why = f"saqiya ingest LOGS{place}", "nothing came in yet"
    elif held:
        command, why = f"saqiya audit{place}", f"{held} episodes are in quarantine"
    elif not versions:
        command, why = f"saqiya mix EPISODES --name NAME{place}", "there is no dataset version to train on yet"
    else:
        command, why = f"saqiya status --tax{place}", "training reads the versions as they are; this is what data costs"
    return Holdings(
        episodes=count.get("episode", 0),
        quarantined=held,
        recordings=count.get("recording", 0),
        rejections=count.get("rejection", 0),
        versions=tuple(catalog.key_of(one.id) for one in versions),
        subsets=tuple(one.name for one in catalog.all(Subset)),
        places=places_of(wheel),
        next=command,
        why=why,
    )


def standing(wheel: Flywheel, *, place: Place | None = None) -> Standing:
    """Read the wheel's standing off the nouns; `place` is that of its scope, where it was found already."""
    catalog = wheel.store.catalog
    turns = tuple(dict(turn.figures) for turn in catalog.all(Turn) if turn.scope == wheel.scope)
    champion = wheel.champion()
    place = place or place_of(wheel, wheel.scope)
    answered = {one.failure for one in catalog.all(Correction) if one.accepted}
    tried = frozenset(champion[1].episodes) if champion else frozenset()
    failures = {one.id for one in catalog.all(Failure) if one.episode in tried}
    modes = sorted(
        (one for one in catalog.all(FailureMode) if set(one.members) <= failures), key=lambda one: -one.priority
    )
    rest = stopped_because(wheel)
    back = put_back(wheel)
    lately = back[1] if back else turns[-1]["success"] if turns else {"n": 0, "k": 0}
    waiting, reviewing = _waiting(wheel)
    command, why = (
        ("saqiya report", f"the wheel rests: {rest}") if rest else _next(wheel, sum(waiting.values()), reviewing)
    )
    return Standing(
        scope=wheel.scope,
        phase=place.phase,
        place=place,
        stop=stops_of(wheel),
        champion=catalog.key_of(champion[0].id) if champion else "",
        turns=turns,
        open_failures=len(failures - answered),
        unread=0 if failures else lately["n"] - lately["k"],
        waiting=waiting,
        reviewing=reviewing,
        modes={one.label: len(one.members) for one in modes},
        alpha_spent=ledger(wheel.store, wheel.scope)[0],
        rejections=len(catalog.all(Rejection)),
        next=command,
        why=why,
    )


def _waiting(wheel: Flywheel) -> tuple[dict[str, int], int]:
    """Return how many corrections of each request of this turn nobody gave or handed in, and how many wait for review.

    What was handed in and not sent back is no longer wanted, reviewed or not: so counts the desk too.
    """
    catalog = wheel.store.catalog
    first = catalog.by_key(CorrectionRequest, "turn-0/request/bootstrap") if wheel.number == 0 else None
    asked = [first] if first else wheel.requests()
    given = Counter(one.request for one in catalog.all(Correction))
    judged = {one.submission for one in catalog.all(Review) if not one.second}
    handed = Counter(one.request for one in catalog.all(Submission) if one.id not in judged)
    left = {catalog.key_of(one.id): one.count - given[one.id] - handed[one.id] for one in asked}
    return {key: count for key, count in left.items() if count > 0}, sum(handed[one.id] for one in asked)


def _next(wheel: Flywheel, wanted: int, reviewing: int) -> tuple[str, str]:
    """Find the first step of the turn under way whose noun is not there."""
    place = "" if wheel.store.root == Path() else f" -w {wheel.store.root}"
    catalog, number, has = wheel.store.catalog, wheel.number, wheel.store.catalog.has
    counts = [(wanted, "to be recorded"), (reviewing, "to be reviewed")]
    missing = " and ".join(f"{count} {what}" for count, what in counts if count)
    made: tuple[tuple[str, bool, str], ...] = (
        ("mix", has(DatasetVersion, wheel.key("dataset")), "its corrections are in no dataset version yet"),
        ("train", has(Policy, wheel.key("policy")), "its dataset version has no policy yet"),
        ("evaluate", has(GateDecision, wheel.key("decision")), "the candidate waits for the gate"),
        ("deploy", has(Deployment, wheel.key("deployment")), "the gate has decided, and nothing was rolled out since"),
    )
    first: tuple[tuple[str, bool, str], ...]
    if number == 0:
        asked = has(CorrectionRequest, "turn-0/request/bootstrap")
        why = f"there is no policy yet, and demonstrations come first ({missing or 'none is asked for yet'})"
        first = (("record", asked and not missing, why),)
    else:
        detector = wheel.config.detect.detectors[0] if wheel.config.detect.detectors else "any detector"
        begun = wheel.key("triage")
        named = any(catalog.key_of(one.id).startswith(begun) for one in catalog.all(FailureMode))
        read = has(Calibration, wheel.key("detect", "calibration", detector))
        first = (
            ("detect", read, "nobody has looked for failures in the last deployment yet"),
            ("triage", named, "its failures have no names yet"),
            ("correct", named and not missing, f"corrections are asked for ({missing})"),
        )
    for command, done, why in (*first, *made):
        if not done:
            return f"saqiya turn{place}", f"turn {number} waits at its step '{command}': {why}"
    return f"saqiya turn{place}", f"turn {number} has taken all its steps and is not closed yet"
