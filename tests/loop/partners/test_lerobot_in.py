"""What LeRobot's own programs recorded, as submissions: which request each episode answers, and whose steps count."""

import pytest
from tests.loop.foreign import lerobot

from saqiya.domain.nouns import Correction, Episode, Recording, Source, Submission, Verdict
from saqiya.errors import UnknownId, UnreadableLog, UsageError
from saqiya.loop.partners.lerobot_in import import_lerobot
from saqiya.loop.partners.packs_out import mark_of

ALL = [1] * 20
LATE = [0] * 12 + [1] * 8


def handed(crowd, path, **how):
    return import_lerobot(crowd.wheel, path, by="ann", **how)


def taken_in(crowd):
    return [one for one in crowd.catalog.all(Recording) if one.format == "lerobot"]


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_dagger_episode_waits_for_a_reviewer_with_its_flags_as_authors(crowd, fresh, version):
    request = crowd.request(task="stack cups")
    (one,) = handed(crowd, lerobot(fresh / "set", ["Stack cups"], [LATE], version=version))
    assert (one.request, one.slot, one.how, one.why) == (crowd.wheel.key_of(request.id), 0, "by its task", "")
    made = crowd.catalog.get(one.submission, Submission)
    assert (made.operator, made.human_steps, made.takeovers) == ("ann", 8, 1)
    episode = crowd.catalog.get(made.episode, Episode)
    assert crowd.wheel.store.streams(episode)["author"].values.reshape(-1).tolist() == LATE
    assert (episode.source, episode.operator, episode.extra["given"]["from"]) == (Source.CORRECTION, "ann", "set")
    assert crowd.catalog.all(Correction) == []
    crowd.desk.review(one.submission, "rex", Verdict.ACCEPT)
    assert [(said.operator, said.failure) for said in crowd.catalog.all(Correction)] == [("ann", request.failures[0])]


@pytest.mark.parametrize("column", ["is_intervention", "complementary_info.is_intervention"])
def test_every_name_that_lerobot_has_for_the_flag_is_read(crowd, fresh, column):
    crowd.request(task="peg")
    (one,) = handed(crowd, lerobot(fresh / "set", ["peg"], [LATE], column=column))
    assert crowd.catalog.get(one.submission, Submission).human_steps == 8


def test_two_flags_that_differ_are_joined_and_told(crowd, fresh):
    crowd.request(task="peg")
    early = [1] * 4 + [0] * 16
    more = {"complementary_info.is_intervention": [early]}
    (one,) = handed(crowd, lerobot(fresh / "set", ["peg"], [LATE], **more))
    made = crowd.catalog.get(one.submission, Submission)
    assert (made.human_steps, made.takeovers) == (12, 1)
    assert len(crowd.catalog.get(made.episode, Episode).extra["problems"]) == 2


def test_what_lerobot_record_wrote_is_all_a_persons(crowd, fresh):
    crowd.request(task="peg")
    (one,) = handed(crowd, lerobot(fresh / "set", ["peg"], [None]))
    assert crowd.catalog.get(one.submission, Submission).human_steps == 20


def test_an_episode_in_which_nobody_took_over_comes_in_and_is_no_correction(crowd, fresh):
    crowd.request(task="peg")
    first, idle = handed(crowd, lerobot(fresh / "set", ["peg", "peg"], [LATE, [0] * 20]))
    assert (first.good, idle.good, idle.why) == (True, False, "nobody took over in it: it is no correction")
    sources = {one.key_in_recording: one.source for one in crowd.catalog.all(Episode)}
    assert sources["episode_000001"] is Source.ROLLOUT


def test_what_fits_several_requests_is_refused_with_their_names_and_nothing_comes_in(crowd, fresh):
    two = [crowd.request(task="peg") for _ in range(2)]
    path = lerobot(fresh / "set", ["peg"], [ALL])
    with pytest.raises(UsageError, match="fits 2 open requests") as refused:
        handed(crowd, path)
    assert all(crowd.wheel.key_of(one.id) in str(refused.value) for one in two)
    assert taken_in(crowd) == []
    (one,) = handed(crowd, path, request=two[1].id)
    assert (one.request, one.how) == (crowd.wheel.key_of(two[1].id), "named by hand")


def test_what_fits_no_request_is_refused(crowd, fresh):
    crowd.request(task="peg")
    with pytest.raises(UsageError, match=r"fits no open request; there are: .*peg"):
        handed(crowd, lerobot(fresh / "set", ["fold a towel"], [ALL]))
    assert taken_in(crowd) == []


def test_a_mark_in_the_task_names_request_and_slot_and_is_no_part_of_the_task(crowd, fresh):
    crowd.request(task="peg")
    second = crowd.request(2, task="peg")
    (one,) = handed(crowd, lerobot(fresh / "set", [f"peg [saqiya {mark_of(second.id)}/1]"], [ALL]))
    assert (one.request, one.slot, one.how) == (crowd.wheel.key_of(second.id), 1, "by the mark in its task")
    assert crowd.catalog.get(crowd.catalog.get(one.submission, Submission).episode, Episode).task == "peg"


def test_more_episodes_than_open_slots_are_refused_until_some_are_chosen(crowd, fresh):
    crowd.request(task="peg")
    path = lerobot(fresh / "set", ["peg"] * 3, [ALL] * 3)
    with pytest.raises(UsageError, match="3 episodes answer it, and 1 of its slots are open"):
        handed(crowd, path)
    with pytest.raises(UsageError, match="has no episode_000007"):
        handed(crowd, path, only=["7"])
    (one,) = handed(crowd, path, only=["2"])
    assert (one.name, one.good) == ("episode_000002", True)


def test_told_twice_each_is_handed_in_once_and_what_was_added_since_comes_too(crowd, fresh):
    crowd.request(2, task="peg")
    (first,) = handed(crowd, lerobot(fresh / "set", ["peg"], [ALL]))
    again, added = handed(crowd, lerobot(fresh / "more", ["peg"] * 2, [ALL] * 2))[::-1]
    assert (again.submission, again.why) == (first.submission, "was handed in before")
    assert (added.slot, added.good) == (1, True)
    assert len(crowd.catalog.all(Submission)) == 2


def test_who_is_not_known_here_hands_nothing_in(crowd, fresh):
    crowd.request(task="peg")
    with pytest.raises(UnknownId):
        import_lerobot(crowd.wheel, lerobot(fresh / "set", ["peg"], [ALL]), by="zed")
    with pytest.raises(UnreadableLog):
        handed(crowd, fresh)
    assert crowd.catalog.all(Submission) == []
