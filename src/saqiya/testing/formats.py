"""What every format must keep: see `saqiya.domain.contracts.Format`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Format, Unread, Writable
from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.testing.demand import demand, same_bits
from saqiya.testing.episodes import make_episode, make_video

__all__ = ["check_format"]

_CAMERAS = {  # codec, form, packets out of picture order, unit
    "starts": ("h264", "annexb", False, ""),
    "lengths": ("h264", "avcc", True, ""),
    "hevc starts": ("hevc", "annexb", True, ""),
    "hevc lengths": ("hevc", "avcc", False, ""),
    "av1": ("av1", "obu", False, ""),
    "vp9": ("vp9", "", False, ""),
    "jpeg": ("jpeg", "", False, ""),
    "depth": ("png", "", False, "mm"),
}
_FOREIGN = {
    "empty": b"",
    "text": b"dear diary, today the robot dropped the cup again\n" * 20,
    "noise": bytes(np.random.default_rng(0).integers(0, 256, 4096, dtype=np.uint8)),
    "json": b'{"format": "somebody else\'s", "rows": [1, 2, 3]}\n',
}


def check_format(
    form: Format,
    folder: Path,
    *,
    episodes: Sequence[EpisodeLog] | None = None,
    samples: Sequence[Path] = (),
) -> None:
    """Check that a format keeps the contract.

    Args:
        form: the format; a `Writable` one must give back what it wrote, bit for bit, cameras packet by packet. What it
            cannot hold it must refuse with InvalidEpisode, leaving nothing behind.
        folder: an empty folder to write to.
        episodes: what a writable format writes; made-up ones with every dtype and awkward value when left out.
        samples: good files of the format; a format that cannot write needs at least one.

    Raises:
        AssertionError: a sentence of what the contract demands.
    """
    demand(form.name, "A format must have a name.")
    own = list(samples)
    if isinstance(form, Writable):
        own += _check_round_trip(form, form, folder, episodes or _awkward())
        own += _check_cameras(form, form, folder) if episodes is None else []
    demand(own, "A format that cannot write needs a sample file to be checked.")
    for path in own:
        demand(form.sniff(path), "sniff must say yes to a file of its own format.")
        _check_read(form, path)
    for name, content in _FOREIGN.items():
        foreign = folder / f"foreign-{name}"
        foreign.write_bytes(content)
        demand(not form.sniff(foreign), f"sniff must say no to a foreign file ({name}).")
        _refuses(form, foreign, f"a foreign file ({name})")
    demand(not form.sniff(folder), "sniff must say no to a folder of other things, and never raise.")
    for path in own:
        if path.is_file():
            _check_damage(form, path, folder)


def _awkward() -> list[EpisodeLog]:
    """Episodes with what gets lost easily: dtypes, NaN, minus zero, wide rows, names, units, empty streams."""
    rng = np.random.default_rng(1)
    floats = rng.normal(size=(12, 3))
    floats[2] = np.nan, np.inf, -0.0
    wide: dict[str, NDArray[Any]] = {
        "observation/float32": rng.normal(size=(12, 2)).astype(np.float32),
        "observation/int16": rng.integers(-9, 9, (12, 2, 3), dtype=np.int16),
        "camera/mask": rng.integers(0, 2, (12, 4, 4), dtype=np.uint8),
        "contact/held": rng.integers(0, 2, (12, 1)).astype(np.bool_),
        "observation/odd values": floats,
    }
    plain = make_episode(seed=0)
    odd = make_episode(
        seed=1, steps=12, streams=wide, metadata={"operator": 'Zoë "2"\n', "nested": {"a": [1, None, 0.1]}}
    )
    streams = dict(odd.streams)
    force = streams["contact/force"]
    streams["contact/force"] = Stream(force.t_ns, force.values, "host", force.stamp, "N", ("x", "y", "z"))
    streams["action/operator"] = Stream(np.empty(0, dtype=np.int64), np.empty((0, 2)), clock="sim")
    return [plain, EpisodeLog(odd.key, streams, odd.events, odd.metadata)]


def _check_cameras(form: Format, writer: Writable, folder: Path) -> list[Path]:
    """Try one episode for each kind of camera; a format may refuse a kind, but not drop it."""
    held = {}
    for kind, (codec, wrapping, reordered, unit) in _CAMERAS.items():
        video = make_video(seed=3, codec=codec, form=wrapping, reordered=reordered, unit=unit)
        path = folder / f"camera-{kind}"
        try:
            writer.write(replace(make_episode(seed=3, steps=4), videos={f"camera/{kind}": video}), path)
        except InvalidEpisode as refused:
            demand(refused.what, "A camera that a format cannot hold must be refused with a reason.")
            demand(not path.exists(), "A refused write must leave nothing behind.")
            continue
        path.unlink() if path.is_file() else shutil.rmtree(path)
        held[f"camera/{kind}"] = video
    if not held:
        return []
    empty = make_video(pictures=0, codec=next(iter(held.values())).track.codec)
    seen = replace(make_episode(seed=4), videos=held | {"camera/none": empty})
    return _check_round_trip(form, writer, folder, [seen], "seen")


def _check_round_trip(
    form: Format, writer: Writable, folder: Path, episodes: Sequence[EpisodeLog], stem: str = "own"
) -> list[Path]:
    written = []
    for index, episode in enumerate(episodes):
        path = folder / f"{stem}-{index}"
        writer.write(episode, path)
        demand(path.exists(), "write must write to the path that it was given.")
        demand(form.sniff(path), "sniff must say yes to what the format wrote, whatever the file's name.")
        back = list(form.read(path))
        demand(
            len(back) == 1 and isinstance(back[0], EpisodeLog), "Reading a written episode must yield that one episode."
        )
        if isinstance(back[0], EpisodeLog):
            _check_equal(episode, back[0])
        before = path.read_bytes() if path.is_file() else b""
        try:
            writer.write(episode, path)
        except Exception:  # noqa: BLE001 - the contract does not say which error, only that nothing is overwritten
            demand(not path.is_file() or path.read_bytes() == before, "write must leave an existing file as it is.")
        else:
            raise AssertionError("write must refuse a path that exists.")
        written.append(path)
    return written


def _check_equal(wrote: EpisodeLog, read: EpisodeLog) -> None:
    demand(read.key == wrote.key, "Reading back must give the same key.")
    demand(set(read.streams) == set(wrote.streams), "Reading back must give the same streams, empty ones too.")
    for name, stream in wrote.streams.items():
        back = read.streams[name]
        demand(
            same_bits({"t": stream.t_ns, "v": stream.values}, {"t": back.t_ns, "v": back.values}),
            f"Reading back must give the same stamps, samples and dtype, bit for bit: {name!r} differs.",
        )
        demand(
            (back.clock, back.stamp, back.unit, back.fields)
            == (stream.clock, stream.stamp, stream.unit, stream.fields),
            f"Reading back must give the same clock, kind of stamp, unit and fields: {name!r} differs.",
        )
    demand(set(read.videos) == set(wrote.videos), "Reading back must give the same cameras, empty ones too.")
    for name, video in wrote.videos.items():
        _check_same_video(name, video, read.videos[name])
    demand(read.events == wrote.events, "Reading back must give the same events in the same order.")
    missing = {name for name, value in wrote.metadata.items() if read.metadata.get(name, ...) != value}
    demand(not missing, f"Reading back must give the same metadata; it differs in {', '.join(sorted(missing))}.")


def _check_same_video(name: str, wrote: Video, read: Video) -> None:
    """Compare what a camera says and shows; where its packets lie is the format's own business."""
    said, back = (
        {item.name: getattr(video.track, item.name) for item in fields(Track) if item.name != "offset"}
        for video in (wrote, read)
    )
    for fact, value in said.items():
        same = np.array_equal(value, back[fact]) if isinstance(value, np.ndarray) else value == back[fact]
        demand(same, f"Reading back must give the same camera: {fact} of {name!r} differs.")
    same = all(wrote.packet(number) == read.packet(number) for number in range(len(wrote.track.size)))
    demand(same, f"Reading back must give the same packets, bit for bit: {name!r} differs.")


def _check_read(form: Format, path: Path) -> None:
    first, again = list(form.read(path)), list(form.read(path))
    demand(any(isinstance(item, EpisodeLog) for item in first), "A good file must yield an episode.")
    demand([item.key for item in first] == [item.key for item in again], "read must yield the tries in a stable order.")
    demand(len({item.key for item in first}) == len(first), "Every try of a file must have a key of its own.")
    for item in first:
        if isinstance(item, Unread):
            demand(item.reason and item.remedy, "A try that cannot be used must say why, and what to do.")
        else:
            demand(
                list(item.events) == sorted(item.events, key=lambda event: event.t_ns), "Events must be in time order."
            )


def _check_damage(form: Format, path: Path, folder: Path) -> None:
    """Cut a good file short and overwrite its middle: episodes, unread ones or UnreadableLog, nothing else."""
    content = path.read_bytes()
    for index, size in enumerate((0, 1, 7, len(content) // 10, len(content) // 2, len(content) - 1)):
        cut = folder / f"{path.stem}-cut-{index}{path.suffix}"
        cut.write_bytes(content[:size])
        form.sniff(cut)
        if size < len(content) // 10:
            _refuses(form, cut, f"the first {size} bytes of a log")
        else:
            _survives(form, cut, f"the first {size} of {len(content)} bytes of a log")
    rng = np.random.default_rng(2)
    for index in range(8):
        at = int(rng.integers(0, max(1, len(content) - 16)))
        spoiled = folder / f"{path.stem}-spoiled-{index}{path.suffix}"
        spoiled.write_bytes(content[:at] + rng.bytes(16) + content[at + 16 :])
        _survives(form, spoiled, f"a log with 16 wrong bytes at {at}")


def _refuses(form: Format, path: Path, what: str) -> None:
    demand(not _survives(form, path, what), f"read must raise UnreadableLog on {what}.")


def _survives(form: Format, path: Path, what: str) -> bool:
    """Read a damaged file and say whether anything but UnreadableLog came of it."""
    try:
        return bool(list(form.read(path)))
    except UnreadableLog as error:
        demand(error.what and error.remedy, f"UnreadableLog must say what is wrong with {what}, and what to do.")
        return False
    except Exception as error:
        raise AssertionError(f"read must raise UnreadableLog on {what}, not {type(error).__name__}: {error}") from error
