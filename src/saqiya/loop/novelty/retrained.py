"""A learning curve made on purpose: nested parts of one dataset version, retrained by one recipe, and judged alike.

Each retrained policy is a unit, one file under `derived/saturation` by all that it depends on: interrupted, it goes on
where it stopped; deleted, it is measured anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Lesson, Roll, RunnablePolicy, Vector
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import DatasetVersion, Source
from saqiya.domain.streams import Start
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop import draws
from saqiya.loop.tries.rollout import run_try
from saqiya.measure.bits import Batched
from saqiya.measure.saturation import Curve, Point
from saqiya.stores.disk import replace_file
from saqiya.train.stage import lessons

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["RETRAINED", "UNSEEN", "Ask", "known_curves", "retrain"]

RETRAINED, UNSEEN = "retrained", "held-out error"
FEWEST_EPISODES_N = 4
SMALLEST_SHARE = 0.125
JUDGES = 0.25
"""Of the episodes, where there is no site: so many are never trained on, and tell the error."""
FEWEST_ERROR = 1e-4


@dataclass(frozen=True)
class Ask:
    """What is asked: `sizes` nested parts, each retrained `seeds` times, each policy judged by `tries` rollouts.

    `trainer` where it is not the one of saqiya.toml: "ensemble" in a workspace for data alone.
    """

    sizes: int = 5
    seeds: int = 2
    tries: int = 50
    trainer: str = ""


def retrain(wheel: Flywheel, what: str = "", ask: Ask = Ask()) -> Curve:
    """Retrain on nested parts of a dataset version (the newest where none is named) and return the curve.

    Which episodes come first is drawn once for each seed. Policies try the task at the site; without one they predict
    the actions of episodes that none of them learned from, and the curve is of the share of variance explained.

    Raises:
        GuardRefusal: there is no dataset version.
        UsageError: it has too few episodes, actions that never change, or less than one size, seed or try is asked for.
    """
    if min(ask.sizes, ask.seeds, ask.tries) < 1:
        raise UsageError("at least one size, seed and try is needed", subject="saturation", remedy="Ask for more.")
    bench = _Bench(wheel, _version(wheel, what), ask)
    units = list(bench.units())
    for done, (seed, n) in enumerate(units):
        wheel.progress("saturation: retrained and judged", done, len(units))
        bench.measure(seed, n)
    wheel.progress("saturation: retrained and judged", len(units), len(units))
    return next(one for one in known_curves(wheel, bench.version) if one.basis == bench.basis)


def known_curves(wheel: Flywheel, version: DatasetVersion | None = None) -> tuple[Curve, ...]:
    """Return what was measured on a dataset version, the newest where none is given, by the recipe used last."""
    versions = wheel.store.catalog.all(DatasetVersion)
    version = version or (versions[-1] if versions else None)
    folder = wheel.store.derived / "saturation"
    if version is None or not folder.exists():
        return ()
    units = [json.loads(path.read_bytes()) for path in sorted(folder.glob(f"{version.manifest_hash[:16]}-*.json"))]
    if not units:
        return ()
    newest = max(units, key=lambda one: one["at_ns"])
    alike = sorted((one for one in units if one["common"] == newest["common"]), key=lambda one: (one["n"], one["seed"]))
    points = tuple(
        Point(one["n"], one["good"], one["tries"], name=f"{one['n']} episodes, seed {one['seed']}") for one in alike
    )
    name = f"{wheel.key_of(version.id)}"
    return (Curve(name, points, kind="task", basis=newest["basis"]),)


class _Bench:
    """Trains and judges policies on parts of one version."""

    def __init__(self, wheel: Flywheel, version: DatasetVersion, ask: Ask) -> None:
        self.wheel, self.version, self.ask = wheel, version, ask
        config = wheel.config.train if wheel.turning else None
        self.trainer_name = ask.trainer or (config.trainer if config else "ensemble")
        own = config is not None and config.trainer == self.trainer_name
        self.settings: Mapping[str, float] = config.settings if config and own else {}
        self.seed = wheel.config.run.seed if wheel.turning else 0
        self.basis = RETRAINED if wheel.turning else UNSEEN
        catalog = wheel.store.catalog
        self.episodes = sorted({one.episode for one in version.entries}, key=catalog.key_of)
        if len(self.episodes) < FEWEST_EPISODES_N:
            raise UsageError(
                f"{len(self.episodes)} episodes are too few for a curve",
                subject=wheel.key_of(version.id),
                remedy=f"Name a version of {FEWEST_EPISODES_N} or more.",
            )
        self.spec = wheel.policy_spec(self.episodes)
        self.starts = self._starts() if wheel.turning else ()
        self.judges = () if wheel.turning else tuple(self._order(-1)[: max(2, round(JUDGES * len(self.episodes)))])
        self.folder = wheel.store.derived / "saturation"
        self.folder.mkdir(exist_ok=True)
        said = [self.trainer_name, dict(self.settings), asdict(self.spec), [one.key for one in self.starts]]
        self.common = digest_of(json.dumps([*said, self.basis]).encode())
        self._lessons: dict[str, list[Lesson]] = {}

    def units(self) -> Iterator[tuple[int, int]]:
        """Yield (seed, number of episodes), the large ones last."""
        most = len(self.episodes) - len(self.judges)
        shares = np.geomspace(SMALLEST_SHARE, 1.0, self.ask.sizes) if self.ask.sizes > 1 else [1.0]
        for n in sorted({max(2, round(most * share)) for share in shares}):
            for seed in range(self.ask.seeds):
                yield seed, n

    def measure(self, seed: int, n: int) -> None:
        """Retrain on the first `n` episodes of this seed's order and judge, where that was not done before."""
        unit = digest_of(json.dumps([self.common, seed, n]).encode())
        path = self.folder / f"{self.version.manifest_hash[:16]}-{unit[:16]}.json"
        if path.exists():
            return
        left = [one for one in self._order(seed) if one not in self.judges][:n]
        policy = self._trained(left, seed)
        good, tries = self._rolled(policy) if self.starts else self._unseen(policy)
        made: dict[str, Any] = {"n": n, "seed": seed, "good": good, "tries": tries, "basis": self.basis}
        replace_file(path, json.dumps({**made, "common": self.common, "at_ns": self.wheel.clock()}).encode())

    def _order(self, seed: int) -> list[str]:
        rng = np.random.default_rng([self.seed, seed + 1])
        return [self.episodes[index] for index in rng.permutation(len(self.episodes))]

    def _starts(self) -> tuple[Start, ...]:
        site, seed = self.wheel.site, self.wheel.config.run.seed
        return draws.starts(site, seed, "saturation", 0, self.ask.tries, region=1.0)

    def _of(self, episode: str) -> list[Lesson]:
        if episode not in self._lessons:
            part = replace(self.version, entries=tuple(e for e in self.version.entries if e.episode == episode))
            self._lessons[episode] = lessons(self.wheel.store, part, self.spec)
        return self._lessons[episode]

    def _trained(self, episodes: Sequence[str], seed: int) -> RunnablePolicy:
        trainer = plugins.load("saqiya.trainers", self.trainer_name)()
        taught = [replace(one, episode=index) for index, ref in enumerate(episodes) for one in self._of(ref)]
        trained = trainer.fit(
            taught,
            self.spec,
            settings=self.settings,
            seed=draws.seed(self.seed, "saturation-train", 0, seed),
            progress=lambda *_: None,
        )
        policy: RunnablePolicy = trainer.load(trained.spec, trained.tensors)
        return policy

    def _rolled(self, policy: RunnablePolicy) -> tuple[float, float]:
        good = 0
        for start in self.starts:
            roll = Roll("saturation", start, Source.ROLLOUT)
            good += run_try(self.wheel.site, roll, policy=policy, operator=None, facts={}).success
        return float(good), float(len(self.starts))

    def _unseen(self, policy: RunnablePolicy) -> tuple[float, float]:
        """Return the share of the actions' variance that is explained, as counts with the same standard error."""
        rows = [one for ref in self.judges for one in self._of(ref)]
        spread = np.concatenate([one.action for one in rows]).var(axis=0)
        moving = spread > 0.0
        if not moving.any():
            raise UsageError(
                "the held-out actions never change, so nothing of them can be explained",
                subject=self.wheel.key_of(self.version.id),
                remedy="Look at action/executed: saqiya audit.",
            )
        wrong = [((_first(policy, one) - one.action) ** 2)[:, moving] / spread[moving] for one in rows]
        errors = np.array([one.mean() for one in wrong])
        error = float(np.clip(errors.mean(), FEWEST_ERROR, 1.0 - FEWEST_ERROR))
        variance = max(float(errors.var(ddof=1)) / len(errors), FEWEST_ERROR**2)
        tries = max(1.0, error * (1.0 - error) / variance)
        return (1.0 - error) * tries, tries


def _first(policy: RunnablePolicy, lesson: Lesson) -> Vector:
    """Return the first action of the policy's answer to each row, float64 (t, d)."""
    edges = np.cumsum([0, *policy.spec.observation.values()])
    seen = {
        name: lesson.observation[:, low:high]
        for name, low, high in zip(policy.spec.observation, edges[:-1], edges[1:], strict=True)
    }
    policy.reset(0)
    if isinstance(policy, Batched):
        return np.asarray(policy.act_batch(seen).chunk[:, 0, :])
    rows = range(len(lesson.observation))
    return np.array([policy.act({name: values[row] for name, values in seen.items()}).chunk[0] for row in rows])


def _version(wheel: Flywheel, what: str) -> DatasetVersion:
    catalog = wheel.store.catalog
    if what:
        return catalog.get(what, DatasetVersion)
    versions = catalog.all(DatasetVersion)
    if not versions:
        raise GuardRefusal(
            "there is no dataset version", subject=str(wheel.store.root), remedy="saqiya mix EPISODES --name NAME."
        )
    return versions[-1]
