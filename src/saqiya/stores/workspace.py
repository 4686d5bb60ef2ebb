"""A workspace: one folder with the catalog, the objects, the spool of recordings and all that can be rebuilt.

workspace.json   format and site, written last: a folder without it is not a workspace
catalog.sqlite   the nouns            objects/   the bytes       (either may live elsewhere, see saqiya.toml)
spool/           recordings that wait to be ingested
derived/         indexes and caches; deleting it loses nothing
locks/           one file a scope, held while a turn runs; open.lock is held by whoever has the workspace open
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from saqiya.domain.ids import Clock, Mint
from saqiya.domain.media import PACKED, Video
from saqiya.domain.nouns import Episode, MediaInfo, Recording
from saqiya.domain.streams import EpisodeLog, JsonValue, Stream
from saqiya.errors import Corrupt, InvalidEpisode, UsageError, WorkspaceBusy
from saqiya.stores.cache import CACHE_BYTES, Cache
from saqiya.stores.catalog import Catalog
from saqiya.stores.disk import disk_errors, map_file
from saqiya.stores.facts import CATALOG, FORMAT, Facts, hold_to, presence, read_facts, write_facts
from saqiya.stores.folder import Home
from saqiya.stores.objects import Objects
from saqiya.stores.opened import Opened, Sealed, open_version, seal
from saqiya.stores.streams import Cropped, Streams

__all__ = ["Workspace"]

_SITE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,31}")
_held: Final[set[int]] = set()


class _Holder(msgspec.Struct):
    pid: int
    scope: str
    since_ns: int


class Workspace:
    """An open workspace. Time and randomness come from whoever opens it.

    Attributes:
        root, spool, derived: its folders.
        site: the name that every id made here carries.
        objects, catalog: the two truths.
    """

    def __init__(
        self,
        root: Path,
        *,
        site: str,
        clock: Clock,
        entropy: Callable[[int], bytes],
        home: Home | None = None,
        cache_bytes: int = CACHE_BYTES,
        database: sa.URL | None = None,
    ) -> None:
        """Open the parts under `root`; use `create` or `open`."""
        self.root = root
        self.site = site
        self.spool, self.derived, self._locks = root / "spool", root / "derived", root / "locks"
        with disk_errors(root):
            for folder in (self.spool, self.derived, self._locks):
                folder.mkdir(parents=True, exist_ok=True)
        cache = Cache(self.derived / "objects", most_bytes=cache_bytes)
        self.objects = Objects(root / "objects", home=home, cache=cache)
        self.catalog = Catalog(
            database or root / CATALOG, objects=self.objects, mint=Mint(site, clock, entropy), clock=clock
        )
        self._clock = clock
        self._here = ExitStack()

    @classmethod
    def create(cls, root: Path, *, site: str, clock: Clock, entropy: Callable[[int], bytes]) -> Workspace:
        """Make a workspace in `root` (made if missing) for a site, and open it.

        Raises:
            UsageError: there is one already, or the site's name does not fit into an id.
            StorageFull: no room.
        """
        if not _SITE.fullmatch(site):
            raise UsageError(
                f"{site[:40]!r} cannot name a site",
                remedy="Use at most 32 lower-case letters, digits, dots, dashes or underscores",
            )
        if (root / "workspace.json").exists():
            raise UsageError(
                "there is a workspace already", subject=str(root), remedy="Open it, or choose another folder"
            )
        with ExitStack() as held:
            with disk_errors(root):
                root.mkdir(parents=True, exist_ok=True)
            held.enter_context(presence(root))
            made = cls(root, site=site, clock=clock, entropy=entropy)
            write_facts(root, Facts(FORMAT, site))
            made._here = held.pop_all()
        return made

    @classmethod
    def open(
        cls,
        root: Path,
        *,
        clock: Clock,
        entropy: Callable[[int], bytes],
        home: Home | None = None,
        cache_bytes: int = CACHE_BYTES,
        database: sa.URL | None = None,
    ) -> Workspace:
        """Open the workspace in `root`.

        Args:
            root: its folder.
            clock: tells the time.
            entropy: gives so many random bytes.
            home: where its objects live when that is not its own folder.
            cache_bytes: about how much of what lives elsewhere is kept here to be mapped.
            database: where its catalog lives when that is not its own file. The first time it is named, it is for good.

        Raises:
            NoWorkspace: there is none.
            UsageError: its catalog is another one than `database`.
            WorkspaceTooNew: a newer Saqiya made it.
            Corrupt: its facts or its catalog cannot be read.
            WorkspaceBusy: its catalog is being moved.
        """
        with ExitStack() as held:
            facts = read_facts(root)
            if not _SITE.fullmatch(facts.site):
                raise Corrupt(
                    f"{facts.site[:40]!r} cannot name a site", subject=str(root), remedy="Put it back in workspace.json"
                )
            held.enter_context(presence(root))
            hold_to(root, read_facts(root), database)
            made = cls(
                root,
                site=facts.site,
                clock=clock,
                entropy=entropy,
                home=home,
                cache_bytes=cache_bytes,
                database=database,
            )
            made._here = held.pop_all()
        return made

    def streams(self, episode: Episode) -> Mapping[str, Stream]:
        """Open an episode's streams; each is read when it is asked for, and holds the episode's range alone.

        Raises:
            Erased: the episode's bytes were erased on purpose.
            Corrupt: they are missing or damaged.
        """
        return Cropped(
            self._whole(episode),
            episode.start_ns,
            episode.end_ns,
            packed=[media.name for media in episode.media if media.codec == PACKED],
            videos=lambda: self.packed(episode),
        )

    def videos(self, episode: Episode) -> dict[str, Video]:
        """Open an episode's cameras: packets are read when they are asked for.

        Raises:
            Erased: the episode's bytes were erased on purpose.
            Corrupt: bytes are missing or damaged, or a linked file is not what it was.
        """
        return self._tracks(episode, [media for media in episode.media if media.codec != PACKED])

    def packed(self, episode: Episode) -> dict[str, Video]:
        """Open those of an episode's streams that lie packed, for whoever wants some rows of them: `unpack` gives them.

        Raises:
            Erased, Corrupt: as `videos`.
        """
        return self._tracks(episode, [media for media in episode.media if media.codec == PACKED])

    def _tracks(self, episode: Episode, wanted: Sequence[MediaInfo]) -> dict[str, Video]:
        if not wanted:
            return {}
        whole = self._whole(episode)
        files: dict[str, memoryview] = {}
        found = {}
        for media in wanted:
            if media.digest not in files:
                files[media.digest] = self._packets(episode, media)
            track = whole.track(media.name).between(episode.start_ns, episode.end_ns)
            try:
                found[media.name] = Video(track, files[media.digest])
            except InvalidEpisode as error:
                raise Corrupt(error.what, subject=media.name, remedy="Run `saqiya verify`") from error
        return found

    def _packets(self, episode: Episode, media: MediaInfo) -> memoryview:
        """Return the bytes that hold a camera's packets: an object, or an original that was linked where it lies."""
        if media.object is not None:
            return self.catalog.object_view(media.object, of=episode.id)
        for recording in (self.catalog.get(one, Recording) for one in episode.recordings):
            for place, digest, size_bytes in recording.files():
                if digest == media.digest:
                    path = Path(place)
                    if not path.is_file() or path.stat().st_size != size_bytes:
                        raise Corrupt(
                            "the linked file is gone or has changed",
                            subject=place,
                            remedy="Bring it back, or ingest it again where it lies now",
                        )
                    return map_file(path)
        raise Corrupt("no recording of the episode holds this camera", subject=media.name, remedy="Run `saqiya verify`")

    def log(self, episode: Episode) -> EpisodeLog:
        """Return a stored episode as a format would have read it, for whoever writes or shows it.

        Raises:
            Erased, Corrupt: as `streams` and `videos`.
        """
        facts: dict[str, JsonValue] = {
            "source": str(episode.source),
            "task": episode.task,
            "embodiment": episode.embodiment,
            "site": episode.site,
            "operator": episode.operator,
            "policy": episode.policy or episode.policy_name,
        }
        if episode.start is not None:
            facts["start"] = {"seed": episode.start.seed, "factors": dict(episode.start.factors)}
        said = {name: value for name, value in facts.items() if value not in ("", "unknown")}
        return EpisodeLog(
            episode.key_in_recording,
            self.streams(episode),
            episode.events,
            {**episode.extra, **said},
            self.videos(episode),
        )

    def opened(self, version: str) -> Opened:
        """Open a dataset version, by whole id or key, for reading at scale: no object and no file for each episode.

        Raises:
            UnknownId, Erased, Corrupt: see `open_version`.
        """
        return open_version(self.catalog, self.objects, version, derived=self.derived)

    def seal(self, version: str) -> Sealed:
        """Pack a dataset version's small objects, so that opening it is one mapping.

        Raises:
            UnknownId, Erased, Corrupt, StorageFull: see `seal`.
        """
        return seal(self.catalog, self.objects, version, derived=self.derived)

    def _whole(self, episode: Episode) -> Streams:
        return Streams(self.catalog.object_view(episode.streams, of=episode.id), episode.streams)

    @contextmanager
    def lock(self, scope: str) -> Iterator[None]:
        """Hold `scope` for this process; the lock ends with the block or the process, whatever ends it.

        Raises:
            WorkspaceBusy: another process, or this one, holds it: with its pid and since when.
        """
        path = self._locks / f"{hashlib.sha256(scope.encode()).hexdigest()[:16]}.lock"
        with disk_errors(path):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        _held.add(handle)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise _busy(os.pread(handle, 4096, 0), scope) from error
            holder = _Holder(pid=os.getpid(), scope=scope, since_ns=self._clock())
            with disk_errors(path):
                os.ftruncate(handle, 0)
                os.pwrite(handle, msgspec.json.encode(holder), 0)
            yield
        finally:
            _held.discard(handle)
            os.close(handle)

    def close(self) -> None:
        """Close the catalog's connections; the workspace may be moved again."""
        self.catalog.close()
        self._here.close()


def _busy(facts: bytes, scope: str) -> WorkspaceBusy:
    try:
        holder = msgspec.json.decode(facts, type=_Holder)
        who = f"process {holder.pid} holds it since {_utc(holder.since_ns)}"
    except msgspec.MsgspecError:  # the holder has not written its name yet
        who = "another process has just taken it"
    return WorkspaceBusy(
        who, subject=f"scope {scope!r}", remedy="Wait for it, or end that process, then repeat the command"
    )


def _utc(t_ns: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(t_ns / 1e9, UTC).isoformat(timespec="seconds")


def _let_go() -> None:
    for handle in _held:
        os.close(handle)
    _held.clear()


# flock belongs to the open file, which a forked child shares: without this a child would hold the lock past its parent.
os.register_at_fork(after_in_child=_let_go)
