"""What is stored is told as it happens, once, to whoever listens; who comes back hears what was missed."""

import asyncio
import json
from contextlib import aclosing

import pytest
import sqlalchemy as sa

from saqiya.domain.nouns import CorrectionKind, CorrectionRequest, Subset
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.news import News
from saqiya.server import live
from saqiya.server.live import POLL_S, Live


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    monkeypatch.setattr(live, "POLL_S", 0.01)
    with Flywheel.init(tmp_path / "w") as made:
        yield made


def store(wheel, name: str) -> str:
    made = Subset(id=wheel.store.catalog.new_id("subset"), name=name, sql="SELECT id FROM episodes")
    return wheel.store.catalog.put(made, key=name).id


def told(event: str) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in event.strip().splitlines())


def test_what_is_stored_is_told_by_kind_and_id(wheel):
    async def hear() -> list[dict[str, str]]:
        async with aclosing(Live(News(wheel)).listen(None)) as stream:
            heard = [told(await anext(stream))]
            made = store(wheel, "later")
            heard.append(told(await anext(stream)))
            assert json.loads(heard[1]["data"]) == {"kinds": {"subset": 1}, "ids": [made]}
        return heard

    hello, stored = asyncio.run(hear())
    assert (hello["event"], stored["event"]) == ("hello", "stored")
    assert int(stored["id"]) > int(hello["id"])


def test_who_comes_back_hears_what_was_missed(wheel):
    seen_ns = News(wheel).now_ns()
    made = [store(wheel, name) for name in ("one", "two")]

    async def hear() -> dict[str, str]:
        async with aclosing(Live(News(wheel)).listen(seen_ns)) as stream:
            await anext(stream)
            return told(await anext(stream))

    assert json.loads(asyncio.run(hear())["data"])["ids"] == made


def test_listeners_hear_on_when_the_database_has_restarted(wheel, postgres):
    url, root = postgres.new(), wheel.store.root
    wheel.close()
    (root / "saqiya.toml").write_text(f'[store]\ncatalog = "{url}"\n')
    with Flywheel(root) as there:

        async def hear() -> dict[str, str]:
            async with aclosing(Live(News(there)).listen(None)) as stream:
                await anext(stream)
                with sa.create_engine(url, poolclass=sa.NullPool).connect() as other:
                    others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
                    other.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
                await asyncio.sleep(0.1)
                made = store(there, "later")
                return {"made": made, **told(await asyncio.wait_for(anext(stream), 60.0))}

        heard = asyncio.run(hear())
    assert json.loads(heard["data"])["ids"] == [heard["made"]]


def test_listeners_hear_on_when_the_catalog_could_not_be_read_for_a_while(wheel):
    def call(was: str, now: str) -> None:
        with wheel.store.catalog.database.writing() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {was} RENAME TO {now}")

    async def hear() -> dict[str, str]:
        source = Live(News(wheel))
        async with aclosing(source.listen(None)) as stream:
            await anext(stream)
            call("nouns", "away")
            await asyncio.sleep(1.2 * POLL_S)
            call("away", "nouns")
            assert not source._task.done()
            made = store(wheel, "later")
            return {"made": made, **told(await asyncio.wait_for(anext(stream), 60.0))}

    heard = asyncio.run(hear())
    assert json.loads(heard["data"])["ids"] == [heard["made"]]


def test_a_stop_ends_every_stream(wheel):
    async def hear() -> list[int]:
        source = Live(News(wheel))

        async def all_of_it() -> int:
            return sum([1 async for _ in source.listen(None)])

        listeners = [asyncio.create_task(all_of_it()) for _ in range(3)]
        await asyncio.sleep(0.1)
        source.stop()
        return await asyncio.gather(*listeners)

    assert asyncio.run(hear()) == [1, 1, 1]


def test_nobody_asks_the_catalog_while_nobody_listens(wheel):
    async def hear() -> bool:
        source = Live(News(wheel))
        async with aclosing(source.listen(None)) as stream:
            await anext(stream)
            watching = source._task
        await asyncio.wait_for(watching, 30)
        return watching.done()

    assert asyncio.run(hear())


def test_who_may_see_nothing_hears_nothing(house):
    assert house.visitor().get("/live").status_code == 401


def test_slots_that_change_hands_are_told_though_nothing_is_stored(wheel):
    from saqiya.stores import leases
    from saqiya.stores.leases import LeaseRow, LeaseState
    from saqiya.stores.trail import append

    asked = wheel.store.catalog.put(
        CorrectionRequest(
            id=wheel.store.catalog.new_id("correction_request"), target="slip", mode=None,
            correction_kind=CorrectionKind.TAKEOVER, count=2, starts=(), reason="",
        ), key="asked",
    )  # fmt: skip

    def claim(number: int) -> None:
        with wheel.store.catalog.database.writing() as connection:
            seq = append(connection, "ann", "claim", f"lease-{number}", now_ns=1)
            leases.store(
                connection, LeaseRow(asked.id, number, f"lease-{number}", "ann", 1, 2, LeaseState.LEASED, seq=seq)
            )

    async def hear() -> dict[str, str]:
        async with aclosing(Live(News(wheel)).listen(None)) as stream:
            await anext(stream)
            claim(0)
            return told(await anext(stream))

    claim(1)  # before anybody listens
    heard = asyncio.run(hear())
    assert json.loads(heard["data"]) == {"kinds": {"lease": 1}, "ids": []}
