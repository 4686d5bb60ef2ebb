from __future__ import annotations

import numpy as np
import pytest

from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, UsageError
from saqiya.models.rows import Latest, common_names, side_by_side


def stream(stamps, values):
    return Stream(np.array(stamps, dtype=np.int64), np.array(values, dtype=np.float64))


def test_a_row_holds_the_latest_value_and_nothing_later():
    streams = {"observation/a": stream([0, 10, 20], [1, 2, 3]), "action/executed": stream([5, 15], [7, 8])}
    stamps, rows = side_by_side(streams, ("observation/a", "action/executed"))
    assert stamps.tolist() == [5, 15]
    assert rows.tolist() == [[1, 7], [2, 8]]


def test_instants_before_every_stream_has_begun_are_left_out():
    streams = {"observation/a": stream([10], [1]), "observation/b": stream([0, 10, 20], [4, 5, 6])}
    assert side_by_side(streams, ("observation/a", "observation/b"))[0].tolist() == [10, 20]


def test_streams_that_not_all_episodes_have_are_not_compared():
    a, b = stream([0], [1]), stream([0], [2])
    episodes = [{"observation/a": a, "observation/b": b, "action/executed": a}, {"observation/a": a}]
    assert common_names(episodes, action=True) == ("observation/a",)


def test_nothing_in_common_is_refused():
    with pytest.raises(UsageError, match="share no observation"):
        common_names([{"observation/a": stream([0], [1])}, {"joint": stream([0], [1])}], action=False)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_sample_that_is_not_finite_never_came(value):
    streams = {"observation/a": stream([0, 1, 2], [1, value, 3]), "action/executed": stream([0, 1, 2], [4, 5, value])}
    names = ("observation/a", "action/executed")
    stamps, rows = side_by_side(streams, names)
    assert (stamps.tolist(), rows.tolist()) == ([0, 1], [[1, 4], [1, 5]])
    latest = Latest(names, (1, 1))
    seen = [latest.take({name: streams[name].values[at].reshape(-1) for name in names}) for at in range(2)]
    assert [None if row is None else row.tolist() for row in seen] == [
        [1, 5],
        [1, 5],
    ]  # one array
    assert latest.take({name: streams[name].values[2].reshape(-1) for name in names}) is None
    with pytest.raises(InvalidEpisode, match="no instant"):
        side_by_side({"observation/a": stream([0], [value])}, ("observation/a",))


def test_a_missing_stream_is_named():
    with pytest.raises(InvalidEpisode, match="observation/b"):
        side_by_side({"observation/a": stream([0], [1])}, ("observation/a", "observation/b"))
