import pytest

from saqiya.domain.nouns import CorrectionKind, CorrectionRequest, Episode, Failure, FailureMode
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        opened.detect()
        yield opened


def test_every_failure_is_in_exactly_one_mode(wheel):
    found = wheel.triage()
    members = [one for mode in found.modes for one in mode.members]
    champion, deployment = wheel.champion()
    failures = [one for one in wheel.store.catalog.all(Failure) if one.episode in deployment.episodes]
    assert sorted(members) == sorted(one.id for one in failures)
    assert {mode.policy for mode in found.modes} == {champion.id}
    assert all(mode.medoid in mode.members for mode in found.modes)


def test_requests_name_mode_count_starts_and_why_and_keep_to_the_budget(wheel):
    found = wheel.triage()
    assert 0 < sum(one.count for one in found.requests) <= wheel.config.correct.per_turn
    for one in found.requests:
        assert one.target == wheel.store.catalog.get(one.mode, FailureMode).label
        assert len(one.starts) == len(one.failures) == one.count
        assert one.reason


def test_a_requests_starts_are_those_of_its_failures(wheel):
    catalog = wheel.store.catalog
    for one in wheel.triage().requests:
        failed = [catalog.get(catalog.get(f, Failure).episode, Episode).start for f in one.failures]
        assert list(one.starts) == failed


def test_triage_twice_asks_once_even_when_corrections_came_in_between(wheel):
    first = wheel.triage()
    for request in wheel.requests():
        wheel.correct(request)
    count = wheel.store.catalog.count()
    assert wheel.triage() == first
    assert wheel.store.catalog.count() == count


def test_both_kinds_of_correction_are_asked_for(turned_once):
    kinds = {one.correction_kind for one in turned_once.store.catalog.all(CorrectionRequest) if one.mode}
    assert kinds == {CorrectionKind.TAKEOVER, CorrectionKind.DEMONSTRATION}


def test_nothing_is_triaged_before_anything_is_deployed(fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel")) as wheel, pytest.raises(GuardRefusal, match="nothing is deployed"):
        wheel.triage()


def test_later_failures_of_a_mode_that_a_person_renamed_get_that_name(wheel):
    for mode in [one for one in wheel.store.catalog.all(FailureMode) if one.named_by == "rule"]:
        wheel.failures.name(mode.id, "wrong_action", author="ann")
    known = {one.label for one in wheel.store.catalog.all(FailureMode)}
    labels = {one.label for one in wheel.triage().modes}
    assert "wrong_action" in labels
    assert not labels & {label for label in known if not label.startswith("unknown-")}
