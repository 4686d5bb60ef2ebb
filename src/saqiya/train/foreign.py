"""Policies that were trained elsewhere: look at the file without running anything that is in it."""

from __future__ import annotations

from pathlib import Path

from saqiya.errors import PolicyUnreadable

__all__ = ["examine"]

_PICKLED = {".pt", ".pth", ".ckpt", ".bin", ".pkl"}
_ONNX_GRAPH = 7


def examine(path: Path) -> dict[str, str]:
    """Return what can be said of a policy file: its format and how many arrays or bytes it holds.

    safetensors are read whole; ONNX is walked field by field; torch checkpoints go through torch's restricted
    unpickler (`weights_only`), which refuses anything but tensors and plain containers.

    Raises:
        PolicyUnreadable: the file is missing, damaged, of an unknown format, or would run code when loaded.
    """
    if not path.is_file():
        raise PolicyUnreadable("there is no such file", subject=str(path), remedy="Check the path.")
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return {"format": "safetensors", "arrays": str(_safetensors(path))}
    if suffix == ".onnx":
        return {"format": "onnx", "bytes": str(_onnx(path))}
    if suffix in _PICKLED:
        return {"format": "torch", "entries": str(_torch(path))}
    raise PolicyUnreadable(
        f"is of no known policy format ({suffix or 'no suffix'})",
        subject=str(path),
        remedy="Known: .safetensors, .onnx, torch checkpoints. Or register the name alone, without a file.",
    )


def _safetensors(path: Path) -> int:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return len(list(file.keys()))
    except (SafetensorError, OSError, ValueError) as error:
        raise PolicyUnreadable(f"does not load: {error}", subject=str(path), remedy="Export it again.") from error


def _onnx(path: Path) -> int:
    """Walk the top level of the protobuf message ModelProto; it must end where the file ends and hold a graph."""
    data = path.read_bytes()
    place, fields = 0, set()
    while place < len(data):
        tag, place = _varint(data, place, path)
        number, wire = tag >> 3, tag & 7
        fields.add(number)
        if wire == 0:
            _, place = _varint(data, place, path)
        elif wire == 2:
            size, place = _varint(data, place, path)
            place += size
        elif wire in (1, 5):
            place += 8 if wire == 1 else 4
        else:
            raise _damaged(path)
    if place != len(data) or _ONNX_GRAPH not in fields:
        raise _damaged(path)
    return len(data)


def _varint(data: bytes, place: int, path: Path) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 64:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise _damaged(path)


def _damaged(path: Path) -> PolicyUnreadable:
    return PolicyUnreadable("is not a whole ONNX model", subject=str(path), remedy="Export or copy it again.")


def _torch(path: Path) -> int:
    import pickle
    import warnings
    import zipfile

    try:
        import torch
    except ModuleNotFoundError as error:
        raise PolicyUnreadable(
            "a torch checkpoint can only be checked with torch",
            subject=str(path),
            remedy="pip install 'saqiya[train]', or register the name alone.",
        ) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what is refused here anyway
            held = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise PolicyUnreadable(
            f"does not load as plain tensors ({type(error).__name__})",
            subject=str(path),
            remedy="It is damaged, or would run code when loaded: export its weights as safetensors.",
        ) from error
    return len(held) if isinstance(held, dict) else 1
