"""What travels: the bodies that requests carry, bounded and checked, and the shapes of answers; nothing is guessed."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from fastapi import Query
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from saqiya.domain.nouns import Noun
from saqiya.domain.visible import line
from saqiya.errors import UsageError

__all__ = ["Cursor", "Limit", "Line", "Page", "Ref", "Shown", "cursor_of", "place_of", "plain", "shown"]

T = TypeVar("T")
Ref = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""An id, a key, or a part of an id."""
Name = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]+$"), AfterValidator(line)
]
Line = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text without line breaks and what else a database or a terminal takes amiss."""
PersonName = Annotated[str, StringConstraints(max_length=64, pattern=r"^\w[\w.@+-]*$")]
Text = Annotated[str, StringConstraints(max_length=4000, pattern=r"^[^\x00]*$")]
Words = Annotated[str, StringConstraints(min_length=1, max_length=4000, strip_whitespace=True, pattern=r"^[^\x00]+$")]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Limit = Annotated[int, Query(ge=1, le=500, description="How many at most.")]
Cursor = Annotated[str, Query(max_length=200, description="`next` of the page before; empty for the first.")]


class Body(BaseModel):
    """What a request carries: no field that nobody knows."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=False)


class Answer(BaseModel):
    """What an answer carries."""

    model_config = ConfigDict(from_attributes=True)


class Page(Answer, Generic[T]):
    """Some of many; `next` asks for those after them, and is empty at the end."""

    items: list[T]
    next: str = ""


def cursor_of(*place: int | float | str) -> str:
    """Write where a page ended as one opaque word."""
    return base64.urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def place_of(cursor: str, kinds: Sequence[type]) -> tuple[Any, ...] | None:
    """Return where the page before ended, None for the first page.

    Raises:
        UsageError: this is no cursor that was given.
    """
    if not cursor:
        return None
    try:
        place = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        place = None
    fits = isinstance(place, list) and len(place) == len(kinds)
    if not fits or not all(type(one) is kind and _small(one) for one, kind in zip(place, kinds, strict=True)):
        raise UsageError("is no place in a list", subject=cursor[:80], remedy="Give `next` of the page before.")
    return tuple(place)


def _small(value: object) -> bool:
    """Say whether a database takes a number as it is."""
    return not isinstance(value, int) or abs(value) < 1 << 63


class Shown(Answer):
    """A noun with its key and when it was stored; `fields` as in docs/data.md."""

    id: str
    kind: str
    key: str
    created_ns: int
    fields: dict[str, Any]


def shown(noun: Noun, key: str, created_ns: int = 0) -> Shown:
    """Return a noun as it travels."""
    fields = msgspec.to_builtins(noun)
    fields.pop("id")
    return Shown(id=noun.id, kind=noun.kind, key=key, created_ns=created_ns, fields=fields)


def plain(value: object) -> Any:  # noqa: ANN401 - JSON
    """Return a frozen value as JSON: dicts, lists, text and finite numbers."""
    return msgspec.json.decode(msgspec.json.encode(value))
