"""HDF5: `data/demo_N` of robosuite and robomimic in every generation, ALOHA and ACT, and one try a file of any lab.

The library never runs in this process: a damaged file can hang or crash it (see `far`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.arrays.clock import rate_said
from saqiya.formats.arrays.cut import cuts_of, parts_of
from saqiya.formats.arrays.episode import Column, Rate, episode_of
from saqiya.formats.arrays.names import facts_of
from saqiya.formats.far.call import Far
from saqiya.formats.hdf5.columns import Hdf5Columns
from saqiya.formats.hdf5.demos import as_demonstration
from saqiya.formats.hdf5.own import GROUP, VERSION, read_own

__all__ = ["Hdf5Format"]

MAGIC = b"\x89HDF\r\n\x1a\n"
SUFFIXES = (".hdf5", ".h5", ".hdf", ".he5")
DEFAULT_RATE_HZ = 20.0
ACT_RATE_HZ = 50.0
"""ALOHA's controllers run at 50 Hz, and its files do not say so (Zhao et al., 2023)."""
HOLDERS = ("data", "demos", "episodes", "trajectories", "trajs")
ONE_TRY = re.compile(r"^(demo|demonstration|episode|ep|traj|trajectory|rollout|trial|run|seq|sequence)?[_-]?\d+$", re.I)
ELSEWHERE = ("mask", "masks", "splits", "saqiya", "meta", "metadata")
_COPY_AGAIN = "Copy or record it again."


@dataclass(frozen=True)
class Hdf5Format:
    """Reads HDF5 files of robot tries.

    Groups `demo_0`, `episode_1`, `traj_2` (below `data` or at the root) are tries; a file without them is one, or the
    many that `terminals` and `timeouts` tell apart. Where no clock is stored the rate is what the file declares
    (`control_freq`, `fps`), else 50 Hz for ALOHA's layout and `rate_hz` for others; stamps are made from it, marked
    `Stamp.ASSUMED`, and `metadata["clock"]` says so.
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
        """Yield every try, `demo_2` before `demo_10`.

        Raises:
            UnreadableLog: the file is empty, truncated, no HDF5, or nothing in it can be used.
        """
        _check_head(path)
        with Far("hdf5", path) as far:
            try:
                root = _members(far, "/")
                holder, names = _tries(far, root)
            except UnreadableLog as error:
                raise UnreadableLog(
                    f"cannot be opened as HDF5: {error.what}", subject=str(path), remedy=_COPY_AGAIN
                ) from error
            words, damage = _words(far, "/")
            splits = _splits(far, root)
            columns = Hdf5Columns(far, path)
            if root.get(GROUP) == "group" and "version" in _words(far, GROUP)[0]:
                yield from _own(far, columns)
                return
            if not names:
                yield from self._alone(path, columns, words, damage)
                return
            if holder:
                own, more = _words(far, holder)
                words, damage = words | own, damage + more
            for name, kind in names.items():
                if kind != "group":
                    yield _no_group(name, kind)
                    continue
                yield self._one(far, columns, (holder, name), words, (damage, splits.get(name, [])))

    def _alone(
        self, path: Path, columns: Hdf5Columns, words: Mapping[str, JsonValue], damage: list[str]
    ) -> Iterator[EpisodeLog | Unread]:
        """Read the file as one try, or as the tries that its flags tell apart."""
        try:
            found = columns.of("/")
            rate = self._rate(words, found)
            cuts = cuts_of(found)
            if len(cuts) < 2:
                yield _said(episode_of(path.stem, found, words, rate), self.name, damage)
                return
        except (UnreadableLog, InvalidEpisode) as error:
            raise UnreadableLog(error.what, subject=str(path), remedy=error.remedy or _COPY_AGAIN) from error
        for number, part in enumerate(parts_of(found, cuts)):
            key = f"{path.stem}/{number}"
            try:
                yield _said(episode_of(key, part, words, rate), self.name, damage)
            except (UnreadableLog, InvalidEpisode) as error:
                yield Unread(key, error.what, error.remedy or _COPY_AGAIN)

    def _one(
        self,
        far: Far,
        columns: Hdf5Columns,
        place: tuple[str, str],
        words: Mapping[str, JsonValue],
        said: tuple[list[str], list[str]],
    ) -> EpisodeLog | Unread:
        holder, name = place
        damage, splits = said
        group = f"{holder}/{name}"
        try:
            own, more = _words(far, group)
            facts = {**words, **own}
            found = columns.of(group)
            rate = self._rate(facts, found)
            log = as_demonstration(episode_of(name, found, facts, rate), rate)
        except (UnreadableLog, InvalidEpisode) as error:
            return Unread(name, error.what, error.remedy or _COPY_AGAIN)
        if splits:
            listed: dict[str, JsonValue] = {"splits": list(splits)}
            log = EpisodeLog(log.key, log.streams, log.events, {**log.metadata, **listed}, log.videos)
        return _said(log, self.name, damage + more)

    def _rate(self, words: Mapping[str, JsonValue], columns: list[Column]) -> Rate:
        declared = rate_said(facts_of(words))
        if declared is not None:
            return Rate(declared, "the file")
        act = {"action", "observations/qpos"} <= {column.path for column in columns}
        return Rate(ACT_RATE_HZ if act else self.rate_hz)


def _own(far: Far, columns: Hdf5Columns) -> Iterator[EpisodeLog | Unread]:
    """Give back what we wrote, bit for bit, whatever layout it lies beside."""
    version = _words(far, GROUP)[0].get("version")
    if version != VERSION:
        raise UnreadableLog(
            f"is of version {version!r}, and this Saqiya reads {VERSION}",
            subject=str(columns.file),
            remedy="Read it with a newer Saqiya.",
        )
    taken: set[str] = set()
    for demo in sorted(_members(far, GROUP), key=_natural):
        try:
            log = read_own(columns, demo)
        except (UnreadableLog, InvalidEpisode) as error:
            yield Unread(demo, error.what, error.remedy or _COPY_AGAIN)
            continue
        if log.key in taken:  # two files may have had a try of one name
            log = EpisodeLog(f"{demo}:{log.key}", log.streams, log.events, log.metadata, log.videos)
        taken.add(log.key)
        yield log


def _said(log: EpisodeLog, name: str, damage: list[str]) -> EpisodeLog:
    problems = log.metadata.get("problems")
    listed: list[JsonValue] = [*damage, *(problems if isinstance(problems, list) else ())]
    facts: dict[str, JsonValue] = {**log.metadata, "format": name, "problems": listed}
    return EpisodeLog(log.key, log.streams, log.events, facts, log.videos)


def _check_head(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(64)
    if size == 0:
        raise UnreadableLog("is empty (0 bytes)", subject=str(path), remedy=_COPY_AGAIN)
    if head.startswith(b"version https://git-lfs"):
        raise UnreadableLog("is a Git LFS pointer, not the file itself", subject=str(path), remedy="Run git lfs pull.")


def _members(far: Far, group: str) -> dict[str, str]:
    return {str(name): str(kind) for name, kind in far.ask("members", name=group)["members"]}


def _no_group(name: str, kind: str) -> Unread:
    if kind == "link":
        return Unread(name, "is a link that may lead out of the file", "Copy what it leads to into the file.")
    return Unread(name, "is damaged, or no group of data sets", _COPY_AGAIN)


def _tries(far: Far, root: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Find the group that holds the tries, their names in natural order and kinds; none when the file is one try."""
    for holder in ("", *(name for name in HOLDERS if root.get(name) in {"group", "link"})):
        if root.get(holder) == "link":
            raise UnreadableLog(f"its group {holder!r} lies in another file", remedy="Copy that file's content here.")
        members = _members(far, holder) if holder else dict(root)
        groups = [name for name, kind in members.items() if kind != "set" and name not in ELSEWHERE]
        sets = [name for name, kind in members.items() if kind == "set"]
        named = [name for name in groups if ONE_TRY.match(name)]
        if groups and not sets and (len(named) == len(groups) or (holder == "data" and len(named) > 0)):
            return holder, {name: members[name] for name in sorted(groups, key=_natural)}
        solid = [name for name in groups if members[name] == "group"]
        if holder == "data" and solid and not sets and not _one_try_below(far, holder, solid):
            return holder, {name: members[name] for name in sorted(groups, key=_natural)}
    return "", {}


def _one_try_below(far: Far, holder: str, groups: list[str]) -> bool:
    """Say whether `data` is itself one try: its groups are then "obs" and "action", and not alike."""
    held = [frozenset(_members(far, f"{holder}/{name}")) for name in groups[:8] if name]
    return len(set(held)) > 1 or {"obs", "observation", "observations"} & set(groups) != set()


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]


def _words(far: Far, group: str) -> tuple[dict[str, JsonValue], list[str]]:
    """Return a group's attributes, and a sentence about damage where they cannot be read."""
    try:
        words = far.ask("words", name=group)["words"]
    except UnreadableLog as error:
        return {}, [f"the attributes of {group} are damaged: {error.what}"]
    return {str(key): value for key, value in words.items()}, []


def _splits(far: Far, root: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the splits (robomimic: filter keys) that name each try."""
    splits: dict[str, list[str]] = {}
    if root.get("mask") != "group":
        return splits
    for name, kind in sorted(_members(far, "mask").items()):
        if kind == "set":
            for demo in far.ask("texts", name=f"mask/{name}")["texts"]:
                splits.setdefault(str(demo), []).append(name)
    return splits
