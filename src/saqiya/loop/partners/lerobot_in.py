"""What `lerobot-record` and LeRobot's DAgger strategy wrote, as submissions of the requests that it answers.

A data set of theirs says what its task is called and, row by row, whether a person intervened. Neither names a request:
that is told by hand, by the request's mark in the text of the task, by the start, or by a task that only one open
request is about. What fits several is refused with their names, before anything is taken in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.domain.contracts import Unread
from saqiya.domain.nouns import Episode, Source, Submission
from saqiya.domain.streams import EpisodeLog, Start
from saqiya.errors import UnreadableLog, UsageError
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.ingest.prints import TwinIndex, prints_of
from saqiya.loop.partners.handing import GIVEN, IDLE, Handed, Named, Told, acted, before_of, hand_in, start_of, unread
from saqiya.loop.partners.packs_out import MARK, mark_of
from saqiya.loop.people.slots import Asked

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["import_lerobot"]

SHOWN_N = 8


@dataclass(frozen=True)
class _Try:
    """An episode of the data set before it is taken in: what it says of itself, and whether a person acted in it.

    `before` is the episode that it is here already, where that was handed in.
    """

    key: str
    task: str
    mark: str
    slot: int | None
    start: Start | None
    acted: bool
    before: str | None


@dataclass(frozen=True)
class _Pair:
    asked: Asked
    slot: int | None
    how: str


def import_lerobot(
    wheel: Flywheel, path: Path, *, by: str, request: str = "", only: Sequence[str] = ()
) -> tuple[Handed, ...]:
    """Take a LeRobot data set in, and hand in each episode in which a person acted.

    Args:
        wheel: the workspace.
        path: the data set's folder, v2.0 to v3.0.
        by: who showed it: somebody who may work here.
        request: the request that all of it answers, by id, key or mark; "" to find each episode's.
        only: episodes by number or name; () for all.

    Raises:
        UnreadableLog: it is no LeRobot data set.
        UnknownId: there is no such person or request.
        UsageError: an episode fits several open requests or none, there are more of them than open slots, or an
            episode that is named is not there. Nothing was taken in.
    """
    wheel.desk.people.known(by)
    tries = _read(wheel, path)
    chosen = _chosen(tries, only)
    pairs = _paired(wheel, [one for one in chosen if one.acted and not one.before], by=by, request=request)
    tasks = {one.key: one.task for one in tries}

    def tell(log: EpisodeLog) -> Mapping[str, Any]:
        told: dict[str, Any] = {"task": tasks.get(log.key, log.metadata.get("task", ""))}
        if log.key in pairs:
            said = {"by": by, "from": path.resolve().name, "request": pairs[log.key].asked.request.id}
            told |= {"source": Source.CORRECTION.value, "operator": by, GIVEN: said}
        return told

    admitted = wheel.data.ingest([path], formats=[Told("lerobot", LeRobotFormat(), tell)])
    catalog = wheel.store.catalog
    episodes = {one.key_in_recording: catalog.get(one.episode, Episode) for one in admitted.aliases}
    episodes |= {one.key_in_recording: one for one in admitted.episodes}
    named = [
        Named(key, episodes[key], pair.asked, pair.slot, pair.how) for key, pair in pairs.items() if key in episodes
    ]
    again = [before_of(wheel, one.key, catalog.get(one.before, Episode)) for one in chosen if one.before]
    idle = [Handed(one.key, "", None, "", "", IDLE) for one in chosen if not one.acted]
    return (*hand_in(wheel, by, named), *again, *idle, *unread(admitted))


def _read(wheel: Flywheel, path: Path) -> list[_Try]:
    """Read every episode without its cameras; what cannot be read is told of when it is taken in."""
    reader = LeRobotFormat(videos=False)
    if not reader.sniff(path):
        raise UnreadableLog(
            "is no LeRobot data set", subject=str(path), remedy="Give the folder that holds meta/, data/ and videos/."
        )
    catalog = wheel.store.catalog
    handed = catalog.each(Episode, sorted({one.episode for one in catalog.all(Submission)}))
    known = TwinIndex((one.id, one.prints) for one in handed)
    return [
        _try(item, known.find(prints_of(item.streams))) for item in reader.read(path) if not isinstance(item, Unread)
    ]


def _try(log: EpisodeLog, before: str | None) -> _Try:
    text = str(log.metadata.get("task", ""))
    match = MARK.search(text)
    return _Try(
        key=log.key,
        task=MARK.sub("", text).strip(),
        mark=match[1] if match else "",
        slot=int(match[2]) if match and match[2] else None,
        start=start_of(log),
        acted=acted(log),
        before=before,
    )


def _chosen(tries: list[_Try], only: Sequence[str]) -> list[_Try]:
    if not only:
        return tries
    known = {one.key: one for one in tries}
    wanted = [f"episode_{int(one):06d}" if one.isdecimal() and one not in known else one for one in only]
    missing = [one for one in wanted if one not in known]
    if missing:
        there = ", ".join(list(known)[:SHOWN_N]) or "none"
        raise UsageError(f"has no {', '.join(missing)}", remedy=f"It has {there}.")
    return [known[one] for one in dict.fromkeys(wanted)]


def _paired(wheel: Flywheel, tries: list[_Try], *, by: str, request: str) -> dict[str, _Pair]:
    """Find the request and the slot of each try, or refuse with the names of all that fit."""
    desk = wheel.desk
    desk.slots.catch_up()
    now_ns = desk.now()
    open_ = [
        one for one in desk.slots.asked.values() if one.examines is None and any(True for _ in one.open(by, now_ns))
    ]
    marked = {mark_of(one.request.id): one for one in desk.slots.asked.values()}
    named = None if not request else marked.get(request) or desk.asked(request)
    pairs, odd = dict[str, _Pair](), list[str]()
    for one in tries:
        found, how = _fitting(one, named, marked, open_)
        if len(found) == 1:
            pairs[one.key] = _Pair(found[0], _slot(one, found[0]), how)
        else:
            odd.append(f"{one.key} ({one.task or 'no task'}) {_misfit(found, open_)}")
    if odd:
        more = f"; and {len(odd) - SHOWN_N} more" if len(odd) > SHOWN_N else ""
        raise UsageError(
            "; ".join(odd[:SHOWN_N]) + more,
            remedy="Name it with --request, and with --episode which of them answer it. Nothing was taken in.",
        )
    _demand_room(wheel, pairs, by=by)
    return pairs


def _fitting(
    one: _Try, named: Asked | None, marked: Mapping[str, Asked], open_: list[Asked]
) -> tuple[list[Asked], str]:
    """Return the requests that a try may answer by the surest thing that it says, and what that is."""
    if named is not None:
        return [named], "named by hand"
    if one.mark:
        return [marked[one.mark]] if one.mark in marked else [], "by the mark in its task"
    if one.start is not None:
        keys = [asked for asked in open_ if one.start.key in {start.key for start in asked.request.starts}]
        if keys:
            return keys, "by its start"
    return [asked for asked in open_ if one.task and _plain(asked.work.sort.task) == _plain(one.task)], "by its task"


def _slot(one: _Try, asked: Asked) -> int | None:
    """Return the slot that a try says it answers, else that of its start; None for whichever is open."""
    if one.slot is not None:
        return one.slot
    starts = [start.key for start in asked.request.starts]
    return starts.index(one.start.key) if one.start is not None and one.start.key in starts else None


def _misfit(found: list[Asked], open_: list[Asked]) -> str:
    if found:
        return f"fits {len(found)} open requests: " + ", ".join(_named(one) for one in found[:SHOWN_N])
    return "fits no open request; there are: " + (", ".join(_named(one) for one in open_[:SHOWN_N]) or "none")


def _named(asked: Asked) -> str:
    return f"{asked.key} ({asked.work.sort.task or asked.request.target}, mark {mark_of(asked.request.id)})"


def _demand_room(wheel: Flywheel, pairs: Mapping[str, _Pair], *, by: str) -> None:
    """Refuse more tries than slots, and two tries of one slot: which of them is meant is for a person to say."""
    mean = "Say which of them are meant with --episode. Nothing was taken in."
    for request, count in Counter(pair.asked.request.id for pair in pairs.values()).items():
        asked = wheel.desk.asked(request)
        room = sum(1 for _ in asked.open(by, wheel.desk.now()))
        if count > room:
            what = f"{count} episodes answer it, and {room} of its slots are open"
            raise UsageError(what, subject=asked.key, remedy=mean)
    for (key, slot), count in Counter((pair.asked.key, pair.slot) for pair in pairs.values()).items():
        if slot is not None and count > 1:
            raise UsageError(f"{count} episodes answer slot {slot}", subject=key, remedy=mean)


def _plain(text: str) -> str:
    return re.sub(r"\W+", " ", text.replace("_", " ")).strip().casefold()
