"""Lineage: what a noun came from (up) and what came from it (down), as a plain tree for whoever prints it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from saqiya.stores.catalog import Catalog
from saqiya.stores.schema import nouns, object_refs, refs

__all__ = ["Direction", "Kin", "walk"]

Direction = Literal["up", "down"]
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_CHUNK: Final = 500
_Edge = tuple[str, str, str]  # field, id, kind


@dataclass(frozen=True)
class Kin:
    """A noun or object in a lineage tree.

    Attributes:
        id: its id, or an object's digest.
        kind: its kind, "object" for bytes, "missing" when nothing answers to the id.
        field: the field that ties it to the one above it in the tree; "" at the root.
        children: the next of kin, ordered by field and id.
        again: it is in the tree already, and its children are shown there.
        hidden: how many children are left out because of depth or size.
    """

    id: str
    kind: str
    field: str = ""
    children: tuple[Kin, ...] = ()
    again: bool = False
    hidden: int = 0


def walk(catalog: Catalog, ref: str, direction: Direction, *, depth: int = 20, limit: int = 10_000) -> Kin:
    """Return the tree of `ref` (id, key, part of an id, or an object's digest).

    At most `depth` steps and `limit` nodes; what that leaves out is counted where it is left out.

    Raises:
        UnknownId: nothing, or more than one noun, answers to `ref`.
    """
    if _DIGEST.fullmatch(ref):
        root = Kin(id=ref, kind="object")
    else:
        noun = catalog.get(ref)
        root = Kin(id=noun.id, kind=noun.kind)
    edges = _gather(catalog, root.id, direction, depth=depth, limit=limit)
    return _grow(root, edges, depth=depth, room=[limit - 1], shown=set())


def _gather(catalog: Catalog, root: str, direction: Direction, *, depth: int, limit: int) -> dict[str, list[_Edge]]:
    """Fetch edges level by level, one level more than is shown, so that what is hidden can be counted."""
    edges: dict[str, list[_Edge]] = {}
    level = [root]
    with catalog.database.reading() as connection:
        for _ in range(depth + 1):
            found = _links(connection, level, direction)
            edges.update({name: sorted(found.get(name, [])) for name in level})
            following = {name for name in level for _, name, _ in edges[name]}
            level = sorted(following - edges.keys())
            if not level or len(edges) > limit:
                break
    return edges


def _links(connection: sa.Connection, ids: Sequence[str], direction: Direction) -> dict[str, list[_Edge]]:
    here, there = (refs.c.source, refs.c.target) if direction == "up" else (refs.c.target, refs.c.source)
    found: defaultdict[str, list[_Edge]] = defaultdict(list)
    for part in (ids[first : first + _CHUNK] for first in range(0, len(ids), _CHUNK)):
        kin = sa.select(here, refs.c.field, there, nouns.c.kind).select_from(refs.outerjoin(nouns, nouns.c.id == there))
        for name, field, other, kind in connection.execute(kin.where(here.in_(part))):
            found[name].append((field, other, kind or "missing"))
        _add_objects(connection, part, direction, found)
    return found


def _add_objects(
    connection: sa.Connection, part: Iterable[str], direction: Direction, found: defaultdict[str, list[_Edge]]
) -> None:
    source, digest = object_refs.c.source, object_refs.c.digest
    if direction == "up":
        query = sa.select(source, object_refs.c.field, digest, sa.literal("object")).where(source.in_(part))
    else:
        joined = object_refs.outerjoin(nouns, nouns.c.id == source)
        query = sa.select(digest, object_refs.c.field, source, nouns.c.kind).select_from(joined).where(digest.in_(part))
    for name, field, other, kind in connection.execute(query):
        found[name].append((field, other, kind or "missing"))


def _grow(kin: Kin, edges: dict[str, list[_Edge]], *, depth: int, room: list[int], shown: set[str]) -> Kin:
    mine = edges.get(kin.id, [])
    if not mine:
        return kin
    if kin.id in shown:
        return Kin(kin.id, kin.kind, kin.field, again=True)
    if depth == 0:
        return Kin(kin.id, kin.kind, kin.field, hidden=len(mine))
    shown.add(kin.id)
    here = mine[: max(0, room[0])]
    room[0] -= len(here)
    children = tuple(
        _grow(Kin(name, kind, field), edges, depth=depth - 1, room=room, shown=shown) for field, name, kind in here
    )
    return Kin(kin.id, kin.kind, kin.field, children, hidden=len(mine) - len(here))
