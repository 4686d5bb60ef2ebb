import numpy as np

from saqiya.detect.profile import profile_of
from saqiya.domain.streams import EpisodeLog, Event, Stream

HOST = 1_700_000_000_000_000_000


def stream(values: np.ndarray, *, rate_hz: float = 100.0, start_ns: int = 0, clock: str = "host") -> Stream:
    t_ns = start_ns + (np.arange(len(values)) * (1e9 / rate_hz)).astype(np.int64)
    return Stream(t_ns, values, clock)


def test_rates_become_one_grid() -> None:
    fast, slow = np.arange(100.0)[:, None], np.arange(20.0)[:, None]
    tracks = profile_of(EpisodeLog("a", {"f": stream(fast), "s": stream(slow, rate_hz=20)})).tracks
    assert tracks["f"].values.ravel()[:3].tolist() == [2.0, 7.0, 12.0]
    assert tracks["s"].values.ravel()[:3].tolist() == [0.0, 1.0, 2.0]


def test_labels_and_images_are_never_seen() -> None:
    noise = np.random.default_rng(0).normal(size=(50, 1))
    image = np.zeros((50, 20, 20), dtype=np.uint8)
    streams = {name: stream(noise) for name in ("author", "reward", "x/done", "force")} | {"camera": stream(image)}
    assert set(profile_of(EpisodeLog("a", streams)).tracks) == {"force"}


def test_a_column_that_counts_time_is_marked() -> None:
    both = np.column_stack([np.arange(50) * 0.05, np.random.default_rng(0).normal(size=50)])
    assert profile_of(EpisodeLog("a", {"s": stream(both)})).tracks["s"].clock_like.tolist() == [True, False]


def test_clocks_that_do_not_meet_each_begin_at_zero() -> None:
    noise = np.random.default_rng(0).normal(size=(100, 1))
    log = EpisodeLog(
        "a",
        {"sim": stream(noise, clock="sim"), "host": stream(noise, start_ns=HOST)},
        (Event(HOST + 400_000_000, "phase/grasp"),),
    )
    found = profile_of(log)
    assert abs(found.length_s - 0.99) < 1e-6
    assert found.phases == (("grasp", 0.4),)
    assert len(found.tracks["host"].values) == len(found.tracks["sim"].values)


def test_a_long_gap_stays_a_gap() -> None:
    t_ns = np.concatenate([np.arange(10), np.arange(100, 110)]).astype(np.int64) * 50_000_000
    values = profile_of(EpisodeLog("a", {"s": Stream(t_ns, np.arange(20.0)[:, None])})).tracks["s"].values.ravel()
    assert values[19] == 9.0
    assert np.isnan(values[20:100]).all()


def test_the_phase_at_a_time_is_the_last_one_reached() -> None:
    log = EpisodeLog(
        "a", {"s": stream(np.random.default_rng(0).normal(size=(200, 1)))}, (Event(500_000_000, "phase/b"),)
    )
    found = profile_of(log)
    assert (found.phase_at(0.4), found.phase_at(0.5)) == ("", "b")
