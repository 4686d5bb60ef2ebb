"""A workspace that has turned for months: thousands of failures and requests, made from nouns alone and never run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from saqiya.detect.stage import FUSED
from saqiya.domain.nouns import (
    Assignment,
    AuthorKind,
    Calibration,
    Correction,
    CorrectionKind,
    CorrectionRequest,
    DatasetEntry,
    DatasetVersion,
    Decision,
    Deployment,
    Dismissal,
    Episode,
    Evaluation,
    EvaluationPlan,
    Failure,
    FailureMode,
    GateDecision,
    Lineage,
    Noun,
    Novelty,
    Outcome,
    OutcomeClaim,
    Policy,
    Recording,
    Review,
    Role,
    Slot,
    Source,
    StreamInfo,
    Submission,
    Suite,
    Trial,
    Turn,
    Verdict,
)
from saqiya.domain.streams import Start, Stream
from saqiya.evaluate.gate import GateParams
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.loop.config import FILE_NAME
from saqiya.loop.flywheel import Flywheel
from saqiya.stores import streams

__all__ = ["OPERATORS", "Size", "grow"]

BATCH = 2000
MODES = ("slip", "collision", "failed_retry", "unseen_start", "translation", "timeout", "no_grasp", "wrong_object")
STREAMS = ("action/executed", "action/operator", "author", "contact/force", "observation/hand", "observation/puck")
EVIDENCE = ("goal_first_m", "goal_last_m", "held", "length_s", "progress_s", "stalled_s", "still_s", "over/rest")
BOXES = {"goal_x": (-0.385, -0.175), "goal_y": (0.11, 0.28), "object_x": (0.175, 0.385), "object_y": (0.11, 0.28)}
OPERATORS = ("olga", "omar", "ines")


@dataclass(frozen=True)
class Size:
    """How much there is: a share of the tries fails, and of what was asked for a part was given, a part waits."""

    turns: int = 20
    tries: int = 1000
    failures: int = 500
    requests: int = 250
    given: int = 150
    handed: int = 20
    pairs: int = 40
    again: int = 60


def grow(root: Path, size: Size, *, seed: int) -> Flywheel:
    """Make a workspace of so many turns, and open it."""
    Flywheel.init(root, site="tiny", trainer="ridge", seed=seed, workers=0).close()
    text = (root / FILE_NAME).read_text()
    (root / FILE_NAME).write_text(text.replace("[stop]", "[stop]\nturns_without_gain = 99"))
    wheel = Flywheel(root)
    grown = _Grown(wheel, size, np.random.default_rng(seed))
    for number in range(size.turns):
        grown.store(grown.turn(number))
    grown.store(grown.said())
    return wheel


@dataclass
class _Grown:
    wheel: Flywheel
    size: Size
    rng: np.random.Generator
    lessons: list[DatasetEntry] = field(default_factory=list)
    failed: list[tuple[Failure, Start, str]] = field(default_factory=list)
    before: tuple[Policy, DatasetVersion, Deployment] | None = None

    def store(self, rows: Iterator[tuple[Noun, str]]) -> None:
        batch: list[tuple[Noun, str]] = []
        for row in rows:
            batch.append(row)
            if len(batch) == BATCH:
                self.wheel.store.catalog.put_all(batch)
                batch = []
        self.wheel.store.catalog.put_all(batch)

    def turn(self, number: int) -> Iterator[tuple[Noun, str]]:
        """Yield a turn's nouns in the order in which a turn stores them."""
        place = f"turn-{number}"
        if self.before is None:
            yield from self._bootstrap()
        else:
            yield from self._triaged(place)
        dataset = DatasetVersion(
            id=self._id("dataset_version"),
            parent=self.before[1].id if self.before else None,
            entries=tuple(self.lessons),
            manifest_hash=f"{number:064x}",
        )
        policy = Policy(
            id=self._id("policy"),
            name=f"{place}/policy",
            lineage=Lineage.TRAINED,
            trainer="ridge",
            weights=None,
            spec=self.wheel.policy_spec(),
            dataset=dataset.id,
        )
        yield dataset, f"{place}/dataset"
        yield policy, f"{place}/policy"
        decision = yield from self._decided(place, number, policy)
        yield decision, f"{place}/decision"
        episodes, good = [], 0
        for at in range(self.size.tries):
            fails = at < self.size.failures
            one = self._episode(f"{place}/deployment/{at:04d}", Source.ROLLOUT, policy=policy.id)
            episodes.append(one)
            good += not fails
            yield from self._told(one, f"{place}/deployment/{at:04d}", good=not fails)
        deployment = Deployment(
            id=self._id("deployment"),
            scope=self.wheel.scope,
            policy=policy.id,
            decision=decision.id,
            mode="full",
            episodes=tuple(one.id for one in episodes),
        )
        yield deployment, f"{place}/deployment"
        yield from self._tried_again(place, policy)
        self.before, self.last = (policy, dataset, deployment), episodes[: self.size.failures]
        yield self._closed(number, policy, dataset, decision, deployment, good), f"{place}/turn"

    def said(self) -> Iterator[tuple[Noun, str]]:
        """Yield what comes after the last turn: its deployment is triaged, and people dismiss and assign failures."""
        yield from self._triaged(f"turn-{self.size.turns}", given=self.size.given // 2)
        for at, (failure, _, key) in enumerate(self.failed[-200:]):
            if at % 4 == 0:
                yield (
                    Dismissal(id=self._id("dismissal"), failure=failure.id, author="rob", reason="stopped by hand"),
                    f"{key}/dismissal",
                )
            if at % 4 == 1:
                made = Assignment(id=self._id("assignment"), failure=failure.id, person="olga", author="rob")
                yield made, f"{key}/assignment/{made.id}"

    def _bootstrap(self) -> Iterator[tuple[Noun, str]]:
        count = 40
        request = CorrectionRequest(
            id=self._id("correction_request"),
            target="bootstrap",
            mode=None,
            correction_kind=CorrectionKind.DEMONSTRATION,
            count=count,
            starts=tuple(self._start() for _ in range(count)),
            reason="the first demonstrations",
        )
        yield request, "turn-0/request/bootstrap"
        for slot in range(count):
            yield from self._given(request, "turn-0/request/bootstrap", slot, None, "expert")

    def _triaged(self, place: str, *, given: int | None = None) -> Iterator[tuple[Noun, str]]:
        """Yield what a turn finds in the deployment before it: failures, modes, requests, and what people gave."""
        assert self.before is not None
        policy = self.before[0]
        yield (
            Calibration(
                id=self._id("calibration"),
                detector=FUSED,
                version="2",
                policy=policy.id,
                budget=0.1,
                successes=100,
                threshold=1.0,
                episodes=tuple(one.id for one in self.last[:100]),
                horizon_s=4.0,
            ),
            f"{place}/detect/calibration/{FUSED}",
        )
        groups: dict[str, list[tuple[Failure, Start, str]]] = {}
        for one in self.last:
            failure = Failure(
                id=self._id("failure"),
                episode=one.id,
                alarms=(),
                moment_ns=int(self.rng.integers(one.end_ns)),
                phase="carry",
                evidence=dict(zip(EVIDENCE, self.rng.random(len(EVIDENCE)).tolist(), strict=True)),
            )
            assert one.start is not None
            row = (failure, one.start, f"{one.key_in_recording}/failure")
            groups.setdefault(str(self.rng.choice(MODES)), []).append(row)
            self.failed.append(row)
            yield failure, row[2]
        modes = {}
        for label, rows in groups.items():
            modes[label] = FailureMode(
                id=self._id("failure_mode"),
                label=label,
                parent="contact",
                policy=policy.id,
                members=tuple(failure.id for failure, _, _ in rows),
                medoid=rows[0][0].id,
                priority=float(self.rng.lognormal()),
                factors={"frequency": len(rows) / self.size.tries, "severity": 1.0, "human_minutes": 0.1},
            )
            yield modes[label], f"{place}/triage/mode/{label}"
        for at in range(self.size.requests):
            label = list(groups)[at % len(groups)]
            failure, start, _ = groups[label][(at // len(groups)) % len(groups[label])]
            yield from self._request(place, at, modes[label], failure, start, given)

    def _request(
        self, place: str, at: int, mode: FailureMode, failure: Failure, start: Start, given: int | None
    ) -> Iterator[tuple[Noun, str]]:
        key = f"{place}/triage/request/{mode.label}-{at:04d}"
        request = CorrectionRequest(
            id=self._id("correction_request"),
            target=mode.label,
            mode=mode.id,
            correction_kind=CorrectionKind.TAKEOVER,
            count=1,
            starts=(start,),
            failures=(failure.id,),
            reason=f"{len(mode.members)} of {self.size.tries} tries fail so",
        )
        yield request, key
        given = self.size.given if given is None else given
        if at < given:
            yield from self._given(request, key, 0, failure, str(self.rng.choice(OPERATORS)))
        elif at < given + self.size.handed:
            yield from self._handed(request, key, 0, "olga")

    def _given(
        self, request: CorrectionRequest, key: str, slot: int, failure: Failure | None, operator: str
    ) -> Iterator[tuple[Noun, str]]:
        """Yield an accepted correction with all that belongs to it; one in ten is refused."""
        handed = list(self._handed(request, key, slot, operator))
        yield from handed
        episode, submission = handed[1][0], handed[-1][0]
        assert isinstance(episode, Episode)
        accepted = failure is None or bool(self.rng.random() < 0.9)
        verdict = Verdict.ACCEPT if accepted else Verdict.REJECT
        place = handed[-1][1]
        yield (
            Review(
                id=self._id("review"), submission=submission.id, reviewer="rob", verdict=verdict, reason="as it should"
            ),
            f"{place}/review",
        )
        yield (
            Correction(
                id=self._id("correction"),
                request=request.id,
                episode=episode.id,
                failure=failure.id if failure else None,
                correction_kind=request.correction_kind,
                operator=operator,
                human_steps=60,
                takeovers=1,
                accepted=accepted,
            ),
            f"{place}/correction",
        )
        if self.before is not None:
            policy = self.before[0]
            yield (
                Novelty(
                    id=self._id("novelty"),
                    episode=episode.id,
                    relative_to=policy.id,
                    method="epistemic",
                    bits=float(self.rng.lognormal(5.0)),
                    bits_per_step=1.0,
                    steps=int(self.rng.integers(40, 90)),
                    coverage=0.5,
                    surprisal=1.0,
                    learnable=1.0,
                    consistency=1.0,
                    junk="",
                    nearest=None,
                ),
                f"{place}/novelty/{policy.name}",
            )
        if accepted:
            self.lessons.append(DatasetEntry(episode.id, 0, episode.end_ns, 1.0, Role.CORRECTION))

    def _handed(self, request: CorrectionRequest, key: str, slot: int, operator: str) -> Iterator[tuple[Noun, str]]:
        place = f"{key}/slot/{slot:04d}/lease-{self._id('lease')}"
        one = self._episode(place, Source.CORRECTION, start=request.starts[slot], operator=operator)
        yield from self._told(one, place, good=True)
        yield (
            Submission(
                id=self._id("submission"),
                request=request.id,
                slot=slot,
                episode=one.id,
                operator=operator,
                human_steps=60,
                takeovers=1,
                redos=0,
                latency_ms=None,
                hesitation=0.1,
                note="",
            ),
            place,
        )

    def _decided(self, place: str, number: int, policy: Policy) -> Iterator[tuple[Noun, str]]:
        if self.before is None:
            return GateDecision(
                id=self._id("gate_decision"),
                decision=Decision.INITIAL,
                candidate=policy.id,
                champion=None,
                evaluation=None,
                alpha_spent=0.0,
                reasons=(),
            )
        champion, size = self.before[0], self.size
        starts = [self._start() for _ in range(size.pairs)]
        plan = EvaluationPlan(
            id=self._id("evaluation_plan"),
            scope=self.wheel.scope,
            round=number,
            alpha=0.05 / 2**number,
            candidate=policy.id,
            champion=champion.id,
            slots=tuple(
                Slot(arm, Suite.SUPERIORITY, "", start, pair)
                for pair, start in enumerate(starts)
                for arm in (champion.id, policy.id)
            ),
            params=dataclasses.asdict(GateParams(n_max=size.pairs)),
            power={"sentence": "It finds a gain of 20 points nine times in ten."},
        )
        yield plan, f"{place}/decision/plan"
        for at, slot in enumerate(plan.slots):
            key, good = f"{place}/decision/trial/{at:04d}", bool(self.rng.random() < 0.5)
            one = self._episode(key, Source.ROLLOUT, policy=slot.arm, start=slot.start)
            yield from self._told(one, key, good=good)
            yield Trial(id=self._id("trial"), plan=plan.id, slot=at, episode=one.id, success=good), key
        evaluation = Evaluation(
            id=self._id("evaluation"),
            plan=plan.id,
            pairs=size.pairs,
            wins=size.pairs // 3,
            losses=size.pairs // 6,
            champion_successes=size.pairs // 2,
            candidate_successes=size.pairs // 2 + size.pairs // 6,
            voids=0,
            strata={},
            stopped="gain",
        )
        yield evaluation, f"{place}/decision/evaluation"
        return GateDecision(
            id=self._id("gate_decision"),
            decision=Decision.PROMOTE,
            candidate=policy.id,
            champion=champion.id,
            evaluation=evaluation.id,
            alpha_spent=plan.alpha,
            reasons=("Better: 2 points.",),
        )

    def _tried_again(self, place: str, policy: Policy) -> Iterator[tuple[Noun, str]]:
        """Yield tries from the starts of earlier failures, as the regression suite and `recheck` make them."""
        for at in range(min(self.size.again, len(self.failed))):
            _, start, _ = self.failed[int(self.rng.integers(len(self.failed)))]
            key = f"{place}/recheck/{at:04d}"
            one = self._episode(key, Source.ROLLOUT, policy=policy.id, start=start)
            yield from self._told(one, key, good=bool(self.rng.random() < 0.8))

    def _closed(
        self,
        number: int,
        policy: Policy,
        dataset: DatasetVersion,
        decision: GateDecision,
        deployment: Deployment,
        good: int,
    ) -> Turn:
        interval = clopper_pearson(good, self.size.tries)
        figures = {
            "turn": number,
            "dataset": dataset.manifest_hash,
            "policy": policy.name,
            "demonstrations": len(self.lessons),
            "corrections": self.size.given if number else 40,
            "human_steps": 60 * len(self.lessons),
            "human_cost": 60 * len(self.lessons),
            "novelty_bits": 1000.0,
            "success": {"k": good, "n": self.size.tries, "low": interval.low, "high": interval.high},
            "decision": decision.decision.value,
            "pairs": self.size.pairs if number else 0,
            "alpha_spent": decision.alpha_spent,
            "cycle_s": 60.0,
            "own_share": 0.1,
            "busy_share": 0.8,
            "seconds": {"simulation": 50.0, "own": 6.0},
            "collect_no_more": {},
            "stopped_because": None,
        }
        return Turn(
            id=self._id("turn"),
            scope=self.wheel.scope,
            number=number,
            dataset=dataset.id,
            policy=policy.id,
            decision=decision.id,
            deployment=deployment.id,
            figures=figures,
        )

    def _told(self, one: Episode, key: str, *, good: bool) -> Iterator[tuple[Noun, str]]:
        """Yield an episode with the recording that it came from and the site's word on it."""
        digest = f"{int(self.rng.integers(1 << 62)):064x}"
        recording = Recording(
            id=one.recordings[0], digest=digest, format="mcap", name=f"{key.replace('/', '__')}.mcap", size_bytes=20_000
        )
        yield recording, digest
        yield one, key
        yield (
            OutcomeClaim(
                id=self._id("outcome_claim"),
                episode=one.id,
                value=Outcome.SUCCESS if good else Outcome.FAILURE,
                author_kind=AuthorKind.SIMULATOR,
                author="tiny",
                version="released-within-40mm",
                time_ns=0,
            ),
            f"{key}/log",
        )

    def _episode(
        self, key: str, source: Source, *, policy: str | None = None, start: Start | None = None, operator: str = ""
    ) -> Episode:
        config = self.wheel.config
        return Episode(
            id=self._id("episode"),
            recordings=(self._id("recording"),),
            key_in_recording=key,
            start_ns=0,
            end_ns=3_350_000_001,
            streams=self._streams,
            infos=tuple(StreamInfo(name, "<f8", (67, 3), 20.0, "sim", "sensor") for name in STREAMS),
            prints=tuple(f"{int(one):064x}" for one in self.rng.integers(1 << 62, size=len(STREAMS))),
            source=source,
            task=config.task.name,
            embodiment=config.task.embodiment,
            site=config.site.name,
            steps=67,
            policy=policy,
            start=start or self._start(),
            operator=operator,
        )

    @cached_property
    def _streams(self) -> str:
        t_ns = np.arange(67, dtype=np.int64) * 50_000_000
        values = self.rng.normal(size=(67, 3)).cumsum(axis=0)
        author = (np.arange(67) >= 20).astype(np.uint8)[:, None]
        content = {"action/executed": Stream(t_ns, values), "author": Stream(t_ns, author)}
        return self.wheel.store.objects.put(streams.encode(content))

    def _start(self) -> Start:
        factors = {name: float(self.rng.uniform(*box)) for name, box in BOXES.items()}
        return Start(int(self.rng.integers(1 << 31)), factors)

    def _id(self, kind: str) -> str:
        return self.wheel.store.catalog.new_id(kind)
