"""What is in the workspace, part by part, and what is new: for whoever looks at it while others work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from saqiya.domain.nouns import Noun
from saqiya.stores import leases, listing
from saqiya.stores.listing import Row, Stamp

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["News", "Row", "Stamp"]


class News:
    """Reads pages of nouns and what was stored since, without reading the rest."""

    def __init__(self, wheel: Flywheel) -> None:
        """Look at the workspace of `wheel`."""
        self._catalog = wheel.store.catalog

    def page(self, kind: type[Noun], *, before_ns: int | None = None, limit: int = 50) -> list[Row]:
        """Return nouns of a class, the newest first, that were stored before a moment (None: now)."""
        return listing.page(self._catalog, kind, before_ns=before_ns, limit=limit)

    def since(self, after_ns: int, *, limit: int = 500) -> list[Stamp]:
        """Return what was stored after a moment, in that order, without its contents."""
        return listing.stamps(self._catalog, after_ns, limit=limit)

    def moved(self, after_seq: int) -> tuple[int, int]:
        """Return how many slots changed hands after an entry of the trail, and the number of the last that did."""
        with self._catalog.database.reading() as connection:
            return leases.moved(connection, after_seq)

    def stored_ns(self, noun_id: str) -> int:
        """Return when a noun was stored, 0 where there is none of this id."""
        return listing.stored_ns(self._catalog, noun_id)

    def now_ns(self) -> int:
        """Return when the newest noun was stored, 0 in an empty workspace."""
        return listing.newest_ns(self._catalog)
