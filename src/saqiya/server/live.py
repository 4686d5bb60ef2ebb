"""`/live`: what changes in the workspace, told to every open page as it happens (server-sent events).

One task asks the catalog for what is new, once a second and only while somebody listens; every page hears it from
there. An event names what was stored and never carries it: a page asks for what it shows. Slots that changed hands are
counted beside it, as `lease`. A page that comes back says what it heard last (`Last-Event-ID`), and is told what it
missed.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from saqiya.errors import SaqiyaError
from saqiya.loop.news import News, Stamp
from saqiya.server.faults import Refused
from saqiya.server.gatekeeper import Viewer

__all__ = ["Live", "router"]

router = APIRouter(tags=["live"])
POLL_S: Final = 1.0
ALIVE_S: Final = 15.0
LIFE_S: Final = 300.0
"""A stream ends after this long; the page asks again, and whoever may see it no more is refused."""
LISTENERS_MOST: Final = 200
_MISSED_MOST: Final = 500


class Live:
    """Tells listeners what was stored. `stop` ends every stream, so that the server can stop too."""

    def __init__(self, news: News) -> None:
        self._news = news
        self._queues: set[asyncio.Queue[str | None]] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def listen(self, since_ns: int | None) -> AsyncIterator[str]:
        """Yield events, beginning with what was stored after `since_ns` (None: from now on)."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=100)
        now_ns = await run_in_threadpool(self._news.now_ns)
        _, now_seq = await run_in_threadpool(self._news.moved, 0)
        self._queues.add(queue)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(now_ns, now_seq))
        try:
            yield f"retry: 2000\nid: {now_ns}\nevent: hello\ndata: {{}}\n\n"
            if since_ns is not None and since_ns < now_ns:
                yield _event(await run_in_threadpool(self._news.since, since_ns, limit=_MISSED_MOST), now_ns)
            ends_s = asyncio.get_running_loop().time() + LIFE_S
            while not self._stopped and asyncio.get_running_loop().time() < ends_s:
                try:
                    fresh = await asyncio.wait_for(queue.get(), ALIVE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if fresh is None:
                    return
                yield fresh
        finally:
            self._queues.discard(queue)

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._queues)

    def full(self) -> bool:
        """Say whether as many listen as may."""
        return self.listeners >= LISTENERS_MOST

    def stop(self) -> None:
        """End every stream."""
        self._stopped = True
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    async def _watch(self, seen_ns: int, seen_seq: int) -> None:
        while self._queues and not self._stopped:
            await asyncio.sleep(POLL_S)
            try:
                fresh = await run_in_threadpool(self._news.since, seen_ns)
                moved, seen_seq = await run_in_threadpool(self._news.moved, seen_seq)
            except SaqiyaError:  # its database restarts, or cannot be read: what is stored meanwhile is told afterwards
                continue
            if not fresh and not moved:
                continue
            seen_ns = fresh[-1].created_ns if fresh else seen_ns
            told = _event(fresh, seen_ns, leases=moved)
            for queue in self._queues:
                if queue.full():  # it reads too slowly: what it missed it hears when it comes back
                    queue.get_nowait()
                    queue.put_nowait(None)
                else:
                    queue.put_nowait(told)


def _event(fresh: Sequence[Stamp], at_ns: int, *, leases: int = 0) -> str:
    """Write what was stored as one event: counts by kind, slots that changed hands too, and the ids to ask for."""
    kinds = Counter(one.kind for one in fresh) + Counter(lease=leases)
    told = {"kinds": kinds, "ids": [one.id for one in fresh[-_MISSED_MOST:]]}
    return f"id: {at_ns}\nevent: stored\ndata: {json.dumps(told, separators=(',', ':'))}\n\n"


@router.get("/live", responses={200: {"content": {"text/event-stream": {}}}})
async def live(
    request: Request,
    _: Viewer,
    since: Annotated[int | None, Query(ge=0, description="Tell what was stored after this moment, in ns.")] = None,
    last_event_id: Annotated[str, Header(max_length=32)] = "",
) -> StreamingResponse:
    """Tell what is stored, as it happens; a second's delay at most."""
    source: Live = request.app.state.live
    if source.full():
        raise Refused(
            503, "TooManyListeners", "too many pages listen", remedy="Close some.", headers={"Retry-After": "30"}
        )
    heard = int(last_event_id) if last_event_id.isdecimal() else since
    return StreamingResponse(source.listen(heard), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
