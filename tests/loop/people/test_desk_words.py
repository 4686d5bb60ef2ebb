"""What nobody can see is no name, no reason and no value; what hides in words is not kept."""

import pytest

from saqiya.domain.nouns import FactorClaim, Rank, Verdict
from saqiya.errors import UsageError
from saqiya.stores.people import Profile

UNSEEN = "\u200b\u2060 \u3164"


def test_a_reason_that_nobody_sees_is_none(crowd):
    request = crowd.request()
    handed = crowd.handed_in("ann")
    with pytest.raises(UsageError, match="reason"):
        crowd.desk.review(handed.id, "rex", Verdict.REJECT, UNSEEN)
    with pytest.raises(UsageError, match="words"):
        crowd.desk.dismiss(request.failures[0], "sue", UNSEEN)
    with pytest.raises(UsageError, match="words"):
        crowd.desk.advise(request.failures[0], "sue", UNSEEN)
    with pytest.raises(UsageError, match="none empty"):
        crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, labels=(UNSEEN,))
    with pytest.raises(UsageError, match="without a value"):
        crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, labels=(f"light={UNSEEN}",))


def test_what_hides_in_words_is_not_kept(crowd):
    request = crowd.request()
    handed = crowd.handed_in("ann")
    assert crowd.desk.advise(request.failures[0], "sue", " lift\u200b it\u202e ").text == "lift it"
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, labels=("li\u200bght=dim\u2060",))
    assert [(one.factor, one.value) for one in crowd.catalog.all(FactorClaim)] == [("light", "dim")]
    with pytest.raises(UsageError, match="factor=value"):
        crowd.wheel.pump.factors.say([handed.episode], {"light": "\u200b"}, author="rex")


def test_a_name_that_looks_like_another_is_none(crowd):
    with pytest.raises(UsageError, match="cannot name"):
        crowd.people("a\u3164nn")
    made, _ = crowd.wheel.staff.add(
        "dora", Rank.OPERATOR, by="test", profile=Profile(skills=("p\u200beg", UNSEEN, "peg"))
    )
    assert made.profile.skills == ("peg",)
    with pytest.raises(UsageError, match="what it is for"):
        crowd.wheel.staff.issue("ann", UNSEEN, ["viewer"], days=1, by="ann")
