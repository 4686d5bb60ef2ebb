import numpy as np
import pytest

from saqiya.domain.streams import Event, Span, Stream
from saqiya.domain.words import Source
from saqiya.loop.episode.bands import acted, contacts, control, live_alarms, phases, unsure

SPAN = Span(0, 100)


def stream(*values, step=10):
    rows = np.array(values)
    return Stream(np.arange(len(rows), dtype=np.int64) * step, rows)


def told(bands):
    return [(one.label, one.start_ns, one.end_ns) for one in bands]


def test_who_acted_is_read_from_the_author_stream():
    bands = acted({"author": stream(0, 0, 1, 1, 2, 0)}, (), SPAN, source=Source.ROLLOUT, operator="Ann")
    assert told(bands) == [("policy", 0, 20), ("person (Ann)", 20, 40), ("assist", 40, 50), ("policy", 50, 100)]


def test_events_say_it_where_no_stream_does():
    events = (Event(30, "takeover"), Event(60, "handback"))
    bands = acted({}, events, SPAN, source=Source.ROLLOUT)
    assert told(bands) == [("policy", 0, 30), ("person", 30, 60), ("policy", 60, 100)]


def test_a_flag_of_an_intervention_says_it_too():
    bands = acted({"is_intervention": stream(0.0, 1.0, 1.0, 0.0)}, (), SPAN, source=Source.UNKNOWN)
    assert told(bands) == [("policy", 0, 10), ("person", 10, 30), ("policy", 30, 100)]


def test_a_flag_of_shared_control_is_a_band_of_its_own():
    streams = {"author": stream(0, 0, 0), "drive/assist": stream(0, 1, 0)}
    assert ("assist", 10, 20) in told(acted(streams, (), SPAN, source=Source.ROLLOUT))


@pytest.mark.parametrize(
    ("source", "who"),
    [(Source.DEMONSTRATION, "person"), (Source.CORRECTION, "person"), (Source.ROLLOUT, "policy"), (Source.UNKNOWN, "")],
)
def test_else_it_goes_by_how_the_try_came_to_be(source, who):
    assert told(acted({}, (), SPAN, source=source)) == ([(who, 0, 100)] if who else [])


def test_a_phase_lasts_until_the_next():
    assert phases((), SPAN) == []
    assert told(phases((Event(0, "phase/a"), Event(5, "x"), Event(40, "phase/b")), SPAN)) == [
        ("a", 0, 40),
        ("b", 40, 100),
    ]


def test_contact_is_read_from_switches_forces_and_events():
    force = np.zeros((100, 3))
    force[20:50] = 4.0
    streams = {"contact/held": stream(0, 1, 1, 0), "contact/force": Stream(np.arange(100), force, unit="N")}
    events = (Event(5, "contact/made", "cup"), Event(25, "contact/lost"), Event(90, "contact/made"))
    bands = contacts(streams, events, SPAN)
    assert told(bands) == [
        ("contact/force", 20, 50),
        ("contact/held", 10, 30),
        ("cup", 5, 25),
        ("contact/made", 90, 100),
    ]
    assert bands[0].detail == "above 0.693 N"


def test_a_force_that_is_never_quiet_says_nothing_of_contact():
    noise = np.random.default_rng(0).normal(0, 1, (200, 3))
    assert contacts({"contact/force": Stream(np.arange(200), noise)}, (), Span(0, 200)) == []


def test_contact_that_chatters_is_one():
    values = np.zeros(1000)
    values[100:300], values[301:500], values[800:900] = 1, 1, 1
    t_ns = np.arange(1000) * 10_000_000
    assert len(contacts({"gripper/held": Stream(t_ns, values)}, (), Span(0, 10**10))) == 2


def test_uncertainty_is_drawn_by_its_own_greatest_value():
    t_ns, values = np.arange(1000) * 10_000_000, np.zeros(1000)
    values[700], values[10] = 3.0, np.nan
    bands = unsure({"policy/uncertainty": Stream(t_ns, values), "other": Stream(t_ns, values)}, Span(0, 10**10))
    best = max(bands, key=lambda one: one.level)
    assert best.level == 1.0
    assert best.start_ns <= 7 * 10**9 < best.end_ns
    assert {one.label for one in bands} == {"policy/uncertainty"}


def test_the_states_of_a_drive_are_named():
    assert told(control({"drive/control": stream(0, 0, 1, 2, 3)}, SPAN)) == [
        ("autonomous", 0, 20),
        ("paused", 20, 30),
        ("recovery", 30, 40),
        ("correction", 40, 100),
    ]


def test_a_live_alarm_is_an_instant_with_its_reason():
    (band,) = live_alarms((Event(7, "alarm/distance", "9 spreads"), Event(8, "monitor/blind")))
    assert (band.label, band.start_ns, band.end_ns, band.detail) == ("distance", 7, 7, "live: 9 spreads")
