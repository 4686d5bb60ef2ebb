from __future__ import annotations

import numpy as np

from saqiya.triage.conditions import tabulate


def test_words_stay_words_and_what_is_not_said_stays_unknown():
    table = tabulate([{"light": "dark"}, {"light": "bright"}, {}])
    assert (table.factors, table.values) == (("light",), (("bright", "dark"),))
    assert table.codes[:, 0].tolist() == [1, 0, -1]


def test_numbers_are_cut_into_quarters():
    table = tabulate([{"x": value} for value in np.linspace(0.0, 1.0, 41)])
    assert table.values == (("0 to 0.25", "0.275 to 0.5", "0.525 to 0.75", "0.775 to 1"),)
    assert np.bincount(table.codes[:, 0]).tolist() == [11, 10, 10, 10]


def test_numbers_written_as_text_are_numbers():
    said = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert tabulate([{"x": str(one)} for one in said]).values == tabulate([{"x": one} for one in said]).values


def test_numbers_that_come_again_and_again_are_names():
    stations = [{"station": str(1 + n % 8)} for n in range(40)]
    assert tabulate(stations).values == (tuple("12345678"),)
    assert len(tabulate(stations[:39]).values[0]) == 4
    assert len(tabulate([{"x": float(n % 13)} for n in range(400)]).values[0]) == 4


def test_a_few_numbers_and_numbers_among_words_are_words():
    assert tabulate([{"shelf": 1.0}, {"shelf": 2.0}, {"shelf": 2.0}]).values == (("1", "2"),)
    mixed = tabulate([{"bin": value} for value in ("1", "2", "3", "4", "5", "left")])
    assert mixed.values == (("1", "2", "3", "4", "5", "left"),)


def test_a_number_that_most_tries_share_is_a_bin_of_its_own():
    others = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    low, high = (tabulate([{"x": value} for value in [most] * 20 + others]) for most in (0.0, 9.0))
    assert (low.values, high.values) == ((("0", "1 to 6"),), (("1 to 6", "9"),))


def test_bins_of_large_numbers_keep_names_of_their_own():
    (words,) = tabulate([{"stamp": 1.7e9 + second} for second in range(8)]).values
    assert len(set(words)) == 4


def test_one_value_says_nothing():
    assert tabulate([{"light": "dark", "x": float("nan")}] * 3).factors == ()
    assert tabulate([]).codes.shape == (0, 0)
