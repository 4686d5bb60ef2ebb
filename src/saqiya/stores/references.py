"""Finds, checks and redirects the references inside a noun, by the annotations of `domain.ids`.

The plan for a class is made once from its type hints: references may sit in fields, in tuples, in optional values, in
the values of a dictionary and in nested dataclasses. There is no second list of them to forget.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from saqiya.domain.ids import Ref
from saqiya.domain.nouns import Noun

__all__ = ["Reference", "redirect", "references"]

N = TypeVar("N", bound=Noun)
_Visit = Callable[["Reference"], str]
_Walk = Callable[[Any, _Visit], Any]


class Reference(NamedTuple):
    """A dotted field ("entries.episode"), the kind it may name ("" for any, "object" for bytes), and whom it names."""

    field: str
    kind: str
    target: str


def references(noun: Noun) -> list[Reference]:
    """Return every reference of `noun`, each once, in the order of its fields."""
    found: dict[Reference, None] = {}

    def collect(reference: Reference) -> str:
        found[reference] = None
        return reference.target

    _plan(type(noun))(noun, collect)
    return list(found)


def redirect(noun: N, instead: Mapping[str, str]) -> N:
    """Return `noun` with every reference to a key of `instead` pointing to its value; the same object if none does."""
    changed: N = _plan(type(noun))(noun, lambda reference: instead.get(reference.target, reference.target))
    return changed


_plans: Final[dict[type[Noun], _Walk]] = {}


def _plan(cls: type[Noun]) -> _Walk:
    if cls not in _plans:
        _plans[cls] = _of_dataclass(cls, "") or (lambda value, _visit: value)
    return _plans[cls]


def _of(annotation: object, path: str) -> _Walk | None:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _of_annotated(annotation, path)
    if origin in (Union, types.UnionType):
        inner = [walk for part in get_args(annotation) if (walk := _of(part, path)) is not None]
        if len(inner) > 1:
            raise TypeError(f"{path}: a union of two references cannot be told apart")
        return _optional(inner[0]) if inner else None
    if origin is tuple:
        walk = _of(get_args(annotation)[0], path)
        return _each(walk) if walk else None
    if origin is dict:
        walk = _of(get_args(annotation)[1], path)
        return _values(walk) if walk else None
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        return _of_dataclass(annotation, path)
    return None


def _of_annotated(annotation: object, path: str) -> _Walk | None:
    base, *marks = get_args(annotation)
    for mark in marks:
        if isinstance(mark, Ref):
            kind = mark.kind
            return lambda value, visit: visit(Reference(path, kind, value))
    return _of(base, path)


def _of_dataclass(cls: type, path: str) -> _Walk | None:
    hints = get_type_hints(cls, include_extras=True)
    prefix = f"{path}." if path else ""
    walks = {
        field.name: walk
        for field in dataclasses.fields(cls)
        if (walk := _of(hints[field.name], prefix + field.name)) is not None
    }
    if not walks:
        return None

    def visit_fields(value: object, visit: _Visit) -> object:
        changes = {}
        for name, walk in walks.items():
            old = getattr(value, name)
            new = walk(old, visit)
            if new is not old and new != old:
                changes[name] = new
        return dataclasses.replace(cast("Any", value), **changes) if changes else value

    return visit_fields


def _optional(walk: _Walk) -> _Walk:
    return lambda value, visit: None if value is None else walk(value, visit)


def _each(walk: _Walk) -> _Walk:
    return lambda value, visit: tuple(walk(item, visit) for item in value)


def _values(walk: _Walk) -> _Walk:
    return lambda value, visit: {name: walk(item, visit) for name, item in value.items()}
