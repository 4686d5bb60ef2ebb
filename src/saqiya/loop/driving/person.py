"""A person at keys, mouse or gamepad as an operator: what they have in hand becomes an action, without a jump."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from saqiya.domain.contracts import Observation, SiteSpec, Vector
from saqiya.domain.controls import Controls

__all__ = ["BLEND_S", "Inputs", "Person"]

BLEND_S = 0.3
"""After a hand-over the action goes from what was held to what the person wants in this time."""


@dataclass(frozen=True)
class Inputs:
    """What a person has in hand at one instant.

    Attributes:
        axes: deflection of each axis of the controls, -1..1; () for none.
        point: where the pointer was moved to on the picture, each 0..1 from its upper left corner; None: it was not.
        age_ms: how long ago it reached whoever steps the site.
        latency_ms: what the person's own screen measured last from an input to the picture that shows it.
        late_ms: how much later than its pace says the step began.
    """

    axes: tuple[float, ...] = ()
    point: tuple[float, float] | None = None
    age_ms: float = 0.0
    latency_ms: float = 0.0
    late_ms: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether the person does something."""
        return self.point is not None or any(self.axes)


@dataclass
class Person:
    """An operator whose action follows `inputs`.

    Attributes:
        spec: of the site that is driven.
        pace_hz: how often `act` is called in a second of the person's time.
    """

    name: str
    controls: Controls
    spec: SiteSpec
    pace_hz: float
    inputs: Inputs = field(default_factory=Inputs)
    _from: Vector | None = None
    _held: Vector | None = None
    _switches: list[float] = field(default_factory=list)
    _acted_n: int = 0

    def take(self, held: Vector | None) -> None:
        """Begin to act where somebody else left off, `held` being the last action; None where nobody acted yet."""
        self._from, self._held, self._acted_n = held, None if held is None else held.copy(), 0
        self._switches = [self._put(axis.moves, held) if axis.switch else 0.0 for axis in self.controls.axes]

    def act(self, observation: Observation) -> Vector:
        """Return what the person wants now, float64 (d,); for the first `BLEND_S` mixed with what was held."""
        if self._held is None or self._from is None:
            self._from = self._first(observation)
            self._held = self._from.copy()
        wanted = self._wanted(self._held)
        self._acted_n += 1
        share = min(1.0, self._acted_n / (BLEND_S * self.pace_hz))
        mixed: Vector = self._from + share * (wanted - self._from)
        return mixed

    def _first(self, observation: Observation) -> Vector:
        rest = np.array(self.controls.rest, np.float64)
        return observation[self.controls.place][: rest.size].copy() if self.controls.place else rest

    def _wanted(self, held: Vector) -> Vector:
        """Return the action of the inputs alone; where it is a place, move the held one there."""
        moved = np.zeros(held.size)
        for i, (axis, given) in enumerate(zip(self.controls.axes, self._deflections(), strict=True)):
            if axis.switch and given:
                self._switches[i] = 1.0 if given > 0 else -1.0
            moved += (self._switches[i] if axis.switch else given) * np.array(axis.moves)
        low, high = self.spec.action_low, self.spec.action_high
        if not self.controls.place:
            return np.clip(np.array(self.controls.rest) + moved, low, high)
        held += moved / self.pace_hz
        if self.inputs.point is not None and self.controls.pointer:
            dims = list(self.controls.pointer)
            held[dims] = low[dims] + np.array(self.inputs.point) * (high - low)[dims]
        np.clip(held, low, high, out=held)
        return held.copy()

    def _deflections(self) -> Sequence[float]:
        given = [float(np.clip(one, -1.0, 1.0)) for one in self.inputs.axes[: len(self.controls.axes)]]
        return given + [0.0] * (len(self.controls.axes) - len(given))

    def _put(self, moves: Sequence[float], held: Vector | None) -> float:
        """Return how a switch stands in a held action; off (-1) where nobody acted yet."""
        if held is None:
            return -1.0
        return 1.0 if float(np.dot(held - np.array(self.controls.rest), moves)) > 0 else -1.0
