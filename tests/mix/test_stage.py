import dataclasses

import pytest

from saqiya.domain.nouns import Correction, CorrectionKind, CorrectionRequest, DatasetVersion, Duplicate, Role
from saqiya.errors import GuardRefusal, Leakage
from saqiya.loop.flywheel import Flywheel
from saqiya.mix import stage


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def mixed(wheel, corrections=None, *, parent=None, evaluation=(), key="mixed"):
    corrections = wheel.store.catalog.all(Correction) if corrections is None else corrections
    return stage.run(wheel.store, corrections, parent=parent, evaluation=evaluation, note="", key=key)


def roles(version):
    return {entry.episode: entry.role for entry in version.entries}


def test_bootstrap_is_the_anchor_and_what_is_new_is_a_correction(wheel):
    catalog = wheel.store.catalog
    first, second = catalog.all(DatasetVersion)
    targets = {c.episode: catalog.get(c.request, CorrectionRequest).target for c in catalog.all(Correction)}
    assert set(roles(first).values()) == {Role.ANCHOR}
    for episode, role in roles(second).items():
        assert role is (Role.ANCHOR if targets[episode] == "bootstrap" else Role.CORRECTION)


def test_what_the_parent_held_is_replayed_and_the_anchor_stays(wheel):
    parent = wheel.store.catalog.all(DatasetVersion)[1]
    version = mixed(wheel, parent=parent)
    was = roles(parent)
    assert set(was) <= set(roles(version))
    for episode, role in was.items():
        assert roles(version)[episode] is (Role.REPLAY if role is Role.CORRECTION else role)


def test_only_what_the_operator_did_in_a_takeover_teaches(wheel):
    catalog = wheel.store.catalog
    version = catalog.all(DatasetVersion)[1]
    taken = {c.episode: c for c in catalog.all(Correction) if c.correction_kind is CorrectionKind.TAKEOVER}
    spans = [entry for entry in version.entries if entry.episode in taken]
    assert spans
    for entry in spans:
        author = wheel.store.streams(wheel.episode(entry.episode))["author"]
        inside = (author.t_ns >= entry.start_ns) & (author.t_ns < entry.end_ns)
        assert author.values[inside].all()


def test_what_the_operator_failed_at_is_no_lesson(wheel):
    corrections = wheel.store.catalog.all(Correction)
    failed = dataclasses.replace(corrections[0], accepted=False)
    assert corrections[0].episode not in roles(mixed(wheel, [failed, *corrections[1:]]))


def test_nothing_accepted_is_refused(wheel):
    with pytest.raises(GuardRefusal, match="no accepted correction"):
        mixed(wheel, [])


def test_an_episode_from_an_evaluation_start_is_refused_and_nothing_is_stored(wheel):
    count = wheel.store.catalog.count()
    start = wheel.episode(wheel.store.catalog.all(Correction)[-1].episode).start
    with pytest.raises(Leakage):
        mixed(wheel, evaluation=[start])
    assert wheel.store.catalog.count() == count


def test_order_does_not_change_the_hash_and_a_parent_does(wheel):
    corrections = wheel.store.catalog.all(Correction)
    parent = wheel.store.catalog.all(DatasetVersion)[0]
    one, two = mixed(wheel, corrections, key="one"), mixed(wheel, corrections[::-1], key="two")
    assert one.manifest_hash == two.manifest_hash
    assert mixed(wheel, corrections, parent=parent, key="three").manifest_hash != one.manifest_hash


def test_copies_teach_together_as_much_as_one_of_them(wheel):
    catalog = wheel.store.catalog
    corrections = catalog.all(Correction)
    first, other = sorted(one.episode for one in corrections)[:2]
    plain = mixed(wheel, corrections, key="plain")
    mark = Duplicate(id=catalog.new_id("duplicate"), episode=other, of=first, how="near", distance=0.01, spacing=0.2)
    catalog.put(mark, key="copy")
    version = mixed(wheel, corrections, key="weighed")
    assert {entry.episode for entry in version.entries} == {entry.episode for entry in plain.entries}
    assert {entry.weight for entry in version.entries if entry.episode in (first, other)} == {0.5}
    assert {entry.weight for entry in version.entries if entry.episode not in (first, other)} == {1.0}
    assert version.manifest_hash == mixed(wheel, corrections[::-1], key="again").manifest_hash != plain.manifest_hash
