"""An episode as Rerun chunks: series, pictures, video packets, events and facts, each at its own stamps. Loaded late.

Every sample and stamp is there bit for bit; what a Rerun type cannot hold exactly lies beside it as a column of the
stream's own dtype (`saqiya.Row:int64`), and what Rerun has no type for is told in `notes_of`. The facts of each
stream (dtype, shape, clock, unit ...) are static columns of its entity.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import rerun as rr
from numpy.typing import NDArray
from rerun.chunk import Chunk

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, JsonValue, Stream
from saqiya.formats.pictures.annexb import Wrap, obstacle, wrap_of

__all__ = ["EVENTS", "FACTS", "MOMENT", "TIMELINE", "Clock", "chunks_of", "entities", "is_picture", "notes_of"]

TIMELINE, MOMENT = "time", "moment"
EVENTS, FACTS = "events", "episode"
MOST_LINES = 64
"""A row of more numbers (a laser scan) is kept, and not drawn as lines."""
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 1 << 16
_CODECS = {"h264": "H264", "hevc": "H265", "av1": "AV1", "vp9": "VP9"}
BEFORE_NS, AFTER_NS = 1_000_000_000, 9_000_000_000
_EPOCH_NS = 10**17  # 1973: a smaller stamp counts from some other moment
_EXACT_INT = 2**53
_COLOURS = {1: "L", 3: "RGB", 4: "RGBA"}
_DEEP = {"u1": "U8", "u2": "U16", "f4": "F32", "f8": "F64"}
_METER = {"mm": 1000.0, "m": 1.0}


@dataclass(frozen=True)
class Clock:
    """How stamps become Rerun's times.

    A recording cannot say where a viewer's time cursor begins, and it begins where the timeline does. So rows about a
    moment lie on a second timeline too, which begins shortly before it and counts from it.

    Attributes:
        epoch: stamps count from 1970; else the timeline shows durations.
        moment_ns: the moment; None for no second timeline.
    """

    epoch: bool
    moment_ns: int | None = None

    @classmethod
    def of(cls, log: EpisodeLog, moment_ns: int | None) -> Clock:
        """Choose for an episode, by its first stamp."""
        return cls(log.span.start_ns >= _EPOCH_NS, moment_ns)

    def columns(self, t_ns: NDArray[np.int64], *, about: bool) -> list[rr.TimeColumn]:
        """Return the times of rows, on both timelines where they are `about` the moment."""
        kind = {"timestamp": t_ns.view("datetime64[ns]")} if self.epoch else {"duration": t_ns.view("timedelta64[ns]")}
        columns = [rr.TimeColumn(TIMELINE, **kind)]
        if about and self.moment_ns is not None:
            columns.append(rr.TimeColumn(MOMENT, duration=(t_ns - self.moment_ns).view("timedelta64[ns]")))
        return columns

    def about(self, t_ns: NDArray[np.int64], key: NDArray[np.bool_] | None = None) -> tuple[int, int]:
        """Return the first row about the moment and the one behind the last; `key` rows are where decoding can begin.

        Rows may lie in decoding order: what is wanted begins at a key row and ends with the last row in time.
        """
        if self.moment_ns is None:
            return 0, 0
        early = np.flatnonzero(t_ns < self.moment_ns - BEFORE_NS)
        late = np.flatnonzero(t_ns < self.moment_ns + AFTER_NS)
        first, last = (int(found[-1]) + 1 if len(found) else 0 for found in (early, late))
        if key is not None and first < len(t_ns):
            first = int(np.flatnonzero(key[: first + 1])[-1])
        return first, last


def chunks_of(log: EpisodeLog, facts: Mapping[str, JsonValue], *, moment_ns: int | None = None) -> Iterator[Chunk]:
    """Yield the chunks of an episode; `facts` are told beside its own (uid, spans)."""
    clock = Clock.of(log, moment_ns)
    places = entities(log)
    for name, stream in log.streams.items():
        yield from _stream_chunks(places[name], name, stream, clock)
    for name, video in log.videos.items():
        yield from _video_chunks(places[name], name, video, clock)
    if log.events:
        told = [f"{event.name}: {event.detail}" if event.detail else event.name for event in log.events]
        stamps = np.array([event.t_ns for event in log.events], np.int64)
        exact = {"name": [event.name for event in log.events], "detail": [event.detail for event in log.events]}
        for first, last, about in _parts(len(stamps), 1 << 62, clock.about(stamps)):
            part = {name: words[first:last] for name, words in exact.items()}
            columns = [
                *rr.TextLog.columns(text=told[first:last]),
                *rr.DynamicArchetype.columns("saqiya.Event", components=part),
            ]
            yield Chunk.from_columns(f"/{EVENTS}", clock.columns(stamps[first:last], about=about), columns)
    said = json.dumps({"key": log.key, **facts, "metadata": dict(log.metadata)}, sort_keys=True)
    page = rr.TextDocument.columns(text=[_page(log, facts)], media_type=["text/markdown"])
    yield Chunk.from_columns(
        f"/{FACTS}", [], [*page, *rr.DynamicArchetype.columns("saqiya.Episode", components={"json": [said]})]
    )


def entities(log: EpisodeLog) -> dict[str, str]:
    """Give every stream and camera an entity path of its own."""
    places: dict[str, str] = {}
    taken = {f"/{EVENTS}", f"/{FACTS}"}
    for name in [*log.streams, *log.videos]:
        parts = [part for part in name.split("/") if part] or ["unnamed"]
        parts[0] = f"user{parts[0]}" if parts[0].startswith("__") else parts[0]  # "__" is Rerun's own
        place, count = rr.new_entity_path(parts), 1
        while place in taken:
            count += 1
            place = rr.new_entity_path([*parts[:-1], f"{parts[-1]} {count}"])
        taken.add(place)
        places[name] = place
    return places


def is_picture(name: str, stream: Stream) -> bool:
    """Say whether a stream's rows are pictures: gray, RGB or RGBA bytes, or a depth image."""
    shape, code = stream.values.shape[1:], stream.values.dtype.str[1:]
    if len(shape) == 3 and shape[2] in _COLOURS:
        return code == "u1" or (shape[2] == 1 and code in _DEEP and _is_deep(name, stream))
    return len(shape) == 2 and code in _DEEP and (code == "u1" or _is_deep(name, stream))


def notes_of(log: EpisodeLog) -> tuple[str, ...]:
    """Say what of an episode Rerun holds without showing it, and what it cannot hold to the bit."""
    notes = []
    for name, stream in sorted(log.streams.items()):
        width = math.prod(stream.values.shape[1:])
        if is_picture(name, stream):
            continue
        if _arrow_values(stream) is None and not _is_double(stream):
            notes.append(f"{name}: {stream.values.dtype} is rounded to 64-bit floats")
        if width > MOST_LINES:
            notes.append(f"{name}: {width} numbers a row are kept, and not drawn")
    for name, video in sorted(log.videos.items()):
        reason = obstacle(video.track)
        if wrap_of(video) is None:
            reason = "its packets cannot be given start codes without loss, so they stay as they are"
        if reason:
            notes.append(f"{name} is kept but will not play: {reason}")
    return tuple(notes)


def _parts(count: int, rows: int, about: tuple[int, int]) -> Iterator[tuple[int, int, bool]]:
    """Yield (first, last, whether they are about the moment) of at most `rows` rows each."""
    edges = sorted({0, count, *(min(edge, count) for edge in about)})
    for low, high in itertools.pairwise(edges):
        for first in range(low, high, rows):
            yield first, min(first + rows, high), about[0] <= first < about[1]


def _stream_chunks(entity: str, name: str, stream: Stream, clock: Clock) -> Iterator[Chunk]:
    values = stream.values
    said = {
        "name": name, "dtype": values.dtype.str, "shape": json.dumps(values.shape[1:]), "clock": stream.clock,
        "stamp": stream.stamp.value, "unit": stream.unit, "fields": json.dumps(stream.fields),
    }  # fmt: skip
    static = _told("saqiya.Stream", said)
    picture = is_picture(name, stream)
    if picture:
        static += list(_picture_format(name, stream))
    elif len(stream.fields) == math.prod(values.shape[1:]) and 0 < len(stream.fields) <= MOST_LINES:
        static += list(rr.SeriesLines.columns(names=list(stream.fields)).partition([len(stream.fields)]))
    yield Chunk.from_columns(entity, [], static)
    rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // max(1, values[:1].nbytes)))
    for first, last, about in _parts(len(stream.t_ns), rows, clock.about(stream.t_ns)):
        part = slice(first, last)
        columns = _picture_columns(name, stream, part) if picture else _number_columns(stream, part)
        yield Chunk.from_columns(entity, clock.columns(stream.t_ns[part], about=about), columns)


def _number_columns(stream: Stream, part: slice) -> list[Any]:
    count = len(stream.t_ns[part])
    width = math.prod(stream.values.shape[1:])
    columns: list[Any] = []
    if width <= MOST_LINES or _arrow_values(stream) is None:
        plain = np.ascontiguousarray(stream.values[part])
        pairs = 2 if plain.dtype.kind == "c" else 1
        if pairs == 2:
            plain = plain.view(plain.real.dtype)
        scalars = plain.astype(np.float64).reshape(-1)
        columns += list(rr.Scalars.columns(scalars=scalars).partition([width * pairs] * count))
    exact = _arrow_values(stream)
    if exact is not None and (width > MOST_LINES or not _is_double(stream)):
        flat = {exact.dtype.name: np.ascontiguousarray(exact[part]).reshape(-1)}
        columns += list(rr.DynamicArchetype.columns("saqiya.Row", components=flat).partition([width] * count))
    return columns


def _is_double(stream: Stream) -> bool:
    """Say whether 64-bit floats hold every value exactly."""
    values = stream.values
    if values.dtype.kind in "iu" and values.dtype.itemsize == 8 and values.size:
        return bool(values.max() <= _EXACT_INT and (values.dtype.kind == "u" or values.min() >= -_EXACT_INT))
    return values.dtype.kind in "biu" or values.dtype.itemsize <= (16 if values.dtype.kind == "c" else 8)


def _arrow_values(stream: Stream) -> NDArray[Any] | None:
    """Return the values in native byte order where Arrow has their dtype."""
    kind, size = stream.values.dtype.kind, stream.values.dtype.itemsize
    if kind in "biu" or (kind == "f" and size <= 8):
        return stream.values.astype(stream.values.dtype.newbyteorder("="), copy=False)
    return None


def _is_deep(name: str, stream: Stream) -> bool:
    return name.startswith("depth/") or stream.unit in _METER or stream.values.dtype.str[1:] == "u2"


def _picture_format(name: str, stream: Stream) -> Any:  # noqa: ANN401 - Rerun's own list of columns
    height, width, *channels = stream.values.shape[1:]
    form = rr.components.ImageFormat(
        width=width,
        height=height,
        color_model=_COLOURS[channels[0] if channels else 1],
        channel_datatype=_DEEP[stream.values.dtype.str[1:]],
    )
    if _is_deep(name, stream):
        return rr.DepthImage.columns(format=[form], meter=[_METER.get(stream.unit, 1.0)])
    return rr.Image.columns(format=[form])


def _picture_columns(name: str, stream: Stream, part: slice) -> Any:  # noqa: ANN401
    order = stream.values.dtype.newbyteorder("<")
    buffers = [row.astype(order, copy=False).tobytes() for row in stream.values[part]]
    return (rr.DepthImage if _is_deep(name, stream) else rr.Image).columns(buffer=buffers)


def _video_chunks(entity: str, name: str, video: Video, clock: Clock) -> Iterator[Chunk]:
    track, wrap = video.track, wrap_of(video) or Wrap()
    said: dict[str, str | int] = {
        "name": name, "codec": track.codec, "form": track.form, "width": track.width, "height": track.height,
        "setup": track.setup.hex(), "pre": track.pre, "post": track.post, "clock": track.clock,
        "stamp": track.stamp.value, "unit": track.unit, "prefix": wrap.prefix.hex(), "length_bytes": wrap.length_bytes,
    }  # fmt: skip
    static = _told("saqiya.Video", said)
    if track.codec in _CODECS:
        static += list(rr.VideoStream.columns(codec=[_CODECS[track.codec]]))
    elif track.unit in _METER:
        static += list(rr.EncodedDepthImage.columns(media_type=[f"image/{track.codec}"], meter=[_METER[track.unit]]))
    else:
        static += list(rr.EncodedImage.columns(media_type=[f"image/{track.codec}"]))
    yield Chunk.from_columns(entity, [], static)
    stamps = track.t_ns[track.rank]
    largest = int(track.size.max(initial=1))
    for first, last, about in _parts(len(stamps), max(1, _BATCH_BYTES // largest), clock.about(stamps, track.key)):
        keys = track.key[first:last].tolist()
        packets = [wrap.wrap(video.packet(first + i), key=key) for i, key in enumerate(keys)]
        columns: Any
        if track.codec in _CODECS:
            columns = rr.VideoStream.columns(sample=packets, is_keyframe=keys)
        elif track.unit in _METER:
            columns = rr.EncodedDepthImage.columns(blob=packets)
        else:
            columns = rr.EncodedImage.columns(blob=packets)
        # Rerun sorts rows by time: the packet's number keeps the order of decoding.
        places = {"packet": np.arange(first, last), "picture": track.rank[first:last]}
        exact = rr.DynamicArchetype.columns("saqiya.Video", components=places)
        yield Chunk.from_columns(entity, clock.columns(stamps[first:last], about=about), [*columns, *exact])


def _told(kind: str, said: Mapping[str, str | int]) -> list[Any]:
    return list(rr.DynamicArchetype.columns(kind, components={name: [value] for name, value in said.items()}))


def _page(log: EpisodeLog, facts: Mapping[str, JsonValue]) -> str:
    lines = [f"# {log.key}", ""]
    for name, value in sorted({**facts, **log.metadata}.items()):
        text = value if isinstance(value, str) else json.dumps(value)
        lines.append(f"- **{name}**: {text}")
    return "\n".join(lines) + "\n"
