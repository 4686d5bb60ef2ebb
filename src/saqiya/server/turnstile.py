"""How often somebody may try to sign in: a few wrong tries for a name or from an address, then a wait.

Kept in memory. A restart forgets the tries, which is safe: each guess still costs the server an argon2 hash, and only
whoever runs the server can restart it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from saqiya.domain.ids import Clock
from saqiya.server.faults import Refused

__all__ = ["Turnstile"]

WINDOW_S: Final = 15 * 60.0
NAME_TRIES: Final = 10
ADDRESS_TRIES: Final = 50
_HELD_AT_MOST: Final = 10_000


class Turnstile:
    """Counts wrong tries by name and by address over the last quarter of an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tries: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def enter(self, *, name: str, address: str) -> None:
        """Count a try before it is judged, so that many at once do not slip through.

        Raises:
            Refused: 429, with the seconds to wait.
        """
        now_ns = self._clock()
        with self._lock:
            for key, most in _limits(name, address):
                tries = self._recent(key, now_ns)
                if len(tries) >= most:
                    wait_s = max(1, round((tries[0] - now_ns) / 1e9 + WINDOW_S))
                    raise Refused(
                        429,
                        "TooManyTries",
                        "there were too many wrong tries to sign in",
                        remedy=f"Wait {wait_s} s, or ask an admin for a sign-in link.",
                        headers={"Retry-After": str(wait_s)},
                    )
            for key, _ in _limits(name, address):
                self._tries.setdefault(key, []).append(now_ns)
                self._tries.move_to_end(key)
            while len(self._tries) > _HELD_AT_MOST:
                self._tries.popitem(last=False)

    def leave(self, *, name: str, address: str) -> None:
        """Forget the tries of a name that signed in, and this one try of its address."""
        with self._lock:
            self._tries.pop(f"name {name}", None)
            tries = self._tries.get(f"address {address}")
            if tries:
                tries.pop()

    def _recent(self, key: str, now_ns: int) -> list[int]:
        tries = [one for one in self._tries.get(key, ()) if now_ns - one < WINDOW_S * 1e9]
        if tries:
            self._tries[key] = tries
        else:
            self._tries.pop(key, None)
        return tries


def _limits(name: str, address: str) -> Sequence[tuple[str, int]]:
    return [(f"name {name}", NAME_TRIES)] * bool(name) + [(f"address {address}", ADDRESS_TRIES)]
