"""Message definitions as trees: ROS .msg text, ROS 2 IDL, and the standard types for bags that hold no definitions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

__all__ = ["Field", "Struct", "Undecodable", "from_idl", "from_msg", "short", "standard"]

_Raw = list[tuple[str, str, int | None]]
"""Fields as written: name, type, and how many (None one, -1 any number)."""

MOST_TEXT = 1 << 20
MOST_IDL = 1 << 18  # its parser takes ten microseconds a letter
_DEEPEST = 24
_NUMBERS = {
    "bool": "b1",
    "char": "u1",
    "octet": "u1",
    **{f"{sign}int{bits}": f"{sign[:1] or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": "f4",
    "float64": "f8",
    "float": "f4",
    "double": "f8",
}
_TIMES = {"builtin_interfaces/Time": "time", "builtin_interfaces/Duration": "duration"}
_SECTION = re.compile(r"^={10,}[ \t]*\r?\n(MSG|IDL):[ \t]*(\S+)[ \t]*\r?$", re.MULTILINE)
_LINE = re.compile(r"^([A-Za-z][\w/]*)(?:<=\d+)?(\[(<=)?(\d*)\])?\s+([A-Za-z]\w*)\s*(=?)")
_NO_IDL = re.compile(r"^(={10,}[ \t]*|[ \t]*#.*)\r?$", re.MULTILINE)  # separators, and what a preprocessor would take
_HALVES = re.compile(r"^---[ \t]*\r?$", re.MULTILINE)
_TIME = "builtin_interfaces/msg/Time"
# service_msgs/msg/ServiceEventInfo, which every recorded call begins with
_CALL: tuple[str, _Raw] = (
    "service_msgs/ServiceEventInfo",
    [("client_gid", "uint8", 16), ("sequence_number", "int64", None)],
)
_DISTROS = ("humble", "jazzy", "lyrical", "kilted", "iron", "foxy", "galactic", "eloquent", "dashing")


class Undecodable(Exception):
    """Why a topic or a message cannot be decoded; inner to the formats, never seen by callers."""


@dataclass(frozen=True)
class Field:
    """One field: `kind` is a numpy code, "string", "time", "duration" or a struct; `count` None is one, -1 any."""

    name: str
    kind: str | Struct
    count: int | None = None


@dataclass(frozen=True)
class Struct:
    """A message type. `flat` names its numbers where it is nothing but numbers of one kind, `code` is that kind."""

    name: str
    fields: tuple[Field, ...]
    code: str = ""
    flat: tuple[str, ...] = ()


def short(name: str) -> str:
    """Return a type's package and name: "sensor_msgs/msg/Imu" and "foxglove.RawImage" by the same rule."""
    parts = name.replace("::", "/").replace(".", "/").split("/")
    package = "foxglove_msgs" if parts[0] == "foxglove" else parts[0]
    return f"{package}/{parts[-1]}" if len(parts) > 1 else name


def from_msg(name: str, text: str, *, ros1: bool) -> Struct:
    """Build the tree of type `name` from its .msg text with the definitions it needs behind it.

    Raises:
        Undecodable: the text does not parse, or a type in it is missing.
    """
    if len(text) > MOST_TEXT:
        raise Undecodable(f"the definition of {name} has {len(text):,} letters")
    marks = list(_SECTION.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)] * bool(marks)
    bodies = {short(name): text[: marks[0].start()] if marks else text}
    for mark, end in zip(marks, ends, strict=True):
        bodies.setdefault(short(mark[2]), text[mark.end() : end])
    known = {one: _lines(one, body) for one, body in bodies.items() if not _HALVES.search(body)}
    known |= _calls(short(name), bodies[short(name)])
    return _grown(short(name), known, ros1=ros1)


def _calls(name: str, body: str) -> dict[str, _Raw]:
    """Return the types of a service's recorded calls, where `body` defines a service (two halves, parted by ---)."""
    halves = _HALVES.split(body)
    if len(halves) != 2 or not name.endswith("_Event"):
        return {}
    base = name.removesuffix("_Event")
    event: _Raw = [("info", _CALL[0], None)]
    event += [(half, f"{base}_{half.title()}", -1) for half in ("request", "response")]
    return {
        name: event,
        f"{base}_Request": _lines(base, halves[0]),
        f"{base}_Response": _lines(base, halves[1]),
        _CALL[0]: [("event_type", "uint8", None), ("stamp", _TIME, None), *_CALL[1]],
    }


def from_idl(name: str, text: str) -> Struct:
    """Build the tree of type `name` from ROS 2 IDL, one section a type.

    Raises:
        Undecodable: the text does not parse, or a type in it is missing.
    """
    try:
        from rosbags.typesys import TypesysError, get_types_from_idl
    except ModuleNotFoundError as missing:
        raise Undecodable(
            f"{name} is defined in IDL, and rosbags is not installed (pip install saqiya[data])"
        ) from missing
    if len(text) > MOST_IDL:
        raise Undecodable(f"the definition of {name} has {len(text):,} letters")
    known: dict[str, _Raw] = {}
    for part in _SECTION.sub("\0", text).split("\0"):
        if not part.strip("= \t\r\n"):
            continue
        try:
            found = get_types_from_idl(_NO_IDL.sub("", part).strip())
        except (TypesysError, ValueError, KeyError, TypeError, RecursionError, AttributeError) as bad:
            raise Undecodable(f"the IDL of {name} does not parse ({str(bad)[:120]})") from bad
        known |= _from_rosbags(found)
    return _grown(short(name), known, ros1=False)


def standard(name: str, distro: str) -> Iterator[Struct]:
    """Yield what `name` looks like in the ROS 2 distributions, `distro` first, each different form once."""
    order = sorted(_DISTROS, key=lambda one: one != distro)
    seen = set()
    for one in order:
        known = _store(one)
        if short(name) in known:
            grown = _grown(short(name), known, ros1=False)
            if grown not in seen:
                seen.add(grown)
                yield grown


@cache
def _store(distro: str) -> Mapping[str, _Raw]:
    try:
        module = import_module(f"rosbags.typesys.stores.ros2_{distro}")
    except ModuleNotFoundError:  # an older or newer rosbags
        return {}
    return _from_rosbags(module.FIELDDEFS)


def _from_rosbags(types: Mapping[str, Any]) -> dict[str, _Raw]:
    return {
        short(name): [(field, *_kind(said)) for field, said in fields if field != "structure_needs_at_least_one_member"]
        for name, (_, fields) in types.items()
    }


def _kind(said: Any) -> tuple[str, int | None]:  # noqa: ANN401 - nested tuples of the library
    node, inner = said
    match node.name:
        case "BASE":
            return inner[0], None
        case "NAME":
            return inner, None
        case "ARRAY":
            return _kind(inner[0])[0], int(inner[1])
        case _:
            return _kind(inner[0])[0], -1


def _lines(owner: str, body: str) -> _Raw:
    fields: _Raw = []
    for line in body.splitlines():
        bare = line.split("#", 1)[0].strip()
        if not bare or set(bare) == {"="}:
            continue
        found = _LINE.match(bare)
        if found is None:
            raise Undecodable(f"the definition of {owner} has a line that is no field: {bare[:60]!r}")
        kind, listed, bounded, many, name, constant = found.groups()
        if not constant:
            count = None if not listed else -1 if bounded or not many else int(many)
            fields.append((name, kind, count))
    return fields


def _grown(name: str, known: Mapping[str, _Raw], *, ros1: bool) -> Struct:
    """Put the types that `name` is made of into one tree."""
    done: dict[str, Struct] = {}
    times = {} if ros1 else _TIMES
    numbers = _NUMBERS | {"byte": "i1" if ros1 else "u1"}

    def kind_of(said: str, owner: str, trail: tuple[str, ...]) -> str | Struct:
        if said in numbers:
            return numbers[said]
        if said == "string" or (ros1 and said in {"time", "duration"}):
            return said
        if said in {"wstring", "wchar", "float128", "long double"}:
            raise Undecodable(f"{owner} has a field of type {said}, which this reader does not read")
        if short(said) in times or (not ros1 and said in {"time", "duration"}):
            return times.get(short(said), said)
        return struct(_resolved(said, owner, known), trail)

    def struct(which: str, trail: tuple[str, ...]) -> Struct:
        if which in done:
            return done[which]
        if which in trail or len(trail) > _DEEPEST:
            raise Undecodable(f"{which} holds itself")
        fields = [Field(one, kind_of(said, which, (*trail, which)), count) for one, said, count in known[which]]
        done[which] = Struct(which, tuple(fields), *_flat(fields))
        return done[which]

    return struct(_resolved(name, name, known), ())


def _resolved(said: str, owner: str, known: Mapping[str, _Raw]) -> str:
    """Give the full name of a type that a definition may call by its last part alone."""
    package = owner.split("/", maxsplit=1)[0]
    guesses: list[Callable[[], str]] = [lambda: short(said), lambda: f"{package}/{said}", lambda: f"std_msgs/{said}"]
    for guess in guesses:
        if guess() in known:
            return guess()
    ending = [one for one in known if one.split("/")[-1] == said]
    if len(ending) == 1:
        return ending[0]
    raise Undecodable(f"no definition of {said[:80]}")


def _flat(fields: list[Field]) -> tuple[str, tuple[str, ...]]:
    """Return the one kind of number that a struct is made of and its names, or nothing where it holds more."""
    codes: set[str] = set()
    names: list[str] = []
    for field in fields:
        if field.count is not None:
            return "", ()
        if isinstance(field.kind, Struct):
            codes.add(field.kind.code)
            names += [f"{field.name}.{inner}" for inner in field.kind.flat]
        else:
            codes.add(field.kind)
            names.append(field.name)
    code = codes.pop() if len(codes) == 1 else ""
    return (code, tuple(names)) if code[:1] in set("fiub") and len(names) <= 64 and code not in {""} else ("", ())
