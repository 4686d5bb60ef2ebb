"""The verbs about what data is worth: one short method each; `Flywheel.pump` has them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from saqiya.loop.factors import Factors

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Pump"]


class Pump:
    """Novelty, duplicates, saturation, coverage; what to collect, and what not."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog

    @cached_property
    def factors(self) -> Factors:
        """What is known and said of objects, places, light, people and strategies; what was never shown of them."""
        return Factors(self.wheel)
