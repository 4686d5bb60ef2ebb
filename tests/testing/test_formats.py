"""The format checker fails on formats that break the contract, and says how."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import UnreadableLog
from saqiya.formats.mcap.log import McapFormat
from saqiya.testing import check_format


class Greedy(McapFormat):
    def sniff(self, path: Path) -> bool:
        return True


class Blind(McapFormat):
    def sniff(self, path: Path) -> bool:
        return False


class Lossy(McapFormat):
    """Keeps float32 only."""

    def write(self, episode: EpisodeLog, path: Path) -> None:
        thin = {
            name: replace(stream, values=stream.values.astype(np.float32)) if stream.values.dtype == float else stream
            for name, stream in episode.streams.items()
        }
        super().write(replace(episode, streams=thin), path)


class NoUnits(McapFormat):
    def write(self, episode: EpisodeLog, path: Path) -> None:
        bare = {name: Stream(stream.t_ns, stream.values) for name, stream in episode.streams.items()}
        super().write(replace(episode, streams=bare), path)


class NoEvents(McapFormat):
    def write(self, episode: EpisodeLog, path: Path) -> None:
        super().write(replace(episode, events=()), path)


class NoFacts(McapFormat):
    def write(self, episode: EpisodeLog, path: Path) -> None:
        super().write(replace(episode, metadata={}), path)


class Overwriting(McapFormat):
    def write(self, episode: EpisodeLog, path: Path) -> None:
        path.unlink(missing_ok=True)
        super().write(episode, path)


class Crashing(McapFormat):
    """Lets a foreign exception escape."""

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        try:
            yield from super().read(path)
        except UnreadableLog as error:
            raise KeyError("header") from error


class Forgiving(McapFormat):
    """Makes an episode of anything."""

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        try:
            yield from super().read(path)
        except UnreadableLog:
            yield EpisodeLog("empty", {})


class Silent(McapFormat):
    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        try:
            yield from super().read(path)
        except UnreadableLog as error:
            raise UnreadableLog(error.what) from error


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (Greedy, "sniff must say no to a foreign file"),
        (Blind, "sniff must say yes to what the format wrote"),
        (Lossy, "bit for bit"),
        (NoUnits, "kind of stamp, unit"),
        (NoEvents, "same events"),
        (NoFacts, "same metadata"),
        (Overwriting, "refuse a path that exists"),
        (Crashing, "not KeyError"),
        (Forgiving, "must raise UnreadableLog on a foreign file"),
        (Silent, "what to do"),
    ],
)
def test_a_broken_format_is_caught(broken: type[McapFormat], sentence: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check_format(broken(), tmp_path)


def test_a_format_that_only_reads_needs_a_sample(tmp_path: Path) -> None:
    class ReadOnly:
        name = "read-only"

        def sniff(self, path: Path) -> bool:
            return False

        def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
            raise UnreadableLog("is empty", remedy="Record it again.")
            yield

    with pytest.raises(AssertionError, match="needs a sample"):
        check_format(ReadOnly(), tmp_path)
