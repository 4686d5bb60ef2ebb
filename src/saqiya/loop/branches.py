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
"""Kin of one kind that are shown one by one; of more, these and their number."""
BYTES = {"object", "recording"}
"""Kin that are files: the tree is of decisions."""


@dataclass(frozen=True)
class Branch:
    """A noun in the tree; `more` says in words what was left out below it."""

    id: str
    kind: str
    name: str
    branches: tuple[Branch, ...]
    more: tuple[str, ...]


def branches_of(wheel: Flywheel, ref: str, *, up: bool, depth: int) -> Branch:
    """Return what a noun came from (`up`), or what came of it.

    Raises:
        UnknownId: nothing, or more than one noun, answers to `ref`.
    """
    return _branch(wheel, wheel.lineage(ref, up=up, depth=depth))


def _branch(wheel: Flywheel, kin: Kin) -> Branch:
    alike: dict[str, dict[str, Kin]] = defaultdict(dict)
    for one in kin.children:
        if one.kind not in BYTES:
            known = alike[one.kind].get(one.id)  # two fields may lead to the same noun
            alike[one.kind][one.id] = known if known and not known.again else one
    groups = sorted(alike.items(), key=lambda one: len(one[1]))
    return Branch(
        id=kin.id,
        kind=kin.kind,
        name=kin.id if kin.kind == "missing" else wheel.key_of(kin.id),
        branches=tuple(_branch(wheel, one) for _, ones in groups for one in list(ones.values())[:MOST_ALIKE]),
        more=tuple(_rest(kind, len(ones) - MOST_ALIKE) for kind, ones in groups if len(ones) > MOST_ALIKE),
    )


def _rest(kind: str, count: int) -> str:
    one = kind.replace("_", " ")
    many = f"{one[:-1]}ies" if one.endswith("y") else f"{one}s"
    return f"{count} more {one if count == 1 else many}"
