"""How a stream travels to a page: short numbers, that are off by less than anybody sees."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from saqiya.domain.nouns import Episode
from saqiya.domain.words import Rank
from saqiya.server.api.episodes import _column

NUMBERS = st.floats(-1e300, 1e300) | st.floats(-1, 1) | st.just(np.nan)


@given(hnp.arrays(np.float64, st.integers(1, 30), elements=NUMBERS))
def test_rounding_stays_below_a_millionth_of_the_range(values):
    found = np.array(_column(values), dtype=np.float64)
    known = np.isfinite(values)
    np.testing.assert_array_equal(np.isnan(found), ~known)
    if known.any():
        reach = float(values[known].max()) - float(values[known].min())
        assert np.abs(found[known] - values[known]).max() <= max(1e-6 * reach, 1e-15)


def test_a_large_offset_with_small_changes_keeps_them():
    values = 1e6 + np.arange(5) * 1e-3
    assert np.diff(_column(values)).round(6).tolist() == [0.001] * 4


def test_a_stream_comes_by_column_with_null_for_what_is_missing(house, people):
    ref = house.wheel.store.catalog.all(Episode)[0].id
    asked = {"stream": ["observation/puck", "contact/held"], "start_s": 0, "end_s": 2, "points": 20}
    answer = people[Rank.VIEWER].get(f"/api/v1/episodes/{ref}/series", params=asked)
    puck, held = answer.json()
    assert (puck["stream"], held["stream"]) == ("observation/puck", "contact/held")
    assert len(puck["low"]) == len(puck["high"]) == 2
    assert len(puck["t_ns"]) == len(puck["low"][0]) <= 20
    assert puck["rows"] > 20


def test_what_is_not_there_is_told_in_the_one_shape(house, people):
    ref = house.wheel.store.catalog.all(Episode)[0].id
    for path in ("picture?camera=nose&index=0", "film?camera=nose", "stamps?camera=nose"):
        answer = people[Rank.VIEWER].get(f"/api/v1/episodes/{ref}/{path}")
        assert (answer.status_code, answer.json()["error"]["what"]) == (422, "has no such camera")
    assert people[Rank.VIEWER].get("/api/v1/episodes/nobody/overview").status_code == 404
