"""Who asks, and whether they may: signed cookies for people, hashed tokens for programs, and a rank on every route.

A route says who may use it in its signature: `who: Viewer`, `who: Operator`, `who: Reviewer`, `who: Admin`, or
`who: Anybody` where nobody needs to be signed in. `app.create_app` refuses to start with a route that says nothing.

A cookie holds the secret of a session, signed; the session itself is a row in the catalog, by its hash, so signing out
ends it whatever copies of the cookie there are. A cookie also names the person's epoch: another password, or an
account that is switched off, ends every session. What changes something must come with the token of its session in
the header `X-CSRF-Token` or the form field `csrf`; a program's bearer token needs none: no browser sends it by itself.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Request
from fastapi.routing import iter_route_contexts
from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount

from saqiya.domain.words import Rank
from saqiya.errors import SignInRefused
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.staff import Person
from saqiya.server.faults import Refused
from saqiya.server.frontier import SAFE_METHODS
from saqiya.server.settings import ServerSettings
from saqiya.server.turnstile import Turnstile

__all__ = [
    "Admin", "Anybody", "Gate", "Hashing", "Operator", "Reviewer", "Viewer", "Who", "gate_of", "need", "rank_of",
    "unranked",
]  # fmt: skip

CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf"
SESSION: Final = "session"
TICKET: Final = "sign-in"
"""Scopes of what is no program's token: a session's, which a signed cookie carries, and a link's, which works once."""
HASHES_AT_ONCE: Final = 2
"""An argon2 hash takes 64 MB for a tenth of a second; of more people each waits for a turn: see `Hashing`."""
_FORM: Final = "application/x-www-form-urlencoded"


class Gate:
    """Signs in and out, and recognises who asks. One a server."""

    def __init__(self, wheel: Flywheel, settings: ServerSettings) -> None:
        self._staff, self._settings = wheel.staff, settings
        self._signer = URLSafeTimedSerializer(settings.secret.hex(), salt="saqiya session")
        self._turnstile = Turnstile(wheel.clock)
        self.hashing = asyncio.Semaphore(HASHES_AT_ONCE)
        name = f"saqiya-{settings.port}"
        self.cookie = f"__Host-{name}" if settings.https else name

    def sign_in(self, request: Request, *, name: str = "", password: str = "", ticket: str = "") -> tuple[Person, str]:
        """Return the person and a new session's secret, for a password or for a link that works once.

        With a link, the password is the one that they choose: without one nobody could sign in a second time.

        Raises:
            Refused: 429 after too many wrong tries for a name or from an address.
            SignInRefused: name and password, or the link, do not fit.
            UsageError: the password that they choose is too short or too long.
        """
        person = self._proved(request, name=name, password=password, ticket=ticket)
        return person, self._session(person)

    def link(self, name: str, *, by: str, hours: float = 24.0) -> str:
        """Return an address that signs a person in once; another password, or another link used, ends it."""
        scopes = _scopes(TICKET, self._staff.people.known(name))
        secret = self._staff.issue(name, "sign-in link", scopes, days=hours / 24, by=by)[1]
        return f"{self._settings.address}/sign-in?ticket={secret}"

    def change_password(self, request: Request, person: Person, *, old: str, new: str) -> tuple[Person, str]:
        """Set another password; every session ends, and a new one begins.

        Raises:
            SignInRefused: the old one is wrong.
            UsageError: the new one is too short or too long.
            Refused: 429 after too many wrong tries.
        """
        self._proved(request, name=person.name, password=old)
        return (changed := self._with_password(person, new)), self._session(changed)

    def welcome(self, answer: Response, person: Person, secret: str) -> None:
        """Put the signed cookie of a new session on an answer; whatever cookie came before counts no more."""
        answer.set_cookie(
            self.cookie,
            self._signer.dumps([secret, person.epoch]),
            max_age=int(self._settings.session_s),
            path="/",
            httponly=True,
            samesite="lax",
            secure=self._settings.https,
        )

    def sign_out(self, request: Request, answer: Response) -> None:
        """End the session of a request, for every copy of its cookie."""
        secret, _ = self._opened(request)
        if secret:
            self._staff.spend(secret)
        answer.delete_cookie(self.cookie, path="/", httponly=True, samesite="lax", secure=self._settings.https)

    def recognise(self, connection: HTTPConnection) -> tuple[Person | None, str]:
        """Return who asks, None for nobody, and the token that a change must carry ("": none is needed).

        Raises:
            SignInRefused: a bearer token that is unknown, expired or revoked; one that is wrong is never passed over.
        """
        scheme, _, bearer = connection.headers.get("authorization", "").partition(" ")
        if scheme:
            return self._bearer(scheme, bearer.strip()), ""
        secret, epoch = self._opened(connection)
        person = self._holder(secret, SESSION) if secret else None
        if person is None or person.epoch != epoch:
            return None, ""
        return person, self.csrf(secret)

    def csrf(self, secret: str) -> str:
        """Return the token that changes in a session must carry."""
        return hmac.new(self._settings.secret, f"csrf {secret}".encode(), "sha256").hexdigest()

    def _proved(self, request: Request, *, name: str, password: str, ticket: str = "") -> Person:
        address = request.client.host if request.client else ""
        self._turnstile.enter(name=name, address=address)
        person = self._redeemed(ticket, password) if ticket else self._staff.sign_in(name, password)
        self._turnstile.leave(name=name, address=address)
        return person

    def _with_password(self, person: Person, password: str) -> Person:
        self._staff.password(person.name, by=person.name, password=password)
        return self._staff.people.known(person.name)

    def _session(self, person: Person) -> str:
        days = self._settings.session_s / 86400
        return self._staff.issue(person.name, "session", [SESSION], days=days, by=person.name)[1]

    def _redeemed(self, ticket: str, password: str) -> Person:
        person = self._holder(ticket, TICKET)
        if person is None:
            raise SignInRefused("the link was used, or is too old", remedy="Ask an admin for another one.")
        self._staff.check(password)  # one that is too short, or none, leaves the link as it is
        if not self._staff.spend(ticket):
            raise SignInRefused("the link was used meanwhile", remedy="Ask an admin for another one.")
        return self._with_password(person, password)

    def _holder(self, secret: str, scope: str) -> Person | None:
        try:
            person, scopes = self._staff.token(secret)
        except SignInRefused:
            return None
        return person if scopes == _scopes(scope, person) else None

    def _bearer(self, scheme: str, bearer: str) -> Person:
        person, scopes = self._staff.token(bearer) if scheme.lower() == "bearer" else (None, ())
        granted = [one for one in Rank if one.value in scopes]
        if person is None or not granted:
            raise SignInRefused("this is no token for programs", remedy="Ask an admin for one.")
        return replace(person, rank=granted[-1]) if person.rank.covers(granted[-1]) else person

    def _opened(self, connection: HTTPConnection) -> tuple[str, int]:
        raw = connection.cookies.get(self.cookie, "")
        try:
            secret, epoch = self._signer.loads(raw, max_age=int(self._settings.session_s))
        except (BadSignature, ValueError, TypeError):
            return "", 0
        return str(secret), int(epoch)


def _scopes(scope: str, person: Person) -> tuple[str, ...]:
    """Return the scopes of a person's session or link: a link names their epoch, as a cookie does."""
    return (scope, str(person.epoch)) if scope == TICKET else (scope,)


def gate_of(connection: HTTPConnection) -> Gate:
    """Return the gate of the server that is asked."""
    gate: Gate = connection.app.state.gate
    return gate


async def _seat(connection: HTTPConnection) -> AsyncIterator[None]:
    async with gate_of(connection).hashing:
        yield


Hashing: Final = Depends(_seat)
"""What a route that hashes a password depends on: who waits for a turn takes no thread from everybody else's work."""


async def _sent_csrf(connection: HTTPConnection) -> str:
    """Return the token that came with a request, from its header or its form."""
    sent = connection.headers.get(CSRF_HEADER, "")
    kind = connection.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not sent and isinstance(connection, Request) and kind == _FORM:
        field = (await connection.form()).get(CSRF_FIELD, "")
        sent = field if isinstance(field, str) else ""
    return sent


class _Need:
    """Lets a request pass for a person of a rank, and says who it is; `None` lets everybody pass."""

    def __init__(self, rank: Rank | None) -> None:
        self.rank = rank

    def __call__(self, connection: HTTPConnection, csrf: Annotated[str, Depends(_sent_csrf)]) -> Person | None:
        person, wanted = gate_of(connection).recognise(connection)
        connection.state.who, connection.state.csrf = person, wanted
        if self.rank is None:  # signing in: whose session it came with does not matter
            return person
        changes = connection.scope["type"] == "http" and connection.scope["method"] not in SAFE_METHODS
        if person is not None and wanted and changes and not hmac.compare_digest(csrf.encode(), wanted.encode()):
            raise Refused(
                403, "ForgedRequest", "the request does not carry its session's token", remedy="Load the page again."
            )
        if person is None:
            raise Refused(
                401,
                "NotSignedIn",
                "nobody is signed in",
                remedy="Sign in, or send a token: Authorization: Bearer TOKEN.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if not person.rank.covers(self.rank):
            raise Refused(
                403,
                "RankTooLow",
                f"this takes the rank of {self.rank}, and {person.name} acts as {person.rank}",
                remedy="Ask somebody of that rank, or an admin for it.",
            )
        return person


def need(rank: Rank | None) -> Any:  # noqa: ANN401 - as FastAPI's own Depends, which stands for the person
    """Let only a person of a rank pass: what stands behind `Viewer`, `Operator`, `Reviewer` and `Admin`."""
    return Depends(_Need(rank))


Viewer = Annotated[Person, need(Rank.VIEWER)]
Operator = Annotated[Person, need(Rank.OPERATOR)]
Reviewer = Annotated[Person, need(Rank.REVIEWER)]
Admin = Annotated[Person, need(Rank.ADMIN)]
Anybody = Annotated[Person | None, need(None)]
Who = Viewer


def rank_of(route: Any) -> tuple[bool, Rank | None]:  # noqa: ANN401 - FastAPI's contexts have no public base
    """Return whether a route says who may use it, and the rank it takes (None: everybody)."""
    asked = [one.call for one in route.dependant.dependencies if isinstance(one.call, _Need)]
    return bool(asked), asked[0].rank if asked else None


def unranked(app: FastAPI) -> list[str]:
    """Return the routes of an app that do not say who may use them; mounted files are for everybody."""
    found = []
    for one in iter_route_contexts(app.routes):
        route: BaseRoute = one.original_route
        if not isinstance(route, Mount) and not (hasattr(one, "dependant") and rank_of(one)[0]):
            found.append(str(one.path))
    return found
