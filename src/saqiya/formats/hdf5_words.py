"""The texts that an HDF5 file keeps in attributes, read where a damaged file can do no harm.

Texts lie in HDF5's global heap. Where one of its lengths is damaged, the library walks in circles for ever (seen with
HDF5 1.14) inside a C call that nothing in the process can interrupt. So a child process reads them, with a time limit.
Arrays do not lie there: 400 damaged copies of a real file were read without a hang once the texts were left alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["KEYS", "words_of"]

KEYS = ("env", "env_info", "env_args", "metadata", "date", "readable_timestamp", "repository_version")
LIMIT_S = 20.0
_CHILD = """
import json, sys
import h5py
found = {}
with h5py.File(sys.argv[1], "r") as file:
    for name in json.load(sys.stdin):
        words = {}
        for key in sys.argv[2:]:
            try:
                if key not in file[name].attrs or file[name].attrs.get_id(key).shape not in {(), (1,)}:
                    continue
                value = file[name].attrs[key]
            except (OSError, RuntimeError, KeyError, ValueError, TypeError, MemoryError):
                continue
            value = value[0] if getattr(value, "shape", ()) == (1,) else value
            words[key] = (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value))[:1000000]
        found[name] = words
json.dump(found, sys.stdout)
"""


def words_of(path: Path, groups: Sequence[str], *, limit_s: float = LIMIT_S) -> tuple[dict[str, dict[str, str]], str]:
    """Return each group's known attributes as texts, and a sentence about damage ("" when there is none)."""
    command = [sys.executable, "-I", "-c", _CHILD, str(path.absolute()), *KEYS]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter on our own text
            command, input=json.dumps(list(groups)), capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return {}, f"its attributes are damaged: the HDF5 library did not come back from them within {limit_s:g} s"
    if done.returncode != 0:
        return {}, "its attributes are damaged: the HDF5 library gave up on them"
    found: dict[str, dict[str, str]] = json.loads(done.stdout)
    return found, ""
