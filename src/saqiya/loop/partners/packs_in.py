"""A partner's answer to a request pack: recordings of any known format, who made them, and on which terms.

Nothing in it is trusted before it is checked: it came from outside. Its terms are read first, then its sums; only then
are recordings taken in, each of which says from then on who gave it, for which pack, under which licence and consent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from saqiya.domain.contracts import Format
from saqiya.domain.nouns import AuthorKind, Episode, Export, Outcome, Source
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import GuardRefusal, InvalidMapping, UnreadableLog
from saqiya.formats.parcel import checked, inside, opened_parcel
from saqiya.loop.partners.handing import GIVEN, Handed, Named, Told, hand_in, unread
from saqiya.loop.partners.packs_out import SCHEMA, packs_of
from saqiya.loop.people.slots import Asked

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["RESULT", "Result", "import_pack", "read_result"]

RESULT = "result.json"
MOST_BYTES = 1 << 20
MOST_TEXT = 2000
OUTCOMES = frozenset({"", Outcome.SUCCESS.value, Outcome.FAILURE.value, Outcome.ABORTED.value})
_SENDER = "Ask the partner to correct result.json; result-template.json of the pack shows what it must say."


@dataclass(frozen=True)
class _Recording:
    path: PurePosixPath
    slot: int | None
    outcome: str


@dataclass(frozen=True)
class Result:
    """What result.json says: which pack it answers, who made it, under which terms, and which recordings."""

    pack: str
    organisation: str
    operator: str
    licence: str
    consent: str
    recordings: tuple[_Recording, ...]


def import_pack(wheel: Flywheel, path: Path, *, by: str, licence: str = "") -> tuple[Handed, ...]:
    """Take a partner's answer in, and hand in each of its recordings.

    Args:
        wheel: the workspace.
        path: the folder, or a zip of it.
        by: whose work it counts as here: somebody who may work here. What the answer says of itself gives no rights.
        licence: accept this licence, where it is another than the pack asked for.

    Raises:
        GuardRefusal: no licence or consent is stated, it is another licence than was asked for, or no such pack left.
        InvalidMapping: a sum is wrong, or a file is not what was said.
        UnreadableLog: it is no such answer, is damaged, or holds links or paths that lead elsewhere.
        UnknownId: nobody of this name may work here.
    """
    with opened_parcel(path, wheel.store.derived) as root:
        result = read_result(root)
        sent = _sent(wheel, result, licence)
        person = wheel.desk.people.known(by).name
        files = checked(root, beside=(RESULT,))
        for one in result.recordings:
            _demand_there(one.path, files)
        asked = wheel.desk.asked(str(sent.settings["request"]))
        _demand_slots(result, asked)
        given = {
            "pack": result.pack,
            "organisation": result.organisation,
            "operator": result.operator,
            "licence": result.licence,
            "consent": result.consent,
            "by": person,
            "request": asked.request.id,
        }
        named, lost = list[Named](), list[Handed]()
        for one in result.recordings:
            found, refused = _taken(wheel, root, one, given, asked)
            named += found
            lost += refused
        return (*hand_in(wheel, person, named), *lost)


def _taken(
    wheel: Flywheel, root: Path, one: _Recording, given: Mapping[str, Any], asked: Asked
) -> tuple[list[Named], list[Handed]]:
    """Take one recording in with its provenance."""

    def tell(log: EpisodeLog) -> Mapping[str, Any]:
        operator = given["operator"] or given["organisation"]
        said = {"source": Source.CORRECTION.value, "operator": operator, GIVEN: dict(given)}
        weak = {"outcome": one.outcome, "claimed_by": AuthorKind.PERSON.value} if one.outcome else {}
        return {**({} if "outcome" in log.metadata else weak), **said}

    formats: list[Format] = [Told(reader.name, reader, tell) for reader in wheel.data.formats()]
    admitted = wheel.data.ingest([root / one.path], formats=formats)
    catalog = wheel.store.catalog
    found = [*admitted.episodes, *(catalog.get(alias.episode, Episode) for alias in admitted.aliases)]
    lost = list(unread(admitted))
    if not found and not lost:
        lost.append(Handed(str(one.path), asked.key, one.slot, "", "", "holds no recording of a known format"))
    if one.slot is not None and len(found) > 1:
        why = f"holds {len(found)} tries for one slot"
        return [], [*lost, Handed(str(one.path), asked.key, one.slot, "", "", why)]
    how = f"pack {given['pack']}"
    return [Named(str(one.path), episode, asked, _slot(one, episode, asked), how, given) for episode in found], lost


def _slot(one: _Recording, episode: Episode, asked: Asked) -> int | None:
    """Return the slot that the answer names, else that of the start; None for whichever is open."""
    starts = [start.key for start in asked.request.starts]
    if one.slot is None and episode.start is not None and episode.start.key in starts:
        return starts.index(episode.start.key)
    return one.slot


def _sent(wheel: Flywheel, result: Result, licence: str) -> Export:
    """Return the pack that is answered, once its terms are met."""
    sent = packs_of(wheel).get(result.pack)
    if sent is None:
        raise GuardRefusal("no pack of this name left here", subject=result.pack[:80], remedy="saqiya correct export.")
    wanted = licence or str(sent.settings["licence"])
    if _plain(result.licence) != _plain(wanted):
        raise GuardRefusal(
            f"comes under {result.licence[:80]!r}, and {wanted!r} was asked for",
            subject=result.pack,
            remedy="If you may use it so, say it: --licence with the licence that it has. Nothing was taken in.",
        )
    return sent


def _demand_there(path: PurePosixPath, files: frozenset[str]) -> None:
    name = path.as_posix()
    if name not in files and not any(one.startswith(f"{name}/") for one in files):
        raise InvalidMapping("is named in result.json and not there", subject=name, remedy=_SENDER)


def _demand_slots(result: Result, asked: Asked) -> None:
    for slot, count in Counter(one.slot for one in result.recordings if one.slot is not None).items():
        if slot >= asked.request.count or count > 1:
            what = f"names slot {slot} {count} times" if count > 1 else f"names slot {slot} of {asked.request.count}"
            raise InvalidMapping(what, subject=RESULT, remedy=_SENDER)


def read_result(root: Path) -> Result:
    """Read result.json.

    Raises:
        UnreadableLog: it is missing, too long, no JSON, or says something else than it should.
        GuardRefusal: it states no licence or no consent.
    """
    file = root / RESULT
    if not file.is_file():
        raise UnreadableLog(f"holds no {RESULT}", subject=str(root), remedy=_SENDER)
    if file.stat().st_size > MOST_BYTES:
        raise UnreadableLog("is too long for what it should say", subject=RESULT, remedy=_SENDER)
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UnreadableLog(f"is no JSON: {error}"[:200], subject=RESULT, remedy=_SENDER) from error
    facts = _table(told, "")
    if facts.get("saqiya_result") != SCHEMA:
        raise UnreadableLog("is of no version that is known here", subject=RESULT, remedy=_SENDER)
    who, consent = _table(facts.get("who"), "who"), _table(facts.get("consent", {}), "consent")
    licence, statement = _text(facts, "licence"), _text(consent, "statement")
    if not licence or consent.get("given") is not True or not statement:
        lacks = "licence" if not licence else "consent"
        raise GuardRefusal(f"states no {lacks}", subject=RESULT, remedy=f"{_SENDER} Nothing was taken in.")
    organisation = _text(who, "organisation")
    if not organisation:
        raise GuardRefusal("does not say who made it", subject=RESULT, remedy=f"{_SENDER} Nothing was taken in.")
    listed = facts.get("recordings")
    if not isinstance(listed, list) or not listed:
        raise UnreadableLog("names no recording", subject=RESULT, remedy=_SENDER)
    recordings = tuple(_recording(_table(one, "recordings")) for one in listed)
    paths = {one.path for one in recordings}
    if len(paths) < len(recordings) or any(not paths.isdisjoint(one.parents) for one in paths):
        raise UnreadableLog("names a recording twice", subject=RESULT, remedy=_SENDER)
    return Result(_text(facts, "pack"), organisation, _text(who, "operator"), licence, statement, recordings)


def _recording(said: Mapping[str, Any]) -> _Recording:
    slot, outcome = said.get("slot"), _text(said, "outcome")
    if slot is not None and (not isinstance(slot, int) or isinstance(slot, bool) or not 0 <= slot < 1 << 31):
        raise UnreadableLog(f"says slot {str(slot)[:40]!r}", subject=RESULT, remedy=_SENDER)
    if outcome not in OUTCOMES:
        raise UnreadableLog(f"says outcome {outcome[:40]!r}", subject=RESULT, remedy=_SENDER)
    path = inside(_text(said, "path"))
    if path.as_posix() == RESULT:
        raise UnreadableLog("names itself as a recording", subject=RESULT, remedy=_SENDER)
    return _Recording(path, slot, outcome)


def _table(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise UnreadableLog(f"{name or 'it'} is no table of facts", subject=RESULT, remedy=_SENDER)
    return value


def _text(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or len(value) > MOST_TEXT or "\0" in value:
        raise UnreadableLog(f"its {name} is no text of up to {MOST_TEXT} characters", subject=RESULT, remedy=_SENDER)
    return value.strip()


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()
