"""What a table's columns could be, judged by their names and their numbers, each judgement with its reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from saqiya.formats.tables.cells import ISO, TIME_UNITS_NS
from saqiya.formats.tables.peek import Look
from saqiya.formats.tables.units import known_units

__all__ = ["Clock", "Group", "Judged", "judge", "outcome_of", "role_of", "share_clock", "slug"]

_EPOCH_S = (946_684_800.0, 4_102_444_800.0)  # the years 2000 to 2100
_UNIT = re.compile(r"^(.*?)\s*[\[(]\s*([^\])]{1,12})\s*[\])]$")
_TAIL = re.compile(r"^(.+?)[_ ](deg|rad|mm|cm|m|ms|us|ns|s|sec|n|nm|mps|rpm|a|v|bar|kpa)$", re.IGNORECASE)
_SPELLED = {unit.lower(): unit for unit in known_units()} | {
    "degrees": "deg", "degree": "deg", "°": "deg", "radians": "rad", "meters": "m", "metres": "m", "sec": "s",
    "seconds": "s", "newton": "N", "n": "N", "nm": "Nm", "n*m": "Nm", "n.m": "Nm", "a": "A", "v": "V", "msec": "ms",
    "usec": "us", "nsec": "ns", "mps": "m/s",
}  # fmt: skip
_TIME = re.compile(
    r"(.*[._/ ])?(t|time|times|ts|stamp|stamps|timestamps?|time_?stamps?|wall_?time|elapsed(_?time)?|date_?time|date"
    r"|clock|rostime|sim_?time|zeit|temps|tiempo|tempo)",
    re.IGNORECASE,
)
_SECONDS = re.compile(r"(.*?)(secs?|seconds)", re.IGNORECASE)
_NANOS = re.compile(r"(.*?)(nsecs?|nanosecs?|nanoseconds|nanos)", re.IGNORECASE)
_TRY = re.compile(
    r"(episode|ep|trial|run|demo|traj|trajectory|try|rollout|attempt)s?([ _-]?(id|idx|index|no|nr|num|number|name))?",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"(.*[._/ ])?(frame|sample|row|seq|step|tick|iter(ation)?|index|idx|i|n|no|unnamed: \d+)?"
    r"([ _-]?(index|idx|id|no|nr|number))?",
    re.IGNORECASE,
)
_PHASE = re.compile(
    r"(.*[._/ ])?(phase|stage|state|mode|skill|sub_?task|segment|primitive|fsm|fsm_?state|task_?state|step_?name)",
    re.IGNORECASE,
)
_OUTCOME = re.compile(
    r"(is_?)?(.*[._/ ])?(success|succeeded|successful|outcome|result|label|failure|failed|fail)", re.IGNORECASE
)
_ROLES: tuple[tuple[str, str, str], ...] = (  # pattern of a bare name, stream, and what is not known even so
    (r"f_?[xyz]|(force|torque|moment|wrench)[._ ]?([xyz]|\d+)|[tm]_?[xyz]", "observation/wrench", ""),
    (r"(q|j|joint|axis)[_ ]?\d+|(joint|q)[_ ]?pos(ition)?s?[_ ]?\d*|position_?\d+", "observation/joint", ""),
    (r"(dq|qd|v)[_ ]?\d+|qvel\w*|(joint|q)[_ ]?vel\w*|velocity_?\d+", "observation/joint_velocity", ""),
    (r"tau\w*?[_ ]?\d+|effort\w*|(joint|q)[_ ]?(tor|eff)\w*|current\w*", "observation/joint_effort", ""),
    (r"[xyz]|p(os)?[_ ]?[xyz]|q[xyzw]|quat\w*|roll|pitch|yaw|r[xyz]|ori\w*", "observation/pose", ""),
    (r"a(cc)?[_ ]?[xyz]|g(yro)?[_ ]?[xyz]|w[xyz]|lin\w*|ang\w*", "observation/motion", ""),
    (r"gripper\w*|finger\w*|width|opening|jaw\w*", "observation/gripper", ""),
    (r"reward\w*", "reward", ""),
    (r"author|intervention|is_?intervention|human|takeover", "author", "1 is the operator, 0 the policy?"),
)
_GOOD = re.compile(r"success\w*|succe\w*|ok|okay|pass(ed)?|good|normal|true|yes|done", re.IGNORECASE)
_BAD = re.compile(
    r"fail\w*|error\w*|bad|crash\w*|collision\w*|false|abnormal|dropped?|lost|slip\w*|timeout|.*_?collision|obstruct\w*"
    r"|no",
    re.IGNORECASE,
)
_ABORT = re.compile(r"abort\w*|cancel\w*|stopp?ed|interrupt\w*", re.IGNORECASE)
_ASKED = re.compile(r"(actions?|act|cmd|command|commanded|desired|setpoint)(?![a-z])", re.IGNORECASE)
_NO_OWNERS = {"actual", "measured", "current", "state", "obs", "observation", "robot", "data"}
_TURN_RAD = 2 * np.pi + 0.2
_RATES_HZ = (0.5, 5000.0)


@dataclass(frozen=True)
class Clock:
    """The columns of the stamps and their unit; `sure` where the unit is not a guess."""

    columns: tuple[int, ...]
    unit: str
    why: str
    sure: bool


@dataclass(frozen=True)
class Group:
    """Columns that make a stream."""

    stream: str
    columns: tuple[int, ...]
    unit: str = ""
    notes: tuple[str, ...] = ()
    todo: tuple[str, ...] = ()


@dataclass
class Judged:
    """What is thought of a table's columns; `clock_file` is the table that its stamps lie in, "" for itself."""

    clock: Clock | None = None
    clock_file: str = ""
    rate_hint_hz: float | None = None
    groups: list[Group] = field(default_factory=list)
    split: int | None = None
    phase: int | None = None
    outcome: int | None = None
    notes: list[str] = field(default_factory=list)
    left_out: set[int] = field(default_factory=set)


def judge(look: Look, fallback: str) -> Judged:
    """Say what each column of a table could be; those that tell nothing become the stream `fallback`."""
    cells, found = look.cells, Judged()
    bare = [_bare(name)[0] for name in look.names] or [""] * cells.width
    left = list(range(cells.width))
    found.split = next((n for n in left if _TRY.fullmatch(bare[n]) and _parts(look, n)), None)
    found.clock = _clock(look, bare, found)
    taken = {found.split, *(found.clock.columns if found.clock else ()), *found.left_out}
    for number in left:
        if number in taken:
            continue
        if bare[number] and _OUTCOME.fullmatch(bare[number]) and len(set(cells.words(number))) <= 12:
            found.outcome = number if found.outcome is None else found.outcome
        elif bare[number] and _PHASE.fullmatch(bare[number]) and _changes(look, number):
            found.phase = number if found.phase is None else found.phase
        elif _counts(look, number, bare[number], found.split):
            found.notes.append(f"column {_shown(look, number)} counts the rows and is left out")
        else:
            continue
        taken.add(number)
    wordy = [number for number in left if number not in taken and not cells.numeric(number)]
    if wordy:
        said = ", ".join(_shown(look, number) for number in wordy)
        found.notes.append(f"columns of words or of nothing, left out: {said}")
    _grouped(look, bare, [n for n in left if n not in taken and n not in wordy], fallback, found)
    return found


def share_clock(looks: Mapping[str, Look], judged: Mapping[str, Judged]) -> None:
    """Let a file that holds nothing but stamps be the clock of those beside it with as many rows and none."""
    clocks = [name for name, one in judged.items() if one.clock and not one.groups and looks[name].cells.width == 1]
    for name, one in judged.items():
        if len(clocks) == 1 and one.clock is None and len(looks[name].cells) == len(looks[clocks[0]].cells):
            one.clock, one.clock_file = judged[clocks[0]].clock, clocks[0]


def slug(text: str) -> str:
    """Make a stream's name of a file's."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "table"


def outcome_of(word: str) -> str:
    """Say what a word that people write for an outcome means; "" where it could mean anything."""
    plain = word.strip().lower()
    if plain in {"1", "1.0"}:
        return "success"
    if plain in {"0", "0.0", "-1"}:
        return "failure"
    for pattern, outcome in ((_BAD, "failure"), (_ABORT, "aborted"), (_GOOD, "success")):
        if pattern.fullmatch(plain):
            return outcome
    return ""


def _bare(name: str) -> tuple[str, str]:
    """Part a column's name from the unit that it may end in: "q1 [deg]", "force_x (N)", "time_ms"."""
    for pattern in (_UNIT, _TAIL):
        found = pattern.match(name.strip())
        if found and found[2].lower() in _SPELLED:
            return found[1].strip().removeprefix("field."), _SPELLED[found[2].lower()]
    return name.strip().lstrip("%").removeprefix("field."), ""


def _clock(look: Look, bare: list[str], found: Judged) -> Clock | None:
    cells = look.cells
    for number, name in enumerate(look.names):
        seconds = _SECONDS.fullmatch(name)
        nanos = [
            n
            for n, other in enumerate(look.names)
            if (hit := _NANOS.fullmatch(other)) and seconds and hit[1] == seconds[1]
        ]
        if seconds and nanos and cells.numeric(number):
            return Clock(
                (number, nanos[0]), "s", f"{name!r} and {look.names[nanos[0]]!r} are seconds and nanoseconds", True
            )
    for number in range(cells.width):
        if number in cells.stamped:
            return Clock((number,), "ns", f"{_shown(look, number)} holds dates", True)
        if bare[number] and _TIME.fullmatch(bare[number]) and not cells.numeric(number):
            return Clock((number,), ISO, f"{_shown(look, number)} is named like a time and holds text dates", True)
    numeric = [n for n in range(cells.width) if cells.numeric(n)]
    named = [n for n in numeric if bare[n] and _TIME.fullmatch(bare[n])]
    named.sort(key=lambda n: "header" not in look.names[n])  # the sensor's own stamp before the recorder's
    named = named or [n for n in numeric if look.names and _bare(look.names[n])[1] in TIME_UNITS_NS]
    for number in named or [n for n in numeric if n < (1 if look.names else 2)]:
        values = cells.take([number])[:, 0].astype(np.float64)
        if found.split is not None:
            parts = np.array(cells.words(found.split))
            values = values[parts == parts[0]]
        if len(values) < 2 or not _rises(values):
            if number in named:
                falls = int((np.diff(values) < 0).sum())
                why = (
                    f"falls {falls} times: TODO: several tries in one file?"
                    if falls
                    else "does not rise from row to row."
                )
                found.notes.append(f"{_shown(look, number)} is named like a time and {why} It is left out")
                found.rate_hint_hz = _median_rate(values)
                found.left_out.add(number)
            continue
        if number not in named and (_steps_by_one(values) or not _steady(values)):
            continue
        others = [other for other in named if other != number]
        found.left_out |= set(others)
        found.notes += [
            f"{_shown(look, other)} is another time, left out: TODO: is it the better one?" for other in others
        ]
        why = "is named like a time and rises" if number in named else "rises from row to row"
        return _in_unit(
            values, number, f"{_shown(look, number)} {why}", _bare(look.names[number])[1] if look.names else ""
        )
    return None


def _in_unit(values: NDArray[np.float64], number: int, why: str, named: str) -> Clock:
    if named in TIME_UNITS_NS:
        return Clock((number,), named, f"{why}; its name says {named}", True)
    for unit, scale in TIME_UNITS_NS.items():
        low, high = (edge * 1e9 / scale for edge in _EPOCH_S)
        if low <= values[0] <= high and low <= values[-1] <= high:
            return Clock((number,), unit, f"{why}; its values are {unit} since 1970", True)
    step = float(np.median(np.diff(values)))
    fits = [
        unit
        for unit, scale in TIME_UNITS_NS.items()
        if step > 0 and _RATES_HZ[0] <= 1e9 / (step * scale) <= _RATES_HZ[1]
    ]
    unit = fits[0] if fits else "s"
    rate_hz = 1e9 / (step * TIME_UNITS_NS[unit]) if step > 0 else 0.0
    return Clock((number,), unit, f"{why} by {step:g}, which in {unit} is {rate_hz:g} Hz", False)


def _grouped(look: Look, bare: list[str], columns: list[int], fallback: str, found: Judged) -> None:
    """Put columns into streams by their names; list columns (Parquet) are streams of their own."""
    cells, names = look.cells, look.names
    places: dict[str, list[int]] = {}
    todo: dict[str, set[str]] = {}
    turned = any(re.fullmatch(r"q_?w|r_?w", bare[number].strip().lower()) for number in columns)
    wide = {number: name for name, numbers in cells.groups.items() if len(numbers) > 1 for number in numbers}
    for number in columns:
        name = wide.get(number, bare[number])
        stream, ask = role_of(name, fallback if number not in wide else _own_name(name))
        if stream == "observation/wrench" and turned and re.fullmatch(r"t_?[xyz]", bare[number].strip().lower()):
            stream = "observation/pose"  # beside a quaternion tx ty tz is a translation, no torque
        places.setdefault(stream, []).append(number)
        if ask:
            todo.setdefault(stream, set()).add(ask)
    for stream, numbers in places.items():
        values = cells.take(numbers).astype(np.float64)
        units = {_bare(names[number])[1] for number in numbers} if names else {""}
        notes = list(_quaternions(values))
        asks = sorted(todo.get(stream, set()))
        unit = next(iter(units)) if len(units) == 1 else ""
        if len(units) > 1:
            notes.append("its columns are in different units, which stay in their names")
        elif not unit and stream not in {"author", "reward"}:
            asks.append("the files do not say the unit")
            largest = float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0
            if "joint" in stream and "velo" not in stream and largest > _TURN_RAD:
                notes.append(f'values up to {largest:g} are no radians: file_unit = "deg" and unit = "rad"?')
        found.groups.append(Group(stream, tuple(numbers), unit, tuple(notes), tuple(asks)))


def role_of(name: str, fallback: str) -> tuple[str, str]:
    """Return a column's stream and what is to be asked of it; the part before its last word says whose it is."""
    plain = re.sub(r"[\[\]()]", "", name.strip().lower())
    if asked := _ASKED.match(plain):
        executed = asked[1].startswith("act")
        ask = "what was carried out, or what was asked for (intended)?" if executed else "did the policy ask for this?"
        return f"action/{'executed' if executed else 'intended'}", ask
    for pattern, stream, ask in _ROLES:
        found = re.fullmatch(rf"(?:(.*?)[._/ -])??(?:{pattern})", plain)
        if found:
            owner = "_".join(word for word in slug(found[1] or "").split("_") if word not in {*_NO_OWNERS, "table"})
            return f"{stream}_{owner}" if owner and owner not in stream else stream, ask
    return fallback, ""


def _own_name(name: str) -> str:
    return f"observation/{slug(name.lower().removeprefix('observation'))}"


def _quaternions(values: NDArray[np.float64]) -> list[str]:
    notes = []
    first = 0
    while first + 4 <= values.shape[1]:
        part = values[:, first : first + 4]
        turns = (
            bool(np.allclose(np.linalg.norm(part, axis=1), 1.0, atol=2e-3))
            and float(np.abs(part).min(axis=1).max()) > 0
        )
        if len(part) > 1 and turns:
            notes.append(
                f"columns {first} to {first + 3} of the stream have length 1: a quaternion (x y z w, or w x y z?)"
            )
            first += 4
        else:
            first += 1
    return notes


def _parts(look: Look, number: int) -> bool:
    """Say whether a column's values come in runs: the same value never comes again."""
    words = look.cells.words(number)
    runs = [word for at, word in enumerate(words) if at == 0 or word != words[at - 1]]
    return len(runs) == len(set(runs)) and len(runs) * 2 <= max(len(words), 2)


def _changes(look: Look, number: int) -> bool:
    words = look.cells.words(number)
    if look.cells.numeric(number) and len(set(words)) < 2:
        return False
    changes = sum(one != other for one, other in pairwise(words))
    return len(set(words)) <= 30 and changes * 4 <= len(words)


def _counts(look: Look, number: int, bare: str, split: int | None) -> bool:
    if not look.cells.numeric(number) or len(look.cells) < 3:
        return False
    values = _of_one_try(look, look.cells.take([number])[:, 0].astype(np.float64), split)
    named = bool(bare or look.names) and _COUNT.fullmatch(bare) is not None
    if named and len(values) > 1 and _rises(values):
        return True
    return (named or number == 0) and _steps_by_one(values)


def _rises(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values)
    return bool(np.isfinite(values).all() and (steps >= 0).all() and (steps > 0).mean() > 0.5)


def _steady(values: NDArray[np.float64]) -> bool:
    """Say whether steps are much alike, as a clock's are and a position's are not."""
    steps = np.diff(values)
    middle = float(np.median(steps))
    return middle > 0 and float(np.median(np.abs(steps - middle))) < 0.25 * middle


def _of_one_try(look: Look, values: NDArray[np.float64], split: int | None) -> NDArray[np.float64]:
    if split is None:
        return values
    words = look.cells.words(split)
    return values[[number for number, word in enumerate(words) if word == words[0]]]


def _steps_by_one(values: NDArray[np.float64]) -> bool:
    return bool(len(values) > 2 and values[0] in {0.0, 1.0} and (np.diff(values) == 1.0).all())


def _median_rate(values: NDArray[np.float64]) -> float | None:
    steps = np.diff(values)
    step = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    return 1.0 / step if step > 0 and _RATES_HZ[0] <= 1.0 / step <= _RATES_HZ[1] else None


def _shown(look: Look, number: int) -> str:
    return repr(look.names[number]) if number < len(look.names) else f"column {number}"
