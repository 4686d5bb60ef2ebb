"""The SQL database under the catalog: transactions, migrations, and every way it can fail in Saqiya's own words.

SQLite runs in WAL mode with `synchronous=FULL`: in WAL `NORMAL` may lose the last commits in a power cut, and a
catalog row is the only commit there is. One writer at a time (BEGIN IMMEDIATE; on PostgreSQL an advisory lock that
readers do not feel), so what a writer has looked up cannot change before it commits; readers never wait.
"""

from __future__ import annotations

import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from saqiya.errors import Corrupt, SaqiyaError, StorageFull, UsageError, WorkspaceBusy, WorkspaceError, WorkspaceTooNew
from saqiya.stores.schema import REVISIONS

__all__ = ["BUSY_S", "Database", "files_of"]

BUSY_S: Final = 30.0
_NO_ROOM: Final = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR_WRITE,  # SQLite says FULL for ENOSPC only; a quota or file size limit arrives here
    sqlite3.SQLITE_IOERR_SHMSIZE,
}
_WRITER: Final = 0x5A9174A  # the advisory lock that every writer of a catalog takes on PostgreSQL
_BUSY: Final = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
_SIZE: Final = (
    "SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c "
    "WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace"
)
_AWAY: Final = {"08", "57"}  # the connection broke, or somebody ended it; classes of PostgreSQL's states
_DISK_FULL, _LOCK_TIMEOUT = "53100", "55P03"  # PostgreSQL's words
_databases: Final[weakref.WeakSet[Database]] = weakref.WeakSet()


class Database:
    """A catalog database at the newest revision; opening it migrates it."""

    def __init__(self, where: Path | str | sa.URL, *, busy_s: float = BUSY_S) -> None:
        """Open or make the database at a path or SQLAlchemy URL; a password in a URL is never shown again.

        Raises:
            WorkspaceTooNew: a newer Saqiya migrated it.
            Corrupt: it is not a database, or a damaged one.
            WorkspaceBusy: another process writes for longer than `busy_s`.
            StorageFull: no room.
        """
        named = isinstance(where, sa.URL) or (isinstance(where, str) and "://" in where)
        url = sa.make_url(where if named else f"sqlite:///{where}")  # type: ignore[arg-type]
        self.subject = where.name if isinstance(where, Path) else url.render_as_string(hide_password=True)
        self._busy_s = busy_s
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.engine = sa.create_engine(url, pool_size=10, max_overflow=20, hide_parameters=True)  # a log tells no hash
        # PostgreSQL shows every statement another state unless asked not to. A writer must not ask: its one state would
        # be that of before it waited for the lock.
        self._reader = (
            self.engine if self.is_sqlite else self.engine.execution_options(isolation_level="REPEATABLE READ")
        )
        self._turn = Lock()
        sa.event.listen(self.engine, "connect", self._tune if self.is_sqlite else self._wait_no_longer)
        sa.event.listen(self.engine, "begin", self._begin)
        _databases.add(self)
        self._migrate()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A transaction that sees one state of the catalog and changes nothing."""
        with self._errors(), self._reader.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction that no other writer overlaps; it commits on leaving, or not at all."""
        with (
            self._errors(),
            self._alone(),
            self.engine.connect().execution_options(saqiya_writes=True) as connection,
            connection.begin(),
        ):
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let this process's threads write in the order in which they came: SQLite lets waiters poll, in no order."""
        if not self._turn.acquire(timeout=self._busy_s):
            raise self._busy()
        try:
            yield
        finally:
            self._turn.release()

    def size_bytes(self) -> int:
        """Return what its tables and their indexes take on the disk."""
        if self.is_sqlite:
            return sum(one.stat().st_size for one in files_of(Path(self.engine.url.database or "")))
        with self.reading() as connection:
            return int(connection.exec_driver_sql(_SIZE).scalar() or 0)

    def close(self) -> None:
        """Close every connection."""
        with self._errors():
            self.engine.dispose()

    def _tune(self, connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, see _begin
        # Text that was damaged in the file still comes through, and then fails its seal: the error can name the row.
        connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
        for pragma in (
            f"busy_timeout={int(self._busy_s * 1000)}",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
            "trusted_schema=OFF",
        ):
            connection.execute(f"PRAGMA {pragma}").close()

    def _wait_no_longer(self, connection: Any, _record: object) -> None:  # noqa: ANN401 - whichever driver it is
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {int(self._busy_s * 1000)}")
        connection.commit()

    def _begin(self, connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get("saqiya_writes", False)
        if self.is_sqlite:
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
        elif writes:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_WRITER)))

    def _revision(self, connection: sa.Connection) -> str | None:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    def _migrate(self) -> None:
        with self.reading() as connection:
            found = self._revision(connection)
        if found is not None and found not in REVISIONS:
            raise WorkspaceTooNew(
                f"the catalog is at revision {found}, this Saqiya knows up to {REVISIONS[-1]}",
                subject=self.subject,
                remedy="Use the Saqiya that wrote it, or a newer one",
            )
        if found == REVISIONS[-1]:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with self.writing() as connection:  # a process that came second finds the work done
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise self._translated(error) from error
        except sqlite3.Error as error:
            raise self._translated(error) from error
        except UnicodeEncodeError as error:
            raise UsageError(
                "text that is not Unicode names nothing", remedy="Give an id, a key or a digest"
            ) from error

    def _busy(self) -> WorkspaceBusy:
        return WorkspaceBusy(
            f"another has been writing for more than {self._busy_s:g} s",
            subject=self.subject,
            remedy="Wait for it, or end it, then repeat the command",
        )

    def _translated(self, error: Exception) -> SaqiyaError:
        cause = getattr(error, "orig", None) or error
        code = getattr(cause, "sqlite_errorcode", None) or 0
        base, text, state = code & 0xFF, str(cause), getattr(cause, "sqlstate", None)
        if code in _NO_ROOM or base == sqlite3.SQLITE_FULL or state == _DISK_FULL:
            return StorageFull(
                f"no room to write ({text})",
                subject=self.subject,
                remedy="Free some space and repeat the command; what was committed before is safe",
            )
        if base in _BUSY or state == _LOCK_TIMEOUT:
            return self._busy()
        if not self.is_sqlite and isinstance(error, exc.OperationalError) and (state is None or state[:2] in _AWAY):
            return WorkspaceBusy(
                f"the database cannot be reached ({text})",
                subject=self.subject,
                remedy="See that it runs and who may connect, then repeat the command",
            )
        if base in _DAMAGED:
            return Corrupt(
                f"the database file is damaged ({text})",
                subject=self.subject,
                remedy="Bring it back from a backup; objects/ is not touched",
            )
        if isinstance(error, exc.DataError):
            return UsageError("the database takes no such text", remedy="Give an id, a key or a digest")
        return WorkspaceError(
            f"the database refused ({text})",
            subject=self.subject,
            remedy="Check that it can be reached and written, then repeat the command",
        )


def files_of(path: Path) -> tuple[Path, ...]:
    """Return the files of a SQLite database that are there: its own and SQLite's beside it, and nobody's copy of it."""
    names = (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal")))
    return tuple(one for one in names if one.exists())


def _forget_connections() -> None:
    for database in list(_databases):
        database.engine.dispose(close=False)
        database._turn = Lock()  # noqa: SLF001 - a thread that is not in the child may have held it


# A forked child must not use, nor close, the connections of its parent.
os.register_at_fork(after_in_child=_forget_connections)
