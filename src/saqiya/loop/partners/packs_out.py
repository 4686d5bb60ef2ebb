"""A request as a folder that a partner can read with a browser: what failed, what to show, and on which terms."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Episode, Export, Intent
from saqiya.errors import AlreadyThere, GuardRefusal, UsageError
from saqiya.formats.parcel import SUMS, sums_of
from saqiya.loop.partners.packs_media import PRIVATE, Nameless, Piece, media_of
from saqiya.loop.people.briefing import Briefing, briefing_of
from saqiya.loop.tax import exporting

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["CONSENT", "FORMAT", "MARK", "SCHEMA", "Terms", "export_pack", "mark_of", "packs_of"]

FORMAT = "request-pack"
SCHEMA = 1
CONSENT = "Everybody who can be seen or heard in a recording agreed that it is used to train and to test robots."
MARK = re.compile(r"\s*\[saqiya ([0-9a-f]{10})(?:-\d+)?(?:/(\d{1,4}))?\]")
"""A request's mark in the text of a task, with the slot where it is said: "stack the cups [saqiya 1f0c9a33b2/0]"."""
TEMPLATES = Path(__file__).parent / "templates"
_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


@dataclass(frozen=True)
class Terms:
    """On which terms recordings are asked for; `due` is the last day, "" for when the request is due anyway."""

    licence: str
    consent: str = CONSENT
    due: str = ""


def mark_of(request: str) -> str:
    """Return the short mark of a request, by its id: it says nothing of what or whom the request is about."""
    return digest_of(request.encode())[:10]


def packs_of(wheel: Flywheel) -> dict[str, Export]:
    """Return the packs that left here, by name."""
    sent = (one for one in wheel.store.catalog.all(Export) if one.format == FORMAT)
    return {str(one.settings["pack"]): one for one in sent}


def export_pack(wheel: Flywheel, ref: str, out: Path, terms: Terms, *, by: str) -> Export:
    """Write a request pack: pack.json, index.html, media, a template for the answer, and SHA256SUMS.

    The names of everybody who is known here, of operators and of authors are taken out of every text. What a camera
    saw is not looked at: look at the pictures before you send them.

    Args:
        wheel: the workspace.
        ref: the request, by id or key.
        out: the folder to write; it must not exist.
        terms: what recordings must come with.
        by: who sends it.

    Raises:
        AlreadyThere: `out` exists.
        GuardRefusal: nothing of the request is open.
        UsageError: no licence, no consent, nobody is named, or the day is none.
    """
    if not terms.licence.strip() or not terms.consent.strip() or not by.strip():
        raise UsageError("needs a licence, a consent and a name", remedy="Give --licence, for example CC-BY-4.0.")
    if out.exists():
        raise AlreadyThere("exists", subject=str(out), remedy="Choose another name with --out.")
    desk = wheel.desk
    desk.slots.catch_up()
    asked = desk.asked(ref)
    slots = [one for one in asked.open("", desk.now()) if not desk.slots.dismissed(asked.failure(one))]
    if not slots:
        raise GuardRefusal("nothing of it is open", subject=asked.key, remedy="See saqiya status for what waits.")
    due = _day(terms.due) if terms.due else datetime.fromtimestamp(asked.work.due_ns / 1e9, tz=UTC).date()
    mark = mark_of(asked.request.id)
    pack = f"{mark}-{sum(name.startswith(mark) for name in packs_of(wheel))}"
    briefings = [briefing_of(wheel, asked.request.id, slot) for slot in slots]
    shown = [one.episode for one in briefings if one.episode is not None]
    nameless = _nameless(_names(wheel, briefings, by))
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with exporting(wheel.store, wheel.clock) as note:
        partial.mkdir(parents=True)
        said, notes = _description(wheel, briefings, partial, nameless)
        asked_for = {"licence": terms.licence, "consent": terms.consent, "due": due.isoformat()}
        facts = {"saqiya_request_pack": SCHEMA, "pack": pack, "mark": mark, **said, "terms": asked_for}
        _write(partial, facts)
        partial.rename(out)
        made = Export(
            id=wheel.store.catalog.new_id("export"),
            dataset=None,
            episodes=tuple(dict.fromkeys(one.id for one in shown)),
            format=FORMAT,
            location=str(out.resolve()),
            settings={
                "pack": pack,
                "request": asked.request.id,
                "slots": list(slots),
                "count": len(slots),
                **asked_for,
            },
            notes=tuple(notes),
        )
        stored = desk.record(made, made.id, by, "export", asked.request.id)
        note(stored, [])
    return stored


def _description(
    wheel: Flywheel, briefings: list[Briefing], out: Path, nameless: Nameless
) -> tuple[dict[str, Any], list[str]]:
    """Write the media, and say what is asked for."""
    first, notes, places = briefings[0], list[str](), list[dict[str, Any]]()
    known: dict[str, list[Piece]] = {}
    for one in briefings:
        episode = one.episode
        if episode is not None and episode.id not in known:
            folder = f"media/{len(known):02d}"
            pieces, missing = media_of(wheel, episode, one.failure, out / folder, nameless)
            known[episode.id] = [Piece(f"{folder}/{piece.file}", piece.kind, piece.says) for piece in pieces]
            notes += missing
        places.append(_place(one, known.get(episode.id, []) if episode else [], nameless))
    made = {
        "task": first.task,
        "target": first.request.target,
        "means": first.meaning,
        "kind": first.request.correction_kind.value,
        "show": first.show,
        "why": first.request.reason,
        "count": len(briefings),
        "protocol": {
            "sensors": [{"name": s.name, "what": s.what, "rate_hz": round(s.rate_hz, 3)} for s in first.sensors],
            "metadata": [
                "task: the text above",
                "start: what lay where, by the names below",
                "author: for every step, whether a person (1) or a program (0) acted; where all is a person's, nothing",
                "outcome: success or failure",
            ],
            "done": first.criterion or "what the task says holds when the recording ends",
            "limit_s": first.limit_s,
            "put": {name: str(value) for name, value in first.region.items()},
            "cards": list(first.cards),
        },
        "slots": places,
        "not_shown": notes,
    }
    return _walk(made, nameless), notes


def _place(one: Briefing, pieces: list[Piece], nameless: Nameless) -> dict[str, Any]:
    """Say of one slot where to begin, what went wrong there, and what is known of the things in it."""
    extra = one.episode.extra if one.episode else {}
    start = {} if one.start is None else {n: v for n, v in one.start.factors.items() if n not in PRIVATE}
    about = {n: v for n, v in one.properties.items() if n not in {*PRIVATE, *start} and str(extra.get(n)) != v}
    return {
        "slot": one.slot,
        "start": start,
        "wrong_after_s": round(one.moment_s, 3) if one.failure else None,
        "phase": one.failure.phase if one.failure else "",
        "properties": about,
        "advice": [nameless(said.text) for said in one.advice],
        "media": [asdict(piece) for piece in pieces],
    }


def _write(folder: Path, facts: dict[str, Any]) -> None:
    from jinja2 import Environment, FileSystemLoader

    answer = {
        "saqiya_result": SCHEMA,
        "pack": facts["pack"],
        "who": {"organisation": "", "operator": ""},
        "licence": facts["terms"]["licence"],
        "consent": {"given": False, "statement": facts["terms"]["consent"]},
        "recordings": [{"path": f"recordings/{one['slot']}", "slot": one["slot"]} for one in facts["slots"]],
    }
    template = json.dumps(answer, indent=1, ensure_ascii=False)
    env = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = env.get_template("pack.html").render(pack=facts, template=template, sums=SUMS)
    (folder / "pack.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(page, encoding="utf-8")
    (folder / "result-template.json").write_text(template + "\n", encoding="utf-8")
    (folder / SUMS).write_text(sums_of(folder), encoding="utf-8")


def _names(wheel: Flywheel, briefings: list[Briefing], by: str) -> set[str]:
    """Return the names of all people who may stand in a text of this pack."""
    episodes: Iterable[Episode] = (one.episode for one in briefings if one.episode is not None)
    found = {by, *(one.name for one in wheel.desk.people.all()), *(one.operator for one in episodes)}
    found |= {said.author for one in briefings for said in one.advice}
    return found | {one.author for one in wheel.store.catalog.all(Intent)}


def _nameless(names: set[str]) -> Nameless:
    """Return what takes names and mail addresses out of a text; whole words only, whatever their case."""
    words = sorted((re.escape(one.strip()) for one in names if one.strip()), key=len, reverse=True)
    known = re.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", re.IGNORECASE) if words else None

    def clean(text: str) -> str:
        plain = _MAIL.sub("somebody", text)
        return known.sub("somebody", plain) if known else plain

    return clean


def _walk(value: Any, clean: Nameless) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return {name: _walk(one, clean) for name, one in value.items()}
    if isinstance(value, list):
        return [_walk(one, clean) for one in value]
    return clean(value) if isinstance(value, str) else value


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise UsageError("is no day", subject=text[:40], remedy="For example: --due 2026-12-24.") from error
