"""Attacks on who asks: forged requests, foreign names, sessions, tokens, guesses."""

from __future__ import annotations

import subprocess

import pytest
from tests.server.attacks import attack, bearer, cookie_of, kind_of, routes

from saqiya.domain.words import Rank
from saqiya.server.faults import Refused
from saqiya.server.frontier import SAFE_METHODS
from saqiya.server.turnstile import Turnstile

# -- forged requests -------------------------------------------------------------------------------------------------


@attack("forged request", "every change there is, with a good cookie and no token", "403 ForgedRequest")
def no_token(house):
    client = house.signed_in("admin")
    del client.headers["x-csrf-token"]
    changes = [(method, path) for method, path, rank in routes() if method not in SAFE_METHODS and rank is not None]
    assert len(changes) > 20
    for method, path in changes:
        answer = client.request(method, path.replace("{", "").replace("}", ""), json={})
        assert kind_of(answer) == (403, "ForgedRequest"), path
    assert client.get("/api/v1/session").status_code == 200


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


@attack(
    "DNS rebinding",
    "a foreign name that leads to this machine, in `Host`",
    "421 ForeignHost on every route but `health`, which says one word",
)
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
    name = house.person("link-twice", Rank.VIEWER)
    link = house.signed_in("admin").post(f"/api/v1/people/{name}/link").json()["link"]
    body = {"ticket": link.partition("ticket=")[2]}
    assert kind_of(house.visitor().post("/api/v1/session", json=body)) == (422, "UsageError")  # and the link stays
    body |= {"password": "a few unrelated words"}
    assert house.visitor().post("/api/v1/session", json=body).json()["name"] == name
    assert kind_of(house.visitor().post("/api/v1/session", json=body)) == (401, "SignInRefused")


@attack(
    "token",
    "a link that went astray, after another link or another password",
    "401 SignInRefused: it names the epoch too",
)
def link_astray(house):
    name, admin = house.person("link-astray", Rank.VIEWER), house.signed_in("admin")

    def link():
        return admin.post(f"/api/v1/people/{name}/link").json()["link"].partition("ticket=")[2]

    def opened(ticket):
        body = {"ticket": ticket, "password": "a few unrelated words"}
        return house.visitor().post("/api/v1/session", json=body)

    astray, good = link(), link()
    assert opened(good).json()["name"] == name
    assert kind_of(opened(astray)) == (401, "SignInRefused")
    astray = link()
    house.wheel.staff.password(name, by="admin", password="quite another one")
    assert kind_of(opened(astray)) == (401, "SignInRefused")


@attack(
    "token", "reading secrets from the database file", "there are only hashes: argon2id of passwords, SHA-256 of tokens"
)
def secrets_at_rest(house):
    token = house.token("viewer", Rank.VIEWER)
    # By another process: whoever closes SQLite's file in this one lets go of every lock that it holds on it (POSIX).
    files = [str(one) for one in house.wheel.store.root.glob("catalog.sqlite*")]
    stored = subprocess.run(["cat", *files], check=True, capture_output=True).stdout
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
