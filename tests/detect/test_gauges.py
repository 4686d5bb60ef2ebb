from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.detect.gauges import ANGLE, GAUGES, QUATERNION, Whole, latest
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.models.replay import instants

WIDTHS = {"arm": 3, "turn": 4, "grip": 2, "wish": 3}
GAPS_NS = (0, 2_000_000, 5_000_000, 80_000_000, 300_000_000)
STEPS = (0.0, 0.0, 0.0, 0.0, 0.01, -0.05, 0.1, -0.4, 0.4, 2.0, -6.0)
MADE = [
    ("force", ("arm",), [0, 1, 0]),
    ("force", ("wish",), [0, 1, 2]),
    ("rest", ("arm",), [1.0, 0.5, 3.0]),
    ("blocked", ("arm", "wish"), [3.0, *[1.0] * 3, *[2.0] * 3, *[0.5] * 3]),
    ("jerk", ("arm",), [0.02, 0.0, ANGLE, ANGLE]),
    ("jerk", ("turn",), [0.02, *[QUATERNION] * 4]),
    ("dropout", ("grip",), []),
    ("hold", ("grip",), [0.2]),
    ("closing", ("grip",), [2.0, 0, 1]),
    ("lost", ("",), []),
]


def made(kind, names, params):
    return GAUGES[kind](names, np.array(params, np.float64))


def came(name, seen):
    return any(s.t_ns.size for s in seen.streams.values()) and (not name or Whole(seen).rows(name)[0].size > 0)


def stream(rng, wide, lively, lost):
    """Rows that rest, creep, jump or chatter; not all finite; late, early and at the same instant."""
    rows = int(rng.integers(1, 150))
    gaps = np.where(rng.random(rows) < lost, rng.choice(GAPS_NS, rows), 20_000_000)
    steps = rng.choice(STEPS, (rows, wide)) * (rng.random((rows, 1)) < lively)
    values = np.cumsum(steps, axis=0) if rng.random() < 0.5 else np.repeat(rng.choice(STEPS, (rows, wide)), 7, 0)[:rows]
    values += steps * (rng.random() < 0.5)
    values[rng.random(rows) < lost, rng.integers(wide)] = np.nan
    return Stream(rng.integers(-(10**9), 10**9) + np.cumsum(gaps), values)


@st.composite
def tries(draw):
    rng, lively, lost = np.random.default_rng(draw(st.integers(0))), draw(st.floats(0, 1)), draw(st.floats(0, 0.5))
    known = {name: stream(rng, wide, lively, lost) for name, wide in WIDTHS.items() if rng.random() < 0.9}
    known["other"] = stream(rng, 1, lively, lost)
    times = np.sort(rng.integers(0, 3 * 10**9, 5)).tolist()
    return Seen(known, tuple(Event(t_ns, str(rng.choice(["/slip", "dropped", "phase/grasp"]))) for t_ns in times))


def watched(gauge, names, seen):
    for t_ns, row, events in instants(seen, names):
        known = {name: values for name, values in row.items() if np.isfinite(values).all()}
        yield gauge.read(t_ns, known, events).copy()


def at_every_instant(gauge, seen):
    whole = Whole(seen)
    t_ns, values = gauge.of(whole)
    at = latest(t_ns, whole.beats)
    return np.concatenate([values, np.zeros((1, values.shape[1]))])[at]


@settings(max_examples=80, deadline=None, derandomize=True)
@given(tries(), st.integers(0, 3 * 10**9))
def test_a_log_shows_what_a_watch_showed_and_never_what_came_later(seen, until_ns):
    cut = seen.until(until_ns)
    for rule in MADE:
        if not came(rule[1][0], seen):
            continue
        whole = at_every_instant(made(*rule), seen)
        assert np.array_equal(whole, list(watched(made(*rule), rule[1], seen))), rule
        if came(rule[1][0], cut):
            early = at_every_instant(made(*rule), cut)
            assert np.array_equal(early, whole[: len(early)]), rule


@pytest.mark.parametrize("rests_n", [1, 3, 4, 5, 6, 13, 40, 41, 200])
def test_a_move_is_found_however_long_the_rest_before_it(rests_n):
    values = np.repeat(np.arange(5.0), rests_n)[:, None]
    seen = Seen({"arm": Stream(np.arange(5 * rests_n, dtype=np.int64) * 10**9, values)})
    rests = at_every_instant(made("rest", ("arm",), [1.0]), seen)[:, 0]
    assert rests.tolist() == [*range(rests_n)] * 5
