from __future__ import annotations

import numpy as np
import pytest

from saqiya.detect.success import SuccessModel, fit_success
from saqiya.domain.contracts import Seen
from saqiya.domain.streams import Event, Stream
from saqiya.domain.words import Outcome
from saqiya.errors import InvalidEpisode, TooLittle


def tried(seed, *, away, waits=0, event="success"):
    """A part that ends `away` from its place, and stays there; how it gets there and how long it takes says nothing."""
    rng = np.random.default_rng(seed)
    steps = int(rng.integers(30, 60))
    angle = rng.uniform(0, 2 * np.pi)
    begin, end = rng.normal(size=2) * 3, away * np.array([np.cos(angle), np.sin(angle)])
    path = begin + (end - begin) * np.linspace(0, 1, steps)[:, None]
    path = np.concatenate([path, np.repeat(path[-1:], waits, axis=0)]) + rng.normal(size=(steps + waits, 2)) * 0.02
    t_ns = np.arange(len(path), dtype=np.int64) * 50_000_000
    return Seen.of({"observation/part": Stream(t_ns, path)}, [Event(int(t_ns[-1]), event)])


def labelled(n, seed=0, **kept):
    away = np.random.default_rng(seed).choice([0.3, 1.5], n)
    tries = [tried(1000 * seed + i, away=far, **kept) for i, far in enumerate(away)]
    return tries, [bool(far < 1) for far in away]


@pytest.fixture(scope="module")
def model():
    return fit_success(*labelled(160), error=0.05)


def test_it_tells_success_from_failure(model):
    tries, truth = labelled(100, seed=1)
    verdicts = [model.judge(one) for one in tries]
    decided = [(v, good) for v, good in zip(verdicts, truth, strict=True) if v.outcome is not Outcome.UNKNOWN]
    wrong = [v for v, good in decided if (v.outcome is Outcome.SUCCESS) is not good]
    assert len(decided) >= 85
    assert len(wrong) <= 5
    assert all(0.0 < v.probability < 1.0 for v in verdicts)


def test_what_lies_between_is_left_to_a_person(model):
    between = [model.judge(tried(seed, away=0.8)).outcome for seed in range(40)]
    known = [model.judge(one).outcome for one in labelled(40, seed=2)[0]]
    assert between.count(Outcome.UNKNOWN) > 2 * known.count(Outcome.UNKNOWN)


def test_the_log_cannot_tell_it_the_answer(model):
    for away in (0.3, 1.5):
        told = {model.judge(tried(7, away=away, event=name)) for name in ("success", "failure", "timeout")}
        assert len(told) == 1


def test_how_long_it_took_tells_nothing_unless_asked_for():
    truth = labelled(120)[1]
    timed = [tried(index, away=1.0, waits=25 if good else 250) for index, good in enumerate(truth)]
    fresh = [(tried(900 + i, away=1.0, waits=25), tried(950 + i, away=1.0, waits=250)) for i in range(20)]
    gap = []
    for duration in (False, True):
        fitted = fit_success(timed, truth, duration=duration)
        gap.append(np.mean([fitted.judge(a).probability - fitted.judge(b).probability for a, b in fresh]))
    assert gap[1] > 0.9
    assert abs(gap[0]) < 0.1


def test_with_too_few_of_a_kind_that_kind_is_never_ruled_out():
    tries, truth = labelled(200)
    bad = [index for index, good in enumerate(truth) if not good][:15]
    chosen = [index for index, good in enumerate(truth) if good][:60] + bad
    fitted = fit_success([tries[i] for i in chosen], [truth[i] for i in chosen], error=0.05)
    verdict = fitted.judge(tried(5, away=0.3))
    assert verdict.outcome is Outcome.UNKNOWN
    assert "to rule a failure out at 5.0% takes 19 known ones, there are 15" in verdict.why


def test_the_reason_names_the_numbers(model):
    assert "|observation/part|" in model.judge(tried(3, away=1.5)).why


def test_arrays_make_the_same_model_again(model):
    again = SuccessModel.of_arrays(model.arrays())
    tries = labelled(10, seed=3)[0]
    assert [again.judge(one) for one in tries] == [model.judge(one) for one in tries]


def test_tries_of_one_group_are_never_on_both_sides_of_a_fold():
    tries = labelled(40)[0]
    noise = [bool(one) for one in np.random.default_rng(9).integers(0, 2, 40)]
    twice, labels, groups = [*tries, *tries], [*noise, *noise], [*range(40), *range(40)]
    apart, mixed = (fit_success(twice, labels, groups=given) for given in (groups, None))
    spread = [np.mean(np.concatenate(m.successes)) - np.mean(np.concatenate(m.failures)) for m in (apart, mixed)]
    assert spread[0] < 0.5 * spread[1]


def test_too_few_are_refused():
    tries, truth = labelled(12)
    with pytest.raises(TooLittle, match="too few"):
        fit_success(tries, truth)


def test_a_try_without_the_stream_is_refused(model):
    with pytest.raises(InvalidEpisode, match="observation/part"):
        model.judge(Seen({}))
