"""A PostgreSQL server of one's own, in a temporary folder and on a socket there: for tests and measurements."""

from __future__ import annotations

import getpass
import itertools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Server", "binaries", "postgres"]

PLACES = ("/usr/lib/postgresql/*/bin", "/usr/local/bin", "/usr/bin", "/opt/homebrew/bin")
ACCOUNT = "postgres"


def binaries() -> Path | None:
    """Return the folder of the newest PostgreSQL that can make and start a server, or None."""
    found = [
        folder
        for place in PLACES
        for folder in sorted(Path("/").glob(place.removeprefix("/")), reverse=True)
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists()
    ]
    return found[0] if found else None


class Server:
    """A running server."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._number = folder, itertools.count()

    def new(self) -> str:
        """Return the SQLAlchemy URL of an empty catalog: a schema of its own, cheaper to make than a database."""
        import psycopg

        name = f"catalog_{os.getpid()}_{next(self._number)}"
        with psycopg.connect(host=str(self.folder), user="saqiya", dbname="postgres") as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"postgresql+psycopg://saqiya@/postgres?host={self.folder}&options=-csearch_path%3D{name}"


@contextmanager
def postgres(bin_: Path, *, durable: bool) -> Iterator[Server]:
    """Run a server. One that is not `durable` does not wait for the disk: enough where no crash of it is tested."""
    folder = Path(tempfile.mkdtemp(prefix="saqiya-pg-"))
    become = ["runuser", "-u", ACCOUNT, "--"] if getpass.getuser() == "root" else []  # it refuses to run as root
    if become:
        shutil.chown(folder, ACCOUNT)
    data = folder / "data"
    options = f"-k {folder} -c listen_addresses= -c max_connections=200 -c fsync={'on' if durable else 'off'}"

    def run(program: str, *words: str | Path) -> None:
        command = [*become, bin_ / program, "-D", data, *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    try:
        run("initdb", "-U", "saqiya", "-A", "trust", "-E", "UTF8", "--no-sync")
        run("pg_ctl", "-o", options, "-l", folder / "log", "-w", "start")
        try:
            yield Server(folder)
        finally:
            run("pg_ctl", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
