from saqiya.measure.rollouts import teaching


def test_new_failures_and_strange_states_teach():
    found = teaching("policy:1", ["", "slip"] * 50, {"dropped"}, bits=None, seed=0)
    assert (found.verdict, found.fresh, found.failures) == ("teach", 50, 50)
    strange = teaching("policy:1", [""] * 100, {"slip"}, bits=([9.0, 11.0] * 10, [1.0, 1.2] * 10), seed=0)
    assert strange.verdict == "teach"
    assert strange.ratio[1] > 5.0


def test_known_failures_and_bits_at_the_floor_teach_no_more():
    modes = ["slip"] * 20 + [""] * 480
    found = teaching("policy:1", modes, {"slip"}, bits=([1.0, 1.1] * 20, [1.0, 1.1] * 20), seed=0)
    assert (found.verdict, found.fresh) == ("stopped", 0)
    assert found.said.startswith("Rollouts of policy:1 have stopped teaching: 0 of 500 tries")


def test_a_few_rollouts_cannot_tell():
    assert teaching("policy:1", [""] * 20, (), bits=None, seed=0).verdict == "cannot tell"
    assert teaching("policy:1", ["slip"], (), bits=None, seed=0).fresh_high == 1.0
