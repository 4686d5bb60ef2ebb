"""Answers that are slow to find, kept until the workspace holds something new; shared by all pages of one server."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Annotated, Any, Final, TypeVar

from fastapi import Depends
from starlette.requests import HTTPConnection

from saqiya.loop.board import Board
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.fresh import Fresh

__all__ = ["Here", "Kept", "kept"]

T = TypeVar("T")
HOUR_NS: Final = 3600 * 1_000_000_000


class Kept:
    """One workspace's answers. Nouns are only ever added, so their counts say whether an answer is the newest.

    Some answers grow old by themselves (how long failures wait, what a week brought): none is kept beyond its hour.
    """

    def __init__(self, wheel: Flywheel) -> None:
        """Keep answers about the workspace of `wheel`."""
        self.wheel = wheel
        self._lock = Lock()
        self._answers: dict[str, Fresh[Any]] = {}

    @cached_property
    def board(self) -> Board:
        """The queue of failures."""
        return Board(self.wheel)

    def get(self, name: str, find: Callable[[Flywheel], T]) -> T:
        """Return what `find` says of the workspace as it is now."""
        with self._lock:
            if name not in self._answers:
                self._answers[name] = Fresh(lambda: find(self.wheel), self._version, clock=self.wheel.clock)
        found: T = self._answers[name].get()
        return found

    def behind(self, name: str) -> bool:
        """Say whether a newer answer than the last that was given is being found."""
        return self._answers[name].behind

    def _version(self) -> object:
        return self.wheel.store.catalog.count(), self.wheel.clock() // HOUR_NS


async def kept(connection: HTTPConnection) -> Kept:  # async, so that looking it up takes no thread
    """Return the answers of the server that is asked."""
    state = connection.app.state
    if not hasattr(state, "kept"):
        state.kept = Kept(state.wheel)
    found: Kept = state.kept
    return found


Here = Annotated[Kept, Depends(kept)]
"""What a route is given to know the workspace by."""
