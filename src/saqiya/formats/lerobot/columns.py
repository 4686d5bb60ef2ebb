"""An episode's columns: each stream's latest sample at every frame, and the columns that LeRobot users look for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.formats.lerobot.rows import array_of

__all__ = ["Column", "flags_of", "is_raw", "keep", "stage", "staged"]

_BATCH_N = 64
_NAMES = ["height", "width", "channels"]


@dataclass(frozen=True)
class Column:
    """One feature of an episode.

    Attributes:
        dtype: LeRobot's word ("float32", "image", "video").
        shape: of one frame.
        values: (N, ...); None for pictures.
        picture: gives frame k's picture as PNG or JPEG; None for numbers and for cameras in files.
        names: what the entries of a row are called, as info.json has it.
        about: what info.json says of a camera.
        scale: what pixels are divided by in the statistics.
    """

    dtype: str
    shape: tuple[int, ...]
    values: NDArray[Any] | None = None
    picture: Callable[[int], bytes] | None = None
    names: object = None
    about: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 255.0

    @classmethod
    def of(cls, values: NDArray[Any], fields: tuple[str, ...] = ()) -> Column:
        """Return a column of numbers (N, ...)."""
        plain = values.astype(values.dtype.newbyteorder("="), copy=False)
        shaped = plain if plain.ndim > 1 else plain.reshape(-1, 1)
        return cls(plain.dtype.name, shaped.shape[1:], shaped, names=list(fields) or None)

    @classmethod
    def camera(
        cls,
        size: tuple[int, int, int],
        dtype: str,
        about: Mapping[str, Any],
        picture: Callable[[int], bytes] | None = None,
    ) -> Column:
        """Return a camera's column; `size` is height, width and channels."""
        scale = 1.0 if about.get("is_depth_map") else 255.0
        return cls(dtype, size, None, picture, _NAMES, about, scale)

    @property
    def alike(self) -> tuple[str, tuple[int, ...], bool]:
        """What must be the same in every episode: type, shape, and whether its pictures are depth maps."""
        return self.dtype, self.shape, bool(self.about.get("is_depth_map"))


def is_raw(name: str, stream: Stream) -> bool:
    """Say whether a stream holds raw pictures that PNG can hold."""
    values = stream.values
    if not name.startswith(("camera/", "depth/")) or values.ndim not in {3, 4} or 0 in values.shape:
        return False
    channels = values.shape[3] if values.ndim == 4 else 1
    return (values.dtype == np.uint8 and channels in {1, 3, 4}) or (values.dtype == np.uint16 and channels == 1)


def flags_of(log: EpisodeLog, t_ns: NDArray[np.int64], author: NDArray[np.int64] | None) -> dict[str, Column]:
    """Return who acted, and how and when the try ended: `intervention`, `next.success`, `next.done`.

    Args:
        log: the try.
        t_ns: int64 (N,), its frames' moments.
        author: int64 (N,), the latest sample of the author stream at each; None where there is none.
    """
    acted = np.zeros(len(t_ns), dtype=np.bool_)
    if author is not None:
        values = log.streams["author"].values
        acted = (values.reshape(len(values), -1) != 0).any(axis=1)[author]
    else:
        for event in log.events:
            if event.name in {"takeover", "handback"}:
                acted[int(np.searchsorted(t_ns, event.t_ns)) :] = event.name == "takeover"
    done = np.zeros(len(t_ns), dtype=np.bool_)
    done[-1] = True
    success = done & (log.metadata.get("outcome") == "success")
    return {
        "intervention": Column.of(acted),
        "next.success": Column.of(success),
        "next.done": Column.of(done),
    }


def stage(path: Path, columns: Mapping[str, Column], count: int, about: Mapping[str, Any]) -> None:
    """Keep an episode's columns, and what else is said of it, in a file until the columns of all episodes are known."""
    import pyarrow

    held = {name: one for name, one in columns.items() if one.dtype != "video"}
    said = {"about": json.dumps(about)}
    with pyarrow.OSFile(str(path), "wb") as sink:
        writer = None
        for low in range(0, count, _BATCH_N):
            high = min(count, low + _BATCH_N)
            batch = pyarrow.table({name: _arrow(one, low, high) for name, one in held.items()})
            batch = batch.replace_schema_metadata(said)
            if writer is None:
                writer = pyarrow.ipc.new_file(sink, batch.schema)
            writer.write_table(batch)
        if writer is not None:
            writer.close()


def staged(path: Path) -> tuple[Any, dict[str, Any]]:
    """Return the table that `stage` kept, mapped into memory, and what else was said."""
    import pyarrow

    with pyarrow.memory_map(str(path)) as source:
        table = pyarrow.ipc.open_file(source).read_all()
    return table.replace_schema_metadata(None), json.loads(table.schema.metadata[b"about"])


def keep(path: Path, table: Any, names: Sequence[str]) -> None:  # noqa: ANN401 - pyarrow
    """Keep columns that the data set has no place for: numbers as they are, pictures joined and with their sizes."""
    import pyarrow.types as kinds
    from safetensors.numpy import save_file

    tensors: dict[str, NDArray[Any]] = {}
    for name in names:
        if kinds.is_struct(table.schema.field(name).type):
            pictures = [row["bytes"] for row in table[name].to_pylist()]
            tensors[f"{name}/sizes"] = np.array([len(one) for one in pictures], dtype=np.int64)
            tensors[f"{name}/pictures"] = np.frombuffer(b"".join(pictures), dtype=np.uint8)
        else:
            tensors[name] = np.ascontiguousarray(array_of(table[name], table.num_rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, path)


def _arrow(column: Column, low: int, high: int) -> Any:  # noqa: ANN401 - pyarrow
    import pyarrow

    if column.picture is not None:
        pictures = pyarrow.array([column.picture(number) for number in range(low, high)], pyarrow.binary())
        names = pyarrow.array([f"frame-{number:06d}.png" for number in range(low, high)])
        return pyarrow.StructArray.from_arrays([pictures, names], ["bytes", "path"])
    assert column.values is not None
    rows = np.ascontiguousarray(column.values[low:high])
    array = pyarrow.array(rows.reshape(-1))
    if column.shape == (1,):
        return array
    if len(column.shape) == 1:
        return pyarrow.FixedSizeListArray.from_arrays(array, column.shape[0])
    for depth in range(len(column.shape) - 1, -1, -1):
        lists = int(np.prod(rows.shape[: depth + 1]))
        offsets = np.arange(lists + 1, dtype=np.int32) * column.shape[depth]
        array = pyarrow.ListArray.from_arrays(pyarrow.array(offsets), array)
    return array
