from saqiya.models.groups import earliest


def test_what_shares_a_member_is_one_group_known_by_its_earliest():
    assert earliest([("c", "b"), ("d", "c"), ("x", "y")]) == {"b": "b", "c": "b", "d": "b", "x": "x", "y": "x"}


def test_the_order_of_pairs_changes_nothing():
    pairs = [(5, 4), (3, 2), (4, 3), (9, 8), (2, 5)]
    assert earliest(pairs) == earliest(pairs[::-1]) == {2: 2, 3: 2, 4: 2, 5: 2, 8: 8, 9: 8}


def test_long_chains_are_one_group():
    assert set(earliest((n + 1, n) for n in range(50_000)).values()) == {0}
