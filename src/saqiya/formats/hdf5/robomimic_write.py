"""Write episodes as one robomimic HDF5 file that reads back whole.

robomimic holds one rate. `data/demo_N` has everything at the actions' stamps, as robomimic reads it; the group
`saqiya` beside it has every stream at its own stamps and every camera's packets. Where the two are equal they are one
data set with two names.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Progress, Shipped
from saqiya.domain.streams import EpisodeLog, JsonValue, Stream
from saqiya.errors import AlreadyThere, InvalidEpisode, StorageFull, UsageError, WorkspaceError
from saqiya.formats.hdf5.own import write_own
from saqiya.formats.hdf5.robomimic_obs import ACTIONS, Notes, decoded, how_taken, latest, observed

__all__ = ["RobomimicWriter"]

SETTINGS = {"frames": True, "next_obs": False}
NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
SLAB_BYTES = 1 << 24


@dataclass(frozen=True)
class RobomimicWriter:
    """Writes robomimic HDF5 (Mandlekar et al., 2021), every episode a demonstration.

    Settings: `frames` (true): cameras are decoded into `obs`, as robomimic needs them; `next_obs` (false): write
    what was observed after each action once more, for algorithms that ask for it.
    """

    name = "robomimic"

    def write_all(
        self, episodes: Iterable[Shipped], path: Path, *, settings: Mapping[str, JsonValue], progress: Progress
    ) -> tuple[str, ...]:
        """Write the file `path`, which must not exist, all or nothing; return in words what robomimic's part lacks.

        Raises:
            AlreadyThere: `path` exists.
            InvalidEpisode: an episode has no actions, a stream that HDF5 has no type for, or an undecodable camera.
            StorageFull: the disk has no room; nothing is left behind.
            UsageError: a setting is unknown.
            WorkspaceError: the file system refused otherwise.
        """
        import h5py

        chosen = _settings(settings)
        if path.exists():
            raise AlreadyThere("exists already", subject=str(path), remedy="Choose another name.")
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        total = len(episodes) if isinstance(episodes, Sized) else 0
        try:
            partial.unlink(missing_ok=True)
            with h5py.File(partial, "w", libver="v110") as file:
                book = _Book(file, chosen)
                for number, shipped in enumerate(episodes):
                    book.add(f"demo_{number}", shipped)
                    progress("write", number + 1, max(total, number + 1))
                notes = book.close()
            partial.rename(path)
        except OSError as bad:
            kind = StorageFull if bad.errno in NO_ROOM else WorkspaceError
            raise kind(
                f"the file could not be written ({bad.strerror or bad})",
                subject=str(path),
                remedy="Check room and rights in its folder, then write it again.",
            ) from bad
        finally:
            partial.unlink(missing_ok=True)
        return notes


def _settings(settings: Mapping[str, JsonValue]) -> dict[str, bool]:
    unknown = sorted(set(settings) - set(SETTINGS))
    wrong = sorted(name for name, value in settings.items() if not isinstance(value, bool))
    if unknown or wrong:
        raise UsageError(
            f"settings of robomimic are true or false: {', '.join(unknown or wrong)}",
            remedy=f"Known: {', '.join(SETTINGS)}.",
        )
    return SETTINGS | {name: bool(value) for name, value in settings.items()}


@dataclass
class _Book:
    """The file that is being written, and what adds up over its episodes."""

    file: Any
    settings: Mapping[str, bool]
    notes: Notes = field(default_factory=Notes)
    masks: dict[str, list[str]] = field(default_factory=dict)
    env_args: str = ""
    steps: int = 0
    count: int = 0

    def add(self, demo: str, shipped: Shipped) -> None:
        """Write one episode."""
        log = shipped.log
        name, at = _actions(log)
        own = write_own(self.file, demo, shipped)
        group = self.file.create_group(f"data/{demo}")
        steps = len(at.t_ns)
        group.attrs["num_samples"] = steps
        self.steps += steps
        self.count += 1
        self._facts(group, log)
        _link(group, "actions", own[name], at.values.reshape(steps, -1))
        if name != "action/executed":
            self.notes.add(f"actions are {name}")
        self._rewards(group, log, at)
        self._states(group, log, at, own)
        self._observations(group, log, at, own)
        self._weights(group, shipped, at)
        self._masks(demo, shipped)

    def _facts(self, group: Any, log: EpisodeLog) -> None:  # noqa: ANN401 - h5py has no types
        model = log.metadata.get("model_file")
        if isinstance(model, str) and model.lstrip().startswith("<"):
            group.attrs["model_file"] = model
        said = log.metadata.get("env_args")
        text = json.dumps(said, indent=4, sort_keys=True) if isinstance(said, dict) else str(said or "")
        if not text:
            self.notes.add("no env_args are known, and none were invented: robomimic can train, but not roll out")
        elif not self.env_args:
            self.env_args = text
        elif text != self.env_args:
            self.notes.add("env_args differ between episodes: the first episode's are written")

    def _rewards(self, group: Any, log: EpisodeLog, at: Stream) -> None:  # noqa: ANN401
        steps = len(at.t_ns)
        rewards, dones = log.streams.get("reward"), log.streams.get("done")
        if rewards is not None and rewards.t_ns.size:
            group["rewards"] = rewards.values.reshape(len(rewards.t_ns), -1)[latest(rewards.t_ns, at.t_ns)[0], 0]
        else:
            made = np.zeros(steps)
            made[-1] = float(log.metadata.get("outcome") == "success")
            group["rewards"] = made
            self.notes.add("no reward was logged: rewards are 0, but 1 at the last step of a success")
        if dones is not None and dones.t_ns.size:
            group["dones"] = dones.values.reshape(len(dones.t_ns), -1)[latest(dones.t_ns, at.t_ns)[0], 0]
        else:
            last = np.zeros(steps, dtype=np.int64)
            last[-1] = 1
            group["dones"] = last
            self.notes.add("no end was logged: dones are 1 at the last step")

    def _states(self, group: Any, log: EpisodeLog, at: Stream, own: Mapping[str, Any]) -> None:  # noqa: ANN401
        states, author = log.streams.get("observation/states"), log.streams.get("author")
        if states is not None and states.t_ns.size:
            rows, _ = latest(states.t_ns, at.t_ns)
            _link(group, "states", own["observation/states"], states.values[rows])
            self._resampled("observation/states", states, at)
        if author is not None and author.t_ns.size:
            rows, _ = latest(author.t_ns, at.t_ns)
            group["interventions"] = author.values.reshape(len(author.t_ns), -1)[rows, :1] == 1

    def _observations(self, group: Any, log: EpisodeLog, at: Stream, own: Mapping[str, Any]) -> None:  # noqa: ANN401
        streams, videos, left = observed(log)
        obs = group.create_group("obs")
        for key, name in streams.items():
            stream = log.streams[name]
            if not stream.t_ns.size:
                self.notes.add(f"{name} is empty: it is in the group saqiya alone")
                continue
            rows, early = latest(stream.t_ns, at.t_ns)
            if np.array_equal(rows, np.arange(len(stream.t_ns))):
                obs[key] = own[name]
            else:
                _rows(obs, key, stream.values, rows)
            self._resampled(name, stream, at, early)
        if self.settings["frames"]:
            for key, name in videos.items():
                self._frames(obs, key, log, name, at)
        elif videos:
            self.notes.add(f"cameras are in the group saqiya alone, as packets: {', '.join(sorted(videos.values()))}")
        other = [name for name in left if name not in {*ACTIONS, "reward", "done", "author"}]
        if other:
            self.notes.add(f"in the group saqiya alone, not in obs: {', '.join(other)}")
        if self.settings["next_obs"]:
            self._following(group, log, at, (streams, videos))
        else:
            self.notes.add(
                "next_obs is left out: set hdf5_load_next_obs to false in robomimic, or next_obs to true here"
            )

    def _following(
        self,
        group: Any,  # noqa: ANN401
        log: EpisodeLog,
        at: Stream,
        named: tuple[dict[str, str], dict[str, str]],
    ) -> None:
        """Write what was observed when the next action was due; after the last action, one usual step later."""
        streams, videos = named
        after, obs = group.create_group("next_obs"), group["obs"]
        period_ns = int(np.median(np.diff(at.t_ns))) if len(at.t_ns) > 1 else 0
        due = np.append(at.t_ns[1:], at.t_ns[-1] + period_ns)
        for key in obs:
            if key in streams:
                t_ns = log.streams[streams[key]].t_ns
                _rows(after, key, log.streams[streams[key]].values, latest(t_ns, due)[0])
            else:
                t_ns = log.videos[videos[key]].track.t_ns[:1]
                _rows(after, key, obs[key], np.minimum(np.arange(len(due)) + 1, len(due) - 1))
            if t_ns[-1] <= at.t_ns[-1]:
                self.notes.add(f"the last row of next_obs/{key} repeats obs: nothing later is known")

    def _frames(self, obs: Any, key: str, log: EpisodeLog, name: str, at: Stream) -> None:  # noqa: ANN401
        video = log.videos[name]
        track = video.track
        if not len(track.t_ns):
            self.notes.add(f"{name} is empty: it is in the group saqiya alone")
            return
        rows, early = latest(track.t_ns, at.t_ns)
        shape = (track.height, track.width, 1 if track.unit else 3)
        kind = np.uint16 if track.unit else np.uint8
        made = obs.create_dataset(key, (len(rows), *shape), kind, chunks=(1, *shape))
        filled = 0
        for number, pixels in decoded(video, name):
            begin, end = (int(one) for one in np.searchsorted(rows, [number, number + 1]))
            for row in range(begin, end):
                made[row] = pixels
            filled += end - begin
        if filled < len(rows):
            raise InvalidEpisode(
                f"{name}: its packets give {filled} of {len(rows)} pictures",
                subject=log.key,
                remedy="Leave the episode out, or set frames to false.",
            )
        self.notes.add(f"{name} is decoded into obs/{key} as pixels; its packets are in the group saqiya")
        self._resampled(name, Stream(track.t_ns, track.t_ns), at, early)

    def _resampled(self, name: str, stream: Stream, at: Stream, early: int = 0) -> None:
        if said := how_taken(name, stream, at):
            self.notes.add(said)
        if early:
            self.notes.add(f"{name} begins after the first action: earlier actions have its first sample")

    def _weights(self, group: Any, shipped: Shipped, at: Stream) -> None:  # noqa: ANN401
        if not shipped.spans:
            return
        weights = np.zeros(len(at.t_ns))
        for start_ns, end_ns, weight, _ in shipped.spans:
            weights[(at.t_ns >= start_ns) & (at.t_ns < end_ns)] = weight
        group["sample_weight"] = weights
        self.notes.add(
            "sample_weight holds the weight of each step, 0 outside of the version's spans; robomimic ignores it"
        )

    def _masks(self, demo: str, shipped: Shipped) -> None:
        splits = shipped.log.metadata.get("splits")
        names = {str(role) for *_, role in shipped.spans} | set(map(str, splits if isinstance(splits, list) else ()))
        for name in sorted(names):
            self.masks.setdefault(name.replace("/", "_"), []).append(demo)

    def close(self) -> tuple[str, ...]:
        """Write what is said of all episodes, and return the notes."""
        if not self.count:
            raise InvalidEpisode("there is no episode to write", remedy="Choose episodes that exist.")
        self.file["data"].attrs["total"] = self.steps
        if self.env_args:
            self.file["data"].attrs["env_args"] = self.env_args
        for name, demos in sorted(self.masks.items()):
            self.file[f"mask/{name}"] = np.array(demos, dtype="S")
        return self.notes.listed(self.count)


def _actions(log: EpisodeLog) -> tuple[str, Stream]:
    for name in ACTIONS:
        stream = log.streams.get(name)
        if stream is not None and stream.t_ns.size:
            return name, stream
    raise InvalidEpisode(
        "has no actions, and robomimic cannot do without them",
        subject=log.key,
        remedy=f"One of {', '.join(ACTIONS)} must be there; map it when the log is taken in.",
    )


def _link(group: Any, key: str, own: Any, values: NDArray[Any]) -> None:  # noqa: ANN401
    """Give the data set that has these very values a second name, or write them."""
    if own.shape == values.shape and own.dtype == values.dtype and _same(own, values):
        group[key] = own
    else:
        group[key] = values


def _same(own: Any, values: NDArray[Any]) -> bool:  # noqa: ANN401
    held: NDArray[Any] = own[()]
    return held.tobytes() == values.tobytes()


def _rows(group: Any, key: str, values: Any, rows: NDArray[np.int64]) -> None:  # noqa: ANN401
    """Write rows of an array or data set a slab at a time: pictures need not all be in memory."""
    row_bytes = max(1, int(np.prod(values.shape[1:], dtype=object)) * values.dtype.itemsize)
    made = group.create_dataset(key, (len(rows), *values.shape[1:]), values.dtype)
    step = max(1, SLAB_BYTES // row_bytes)
    for at in range(0, len(rows), step):
        wanted = rows[at : at + step]
        first = int(wanted[0])
        made[at : at + len(wanted)] = np.asarray(values[first : int(wanted[-1]) + 1])[wanted - first]
