"""Does choosing by a score beat its rivals here? Retrain on what each would choose, and let the policies answer.

Every retrained and judged policy is a unit, kept under `derived/ablate` by all that it depends on: interrupted, it goes
on where it stopped; deleted, it is measured anew. Only the answer is a noun.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Demonstrable, Roll, RunnablePolicy, Trainer, Vector
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Ablation, Source
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault, UsageError
from saqiya.evaluate.ablation import FEWEST_SEEDS, Difference, Verdict, ceiling, verdict, visible
from saqiya.loop import draws
from saqiya.loop.novelty.ablate_data import Piece, Subject, gather, numbered, piece_of
from saqiya.loop.novelty.ablate_score import SCORES, Scored, score
from saqiya.loop.tries.rollout import run_try
from saqiya.measure.bits import Batched
from saqiya.measure.rivals import rank_correlation
from saqiya.stores.disk import replace_file

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["SCATTER", "Ask", "ablate", "foreseen"]

SCATTER = 0.03
"""Standard deviation of success between two trainings on one set without the luck of the tries: on pick-place."""
SHARED = 0.5
"""Of the variance that the tries bring, this much is common to all policies: they begin at the same starts."""
USUAL_TRAINER = "ensemble"
PLAIN_MOST_N = 10_000
ERROR, SUCCESS, RANDOM = "action error", "success", "random"
_COSTS = ("human_steps", "takeovers", "cost")
_Made = Mapping[str, Sequence[Sequence[Piece]]]


@dataclass(frozen=True)
class Ask:
    """What is asked: how many to choose by which score, over how many seeds, judged by how many tries a policy."""

    choose: int = 10
    score: str = "novelty"
    seeds: int = 8
    tries: int = 50
    candidates: tuple[str, ...] = ()
    base: tuple[str, ...] = ()


def foreseen(seeds: int, tries: int) -> str:
    """Say, before anything is run, which differences so many seeds and tries can see.

    Raises:
        UsageError: too few of them to see any.
    """
    if seeds < FEWEST_SEEDS or tries < 1:
        raise UsageError(
            f"{seeds} seeds of {tries} tries tell nothing", remedy=f"Ask for {FEWEST_SEEDS} seeds and 1 try or more."
        )
    scatter = float(np.sqrt(SCATTER**2 + (1.0 - SHARED) * 0.25 / tries))
    return (
        f"With {seeds} seeds of {tries} tries you can see differences from random choice of {_seen(seeds, scatter)}, "
        f"if success scatters by {100.0 * scatter:.0f} points between two trainings on one set."
    )


def _seen(seeds: int, scatter: float) -> str:
    points = 100.0 * visible(seeds, scatter)
    return f"about {points:.0f} points" if points < 100.0 else "no size at all"


def ablate(wheel: Flywheel, ask: Ask) -> Ablation:
    """Retrain, judge, and answer; a question that was answered is answered from the catalog.

    Raises:
        UsageError: it cannot be asked of this workspace: too few candidates, seeds or tries, no base, no such score.
    """
    if ask.seeds < FEWEST_SEEDS or ask.tries < 1 or ask.choose < 1 or ask.score not in SCORES:
        raise UsageError(
            f"{ask.seeds} seeds, {ask.tries} tries, {ask.choose} to choose, score {ask.score!r} cannot be asked",
            remedy=f"{FEWEST_SEEDS} seeds or more, 1 or more of the others, a score of: {', '.join(SCORES)}.",
        )
    bench = _Bench(wheel, ask, gather(wheel, ask.candidates, ask.base))
    known = wheel.store.catalog.by_key(Ablation, bench.key)
    return known if known is not None else wheel.store.catalog.put(_answered(bench), key=bench.key)


class _Bench:
    """Trains and judges policies for one question, and forgets nothing that it has measured."""

    def __init__(self, wheel: Flywheel, ask: Ask, subject: Subject) -> None:
        self.wheel, self.ask, self.subject = wheel, ask, subject
        self.usable = [index for index, one in enumerate(subject.candidates) if not one.failed]
        if ask.choose >= len(self.usable):
            raise UsageError(
                f"{ask.choose} of {len(self.usable)} usable candidates is no choice",
                subject="ablate",
                remedy="Ask for fewer with --choose, or name more candidates with --from.",
            )
        config = wheel.config.train if wheel.turning else None
        self.trainer_name = config.trainer if config else USUAL_TRAINER
        self.settings: Mapping[str, float] = config.settings if config else {}
        self.trainer: Trainer = plugins.load("saqiya.trainers", self.trainer_name)()
        self.seed = wheel.config.run.seed if wheel.turning else 0
        self.measure = SUCCESS if wheel.turning else ERROR
        self.starts = self._starts() if wheel.turning else ()
        self.folder = wheel.store.derived / "ablate"
        self.folder.mkdir(exist_ok=True)
        self.rollouts, self.done, self.of = 0, 0, 0
        common = {
            "trainer": [self.trainer_name, dict(self.settings), asdict(subject.spec)],
            "base": [_mark(one) for one in subject.base],
            "judges": [one.key for one in self.starts] or [_mark(one) for one in subject.judges],
            "seed": self.seed,
        }
        self._common = digest_of(json.dumps(common).encode())

    @property
    def key(self) -> str:
        """The logical key of the answer: all that it depends on."""
        marks = [_mark(one) for one in self.subject.candidates]
        asked = [self._common, marks, self.ask.choose, self.ask.score, self.ask.seeds]
        return f"ablation/{digest_of(json.dumps(asked).encode())[:16]}"

    def value(self, pieces: Sequence[Piece], init: int) -> float:
        """Train on the base and `pieces`, and judge: higher is better."""
        mark = [self._common, sorted(_mark(one) for one in pieces), init]
        path = self.folder / f"{digest_of(json.dumps(mark).encode())[:32]}.json"
        if not path.exists():
            replace_file(path, json.dumps(self._judged(self.policy(pieces, init))).encode())
        self.done += 1
        self.wheel.progress("ablate: retrained and judged", self.done, self.of)
        self.rollouts += len(self.starts)
        return float(json.loads(path.read_bytes()))

    def policy(self, pieces: Sequence[Piece], init: int) -> RunnablePolicy:
        """Train from scratch on the base and `pieces`."""
        trained = self.trainer.fit(
            numbered([*self.subject.base, *pieces]),
            self.subject.spec,
            settings=self.settings,
            seed=draws.seed(self.seed, "ablate-train", 0, init),
            progress=lambda *_: None,
        )
        return self.trainer.load(trained.spec, trained.tensors)

    def plain(self, seed: int, cost: int) -> list[Piece] | None:
        """Return plain demonstrations that cost a person at least as much: fresh ones where the site has an expert.

        Else those among the candidates, by lot; None where they do not add up to that cost.
        """
        if self.wheel.turning and isinstance(self.wheel.site, Demonstrable):
            shown = (self._shown(seed, index) for index in range(PLAIN_MOST_N))
        else:
            whole = [one for one in self.subject.candidates if one.plain and not one.failed]
            order = np.random.default_rng([self.seed, seed, 2]).permutation(len(whole))
            shown = (whole[index] for index in order)
        taken: list[Piece] = []
        for one in shown:
            taken.append(one)
            if sum(piece.cost for piece in taken) >= cost:
                return taken
        return None

    def _shown(self, seed: int, index: int) -> Piece:
        site = self.wheel.site
        start = site.sample_start(draws.seed(self.seed, f"ablate-plain-{seed}", 0, index))
        if not isinstance(site, Demonstrable):
            raise SiteFault("brings no scripted expert", subject=site.spec.name, remedy="Name an operator.")
        roll = Roll(f"ablate/{seed}/{index}", start, Source.DEMONSTRATION, operator="expert")
        done = run_try(site, roll, policy=None, operator=site.expert(start.seed), facts={})
        return piece_of(f"plain/{start.key}", dict(done.log.streams), self.subject.spec, failed=not done.success)

    def _starts(self) -> tuple[Start, ...]:
        drawn = draws.starts(self.wheel.site, self.seed, "ablate", 0, self.ask.tries, region=1.0)
        names = [one.name for one in (*self.subject.base, *self.subject.candidates)]
        taught = {episode.start.key for name in names if (episode := self.wheel.episode(name)).start}
        return tuple(one for one in drawn if one.key not in taught)

    def _judged(self, policy: RunnablePolicy) -> float:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        with threadpool_limits(1, user_api="blas"):
            if not self.starts:
                return -float(np.mean([self._error(policy, one) for one in self.subject.judges]))
            rolls = [Roll("ablate", one, Source.ROLLOUT) for one in self.starts]
            tries = [run_try(self.wheel.site, one, policy=policy, operator=None, facts={}) for one in rolls]
        return float(np.mean([one.success for one in tries]))

    def _error(self, policy: RunnablePolicy, piece: Piece) -> float:
        """Mean error of the first action over an episode, in standard deviations of the judges' actions."""
        spread = np.concatenate([one.action for judge in self.subject.judges for one in judge.lessons]).std(axis=0)
        scale = np.where(spread > 0.0, spread, 1.0)
        found = [np.abs(_first(policy, one.observation) - one.action) / scale for one in piece.lessons]
        return float(np.concatenate(found).mean())


def _first(policy: RunnablePolicy, rows: Vector) -> Vector:
    policy.reset(0)
    ends = np.cumsum(list(policy.spec.observation.values()))[:-1]
    named = dict(zip(policy.spec.observation, np.split(rows, ends, axis=1), strict=True))
    if isinstance(policy, Batched):
        return policy.act_batch(named).chunk[:, 0]
    return np.stack([policy.act({name: part[i] for name, part in named.items()}).chunk[0] for i in range(len(rows))])


def _mark(piece: Piece) -> str:
    """A name for what a piece teaches."""
    parts = [part for one in piece.lessons for part in (one.observation, one.action, one.weight)]
    return digest_of(b"".join(np.ascontiguousarray(part).tobytes() for part in parts))


def _answered(bench: _Bench) -> Ablation:
    """Measure every arm and put the answer together."""
    ask, subject = bench.ask, bench.subject
    scored = score(ask.score, subject, bench.policy([], 0), ask.choose, seed=bench.seed)
    sets = _sets(bench, scored)
    lots = [np.random.default_rng([bench.seed, seed, 3]) for seed in range(ask.seeds)]
    drawn = [lot.choice(bench.usable, ask.choose, replace=False) for lot in lots]
    draw = [[subject.candidates[i] for i in members] for members in drawn]
    bench.of = (len(sets) + 2) * ask.seeds
    values: dict[str, list[float]] = {name: [] for name in sets}
    pairs: list[tuple[float, float]] = []
    for seed in range(ask.seeds):  # arm by arm within a seed: an interrupted run has whole seeds
        for name, chosen in sets.items():
            values[name].append(bench.value(chosen[seed], seed))
        pairs.append((bench.value(draw[seed], seed), bench.value(draw[seed], seed + ask.seeds)))
    rivals = {name: found for name, found in values.items() if name != ask.score}
    judged = verdict(values[ask.score], pairs, rivals)
    agrees = rank_correlation([float(scored.each[i].mean()) for i in drawn], np.mean(pairs, axis=1).tolist(), seed=0)
    report: dict[str, Any] = {
        "measure": bench.measure,
        "relative_to": "a policy trained on the base alone",
        "base": len(subject.base),
        "candidates": len(subject.candidates),
        "failed": len(subject.candidates) - len(bench.usable),
        "junk": scored.junk,
        "seeds": ask.seeds,
        "tries": len(bench.starts),
        "judges": len(subject.judges),
        "rollouts": bench.rollouts,
        "chosen": [subject.candidates[i].name for i in scored.chosen],
        "arms": _arms(bench, values, pairs, {**sets, RANDOM: draw}),
        "differences": [asdict(one) for one in judged.differences],
        "ceiling": asdict(ceiling([*pairs, *((found[0], found[1]) for found in values.values())])),
        "score_agreement": asdict(agrees),
        "scatter": judged.scatter,
        "visible": visible(ask.seeds, judged.scatter),
        "missing": [] if "plain" in sets else ["plain"],
    }
    return Ablation(
        id=bench.wheel.store.catalog.new_id("ablation"),
        scope=bench.wheel.scope if bench.wheel.turning else "",
        dataset=subject.dataset,
        score=ask.score,
        answer=_sentence(bench, judged),
        gained=judged.gained,
        report=report,
    )


def _sets(bench: _Bench, scored: Scored) -> dict[str, list[Sequence[Piece]]]:
    """Return what each arm trains on beside the base, for every seed; random choice is apart."""
    ask, candidates = bench.ask, bench.subject.candidates
    chosen = [candidates[i] for i in scored.chosen]
    longest = [candidates[i] for i in sorted(bench.usable, key=lambda i: -candidates[i].human_steps)[: ask.choose]]
    sets: dict[str, list[Sequence[Piece]]] = {ask.score: [chosen] * ask.seeds}
    if ask.score != "length":
        sets["longest"] = [longest] * ask.seeds
    plain = [bench.plain(seed, sum(one.cost for one in chosen)) for seed in range(ask.seeds)]
    if all(one is not None for one in plain):
        sets["plain"] = [one for one in plain if one is not None]
    return sets


def _arms(
    bench: _Bench, values: Mapping[str, Sequence[float]], pairs: Sequence[tuple[float, float]], made: _Made
) -> dict[str, Any]:
    """Say what each arm came to, over seeds, and what it cost a person."""
    rate_hz = bench.subject.spec.rate_hz
    found = {}
    for name, sets in made.items():
        each = [float(np.mean(pair)) for pair in pairs] if name == RANDOM else values[name]
        low, high = _student(each)
        if bench.measure == SUCCESS:
            low, high = max(0.0, low), min(1.0, high)
        costs = [float(np.mean([sum(getattr(one, what) for one in chosen) for chosen in sets])) for what in _COSTS]
        found[name] = {
            "value": float(np.mean(each)),
            "low": low,
            "high": high,
            "values": [list(pair) for pair in pairs] if name == RANDOM else list(each),
            "episodes": float(np.mean([len(chosen) for chosen in sets])),
            **dict(zip(_COSTS, costs, strict=True)),
            "minutes": costs[-1] / rate_hz / 60.0 if rate_hz > 0.0 else None,
        }
    return found


def _student(values: Sequence[float]) -> tuple[float, float]:
    from scipy import stats

    mean = float(np.mean(values))
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    return mean - half, mean + half


def _sentence(bench: _Bench, judged: Verdict) -> str:
    """Answer in one sentence, the figures in it."""
    ask = bench.ask
    unit = "points of success" if bench.measure == SUCCESS else "held-out action error in standard deviations"
    times = 100.0 if bench.measure == SUCCESS else 1.0
    said = f"{ask.choose} of {len(bench.subject.candidates)} chosen by {ask.score}"

    def told(one: Difference) -> str:
        return f"{one.rival} ({times * one.value:+.3g}, {times * one.low:+.3g} to {times * one.high:+.3g})"

    if judged.gained:
        beaten = ", ".join(map(told, judged.differences))
        return f"Yes: over {ask.seeds} seeds {said} made better policies than {beaten}, in {unit}."
    lost = ", ".join(told(one) for one in judged.differences if not one.better)
    seen = _seen(ask.seeds, judged.scatter)
    blind = "" if bench.measure == ERROR else f"; by how these scattered, differences of {seen} can be seen"
    return f"No: over {ask.seeds} seeds {said} did not beat {lost}, in {unit}{blind}."
