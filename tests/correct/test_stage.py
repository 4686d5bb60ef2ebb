import dataclasses

import numpy as np
import pytest

from saqiya.correct import stage
from saqiya.domain.nouns import Correction, CorrectionKind, CorrectionRequest, Failure
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


def serve(wheel, request, **how):
    return stage.run(wheel.store, request, wheel.roller, operator="me", lead_s=0.25, rate_hz=20.0, **how)


def bootstrap(wheel, count=3):
    starts = tuple(wheel.site.sample_start(seed, region=0.3) for seed in range(800, 800 + count))
    return stage.request_bootstrap(wheel.store, starts, key="more")


def test_a_request_is_served_in_part_and_then_whole_without_doing_anything_twice(wheel):
    request = bootstrap(wheel)
    first = serve(wheel, request, slots=[0])
    whole = serve(wheel, request)
    assert len(first) == 1
    assert whole[:1] == first
    assert len(whole) == request.count == 3
    assert serve(wheel, request) == whole


def test_a_request_without_a_target_is_refused(wheel):
    with pytest.raises(GuardRefusal, match="names no target"):
        serve(wheel, dataclasses.replace(bootstrap(wheel), target=""))


def test_a_demonstration_costs_its_steps_and_no_takeover(wheel):
    for correction in serve(wheel, bootstrap(wheel)):
        episode = wheel.episode(correction.episode)
        assert (correction.human_steps, correction.takeovers) == (episode.steps, 0)
        assert (correction.accepted, correction.operator, episode.operator) == (True, "me", "me")


def test_a_takeover_begins_shortly_before_its_failure_in_the_failed_try_itself(wheel):
    catalog = wheel.store.catalog
    taken = [one for one in catalog.all(Correction) if one.correction_kind is CorrectionKind.TAKEOVER]
    assert taken
    for one in taken:
        failure = catalog.get(one.failure, Failure)
        failed, fixed = (wheel.store.streams(wheel.episode(e)) for e in (failure.episode, one.episode))
        steps = int(np.argmax(fixed["author"].values[:, 0]))
        assert fixed["author"].t_ns[steps] < failure.moment_ns
        assert np.array_equal(fixed["action/executed"].values[:steps], failed["action/executed"].values[:steps])
        assert one.takeovers >= 1
        assert wheel.episode(one.episode).start in catalog.get(one.request, CorrectionRequest).starts
