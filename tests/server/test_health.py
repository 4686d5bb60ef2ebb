"""What whoever runs a server sees of it: health, metrics, a log of JSON lines; and what a proxy may say of who asks."""

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from contextlib import closing

import httpx
import pytest
import sqlalchemy as sa
from tests.loop.driven import asked
from tests.server.test_serve import LONG_S, SECRET, free_port
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from saqiya.domain.nouns import Episode
from saqiya.domain.words import Rank
from saqiya.errors import UsageError, WorkspaceBusy
from saqiya.loop.driving.cockpit import parts
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import create_app
from saqiya.server.faults import fault_of
from saqiya.server.settings import ServerSettings
from saqiya.stores.database import Database


def test_health_is_told_to_anybody_by_whatever_name(house):
    visitor = house.visitor()
    assert visitor.get("/api/v1/health", headers={"host": "10.2.3.4:8787"}).json() == {"status": "well"}
    assert visitor.get("/api/v1/session", headers={"host": "10.2.3.4:8787"}).status_code == 421


def test_metrics_count_answers_and_acts_for_who_is_signed_in(house, people):
    assert people[None].get("/api/v1/metrics").status_code == 401
    operator = people[Rank.OPERATOR]

    def metrics():
        answer = people[Rank.VIEWER].get("/api/v1/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        found = dict(re.findall(r"^(\w+(?:\{.*\})?) (\S+)$", answer.text, re.MULTILINE))
        assert len(found) == sum(not line.startswith("#") for line in answer.text.splitlines())
        return {name: float(value) for name, value in found.items()}

    before = metrics()
    lease = operator.post("/api/v1/queue/claim", json={}).json()
    operator.post(f"/api/v1/leases/{lease['id']}/hand-back", json={})
    assert operator.get("/api/v1/nowhere").status_code == 404
    assert operator.head("/api/v1/queue").status_code == 200
    after = metrics()
    claims = 'saqiya_answers_total{method="POST",route="/api/v1/queue/claim",status="200"}'
    assert after[claims] == before.get(claims, 0) + 1
    assert after['saqiya_acts_total{what="claim"}'] == before.get('saqiya_acts_total{what="claim"}', 0) + 1
    count = 'saqiya_answer_seconds_count{kind="change"}'
    assert after[count] == before.get(count, 0) + 2
    assert after['saqiya_answer_seconds_bucket{kind="change",le="+Inf"}'] == after[count]
    assert after['saqiya_answers_total{method="GET",route="none",status="404"}'] >= 1
    assert after['saqiya_answers_total{method="HEAD",route="/api/v1/queue",status="200"}'] >= 1
    assert after["saqiya_requests_under_way"] == 1  # the one that asks
    assert after["saqiya_disk_free_bytes"] > 0 < after["saqiya_catalog_bytes"]


def test_who_waits_to_sign_in_keeps_nobody_from_working(fresh):
    from argon2 import PasswordHasher

    signed = []

    async def crowd(client):
        async def sign_in(number):
            body = {"name": f"nobody-{number}", "password": "a few unrelated words"}
            signed.append((await client.post("/api/v1/session", json=body)).status_code)

        crowd = [asyncio.create_task(sign_in(number)) for number in range(30)]
        while not signed:
            await asyncio.sleep(0.001)
        assert (await client.get("/api/v1/health")).status_code == 200
        before = len(signed)
        await asyncio.gather(*crowd)
        return before

    async def main(app):
        async with app.router.lifespan_context(app):
            transport = httpx.ASGITransport(app=app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
                return await crowd(client)

    with Flywheel.init(fresh / "w") as wheel:
        wheel.staff.__dict__["_hasher"] = PasswordHasher(time_cost=8, memory_cost=8192, parallelism=1)
        assert asyncio.run(main(create_app(wheel, ServerSettings(SECRET)))) < 12
    assert signed == [401] * 30


@pytest.fixture
def lines(fresh):
    """A server behind a proxy of this machine, in a process of its own, that logs requests: a client and its log."""
    Flywheel.init(fresh / "w").close()
    port, log = free_port(), fresh / "log"
    command = [sys.executable, "-m", "saqiya", "serve", "-w", fresh / "w", "--port", str(port), "--json"]
    with log.open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--public", "https://saqiya.lab", "--log-requests"], stdout=subprocess.PIPE, stderr=errors
        )
    said = json.loads("".join(iter(lambda: process.stdout.readline().decode(), "}\n")) + "}")
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"host": "saqiya.lab"}, timeout=LONG_S) as client:
        yield process, client, said["sign_in"].partition("ticket=")[2], log
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_log_is_lines_of_json_without_a_secret_and_names_who_asks_as_the_proxy_does(lines):
    process, client, ticket, log = lines
    client.get("/sign-in", params={"ticket": ticket}, headers={"x-forwarded-for": "203.0.113.9"})
    body = {"ticket": ticket, "password": "a few unrelated words"}
    me = client.post("/api/v1/session", json=body, headers={"x-forwarded-for": "6.6.6.6, 203.0.113.9"})
    assert me.status_code == 200, me.text
    cookie = re.match(r"[^=]+=([^;]+)", me.headers["set-cookie"])[1]
    client.get("/api/v1/session", headers={"cookie": me.headers["set-cookie"].partition(";")[0]})
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG_S) == 0
    told = [json.loads(line) for line in log.read_text().splitlines()]
    asked = [one for one in told if one["what"] == "request"]
    assert [(one["method"], one["path"], one["status"]) for one in asked] == [
        ("GET", "/sign-in", 200), ("POST", "/api/v1/session", 200), ("GET", "/api/v1/session", 200),
    ]  # fmt: skip
    assert [one["from"] for one in asked] == ["203.0.113.9", "203.0.113.9", "127.0.0.1"]
    assert asked[-1]["who"] == "admin"
    assert not any(secret in log.read_text() for secret in (ticket, cookie, "unrelated"))


@pytest.mark.parametrize("proxy", ["*", "everybody", "10.0.0.1/8", ""])
def test_a_proxy_has_an_address(proxy):
    with pytest.raises(UsageError, match="address of a proxy"):
        ServerSettings(SECRET, proxies=(proxy,))


def test_a_database_that_restarts_is_busy_for_a_moment_and_then_there_again(postgres):
    url = postgres.new()
    with closing(Database(url)) as database:
        with database.reading() as connection:
            (mine,) = connection.exec_driver_sql("SELECT pg_backend_pid()").one()
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({mine})")
        with pytest.raises(WorkspaceBusy, match="cannot be reached") as caught, database.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        assert fault_of(caught.value)[0] == 503
        with database.writing() as connection:
            assert connection.exec_driver_sql("SELECT 1").scalar() == 1


def test_a_server_that_is_told_to_stop_keeps_what_is_being_driven(turned):
    with Flywheel(turned) as wheel:
        wheel.staff.add("ann", Rank.OPERATOR, by="test")
        secret = wheel.staff.issue("ann", "test", ["operator"], days=1, by="test")[1]
        lease = wheel.desk.claim("ann", asked(wheel, "asked/stop").id)
        before = {one.id for one in wheel.store.catalog.all(Episode)}
    port = free_port()
    command = [sys.executable, "-m", "saqiya", "serve", "-w", turned, "--port", str(port), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    process.stdout.readline()
    headers = {"authorization": f"Bearer {secret}"}
    with contextlib.suppress(ConnectionClosed):
        url = f"ws://127.0.0.1:{port}/drive/{lease.id}/socket?begin=whole"
        with connect(url, additional_headers=headers, open_timeout=LONG_S) as socket:
            for t in range(2000):
                socket.send(json.dumps({"t": float(t), "latency": 40.0, "axes": [1.0, 0.0, 0.0]}))
                told = socket.recv(LONG_S)
                socket.send("k")
                if t > 5 and parts(told)[0]["human_steps"] >= 5 and process.poll() is None:
                    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG_S) == 0
    process.stdout.close()
    with Flywheel(turned) as wheel:
        (kept,) = [one for one in wheel.store.catalog.all(Episode) if one.id not in before]
        assert (kept.operator, kept.extra["lease"]) == ("ann", lease.id)
        assert kept.steps >= 5
        assert not list(wheel.store.spool.rglob("*.drive"))
        assert wheel.desk.held("ann")[0].id == lease.id  # it is theirs to go on with after the restart
