"""A TOML file that a person wrote: where in it a key stands, so that a fault can name the line."""

from __future__ import annotations

import re
from itertools import takewhile

__all__ = ["Where", "line_of", "name_of"]

Where = tuple[str | int, ...]
"""The way to a value: sections and keys, and the number, from 0, of one section among [[sections]] of its name."""

_PART = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_WAY = rf"{_PART}(?:\s*\.\s*{_PART})*"
_HEADER = re.compile(rf"\s*\[(\[?)\s*({_WAY})\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_WAY})\s*=")


def line_of(text: str, where: Where) -> int:
    """Return the line, from 1, on which `where` is told, or else as much of the way to it as the text has.

    tomllib keeps no lines, so they are looked for: a line of a string that only looks like a key can mislead.
    """
    section: Where = ()
    seen: dict[str, int] = {}
    best, deepest = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.match(line):
            section = _parts(header[2])
            if header[1]:
                seen[header[2]] = seen.get(header[2], -1) + 1
                section = (*section, seen[header[2]])
            found = section
        elif key := _KEY.match(line):
            found = (*section, *_parts(key[1]))
        else:
            continue
        shared = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(found, where, strict=False))))
        if shared > deepest:
            best, deepest = number, shared
    return best


def name_of(where: Where) -> str:
    """Return the way as people write it, sections of one name counted from 1; "the file" for the whole."""
    return ".".join(f"{part + 1}" if isinstance(part, int) else part for part in where) or "the file"


def _parts(text: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in re.findall(_PART, text))
