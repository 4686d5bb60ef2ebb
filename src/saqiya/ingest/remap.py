r"""Give topics and streams the names that have a meaning here, and say in which unit they are; values stay as they are.

[topics]
"/*/joint_states/position" = "observation/joints_{1}"    # * is one part between slashes, ** any number of them
"/cmd_vel/**" = "action/executed/{1}"                    # {1} is what the first * stood for
"/debug/**" = ""                                         # left out, and named among what was

[units]
"observation/joints_*" = "rad"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from saqiya.domain.streams import EpisodeLog, Event, JsonValue
from saqiya.errors import InvalidMapping

__all__ = ["Renaming", "remap", "renaming_from"]

V = TypeVar("V")
CLOCK = "clock/"
LONGEST_N = 500


@dataclass(frozen=True)
class Renaming:
    """Patterns for names, in order: the first that fits a name decides.

    Attributes:
        topics: pattern to new name; "" leaves the stream out.
        units: pattern (of new names) to unit.
    """

    topics: tuple[tuple[str, str], ...] = ()
    units: tuple[tuple[str, str], ...] = ()


def renaming_from(raw: Mapping[str, object], *, subject: str = "the renaming") -> Renaming:
    """Check what TOML says.

    Raises:
        InvalidMapping: an unknown section, a value that is no text, or a {number} that no * stands for.
    """
    for key in raw:
        if key not in {"topics", "units"}:
            raise _fault(subject, f"{key}: unknown section; known: topics, units")
    parts = {}
    for section in ("topics", "units"):
        given = raw.get(section, {})
        if not isinstance(given, Mapping) or not all(
            isinstance(v, str) and isinstance(k, str) for k, v in given.items()
        ):
            raise _fault(subject, f"{section}: must be a table of texts")
        parts[section] = tuple((str(k), str(v)) for k, v in given.items())
    for pattern, new in parts["topics"]:
        captured = len(re.findall(r"\*\*|\*", pattern))
        used = [int(number) for number in re.findall(r"\{(\d+)\}", new)]
        if any(not 1 <= number <= captured for number in used):
            raise _fault(subject, f"topics.{pattern!r}: {new!r} uses {{{max(used)}}}, and the pattern has {captured} *")
        if len(pattern) > LONGEST_N or captured > 16:
            raise _fault(subject, f"topics: {pattern[:40]!r}... is too long a pattern")
        if "\\" in new or any(part == ".." for part in new.split("/")):
            raise _fault(subject, f"topics.{pattern!r}: {new!r} is no name for a stream")
    return Renaming(parts["topics"], parts["units"])


def remap(log: EpisodeLog, renaming: Renaming) -> tuple[EpisodeLog, tuple[str, ...]]:
    """Return the log under its new names, and notes on what did not fit.

    Streams, cameras and events are renamed; a stream's receive stamps (`clock/<name>`) go with it, and what was left
    out is named in `metadata["skipped"]`. No sample, stamp or packet is touched.

    Raises:
        InvalidMapping: two streams would get one name.
    """
    rules = [(_compiled(pattern), pattern, new) for pattern, new in renaming.topics]
    used: set[str] = set()
    dropped: dict[str, JsonValue] = {}
    streams = _renamed(log.streams, rules, used, dropped)
    videos = _renamed(log.videos, rules, used, dropped)
    both = set(streams) & set(videos)
    if both:
        raise _fault(log.key, f"a stream and a camera would both be called {min(both)!r}")
    events = []
    for event in log.events:
        new = _new_name(event.name, rules, used)
        if new:
            events.append(Event(event.t_ns, new, event.detail))
        else:
            dropped[event.name] = "left out by the renaming"
    notes = [f"no stream, camera or event is called {pattern!r}" for _, pattern, _ in rules if pattern not in used]
    units, more = _units(
        renaming, {**{n: s.unit for n, s in streams.items()}, **{n: v.track.unit for n, v in videos.items()}}
    )
    streams = {n: replace(s, unit=units[n]) if n in units else s for n, s in streams.items()}
    videos = {n: replace(v, track=replace(v.track, unit=units[n])) if n in units else v for n, v in videos.items()}
    skipped = log.metadata.get("skipped")
    metadata = dict(log.metadata)
    if dropped:
        metadata["skipped"] = {**(skipped if isinstance(skipped, dict) else {}), **dropped}
    return replace(log, streams=streams, videos=videos, events=tuple(events), metadata=metadata), (*notes, *more)


def _units(renaming: Renaming, known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the units that are declared, and notes; a log's own word on its unit is not overruled in silence."""
    units: dict[str, str] = {}
    notes = []
    for pattern, unit in renaming.units:
        shape = _compiled(pattern)
        fitting = [name for name in known if shape.fullmatch(name) and name not in units]
        if not fitting:
            notes.append(f"no stream is called {pattern!r}, so nothing is in {unit!r} by that line")
        for name in fitting:
            if known[name] and known[name] != unit:
                notes.append(f"{name} says that it is in {known[name]!r}; it is taken for {unit!r}, as you say")
            units[name] = unit
    return units, notes


def _renamed(
    items: Mapping[str, V], rules: list[tuple[re.Pattern[str], str, str]], used: set[str], dropped: dict[str, JsonValue]
) -> dict[str, V]:
    out: dict[str, V] = {}
    origin: dict[str, str] = {}
    for name, item in items.items():
        new = _new_name(name, rules, used)
        if not new:
            dropped[name] = "left out by the renaming"
            continue
        if new in out:
            raise _fault(f"{origin[new]!r} and {name!r}", f"would both be called {new!r}")
        out[new], origin[new] = item, name
    return out


def _new_name(name: str, rules: list[tuple[re.Pattern[str], str, str]], used: set[str]) -> str:
    about = name.removeprefix(CLOCK)
    for shape, pattern, new in rules:
        found = shape.fullmatch(about)
        if found:
            used.add(pattern)
            captured = (found[0], *found.groups())
            made = re.sub(r"\{(\d+)\}", lambda number, own=captured: own[int(number[1])], new)  # type: ignore[misc]
            return CLOCK + made if made and name.startswith(CLOCK) else made
    return name


def _compiled(pattern: str) -> re.Pattern[str]:
    """Turn a pattern into an expression: `*` one part (or a piece of it), `**` any number of parts, `?` one letter."""
    parts = re.split(r"(\*\*|\*|\?)", pattern)
    words = {"**": "(.*?)", "*": "([^/]*?)", "?": "[^/]"}
    return re.compile("".join(words.get(part, re.escape(part)) for part in parts))


def _fault(subject: str, what: str) -> InvalidMapping:
    return InvalidMapping(what, subject=subject, remedy="Correct the renaming.")
