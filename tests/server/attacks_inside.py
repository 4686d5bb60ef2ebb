"""Attacks by what is sent and read: paths, uploads, text, the desk, and what an answer says."""

from __future__ import annotations

import pickle
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.websockets import WebSocketDisconnect
from tests.server.attacks import HOSTILE, attack, bearer, cookie_of, kind_of, pages_of, routes

from saqiya.domain.words import Rank
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import create_app
from saqiya.server.run import listening
from saqiya.server.settings import ServerSettings, read_secret
from saqiya.server.wire import cursor_of

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


@attack(
    "path", "the same as an id of every noun, and in every address that takes a name", "an id names a row, never a file"
)
def id_traversal(house):
    client = house.signed_in("admin")
    (house.wheel.store.root / "serve.secret").write_text(house.secret)
    for path in UPWARDS:
        for route in ("failures/", "episodes/", "datasets/", "nouns?ref=", "lineage?ref="):
            answer = client.get(f"/api/v1/{route}{path}")
            assert kind_of(answer)[0] in {404, 422}
            assert "root:" not in answer.text
    deep = [path for method, path, _ in routes() if method == "GET" and "{" in path]
    for route in deep:
        for upward in ("..%2f..%2fserve.secret", "..", "%2e%2e%2fcatalog.sqlite"):
            answer = client.get(re.sub(r"{[^}]*}", upward, route), headers={"accept": "application/json"})
            assert answer.status_code < 500, route
            assert not answer.content.startswith(b"SQLite format 3"), route
            assert house.secret.encode() not in answer.content, route


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
    trail = house.signed_in("admin").get("/api/v1/trail", params={"who": "operator"}).json()["items"]
    assert sum(one["what"] == "upload" for one in trail) >= len(lies)
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
    house.person("author")
    author = house.signed_in("author")
    lease = author.post("/api/v1/queue/claim", json={}).json()["id"]
    handed = {"episode": house.spare_episode(), "note": HOSTILE}
    assert author.post(f"/api/v1/leases/{lease}/submit", json=handed).status_code == 200
    for path in pages_of(ref):
        answer = admin.get(path, headers={"accept": "text/html"})
        assert answer.status_code == 200, path
        text = answer.text
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


@attack(
    "text", "a place in a list that nobody gave out: of another kind, beyond every number, no JSON", "422 UsageError"
)
def made_up_cursor(house):
    client = house.signed_in("admin")
    made_up = (
        cursor_of(1 << 70),
        cursor_of("x"),
        cursor_of(1, 2),
        cursor_of(-1.0, "a", 3),
        "!!!",
        "e30",
        "W10",
        "W251bGxd",
    )
    for route in ("episodes", "trail", "failures"):
        for one in made_up:
            assert kind_of(client.get(f"/api/v1/{route}", params={"after": one})) == (422, "UsageError")


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
