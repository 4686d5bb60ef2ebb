from __future__ import annotations

import pytest

from saqiya.errors import UsageError
from saqiya.triage.vocabulary import COARSE, UNNAMED, WORDS, word


def test_every_word_hangs_below_a_coarse_one():
    assert {entry.parent for entry in WORDS.values()} == {*COARSE, UNNAMED}
    assert all(word(name).parent == name for name in COARSE)


def test_a_word_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match="slip"):
        word("oops")
