"""How well failures are told from successes by what was felt in equal windows, judged so that nothing flatters.

Every choice (features, scaling, model) is made inside the training folds; each try's score comes from models that never
saw it or a copy of it. Beside it stand probes that should not be able to tell: what the day, the duration and the
loudest instant say alone. Where a probe does as well, the set is easy or confounded, and the figure proves little.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.area import Area, area_of, gain_over
from saqiya.detect.cropped import Cropped
from saqiya.domain.contracts import Vector
from saqiya.errors import TooLittle
from saqiya.models.copies import group_copies
from saqiya.models.folds import deal, turns
from saqiya.models.recipes import LINEAR, Recipe, choose
from saqiya.models.windows import describe, vector_name

__all__ = ["CroppedReport", "judge_cropped"]

OUTER_N = 5
FEWEST_N = 4
RESAMPLES_N = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class CroppedReport:
    """What nested cross-validation said of one window.

    Attributes:
        area: of the out-of-fold scores, their mean over seeds.
        by_seed: the area of each seed.
        caught, alarmed: failures above 0.5, and successes above it, as (count, of, low, high), exact intervals.
        balanced: mean of the share of failures caught and of successes passed, with its interval over tries.
        probes: what should not be able to tell, each turned the way it does best.
        gain: area less the best probe's, with its interval.
        null_mean, null_high: mean and 95 % quantile of the area when outcomes are dealt at random; None without it.
        null_p: share of such deals (and this one) that reach the area.
        wrong: tries on the wrong side of 0.5.
        recipes: learner to how often it was chosen.
        notes: what a reader must know before believing any of it.
    """

    failures_n: int
    successes_n: int
    window_s: float
    columns: tuple[str, ...]
    features_n: int
    seeds: tuple[int, ...]
    area: Area
    by_seed: tuple[float, ...]
    caught: tuple[int, int, float, float]
    alarmed: tuple[int, int, float, float]
    balanced: tuple[float, float, float]
    probes: tuple[Area, ...]
    gain: tuple[float, float, float]
    permutations_n: int
    null_mean: float | None
    null_high: float | None
    null_p: float | None
    wrong: tuple[str, ...]
    recipes: tuple[tuple[str, int], ...]
    left_out: tuple[tuple[str, str], ...]
    dropped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def judge_cropped(
    cropped: Cropped, *, seeds: Sequence[int], permutations_n: int = 0, recipes: Sequence[Recipe] = LINEAR
) -> CroppedReport:
    """Judge detection from equal windows, by 5 outer folds to judge and 4 inner ones for every choice, for each seed.

    Args:
        cropped: equal windows of both outcomes.
        seeds: one full cross-validation each.
        permutations_n: full cross-validations with the outcomes dealt at random, one seed each; 0 makes no null.
        recipes: learners to choose from.

    Raises:
        TooLittle: fewer than 4 distinct tries of one outcome.
    """
    failed = cropped.failed
    groups = group_copies(tuple(cropped.windows))
    sizes = [len(np.unique(groups[failed == outcome])) for outcome in (True, False)]
    if min(sizes) < FEWEST_N:
        raise TooLittle(
            f"{sizes[0]} distinct failures and {sizes[1]} distinct successes are too few to judge a detector",
            remedy=f"{FEWEST_N} of each are needed, and some dozens for an interval that says anything.",
        )
    rows = describe(tuple(cropped.windows), cropped.columns, triads=cropped.triads).values
    used: Counter[str] = Counter()
    each = np.array([_unseen(rows, failed, groups, seed, recipes, used) for seed in seeds])
    score = each.mean(axis=0)
    area = _area("the detector", score, failed, seeds[0])
    by_seed = tuple(_area("", one, failed, seeds[0]).value for one in each)
    probes = _probes(cropped, seeds[0])
    strongest = max(probes, key=lambda probe: probe[0].value)
    null = [
        _area("", _unseen(rows, mixed, groups, seeds[0], recipes, Counter()), mixed, seeds[0]).value
        for mixed in _mixed(failed, groups, permutations_n, seeds[0])
    ]
    # The null is of single cross-validations, and so is what it is compared with: the worst one.
    p = (1.0 + sum(value >= min(by_seed) for value in null)) / (1.0 + len(null)) if null else None
    gain = gain_over(_split(score, failed), _split(strongest[1], failed), seed=seeds[0])
    caught, alarmed = (_count(score[failed == outcome] > 0.5) for outcome in (True, False))
    return CroppedReport(
        failures_n=int(failed.sum()),
        successes_n=int((~failed).sum()),
        window_s=cropped.window_s,
        columns=cropped.columns,
        features_n=rows.shape[1],
        seeds=tuple(seeds),
        area=area,
        by_seed=by_seed,
        caught=caught,
        alarmed=alarmed,
        balanced=_balanced(score > 0.5, failed, seeds[0]),
        probes=tuple(probe for probe, _ in probes),
        gain=gain,
        permutations_n=permutations_n,
        null_mean=float(np.mean(null)) if null else None,
        null_high=float(np.quantile(null, LEVEL)) if null else None,
        null_p=p,
        wrong=tuple(
            item.key for item, one, bad in zip(cropped.tries, score, failed, strict=True) if (one > 0.5) != bad
        ),
        recipes=tuple(used.most_common()),
        left_out=cropped.left_out,
        dropped=cropped.dropped,
        notes=tuple(_notes(cropped, area, strongest[0], gain, p)),
    )


def _unseen(
    rows: Vector,
    failed: NDArray[np.bool_],
    groups: NDArray[np.int64],
    seed: int,
    recipes: Sequence[Recipe],
    used: Counter[str],
) -> Vector:
    """Return float64 (n,), the probability of failure of each try from models that did not see it."""
    labels = failed.astype(np.int64)
    found = np.full(len(rows), np.nan)
    for learn, judge in turns(deal(labels, groups, folds_n=OUTER_N, seed=seed)):
        chosen = choose(recipes, rows[learn], labels[learn], groups[learn], seed=seed)
        used[chosen.name] += 1
        found[judge] = chosen.probabilities(rows[judge])[:, 1]
    return found


def _mixed(
    failed: NDArray[np.bool_], groups: NDArray[np.int64], permutations_n: int, seed: int
) -> list[NDArray[np.bool_]]:
    """Deal the outcomes at random, copies alike; every deal leaves enough of both to learn from."""
    rng = np.random.default_rng(seed)
    own, first, place = np.unique(groups, return_index=True, return_inverse=True)
    found: list[NDArray[np.bool_]] = []
    while len(found) < permutations_n:
        mixed = failed[first][rng.permutation(len(own))][place]
        if min(mixed.sum(), (~mixed).sum()) >= FEWEST_N:
            found.append(mixed)
    return found


def _probes(cropped: Cropped, seed: int) -> list[tuple[Area, Vector]]:
    failed, bin_s = cropped.failed, cropped.window_s / cropped.windows.shape[1]
    windows = np.where(np.isfinite(cropped.windows), cropped.windows, 0.0)
    found = {
        "duration of the whole try": np.array([item.profile.length_s for item in cropped.tries]),
        "the stopwatch inside the window": np.full(len(failed), cropped.window_s),
    }
    for a, b, c in cropped.triads:
        size = np.linalg.norm(windows[:, :, [a, b, c]], axis=2)
        found[f"largest {vector_name(cropped.columns, (a, b, c))} alone"] = size.max(axis=1)
    found |= _loudest(cropped, windows, seed)
    days = [item.day for item in cropped.tries]
    if all(days):
        found["the day alone"] = np.array([float(day) for day in days])
        found["the year alone"] = np.array([float(day[:4]) for day in days])
    found["number of streams lacking"] = np.array(cropped.lacking_n, dtype=np.float64)
    reached = [
        sum(begin <= at < begin + cropped.window_s + bin_s for _, at in item.profile.phases)
        for item, begin in zip(cropped.tries, cropped.begins_s, strict=True)
    ]
    found["number of phases begun in the window"] = np.array(reached, dtype=np.float64)
    rounded = {name: values.round(9) for name, values in found.items()}  # 1 and 1 - 1e-16 are no order
    return [(_area(name, values, failed, seed, either_way=True), values) for name, values in rounded.items()]


def _loudest(cropped: Cropped, windows: NDArray[np.float64], seed: int) -> dict[str, Vector]:
    """Return the largest value of the telling column of each stream, among columns of no vector."""
    alone = [number for number in range(len(cropped.columns)) if not any(number in triad for triad in cropped.triads)]
    streams: dict[str, list[int]] = {}
    for number in alone:
        streams.setdefault(cropped.columns[number].split(": ")[0], []).append(number)
    found = {}
    for members in streams.values():
        peaks = {number: np.abs(windows[:, :, number]).max(axis=1) for number in members}
        areas = {n: _area("", peak, cropped.failed, seed, either_way=True).value for n, peak in peaks.items()}
        best = max(members, key=lambda number: areas[number])
        of = f", the best of {len(members)} columns" if len(members) > 1 else ""
        found[f"largest |{cropped.columns[best]}| alone{of}"] = peaks[best]
    return found


def _notes(
    cropped: Cropped, area: Area, strongest: Area, gain: tuple[float, float, float], p: float | None
) -> list[str]:
    notes = []
    if gain[1] <= 0.0:
        notes.append(
            f"this set is easy or confounded: '{strongest.name}' alone reaches {strongest.value:.3f}, and the "
            f"detector's {area.value:.3f} is not shown to be better. It tells these failures from these successes; "
            "that it tells failure from success is not shown"
        )
    days = [{item.day for item in cropped.tries if item.success is outcome} for outcome in (True, False)]
    if all(item.day for item in cropped.tries) and not days[0] & days[1]:
        notes.append(
            "no day has both outcomes, so whatever else changed between the days explains the figure as well as "
            "failure does, and no way of folding can part the two. Record both on one day"
        )
    if p is not None and p > 0.05:
        notes.append(
            f"outcomes dealt at random: p = {p:.2f}, so nothing is shown (19 deals or more can show something)"
        )
    for outcome, word in ((False, "failures"), (True, "successes")):
        n = sum(item.success is outcome for item in cropped.tries)
        if n < 10:
            notes.append(f"only {n} {word}: the interval is wide whatever the figure says")
    return notes


def _area(name: str, values: Vector, failed: NDArray[np.bool_], seed: int, *, either_way: bool = False) -> Area:
    return area_of(name, *_split(values, failed), seed=seed, either_way=either_way)


def _split(values: Vector, failed: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    return [float(one) for one in values[failed]], [float(one) for one in values[~failed]]


def _count(flags: NDArray[np.bool_]) -> tuple[int, int, float, float]:
    from scipy import stats

    exact = stats.binomtest(int(flags.sum()), len(flags)).proportion_ci(LEVEL, method="exact")
    return int(flags.sum()), len(flags), float(exact.low), float(exact.high)


def _balanced(alarmed: NDArray[np.bool_], failed: NDArray[np.bool_], seed: int) -> tuple[float, float, float]:
    """Return balanced accuracy with its bootstrap interval, or the exact one of the smaller class when all is right."""
    right = alarmed == failed
    parts = [right[failed], right[~failed]]
    if right.all():
        _, _, low, high = _count(min(parts, key=len))
        return 1.0, low, high
    rng = np.random.default_rng(seed)
    drawn = np.mean([part[rng.integers(0, len(part), (RESAMPLES_N, len(part)))].mean(axis=1) for part in parts], axis=0)
    low, high = np.quantile(drawn, [(1.0 - LEVEL) / 2.0, (1.0 + LEVEL) / 2.0])
    return float(np.mean([part.mean() for part in parts])), float(low), float(high)
