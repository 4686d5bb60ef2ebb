"""What the desk's books say of operators, reviewers and waiting."""

import numpy as np
import pytest

from saqiya.domain.nouns import Outcome, Rank, Review, Verdict
from saqiya.domain.streams import Stream
from saqiya.errors import LeaseLost
from saqiya.loop.lives import labels_of

HOUR = 3600 * 1_000_000_000


def test_an_operator_sees_their_figures_before_anybody_else_does(crowd):
    crowd.request(2)
    crowd.desk.review(crowd.handed_in("ann").id, "rex", Verdict.ACCEPT)
    assert crowd.desk.figures("ann", "rex").accepted is None
    assert crowd.desk.figures("ann", "ann").accepted.k == 1
    assert crowd.desk.figures("ann", "rex").accepted.k == 1


def test_what_was_sent_back_counts_as_redone_and_not_as_refused(crowd):
    crowd.request()
    crowd.desk.review(crowd.handed_in("ann").id, "rex", Verdict.SEND_BACK, "blurred")
    told = crowd.desk.figures("ann", "ann")
    assert (told.accepted, told.redone.k, told.redone.n) == (None, 1, 1)
    crowd.desk.review(crowd.handed_in("ann").id, "rex", Verdict.ACCEPT)
    told = crowd.desk.figures("ann", "ann")
    assert (told.accepted.k, told.accepted.n, told.redone.k, told.pieces) == (1, 1, 1, 1)
    assert [one.review.verdict for one in crowd.desk.history("ann")] == [Verdict.ACCEPT, Verdict.SEND_BACK]


def test_the_lead_time_counts_those_that_still_wait(crowd, now):
    crowd.request(2)
    now.ns += 10 * HOUR
    crowd.desk.review(crowd.handed_in("ann").id, "rex", Verdict.ACCEPT)
    now.ns += 80 * HOUR
    told = crowd.desk.lead_time()
    assert (told.n, told.open, told.p90_s) == (2, 1, None)
    assert told.median_s == pytest.approx(36_000, abs=1)
    assert told.within[0] == 0.5


def test_a_second_look_changes_nothing_and_disagreement_is_shown(crowd):
    object.__setattr__(crowd.desk.settings, "second_share", 1.0)
    crowd.request()
    handed = crowd.handed_in("ann")
    first = crowd.desk.review(handed.id, "rex", Verdict.ACCEPT)
    assert crowd.desk.reviews("rex") == ()
    (waiting,) = crowd.desk.reviews("sue")
    assert waiting.second
    second = crowd.desk.review(handed.id, "sue", Verdict.REJECT, "it scraped the wall")
    assert crowd.desk.agreement().apart == ((first, second),)
    assert crowd.desk.agreement().agreed.k == 0
    assert crowd.desk.reviews("sue") == ()


def test_of_two_second_words_in_one_moment_the_later_is_told_that_it_is_not_kept(crowd, monkeypatch):
    object.__setattr__(crowd.desk.settings, "second_share", 1.0)
    crowd.people("tim", rank=Rank.REVIEWER)
    crowd.request()
    handed = crowd.handed_in("ann")
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT)
    monkeypatch.setattr(crowd.catalog, "has", lambda *_: False)  # both looked before either had spoken
    second = crowd.desk.review(handed.id, "sue", Verdict.REJECT, "it scraped the wall")
    with pytest.raises(LeaseLost, match="second look"):
        crowd.desk.review(handed.id, "tim", Verdict.ACCEPT)
    assert [one.id for one in crowd.catalog.all(Review) if one.second] == [second.id]
    assert crowd.desk.trail.read(who="tim") == ()


def test_a_reviewer_is_pointed_at_what_is_odd(crowd):
    t_ns = np.arange(60, dtype=np.int64) * 100_000_000
    actions = np.cumsum(np.full((60, 2), 0.01), axis=0)
    actions[20:45] = actions[20]
    crowd.request()
    lease = crowd.desk.claim("ann")
    held = {"action/executed": Stream(t_ns, actions)}
    handed = crowd.desk.submit(lease.id, "ann", crowd.episode(outcome="failure", steps=60, held=held).id)
    said = {one.kind: one for one in crowd.desk.doubts(handed.id)}
    assert said["outcome"].said == "it ended as failure"
    assert (said["idle"].start_ns, said["idle"].end_ns) == (2_100_000_000, 4_500_000_000)


def test_an_operators_word_on_their_own_work_does_not_hide_that_the_site_says_otherwise(crowd):
    crowd.request()
    done = {"action/executed": Stream(np.arange(9) * 100_000_000, np.arange(18.0).reshape(9, 2))}
    handed = crowd.desk.submit(
        crowd.desk.claim("ann").id, "ann", crowd.episode(outcome="failure", steps=9, held=done).id
    )
    crowd.wheel.data.say_outcome([handed.episode], Outcome.SUCCESS, author="ann")
    (said,) = [one for one in crowd.desk.doubts(handed.id) if one.kind == "outcome"]
    assert said.severe
    assert said.said.startswith("its operator calls it a success, but ")
    assert said.said.endswith("says failure")
    crowd.wheel.data.say_outcome([handed.episode], Outcome.SUCCESS, author="rex")
    assert "outcome" not in {one.kind for one in crowd.desk.doubts(handed.id)}


def test_nobody_works_on_a_task_before_they_passed_its_reference(crowd):
    task = crowd.request()
    made = crowd.desk.refer("peg", crowd.request(2).starts, needed=1, by="sue")
    offers = {one.request.id: one for one in crowd.desk.queue("ann")}
    assert "qualification for peg" in offers[task.id].blocked
    exam = crowd.desk.claim("ann", made.request)
    crowd.desk.submit(exam.id, "ann", crowd.episode(outcome="failure").id)
    assert "qualification" in {one.request.id: one for one in crowd.desk.queue("ann")}[task.id].blocked
    exam = crowd.desk.claim("ann", made.request)
    assert crowd.desk.claim("bob", made.request).start == crowd.catalog.get(made.request).starts[0]
    crowd.desk.submit(exam.id, "ann", crowd.episode(outcome="success").id)
    assert crowd.desk.claim("ann", task.id).request == task


def test_where_no_criterion_judges_an_exam_a_reviewer_does(crowd):
    made = crowd.desk.refer("peg", crowd.request().starts, needed=1, by="sue")
    handed = crowd.desk.submit(crowd.desk.claim("ann", made.request).id, "ann", crowd.episode().id)
    crowd.desk.review(handed.id, "rex", Verdict.ACCEPT)
    crowd.desk.queue("ann")
    assert crowd.desk.slots.crew.passed("ann") == {"peg"}
    assert crowd.wheel.verify().lies == ()


def test_a_person_gets_what_suits_them(crowd):
    from saqiya.stores.people import Profile

    crowd.people("far", rank=Rank.OPERATOR, profile=Profile(sites=("paris",), rigs=("arm",)))
    near, far = crowd.request(), crowd.request(site="paris")
    assert crowd.desk.claim("far").request == far
    assert [one.blocked for one in crowd.desk.queue("far")] == ["is at lab"]
    assert crowd.desk.claim("ann").request == near


def test_a_name_that_was_undone_is_a_modes_name_no_more(crowd):
    from saqiya.domain.nouns import FailureMode

    failure = crowd.failure()
    mode = crowd.put("mode/0", FailureMode(
        id=crowd.id("failure_mode"), label="unknown-1", parent="unnamed", policy=None, members=(failure.id,),
        medoid=failure.id, priority=1.0, factors={},
    ))  # fmt: skip
    word = next(iter(crowd.wheel.vocabulary.words))
    named = crowd.wheel.failures.name(mode.id, word, author="sue")
    assert labels_of(crowd.catalog)[mode.id] == word
    crowd.desk.undo(named.id, "sue")
    assert labels_of(crowd.catalog)[mode.id] == "unknown-1"
