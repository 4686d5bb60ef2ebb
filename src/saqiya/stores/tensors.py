"""A policy's arrays as one safetensors object: named, no pickle, nothing runs when it is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.errors import PolicyUnreadable

__all__ = ["encode", "read"]


def encode(tensors: Mapping[str, NDArray[Any]]) -> bytes:
    """Return safetensors bytes; equal arrays give equal bytes."""
    from safetensors.numpy import save

    return bytes(save({name: np.ascontiguousarray(value) for name, value in sorted(tensors.items())}))


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
