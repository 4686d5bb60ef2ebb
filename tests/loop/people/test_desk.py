"""Who works on what: claims, leases, submissions, reviews, and what is said of failures."""

from dataclasses import replace

import numpy as np
import pytest

from saqiya.domain.nouns import Correction, FactorClaim, Lineage, Policy, Rank, Verdict
from saqiya.domain.streams import Span, Stream
from saqiya.errors import GuardRefusal, LeaseLost, NothingOpen, UnknownId, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.people import Profile

HOUR = 3600 * 1_000_000_000


def corrections(crowd):
    return [(one.operator, one.accepted) for one in crowd.catalog.all(Correction)]


def test_a_correction_goes_from_the_queue_to_the_lessons(crowd):
    request = crowd.request()
    (offer,) = crowd.desk.queue("ann")
    assert (offer.request, offer.slot, offer.left, offer.blocked) == (request, 0, 1, "")
    lease = crowd.desk.claim("ann")
    assert (lease.failure, lease.start) == (request.failures[0], request.starts[0])
    handed = crowd.desk.submit(lease.id, "ann", crowd.episode().id, "easy")
    assert (handed.human_steps, handed.takeovers, handed.hesitation) == (10, 1, 0.0)
    assert crowd.desk.queue("ann") == ()
    (waiting,) = crowd.desk.reviews("rex")
    assert waiting.submission == handed
    assert corrections(crowd) == []
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT)
    assert corrections(crowd) == [("ann", True)]
    assert crowd.desk.reviews("rex") == ()
    assert crowd.wheel.verify().lies == ()


def test_a_slot_is_given_once_until_its_lease_expires(crowd, now):
    crowd.request()
    lease = crowd.desk.claim("ann")
    with pytest.raises(NothingOpen):
        crowd.desk.claim("bob")
    now.ns += HOUR
    assert crowd.desk.claim("bob").slot == lease.slot
    with pytest.raises(LeaseLost, match="claim again"):
        crowd.desk.submit(lease.id, "ann", crowd.episode().id)


def test_an_expired_lease_is_still_its_holders_while_nobody_else_took_the_slot(crowd, now):
    crowd.request()
    lease = crowd.desk.claim("ann")
    now.ns += HOUR
    assert crowd.desk.renew(lease.id, "ann").until_ns > now.ns
    with pytest.raises(NothingOpen):
        crowd.desk.claim("bob")
    assert crowd.desk.submit(lease.id, "ann", crowd.episode().id).operator == "ann"


def test_a_claim_told_twice_is_one_and_so_is_a_submission(crowd):
    request = crowd.request()
    first, again = (crowd.desk.claim("ann", request.id) for _ in range(2))
    assert first.id == again.id
    episode = crowd.episode()
    assert crowd.desk.submit(first.id, "ann", episode.id) == crowd.desk.submit(first.id, "ann", episode.id)
    with pytest.raises(LeaseLost, match="another episode"):
        crowd.desk.submit(first.id, "ann", crowd.episode().id)
    crowd.desk.review(crowd.desk.reviews("rex")[0].submission.id, "rex", Verdict.ACCEPT)
    assert crowd.desk.submit(first.id, "ann", episode.id).episode == episode.id


def test_what_was_handed_back_is_open_again_at_once(crowd):
    crowd.request()
    lease = crowd.desk.claim("ann")
    crowd.desk.hand_back(lease.id, "ann", "the gripper is broken")
    assert crowd.desk.claim("bob").slot == 0
    with pytest.raises(LeaseLost):
        crowd.desk.renew(lease.id, "ann")
    assert crowd.desk.trail.read(who="ann")[0].detail == {"reason": "the gripper is broken"}


def test_an_episode_answers_one_slot(crowd):
    crowd.request(2)
    episode = crowd.episode()
    crowd.desk.submit(crowd.desk.claim("ann").id, "ann", episode.id)
    with pytest.raises(GuardRefusal, match="handed in before"):
        crowd.desk.submit(crowd.desk.claim("ann").id, "ann", episode.id)


def test_what_is_sent_back_is_its_operators_first_and_then_anybodys(crowd, now):
    crowd.request()
    handed = crowd.handed_in("ann")
    crowd.desk.review(handed.id, "rex", Verdict.SEND_BACK, "the cup is not in the picture")
    assert corrections(crowd) == []
    with pytest.raises(NothingOpen):
        crowd.desk.claim("bob")
    with pytest.raises(LeaseLost, match="sent back"):
        crowd.desk.submit(crowd.desk.trail.read(who="ann")[0].detail["lease"], "ann", crowd.episode().id)
    (offer,) = crowd.desk.queue("ann")
    assert offer.first
    again = crowd.handed_in("ann")
    with pytest.raises(LeaseLost, match="rex decided it"):
        crowd.desk.review(handed.id, "sue", Verdict.ACCEPT)
    crowd.desk.review(again.id, "rex", Verdict.SEND_BACK, "still not")
    now.ns += 25 * HOUR
    crowd.desk.review(crowd.handed_in("bob").id, "rex", Verdict.ACCEPT)
    assert corrections(crowd) == [("bob", True)]
    assert crowd.wheel.verify().lies == ()


def test_a_rejection_is_a_correction_that_teaches_nothing_and_closes_the_slot(crowd):
    request = crowd.request()
    crowd.desk.review(crowd.handed_in("ann").id, "rex", Verdict.REJECT, "wrong object")
    (correction,) = crowd.catalog.referring(request.id, Correction)
    assert (correction.accepted, correction.reason) == (False, "rex: wrong object")
    with pytest.raises(NothingOpen):
        crowd.desk.claim("bob")


def test_nobody_reviews_their_own_and_two_do_not_look_at_one(crowd, now):
    crowd.request(2)
    handed = crowd.handed_in("ann")
    with pytest.raises(GuardRefusal, match="your own"):
        crowd.desk.review(handed.id, "ann", Verdict.ACCEPT)
    assert crowd.desk.take("rex").submission == handed
    assert crowd.desk.take("rex").submission == handed
    with pytest.raises(NothingOpen):
        crowd.desk.take("sue")
    with pytest.raises(LeaseLost, match="rex looks"):
        crowd.desk.review(handed.id, "sue", Verdict.ACCEPT)
    now.ns += HOUR
    assert crowd.desk.take("sue").submission == handed


def test_a_verdict_needs_what_its_operator_can_learn_from(crowd):
    crowd.request()
    handed = crowd.handed_in("ann")
    with pytest.raises(UsageError, match="reason"):
        crowd.desk.review(handed.id, "rex", Verdict.REJECT, " ")
    with pytest.raises(UsageError, match="inside"):
        crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, spans=[Span(0, 10**12)])
    with pytest.raises(UsageError, match="teaches"):  # the policy acted there
        crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, spans=[Span(0, 10**9)])
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, labels=("object=cup", "slow"))
    assert [(one.factor, one.value, one.author) for one in crowd.catalog.all(FactorClaim)] == [("object", "cup", "rex")]


def test_a_label_that_contradicts_another_is_refused_and_not_dropped(crowd):
    crowd.request()
    handed = crowd.handed_in("ann")
    with pytest.raises(UsageError, match="factor twice"):
        crowd.desk.review(handed.id, "rex", Verdict.ACCEPT, labels=("light=dim", "light = dark"))


def test_only_the_spans_that_a_reviewer_named_are_mixed(crowd):
    from saqiya.mix import stage

    request = crowd.request(2)
    whole, part = (crowd.handed_in("ann", request) for _ in range(2))
    crowd.desk.review(whole.id, "rex", Verdict.ACCEPT)
    crowd.desk.review(part.id, "rex", Verdict.ACCEPT, spans=[Span(0, 12 * 10**8), Span(15 * 10**8, 17 * 10**8)])
    corrections = crowd.catalog.all(Correction)
    version = stage.run(crowd.wheel.store, corrections, parent=None, evaluation=(), note="", key="mixed")
    spans = [(one.episode, one.start_ns / 1e8, one.end_ns / 1e8) for one in version.entries]
    assert [one[1:] for one in spans if one[0] == whole.episode] == [(10.0, pytest.approx(19.0))]
    assert [one[1:] for one in spans if one[0] == part.episode] == [(10.0, 12.0), (15.0, 17.0)]


def test_a_recording_that_does_not_say_who_acted_teaches_whole(crowd):
    from saqiya.mix import stage

    request = crowd.request()
    executed = Stream(np.array([0, 10**8]), np.array([[0.1], [0.2]]))
    handed = crowd.handed_in("ann", request, held={"action/executed": executed})
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT)
    version = stage.run(crowd.wheel.store, crowd.catalog.all(Correction), parent=None, evaluation=(), note="", key="m")
    assert [(one.start_ns, one.end_ns) for one in version.entries] == [(0, 10**8 + 1)]


def test_an_assigned_failure_is_offered_to_one_person_until_it_is_undone(crowd):
    crowd.request()
    request = crowd.request()
    made = crowd.desk.assign(request.failures[0], "bob", "sue")
    with pytest.raises(NothingOpen):
        crowd.desk.claim("ann", request.id)
    assert crowd.desk.queue("bob")[0].request == request
    assert crowd.desk.claim("bob").request == request
    crowd.desk.hand_back(crowd.desk.held("bob")[0].id, "bob")
    crowd.desk.undo(made.id, "sue")
    assert crowd.desk.claim("ann", request.id).person == "ann"


def test_a_failure_is_assigned_to_nobody_who_takes_no_work(crowd):
    crowd.people("vera", rank=Rank.VIEWER)
    with pytest.raises(GuardRefusal, match="takes no work"):
        crowd.desk.assign(crowd.request().failures[0], "vera", "sue")


def test_what_somebody_was_asked_for_who_left_is_open_to_all(crowd):
    request = crowd.request()
    crowd.desk.assign(request.failures[0], "bob", "sue")
    with pytest.raises(NothingOpen):
        crowd.desk.claim("ann")
    crowd.desk.people.change("bob", by="sue", now_ns=1, disabled=True)
    assert crowd.desk.queue("ann")[0].request == request
    assert crowd.desk.claim("ann").request == request


def test_a_try_of_a_policy_alone_is_no_correction(crowd):
    request = crowd.request()
    lease, t_ns = crowd.desk.claim("ann"), np.array([0, 10**8])
    held = {"action/executed": Stream(t_ns, np.ones((2, 1))), "author": Stream(t_ns, np.zeros((2, 1), np.uint8))}
    policy = Policy(
        id=crowd.id("policy"), name="p", lineage=Lineage.UNKNOWN, trainer="t", weights=None, spec=None, dataset=None
    )  # fmt: skip
    alone = crowd.episode(held=held, policy=crowd.put("policy/0", policy).id)
    with pytest.raises(GuardRefusal, match="nobody took over"):
        crowd.desk.submit(lease.id, "ann", alone.id)
    assert crowd.desk.held("ann")[0].request == request


def test_nobody_is_asked_to_correct_what_was_dismissed_until_that_is_undone(crowd):
    request = crowd.request()
    made = crowd.desk.dismiss(request.failures[0], "sue", "the cell was moved")
    assert crowd.desk.queue("ann") == ()
    crowd.desk.undo(made.id, "sue")
    assert len(crowd.desk.queue("ann")) == 1
    again = crowd.desk.dismiss(request.failures[0], "sue", "it was moved after all")
    assert again.id != made.id
    assert crowd.desk.queue("ann") == ()


def test_only_what_can_be_undone_is(crowd):
    request = crowd.request()
    with pytest.raises(UsageError, match="cannot be undone"):
        crowd.desk.undo(request.id, "sue")


def test_a_stranger_gets_no_work(crowd):
    crowd.request()
    with pytest.raises(UnknownId, match="saqiya people add"):
        crowd.desk.claim("zoe")
    crowd.desk.people.change("bob", by="sue", now_ns=1, disabled=True)
    with pytest.raises(UnknownId, match="disabled"):
        crowd.desk.claim("bob")


def test_the_scripted_expert_leaves_to_people_what_they_gave_or_work_on(fresh, new_wheel):
    path = new_wheel(fresh / "wheel")
    with Flywheel(path) as wheel:
        request = wheel.record()
        wheel.desk.people.add("ann", Rank.OPERATOR, "", Profile(), by="test", now_ns=1)
        lease = wheel.desk.claim("ann", request.id, slot=1)
        assert lease.start == request.starts[1]
        wheel.correct(request, first=3)
        made = [wheel.key_of(one.id) for one in wheel.store.catalog.all(Correction)]
        assert made == [f"turn-0/request/bootstrap/{slot:04d}/correction" for slot in (0, 2)]
        assert {one.slot for one in wheel.desk.queue("ann")} == {3}
        assert wheel.desk.queue("ann")[0].left == request.count - 2
        wheel.desk.hand_back(lease.id, "ann")
        wheel.correct(request, first=3)
        assert len(wheel.store.catalog.all(Correction)) == 3


def test_only_what_somebody_made_for_a_slot_is_handed_in_for_it(crowd):
    before = crowd.episode()
    request, other = crowd.request(2), crowd.request()
    lease = crowd.desk.claim("ann", request.id, slot=0)
    taught = crowd.episode()
    crowd.put("bootstrap/0", Correction(
        id=crowd.id("correction"), request=other.id, episode=taught.id, failure=None,
        correction_kind=other.correction_kind, operator="expert", human_steps=20, takeovers=0, accepted=True,
    ))  # fmt: skip
    driven = crowd.put(
        f"{crowd.catalog.key_of(request.id)}/slot/0001/lease-x/drive/0", replace(before, id=crowd.id("episode"))
    )
    for episode, why in (
        (before, "before anybody asked"),
        (taught, "correction already"),
        (crowd.episode(operator="bob"), "work of bob"),
        (driven, "another slot"),
    ):
        with pytest.raises(GuardRefusal, match=why):
            crowd.desk.submit(lease.id, "ann", episode.id)
    elsewhere = crowd.episode(operator="Ann at the robot")  # no name of anybody here
    assert crowd.desk.submit(lease.id, "ann", elsewhere.id).operator == "ann"


def test_a_lease_that_lapsed_and_was_renewed_is_told_to_others(crowd, now):
    crowd.request()
    lease = crowd.desk.claim("ann")
    crowd.desk.renew(lease.id, "ann")
    assert [one.what for one in crowd.desk.trail.read(who="ann")] == ["claim"]
    now.ns += HOUR
    assert len(crowd.desk.queue("bob")) == 1
    crowd.desk.renew(lease.id, "ann")
    assert crowd.desk.queue("bob") == ()
    assert crowd.desk.trail.read(who="ann")[0].what == "renew"


def test_a_row_of_before_the_newest_one_says_nothing_more(crowd, now):
    request = crowd.request()
    lease = crowd.desk.claim("ann")
    crowd.desk.slots.catch_up()
    before = crowd.desk.asked(request.id).rows[lease.slot]
    crowd.desk.submit(lease.id, "ann", crowd.episode().id)
    assert crowd.desk.queue("bob") == ()
    crowd.desk.slots.saw(before)  # as a thread does that renewed it before it was handed in
    now.ns += HOUR
    assert crowd.desk.queue("bob") == ()
