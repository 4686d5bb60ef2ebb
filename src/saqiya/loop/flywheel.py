"""The wheel, one method a verb: wires stages, site, crew and stores, and holds no logic of its own.

Everything a turn makes is stored under a logical key that begins with `turn-<n>/`. A verb whose noun is there already
returns it, so any verb can be called again after a crash, and the turn goes on from the nouns alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from saqiya import plugins
from saqiya.correct import stage as correct
from saqiya.deploy import stage as deploy
from saqiya.detect import stage as detect
from saqiya.domain.contracts import Demonstrable, Progress, Site
from saqiya.domain.ids import Clock
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Episode,
    GateDecision,
    Noun,
    Novelty,
    Outcome,
    Policy,
    PolicySpec,
    Turn,
)
from saqiya.domain.streams import Start
from saqiya.errors import ConfigError, GuardRefusal
from saqiya.evaluate import stage as evaluate
from saqiya.ingest import stage as ingest
from saqiya.loop import draws, memory
from saqiya.loop.account import Account
from saqiya.loop.config import FILE_NAME, Config, RunConfig, TaskConfig, drafted, has_wheel, read_config, read_store
from saqiya.loop.data import Data
from saqiya.loop.episode.replay import Replay
from saqiya.loop.failures import Failures
from saqiya.loop.figures import turn_figures
from saqiya.loop.lives import lives_of
from saqiya.loop.novelty.measuring import Measuring
from saqiya.loop.novelty.pump import Pump
from saqiya.loop.people.desk import Desk
from saqiya.loop.people.staff import Staff
from saqiya.loop.recheck import recheck
from saqiya.loop.tries.crew import Crew
from saqiya.loop.tries.rolling import Rolling
from saqiya.mix import stage as mix
from saqiya.models.rows import spec_of_logs
from saqiya.stores.lineage import Kin, walk
from saqiya.stores.verify import Report, verify
from saqiya.stores.workspace import Workspace
from saqiya.train import stage as train
from saqiya.triage import stage as triage
from saqiya.triage.vocabulary import FILE_NAME as VOCABULARY
from saqiya.triage.vocabulary import Vocabulary, read_vocabulary

if TYPE_CHECKING:
    from saqiya.loop.worker import Durable

__all__ = ["Flywheel"]


def _quiet(_what: str, _done: int, _of: int) -> None:
    """Show nothing."""


class Flywheel:
    """One workspace and everything that can be done in it.

    Use it as a context manager, or call `close`. Verbs of a turn work on the turn that is under way: the number of
    turns that are finished.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        progress: Progress = _quiet,
        clock: Clock = time.time_ns,  # noqa: TID251 - the one place where the real clock enters
    ) -> None:
        """Open the workspace at `path`.

        Raises:
            NoWorkspace, WorkspaceTooNew, ConfigError: it is missing, from a newer Saqiya, or its saqiya.toml is wrong.
        """
        self.store = read_store(Path(path) / FILE_NAME).opened(Path(path), clock=clock, entropy=secrets.token_bytes)
        self.progress, self.clock = progress, clock
        self.account = Account()
        self._opened_ns = clock()
        self._open = ExitStack()

    @classmethod
    def init(
        cls, path: str | Path, *, site: str = "", trainer: str = "ensemble", seed: int = 0, workers: int = 2
    ) -> Self:
        """Make a workspace with a saqiya.toml for a registered site, and open it.

        Without a site there is no saqiya.toml: the workspace holds data, and can be given a site by a second `init`.

        Raises:
            UnknownPlugin: no site or trainer has this name; nothing was made.
            ConfigError: seed or workers are out of range; nothing was made.
            UsageError: there is a workspace already.
        """
        root = Path(path)
        held = has_wheel(root / FILE_NAME)
        if site:
            plugins.known("saqiya.trainers", trainer)
            spec = plugins.load("saqiya.sites", site)().spec
            task = TaskConfig(spec.task, spec.criterion, spec.embodiment)
            text = drafted(root / FILE_NAME, site=site, task=task, trainer=trainer, run=RunConfig(seed, workers))
            root.mkdir(parents=True, exist_ok=True)
            if not held:  # before the folder is a workspace: a crash in between leaves none
                (root / FILE_NAME).write_text(text, encoding="utf-8")
        if held or not site or not (root / "workspace.json").exists():
            Workspace.create(root, site="local", clock=time.time_ns, entropy=secrets.token_bytes).close()  # noqa: TID251
        return cls(root)

    def __enter__(self) -> Self:
        """Return the flywheel itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Stop the rollout processes and close the catalog."""
        self._open.close()
        for name in ("crew", "replay"):
            if name in self.__dict__:
                getattr(self, name).close()
        if "site" in self.__dict__:
            self.site.close()
        self.store.close()

    # -- what the verbs share ------------------------------------------------------------------------------------

    @cached_property
    def config(self) -> Config:
        """The workspace's saqiya.toml, read once.

        Raises:
            ConfigError: it is wrong, or names another task than the one this workspace has turned for.
        """
        path = self.store.root / FILE_NAME
        config = read_config(path)
        for deployment in self.store.catalog.all(Deployment):
            if deployment.decision is not None and deployment.scope != config.task.scope:
                raise ConfigError(
                    f"[task] says {config.task.scope}, and this workspace has turned for {deployment.scope}",
                    subject=str(path),
                    remedy="Put it back, or make another workspace with saqiya init.",
                )
        return config

    @property
    def data(self) -> Data:
        """The verbs of the data layer: ingest, cut, export, query and the like; they need no site."""
        return Data(self.store, clock=self.clock, progress=self.progress)

    @cached_property
    def failures(self) -> Failures:
        """What can be asked and said of failures between two turns."""
        return Failures(self)

    @property
    def pump(self) -> Pump:
        """What data is worth: novelty, duplicates, saturation, coverage, and what to collect next."""
        return Pump(self)

    @cached_property
    def replay(self) -> Replay:
        """What the episode page asks: streams in few points, pictures, bands, two tries side by side."""
        return Replay(self)

    desk, staff = cached_property(Desk), cached_property(Staff)  # each says for itself what it is

    @cached_property
    def measuring(self) -> Measuring:
        """Measures novelty, and keeps what it was measured against last."""
        return Measuring(self)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words for failures: the built-in ones, and those of the workspace's vocabulary.toml."""
        return read_vocabulary(self.store.root / VOCABULARY)

    @cached_property
    def site(self) -> Site:
        """The configured site, for its spec and for drawing starts; rollouts have their own."""
        with self.account.spent("start-up"):
            made: Site = plugins.load("saqiya.sites", self.config.site.name)()
        return made

    @cached_property
    def crew(self) -> Crew:
        """The rollout processes."""
        return Crew(self.config.site.name, workers=self.config.run.workers)

    @cached_property
    def roller(self) -> Rolling:
        """Runs, records and ingests tries."""
        return Rolling(
            self.store, self.crew, self.config, clock=self.clock, account=self.account, progress=self.progress
        )

    @property
    def turning(self) -> bool:
        """Whether the workspace has a site, a trainer and so a wheel; one for data alone has not."""
        return has_wheel(self.store.root / FILE_NAME)

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """The full range of each start factor, where the site declares it."""
        return self.site.spec.factors if self.turning else {}

    @property
    def scope(self) -> str:
        """The (task criterion, embodiment) that turn and alpha ledger belong to."""
        return self.config.task.scope

    @property
    def number(self) -> int:
        """The turn under way: as many as are finished."""
        return len(self.turns())

    def turns(self) -> list[Turn]:
        """The finished turns of the scope, in order; none in a workspace for data alone."""
        if not self.turning:
            return []
        return [turn for turn in self.store.catalog.all(Turn) if turn.scope == self.scope]

    def key(self, *parts: object) -> str:
        """The logical key of something in the turn under way."""
        return "/".join(["turn-" + str(self.number), *map(str, parts)])

    def champion(self) -> tuple[Policy, Deployment] | None:
        """The policy that the turn under way began with and its last deployment; what this turn deploys is next."""
        own, every = self.key("deployment"), self.store.catalog.all(Deployment)
        deployed = [one for one in every if one.scope == self.scope and self.key_of(one.id) != own]
        return (self.store.catalog.get(deployed[-1].policy, Policy), deployed[-1]) if deployed else None

    def episode(self, ref: str) -> Episode:
        """Return an episode by id, key or a unique part of its id."""
        return self.store.catalog.get(ref, Episode)

    def policy_spec(self, episodes: Sequence[str] = ()) -> PolicySpec:
        """How policies of this scope are called: the site's streams and rate, the configured chunks.

        A workspace without a site has only logs: then it is what `episodes` share.
        """
        if not self.turning:
            logged = [self.episode(one) for one in episodes]
            return spec_of_logs([self.store.streams(one) for one in logged], logged[0].embodiment)
        spec, config = self.site.spec, self.config.train
        return PolicySpec(
            observation=dict(spec.observation),
            action=len(spec.action_low),
            rate_hz=spec.rate_hz,
            chunk=config.chunk,
            execute=config.execute,
            embodiment=spec.embodiment,
        )

    def turn_seconds(self) -> float:
        """Seconds since the turn under way began: its first noun, or this object when that is older."""
        first_ns = self.store.catalog.first_created_ns(self.key(""))
        began_ns = self._opened_ns if first_ns is None else min(first_ns, self._opened_ns)
        return (self.clock() - began_ns) / 1e9

    def evaluation_starts(self, purpose: str) -> tuple[Start, ...]:
        """The starts of this turn's pairs: fresh for every purpose and turn, and never trained on."""
        return draws.starts(self.site, self.config.run.seed, purpose, self.number, self.config.gate.n_max, region=1.0)

    def training_episodes(self, policy: Policy) -> list[Episode]:
        """The episodes that a policy was trained on; none for a foreign policy."""
        if policy.dataset is None:
            return []
        dataset = self.store.catalog.get(policy.dataset, DatasetVersion)
        return [self.store.catalog.get(one, Episode) for one in dict.fromkeys(e.episode for e in dataset.entries)]

    # -- the verbs -----------------------------------------------------------------------------------------------

    def record(self) -> CorrectionRequest:
        """Ask for the first demonstrations of the scope: starts from the narrow bootstrap region."""
        bootstrap = self.config.bootstrap
        starts = draws.starts(
            self.site, self.config.run.seed, "bootstrap", 0, bootstrap.demonstrations, region=bootstrap.region
        )
        return correct.request_bootstrap(self.store, starts, key="turn-0/request/bootstrap")

    def ingest(
        self, paths: Iterable[str | Path], *, facts: Mapping[str, Any] | None = None, link: bool = False
    ) -> ingest.Admitted:
        """Take in logs of any known format: `data.ingest`."""
        return self.data.ingest(paths, facts=facts, keep="link" if link else "copy")

    def register(
        self, name: str, *, file: str | Path | None = None, declared: Mapping[str, str] | None = None
    ) -> Policy:
        """Register a policy that was trained elsewhere: `data.register`."""
        return self.data.register(name, file=file, declared=declared)

    def detect(self, *, beside: str = "") -> detect.Detected:
        """Calibrate the detectors on the champion's deployment and find its failures: `failures.detect`."""
        return self.failures.detect(self._deployed()[1], beside=beside)

    def measure(self, episodes: Sequence[Episode]) -> tuple[Novelty, ...]:
        """Measure episodes relative to the champion: the policy that they are meant to teach."""
        self._deployed()
        return self.measuring.measure(episodes)

    def triage(self) -> triage.Triaged:
        """Name, group and rank the failures of the last deployment, and ask for corrections."""
        return self.failures.triage(self._deployed()[1])

    def correct(self, request: CorrectionRequest, *, first: int | None = None) -> tuple[Correction, ...]:
        """Collect what people do not give, with the site's own expert as operator, and measure what it teaches."""
        theirs = self.desk.taken(request)
        if theirs.issuperset(range(request.count)):
            return ()
        if not isinstance(self.site, Demonstrable):
            raise GuardRefusal(
                "has no scripted expert", subject=self.site.spec.name, remedy="Let people give them: saqiya serve."
            )
        operator = self.site.expert(self.config.run.seed).name
        made = correct.run(
            self.store,
            request,
            self.roller,
            operator=operator,
            lead_s=self.config.correct.lead_s,
            rate_hz=self.site.spec.rate_hz,
            slots=[slot for slot in range(len(request.starts[:first])) if slot not in theirs],
        )
        if request.target != correct.BOOTSTRAP:
            self.measure([self.store.catalog.get(one.episode, Episode) for one in made])
        return made

    def requests(self) -> list[CorrectionRequest]:
        """The correction requests of the turn under way, in the order they were asked."""
        return self.pump.requests()

    def mix(self, *, note: str = "") -> DatasetVersion:
        """Mix the dataset version of this turn from every accepted correction so far."""
        champion = self.champion()
        parent = champion[0].dataset if champion else None
        suspect = memory.quarantined(self.store.catalog)
        return mix.run(
            self.store,
            [one for one in self.store.catalog.all(Correction) if one.episode not in suspect],
            parent=self.store.catalog.get(parent, DatasetVersion) if parent else None,
            evaluation=[*memory.held_out(self.store.catalog), *self.evaluation_starts("evaluate")],
            note=note,
            key=self.key("dataset"),
        )

    def train(self, dataset: DatasetVersion, *, key: str | None = None) -> Policy:
        """Train the candidate of this turn on a dataset version."""
        config = self.config.train
        return train.run(
            self.store,
            dataset,
            trainer=config.trainer,
            spec=self.policy_spec(),
            settings=config.settings,
            seed=draws.seed(self.config.run.seed, "train", self.number, 0),
            progress=self.progress,
            spent=self.account.spent,
            key=key or self.key("policy"),
        )

    def evaluate(self, candidate: Policy, *, key: str | None = None, purpose: str = "evaluate") -> GateDecision:
        """Let the gate decide about a candidate; the first policy of a scope goes through as INITIAL."""
        champion = self.champion()
        if champion is None:
            return evaluate.initial(self.store, candidate, key=key or self.key("decision"))
        outcomes = self._outcomes(champion[1])
        worked = [one.start for one, outcome in outcomes if outcome is Outcome.SUCCESS and one.start]
        contest = evaluate.Contest(
            scope=self.scope,
            candidate=candidate,
            champion=champion[0],
            starts=self.evaluation_starts(purpose),
            worked=tuple(worked[: self.config.evaluate.worked]),
            worked_known=len(worked),
            regression=memory.regression_suite(
                self.store.catalog, champion[0], self.config.evaluate.regression_per_mode, fixed=lives_of(self).fixed
            ),
            champion_rate=len(worked) / max(1, len(outcomes)),
        )
        _, decision = evaluate.run(
            self.store,
            contest,
            self.roller,
            params=self.config.gate,
            seed=draws.seed(self.config.run.seed, "order", self.number, 0),
            key=key or self.key("decision"),
        )
        return decision

    def deploy(self, decision: GateDecision) -> Deployment:
        """Roll out the policy that a decision leaves in charge, from fresh starts over the full region."""
        starts = draws.starts(
            self.site, self.config.run.seed, "deploy", self.number, self.config.deploy.rollouts, region=1.0
        )
        return deploy.run(self.store, decision, starts, self.roller, scope=self.scope, key=self.key("deployment"))

    def recheck(self) -> int:
        """Try the starts of corrected failures again under the deployed policy; return how many tries there were."""
        return recheck(self)

    def close_turn(self) -> Turn:
        """Write down the turn's figures; with this row the turn is over."""
        number, catalog = self.number, self.store.catalog
        decision = catalog.get(self.key("decision"), GateDecision)
        deployment = catalog.get(self.key("deployment"), Deployment)
        turn = Turn(
            id=catalog.new_id("turn"),
            scope=self.scope,
            number=number,
            dataset=catalog.get(decision.candidate, Policy).dataset,
            policy=deployment.policy,
            decision=decision.id,
            deployment=deployment.id,
            figures=turn_figures(self, decision, deployment),
        )
        return catalog.put(turn, key=self.key("turn"))

    def turn(self) -> Turn:
        """Turn the wheel once, durably: after a crash, call it again and it goes on where it stopped."""
        self.account, self._opened_ns = Account(), self.clock()
        self.__dict__.pop("roller", None)
        with self.account.spent("start-up"):
            durable = self._durable
        return durable.turn()

    # -- what is asked of it -------------------------------------------------------------------------------------

    def lineage(self, ref: str, *, up: bool, depth: int = 20) -> Kin:
        """Walk from a noun along its references: `up` to what it came from, or down to what came of it."""
        return walk(self.store.catalog, ref, "up" if up else "down", depth=depth)

    def verify(self, *, full: bool = False) -> Report:
        """Re-hash what is stored, resolve every id, and list every lie."""
        return verify(
            self.store.catalog, self.store.objects, derived=self.store.derived, now_ns=self.clock(), full=full
        )

    def write_pages(self) -> Path:
        """Write report.html and turns.json into the workspace and return the page's path."""
        from saqiya.loop.pages.wheel_page import write_report, write_turns

        write_turns(self, self.store.root / "turns.json")
        return write_report(self, self.store.root / "report.html")

    def key_of(self, ref: str) -> str:
        """Return the logical key of a noun."""
        return self.store.catalog.key_of(ref)

    def noun(self, ref: str) -> Noun:
        """Return any noun by id, logical key, or a unique part of its id."""
        return self.store.catalog.get(ref)

    # -- small print ---------------------------------------------------------------------------------------------

    @cached_property
    def _durable(self) -> Durable:
        """DBOS under the scope's lock, both held until `close`."""
        from saqiya.loop.worker import Durable

        with ExitStack() as held:  # a launch that fails must not keep the lock
            held.enter_context(self.store.lock(self.scope))
            durable = held.enter_context(closing(Durable(self)))
            self._open.enter_context(held.pop_all())
        return durable

    def _deployed(self) -> tuple[Policy, Deployment]:
        champion = self.champion()
        if champion is None:
            raise GuardRefusal("nothing is deployed in this scope", subject=self.scope, remedy="Run saqiya turn first.")
        return champion

    def _outcomes(self, deployment: Deployment) -> list[tuple[Episode, Outcome]]:
        episodes = [self.store.catalog.get(one, Episode) for one in deployment.episodes]
        outcomes = detect.outcomes_of(self.store, episodes)
        return [(one, outcomes[one.id]) for one in episodes]
