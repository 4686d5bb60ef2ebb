"""Does the worth of an episode foretell what retraining with it gains, junk included?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Figure, Measured, at_least, at_most, shown
from benchmarks.studies._kept import Kept
from benchmarks.studies._lab import Lab, lesson_of
from saqiya.domain.contracts import Lesson, Operator, RunnablePolicy, Site, Step, Vector
from saqiya.domain.streams import Start, Stream
from saqiya.domain.words import Outcome
from saqiya.measure.bits import Batched
from saqiya.measure.worth import Reference, reference
from saqiya.sites.disturbed import Disturbed
from saqiya.sites.tiny import Tiny

COMMAND = "make study ONLY=novelty"
VERSION = 2
SEEDS = range(20261121, 20261129)
BASE_N, REGION = 10, 0.5
COUNTS = {"copy": 3, "near copy": 3, "new": 6, "shift": 6, "push": 6, "random": 3, "tremor": 3, "wrong": 3}
JUNK, COPIES = ("random", "tremor"), ("copy", "near copy")
HELD_OUT_N, MET_N, TRIES_N, INITS_N = 60, 40, 50, 4
SETTINGS = {"steps": 600.0, "width": 128.0, "layers": 2.0}
NEAR_COPY_M = 0.001
TREMOR = 0.8
JUNK_STEPS = (25, 50)
SMALL = 0.05
"""An error as large as this costs one bit; the actions go from -1 to 1."""
GAINS = ("loss", "absolute", "success")
SCORES = ("worth", "bits", "bits a step", "surprisal", "information", "learnable", "length", "random")
Streams = Mapping[str, Stream]


class Rough:
    """Every second try is pushed, as its start's seed says; which one nobody is told."""

    def __init__(self, seed: int) -> None:
        self._calm, self._seed = Tiny(), seed
        self._pushed = Disturbed(self._calm, "push", seed=seed)
        self._now: Site = self._calm
        self.spec = self._calm.spec

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw a start as the calm site does."""
        return self._calm.sample_start(seed, region=region)

    def reset(self, start: Start) -> Step:
        """Begin a try, calm or not."""
        self._now = self._pushed if np.random.default_rng([self._seed, start.seed, 2]).random() < 0.5 else self._calm
        return self._now.reset(start)

    def step(self, action: Vector) -> Step:
        """Carry out one action."""
        return self._now.step(action)

    def expert(self, seed: int) -> Operator:
        """Return the calm site's expert."""
        return self._calm.expert(seed)

    def close(self) -> None:
        """Nothing is held."""


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield the figures, for each kept seed measured once."""
    seeds: Sequence[int] = (900, 901) if quick else SEEDS
    kept = Kept("novelty")
    found = kept.units({f"v{VERSION}/{seed}": (seed,) for seed in seeds}, _measured)
    yield from _figures([_judged(one) for one in found])


def _measured(seed: int) -> dict[str, Any]:
    """Return kinds, outcomes, scores, and the gains of every candidate and initial weight."""
    calm, rough = Lab("tiny", settings=SETTINGS), Lab(Rough(seed), settings=SETTINGS)
    base = [_shown(calm, start)[0] for start in calm.starts(seed, BASE_N, stream=0, region=REGION)]
    candidates = _candidates(calm, seed, base)
    lessons = [lesson_of(one, calm.spec) for one in base]
    asked = calm.train(lessons, seed=1000)
    met = [rough.roll(asked, start).log.streams for start in rough.starts(seed, MET_N, stream=8)]
    limits = calm.site.spec.action_low, calm.site.spec.action_high
    against = reference(base, policy=asked, met=met, action_range=limits[1] - limits[0])
    exam = [_shown(rough, start) for start in rough.starts(seed, HELD_OUT_N, stream=1)]
    held_out = [lesson_of(one, calm.spec) for one, success in exam if success]
    starts = rough.starts(seed, TRIES_N, stream=9)

    def judge(more: Sequence[Lesson], init: int) -> tuple[float, float, float]:
        policy = calm.train([*lessons, *more], seed=init)
        return (*_loss(policy, held_out, limits), rough.rate(policy, starts))

    without = np.array([judge((), init) for init in range(INITS_N)])
    gains = [
        [np.subtract(judge([lesson_of(one, calm.spec)], init), without[init]).tolist() for init in range(INITS_N)]
        for _, one, _ in candidates
    ]
    return {
        "kinds": [kind for kind, _, _ in candidates],
        "succeeded": [success for _, _, success in candidates],
        "without": without.mean(axis=0).tolist(),
        "loss": [[-one[0] for one in each] for each in gains],
        "absolute": [[-one[1] for one in each] for each in gains],
        "success": [[one[2] for one in each] for each in gains],
        **_scored(against, [one for _, one, _ in candidates], [success for _, _, success in candidates], seed),
    }


def _scored(against: Reference, tries: Sequence[Streams], succeeded: Sequence[bool], seed: int) -> dict[str, Any]:
    """Measure every candidate with the product, told that it succeeded, and once more told the truth."""
    blind = [against.worth(one, Outcome.SUCCESS) for one in tries]
    told = [
        against.worth(one, Outcome.SUCCESS if success else Outcome.FAILURE)
        for one, success in zip(tries, succeeded, strict=True)
    ]
    return {
        "worth": [one.worth for one in blind],
        "worth told": [one.worth for one in told],
        "junk": [bool(one.junk) for one in blind],
        "junk told": [bool(one.junk) for one in told],
        "consistency": [one.consistency for one in blind],
        "bits": [one.bits.total for one in blind],
        "bits a step": [one.bits.mean for one in blind],
        "surprisal": [one.surprisal for one in blind],
        "information": [one.information for one in blind],
        "learnable": [one.learnable for one in blind],
        "length": [one.bits.steps for one in blind],
        "random": np.random.default_rng(seed).random(len(blind)).tolist(),
    }


def _candidates(lab: Lab, seed: int, base: Sequence[Streams]) -> list[tuple[str, Streams, bool]]:
    """Make the candidates: kind, streams, and whether the try succeeded."""
    rng = np.random.default_rng([seed, 3])
    half = (lab.site.spec.action_high - lab.site.spec.action_low) / 2
    pushed = Lab(Disturbed(Tiny(), "push", seed=seed), settings=SETTINGS)
    far = (start for start in lab.starts(seed, 1000, stream=3) if not _covered(lab, start))
    made = [("copy", one, True) for one in base[: COUNTS["copy"]]]
    made += [("near copy", _jittered(one, rng), True) for one in base[-COUNTS["near copy"] :]]
    made += [("new", *_shown(lab, one)) for one in lab.starts(seed, COUNTS["new"], stream=2, region=REGION)]
    made += [("shift", *_shown(lab, start)) for start, _ in zip(far, range(COUNTS["shift"]), strict=False)]
    made += [("push", *_shown(pushed, one)) for one in pushed.starts(seed, COUNTS["push"], stream=4, region=REGION)]
    for start in lab.starts(seed, COUNTS["random"], stream=5, region=REGION):
        steps = int(rng.integers(*JUNK_STEPS))
        made.append(("random", *_driven(lab, start, rng.uniform(-1.0, 1.0, (steps, len(half))) * half, 0.0)))
    for start in lab.starts(seed, COUNTS["tremor"], stream=6, region=REGION):
        tremble = rng.normal(0.0, TREMOR, (lab.site.spec.horizon_steps, len(half))) * half
        made.append(("tremor", *_driven(lab, start, tremble, 1.0)))
    mirror = np.where(np.arange(len(half)) == 0, -1.0, 1.0)
    for start in lab.starts(seed, COUNTS["wrong"], stream=7, region=REGION):
        made.append(("wrong", *_driven(lab, start, np.zeros((JUNK_STEPS[1], len(half))), mirror)))
    return made


def _shown(lab: Lab, start: Start) -> tuple[Streams, bool]:
    done = lab.demonstrate(start)
    return done.log.streams, done.success


def _driven(lab: Lab, start: Start, added: Vector, share: float | Vector) -> tuple[Streams, bool]:
    """Carry out `share` of what the expert would do, and `added` (t, d) to it; all of it counts as a person's."""
    site, spec = lab.site, lab.site.spec
    expert: Operator = site.expert(start.seed)  # type: ignore[attr-defined]
    steps, actions = [site.reset(start)], []
    for more in added:
        wish = expert.act(steps[-1].observation)
        actions.append(np.clip(share * (0.0 if wish is None else wish) + more, spec.action_low, spec.action_high))
        steps.append(site.step(actions[-1]))
        if steps[-1].success:
            break
    stamps = np.array([one.t_ns for one in steps], dtype=np.int64)
    streams = {
        f"observation/{name}": Stream(stamps, np.stack([one.observation[name] for one in steps]))
        for name in spec.observation
    }
    streams["action/executed"] = Stream(stamps[:-1], np.stack(actions))
    streams["author"] = Stream(stamps[:-1], np.ones((len(actions), 1), dtype=np.uint8))
    return streams, steps[-1].success


def _jittered(streams: Streams, rng: np.random.Generator) -> Streams:
    """Return the same try as other sensors would have seen it."""
    return {
        name: Stream(one.t_ns, one.values + rng.normal(0.0, NEAR_COPY_M, one.values.shape))
        if name.startswith(("observation/", "action/"))
        else one
        for name, one in streams.items()
    }


def _covered(lab: Lab, start: Start) -> bool:
    inside = [
        abs(float(start.factors[name]) - (low + high) / 2) <= REGION * (high - low) / 2
        for name, (low, high) in lab.site.spec.factors.items()
    ]
    return all(inside)


def _loss(policy: RunnablePolicy, held_out: Sequence[Lesson], limits: tuple[Vector, Vector]) -> tuple[float, float]:
    """Return bits and mean of the absolute error of what would be carried out, each of the expert's tries alike."""
    assert isinstance(policy, Batched)
    errors = []
    ends = np.cumsum(list(policy.spec.observation.values()))[:-1]
    for one in held_out:
        seen = dict(zip(policy.spec.observation, np.split(one.observation, ends, axis=1), strict=True))
        chunk = policy.act_batch(seen).chunk[:, : policy.spec.execute]
        ahead = np.minimum(np.arange(len(one.action))[:, None] + np.arange(policy.spec.execute), len(one.action) - 1)
        error = np.abs(np.clip(chunk, *limits) - one.action[ahead])
        errors.append((np.log2(1.0 + error / SMALL).mean(), error.mean()))
    bits, absolute = np.mean(errors, axis=0)
    return float(bits), float(absolute)


def _judged(found: Mapping[str, Any]) -> dict[str, float]:
    """Return every statistic of one seed."""
    from sklearn.metrics import roc_auc_score

    kinds = np.array(found["kinds"])
    gain = {name: np.array(found[name]) for name in GAINS}
    mean = {name: values.mean(axis=1) for name, values in gain.items()}
    junk, copies = np.isin(kinds, JUNK), np.isin(kinds, COPIES)
    all_in = kinds != "wrong"
    clean, novel = all_in & ~junk, all_in & ~junk & ~copies
    told: dict[str, float] = {
        f"kind.{kind}.{name}": float(mean[name][kinds == kind].mean()) for kind in COUNTS for name in mean
    }
    for score in SCORES:
        values = np.array(found[score], dtype=np.float64)
        told[f"junk in.{score}"] = _rank(values[all_in], mean["loss"][all_in])
        told[f"clean.{score}"] = _rank(values[clean], mean["loss"][clean])
        told[f"junk in absolute.{score}"] = _rank(values[all_in], mean["absolute"][all_in])
        told[f"clean absolute.{score}"] = _rank(values[clean], mean["absolute"][clean])
        told[f"clean success.{score}"] = _rank(values[clean], mean["success"][clean])
        told[f"junk in success.{score}"] = _rank(values[all_in], mean["success"][all_in])
        told[f"copy.{score}"] = float(roc_auc_score(novel[clean], values[clean]))
        told[f"junk above.{score}"] = float(roc_auc_score(junk[junk | novel], values[junk | novel]))
    worth = np.array(found["worth"])
    length = np.array(found["length"], dtype=np.float64)
    told["partial"] = _partial(worth[clean], mean["loss"][clean], length[clean])
    told["partial junk in"] = _partial(worth[all_in], mean["loss"][all_in], length[all_in])
    told["told.junk in"] = _rank(np.array(found["worth told"])[all_in], mean["loss"][all_in])
    told["told.wrong caught"] = float(np.mean(np.array(found["junk told"])[kinds == "wrong"]))
    told["gate.wrong caught"] = float(np.mean(np.array(found["junk"])[kinds == "wrong"]))
    error = np.array(found["consistency"], dtype=np.float64)
    told["gate.auroc"] = float(roc_auc_score(junk[all_in], error[all_in]))
    told["gate.false"] = float(np.mean(np.array(found["junk"])[clean]))
    told["gate.caught"] = float(np.mean(np.array(found["junk"])[junk]))
    told["absolute and success"] = _rank(mean["absolute"][all_in], mean["success"][all_in])
    told["loss and success"] = _rank(mean["loss"][all_in], mean["success"][all_in])
    for name, values in gain.items():
        told[f"ceiling.{name}.junk in"] = _ceiling(values[all_in])
        told[f"ceiling.{name}.clean"] = _ceiling(values[clean])
    return told


def _rank(x: NDArray[Any], y: NDArray[Any]) -> float:
    from scipy import stats

    return float(stats.spearmanr(x, y).statistic)


def _partial(x: NDArray[Any], y: NDArray[Any], z: NDArray[Any]) -> float:
    """Return Spearman's correlation of x and y with z held fixed."""
    xy, xz, yz = _rank(x, y), _rank(x, z), _rank(y, z)
    return (xy - xz * yz) / math.sqrt((1.0 - xz**2) * (1.0 - yz**2))


def _ceiling(values: NDArray[Any]) -> float:
    """Return the largest correlation to hope for: the root of the gain's own reliability, from all halves of inits."""
    inits = range(values.shape[1])
    halves = [(0, i) for i in inits if i]
    each = []
    for half in halves:
        rest = [i for i in inits if i not in half]
        each.append(_rank(values[:, list(half)].mean(axis=1), values[:, rest].mean(axis=1)))
    between = max(0.0, float(np.mean(each)))
    return math.sqrt(2.0 * between / (1.0 + between))


def _figures(judged: Sequence[Mapping[str, float]]) -> Iterator[Figure]:
    def of(name: str) -> Measured:
        from scipy import stats

        values = np.array([one[name] for one in judged])
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
        return Measured(float(values.mean()), float(values.mean() - half), float(values.mean() + half), len(values))

    bars = {"junk in.worth": 0.70, "clean.worth": 0.80, "partial": 0.60, "copy.worth": 0.99, "gate.auroc": 0.99}
    most = {"junk above.worth": 0.10, "gate.false": 0.03}
    for name in judged[0]:
        figure = f"novelty.{name.replace(' ', '_')}"
        if name in bars:
            yield at_least(figure, of(name), bars[name], command=COMMAND)
        elif name in most:
            yield at_most(figure, of(name), most[name], command=COMMAND)
        else:
            yield shown(figure, of(name), command=COMMAND)
