"""A lineage tree as people read it: nouns by name, files left out, and many of one kind told by their number."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from saqiya.stores.lineage import Kin

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Branch", "branches_of"]

MOST_ALIKE = 3
"""Kin of one kind and field that are shown one by one; of more, these and their number."""
BYTES = {"object", "recording"}
"""Kin that are files: the tree is of decisions."""


@dataclass(frozen=True)
class Branch:
    """A noun in the tree; `more` says in words what was left out below it."""

    id: str
    kind: str
    name: str
    field: str
    branches: tuple[Branch, ...]
    more: tuple[str, ...]


def branches_of(wheel: Flywheel, ref: str, *, up: bool, depth: int) -> Branch:
    """Return what a noun came from (`up`), or what came of it.

    Raises:
        UnknownId: nothing, or more than one noun, answers to `ref`.
    """
    return _branch(wheel, wheel.lineage(ref, up=up, depth=depth))


def _branch(wheel: Flywheel, kin: Kin) -> Branch:
    alike: dict[tuple[str, str], list[Kin]] = defaultdict(list)
    for one in kin.children:
        if one.kind not in BYTES:
            alike[one.field, one.kind].append(one)
    return Branch(
        id=kin.id,
        kind=kin.kind,
        name=kin.id if kin.kind == "missing" else wheel.key_of(kin.id),
        field=kin.field,
        branches=tuple(_branch(wheel, one) for ones in alike.values() for one in ones[:MOST_ALIKE]),
        more=tuple(
            f"{len(ones) - MOST_ALIKE} more, {kind.replace('_', ' ')}"
            for (_, kind), ones in alike.items()
            if len(ones) > MOST_ALIKE
        ),
    )
