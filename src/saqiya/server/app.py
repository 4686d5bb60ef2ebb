"""The app: every router in one list, the frontier before them, and one shape for whatever goes wrong."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, Final

import anyio.to_thread
from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from saqiya.errors import SaqiyaError, UsageError
from saqiya.loop.board import Wanted
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.server import faults, live
from saqiya.server.api import episodes, failures, health, nouns, people, queue, session, uploads
from saqiya.server.api import wheel as wheel_api
from saqiya.server.driving import Hangar
from saqiya.server.frontier import Frontier
from saqiya.server.gatekeeper import Gate, unranked
from saqiya.server.kept import Kept
from saqiya.server.live import Live
from saqiya.server.meter import Meter, Metered
from saqiya.server.pages import corrections, datasets, drive, plan, policies, review
from saqiya.server.pages import episodes as episode_page
from saqiya.server.pages import failures as failures_page
from saqiya.server.pages import people as people_page
from saqiya.server.pages import wheel as wheel_page
from saqiya.server.settings import ServerSettings

__all__ = ["INTERFACE", "PAGES", "ROUTERS", "create_app", "described", "description"]

INTERFACE: Final[tuple[APIRouter, ...]] = (
    session.router,
    health.router,
    live.router,
    wheel_api.router,
    failures.router,
    nouns.router,
    episodes.router,
    queue.router,
    uploads.router,
    people.router,
)
"""What programs ask, and docs/openapi.json describes."""
PAGES: Final[tuple[APIRouter, ...]] = (
    wheel_page.router,
    failures_page.router,
    episode_page.router,
    corrections.router,
    drive.router,
    review.router,
    datasets.router,
    policies.router,
    plan.router,
    people_page.router,
)
"""What people look at. A new page is one import and one name here."""
ROUTERS: Final = (*INTERFACE, *PAGES)

ABOUT: Final = (
    "What `saqiya serve` answers to programs. Send `Authorization: Bearer TOKEN`; a browser's session needs its token "
    "in `X-CSRF-Token` for whatever changes something. Lists come in pages: ask again with `after` set to `next`."
)
STATIC: Final = Path(__file__).parent / "static"
THREADS: Final = 12
"""Requests answered at once; below the 15 connections that the database lends, so that none waits in a circle."""


NEW_OBJECTS: Final = 100_000
"""So many new objects between looks for garbage: at Python's 700, nouns that are kept are looked through again and
again while they are read, which takes twice as long as reading them."""


def create_app(wheel: Flywheel, settings: ServerSettings) -> FastAPI:
    """Return the server of a workspace.

    Args:
        wheel: the open workspace; whoever opened it closes it.
        settings: how it is reached.

    Raises:
        UsageError: a route does not say who may use it.
    """
    app = described()
    app.state.wheel, app.state.settings, app.state.gate = wheel, settings, Gate(wheel, settings)
    app.state.kept, app.state.live, app.state.hangar = Kept(wheel), Live(News(wheel)), Hangar(wheel)
    app.state.meter = Meter()
    app.add_middleware(Frontier, settings=settings)
    app.add_middleware(Metered, meter=app.state.meter)  # the last one added is met first
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


def described() -> FastAPI:
    """Return all routes without a workspace behind them: enough to describe the interface (`docs/openapi.json`).

    Raises:
        UsageError: a route does not say who may use it.
    """
    app = FastAPI(
        title="Saqiya",
        version="1",
        description=ABOUT,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        responses=faults.ERRORS,
        generate_unique_id_function=lambda route: route.name,
    )
    faults.install(app)
    for router in ROUTERS:
        app.include_router(router, include_in_schema=router in INTERFACE)
    open_doors = unranked(app)
    if open_doors:
        raise UsageError("nobody said who may use it", subject=", ".join(open_doors), remedy="Give it a `who`.")
    return app


def description(app: FastAPI) -> dict[str, Any]:
    """Return the interface in OpenAPI's words: how programs sign in, and the routes that are not pages."""
    schema = app.openapi()
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"token": []}]
    return schema


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    hangar: Hangar = app.state.hangar
    await anyio.to_thread.run_sync(hangar.open)
    before = gc.get_threshold()
    gc.set_threshold(NEW_OBJECTS, *before[1:])
    warming = Thread(target=_warm, args=(app.state.kept,), daemon=True)
    warming.start()
    yield
    await hangar.close()
    await anyio.to_thread.run_sync(warming.join)
    gc.set_threshold(*before)


def _warm(kept: Kept) -> None:
    """Read what the first visitors will ask for, before they do."""
    for look in (
        lambda: kept.get("wheel", wheel_page.now_of),
        lambda: kept.board.entries(Wanted()),
        kept.wheel.desk.slots.warm,
    ):
        with suppress(SaqiyaError):  # whoever opens the page is told
            look()
