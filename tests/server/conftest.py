from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from argon2 import PasswordHasher
from fastapi import FastAPI
from fastapi.testclient import TestClient

from saqiya.domain.nouns import CorrectionKind, CorrectionRequest, Episode
from saqiya.domain.streams import Start
from saqiya.domain.words import Rank
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import create_app
from saqiya.server.settings import ServerSettings

SECRET = bytes(range(32))
PASSWORD = "turn the wheel by hand"


@dataclass
class House:
    """A server over a workspace with one person of each rank."""

    wheel: Flywheel
    app: FastAPI
    password: str = PASSWORD
    secret: str = SECRET.hex()

    def visitor(self, app: FastAPI | None = None, **headers: str) -> TestClient:
        """A browser in which nobody is signed in."""
        made = app or self.app
        address = made.state.settings.address
        return TestClient(made, base_url=address, headers=headers, raise_server_exceptions=False)

    def signed_in(self, name: str, password: str = PASSWORD) -> TestClient:
        """A browser in which somebody is signed in, and whose pages send the session's token."""
        client = self.visitor()
        answer = client.post("/api/v1/session", json={"name": name, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["x-csrf-token"] = answer.json()["csrf"]
        return client

    def person(self, name: str, rank: Rank = Rank.OPERATOR) -> str:
        """Somebody new."""
        self.wheel.staff.add(name, rank, password=PASSWORD, by="test")
        return name

    def spare_episode(self) -> str:
        """A try that somebody made just now, and that nobody handed in yet."""
        catalog = self.wheel.store.catalog
        like = next(one for one in catalog.all(Episode) if one.policy is None)
        made = replace(like, id=catalog.new_id("episode"), operator="", prints=())
        return catalog.put(made, key=f"spare/{made.id}").id

    def token(self, name: str, rank: Rank, days: float = 1.0) -> str:
        """A token of somebody's program."""
        return self.wheel.staff.issue(name, "test", [rank.value], days=days, by="test")[1]

    def behind_tls(self) -> FastAPI:
        """The same workspace, served behind a proxy that speaks TLS."""
        return create_app(self.wheel, ServerSettings(secret=SECRET, public="https://saqiya.lab"))


def house_at(path: Path) -> House:
    wheel = Flywheel(path)
    wheel.staff.__dict__["_hasher"] = PasswordHasher(time_cost=1, memory_cost=64)  # the same hash, at a test's price
    asked = CorrectionRequest(
        id=wheel.store.catalog.new_id("correction_request"),
        target="dropped",
        mode=None,
        correction_kind=CorrectionKind.DEMONSTRATION,
        count=200,
        starts=tuple(Start(seed, {}) for seed in range(200)),
        reason="for tests of the desk",
    )
    wheel.store.catalog.put(asked, key="test/request")
    for rank in Rank:
        wheel.staff.add(rank.value, rank, password=PASSWORD, by="test")
    return House(wheel, create_app(wheel, ServerSettings(secret=SECRET)))


@pytest.fixture(scope="session")
def house(turned_once, in_memory):
    """A server over a workspace after two turns; tests may add to it, and count on nothing that others add."""
    made = house_at(Path(shutil.copytree(turned_once.store.root, in_memory / "served")))
    yield made
    made.wheel.close()


@pytest.fixture(scope="session")
def people(house) -> dict[Rank | None, TestClient]:
    """A browser for each rank, and one for nobody."""
    return {None: house.visitor(), **{rank: house.signed_in(rank.value) for rank in Rank}}
