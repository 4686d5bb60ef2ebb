"""Messages as columns: what every decoder turns a topic's messages into, whatever bytes they came in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["LONGEST_LIST", "Batch", "Decoded", "Decoder", "Words", "reasons"]

LONGEST_LIST = 64
"""Of objects, each of which becomes streams of its own."""


@dataclass(frozen=True)
class Words:
    """A column of text: each row's `code` is an index into `words`."""

    words: tuple[str, ...]
    code: NDArray[np.int64]

    def each(self) -> list[str]:
        """Return the text of every row."""
        return [self.words[code] for code in self.code.tolist()]


@dataclass(frozen=True)
class Batch:
    """Messages that are built alike.

    Attributes:
        rows: int64 (n,), which messages of the topic these are.
        numbers: (n,) a number, (n, k) a list, (n, k, f) a list of structs of f equal numbers; by path ("a/b").
        texts: by path.
        skipped: path: why it is not here.
        bare: nothing was taken out of it: where it holds nothing, its messages hold nothing.
    """

    rows: NDArray[np.int64]
    numbers: dict[str, NDArray[Any]]
    texts: dict[str, Words] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    bare: bool = True


@dataclass
class Decoded:
    """What became of a topic's messages: batches, how many could not be decoded and why (the first), and the work."""

    batches: list[Batch] = field(default_factory=list)
    lost: int = 0
    why: str = ""
    cuts: int = 0

    def lose(self, why: str, count: int = 1) -> None:
        """Note messages that do not decode."""
        self.lost += count
        self.why = self.why or why


class Decoder(Protocol):
    """Knows how one topic's messages are written.

    In paths "*" stands for any index.

    Attributes:
        type: short name of the type ("sensor_msgs/Imu"), "" where there is none.
    """

    type: str

    @property
    def units(self) -> Mapping[str, str]:
        """Units, by path."""

    @property
    def inner(self) -> Mapping[str, tuple[str, ...]]:
        """Names of the equal numbers of a list's structs, by path."""

    def batches(self, payloads: Sequence[bytes], first: int) -> Decoded:
        """Decode messages; the first of them is row `first`."""

    def message(self, payload: bytes) -> dict[str, Any]:
        """Decode one message to nested dicts, lists, numbers, texts and bytes; stamps are int ns.

        Raises:
            Undecodable: the bytes are no such message.
        """

    def data_at(self, payload: bytes) -> int:
        """Return where the bytes of the field `data` begin in the payload, -1 where they do not lie there as such."""


def reasons(parts: Iterable[str], most: int = 4) -> str:
    """Join the first few reasons into one line."""
    listed = list(parts)
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + more
