"""What became of corrections, in words."""

from saqiya.correct.became import told


def said(**how):
    given = {
        "accepted": 5,
        "held": False,
        "after": (3, 50),
        "change": (-0.1, -0.2, -0.01),
        "starts": (4, 5),
        "declared": True,
    }
    return told(**{**given, **how})


def test_the_words_claim_no_more_than_the_interval():
    assert said().startswith("the mode became rarer; 4 of 5")
    assert said(change=(0.1, 0.02, 0.2)).startswith("the mode became more frequent")
    assert said(change=(-0.1, -0.2, 0.01)).startswith("no change that the interval can tell from zero")


def test_what_was_not_trained_on_is_said():
    assert said(after=None, change=None) == "not yet trained on"
    assert said(held=True, after=None, change=None).startswith("trained on; the gate")
    assert said(accepted=0) == "none was accepted, so nothing was trained on"


def test_a_foreign_policy_is_not_credited():
    assert "is not declared" in said(declared=False)
    assert said(after=None, change=None, declared=False) == "no later policy has been deployed yet"
