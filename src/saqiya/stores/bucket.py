"""Objects' bytes in a bucket that speaks S3: put if absent, ranged reads, multipart uploads, listing.

A put to S3 is atomic and durable when it returns, so there is nothing to sync; what a crash leaves of a multipart
upload is not visible (let a lifecycle rule of the bucket end those). A name that is there is never overwritten, except
by its own bytes to make it young again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from saqiya.errors import ConfigError, Corrupt, SaqiyaError, WorkspaceError
from saqiya.stores.disk import disk_errors
from saqiya.stores.folder import Stat

__all__ = ["Bucket", "Credentials"]

_PIECE_BYTES: Final = 8 << 20
_WHOLE_BYTES: Final = 16 << 20  # above this a file goes up in pieces
_AT_ONCE: Final = 16
_FEW: Final = 200
_BULK: Final = 1000
_GAP_BYTES: Final = 128 << 10  # ranges this close are one request: a request costs more than the bytes between
_YOUNG_NS: Final = 3600 * 10**9  # what was written within the hour need not be made young again
_at_work: Final[set[int]] = set()  # processes, this one and those it was forked from, that have asked the network


@dataclass(frozen=True)
class Credentials:
    """Who asks. With no key id the machine's own role is used; its secrets are never shown."""

    key_id: str = ""
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


class Bucket:
    """Bytes under a prefix of a bucket. Any number of processes on any number of machines may use it at once."""

    def __init__(
        self,
        url: str,
        *,
        now_ns: Callable[[], int],
        credentials: Credentials | None = None,
        endpoint: str = "",
        region: str = "",
        patience_s: float = 60.0,
    ) -> None:
        """Name a bucket; nothing is asked of it before the first call.

        Args:
            url: `s3://bucket/prefix`.
            now_ns: tells the time, to know what is young.
            credentials: who asks.
            endpoint: URL of a service other than Amazon's.
            region: the bucket's region.
            patience_s: how long a request is tried again after connection errors and 5xx answers.

        Raises:
            ConfigError: the URL names no bucket.
        """
        from obstore.store import S3Store

        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
            raise ConfigError(
                f"{url[:80]!r} names no bucket", subject="store.objects", remedy="Write it as s3://bucket/prefix"
            )
        self.subject, self._now_ns = url, now_ns
        settings: dict[str, Any] = {"region": region or "us-east-1"}
        if endpoint:
            settings |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
        if credentials is not None and credentials.key_id:
            settings |= {"access_key_id": credentials.key_id, "secret_access_key": credentials.secret}
            settings |= {"session_token": credentials.token} if credentials.token else {}
        self._store = S3Store(
            parts.netloc,
            prefix=parts.path.strip("/") or None,
            client_options={"allow_http": endpoint.startswith("http://"), "connect_timeout": timedelta(seconds=10)},
            retry_config={"max_retries": 8, "retry_timeout": timedelta(seconds=patience_s)},
            **settings,
        )
        self._reached = False

    def put_all(self, batch: Mapping[str, bytes | memoryview]) -> None:
        """Store bytes under their names, several at once; see `Home.put_all`.

        Raises:
            WorkspaceError: the bucket is missing, refuses, or cannot be reached.
        """
        self._reach()
        with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(batch)))) as pool:
            list(pool.map(self._put, batch, batch.values()))

    def put_file(self, source: Path, name_of: Callable[[str], str]) -> str:
        """Upload a file, read once for its digest and once on its way; see `Home.put_file`.

        Raises:
            WorkspaceError: as `put_all`, or the file changed between the two.
        """
        hasher = hashlib.sha256()
        size = 0
        with disk_errors(source):
            for piece in _pieces(source):
                hasher.update(piece)
                size += len(piece)
            if size <= _WHOLE_BYTES:
                data = source.read_bytes()
                digest = hashlib.sha256(data).hexdigest()
                self.put_all({name_of(digest): data})
                return digest
        digest = hasher.hexdigest()
        self._upload(source, name_of(digest), size, digest)
        return digest

    def adopt(self, made: Path, name: str) -> None:
        """Upload a file of our own; it stays where it is."""
        self._upload(made, name, made.stat().st_size, digest=None)

    def stat(self, name: str) -> Stat | None:
        """Return size, age and entity tag of a name."""
        import obstore

        self._reach()
        try:
            with self._errors(name):
                return _stat(obstore.head(self._store, name))
        except FileNotFoundError:
            return None

    def stat_all(self, names: Sequence[str]) -> list[Stat | None]:
        """Return size, age and entity tag of many names: one request each while they are few, else from a listing."""
        if len(names) <= _FEW:
            with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(names)))) as pool:
                return list(pool.map(self.stat, names))
        wanted = dict.fromkeys(names)
        found = {name: state for name, state in self.names("") if name in wanted}
        return [found.get(name) for name in names]

    def read(self, name: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """Return ranges, those that lie close together in one request; see `Home.read`."""
        import obstore

        self._reach()
        wanted = [(start, end) for start, end in spans if end > start]
        if not wanted:
            return [b"" for _ in spans]
        starts, ends = zip(*wanted, strict=True)
        with self._errors(name):
            found = iter(obstore.get_ranges(self._store, name, starts=starts, ends=ends, coalesce=_GAP_BYTES))
        return [bytes(next(found)) if end > start else b"" for start, end in spans]

    def names(self, folder: str) -> Iterator[tuple[str, Stat]]:
        """Yield the names under a folder, in the bucket's order, which is theirs."""
        import obstore

        self._reach()
        with self._errors(folder):
            for part in obstore.list(self._store, folder or None):
                for found in part:
                    yield found["path"], _stat(found)

    def remove(self, names: Sequence[str]) -> None:
        """Delete names, many in one request."""
        import obstore

        self._reach()
        with self._errors(names[0] if names else ""):
            for first in range(0, len(names), _BULK):
                obstore.delete(self._store, list(names[first : first + _BULK]))

    def retire(self, name: str, *, before_ns: int) -> int:
        """Delete a name unless it was written since; see `Home.retire`.

        S3 cannot ask and delete in one step. A writer that comes in between finds, when it commits, that its bytes are
        gone, and commits nothing: it has to put them again.
        """
        found = self.stat(name)
        if found is None or found.written_ns >= before_ns:
            return 0
        self.remove([name])
        return found.size_bytes

    def path(self, name: str) -> None:
        """Say that nothing here is a local file."""
        del name

    def _put(self, name: str, data: bytes | memoryview) -> None:
        import obstore
        from obstore.exceptions import AlreadyExistsError

        if len(data) > _WHOLE_BYTES:
            self._send(name, len(data), (data[at : at + _PIECE_BYTES] for at in range(0, len(data), _PIECE_BYTES)))
            return
        with self._errors(name):
            try:
                obstore.put(self._store, name, data, mode="create")
            except AlreadyExistsError:
                if not self._holds(name, len(data)):
                    obstore.put(self._store, name, data, mode="overwrite", use_multipart=False)

    def _upload(self, source: Path, name: str, size: int, digest: str | None) -> None:
        with disk_errors(source):
            self._send(name, size, _checked(source, digest))

    def _send(self, name: str, size: int, pieces: Iterator[bytes | memoryview]) -> None:
        import obstore

        self._reach()
        with self._errors(name):
            if not self._holds(name, size):
                obstore.put(self._store, name, pieces, chunk_size=_PIECE_BYTES, max_concurrency=4)

    def _holds(self, name: str, size: int) -> bool:
        """Say whether a name is here in full length, and young; an old one is written again, by its own bytes."""
        found = self.stat(name)
        return found is not None and found.size_bytes == size and self._now_ns() - found.written_ns < _YOUNG_NS

    def _reach(self) -> None:
        """Ask once whether the bucket is there: a missing bucket and a missing name answer alike later.

        The client's threads do not survive a fork, and a child would wait for them for ever: say so instead.
        """
        import obstore

        if _at_work - {os.getpid()}:
            raise self._trouble(
                "a process that was forked from one at work cannot reach it",
                "Start workers with spawn or forkserver, or bring what they read into the cache before they start",
            )
        _at_work.add(os.getpid())
        if not self._reached:
            with self._errors(""):
                next(iter(obstore.list(self._store, "packs", chunk_size=1)), None)
            self._reached = True

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        from obstore import exceptions as known

        try:
            yield
        except (SaqiyaError, FileNotFoundError):
            raise
        except (known.PermissionDeniedError, known.UnauthenticatedError, PermissionError) as error:
            raise self._trouble(
                f"the bucket refuses ({_first_line(error)})",
                "Check the credentials and what they are allowed to do",
                name,
            ) from error
        except known.BaseError as error:
            if "NoSuchBucket" in str(error):
                raise self._trouble("the bucket is missing", "Make it, or correct [store] objects") from error
            raise self._trouble(
                f"the bucket did not answer as it should ({_first_line(error)})",
                "Check network, endpoint and region, then repeat the command",
                name,
            ) from error

    def _trouble(self, what: str, remedy: str, name: str = "") -> WorkspaceError:
        return WorkspaceError(what, subject=f"{self.subject}/{name}".rstrip("/"), remedy=remedy)


def _stat(found: Mapping[str, Any]) -> Stat:
    written_ns = int(found["last_modified"].timestamp() * 1e9)
    return Stat(found["size"], written_ns, f"{found['size']}-{found['e_tag']}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


def _pieces(source: Path) -> Iterator[bytes]:
    with source.open("rb") as reader:
        while piece := reader.read(_PIECE_BYTES):
            yield piece


def _checked(source: Path, digest: str | None) -> Iterator[bytes]:
    """Yield a file's bytes and fail at their end, before the upload is completed, if they are not what was hashed."""
    hasher = hashlib.sha256()
    for piece in _pieces(source):
        hasher.update(piece)
        yield piece
    if digest is not None and hasher.hexdigest() != digest:
        raise Corrupt("the file changed while it was read", subject=str(source), remedy="Ingest it when it is closed")
