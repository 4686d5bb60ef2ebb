"""Recordings that were made without our pages: each becomes a submission of the slot that it answers, and waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.domain.contracts import Format, Unread
from saqiya.domain.nouns import Episode, Submission
from saqiya.domain.streams import EpisodeLog, Start
from saqiya.errors import GuardRefusal, LeaseLost, NothingOpen
from saqiya.ingest.stage import Admitted
from saqiya.loop.people.slots import Asked

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["GIVEN", "IDLE", "Handed", "Named", "Told", "acted", "before_of", "hand_in", "start_of", "unread"]

GIVEN = "given"
"""The fact of an episode that says who gave it from outside, and on which terms."""
IDLE = "nobody took over in it: it is no correction"
AGAIN = "was handed in before"
FAULTS_SHOWN = 3


@dataclass
class Told:
    """A format whose tries are told facts on their way in: `tell` returns what holds whatever their log says."""

    name: str
    reader: Format
    tell: Callable[[EpisodeLog], Mapping[str, Any]]

    def sniff(self, path: Path) -> bool:
        """Ask the format."""
        return self.reader.sniff(path)

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield what the format reads, with the facts."""
        for item in self.reader.read(path):
            told = item if isinstance(item, Unread) else replace(item, metadata={**item.metadata, **self.tell(item)})
            yield told


@dataclass(frozen=True)
class Named:
    """A recording and what it answers.

    Attributes:
        name: what it is called where it came from.
        episode: what it became here.
        slot: of the request; None for the one that the person holds, or its first open one.
        how: how request and slot were found, in words.
        given: the provenance that it must carry; None where it needs none.
    """

    name: str
    episode: Episode
    asked: Asked
    slot: int | None
    how: str
    given: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Handed:
    """What became of one recording: a submission, or the reason why there is none ("" where all went well)."""

    name: str
    request: str
    slot: int | None
    submission: str
    how: str
    why: str

    @property
    def good(self) -> bool:
        """Whether it waits for a reviewer, or did."""
        return bool(self.submission)


def acted(log: EpisodeLog) -> bool:
    """Say whether a person acted in a try; in one that does not say who acted, a person did."""
    author = log.streams.get("author")
    return author is None or bool(author.values.any())


def unread(admitted: Admitted) -> tuple[Handed, ...]:
    """Tell of what could not be taken in."""
    return tuple(Handed(one.name, "", None, "", "", f"{one.reason}. {one.remedy}") for one in admitted.rejections)


def start_of(log: EpisodeLog) -> Start | None:
    """Return where a try began, None where its log does not say so in words that can be read."""
    said = log.metadata.get("start")
    factors = said.get("factors", {}) if isinstance(said, dict) else None
    seed = said.get("seed", 0) if isinstance(said, dict) else None
    if not (isinstance(factors, dict) and isinstance(seed, int)):
        return None
    return Start(seed, {name: value for name, value in factors.items() if isinstance(value, float | int | str)})


def before_of(wheel: Flywheel, name: str, episode: Episode) -> Handed:
    """Tell of a recording that was handed in before."""
    made = wheel.desk.catalog.referring(episode.id, Submission)[-1]
    return Handed(name, wheel.desk.asked(made.request).key, made.slot, made.id, "", AGAIN)


def hand_in(wheel: Flywheel, by: str, recordings: Sequence[Named]) -> tuple[Handed, ...]:
    """Hand recordings in, each for its slot, as the work of `by`; what was handed in before is not handed in again.

    Nothing is handed in that the audit holds back, in which nobody acted, or whose bytes came in under other terms.
    """
    return tuple(_one(wheel, by, one) for one in recordings)


def _one(wheel: Flywheel, by: str, one: Named) -> Handed:
    desk = wheel.desk
    before = desk.catalog.referring(one.episode.id, Submission)
    if before:
        return _told(one, before[-1], AGAIN)
    why = _fault(wheel, one)
    if why:
        return _told(one, None, why)
    try:
        lease = desk.claim(by, one.asked.request.id, slot=one.slot)
    except NothingOpen as refused:
        return _told(one, None, refused.what)
    try:
        made = desk.submit(lease.id, by, one.episode.id, note=_note(one), vouched=True)
    except (GuardRefusal, LeaseLost) as refused:
        desk.hand_back(lease.id, by, refused.what)
        return _told(one, None, refused.what)
    return _told(one, made, "")


def _fault(wheel: Flywheel, one: Named) -> str:
    author = wheel.store.streams(one.episode).get("author")
    if author is not None and not author.values.any():
        return IDLE
    if one.given is not None and one.episode.extra.get(GIVEN) != dict(one.given):
        return "its bytes came in before, and not on these terms"
    audits = wheel.data.audits([one.episode.id])
    if audits and audits[0].verdict != "good":
        found = [str(two.get("what", "")) for two in audits[0].findings if two.get("severity") == "fault"][
            :FAULTS_SHOWN
        ]
        return f"the audit holds it back ({'; '.join(found)}): saqiya audit {one.episode.id} --release WHY --who NAME"
    return ""


def _note(one: Named) -> str:
    return f"{one.name}, {one.how}"


def _told(one: Named, made: Submission | None, why: str) -> Handed:
    slot = made.slot if made else one.slot
    return Handed(one.name, one.asked.key, slot, made.id if made else "", one.how, why)
