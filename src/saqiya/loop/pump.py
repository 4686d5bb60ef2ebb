"""The verbs about what data is worth: one short method each; `Flywheel.pump` has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["Pump"]


class Pump:
    """Novelty, duplicates, saturation, coverage; what to collect, and what not."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel, self.catalog = wheel, wheel.store.catalog
