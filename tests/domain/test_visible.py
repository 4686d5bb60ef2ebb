"""What people can see of what they type."""

import pytest

from saqiya.domain.visible import line, words

NOTHING = ["", " ", "\u200b", "\u200b\u200c\u200d", "\ufeff", "\t\n", "\u00a0", "\u3164", "\u2800", "\u202e", "\u00ad",
           "\ufe0f", "\u0301", "\x07", "\u2028", "\U000e0041"]  # fmt: skip


@pytest.mark.parametrize("text", NOTHING, ids=ascii)
def test_what_nobody_sees_is_nothing(text):
    assert (words(text), line(text), words(f" {text}\n")) == ("", "", "")


@pytest.mark.parametrize(
    "text",
    ["slip", "it slipped\n\nthen fell", "greift zu früh", "می‌خواهم", "क्‍ष", "👩‍🔧", "שלום", "قلم", "3 %", "a\tb", "é"],
)
def test_what_people_write_in_any_language_stays_as_it_is(text):
    assert words(text) == text


def test_what_hides_in_words_is_taken_out():
    assert words("sl\u200bip\u202e") == "slip"
    assert words("  \ufeffslip ") == "slip"
    assert words("a\r\nb\x00") == "a\nb"


def test_a_line_is_one():
    assert line(" two\n\n  words\t\u2028now ") == "two words now"
