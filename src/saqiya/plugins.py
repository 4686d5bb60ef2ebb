"""Find an implementation by group and name through entry points; ours are registered the same way as anybody's.

Groups: `saqiya.formats`, `saqiya.writers`, `saqiya.sites`, `saqiya.detectors`, `saqiya.trainers`.
"""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from saqiya.errors import UnknownPlugin

__all__ = ["known", "load", "names"]


def names(group: str) -> tuple[str, ...]:
    """Return the sorted names registered in `group` (for example "saqiya.formats"), loading none of them."""
    return tuple(sorted({point.name for point in _points(group, tuple(sys.path))}))


def known(group: str, name: str) -> None:
    """Check that something is registered under `name`, importing nothing.

    Raises:
        UnknownPlugin: nothing is.
    """
    if name not in names(group):
        there = ", ".join(names(group)) or "none"
        raise UnknownPlugin(f"nothing is registered in {group}", subject=name, remedy=f"Known names: {there}.")


def load(group: str, name: str) -> Any:  # noqa: ANN401 - a plug-in is whatever its group's Protocol says
    """Import and return what `name` points at in `group`.

    Raises:
        UnknownPlugin: no provider, two different providers, or a library that the provider needs is missing.
    """
    known(group, name)
    found: dict[str, EntryPoint] = {point.value: point for point in _points(group, tuple(sys.path)).select(name=name)}
    if len(found) > 1:
        raise UnknownPlugin(
            f"two packages provide this name in {group}: {', '.join(sorted(found))}",
            subject=name,
            remedy="Uninstall one of them.",
        )
    point = next(iter(found.values()))
    try:
        return point.load()
    except ModuleNotFoundError as missing:
        extra = f" (pip install 'saqiya[{point.extras[0]}]')" if point.extras else ""
        raise UnknownPlugin(
            f"{point.value} needs the module {missing.name!r}, which is not installed",
            subject=name,
            remedy=f"Install it{extra}.",
        ) from missing


@cache
def _points(group: str, _path: tuple[str, ...]) -> EntryPoints:
    """Read a group once: looking through every installed package takes 25 ms, and a command asks a dozen times."""
    return entry_points(group=group)
