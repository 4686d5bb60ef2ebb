"""A drive through the server: its socket, its lease, and what becomes of it when somebody goes."""

import contextlib
import json
import time

import pytest
from tests.loop.driven import asked

from saqiya.domain.nouns import Episode, OutcomeClaim, Rank
from saqiya.errors import NothingOpen, StorageFull
from saqiya.loop.driving.cockpit import parts
from saqiya.server import driving
from saqiya.server.driving import Hangar

RIGHT = [1.0, 0.0, 0.0]


class Tab:
    """A page that drives, without a browser."""

    def __init__(self, session):
        self.session, self.told, self.t = session, {}, 0.0

    def say(self, **what):
        self.t += 1.0
        self.session.send_text(json.dumps({"t": self.t, "latency": 40.0, **what}))

    def look(self):
        message = self.session.receive()
        if message.get("bytes"):
            self.session.send_text("k")
        self.told = parts(message["bytes"])[0] if message.get("bytes") else json.loads(message["text"])
        return self.told

    def until(self, told, **what):
        for _ in range(2000):
            self.say(**what)
            what.pop("signal", None)
            if told(self.look()):
                return self.told
        raise AssertionError(self.told)

    def end(self):
        """Return the last word of the server."""
        while "control" in self.look():
            pass
        return self.told


@pytest.fixture
def lease(house, request):
    wheel = house.wheel
    name = house.person(f"driver-{len(wheel.staff.people.all())}")
    return wheel.desk.claim(name, asked(wheel, f"asked/{request.node.name}").id)


@pytest.fixture
def client(house, lease):
    with house.signed_in(lease.person) as made:
        yield made


def tab(client, lease, begin=""):
    address = client.app.state.settings.address
    query = f"?begin={begin}" if begin else ""
    url = f"{address.replace('http', 'ws', 1)}/drive/{lease.id}/socket{query}"
    return client.websocket_connect(url, headers={"origin": address})


def state_of(house, lease):
    return {one.id: one for one in house.wheel.desk.held(lease.person)}.get(lease.id)


def test_what_is_driven_and_saved_is_handed_in(house, client, lease):
    page = client.get(f"/drive/{lease.id}")
    assert page.status_code == 200
    assert "from shortly before the failure" in page.text
    with tab(client, lease) as session:
        one = Tab(session)
        one.until(lambda told: told["human_steps"] >= 3, axes=RIGHT)
        one.until(lambda told: told["control"] == "correction", signal="phase")
        one.say(signal="failure")
        one.say(signal="save")
        told = one.end()
    assert (told["ended"], told["lost"]) == ("saved", "")
    episode = house.wheel.store.catalog.get(told["episode"], Episode)
    assert episode.operator == lease.person
    assert episode.extra["lease"] == lease.id
    assert house.wheel.noun(told["submission"]).latency_ms == 40.0
    assert state_of(house, lease) is None  # it waits for a reviewer now


def test_a_page_that_is_loaded_again_goes_on_where_it_was(client, lease):
    with tab(client, lease) as session:
        Tab(session).until(lambda told: told["human_steps"] >= 3, axes=RIGHT)
    with tab(client, lease) as session:
        one = Tab(session)
        assert one.look()["human_steps"] >= 3
        one.say(signal="discard")
        assert one.end()["ended"] == "discarded"


def test_whoever_begins_elsewhere_leaves_what_they_did_as_an_aborted_try(house, client, lease):
    with tab(client, lease, "failure") as session:
        Tab(session).until(lambda told: told["human_steps"] >= 2, axes=RIGHT)
    with tab(client, lease, "whole") as session:
        one = Tab(session)
        assert (one.look()["human_steps"], one.told["t_ns"]) == (0, 0)
        one.say(signal="discard")
        one.end()
    kept = [one for one in house.wheel.store.catalog.all(Episode) if one.extra.get("lease") == lease.id]
    assert [one.extra["begin"] for one in kept] == ["failure"]


def test_a_second_window_takes_the_drive_and_the_first_is_told(client, lease):
    with tab(client, lease) as first, tab(client, lease) as second:
        assert Tab(first).end() == {"moved": True}
        one = Tab(second)
        one.until(lambda told: told["human_steps"] >= 1, axes=RIGHT)
        one.say(signal="discard")
        assert one.end()["episode" if "episode" in one.told else "ended"] == "discarded"


def test_a_browser_that_dies_loses_no_step_and_its_lease_goes_back(house, client, lease, monkeypatch):
    with tab(client, lease) as session:
        steps = Tab(session).until(lambda told: told["human_steps"] >= 5, axes=RIGHT)["human_steps"]
        monkeypatch.setattr(driving, "LOST_S", 0.6)
    hangar = client.app.state.hangar
    while hangar._flights:
        time.sleep(0.05)
    assert state_of(house, lease) is None
    aborted(house, lease, steps)
    assert house.wheel.desk.claim(house.person(f"next-{lease.person}"), lease.request.id).slot == lease.slot


class Clock:
    """A monotonic clock that tests set forward."""

    now_s = 0.0

    def __call__(self):
        return self.now_s


def aborted(house, lease, steps):
    """Check that what was done in a drive is kept as one aborted try."""
    (episode,) = [one for one in house.wheel.store.catalog.all(Episode) if one.extra.get("lease") == lease.id]
    assert house.wheel.store.streams(episode)["author"].values.sum() >= steps
    claims = house.wheel.store.catalog.referring(episode.id, OutcomeClaim)
    assert [one.value.value for one in claims] == ["aborted"]
    return episode.id


def test_a_page_that_falls_silent_loses_its_lease_by_the_clock_and_is_told(house, client, lease, monkeypatch):
    monkeypatch.setattr(driving, "BEAT_S", 0.1)
    clock = Clock()
    client.app.state.hangar, kept = Hangar(house.wheel, clock=clock), client.app.state.hangar
    try:
        with tab(client, lease) as session:
            one = Tab(session)
            steps = one.until(lambda told: told["human_steps"] >= 5, axes=RIGHT)["human_steps"]
            clock.now_s += 0.9 * driving.LOST_S
            assert one.until(lambda told: told["steps"] > steps, axes=RIGHT)["ended"] == ""  # a sign of life in time
            clock.now_s += 1.1 * driving.LOST_S
            told = one.end()
    finally:
        client.app.state.hangar = kept
    assert told["lost"] == "nothing was heard of the page any more, so the request went back to the queue"
    assert (told["submission"], told["episode"]) == ("", aborted(house, lease, steps))
    assert state_of(house, lease) is None
    assert house.wheel.desk.claim(house.person(f"next-{lease.person}"), lease.request.id).slot == lease.slot


def test_a_lease_that_ran_out_while_the_server_slept_and_went_to_another_ends_the_drive(
    house, client, lease, monkeypatch
):
    monkeypatch.setattr(driving, "BEAT_S", 0.5)
    clock, ahead = house.wheel.clock, [0]
    monkeypatch.setattr(house.wheel, "clock", lambda: clock() + ahead[0])
    other = house.person(f"other-{lease.person}")
    with tab(client, lease) as session:
        one = Tab(session)
        steps = one.until(lambda told: told["human_steps"] >= 5, axes=RIGHT)["human_steps"]
        taken = None
        while taken is None:
            ahead[0] += int(3 * driving.LOST_S * 1e9)
            with contextlib.suppress(NothingOpen):  # it was renewed in between
                taken = house.wheel.desk.claim(other, lease.request.id)
        told = one.end()
    assert taken.slot == lease.slot
    assert "expired and went to somebody else" in told["lost"]
    assert (told["submission"], told["episode"]) == ("", aborted(house, lease, steps))
    assert [one.id for one in house.wheel.desk.held(other)] == [taken.id]


def test_a_disk_that_is_full_for_a_while_ends_no_drive(house, client, lease, monkeypatch):
    monkeypatch.setattr(driving, "BEAT_S", 0.1)
    renew, refused = house.wheel.desk.renew, []

    def full(*args, **named):
        if len(refused) < 3:
            refused.append(args)
            raise StorageFull("no room to write", subject="catalog.sqlite", remedy="Free some space")
        return renew(*args, **named)

    with tab(client, lease) as session:
        one = Tab(session)
        one.until(lambda told: told["human_steps"] >= 1, axes=RIGHT)
        monkeypatch.setattr(house.wheel.desk, "renew", full)
        one.until(lambda _: len(refused) == 3, axes=RIGHT)
        one.say(signal="save")
        told = one.end()
    assert told["ended"] == "saved"
    assert told["submission"]


@pytest.mark.parametrize("change", [{"disabled": True}, {"rank": Rank.VIEWER}], ids=str)
def test_whoever_may_work_no_more_stops_driving(house, client, lease, monkeypatch, change):
    monkeypatch.setattr(driving, "BEAT_S", 0.2)
    with tab(client, lease) as session:
        one = Tab(session)
        one.until(lambda told: told["human_steps"] > 2, axes=RIGHT)
        house.wheel.staff.change(lease.person, by="test", **change)
        told = one.end()
    assert told["lost"]
    assert told["submission"] == ""
    assert told["episode"]
    assert house.wheel.desk.held(lease.person) == ()


def test_a_drive_whose_process_is_killed_says_so_and_keeps_what_was_done(house, client, lease):
    with tab(client, lease) as session:
        one = Tab(session)
        one.until(lambda told: told["human_steps"] >= 5, axes=RIGHT)
        client.app.state.hangar._flights[lease.id].process.kill()
        told = one.end()
    assert told["fault"]["what"] == "the drive's process died"
    assert house.wheel.store.catalog.get(told["episode"], Episode).extra["lease"] == lease.id
    assert state_of(house, lease) is not None  # it is still theirs to drive


def test_who_may_not_drive_is_told_why(house, client, lease):
    stranger = house.person(f"stranger-{lease.person}")
    with house.signed_in(stranger) as other, tab(other, lease) as session:
        assert "not yours" in Tab(session).look()["refused"]["what"]
        told = other.get(f"/drive/{lease.id}", headers={"accept": "text/html"})
        assert told.status_code == 409
        assert "was handed in or back" in told.text
        assert 'href="/corrections">To Corrections</a>' in told.text
    with house.signed_in("viewer") as viewer:
        assert viewer.get(f"/drive/{lease.id}").status_code == 403


def test_no_more_drive_at_once_than_the_machine_can_hold(house, client, lease):
    client.app.state.hangar, kept = Hangar(house.wheel, most=0), client.app.state.hangar
    try:
        with tab(client, lease) as session:
            refused = Tab(session).look()["refused"]
    finally:
        client.app.state.hangar = kept
    assert refused["kind"] == "NoFreeSeat"
    assert "all 0 places to drive are taken" in refused["what"]


def test_a_way_to_begin_that_is_none_is_refused(client, lease):
    assert client.get(f"/drive/{lease.id}?begin=anywhere").status_code == 422
