from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.ids import digest_of
from saqiya.errors import ConfigError, UsageError
from saqiya.triage.vocabulary import COARSE, EDITION, UNNAMED, built_in, parse, read_vocabulary

PATH = Path("wheel/vocabulary.toml")
OWN = """
[words.lid_not_found]
parent = "grasp_failure"
meaning = "the lid was never found"
severity = 1.5

[severity]
collision = 5

[retired]
weak_grasp = "no_grasp"
"""
FROZEN = {"2": "5ee6"}


def test_every_word_hangs_below_a_coarse_one():
    assert {entry.parent for entry in built_in().words.values()} == {*COARSE, UNNAMED}
    assert all(built_in().word(name).parent == name for name in COARSE)


def test_built_in_words_change_only_with_their_edition():
    said = ";".join(f"{one.name}<{one.parent}: {one.meaning}" for one in built_in().words.values())
    assert FROZEN[EDITION] == digest_of(said.encode())[:4], "raise EDITION in triage/vocabulary.py, and freeze it here"


def test_a_word_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match="slip"):
        built_in().word("oops")


def test_a_workspace_adds_weighs_and_retires_words():
    found = parse(OWN, PATH)
    lid = found.word("lid_not_found")
    assert (lid.parent, lid.meaning, lid.severity) == ("grasp_failure", "the lid was never found", 1.5)
    assert (found.word("collision").severity, built_in().word("collision").severity) == (5.0, 2.0)
    assert {one.name for one in found.current} == set(built_in().words) - {"weak_grasp"} | {"lid_not_found"}


def test_an_old_label_means_what_came_after_it():
    found = parse('[retired]\nweak_grasp = "slip"\nslip = "no_grasp"\n', PATH)
    assert found.resolve("weak_grasp") == "no_grasp"
    assert found.word("weak_grasp").name == "no_grasp"
    assert found.resolve("stall") == "stall"


def test_a_cluster_without_a_name_weighs_as_what_is_unnamed():
    assert built_in().word("unknown-3").parent == UNNAMED
    assert built_in().resolve("unknown-3") == "unknown-3"


def test_a_version_is_its_content_without_weights():
    assert built_in().version == parse("", PATH).version == parse("[severity]\nslip = 3", PATH).version == EDITION
    assert parse(OWN, PATH).version == parse(OWN.replace("1.5", "9"), PATH).version
    others = {parse(OWN.replace(old, new), PATH).version for old, new in (("never", "not"), ("lid_", "top_"))}
    assert len({EDITION, parse(OWN, PATH).version, *others}) == 4


def test_without_a_file_the_built_in_words_are_all(tmp_path):
    assert read_vocabulary(tmp_path / "vocabulary.toml") == built_in()
    (tmp_path / "vocabulary.toml").write_bytes(b"\xef\xbb\xbf" + OWN.encode())
    assert read_vocabulary(tmp_path / "vocabulary.toml") == parse(OWN, PATH)
    (tmp_path / "vocabulary.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"vocabulary.toml: cannot be read"):
        read_vocabulary(tmp_path / "vocabulary.toml")


MEANT = 'parent = "pose_error"\nmeaning = "m"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[words", r"vocabulary.toml: is not TOML"),
        ("words = 3", r"vocabulary.toml:1: words: must be a section"),
        ("\n[colour]", r"vocabulary.toml:2: colour: unknown section"),
        (f"[words.slip]\n{MEANT}", r"toml:1: words.slip: is built in and keeps its meaning"),
        (f"[words.Slip-2]\n{MEANT}", r"toml:1: words.Slip-2: a word is small letters"),
        ("[words]\nlost = 1", r"toml:2: words.lost: must be a section"),
        (f"[words.lost]\n{MEANT}\nbad = 1", r"toml:4: words.lost.bad: unknown key"),
        ('[words.lost]\nmeaning = "m"\nparent = "slip"', r"toml:3: words.lost.parent: must be one of grasp_failure"),
        ('[words.lost]\nmeaning = "m"', r"toml:1: words.lost.parent: must be one of"),
        ('[words.lost]\nparent = "pose_error"\nmeaning = " "', r"toml:3: words.lost.meaning: must say"),
        (f"[words.lost]\n{MEANT}\nseverity = true", r"toml:4: words.lost.severity: must be a number above 0"),
        ("[severity]\nslip = 0", r"toml:2: severity.slip: must be a number above 0"),
        ("[severity]\nslip = inf", r"toml:2: severity.slip: must be a number above 0"),
        ("[severity]\noops = 1", r"toml:2: severity.oops: there is no such word"),
        (f"[words.lost]\n{MEANT}\n[severity]\nlost = 2", r"toml:5: severity.lost: is a word of this file"),
        ('[retired]\noops = "slip"', r"toml:2: retired.oops: there is no such word"),
        ('[retired]\nslip = "oops"', r"toml:2: retired.slip: its successor 'oops' is not a word"),
        ("[retired]\nslip = 1", r"toml:2: retired.slip: its successor 1"),
        ('[retired]\nunnamed = "slip"', r"toml:2: retired.unnamed: the coarse words and unnamed stay"),
        ('[retired]\nslip = "stall"\nstall = "slip"', r"toml:2: retired.slip: goes round in a circle: slip -> stall"),
    ],
)
def test_a_mistake_is_named_with_file_line_and_key(text, said):
    with pytest.raises(ConfigError, match=said):
        parse(text, PATH)


@given(st.text(alphabet="[]words.lip=\"'severtd_ \n1x{}", max_size=60))
def test_whatever_is_written_is_understood_or_refused(text):
    with contextlib.suppress(ConfigError):
        assert set(built_in().words) <= set(parse(text, PATH).words)
