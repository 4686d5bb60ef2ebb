"""Logs that are handed in over the network: bounded while they stream in, named by us, known by their bytes alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Semaphore
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool

from saqiya.domain.nouns import Alias, Episode, Rejection
from saqiya.loop.flywheel import Flywheel
from saqiya.server.faults import Refused
from saqiya.server.gatekeeper import Operator
from saqiya.server.kept import Here
from saqiya.server.wire import Answer, Line

__all__ = ["router"]

router = APIRouter(prefix="/api/v1", tags=["uploads"])
FOLDER: Final = "uploads"
AT_ONCE: Final = 2
_turn = Semaphore(AT_ONCE)


class Admitted(Answer):
    """What came of a log: tries by id; those that were here before; and what could not be used, with the reason."""

    episodes: list[str]
    known: list[str]
    rejected: list[str]


@router.post(
    "/uploads",
    openapi_extra={"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {}}}}},
)
async def upload(
    request: Request,
    here: Here,
    who: Operator,
    task: Annotated[Line, Query(max_length=200, description="What was done, where the log does not say.")] = "",
) -> Admitted:
    """Take in one log file of any known format: MCAP, a ROS bag, HDF5, zipped Zarr."""
    with _place(here.wheel.store.root) as path:
        await _stream(request, path)
        return await run_in_threadpool(_take_in, here.wheel, path, who.name, task)


@contextmanager
def _place(root: Path) -> Iterator[Path]:
    """Give a file of our own name in the workspace's spool, which is gone afterwards."""
    folder = root / "spool" / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"upload-{secrets.token_hex(8)}"
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


async def _stream(request: Request, path: Path) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        async for part in request.stream():  # the frontier counts, and stops what is too much
            await run_in_threadpool(file.write, part)


def _take_in(wheel: Flywheel, path: Path, who: str, task: str) -> Admitted:
    said = {"operator": who} | ({"task": task} if task else {})
    with _turn, wheel.staff.noting(who, "upload", (Episode, Alias, Rejection)) as noted:
        found = wheel.data.ingest([path], facts=said)
    if not noted:  # nothing of it is new: the act is told all the same
        wheel.staff.note(who, "upload", path.name, {"nouns": []})
    if found.ignored and not found.episodes and not found.rejections:
        raise Refused(415, "NoLog", "this is no log", remedy="Send one file of a format that docs/data.md names.")
    return Admitted(
        episodes=[one.id for one in found.episodes],
        known=[one.episode for one in found.aliases],
        rejected=[f"{one.reason}. {one.remedy}".replace(str(path), "FILE") for one in found.rejections],
    )
