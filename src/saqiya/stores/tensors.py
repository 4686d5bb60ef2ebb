"""A policy's or a monitor's arrays as one safetensors object: named, no pickle, nothing runs when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import MonitorUnreadable, PolicyUnreadable

__all__ = ["encode", "read", "read_headed"]

_HEAD = "saqiya"
"""All that is said beside the arrays goes under one name, because the order of several is not fixed."""


def encode(tensors: Mapping[str, NDArray[Any]], head: str = "") -> bytes:
    """Return safetensors bytes, with `head` beside the arrays; equal arrays and heads give equal bytes."""
    from safetensors.numpy import save

    arrays = {name: np.asarray(value, order="C") for name, value in sorted(tensors.items())}
    return bytes(save(arrays, metadata={_HEAD: head} if head else None))


def read(path: Path) -> dict[str, NDArray[Any]]:
    """Read every array of a safetensors file.

    Raises:
        PolicyUnreadable: the file is missing, cut short, or not safetensors.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise PolicyUnreadable(
            f"does not load as safetensors: {error}", subject=str(path), remedy="Export the policy again."
        ) from error


def read_headed(path: Path) -> tuple[str, dict[str, NDArray[Any]]]:
    """Read what is said beside the arrays, "" where nothing is, and every array.

    Raises:
        MonitorUnreadable: the file is missing, cut short, or not safetensors.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as opened:
            return (opened.metadata() or {}).get(_HEAD, ""), {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - it is no mapping
    except (SafetensorError, OSError, ValueError) as error:
        raise MonitorUnreadable(
            f"does not load as safetensors: {error}", subject=str(path), remedy="Export the monitor again."
        ) from error
