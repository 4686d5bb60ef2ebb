"""The file in which a workspace says where its factors are read."""

from pathlib import Path

import pytest

from saqiya.errors import ConfigError
from saqiya.models import condition_file
from saqiya.models.condition_file import parse_rules, read_rules

FILE = Path("factors.toml")
EXAMPLE = condition_file.__doc__.split("\n", 2)[2]


def test_the_example_of_the_module_is_read():
    rules = parse_rules(EXAMPLE, FILE)
    assert rules.values == {"object": ("pear", "melon")}
    assert rules.meanings == {"object": "what is handled"}
    assert rules.impossible == ({"object": "melon", "strategy": "pinch"},)
    assert rules.strategies["suction"].factor == "strategy"
    assert rules.grids["pose region"].ranges == {"object_x": (-0.1, 0.1), "object_y": (0.6, 0.7)}
    picked, dark = rules.rules
    assert picked.value_of("Pick the sweet potato from the counter") == "sweet potato"
    assert picked.value_of("push it") is None
    assert dark.value_of(12) == "dark"
    line = 1 + EXAMPLE[: EXAMPLE.index('factor = "lighting"')].count("\n")
    assert dark.where == f"factors.toml:{line - 1}"


def test_words_and_globs_are_whole_and_heed_no_capitals():
    word, glob, text = parse_rules(
        '[[rule]]\nfactor="o"\nfield="f"\nword="pear"\n'
        '[[rule]]\nfactor="o"\nfield="f"\nglob="*night*"\nvalue="dark"\n[[rule]]\nfactor="o"\nfield="f"',
        FILE,
    ).rules
    assert word.value_of("a Pear.") == "Pear"
    assert word.value_of("pears") is None
    assert glob.value_of("/logs/Night-3.mcap") == "dark"
    assert glob.value_of("day") is None
    assert text.value_of("  as  it is ") == "as it is"


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("[factor.object]\n", 1, "unknown; known: factors"),
        ("\n[factors.object]\nvalue = []", 3, "unknown; known: meaning, values"),
        ('[factors.object]\nvalues = ["a", "A"]', 2, "says a word twice"),
        ('[factors.strategy]\nvalues = ["fling"]', 2, "'fling' is no word for it"),
        ('[[rule]]\nfactor = "a"\nfield = "b"\n[[rule]]\nfactor = "a"', 4, "a rule names its field"),
        ('[[rule]]\nfactor = "a"\nfield = "b"\nword = "x"\nglob = "y"', 5, "a rule has one test"),
        ('[[rule]]\nfactor = "a"\nfield = "b"\nregex = "("', 4, "is no regular expression"),
        ('[[rule]]\nfactor = "a"\nfield = "b"\nrange = [2, 1]', 4, "low below high"),
        ('[[rule]]\nfactor = "a"\nfield = "b"\nrange = [1, 2]', 4, "needs a value"),
        ('[[rule]]\nfactor = "arms"\nfield = "b"\nvalue = "push"', 4, "no word for it; known: one arm, two arms"),
        ("[region.table]\nx = [0, inf]", 1, "must be finite"),
        ("[region.table]\nx = [0, 1]\ny = [0, 1]\ncuts = 9", 1, "more than 27 regions"),
        ("[region.table]\ncuts = 3", 1, "names no start factor"),
        ('[strategies.push]\nmeaning = "x"', 1, "is built in"),
        ('[strategies.Sling]\nmeaning = "x"', 1, "small letters"),
        ('[strategies.sling]\nfactor = "arms"', 1, "must say what the word means"),
        ('[[impossible]]\nobject = "a"\nlight = "b"\n[[impossible]]\nobject = "a"', 4, "must be two factors"),
        ("rule = 3", 1, "must be sections that begin with [[rule]]"),
        ("factors = 3", 1, "must be a section"),
        ("[factors\n", 0, "is not TOML"),
    ],
)
def test_what_is_wrong_is_told_with_file_and_line(text, line, said):
    with pytest.raises(ConfigError) as caught:
        parse_rules(text, FILE)
    assert said in str(caught.value)
    assert caught.value.subject == (f"factors.toml:{line}" if line else "factors.toml")


def test_without_a_file_logs_speak_for_themselves(tmp_path):
    assert read_rules(tmp_path / "factors.toml").rules == ()
    (tmp_path / "factors.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_rules(tmp_path / "factors.toml")
