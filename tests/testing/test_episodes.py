import numpy as np

from saqiya.testing import make_episode


def test_equal_arguments_give_equal_episodes() -> None:
    one, other = make_episode(seed=3), make_episode(seed=3)
    assert all(np.array_equal(one.streams[name].values, other.streams[name].values) for name in one.streams)


def test_rows_are_laid_out_as_the_loop_logs_them() -> None:
    streams = make_episode(steps=10).streams
    assert len(streams["observation/state"].t_ns) == 11
    assert len(streams["action/executed"].t_ns) == len(streams["author"].t_ns) == 10
    assert streams["contact/force"].rate_hz == 4 * streams["observation/state"].rate_hz


def test_a_failure_ends_with_a_timeout() -> None:
    episode = make_episode(success=False)
    assert (episode.events[-1].name, episode.metadata["outcome"]) == ("timeout", "failure")


def test_a_strange_try_is_strange_only_from_there_on() -> None:
    usual, strange = make_episode(seed=2), make_episode(seed=2, strange_from=20)
    apart = np.abs(usual.streams["observation/state"].values - strange.streams["observation/state"].values)[:, :2]
    assert apart[:20].max() == 0.0
    assert apart[20:].min() > 1.0


def test_streams_can_be_added_and_replaced() -> None:
    episode = make_episode(steps=5, streams={"author": np.ones((5, 1), np.uint8), "extra": np.zeros((3, 2))})
    assert episode.streams["author"].values.min() == 1
    assert episode.streams["extra"].values.shape == (3, 2)
