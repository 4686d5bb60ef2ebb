"""Detectors from tries with known outcomes: who serves for what, and what one odd log may not break."""

from dataclasses import replace

import numpy as np
import pytest

from saqiya import plugins
from saqiya.detect.calibrate import Part, Viewed, calibrate, part_of
from saqiya.domain.contracts import Seen
from saqiya.domain.nouns import Outcome
from saqiya.errors import TooLittle
from saqiya.testing import make_episode

DETECTORS = {name: plugins.load("saqiya.detectors", name)() for name in ("distance", "dynamics")}


def viewed(seed: int, *, fails: bool = False) -> Viewed:
    log = make_episode(seed=seed, success=not fails, strange_from=20 if fails else None)
    outcome = Outcome.FAILURE if fails else Outcome.SUCCESS
    return Viewed(f"try-{seed}", Seen.of(log.streams, log.events), outcome, log.span.start_ns, log.span.end_ns)


@pytest.fixture(scope="module")
def views() -> list[Viewed]:
    return [viewed(seed) for seed in range(100)] + [viewed(seed, fails=True) for seed in range(100, 120)]


def test_each_try_serves_for_one_thing_and_that_never_depends_on_scores() -> None:
    parts = [part_of(f"try-{number}", success=True) for number in range(4000)]
    shares = [parts.count(part) / len(parts) for part in Part]
    assert np.allclose(shares, 0.25, atol=0.03)
    assert {part_of(f"try-{number}", success=False) for number in range(50)} == {Part.FIT, Part.JUDGE}


def test_failures_that_stand_out_are_told_from_successes(views: list[Viewed]) -> None:
    made = calibrate(views, (), DETECTORS, budget=0.1, seed=0)
    assert made.left_out == {}
    assert made.reports[""].auroc.value == 1.0
    assert made.fusion.threshold is not None


def test_one_log_without_a_stream_costs_no_detector_its_part(views: list[Viewed]) -> None:
    for number in range(8):
        streams = {name: one for name, one in views[number].seen.streams.items() if name != "observation/state"}
        odd = [*views[:number], replace(views[number], seen=Seen(streams)), *views[number + 1 :]]
        made = calibrate(odd, (), DETECTORS, budget=0.1, seed=0)
        assert made.left_out == {}
        assert made.reports[""].auroc.value == 1.0


def test_without_successes_there_is_nothing_to_calibrate_on(views: list[Viewed]) -> None:
    with pytest.raises(TooLittle, match="no success"):
        calibrate(views[100:], [one.seen for one in views[:10]], DETECTORS, budget=0.1, seed=0)
