"""Near copies: the same try at another speed, rate, length or precision; another try is none, however near it began."""

import numpy as np
import pytest

from saqiya.domain.streams import Stream
from saqiya.measure.near import aligned, near_copies
from saqiya.measure.outline import compared, outline

S = 10**9
NAMES = ("observation/hand", "observation/object", "observation/light", "action/executed")


def reach(seed, *, start=None, n=100):
    """One try: to an object, and with it to a goal; a person never goes the same way twice. A light never changes."""
    rng = np.random.default_rng(seed)
    begin = rng.uniform(-0.15, 0.15, 4) if start is None else start
    thing, goal = np.r_[begin[:2], 0.02], np.r_[begin[2:] + 0.3, 0.2]
    corners = np.stack(
        [[0.0, 0.0, 0.3], np.add(thing, (0, 0, 0.1)), thing, np.add((thing + goal) / 2, (0, 0, 0.15)), goal]
    )
    corners[1:4] += rng.normal(0.0, [[0.02], [0.003], [0.03]], (3, 3))
    t = np.linspace(0.0, 4.0, n)
    eased = np.floor(t) + (1 - np.cos(np.pi * (t % 1))) / 2
    hand = np.stack([np.interp(eased, np.arange(5), column) for column in corners.T], axis=1)
    held = t > 2.0
    moved = np.diff(hand, axis=0, append=hand[-1:]) * 20
    values = [hand, np.where(held[:, None], hand, thing), np.zeros((n, 1)), np.c_[moved, held]]
    t_ns = np.arange(n, dtype=np.int64) * S // 20
    return {name: Stream(t_ns.copy(), value) for name, value in zip(NAMES, values, strict=True)}


def at(episode, rows):
    """The try at other moments, in rows of its own."""
    t_ns = np.arange(len(rows), dtype=np.int64) * S // 20 + 77
    old = np.arange(len(next(iter(episode.values())).t_ns))
    made = {k: np.stack([np.interp(rows, old, c) for c in s.values.T], axis=1) for k, s in episode.items()}
    return {name: Stream(t_ns.copy(), values) for name, values in made.items()}


def changed(episode, change):
    return {name: Stream(s.t_ns + S, change(name, s.values)) for name, s in episode.items()}


def trembling(episode, size, *, only=NAMES):
    rng = np.random.default_rng(5)
    return changed(episode, lambda name, v: v + (rng.normal(0.0, size, v.shape) if name in only else 0.0))


COPIES = {
    "slower": lambda e: at(e, np.linspace(0, 99, 170)),
    "warped": lambda e: at(e, (u := np.linspace(0, 1, 90)) * 99 + 8 * np.sin(2 * np.pi * u)),
    "with a pause": lambda e: at(e, np.r_[np.arange(40), np.full(30, 40), np.arange(40, 100)]),
    "cropped": lambda e: {name: Stream(s.t_ns[3:-4].copy(), s.values[3:-4].copy()) for name, s in e.items()},
    "in half precision": lambda e: changed(e, lambda _, v: v.astype(np.float16)),
    "in single precision": lambda e: changed(e, lambda _, v: v.astype(np.float32)),
    "at half the rate": lambda e: at(e, np.arange(0, 100, 2.0)),
    "at another rate": lambda e: at(e, np.linspace(0, 99, 251)),
    "trembling by a millimetre": lambda e: trembling(e, 0.001),
    "with 3 mm in what is constant": lambda e: trembling(e, 0.003, only=("observation/light",)),
}


def found(episodes):
    return near_copies([outline(one, NAMES) for one in episodes])


@pytest.mark.parametrize("how", COPIES)
def test_a_copy_is_found(how):
    tries = [reach(seed) for seed in range(40)]
    pairs = found([*tries, COPIES[how](tries[7])]).pairs
    assert [(one.first, one.second) for one in pairs] == [(7, 40)]


def test_another_try_from_the_same_start_is_no_copy():
    start = np.array([0.05, -0.02, 0.1, 0.0])
    tries = [reach(seed) for seed in range(40)]
    assert found([*tries, *(reach(seed, start=start + seed * 1e-4) for seed in range(50, 54))]).pairs == ()


def test_no_copy_is_seen_where_there_is_none():
    assert found([reach(seed) for seed in range(150)]).pairs == ()


def test_a_crowd_of_copies_is_one_group_with_its_first():
    tries = [reach(seed) for seed in range(30)]
    crowd = [how(tries[0]) for how in COPIES.values()] + [trembling(tries[0], 0.0005 * k) for k in range(1, 6)]
    pairs = found([*tries, *crowd]).pairs
    assert {one.first for one in pairs} == {0}
    assert [one.second for one in pairs] == list(range(30, 30 + len(crowd)))


def test_a_constant_that_trembles_moves_no_other_try():
    tries = [reach(seed) for seed in range(60)]
    plain = found(tries).spacing
    shaken = found([trembling(one, 0.003, only=("observation/light",)) for one in tries]).spacing
    assert shaken == pytest.approx(plain, rel=0.2)


def test_the_way_back_is_another_way():
    way = np.random.default_rng(0).normal(size=(1, 40, 3)).cumsum(axis=1)
    assert aligned(way, way)[0] == pytest.approx(0.0, abs=1e-6)
    assert aligned(way, way[:, ::-1])[0] > 1.0


def test_half_a_way_is_another_way_whichever_comes_first():
    way = np.stack([np.linspace(0.0, 1.0, 40)] * 2, axis=1)[None]
    assert aligned(way, way[:, :20])[0] == aligned(way[:, :20], way)[0] > 0.1


def test_the_number_of_pairs_grows_with_the_number_of_tries():
    few, many = (found([reach(seed) for seed in range(n)]).compared_n for n in (60, 240))
    assert many < 5 * few < 60 * 59 / 2 * 5


def test_one_try_and_none_have_no_copies():
    assert found([reach(0)]).pairs == ()
    assert near_copies([]).pairs == ()


def test_two_tries_that_are_nearly_equal_are_copies_and_two_others_are_not():
    assert len(found([reach(0), COPIES["in half precision"](reach(0))]).pairs) == 1
    assert found([reach(0), reach(1)]).pairs == ()


def test_bad_samples_are_left_out_and_a_stream_without_any_has_no_outline():
    tries = [reach(seed) for seed in range(20)]
    hand = tries[3]["observation/hand"].values.copy()
    hand[50], hand[60] = np.nan, 1e300
    broken = {**tries[3], "observation/hand": Stream(tries[3]["observation/hand"].t_ns, hand)}
    assert len(found([*tries, {**broken}]).pairs) <= 1
    nothing = {**tries[3], "observation/hand": Stream(tries[3]["observation/hand"].t_ns, np.full_like(hand, np.nan))}
    assert outline(nothing, NAMES) is None


def test_what_is_compared():
    from saqiya.domain.logged import StreamInfo

    def infos(**shapes):
        return [StreamInfo(n.replace("_", "/"), "<f4", (9, *shape), 1.0, "c", "sensor") for n, shape in shapes.items()]

    assert compared(infos(observation_a=(2,), action_executed=(3,), author=(1,), contact_force=(3,))) == (
        ("action/executed", 3),
        ("observation/a", 2),
    )
    assert compared(infos(joint_position=(7,), author=(1,), camera_rgb=(48, 48, 3))) == (("joint/position", 7),)
    assert compared(infos(camera_rgb=(48, 48, 3))) == ()
