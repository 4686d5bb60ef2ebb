"""The group `saqiya` of an HDF5 file that we wrote: episodes bit for bit, at their own rates, beside another's layout.

`saqiya/demo_0/log` is JSON text as bytes: key, facts, events, spans, and what streams and cameras are. Their arrays lie
beside it under numbers, in the order of that list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Shipped
from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Event, Stamp, Stream
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.arrays.episode import Column
from saqiya.formats.hdf5.columns import Hdf5Columns

__all__ = ["GROUP", "VERSION", "read_own", "write_own"]

GROUP, VERSION = "saqiya", 1
MOST_LOG_BYTES = 1 << 28
_DAMAGED = "Copy or export the file again."


def write_own(file: Any, demo: str, shipped: Shipped) -> dict[str, Any]:  # noqa: ANN401 - h5py has no types
    """Write an episode whole, and return the data set of each stream's values by name.

    Raises:
        InvalidEpisode: a stream's values have no type in HDF5, or a fact is not JSON.
    """
    file.require_group(GROUP).attrs["version"] = VERSION
    log, group = shipped.log, file.create_group(f"{GROUP}/{demo}")
    made: dict[str, Any] = {}
    for number, (name, stream) in enumerate(sorted(log.streams.items())):
        if stream.values.dtype.kind not in "fiub" or stream.values.dtype.itemsize > 8:
            raise InvalidEpisode(
                f"{name} holds {stream.values.dtype}, which HDF5 readers do not know", subject=log.key,
                remedy="Leave the stream out, or ship the episode as MCAP.",
            )  # fmt: skip
        group[f"stream/{number}/t_ns"] = stream.t_ns
        made[name] = group.create_dataset(f"stream/{number}/values", data=stream.values)
    for number, (_, video) in enumerate(sorted(log.videos.items())):
        _write_video(group.create_group(f"video/{number}"), video)
    try:
        text = json.dumps(_told(shipped), sort_keys=True).encode()
    except (TypeError, ValueError) as bad:
        raise InvalidEpisode(f"a fact of the episode is not JSON ({bad})", subject=log.key) from bad
    group["log"] = np.frombuffer(text, dtype=np.uint8)
    return made


def _told(shipped: Shipped) -> dict[str, Any]:
    log = shipped.log
    return {
        "uid": shipped.uid,
        "spans": [list(span) for span in shipped.spans],
        "key": log.key,
        "metadata": dict(log.metadata),
        "events": [[event.t_ns, event.name, event.detail] for event in log.events],
        "streams": [
            {
                "name": name,
                "clock": stream.clock,
                "stamp": stream.stamp.value,
                "unit": stream.unit,
                "fields": list(stream.fields),
            }
            for name, stream in sorted(log.streams.items())
        ],
        "videos": [
            {"name": name, "stamp": video.track.stamp.value}
            | {
                word: getattr(video.track, word)
                for word in ("codec", "form", "width", "height", "pre", "post", "clock", "unit")
            }
            for name, video in sorted(log.videos.items())
        ],
    }


def _write_video(group: Any, video: Video) -> None:  # noqa: ANN401
    track = video.track
    for name in ("t_ns", "size", "key", "rank"):
        group[name] = getattr(track, name)
    group["setup"] = np.frombuffer(track.setup, dtype=np.uint8)
    packets = group.create_dataset("packets", (int(track.size.sum()),), np.uint8)
    at = 0
    for number in range(len(track.size)):
        packet = video.packet(number)
        packets[at : at + len(packet)] = np.frombuffer(packet, dtype=np.uint8)
        at += len(packet)


def read_own(columns: Hdf5Columns, demo: str) -> EpisodeLog:
    """Give back an episode as it was written.

    Raises:
        UnreadableLog: something of it is missing or damaged.
        InvalidEpisode: stamps or packets break a rule.
    """
    held = {column.path: column for column in columns.of(f"{GROUP}/{demo}")}
    try:
        text = _array(held, "log")
        if text.dtype != np.uint8 or text.size > MOST_LOG_BYTES:
            raise ValueError("its list is no text")
        told = json.loads(text.tobytes())
        streams = {
            str(one["name"]): Stream(
                _array(held, f"stream/{number}/t_ns"),
                _array(held, f"stream/{number}/values"),
                str(one["clock"]),
                Stamp(one["stamp"]),
                str(one["unit"]),
                tuple(str(word) for word in one["fields"]),
            )
            for number, one in enumerate(told["streams"])
        }
        videos = {
            str(one["name"]): _video(columns, held, (demo, number), one) for number, one in enumerate(told["videos"])
        }
        events = tuple(Event(int(t_ns), str(name), str(detail)) for t_ns, name, detail in told["events"])
        return EpisodeLog(str(told["key"]), streams, events, dict(told["metadata"]), videos)
    except (KeyError, ValueError, TypeError, RecursionError, OverflowError, AttributeError) as bad:
        raise UnreadableLog(f"its group {GROUP} is damaged ({bad})", remedy=_DAMAGED) from bad


def _video(columns: Hdf5Columns, held: Mapping[str, Column], place: tuple[str, int], told: Mapping[str, Any]) -> Video:
    demo, number = place
    arrays = {name: _array(held, f"video/{number}/{name}") for name in ("t_ns", "size", "key", "rank", "setup")}
    packets = held[f"video/{number}/packets"]
    data, begin, file = columns.bytes_of(f"{GROUP}/{demo}/video/{number}/packets", packets)
    size = arrays["size"]
    if size.dtype != np.int64 or bool((size < 0).any()) or int(size.sum(dtype=object)) != packets.rows:
        raise ValueError("a camera's packets are not as long as it says")
    track = Track(
        t_ns=arrays["t_ns"],
        offset=begin + np.cumsum(size) - size,
        size=size,
        key=arrays["key"],
        rank=arrays["rank"],
        codec=str(told["codec"]),
        width=int(told["width"]),
        height=int(told["height"]),
        form=str(told["form"]),
        setup=arrays["setup"].tobytes(),
        pre=int(told["pre"]),
        post=int(told["post"]),
        clock=str(told["clock"]),
        stamp=Stamp(told["stamp"]),
        unit=str(told["unit"]),
    )
    return Video(track, data, file)


def _array(held: Mapping[str, Column], path: str) -> NDArray[Any]:
    column = held[path]
    if column.why:
        raise UnreadableLog(f"{path}: {column.why}", remedy=_DAMAGED)
    return np.asarray(column.read())
