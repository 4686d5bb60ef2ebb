"""Zarr as `far` asks for it: rows of arrays whose metadata `zarr_tree` has checked, and nothing else of a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from saqiya.formats.far.child import Answer, plain, serve

__all__ = ["main"]

MEMORY_BYTES = 4 << 30
SLAB_BYTES = 1 << 23
KEPT_BYTES = 1 << 27
MOST_WORDS_BYTES = 1 << 26


class _Open:
    """The store that is being asked about, its arrays, and of each the rows that were decoded last.

    A chunk often holds the end of one try and the beginning of the next: what is kept is not decoded twice.
    """

    def __init__(self) -> None:
        self.store: Any = None
        self.arrays: dict[str, Any] = {}
        self.kept: dict[str, tuple[int, int, Any]] = {}

    def open(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        from pathlib import Path

        from zarr.core.sync import sync
        from zarr.storage import LocalStore, ZipStore

        path = question["path"]
        self.store = LocalStore(path, read_only=True) if Path(path).is_dir() else sync(ZipStore.open(path, mode="r"))
        return iter(())

    def close(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        if self.store is not None:
            self.store.close()
        self.store, self.arrays, self.kept = None, {}, {}
        return iter(())

    def _array(self, question: Mapping[str, Any]) -> Any:  # noqa: ANN401 - zarr has its own types
        from zarr import Array
        from zarr.core.array import AsyncArray
        from zarr.storage import StorePath

        name = question["name"]
        if name not in self.arrays:
            if question.get("imagecodecs"):
                import_module("imagecodecs.numcodecs").register_codecs()
            self.arrays[name] = Array(AsyncArray.from_dict(StorePath(self.store, name), question["meta"]))
        return self.arrays[name]

    def array(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        import numpy as np

        source = self._array(question)
        dtype = np.dtype(question["as"])
        at, end = question["begin"], question["end"]
        while at < end:
            begin, rows = self._rows(question["name"], source, at, end)
            until = min(end, begin + len(rows))
            if until <= at:
                raise ValueError("it has fewer rows than it declares")
            part = np.ascontiguousarray(rows[at - begin : until - begin]).astype(dtype, copy=False)
            yield {"more": 1}, part.reshape(-1).view(np.uint8)
            at = until

    def _rows(self, name: str, source: Any, at: int, end: int) -> tuple[int, Any]:  # noqa: ANN401
        first, last, rows = self.kept.get(name, (0, 0, None))
        if first <= at < last:
            return first, rows
        row = max(1, source.dtype.itemsize)
        for side in source.shape[1:]:
            row *= side
        chunk = (source.shards or source.chunks)[0]
        first = at // chunk * chunk
        many = chunk * max(1, SLAB_BYTES // max(1, row * chunk))
        last = min(source.shape[0], first + many, -(-end // chunk) * chunk)
        rows = source[first:last]
        if (last - first) * row <= KEPT_BYTES:
            self.kept[name] = (first, last, rows)
        return first, rows

    def texts(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        source = self._array(question)
        room = MOST_WORDS_BYTES
        texts = []
        for value in source[question["begin"] : question["end"]].reshape(-1).tolist():
            text = str(plain(value))
            room -= len(text)
            if room < 0:
                raise ValueError(f"its texts are more than {MOST_WORDS_BYTES} bytes")
            texts.append(text)
        yield {"texts": texts}, None


def main() -> None:
    """Serve until standard input ends."""
    import zarr  # noqa: F401 - before the first question's time begins to run

    at = _Open()
    names = ("open", "close", "array", "texts")
    serve({name: getattr(at, name) for name in names}, memory_bytes=MEMORY_BYTES)
