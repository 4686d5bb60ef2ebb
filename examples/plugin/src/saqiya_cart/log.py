"""A log in lines of JSON: a head, one line a stream, one line a row, one line an event, and a last line that counts.

It is easy to read and to write from any language, and slow. JSON's numbers hold every float64 exactly.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog

HEAD = b'{"cart_log": 1, '
WRONG = (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, MemoryError, InvalidEpisode)


class CartLog:
    """Reads and writes cart logs, one episode a file."""

    name = "cart-jsonl"

    def sniff(self, path: Path) -> bool:
        """Say whether `path` begins as a cart log does."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield the one episode.

        Raises:
            UnreadableLog: a line is not what it should be, or the last line is missing.
        """
        try:
            if not self.sniff(path):
                raise ValueError("it does not begin as a cart log does")
            head, *body, last = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            if last != {"lines": len(body) + 1}:
                raise ValueError("the last line does not count the lines: the log was cut short")
            yield _episode(head, body)
        except WRONG as error:
            raise UnreadableLog(str(error), subject=str(path), remedy="Copy the log again from the cart.") from error

    def write(self, episode: EpisodeLog, path: Path) -> None:
        """Write one episode to a new file.

        Raises:
            InvalidEpisode: it has cameras; lines of text are no place for them.
        """
        if episode.videos:
            raise InvalidEpisode("a cart log holds no cameras", subject=episode.key, remedy="Write it as MCAP.")
        lines: list[dict[str, Any]] = [{"cart_log": 1, "key": episode.key, "metadata": dict(episode.metadata)}]
        for name, stream in episode.streams.items():
            facts = {"clock": stream.clock, "stamp": stream.stamp.value, "unit": stream.unit, "fields": stream.fields}
            shape = {"dtype": stream.values.dtype.str, "shape": stream.values.shape[1:]}
            lines.append({"stream": name, **shape, **facts})
            rows = zip(stream.t_ns.tolist(), stream.values.tolist(), strict=True)
            lines += [{"in": name, "t_ns": t_ns, "row": row} for t_ns, row in rows]
        lines += [{"event": event.name, "t_ns": event.t_ns, "detail": event.detail} for event in episode.events]
        lines.append({"lines": len(lines)})
        with path.open("x", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)


def _episode(head: dict[str, Any], body: list[dict[str, Any]]) -> EpisodeLog:
    facts = {line["stream"]: line for line in body if "stream" in line}
    rows: dict[str, list[tuple[int, Any]]] = {name: [] for name in facts}
    for line in body:
        if "in" in line:
            rows[line["in"]].append((line["t_ns"], line["row"]))
    events = tuple(Event(line["t_ns"], line["event"], line["detail"]) for line in body if "event" in line)
    streams = {name: _stream(fact, rows[name]) for name, fact in facts.items()}
    return EpisodeLog(head["key"], streams, events, head["metadata"])


def _stream(fact: dict[str, Any], rows: list[tuple[int, Any]]) -> Stream:
    dtype = np.dtype(fact["dtype"])
    if dtype.kind not in "fiub":
        raise ValueError(f"{fact['stream']} holds no numbers")
    values = np.array([row for _, row in rows], dtype).reshape(len(rows), *fact["shape"])
    stamps = np.array([t_ns for t_ns, _ in rows], np.int64)
    return Stream(stamps, values, fact["clock"], Stamp(fact["stamp"]), fact["unit"], tuple(fact["fields"]))
