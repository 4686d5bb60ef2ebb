import numpy as np

from saqiya.models.copies import group_copies


def windows(n: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).normal(size=(n, 15, 6)))


def test_different_windows_stay_apart():
    assert len(set(group_copies(windows(6)).tolist())) == 6


def test_copies_are_found_whatever_the_order_of_their_rows():
    first, second, third = windows(3)
    shuffled = first[np.random.default_rng(1).permutation(15)]
    group = group_copies([first, second, shuffled, third])
    assert group[0] == group[2]
    assert len(set(group.tolist())) == 3


def test_overlapping_cuts_of_one_event_belong_together_in_a_chain():
    long = np.random.default_rng(2).normal(size=(35, 6))
    group = group_copies([long[0:15], long[10:25], long[20:35], *windows(2)])
    assert len(set(group[:3].tolist())) == 1
    assert len(set(group.tolist())) == 3


def test_a_sensor_at_rest_is_no_copy():
    rng = np.random.default_rng(3)
    rest = [np.vstack([np.zeros((10, 6)), rng.normal(size=(5, 6))]) for _ in range(12)]
    assert len(set(group_copies(rest).tolist())) == 12
