"""The queue of failures: its order, its filters, and that what people say shows at once."""

import shutil
from dataclasses import replace

import pytest

from saqiya.domain.nouns import Correction, Failure, FailureMode, Rank
from saqiya.errors import UnknownId
from saqiya.loop.board import NOBODY, Board, Wanted
from saqiya.loop.flywheel import Flywheel


@pytest.fixture(scope="module")
def wheel(turned_once, room):
    path = shutil.copytree(turned_once.store.root, room / "board")
    with Flywheel(path) as made:
        made.detect()
        made.triage()
        made.staff.add("olga", Rank.OPERATOR, by="test", password="a few unrelated words")
        yield made


@pytest.fixture(scope="module")
def board(wheel):
    return Board(wheel)


def test_every_failure_is_in_the_queue(wheel, board):
    assert {one.failure for one in board.entries(Wanted(state=""))} == {
        one.id for one in wheel.store.catalog.all(Failure)
    }


def test_the_most_urgent_mode_comes_first(board):
    priorities = [one.priority for one in board.entries(Wanted())]
    assert priorities == sorted(priorities, reverse=True)


def test_only_what_is_asked_for_is_shown(board):
    first = board.entries(Wanted())[0]
    assert {one.label for one in board.entries(Wanted(label=first.label))} == {first.label}
    assert board.entries(Wanted(state="closed")) == []


def test_a_dismissed_failure_leaves_the_open_queue_at_once_and_comes_back_when_undone(wheel, board):
    before = board.entries(Wanted())
    said = wheel.desk.dismiss(before[0].failure, "rob", "stopped by hand")
    assert before[0].failure not in {one.failure for one in board.entries(Wanted())}
    assert [one.failure for one in board.entries(Wanted(state="dismissed"))] == [before[0].failure]
    wheel.desk.undo(said.id, "rob")
    assert [one.failure for one in board.entries(Wanted())] == [one.failure for one in before]


def test_an_assignment_shows_at_once(wheel, board):
    failure = board.entries(Wanted())[1].failure
    wheel.desk.assign(failure, "olga", "rob")
    assert [one.failure for one in board.entries(Wanted(person="olga"))] == [failure]
    assert failure not in {one.failure for one in board.entries(Wanted(person=NOBODY))}


def test_a_name_for_a_mode_shows_on_all_its_failures(wheel, board):
    mode = wheel.store.catalog.all(FailureMode)[-1]
    wheel.failures.name(mode.id, "collision", author="rob")
    assert {one.failure for one in board.entries(Wanted(label="collision", state=""))} >= set(mode.members)


def test_the_map_has_a_place_for_each(board):
    entries = board.entries(Wanted())
    assert board.places(entries).shape == (len(entries), 2)
    assert board.places([]).shape == (0, 2)


def test_groups_count_what_is_shown_of_all(wheel, board):
    entries = board.entries(Wanted())
    wheel.desk.dismiss(entries[0].failure, "rob", "none")
    group = next(one for one in board.groups(board.entries(Wanted())) if one.label == entries[0].label)
    assert group.shown_n == group.failures_n - 1


def test_a_card_says_what_was_said_last_and_can_be_undone(wheel, board):
    failure = board.entries(Wanted())[0].failure
    wheel.desk.assign(failure, "olga", "rob")
    said = wheel.desk.dismiss(failure, "rob", "stopped by hand")
    card = board.card(failure)
    assert (card.undoable, card.undoes) == (said.id, "dismissal")
    assert card.dismissal is not None
    assert card.dismissal.reason == "stopped by hand"
    assert card.life.chapters


def test_a_failure_that_is_none_is_refused(board):
    with pytest.raises(UnknownId):
        board.card("failure-nowhere")


def test_what_came_of_a_dismissed_failure_shows_once_that_is_undone(wheel, board):
    catalog = wheel.store.catalog
    failure = board.entries(Wanted(state="requested"))[0].failure
    said = wheel.desk.dismiss(failure, "rob", "the cell was moved")
    corrected = replace(catalog.all(Correction)[-1], id=catalog.new_id("correction"), failure=failure, accepted=True)
    catalog.put(corrected, key="late/correction")
    assert failure in {one.failure for one in board.entries(Wanted(state="dismissed"))}
    wheel.desk.undo(said.id, "rob")
    assert failure in {one.failure for one in board.entries(Wanted(state="corrected"))}
    assert board.entries(Wanted(state="")) == Board(wheel).entries(Wanted(state=""))
    assert board.card(failure).life == wheel.failures.lives().lives[failure]
