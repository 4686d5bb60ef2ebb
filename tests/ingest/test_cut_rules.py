import tomllib

import pytest

from saqiya.errors import InvalidMapping
from saqiya.ingest import cut_rules
from saqiya.ingest.cut_rules import TableRow, read_rules, rules_from


def test_the_rules_that_the_module_shows_are_good_but_for_the_two_ways_in_one():
    shown = tomllib.loads(cut_rules.__doc__.split("\n", 2)[2])
    with pytest.raises(InvalidMapping, match=r"stand alone|must be a list"):
        rules_from(shown)
    del shown["table"]
    rules = rules_from(shown)
    assert rules.home.radius == 0.05
    assert rules.limits.max_s == 600.0


def test_rules_come_back_from_what_a_cut_keeps():
    raw = {
        "start": [{"event": "a*", "detail": "x"}, {"stream": "g", "column": "width", "above": 1, "hold_s": 2}],
        "end": [{"event": "b", "outcome": "failed"}],
        "home": {"stream": "j", "pose": [0, 1.5]},
        "limits": {"pre_s": 1},
    }
    rules = rules_from(raw)
    assert rules_from(rules.as_json()) == rules
    assert "hold_s" not in str(rules_from({"start": [{"event": "a"}]}).as_json())


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ({}, "nothing says where"),
        ({"begin": []}, "begin: unknown section"),
        ({"start": {"event": "a"}}, r"write \[\[start\]\]"),
        ({"start": [{"event": "a", "stream": "b"}]}, "only one"),
        ({"start": [{"stream": "b"}]}, "either above or below"),
        ({"start": [{"stream": "b", "above": True}]}, "must be a number, not True"),
        ({"start": [{"stream": "b", "above": float("nan")}]}, "must be a number"),
        ({"start": [{"event": "a", "colour": "red"}]}, "colour: unknown key"),
        ({"end": [{"event": "a", "outcome": "splendid"}]}, "no outcome"),
        ({"idle": {}}, "must say longer_s"),
        ({"idle": {"longer_s": 0}}, "above 0"),
        ({"home": {"stream": 3}}, "must be a text"),
        ({"start": [{"event": "a"}], "limits": {"min_s": 9.0, "max_s": 3.0}}, "above min_s"),
        ({"start": [{"event": "a"}], "limits": {"leftovers": "eat"}}, "drop or keep"),
        ({"start": [{"event": "a"}], "table": [{"start": "1"}]}, "stand alone"),
    ],
)
def test_what_is_wrong_is_named(raw, said):
    with pytest.raises(InvalidMapping, match=said):
        rules_from(raw)


def test_a_table_lies_beside_the_rules_and_is_kept_with_them(tmp_path):
    (tmp_path / "rules.toml").write_text('[table]\nfile = "t.csv"\n')
    (tmp_path / "t.csv").write_text("Start (s);End;Result;Task\n1.5;2;ok;sort bolts\n\n3;4;;\n")
    rules = read_rules(tmp_path / "rules.toml")
    assert rules.table == (TableRow("1.5", "2", "", "ok", "sort bolts", 2), TableRow("3", "4", line=4))
    assert rules_from(rules.as_json()) == rules


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "cannot be read"),
        ({"rules.toml": "start = ["}, "is not TOML"),
        ({"rules.toml": '[table]\nfile = "t.csv"'}, "cannot be read"),
        ({"rules.toml": "[table]\nfile = 3"}, "must name one file"),
        ({"rules.toml": '[table]\nfile = "t.csv"', "t.csv": "when,until\n1,2\n"}, "no column that says when"),
        ({"rules.toml": '[table]\nfile = "t.csv"', "t.csv": "start,end\n,2\n"}, r"t.csv:2: says no start"),
        ({"rules.toml": '[table]\nfile = "t.csv"', "t.csv": ""}, "no column that says when"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, files, said):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(InvalidMapping, match=said):
        read_rules(tmp_path / "rules.toml")
