"""One SQLite file of a ROS 2 bag, opened so that a damaged or hostile file can do no harm."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.formats.bounded import Allowance, Spoiled, unpack
from saqiya.formats.messages.types import Undecodable

if TYPE_CHECKING:
    from saqiya.formats.messages.log import Log, Topic

__all__ = ["take_sqlite"]

_ZSTD = b"\x28\xb5\x2f\xfd"
_MOST_BLOB_BYTES = 1 << 30
_STEPS_AT_LEAST = 50_000_000
_STEPS_A_BYTE = 8
_STEPS_A_LOOK = 1_000_000


def take_sqlite(path: Path, distro: str, log: Log) -> tuple[int, str]:
    """Take the messages of one file into a log; return how many, and what is wrong with the file ("" for nothing).

    Args:
        path: the file; nothing is ever written beside it.
        distro: ROS 2 distribution that recorded it, "" where unknown.
        log: takes the messages.
    """
    allowance = Allowance.of(path.stat().st_size)
    count, broken = 0, ""
    try:
        with _opened(path) as base:
            topics = _topics(base, distro, log)
            strange = 0
            # In the order in which they were written: no sorting of a day's blobs on disk.
            for number, t_ns, data in base.execute("SELECT topic_id, timestamp, data FROM messages NOT INDEXED"):
                topic = topics.get(number)
                if topic is None or type(t_ns) is not int or not isinstance(data, bytes):
                    strange += 1
                    continue
                if data[:4] == _ZSTD:
                    data = unpack("zstd", data, None, allowance)  # noqa: PLW2901 - packed messages unpack in place
                topic.add(t_ns, data, -1)
                count += 1
            broken = f"{strange} rows are no messages of a topic" if strange else ""
    except (sqlite3.Error, OverflowError, MemoryError, UnicodeDecodeError) as bad:  # the last: of its own error text
        broken = f"the database is truncated or damaged ({bad})"
    except Spoiled as bad:
        broken = f"a packed message is damaged ({bad})"
    return count, broken


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a database for reading alone; messages that wait in a write-ahead log are read from a copy."""
    waiting = path.with_name(path.name + "-wal")
    with contextlib.ExitStack() as held:
        if waiting.is_file() and waiting.stat().st_size:
            folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
            shutil.copyfile(waiting, folder / "bag.db3-wal")
            path = Path(shutil.copyfile(path, folder / "bag.db3"))
            address = path.as_uri()
        else:
            address = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        base = held.enter_context(closing(sqlite3.connect(address, uri=True)))
        base.text_factory = _text
        base.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(_MOST_BLOB_BYTES, max(path.stat().st_size, 1 << 16)))
        left = [_STEPS_AT_LEAST + _STEPS_A_BYTE * path.stat().st_size]

        def look() -> bool:  # a view or a rule in a hostile file could go on for ever
            left[0] -= _STEPS_A_LOOK
            return left[0] < 0

        base.set_progress_handler(look, _STEPS_A_LOOK)
        for rule in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
            base.execute(f"PRAGMA {rule}")
        yield base


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _tables(base: sqlite3.Connection) -> dict[str, set[str]]:
    """Return the columns of every ordinary table."""
    names = base.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
    tables = {str(name) for (name,) in names.fetchmany(1000)}
    return {
        name: {str(row[1]) for row in base.execute("SELECT * FROM pragma_table_info(?)", (name,)).fetchmany(1000)}
        for name in tables & {"topics", "messages", "message_definitions", "schema"}
    }


def _topics(base: sqlite3.Connection, distro: str, log: Log) -> dict[Any, Topic]:
    from saqiya.formats.messages.decoders import ros_decoder

    tables = _tables(base)
    if not {"id", "name", "type"} <= tables.get("topics", set()):
        raise Spoiled("the database is no ROS 2 bag: it has no table of topics")
    if not {"topic_id", "timestamp", "data"} <= tables.get("messages", set()):
        raise Spoiled("the database is no ROS 2 bag: it has no table of messages")
    if "ros_distro" in tables.get("schema", set()) and not distro:
        distro = next((str(row[0]) for row in base.execute("SELECT ros_distro FROM schema LIMIT 1")), "")
    texts: dict[str, tuple[str, str]] = {}
    if {"topic_type", "encoding", "encoded_message_definition"} <= tables.get("message_definitions", set()):
        query = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions LIMIT 10000"
        texts = {str(name): (str(kind), str(text)) for name, kind, text in base.execute(query)}
    encoding = "serialization_format" if "serialization_format" in tables["topics"] else "'cdr'"
    topics: dict[Any, Topic] = {}
    # One more than a log may declare: then the log says so.
    for number, name, kind, wire in base.execute(f"SELECT id, name, type, {encoding} FROM topics LIMIT 4097"):  # noqa: S608
        form, text = texts.get(str(kind), ("", ""))
        try:
            if wire != "cdr":
                raise Undecodable(f"its messages are written as {str(wire)[:40]!r}, and this reader knows cdr")
            topics[number] = log.topic(str(name), str(kind), ros_decoder(str(kind), form, text, distro))
        except Undecodable as why:
            topics[number] = log.topic(str(name), str(kind), why)
    return topics
