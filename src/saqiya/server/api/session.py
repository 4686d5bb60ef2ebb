"""Signing in and out, for pages and programs, and what a person may change of themselves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from saqiya.domain.words import Rank
from saqiya.errors import SignInRefused, UsageError
from saqiya.server.faults import Refused, fault_of
from saqiya.server.gatekeeper import Anybody, Hashing, Viewer, gate_of
from saqiya.server.page import page
from saqiya.server.wire import Answer, Body, Name, Secret

__all__ = ["router"]

router = APIRouter(tags=["session"])


class SignIn(Body):
    """A name and a password; or the secret of a link that works once, and the password that they choose."""

    name: Name | None = None
    password: Secret | None = None
    ticket: Secret | None = None


class Me(Answer):
    """Who is signed in, and the token that changes must carry in `X-CSRF-Token` ("" for bearer tokens: none)."""

    name: str
    rank: Rank
    csrf: str


class NewPassword(Body):
    """Another password, and the one that counts now."""

    new: Annotated[str, Field(min_length=10, max_length=1024)]
    old: Annotated[str, Field(max_length=1024)] = ""


@router.get("/api/v1/session")
def who_am_i(request: Request, who: Viewer) -> Me:
    """Say who is signed in."""
    return Me(name=who.name, rank=who.rank, csrf=request.state.csrf)


@router.post("/api/v1/session", dependencies=[Hashing])
def sign_in(request: Request, response: Response, body: SignIn, _: Anybody) -> Me:
    """Sign in; the answer carries a new session's cookie."""
    gate = gate_of(request)
    person, secret = gate.sign_in(request, name=body.name or "", password=body.password or "", ticket=body.ticket or "")
    gate.welcome(response, person, secret)
    return Me(name=person.name, rank=person.rank, csrf=gate.csrf(secret))


@router.delete("/api/v1/session", status_code=204)
def sign_out(request: Request, response: Response, _: Viewer) -> None:
    """Sign out: every copy of the cookie stops working."""
    gate_of(request).sign_out(request, response)


@router.post("/api/v1/session/password", status_code=204, dependencies=[Hashing])
def change_password(request: Request, response: Response, body: NewPassword, who: Viewer) -> None:
    """Choose another password: all sessions end, and a new one begins."""
    gate = gate_of(request)
    person, secret = gate.change_password(request, who, old=body.old, new=body.new)
    gate.welcome(response, person, secret)


@router.get("/sign-in", include_in_schema=False)
def sign_in_page(request: Request, who: Anybody, next: str = "/", ticket: str = "") -> Response:
    """Show the form."""
    return page(request, who, "sign_in.html", next=local(next), ticket=ticket, fault=None, name="")


@router.post("/sign-in", include_in_schema=False, dependencies=[Hashing])
def sign_in_form(
    request: Request,
    _: Anybody,
    name: Annotated[str, Form(max_length=64)] = "",
    password: Annotated[str, Form(max_length=1024)] = "",
    ticket: Annotated[str, Form(max_length=1024)] = "",
    next: Annotated[str, Form(max_length=500)] = "/",
) -> Response:
    """Sign in from the form."""
    gate = gate_of(request)
    try:
        person, secret = gate.sign_in(request, name=name, password=password, ticket=ticket)
    except (Refused, SignInRefused, UsageError) as refused:
        status, fault, headers = fault_of(refused)
        facts = {"next": local(next), "name": name, "ticket": ticket if isinstance(refused, UsageError) else ""}
        answer = page(request, None, "sign_in.html", status=status, fault=fault, **facts)
        answer.headers.update(headers)
        return answer
    response = RedirectResponse(local(next), status_code=303)
    gate.welcome(response, person, secret)
    return response


@router.post("/sign-out", include_in_schema=False)
def sign_out_form(request: Request, _: Viewer) -> Response:
    """Sign out from a page."""
    response = RedirectResponse("/sign-in", status_code=303)
    gate_of(request).sign_out(request, response)
    return response


def local(target: str) -> str:
    """Return where to go after signing in: a path of this server, whatever was asked for."""
    plain = target.isprintable() and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if plain and "\\" not in target else "/"


@router.get("/account", include_in_schema=False)
def account(request: Request, who: Viewer, *, changed: bool = False) -> Response:
    """Show the form in which people change their own password."""
    return page(request, who, "account.html", fault=None, changed=changed)


@router.post("/account", include_in_schema=False, dependencies=[Hashing])
def account_form(
    request: Request,
    who: Viewer,
    old: Annotated[str, Form(max_length=1024)],
    new: Annotated[str, Form(max_length=1024)],
) -> Response:
    """Change one's own password from the form."""
    gate = gate_of(request)
    try:
        person, secret = gate.change_password(request, who, old=old, new=new)
    except (Refused, SignInRefused, UsageError) as refused:
        status, fault, headers = fault_of(refused)
        answer = page(request, who, "account.html", status=status, fault=fault, changed=False)
        answer.headers.update(headers)
        return answer
    response = RedirectResponse("/account?changed=true", status_code=303)
    gate.welcome(response, person, secret)
    return response
