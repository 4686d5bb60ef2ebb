"""Attacks on a real server, in-process: what each tries and how it is refused; SECURITY.md shows them as a table."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect

from saqiya.domain.words import Rank
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import ROUTERS, create_app
from saqiya.server.faults import Refused
from saqiya.server.run import listening
from saqiya.server.settings import ServerSettings, read_secret
from saqiya.server.turnstile import Turnstile

ATTACKS: list[Attack] = []
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">\'"&{{7*7}}'


@dataclass(frozen=True)
class Attack:
    """One attack: what is tried, what the server does, and the code that tries it."""

    kind: str
    tried: str
    refused: str
    run: Callable


def attack(kind: str, tried: str, refused: str) -> Callable[[Callable], Callable]:
    """Put a function into the table."""

    def keep(run: Callable) -> Callable:
        ATTACKS.append(Attack(kind, tried, refused, run))
        return run

    return keep


def table() -> str:
    """The table of SECURITY.md."""
    rows = [f"| {one.kind} | {one.tried} | {one.refused} |" for one in ATTACKS]
    return "\n".join(["| kind | tried | refused |", "|---|---|---|", *rows])


def kind_of(answer) -> tuple[int, str]:
    """Status and kind of an error; fails where the answer is none, or says more than it should."""
    assert "Traceback" not in answer.text
    assert 'File "' not in answer.text
    fault = answer.json()["error"]
    assert set(fault) == {"kind", "what", "subject", "remedy"}
    return answer.status_code, fault["kind"]


def pages_of(house, failure: str) -> list[str]:
    """Every page that shows what people wrote."""
    plain = [
        route.path
        for router in ROUTERS
        for route in router.routes
        if "GET" in getattr(route, "methods", ())
        and not route.path.startswith(("/api/", "/live"))
        and "{" not in route.path
    ]
    return [*plain, f"/failures/{failure}", "/failures?state=", "/people"]


def cookie_of(client) -> tuple[str, str]:
    return next((name, value) for name, value in client.cookies.items() if name.startswith("saqiya"))


# -- forged requests -------------------------------------------------------------------------------------------------


@attack("forged request", "a change with a good cookie and no token", "403 ForgedRequest")
def no_token(house):
    client = house.signed_in("admin")
    del client.headers["x-csrf-token"]
    assert kind_of(client.post("/api/v1/undo", json={"what": "x"})) == (403, "ForgedRequest")


@attack("forged request", "a change with the token of another session", "403 ForgedRequest")
def token_of_another(house):
    client, other = house.signed_in("admin"), house.signed_in("reviewer")
    client.headers["x-csrf-token"] = other.headers["x-csrf-token"]
    assert kind_of(client.post("/api/v1/undo", json={"what": "x"})) == (403, "ForgedRequest")


@attack(
    "forged request",
    "a form on another server's page, sent with the cookie",
    "403 ForeignPage, before anything is read",
)
def foreign_form(house):
    client = house.signed_in("admin")
    answer = client.post(
        "/sign-out", data={"csrf": client.headers["x-csrf-token"]}, headers={"origin": "https://evil.example"}
    )
    assert kind_of(answer) == (403, "ForeignPage")
    assert client.get("/api/v1/session").status_code == 200


@attack(
    "forged request",
    "the same from another port of this machine, or from a sandboxed page (`Origin: null`)",
    "403 ForeignPage",
)
def foreign_port(house):
    client = house.signed_in("admin")
    for origin in ("http://127.0.0.1:9999", "null", "http://localhost:8787.evil.example"):
        assert kind_of(client.post("/api/v1/undo", json={"what": "x"}, headers={"origin": origin})) == (
            403,
            "ForeignPage",
        )


@attack("forged request", "signing somebody in from another page (login CSRF)", "403 ForeignPage")
def login_csrf(house):
    answer = house.visitor().post(
        "/sign-in", data={"name": "viewer", "password": "x"}, headers={"sec-fetch-site": "cross-site"}
    )
    assert kind_of(answer) == (403, "ForeignPage")


@attack("forged request", "a change by GET", "405 NotAllowed: nothing is changed by an address alone")
def change_by_get(house):
    assert kind_of(house.signed_in("admin").get("/api/v1/undo")) == (405, "NotAllowed")


# -- names and sockets -----------------------------------------------------------------------------------------------


@attack("DNS rebinding", "a foreign name that leads to this machine, in `Host`", "421 ForeignHost on every route")
def foreign_host(house):
    for host in ("evil.example:8787", "127.0.0.1", "localhost:80", ""):
        for path in ("/api/v1/session", "/static/app/style.css", "/nothing"):
            assert kind_of(house.visitor(host=host).get(path)) == (421, "ForeignHost")


@attack("DNS rebinding", "`X-Forwarded-Host` beside a good name", "it is not read")
def forwarded_host(house):
    answer = house.visitor(**{"x-forwarded-host": "evil.example"}).get("/sign-in", headers={"accept": "text/html"})
    assert "evil.example" not in answer.text


# -- sessions --------------------------------------------------------------------------------------------------------


@attack(
    "session",
    "fixation: a cookie that was planted before signing in",
    "a new session at every sign-in; the planted one is nobody's",
)
def fixation(house):
    planted = house.signed_in("viewer")
    name, value = cookie_of(planted)
    fresh = house.visitor()
    answer = fresh.post(
        "/api/v1/session", json={"name": "admin", "password": house.password}, headers={"cookie": f"{name}={value}"}
    )
    assert cookie_of(fresh)[1] != value
    assert answer.json()["name"] == "admin"
    assert planted.get("/api/v1/session").json()["name"] == "viewer"


@attack(
    "session",
    "a copy of the cookie after its owner signed out",
    "401 NotSignedIn: the session is gone, not only the cookie",
)
def after_sign_out(house):
    client, thief = house.signed_in("viewer"), house.visitor()
    name, value = cookie_of(client)
    thief.cookies.set(name, value, domain="127.0.0.1")
    assert thief.get("/api/v1/session").status_code == 200
    assert client.delete("/api/v1/session").status_code == 204
    assert kind_of(thief.get("/api/v1/session")) == (401, "NotSignedIn")


@attack(
    "session",
    "a copy of the cookie after the password changed, or the account was switched off",
    "401 NotSignedIn: the person's epoch moved on",
)
def after_epoch(house):
    house.person("leaver")
    client, thief = house.signed_in("leaver"), house.visitor()
    name, value = cookie_of(client)
    thief.cookies.set(name, value, domain="127.0.0.1")
    answer = client.post("/api/v1/session/password", json={"old": house.password, "new": "another long password"})
    assert answer.status_code == 204
    assert kind_of(thief.get("/api/v1/session")) == (401, "NotSignedIn")
    assert client.get("/api/v1/session").status_code == 200
    house.signed_in("admin").patch("/api/v1/people/leaver", json={"disabled": True})
    assert kind_of(client.get("/api/v1/session")) == (401, "NotSignedIn")


@attack("session", "a cookie that was altered, signed with another secret, or made up", "401 NotSignedIn")
def altered_cookie(house):
    name, value = cookie_of(house.signed_in("viewer"))
    for bad in (value[:-2] + "zz", "A" + value[1:], "", "a.b.c", value.split(".")[0], "W10.x.y"):
        client = house.visitor(cookie=f"{name}={bad}")
        assert kind_of(client.get("/api/v1/session")) == (401, "NotSignedIn")


@attack(
    "session",
    "reading the cookie from a script, or over http where the server is https",
    "`HttpOnly`, `SameSite=Lax`, and `Secure` with the prefix `__Host-`",
)
def cookie_flags(house):
    always = {"httponly", "samesite=lax", "path=/"}
    for made, flags in ((house.app, always), (house.behind_tls(), always | {"secure"})):
        client = house.visitor(made)
        answer = client.post("/api/v1/session", json={"name": "viewer", "password": house.password})
        said = answer.headers["set-cookie"].lower()
        assert flags <= {one.strip() for one in said.split(";")}
        assert said.startswith("__host-saqiya") == ("secure" in flags)


# -- tokens ----------------------------------------------------------------------------------------------------------


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


@attack(
    "token",
    "a token that expired, was revoked, was cut short, or is a session's or a link's secret",
    "401 SignInRefused, in the same words",
)
def bad_tokens(house):
    good = house.token("admin", Rank.ADMIN)
    client, admin = house.visitor(), house.signed_in("admin")
    assert client.get("/api/v1/people", headers=bearer(good)).status_code == 200
    short = house.token("admin", Rank.ADMIN, days=1e-12)
    link = admin.post("/api/v1/people/viewer/link").json()["link"].partition("ticket=")[2]
    session = house.wheel.staff.issue("admin", "session", ["session"], days=1, by="test")[1]
    mine = next(one for one in admin.get("/api/v1/tokens").json() if not one["revoked"])
    revoked = house.token("admin", Rank.ADMIN)
    newest = admin.get("/api/v1/tokens").json()[0]["id"]
    assert admin.delete(f"/api/v1/tokens/{newest}").status_code == 204
    told = set()
    for bad in (short, revoked, good[:-1], good + "x", link, session, mine["id"], "", "saqiya_", "Zm9v"):
        answer = client.get("/api/v1/people", headers=bearer(bad))
        assert kind_of(answer) == (401, "SignInRefused")
        told.add(answer.json()["error"]["what"])
    assert len(told) <= 2
    basic = client.get("/api/v1/people", headers={"authorization": "Basic YWRtaW46YWRtaW4="})
    assert kind_of(basic) == (401, "SignInRefused")


@attack("token", "a wrong token beside a good cookie", "401 SignInRefused: what is wrong is never passed over")
def token_beside_cookie(house):
    client = house.signed_in("admin")
    assert kind_of(client.get("/api/v1/people", headers=bearer("saqiya_wrong"))) == (401, "SignInRefused")


@attack(
    "token",
    "an admin's token with the scope of a viewer, used to change something",
    "403 RankTooLow: a token acts with the least of both",
)
def narrow_token(house):
    client = house.visitor(**bearer(house.token("admin", Rank.VIEWER)))
    assert client.get("/api/v1/failures").status_code == 200
    assert kind_of(client.post("/api/v1/people", json={"name": "mallory"})) == (403, "RankTooLow")


@attack(
    "token",
    "an operator's token with the scope of an admin",
    "403 RankTooLow: a token grants no more than its person may do",
)
def wide_token(house):
    client = house.visitor(**bearer(house.token("operator", Rank.ADMIN)))
    assert kind_of(client.get("/api/v1/people")) == (403, "RankTooLow")


@attack(
    "token",
    "a token that makes itself a longer one, or one of a higher rank",
    "409 GuardRefusal: only a signed-in person makes tokens, of their own rank at most",
)
def token_from_token(house):
    client = house.visitor(**bearer(house.token("admin", Rank.ADMIN)))
    assert kind_of(client.post("/api/v1/tokens", json={"name": "long", "days": 366})) == (409, "GuardRefusal")
    operator = house.signed_in("operator")
    assert kind_of(operator.post("/api/v1/tokens", json={"name": "up", "rank": "admin"})) == (409, "GuardRefusal")


@attack("token", "a link that works once, used again", "401 SignInRefused")
def link_twice(house):
    link = house.signed_in("admin").post("/api/v1/people/viewer/link").json()["link"]
    body = {"ticket": link.partition("ticket=")[2]}
    assert house.visitor().post("/api/v1/session", json=body).json()["name"] == "viewer"
    assert kind_of(house.visitor().post("/api/v1/session", json=body)) == (401, "SignInRefused")


@attack(
    "token", "reading secrets from the database file", "there are only hashes: argon2id of passwords, SHA-256 of tokens"
)
def secrets_at_rest(house):
    token = house.token("viewer", Rank.VIEWER)
    stored = b"".join(one.read_bytes() for one in house.wheel.store.root.glob("catalog.sqlite*"))
    assert b"$argon2id$" in stored
    assert token.encode() not in stored
    assert house.password.encode() not in stored


# -- guessing --------------------------------------------------------------------------------------------------------


@attack(
    "guessing",
    "passwords for one name, one after the other",
    "429 TooManyTries with `Retry-After` after 10 in a quarter of an hour, the right one too",
)
def guess_name(house):
    house.person("guessed")
    client = house.visitor()
    answers = [client.post("/api/v1/session", json={"name": "guessed", "password": f"wrong {i}"}) for i in range(10)]
    assert {kind_of(one) for one in answers} == {(401, "SignInRefused")}
    last = client.post("/api/v1/session", json={"name": "guessed", "password": house.password})
    assert kind_of(last) == (429, "TooManyTries")
    assert 0 < int(last.headers["retry-after"]) <= 900


@attack("guessing", "one password for many names from one address", "429 TooManyTries after 50")
def guess_names(house):
    gate = Turnstile(lambda: 10**18)
    for i in range(50):
        gate.enter(name=f"name {i}", address="192.0.2.7")
    with pytest.raises(Refused, match="too many"):
        gate.enter(name="one more", address="192.0.2.7")
    gate.enter(name="one more", address="192.0.2.8")


@attack(
    "guessing",
    "which names exist, by the words or the time of the answer",
    "the same words, and a hash is reckoned for names that nobody has",
)
def guess_who(house):
    client = house.visitor()
    answers = [
        client.post("/api/v1/session", json={"name": name, "password": "not the password"})
        for name in ("viewer", "nobody-of-this-name")
    ]
    assert answers[0].json() == answers[1].json()
    assert [one.status_code for one in answers] == [401, 401]


@attack("guessing", "a password of a megabyte, to keep the server hashing", "422 Invalid, before anything is hashed")
def long_password(house):
    answer = house.visitor().post("/api/v1/session", json={"name": "viewer", "password": "x" * 500_000})
    assert kind_of(answer) == (422, "Invalid")
    assert "xxx" not in answer.text


# -- ways out of the workspace ---------------------------------------------------------------------------------------

UPWARDS = (
    "../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cetc%5cpasswd",
    "....//etc/passwd", "/etc/passwd", "%00", "a%00.css", "..%c0%af..%c0%afetc/passwd", "%252e%252e%252fetc%252fpasswd",
)  # fmt: skip


@attack("path", "`..`, encoded, doubled and with NUL, under `/static/`", "404 NotFound")
def static_traversal(house):
    for path in UPWARDS:
        answer = house.visitor().get(f"/static/{path}")
        assert kind_of(answer)[0] in {404, 405}
        assert "root:" not in answer.text


@attack("path", "the same as an id of every noun", "404 or 422: an id names a row, never a file")
def id_traversal(house):
    client = house.signed_in("admin")
    for path in UPWARDS:
        for route in ("failures/", "episodes/", "datasets/", "nouns?ref=", "lineage?ref="):
            answer = client.get(f"/api/v1/{route}{path}")
            assert kind_of(answer)[0] in {404, 422}
            assert "root:" not in answer.text


@attack("path", "after signing in, on to another server (`next=//evil.example`)", "on to the front page")
def open_redirect(house):
    targets = (
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "\r\nx: y",
    )
    for target in targets:
        answer = house.visitor().post(
            "/sign-in", data={"name": "viewer", "password": house.password, "next": target}, follow_redirects=False
        )
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


# -- uploads ---------------------------------------------------------------------------------------------------------


@attack(
    "upload",
    "a body larger than its address takes, told so or sent in pieces without saying",
    "413 TooLarge, and nothing of it stays",
)
def oversized(house):
    client = house.signed_in("operator")
    told = client.post("/api/v1/queue/claim", content=b" " * ((1 << 20) + 1))
    assert kind_of(told) == (413, "TooLarge")
    pieces = client.post("/api/v1/queue/claim", content=(b" " * 4096 for _ in range(300)))
    assert kind_of(pieces) == (413, "TooLarge")
    small = create_app(house.wheel, replace(house.app.state.settings, upload_bytes=10_000))
    client = house.visitor(small, **bearer(house.token("operator", Rank.OPERATOR)))
    sent = client.post("/api/v1/uploads", content=(b"x" * 4096 for _ in range(3)))
    assert kind_of(sent) == (413, "TooLarge")
    assert list((house.wheel.store.root / "spool" / "uploads").iterdir()) == []


@attack(
    "upload",
    "bytes that are none of the known formats, or lie: a script, a page, a picture, a cut MCAP, a pickle",
    "told as rejected, with the reason; no episode, no file, nothing is run",
)
def lying_upload(house):
    client = house.signed_in("operator")
    before = client.get("/api/v1/episodes").json()
    lies = (
        b"#!/bin/sh\ntouch owned", HOSTILE.encode(), b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
        b"\x89MCAP0\r\n" + b"\xff" * 200,
        pickle.dumps({"a": 1}), b"", b"\x89HDF\r\n\x1a\n" + b"\xff" * 500, b"PK\x03\x04" + b"\0" * 100,
    )  # fmt: skip
    for lie in lies:
        answer = client.post("/api/v1/uploads", content=lie, headers={"content-type": "application/x-mcap"})
        assert answer.status_code in {200, 415, 422}, answer.text
        assert answer.status_code != 200 or (answer.json()["rejected"] and not answer.json()["episodes"])
    assert client.get("/api/v1/episodes").json() == before
    assert list((house.wheel.store.root / "spool" / "uploads").iterdir()) == []


@attack("upload", "a file name that leads elsewhere", "no name is taken: the server makes one")
def named_upload(house):
    client = house.signed_in("operator")
    head = {"content-disposition": 'attachment; filename="../../../serve.secret"', "x-file-name": "../../owned"}
    client.post("/api/v1/uploads?name=../../owned", content=b"x", headers=head)
    assert not (house.wheel.store.root.parent / "owned").exists()


# -- text ------------------------------------------------------------------------------------------------------------


@attack(
    "text",
    "HTML and template code in every field that takes text",
    "it comes back as text: JSON in the interface, escaped on every page",
)
def hostile_text(house):
    admin = house.signed_in("admin")
    ref = admin.get("/api/v1/failures?state=").json()["items"][0]["failure"]
    made = [
        admin.post(f"/api/v1/failures/{ref}/advise", json={"text": HOSTILE}),
        admin.post("/api/v1/tokens", json={"name": HOSTILE[:64]}),
        admin.post("/api/v1/people", json={"name": "suits", "profile": {"skills": [HOSTILE[:64]]}}),
        admin.post(f"/api/v1/failures/{ref}/dismiss", json={"reason": HOSTILE}),
    ]
    assert [one.status_code for one in made] == [200, 201, 201, 200]
    assert admin.post("/api/v1/undo", json={"what": made[-1].json()["id"]}).status_code == 200
    for one in made:
        assert one.headers["content-type"] == "application/json"
        assert one.headers["x-content-type-options"] == "nosniff"
    for path in pages_of(house, ref):
        text = admin.get(path, headers={"accept": "text/html"}).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "&{{7*7}}" not in text
        assert "&49" not in text


@attack("text", "a hostile name at signing in, in an address, and in an error's page", "escaped")
def hostile_error(house):
    client = house.visitor(accept="text/html")
    answers = [
        client.post("/sign-in", data={"name": "<script>alert(1)</script>", "password": "x"}),
        client.get(
            "/sign-in", params={"next": '/"><script>alert(1)</script>', "ticket": '"><script>alert(1)</script>'}
        ),
        client.get("/<script>alert(1)</script>"),
        house.signed_in("admin").get("/api/v1/failures/<script>alert(1)</script>"),
    ]
    for one in answers[:3]:
        assert one.headers["content-type"].startswith("text/html")
        assert "<script>alert" not in one.text
    assert answers[3].headers["content-type"] == "application/json"


@attack("text", "a name of a person that is HTML, a path, or a control character", "422: it cannot name a person")
def hostile_name(house):
    admin = house.signed_in("admin")
    for name in ("<b>", "../x", "a b", "a\nb", "\u202eadmin", "", "x" * 65, "a/b", "a\u0000"):
        assert kind_of(admin.post("/api/v1/people", json={"name": name}))[0] == 422


@attack("text", "SQL in filters and ids", "it is a value like any other")
def sql_injection(house):
    admin = house.signed_in("admin")
    for text in ("' OR 1=1 --", "x'; DROP TABLE people; --", '" OR ""="', "%", "_%"):
        assert admin.get("/api/v1/failures", params={"label": text, "state": ""}).json()["items"] == []
        assert admin.get("/api/v1/trail", params={"who": text}).json()["items"] == []
        assert kind_of(admin.get("/api/v1/nouns", params={"ref": text}))[0] == 404
    assert admin.get("/api/v1/people").status_code == 200


# -- the desk --------------------------------------------------------------------------------------------------------


@attack(
    "desk",
    "acting under another name: a body that says who",
    "422 Invalid: who acts is who is signed in, and no body can say otherwise",
)
def acting_as(house):
    client = house.signed_in("operator")
    assert kind_of(client.post("/api/v1/queue/claim", json={"person": "admin"})) == (422, "Invalid")
    assert kind_of(client.post("/api/v1/undo", json={"what": "x", "by": "admin"})) == (422, "Invalid")


@attack("desk", "renewing, handing back or handing in on somebody else's lease", "409 LeaseLost")
def foreign_lease(house):
    house.person("other")
    mine, other = house.signed_in("operator"), house.signed_in("other")
    lease = mine.post("/api/v1/queue/claim", json={}).json()["id"]
    assert kind_of(other.post(f"/api/v1/leases/{lease}/renew")) == (409, "LeaseLost")
    assert kind_of(other.post(f"/api/v1/leases/{lease}/hand-back", json={})) == (409, "LeaseLost")
    episode = mine.get("/api/v1/episodes").json()["items"][0]["id"]
    assert kind_of(other.post(f"/api/v1/leases/{lease}/submit", json={"episode": episode})) == (409, "LeaseLost")
    assert mine.post(f"/api/v1/leases/{lease}/hand-back", json={"reason": "done testing"}).status_code == 204


@attack("desk", "accepting one's own correction", "409 GuardRefusal")
def own_review(house):
    house.person("both", Rank.REVIEWER)
    client = house.signed_in("both")
    lease = client.post("/api/v1/queue/claim", json={}).json()
    episode = house.spare_episode()
    made = client.post(f"/api/v1/leases/{lease['id']}/submit", json={"episode": episode}).json()
    answer = client.post(f"/api/v1/submissions/{made['id']}/review", json={"verdict": "accept"})
    assert kind_of(answer) == (409, "GuardRefusal")


@attack("desk", "the last admin switching themselves off, and so everybody out", "422 UsageError")
def last_admin(house):
    admin = house.signed_in("admin")
    assert kind_of(admin.patch("/api/v1/people/admin", json={"rank": "viewer"})) == (422, "UsageError")
    assert kind_of(admin.patch("/api/v1/people/admin", json={"disabled": True})) == (422, "UsageError")


# -- what an answer says ---------------------------------------------------------------------------------------------


@attack(
    "framing",
    "a page in a frame, a script from elsewhere, an inline handler",
    "every answer forbids it: `frame-ancestors 'none'`, `script-src 'self'`, no `unsafe-inline`, no `unsafe-eval`",
)
def headers(house):
    client = house.visitor()
    answers = [
        client.get("/sign-in"), client.get("/nothing"), client.get("/api/v1/failures"), client.put("/sign-in"),
        client.get("/static/app/style.css"), client.get("/sign-in", headers={"host": "evil.example"}),
    ]  # fmt: skip
    for one in answers:
        policy = one.headers["content-security-policy"]
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert one.headers["x-content-type-options"] == "nosniff"
        assert one.headers["referrer-policy"] == "same-origin"
    assert all(one.headers["cache-control"] == "no-store" for one in answers[:4])


@attack(
    "leak", "a fault in the server, to read its trace", "500 ServerFault: one sentence; the trace is in the log alone"
)
def broken(house):
    app = create_app(house.wheel, house.app.state.settings)

    @app.get("/api/v1/broken")
    def broken_route() -> None:
        raise RuntimeError("the secret is 42")

    answer = house.visitor(app).get("/api/v1/broken")
    assert kind_of(answer) == (500, "ServerFault")
    assert "42" not in answer.text
    assert "frame-ancestors" in answer.headers["content-security-policy"]


@attack("leak", "the interface's description, documentation pages and metrics for who is not signed in", "401 or 404")
def descriptions(house):
    for path in (
        "/docs",
        "/redoc",
        "/openapi.json",
        "/api/v1/openapi.json",
        "/metrics",
        "/.git/config",
        "/serve.secret",
    ):
        assert kind_of(house.visitor().get(path))[0] in {401, 404}


@attack(
    "socket",
    "a WebSocket from another server's page, from nowhere, or under a foreign name",
    "closed with 1008 before it opens",
)
def sockets(house):
    cookie = {"cookie": "=".join(cookie_of(house.signed_in("operator")))}
    bad = [
        {"origin": "https://evil.example"},
        {},
        {"origin": "null"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ]
    for path in ("/drive/x/socket", "/api/v1/anything"):
        for headers in bad:
            with (
                pytest.raises(WebSocketDisconnect) as closed,
                house.visitor().websocket_connect(path, headers=headers | cookie),
            ):
                pass
            assert closed.value.code == 1008


@attack(
    "listening",
    "starting it where others can reach it, before anybody can sign in or with a secret that others can read",
    "refused, with what to do first",
)
def open_listening(house):
    with tempfile.TemporaryDirectory() as folder, Flywheel.init(Path(folder) / "w") as wheel:
        with pytest.raises(GuardRefusal, match="no secret"):
            read_secret(wheel.store.root, make=False)
        settings = ServerSettings(read_secret(wheel.store.root, make=True), host="0.0.0.0", public="https://x.lab")
        with pytest.raises(GuardRefusal, match="nobody can sign in"):
            listening(wheel, settings)
        wheel.staff.add("ann", Rank.ADMIN, by="test", password=house.password)
        with pytest.raises(GuardRefusal, match="by which name"):
            listening(wheel, replace(settings, public=""))
        (wheel.store.root / "serve.secret").chmod(0o644)
        with pytest.raises(GuardRefusal, match="others on this machine"):
            read_secret(wheel.store.root, make=False)
