"""HDF5 as `far` asks for it: what a file holds, its attributes, and the rows of its data sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from saqiya.formats.far.child import Answer, plain, serve

__all__ = ["main"]

MEMORY_BYTES = 2 << 30
SLAB_BYTES = 1 << 24
MOST_MEMBERS_N = 1_000_000
MOST_DEPTH = 24
MOST_WORDS_BYTES = 1 << 26


class _Open:
    """The file that is being asked about."""

    def __init__(self) -> None:
        self.file: Any = None

    def open(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        import h5py

        self.file = h5py.File(question["path"], "r")
        yield {"userblock": self.file.userblock_size}, None

    def close(self, _question: Mapping[str, Any]) -> Iterator[Answer]:
        file, self.file = self.file, None
        if file is not None:
            file.close()
        return iter(())

    def members(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        group = self.file[question["name"]]
        if len(group) > MOST_MEMBERS_N:
            raise ValueError(f"it claims {len(group)} members")
        yield {"members": [[name, _kind(group, name)] for name in group]}, None

    def words(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        item, words = self.file[question["name"]], {}
        for number, key in enumerate(item.attrs):
            if number >= 256:
                break
            try:
                if item.attrs.get_id(key).get_storage_size() <= MOST_WORDS_BYTES:
                    words[str(key)] = plain(item.attrs[key])
            except Exception as error:  # noqa: BLE001 - said in the answer
                words[str(key)] = f"cannot be read ({type(error).__name__})"
        yield {"words": words}, None

    def tree(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        found: list[dict[str, Any]] = []
        item = self.file[question["name"]]
        _walk(item, "", found, {_address(item)}, MOST_DEPTH)
        if self.file.userblock_size:  # offsets are then not the file's
            found = [{key: value for key, value in entry.items() if key != "at"} for entry in found]
        yield {"sets": found}, None

    def array(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        import numpy as np

        source = self.file[question["name"]]
        dtype = source.dtype
        if question.get("field"):
            dtype, source = dtype[question["field"]], source.fields(question["field"])
        shape = self.file[question["name"]].shape
        if not shape:
            yield {"more": 1}, np.ascontiguousarray(source[()]).astype(dtype, copy=False).reshape(-1).view(np.uint8)
            return
        row = max(1, int(np.prod(shape[1:], dtype=object)) * dtype.itemsize)
        chunks = self.file[question["name"]].chunks
        step = max(1, SLAB_BYTES // row)
        step = max(chunks[0], step // chunks[0] * chunks[0]) if chunks else step
        shape = (min(shape[0], int(question.get("rows", shape[0]))), *shape[1:])
        for at in range(0, shape[0], step):
            rows = np.ascontiguousarray(source[at : min(at + step, shape[0])])
            yield {"more": 1}, rows.reshape(-1).view(np.uint8)

    def places(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        """Say where rows lie in the file as they are: rows a piece and each piece's offset; 0 for nowhere."""
        item = self.file[question["name"]]
        rows, offsets = _places(item) if not self.file.userblock_size else (0, [])
        yield {"rows": rows, "offsets": offsets}, None

    def texts(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        item = self.file[question["name"]]
        if item.size > MOST_MEMBERS_N:
            raise ValueError(f"it claims {item.size} texts")
        values = item[()]
        listed = [values] if item.ndim == 0 else values.reshape(-1).tolist()
        texts: list[str] = []
        room = MOST_WORDS_BYTES
        for value in listed:
            text = plain(value)
            room -= len(text)
            if room < 0:
                raise ValueError(f"its texts are more than {MOST_WORDS_BYTES} bytes")
            texts.append(str(text))
        yield {"texts": texts}, None

    def blobs(self, question: Mapping[str, Any]) -> Iterator[Answer]:
        item = self.file[question["name"]]
        for at in range(0, item.shape[0], 64):
            rows = item[at : at + 64].reshape(min(64, item.shape[0] - at), -1)
            if rows.shape[1] != 1:
                raise ValueError("it has more than one value a row")
            parts = [_bytes(value) for value in rows[:, 0]]
            yield {"more": 1, "lengths": [len(part) for part in parts]}, b"".join(parts)


def _bytes(value: Any) -> bytes:  # noqa: ANN401 - bytes, a numpy scalar or an array of bytes
    return value if isinstance(value, bytes) else bytes(value.tobytes() if hasattr(value, "tobytes") else value)


def _address(item: Any) -> Any:  # noqa: ANN401 - h5py has no types
    import h5py

    return h5py.h5o.get_info(item.id).addr


def _kind(group: Any, name: str) -> str:  # noqa: ANN401
    import h5py

    try:
        if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
            return "link"
        return {h5py.Group: "group", h5py.Dataset: "set"}.get(group.get(name, getclass=True), "other")
    except Exception:  # noqa: BLE001 - said in the answer
        return "broken"


def _walk(group: Any, path: str, found: list[dict[str, Any]], seen: set[Any], depth: int) -> None:  # noqa: ANN401
    """List the data sets below a group by hard links alone; what is damaged is listed with why."""
    import h5py

    if isinstance(group, h5py.Dataset):
        found += _described(group, path)
        return
    if depth == 0 or len(group) > MOST_MEMBERS_N or len(found) > MOST_MEMBERS_N:
        found.append({"name": path, "why": "it is nested too deep or has too many members"})
        return
    for name in group:
        inner = f"{path}/{name}" if path else name
        try:
            if group.get(name, getclass=True, getlink=True) is not h5py.HardLink:
                found.append({"name": inner, "why": "it is a link that may lead out of the file"})
                continue
            item = group[name]
            if isinstance(item, h5py.Group):
                if (address := _address(item)) in seen:
                    continue
                seen.add(address)
            if isinstance(item, h5py.Group | h5py.Dataset):
                _walk(item, inner, found, seen, depth - 1)
        except Exception as error:  # noqa: BLE001 - said in the answer
            text = (str(error).splitlines() or [""])[0][:200]
            found.append({"name": inner, "why": f"it is damaged ({text or type(error).__name__})"})


def _described(item: Any, path: str) -> list[dict[str, Any]]:  # noqa: ANN401
    """Say what a data set is; one of records becomes one entry a field."""
    shape = item.shape
    entry: dict[str, Any] = {"name": path, "shape": list(shape or ()), "stored": item.id.get_storage_size()}
    if item.chunks is not None:
        entry["chunks"] = list(item.chunks)
    kind, dtype = _sort(item.dtype)
    entry |= {"kind": kind, "dtype": dtype}
    if shape is None:
        return [{"name": path, "why": "it holds nothing"}]
    if item.is_virtual or item.external:
        return [{"name": path, "why": "its bytes lie in other files"}]
    if kind != "records":
        offset = item.id.get_offset() if item.chunks is None and shape else None
        return [entry if offset is None else entry | {"at": int(offset)}]
    made = []
    for name in item.dtype.names[:256]:
        kind, dtype = _sort(item.dtype[name])
        sub = item.dtype[name].shape
        field = {"name": f"{path}/{name}", "kind": kind, "dtype": dtype, "set": path, "field": name}
        made.append(entry | field if not sub else {"name": f"{path}/{name}", "why": "it holds arrays in records"})
    return made


def _sort(dtype: Any) -> tuple[str, str]:  # noqa: ANN401
    import h5py

    vlen = h5py.check_vlen_dtype(dtype)
    if h5py.check_string_dtype(dtype) is not None:
        return "texts", "S"
    if vlen is not None:
        return ("blobs", "u1") if vlen.kind in "iu" and vlen.itemsize == 1 else ("other", f"lists of {vlen}")
    if dtype.names:
        return "records", ""
    if dtype.kind == "V" and dtype.subdtype is None:
        return "blobs", "u1"
    return ("numbers", dtype.str) if dtype.kind in "fiubc" else ("other", str(dtype)[:60])


def _places(item: Any) -> tuple[int, list[int]]:  # noqa: ANN401
    count = item.shape[0] if item.shape else 0
    if item.is_virtual or item.external or not count:
        return 0, []
    if item.chunks is None:
        offset = item.id.get_offset()
        return (count, [int(offset)]) if offset is not None else (0, [])
    if tuple(item.chunks[1:]) != tuple(item.shape[1:]) or item.id.get_create_plist().get_nfilters():
        return 0, []
    rows = int(item.chunks[0])
    if item.id.get_num_chunks() != -(-count // rows):
        return 0, []
    found: dict[int, int] = {}

    def note(chunk: Any) -> None:  # noqa: ANN401
        if chunk.filter_mask == 0:
            found[int(chunk.chunk_offset[0]) // rows] = int(chunk.byte_offset)

    item.id.chunk_iter(note)
    offsets = [found[number] for number in sorted(found)]
    return (rows, offsets) if sorted(found) == list(range(-(-count // rows))) else (0, [])


def main() -> None:
    """Serve until standard input ends."""
    import h5py  # noqa: F401 - before the first question's time begins to run

    at = _Open()
    names = ("open", "close", "members", "words", "tree", "array", "places", "texts", "blobs")
    serve({name: getattr(at, name) for name in names}, memory_bytes=MEMORY_BYTES)
