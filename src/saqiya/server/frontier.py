"""What every request meets first: by which name it came, from which page, and what a browser may do with the answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from saqiya.server.faults import Refused, told
from saqiya.server.settings import HEADERS, ServerSettings

__all__ = ["SAFE_METHODS", "Frontier"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
UPLOADS: Final = frozenset({"/api/v1/uploads"})
"""Addresses that take logs, which are larger than what a person types."""
NAMELESS: Final = frozenset({"/api/v1/health"})
"""Addresses that answer by whatever name: a probe calls by a number, and what it hears is no secret."""
STREAM: Final = "text/event-stream"
TOO_LARGE: Final = "the request carries more than this address takes"
_TLS_ONLY: Final = "max-age=31536000"


class _Bounded:
    """Counts what comes in, and stops at the bound, whatever was said of its length before."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._left = receive, most

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b"")) if message["type"] == "http.request" else 0
        if self._left < 0:
            raise HTTPException(413)
        return message


class Frontier:
    """Refuses foreign names and foreign pages; writes the safety headers on every answer, errors among them."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._dress(MutableHeaders(raw=message["headers"]), scope["path"])
            await send(message)

        refused = self._refused(scope)
        if refused is None and scope.get("method") == "HEAD":
            await self._head(scope, receive, send_safely)
        elif refused is None:
            await self._app(scope, _Bounded(receive, self._most(scope)), send_safely)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": refused.fault.what[:100]})
        else:
            await told(HTTPConnection(scope), refused)(scope, receive, send_safely)

    async def _head(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer HEAD wherever GET is answered: the same without a body, and a stream ends before it begins.

        A file is read to its end all the same: what was made for its answer is cleared away only then.
        """
        begun = endless = False

        async def without_body(message: Message) -> None:
            nonlocal begun, endless
            if message["type"] != "http.response.body":
                endless = Headers(raw=message.get("headers", ())).get("content-type", "").startswith(STREAM)
                await send(message)
                return
            if not begun:
                begun = True
                await send({"type": "http.response.body", "body": b""})
            if endless:
                raise ClientDisconnect

        asked = {**scope, "method": "GET"}
        with suppress(ClientDisconnect):
            await self._app(asked, _Bounded(receive, self._most(scope)), without_body)
        scope.update((name, asked[name]) for name in ("route", "state") if name in asked)  # for whoever counts and logs

    def _most(self, scope: Scope) -> int:
        return self._settings.upload_bytes if scope["path"] in UPLOADS else self._settings.body_bytes

    def _refused(self, scope: Scope) -> Refused | None:
        headers = Headers(scope=scope)
        if headers.get("host", "").lower() not in self._settings.hosts and scope["path"] not in NAMELESS:
            return Refused(
                421,
                "ForeignHost",
                "this server is not called by that name",
                subject=headers.get("host", "")[:80],
                remedy=f"Use {self._settings.address}.",
            )
        if "\x00" in scope["path"] or b"%00" in scope["query_string"]:  # which no database takes
            return Refused(404, "NotFound", "there is nothing at this address", remedy="Leave out the NUL.")
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._most(scope):
            return Refused(413, "TooLarge", TOO_LARGE, remedy=f"Send {self._most(scope)} bytes at most.")
        origin = headers.get("origin")
        socket = scope["type"] == "websocket"
        if not socket and scope["method"] in SAFE_METHODS:
            return None
        foreign = origin is not None and origin.lower() not in self._settings.origins
        nowhere = socket and origin is None and "authorization" not in headers  # every browser names a page here
        if foreign or nowhere or headers.get("sec-fetch-site", "none") not in {"same-origin", "none"}:
            return Refused(
                403,
                "ForeignPage",
                "the request comes from a page of another server",
                subject=(origin or "")[:80],
                remedy=f"Use the pages of {self._settings.address}.",
            )
        return None

    def _dress(self, headers: MutableHeaders, path: str) -> None:
        for name, value in HEADERS.items():
            headers[name] = value
        headers.setdefault("Cache-Control", "no-cache" if path.startswith("/static/") else "no-store")
        if self._settings.https:
            headers["Strict-Transport-Security"] = _TLS_ONLY
