import numpy as np

from saqiya.ingest.audit import VERSION, audit
from saqiya.ingest.findings import rules_of


def test_a_good_try_is_good_and_says_what_it_lacks(robot_try):
    made = audit(robot_try(0))
    assert made.judgement.verdict == "good"
    assert "uncertainty" in made.missing
    noun = made.as_noun("audit-x", "episode-x")
    assert (noun.verdict, noun.version) == ("good", VERSION)
    assert all({"check", "stream", "severity", "what", "figures"} == set(one) for one in noun.findings)


def test_a_fault_quarantines_and_an_ignored_check_is_not_shown(robot_try, swap):
    values = np.array(robot_try(1).streams["action/executed"].values)
    values[100] = np.nan
    log = swap(robot_try(1), "action/executed", values=values)
    assert audit(log).judgement.verdict == "quarantined"
    ignored = audit(log, rules=rules_of({"values/not-finite": "ignore"}))
    assert ignored.judgement.verdict == "good"
    assert "values/not-finite" not in {one["check"] for one in ignored.as_noun("a", "b").findings}


def test_the_same_try_is_audited_alike_twice(robot_try):
    assert audit(robot_try(2)).findings == audit(robot_try(2)).findings
