"""How a person's keys, mouse and gamepad move a site's action: a small map that a site declares, or that is made up.

A page reads which keys and sticks there are; what they do to the action is worked out in one place,
`loop.driving.person`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from saqiya.domain.contracts import SiteSpec

__all__ = ["RESERVED", "Axis", "Controls", "Drivable", "controls_for"]

RESERVED = frozenset({"Space", "Tab", "Enter", "Escape", "KeyS", "KeyF", "KeyR"})
"""Keys that say what happens to the try; no axis may have them."""
_KEYS = (
    ("ArrowLeft", "ArrowRight"),
    ("ArrowDown", "ArrowUp"),
    ("KeyQ", "KeyE"),
    ("KeyZ", "KeyC"),
    ("KeyJ", "KeyL"),
    ("KeyK", "KeyI"),
    ("KeyN", "KeyM"),
    ("KeyG", "KeyH"),
)


@dataclass(frozen=True)
class Axis:
    """One thing that a person can do: two keys, or one stick, and which way they move the action.

    Attributes:
        name: what it does, in two or three words.
        keys: `KeyboardEvent.code` of the key for -1 and of the key for +1; also what on-screen buttons stand for.
        moves: float (d,), what a full deflection adds to the resting action, or to the held place in one second.
        stick: index of the gamepad's axis, negative when there is none; `flipped` when pushing it forward is +1.
        switch: it stays where it was put (jaws): one press is -1 or +1 until the other is pressed.
    """

    name: str
    keys: tuple[str, str]
    moves: tuple[float, ...]
    stick: int = -1
    flipped: bool = False
    switch: bool = False


@dataclass(frozen=True)
class Controls:
    """All that a person has in hand.

    Attributes:
        axes: in the order of their deflections in an input.
        rest: float (d,), the action when nothing is touched; of no use where the action is a place.
        place: where the action is a place, which is held when nothing is touched, the observation whose first columns
            are that place now; "" where the action is a rate, which goes back to rest.
        pointer: the two dimensions of the action that a pointer on the picture sets, left to right and top to bottom,
            over their whole range; () where a pointer cannot.
        aspect: width by height of the picture.
    """

    axes: tuple[Axis, ...]
    rest: tuple[float, ...]
    place: str = ""
    pointer: tuple[int, ...] = ()
    aspect: float = 4 / 3


@runtime_checkable
class Drivable(Protocol):
    """A site that says how a person drives it; without it, `controls_for` makes a map up from the spec."""

    controls: Controls


def controls_for(spec: SiteSpec) -> Controls:
    """Give every dimension of an action its own pair of keys and, for the first four, its own stick."""
    half, middle = (spec.action_high - spec.action_low) / 2, (spec.action_high + spec.action_low) / 2
    axes = []
    for i, keys in enumerate(_KEYS[: half.size]):
        moves = tuple((np.eye(half.size)[i] * half).tolist())
        axes.append(Axis(f"action {i + 1}", keys, moves, stick=i if i < 4 else -1, flipped=i % 2 == 1))
    return Controls(tuple(axes), tuple(middle.tolist()))
