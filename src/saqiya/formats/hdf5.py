"""HDF5 of the robosuite and robomimic kind: `data/demo_N` groups, one a try, in every generation of the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Stamp, Stream
from saqiya.errors import UnreadableLog
from saqiya.formats.hdf5_words import words_of

if TYPE_CHECKING:
    import h5py

__all__ = ["Hdf5Format"]

MAGIC = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".hdf5", ".h5")
DEFAULT_RATE_HZ = 20.0
MOST_BYTES = 1 << 30
"""A data set that claims more is left out: a few bytes of file can claim terabytes."""
MOST_DEMOS_N = 1_000_000
BROKEN = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError, UnicodeDecodeError)
"""What h5py raises on damaged files: it maps HDF5's own error stack onto these."""
NAMES = {"actions": "action/executed", "rewards": "reward", "dones": "done"}


@dataclass(frozen=True)
class Hdf5Format:
    """Reads robosuite and robomimic files.

    They store no stamps. The rate is `control_freq` where the file says it, else `rate_hz`; stamps are made from it,
    marked `Stamp.ASSUMED`, and `metadata["clock"]` says so. A `states` column that is itself a simulation clock is
    held against that rate, and a contradiction is listed in `metadata["problems"]`.
    """

    name = "hdf5"
    rate_hz: float = DEFAULT_RATE_HZ

    def sniff(self, path: Path) -> bool:
        """Say whether `path` has the HDF5 signature, or a name that claims it."""
        if not path.is_file():
            return False
        if path.suffix.lower() in SUFFIXES:
            return True
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every demonstration, `demo_2` before `demo_10`.

        Raises:
            UnreadableLog: the file is empty, truncated, no HDF5, or has no `data` group of demonstrations.
        """
        import h5py

        _check_head(path)
        try:
            file = h5py.File(path, "r")
        except BROKEN as error:
            raise UnreadableLog(
                f"cannot be opened as HDF5: {_first_line(error)}", subject=str(path), remedy="Copy or record it again."
            ) from error
        with file:
            try:
                root, names = _demonstrations(file, path)
                words, damage = words_of(path, ["data", *(f"data/{name}" for name in names)])
            except BROKEN as error:
                raise UnreadableLog(
                    f"its table of contents is damaged: {_first_line(error)}",
                    subject=str(path),
                    remedy="Copy or record it again.",
                ) from error
            facts = _said_by(words.get("data", {}))
            for name in names:
                own = _said_by(words.get(f"data/{name}", {}))
                yield self._demonstration(root, name, facts | own, damage)

    def _demonstration(
        self, root: h5py.Group, name: str, facts: Mapping[str, JsonValue], damage: str
    ) -> EpisodeLog | Unread:
        try:
            return self._episode(root, name, facts, damage)
        except UnreadableLog as error:
            return Unread(name, error.what, error.remedy)
        except BROKEN as error:
            return Unread(name, f"is damaged: {_first_line(error)}", "Copy or record the file again.")

    def _episode(self, root: h5py.Group, name: str, facts: Mapping[str, JsonValue], damage: str) -> EpisodeLog:
        import h5py

        group = _own(root, name)
        if not isinstance(group, h5py.Group):
            raise UnreadableLog("is no group of data sets", remedy="Look at the file with h5ls.")
        problems: list[str] = [damage] if damage else []
        arrays = _arrays(group, problems)
        if not arrays:
            raise UnreadableLog(f"has no numbers ({'; '.join(problems) or 'no data sets'})", remedy="Record it again.")
        declared = facts.get("control_freq")
        rate_hz = float(declared) if isinstance(declared, int | float) else self.rate_hz
        steps = _steps(arrays)
        streams: dict[str, Stream] = {}
        left_out: list[str] = []
        for key, values in arrays.items():
            inner = "/" in key and not key.startswith("obs/")
            if key.startswith("next_obs/") or (inner and len(values) != steps):
                left_out.append(f"{key} ({len(values)} rows)")
                continue
            if len(values) != steps:
                problems.append(f"{key} has {len(values)} rows, {steps} were expected")
            streams[_name(key)] = _assumed(values, rate_hz)
        problems += _clock_check(arrays.get("states"), rate_hz)
        events = _authors(arrays, streams, steps, rate_hz)
        return EpisodeLog(name, streams, events, self._metadata(facts, streams, (problems, left_out, rate_hz)))

    def _metadata(
        self,
        facts: Mapping[str, JsonValue],
        streams: Mapping[str, Stream],
        found: tuple[list[str], list[str], float],
    ) -> dict[str, JsonValue]:
        problems, left_out, rate_hz = found
        source = "declared in the file" if "control_freq" in facts else "the default of this format"
        metadata: dict[str, JsonValue] = {key: value for key, value in facts.items() if key != "control_freq"}
        author = streams["author"].values if "author" in streams else None
        metadata["source"] = "demonstration" if author is None or bool(np.all(author == 1)) else "rollout"
        metadata["clock"] = f"no stamps are stored; {rate_hz:g} Hz assumed ({source})"
        metadata["format"] = self.name
        metadata["problems"] = list(problems)
        if left_out:
            metadata["left_out"] = list(left_out)
        return metadata


def _check_head(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
    if size == 0:
        raise UnreadableLog("is empty (0 bytes)", subject=str(path), remedy="Copy or record it again.")
    if head.startswith(b"version https://git-lfs"):
        raise UnreadableLog("is a Git LFS pointer, not the file itself", subject=str(path), remedy="Run git lfs pull.")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _demonstrations(file: h5py.File, path: Path) -> tuple[h5py.Group, list[str]]:
    import h5py

    root = _own(file, "data")
    if not isinstance(root, h5py.Group):
        held = ", ".join(list(file)[:8]) or "nothing"
        raise UnreadableLog(
            f"has no group 'data' with demonstrations in it; it holds: {held}",
            subject=str(path),
            remedy="This reader knows robosuite and robomimic files only.",
        )
    if not 0 < len(root) <= MOST_DEMOS_N:
        raise UnreadableLog(f"holds {len(root)} demonstrations", subject=str(path), remedy="Record or cut it again.")
    names = sorted(root, key=lambda name: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)])
    return root, names


def _own(group: h5py.Group, name: str) -> Any:  # noqa: ANN401 - h5py has no types
    """Give a member that lies in this very file, None for a link that leads elsewhere."""
    import h5py

    if name not in group or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def _arrays(group: h5py.Group, problems: list[str]) -> dict[str, NDArray[Any]]:
    """Read every numeric data set below a group, by its path; what cannot be read is said in `problems`."""
    import h5py

    sets: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sets[name] = item

    group.visititems(visit)  # follows neither soft nor external links
    arrays: dict[str, NDArray[Any]] = {}
    for name, item in sorted(sets.items()):
        why = _unusable(item)
        if why:
            problems.append(f"{name}: left out: {why}")
            continue
        try:
            values = np.asarray(item[()])
        except BROKEN as error:
            problems.append(f"{name}: left out: it cannot be read ({_first_line(error)})")
            continue
        arrays[name] = values.astype(np.uint8) if values.dtype == np.bool_ else values
    return arrays


def _unusable(item: h5py.Dataset) -> str:
    """Say why a data set is not read, "" when it is."""
    if item.dtype.kind not in "fiub":
        return f"its values are no numbers ({item.dtype})"
    if item.ndim == 0 or item.shape[0] == 0:
        return "it has no rows"
    if item.is_virtual or item.external:
        return "its bytes lie in other files"
    claimed = item.dtype.itemsize
    for side in item.shape:
        claimed *= int(side)
    return f"it claims {claimed} bytes, more than {MOST_BYTES}" if claimed > MOST_BYTES else ""


def _steps(arrays: Mapping[str, NDArray[Any]]) -> int:
    for key in ("actions", "states"):
        if key in arrays:
            return len(arrays[key])
    lengths = [len(values) for key, values in arrays.items() if "/" not in key or key.startswith("obs/")]
    lengths = lengths or [len(values) for values in arrays.values()]
    return max(set(lengths), key=lengths.count)


def _name(key: str) -> str:
    if key in NAMES:
        return NAMES[key]
    if key == "states":
        return "observation/states"
    return f"observation/{key.removeprefix('obs/')}" if key.startswith("obs/") else key


def _assumed(values: NDArray[Any], rate_hz: float) -> Stream:
    t_ns = np.rint(np.arange(len(values)) * (1e9 / rate_hz)).astype(np.int64)
    shaped = values if values.ndim > 1 else values.reshape(-1, 1)
    return Stream(t_ns, shaped, f"assumed:{rate_hz:g}Hz", Stamp.ASSUMED)


def _clock_check(states: NDArray[Any] | None, rate_hz: float) -> list[str]:
    """Hold the first state column, in robosuite the simulator's time in seconds, against the assumed rate."""
    if states is None or states.ndim != 2 or len(states) < 3:
        return []
    steps_s = np.diff(states[:, 0].astype(np.float64))
    period_s = float(np.median(steps_s))
    steady = period_s > 0 and bool(np.all(np.abs(steps_s - period_s) < 1e-3 * period_s))
    if not steady or abs(period_s * rate_hz - 1.0) < 0.01:
        return []
    return [f"the first state column looks like a clock of {1 / period_s:.4g} Hz, but {rate_hz:g} Hz is assumed"]


def _authors(
    arrays: Mapping[str, NDArray[Any]], streams: dict[str, Stream], steps: int, rate_hz: float
) -> tuple[Event, ...]:
    """Add who acted (`author`, 0 policy, 1 operator), the operator's own actions, and the hand-overs between them."""
    acting, taken = arrays.get("policy_acting"), arrays.get("interventions")
    if acting is not None and len(acting) == steps:
        author = (acting.reshape(steps, -1).max(axis=1) == 0).astype(np.uint8)
    elif taken is not None and len(taken) == steps:
        author = (taken.reshape(steps, -1).max(axis=1) != 0).astype(np.uint8)
    else:
        return ()
    streams["author"] = _assumed(author, rate_hz)
    executed = streams.get("action/executed")
    rows = np.flatnonzero(author)
    if executed is not None and executed.t_ns.size == steps and rows.size:
        streams["action/operator"] = replace(executed, t_ns=executed.t_ns[rows], values=executed.values[rows])
    t_ns = streams["author"].t_ns
    turns = np.flatnonzero(np.diff(author.astype(np.int8))) + 1
    return tuple(Event(int(t_ns[row]), "takeover" if author[row] else "handback") for row in turns)


def _said_by(words: Mapping[str, str]) -> dict[str, JsonValue]:
    """Give the facts that a group's attributes state, under the words of the house."""
    facts: dict[str, JsonValue] = {}
    nested: dict[str, Any] = {}
    for key in ("env_info", "env_args", "metadata"):
        nested |= _json(words.get(key, ""))
    task = words.get("env") or nested.get("env_name")
    settings = nested.get("env_kwargs") if isinstance(nested.get("env_kwargs"), dict) else nested
    robots = settings.get("robots") if isinstance(settings, dict) else None
    rate = settings.get("control_freq") if isinstance(settings, dict) else None
    if task:
        facts["task"] = str(task)
    if isinstance(robots, str | list):
        facts["embodiment"] = robots if isinstance(robots, str) else "+".join(str(robot) for robot in robots)
    if isinstance(rate, int | float) and 0 < rate <= 1e6:
        facts["control_freq"] = float(rate)
    if isinstance(nested.get("user_id"), str):
        facts["operator"] = nested["user_id"]
    for fact, key in (("date", "date"), ("date", "readable_timestamp"), ("version", "repository_version")):
        if key in words:
            facts[fact] = words[key]
    return facts


def _json(value: str) -> dict[str, Any]:
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}
