"""A noun as canonical JSON and back, and the seal that betrays any later change of its row.

Canonical: keys sorted, no spaces, floats in their shortest exact form, and each value in the type its field declares
(1 in a float field is stored as 1.0), so that equal nouns have equal bytes on every machine.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from saqiya.domain.nouns import NOUNS, Noun
from saqiya.errors import Corrupt, SaqiyaError, UsageError, WorkspaceTooNew

__all__ = ["SCHEME", "canonical", "decode", "seal"]

N = TypeVar("N", bound=Noun)

SCHEME: Final = 1
"""How payloads are written. A change here comes with an upgrade on read; stored payloads are never rewritten."""


def canonical(noun: N) -> tuple[N, str]:
    """Return `noun` as it will be read back, and its payload.

    Raises:
        UsageError: a value has no exact JSON form: NaN, infinity, an array, a tuple where JSON values are declared.
    """
    decoder = _decoder(type(noun))
    try:
        copy: N = decoder.decode(_encoder.encode(noun))
        payload = _encoder.encode(copy)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError, SaqiyaError) as error:
        raise _unfit(noun, str(error)) from error
    if copy != noun:
        raise _unfit(noun, f"it comes back changed: {_difference(noun, copy)}")
    return copy, payload.decode()


def decode(kind: str, scheme: int, payload: str) -> Noun:
    """Return the noun of a stored row.

    Raises:
        WorkspaceTooNew: the row's kind or scheme is from a newer Saqiya.
        Corrupt: the payload is not a noun of that kind.
    """
    cls = NOUNS.get(kind)
    if cls is None or scheme > SCHEME:
        raise WorkspaceTooNew(
            f"the catalog holds a {kind!r} in scheme {scheme}, unknown to this Saqiya (scheme {SCHEME})",
            remedy="Use the Saqiya that wrote it, or a newer one",
        )
    try:
        noun: Noun = _decoder(cls).decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError, SaqiyaError) as error:
        raise Corrupt(
            f"a {kind} row cannot be read ({error})", remedy="Run `saqiya verify` and restore the catalog from a backup"
        ) from error
    return noun


def seal(*, kind: str, key: str, scheme: int, created_ns: int, payload: str) -> str:
    """Return the SHA-256 over everything a noun's row says."""
    head = _head([scheme, kind, key, created_ns])
    return hashlib.sha256(f"{head}\n{payload}".encode(errors="surrogateescape")).hexdigest()


def _scalar(value: object) -> object:
    if isinstance(value, np.generic):  # a numpy scalar is a number like any other, and becomes a plain one without loss
        number: object = value.item()
        return number
    raise TypeError(f"{type(value).__name__} has no place in a noun")


_head: Final = json.JSONEncoder(separators=(",", ":")).encode
_encoder: Final = msgspec.json.Encoder(order="sorted", enc_hook=_scalar)


_decoders: Final[dict[type[Noun], msgspec.json.Decoder[Any]]] = {}


def _decoder(cls: type[Noun]) -> msgspec.json.Decoder[Any]:
    if cls not in _decoders:
        _decoders[cls] = msgspec.json.Decoder(cls)
    return _decoders[cls]


def _unfit(noun: Noun, why: str) -> UsageError:
    return UsageError(
        f"this {noun.kind} cannot be stored exactly: {why}",
        subject=noun.id,
        remedy="Use finite numbers, text, lists and dictionaries; leave out what is not known",
    )


def _difference(noun: Noun, copy: Noun) -> str:
    for name in noun.__dataclass_fields__:
        before, after = getattr(noun, name), getattr(copy, name)
        if before != after:
            return f"{name} is {before!r:.80} and would be {after!r:.80}"
    return "a value differs"
