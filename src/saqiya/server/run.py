"""Listening: one process, one socket, and a stop that ends open streams and lets answers under way finish."""

from __future__ import annotations

import socket
from types import FrameType
from typing import Final

import uvicorn
from fastapi import FastAPI

from saqiya.domain.words import Rank
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import create_app
from saqiya.server.live import Live
from saqiya.server.settings import ServerSettings, is_loopback

__all__ = ["listening", "prepared", "serve_on"]

FIRST: Final = "admin"
GRACE_S: Final = 5
BACKLOG: Final = 256
MESSAGE_BYTES: Final = 1 << 20
"""The most that a page may send over a socket at once."""


def listening(wheel: Flywheel, settings: ServerSettings) -> socket.socket:
    """Return the socket to listen on.

    Raises:
        GuardRefusal: beyond loopback, and nobody can sign in, or nobody said by which name it is reached.
        UsageError: the address is taken, or is none of this machine's.
    """
    if not is_loopback(settings.host):
        if not any(not one.disabled for one in wheel.staff.people.all()):
            what, remedy = "others could reach it, and nobody can sign in", "Start it on loopback, and add people."
            raise GuardRefusal(what, subject=settings.host, remedy=remedy)
        if not settings.public:
            what, remedy = "nobody said by which name it is reached", "Give --public https://NAME."
            raise GuardRefusal(what, subject=settings.host, remedy=remedy)
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(
            f"cannot be listened on: {error.strerror or error}",
            subject=f"{settings.host}:{settings.port}",
            remedy="Choose another --port, or stop what listens there.",
        ) from error


def prepared(wheel: Flywheel, settings: ServerSettings) -> tuple[FastAPI, str]:
    """Return the app, and where nobody can sign in yet the link that signs a first admin in once ("" else)."""
    made = create_app(wheel, settings)
    admins = [one for one in wheel.staff.people.all() if one.rank is Rank.ADMIN and not one.disabled]
    if admins:
        return made, ""
    wheel.staff.add(FIRST, Rank.ADMIN, by="saqiya serve")
    return made, made.state.gate.link(FIRST, by="saqiya serve")


def serve_on(app: FastAPI, settings: ServerSettings, place: socket.socket) -> None:
    """Answer on a socket until the process is told to stop (SIGINT or SIGTERM)."""
    config = uvicorn.Config(
        app,
        access_log=False,  # addresses may hold the secret of a link
        server_header=False,
        log_config=None,  # see `meter`
        proxy_headers=settings.https,  # without a proxy there is no https, and then nobody's word is taken
        forwarded_allow_ips=list(settings.proxies),
        timeout_graceful_shutdown=GRACE_S,
        ws_max_size=MESSAGE_BYTES,
        ws_per_message_deflate=False,  # what comes is a JPEG: to pack it again costs time and saves nothing
    )
    _Server(config, app.state.live).run(sockets=[place])


class _Server(uvicorn.Server):
    """Ends the open streams before it waits for what is under way: they would never end by themselves."""

    def __init__(self, config: uvicorn.Config, live: Live) -> None:
        super().__init__(config)
        self._live = live

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; what stopped in good order is not raised again as an interruption afterwards."""
        super().handle_exit(sig, frame)
        self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop listening, end the streams, wait for the rest."""
        self._live.stop()
        await super().shutdown(sockets)
