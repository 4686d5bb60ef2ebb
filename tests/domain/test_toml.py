"""Where a key stands in a text that people wrote."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.toml import line_of, name_of

TEXT = """top = 1

[plain]                      # with a word behind it
a = 1
"quoted key" = 2
dotted.deep = 3
list = [
  "[other]",
  "b = 1",
]

[ outer . "in ner" ]
a = 4

[[many]]
a = 5
[[many]]
a = 6
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("top",), 1),
        (("plain",), 3),
        (("plain", "a"), 4),
        (("plain", "quoted key"), 5),
        (("plain", "dotted", "deep"), 6),
        (("plain", "dotted"), 6),
        (("outer", "in ner", "a"), 13),
        (("many", 0, "a"), 16),
        (("many", 1, "a"), 18),
        (("many", 1), 17),
    ],
)
def test_a_key_is_found_on_its_line(where, line):
    assert line_of(TEXT, where) == line


@pytest.mark.parametrize(("where", "line"), [(("plain", "lacks"), 3), (("lacks",), 1), ((), 1), (("many", 1, "b"), 17)])
def test_what_is_not_there_leads_to_where_it_belongs(where, line):
    assert line_of(TEXT, where) == line


def test_a_way_is_named_as_people_count():
    assert name_of(("rule", 0, "field")) == "rule.1.field"
    assert name_of(()) == "the file"


BARE = st.text("abcz_-", min_size=1, max_size=3)


@given(st.dictionaries(BARE, st.dictionaries(BARE, st.integers(0, 9), max_size=3), max_size=4))
def test_every_key_of_any_text_is_on_the_line_that_is_named(tables):
    text = "\n".join(
        line
        for name, keys in tables.items()
        for line in (f"[{name}]", *(f"{key} = {n}" for key, n in keys.items()), "")
    )
    assert tomllib.loads(text) == tables
    lines = text.splitlines()
    for name, keys in tables.items():
        assert lines[line_of(text, (name,)) - 1] == f"[{name}]"
        for key, n in keys.items():
            assert lines[line_of(text, (name, key)) - 1] == f"{key} = {n}"
