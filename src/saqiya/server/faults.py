"""Every way a request can fail, in one shape: `{"error": {"kind", "what", "subject", "remedy"}}`; pages show the same.

No trace of the code leaves the server: what nobody foresaw is one sentence for the caller, and a trace in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from saqiya import errors
from saqiya.errors import SaqiyaError
from saqiya.server.settings import HEADERS

__all__ = ["ERRORS", "Refused", "Wrong", "fault_of", "install", "told"]

STATUS: Final[tuple[tuple[type[SaqiyaError], int], ...]] = (
    (errors.UnknownId, 404),
    (errors.AlreadyThere, 409),
    (errors.UsageError, 422),
    (errors.InputError, 422),
    (errors.WorkspaceBusy, 503),
    (errors.StorageFull, 507),
    (errors.Erased, 410),
    (errors.GuardRefusal, 409),
    (errors.Leakage, 409),
    (errors.SignInRefused, 401),
)
"""How an error of Saqiya is told over HTTP, the first that fits; any other is the server's own fault: 500."""

_SAID: Final = {
    404: ("NotFound", "there is nothing at this address", "docs/openapi.json says what there is."),
    405: ("NotAllowed", "this address does not take this method", "docs/openapi.json says which it takes."),
    413: ("TooLarge", "the request carries more than this address takes", "Send less; logs go to /api/v1/uploads."),
}  # fmt: skip
_BESIDE: Final = {401: {"WWW-Authenticate": "Bearer"}, 503: {"Retry-After": "2"}}


class Fault(BaseModel):
    """What happened, to which thing, and what to do next."""

    kind: str
    what: str
    subject: str
    remedy: str


class Wrong(BaseModel):
    """The one shape of an answer that says no."""

    error: Fault


ERRORS: Final[dict[int | str, dict[str, Any]]] = {"default": {"model": Wrong, "description": "Why not."}}
"""What every route of the interface may answer beside what it is for."""


class Refused(Exception):
    """Raised where a request may not pass: who asks, from where, or how often; not an error of Saqiya's verbs."""

    def __init__(
        self,
        status: int,
        kind: str,
        what: str,
        *,
        remedy: str,
        subject: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(what)
        self.status, self.headers = status, dict(headers or {})
        self.fault = Fault(kind=kind, what=what, subject=subject, remedy=remedy)


def fault_of(error: Exception) -> tuple[int, Fault, dict[str, str]]:
    """Return the status, the sentences and the headers that tell an error."""
    if isinstance(error, Refused):
        return error.status, error.fault, error.headers
    if isinstance(error, SaqiyaError):
        status = next((code for kind, code in STATUS if isinstance(error, kind)), 500)
        headers = _BESIDE.get(status, {})
        fault = Fault(kind=type(error).__name__, what=error.what, subject=error.subject, remedy=error.remedy)
        return status, fault, dict(headers)
    if isinstance(error, RequestValidationError):
        return 422, _invalid(error), {}
    if isinstance(error, HTTPException):
        phrase = HTTPStatus(error.status_code).phrase
        kind, what, remedy = _SAID.get(
            error.status_code, (phrase.replace(" ", ""), phrase.lower(), "Change the request.")
        )
        return error.status_code, Fault(kind=kind, what=what, subject="", remedy=remedy), dict(error.headers or {})
    what = "something went wrong in the server, and nothing of this request was kept"
    remedy = "Tell whoever runs it: its log says more."
    return 500, Fault(kind="ServerFault", what=what, subject="", remedy=remedy), {}


def _invalid(error: RequestValidationError) -> Fault:
    """Name the first field that is wrong; what was sent is not repeated: it may be a password."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in {"body", "query", "path", "header"})
    return Fault(
        kind="Invalid", what=str(first["msg"])[:200], subject=where[:80], remedy="docs/openapi.json says what is taken."
    )


def told(request: HTTPConnection, error: Exception) -> Response:
    """Return the answer that tells an error: JSON to programs, a page to people."""
    status, fault, headers = fault_of(error)
    if _wants_page(request):
        from saqiya.server.page import error_page

        if status == 503 and request.scope.get("method") == "GET":
            headers["Refresh"] = headers.get("Retry-After", "2")  # the browser asks again by itself
        return error_page(request, status, fault, headers=headers)
    return JSONResponse(Wrong(error=fault).model_dump(), status_code=status, headers={**HEADERS, **headers})


def _wants_page(request: HTTPConnection) -> bool:
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def install(app: FastAPI) -> None:
    """Make an app tell all its errors this way."""

    async def handle(connection: Request | WebSocket, error: Exception) -> Response | None:
        if isinstance(connection, WebSocket):
            await connection.close(code=1008, reason=fault_of(error)[1].what[:100])
            return None
        return told(connection, error)

    for kind in (Refused, SaqiyaError, RequestValidationError, HTTPException, Exception):
        app.add_exception_handler(kind, handle)  # type: ignore[arg-type]  # Starlette's type leaves sockets out
