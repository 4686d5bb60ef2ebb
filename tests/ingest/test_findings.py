import json

import pytest

from saqiya.errors import UsageError
from saqiya.ingest.findings import Act, Finding, Severity, figures, judge, rules_of

FROZEN = Finding("values/frozen", "observation/joints", Severity.FAULT, "stands still")
GAP = Finding("clock/gap", "camera/front", Severity.WARNING, "nothing for 2 s")
EMPTY = Finding("values/none-finite", "action/executed", Severity.FAULT, "no number at all")


def test_by_default_faults_quarantine_warnings_warn_and_actions_without_numbers_reject():
    assert judge([GAP]).verdict == "good"
    assert judge([GAP, FROZEN]).because == (FROZEN,)
    assert judge([GAP, FROZEN]).verdict == "quarantined"
    assert judge([GAP, FROZEN, EMPTY]).verdict == "rejected"
    assert judge([]).verdict == "good"


def test_the_users_rules_win_and_can_name_check_stream_and_severity():
    assert judge([FROZEN], rules_of({"values/frozen": "reject"})).verdict == "rejected"
    assert judge([FROZEN], rules_of({"values/*:observation/*": "ignore"})).acts == (Act.IGNORE,)
    assert judge([FROZEN], rules_of({"values/*:action/*": "ignore"})).verdict == "quarantined"
    assert judge([GAP], rules_of({"clock/*!warning": "quarantine"})).because == (GAP,)


def test_the_last_rule_that_fits_decides():
    assert judge([FROZEN], rules_of({"values/*": "ignore", "*/frozen": "reject"})).verdict == "rejected"


def test_an_act_that_is_none_is_refused():
    with pytest.raises(UsageError, match="says 'delete'"):
        rules_of({"values/frozen": "delete"})


def test_figures_are_exact_json():
    made = figures(a=1 / 3, b=float("nan"), c="x", d=[1.0, float("inf")], n=1_750_000_000_000_000_001)
    assert json.loads(json.dumps(made)) == {
        "a": 0.333333, "b": None, "c": "x", "d": [1.0, None], "n": 1_750_000_000_000_000_001
    }  # fmt: skip
