"""The interfaces that others implement. Each is this small, and each has a checker in `saqiya.testing`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.asking import Ask
from saqiya.domain.ids import Digest, PolicyId
from saqiya.domain.nouns import Episode, PolicySpec, Source
from saqiya.domain.streams import EpisodeLog, Event, JsonValue, Start, Stream

__all__ = [
    "MONITORED",
    "OUTCOME_EVENTS",
    "Action",
    "DatasetWriter",
    "Demonstrable",
    "Detector",
    "Explains",
    "FittedDetector",
    "Format",
    "Lesson",
    "Observation",
    "Online",
    "Operator",
    "Progress",
    "Reloadable",
    "Renderable",
    "Restorable",
    "Roll",
    "Rolled",
    "Roller",
    "Row",
    "RunnablePolicy",
    "Seen",
    "Shipped",
    "Site",
    "SiteSpec",
    "Snapshot",
    "Step",
    "Takeover",
    "Telling",
    "Trained",
    "Trainer",
    "Unread",
    "Vector",
    "Watch",
    "Writable",
]

Vector = NDArray[np.float64]
Observation = Mapping[str, Vector]
"""What a policy or operator sees at one instant: float64 vectors by stream name ("state", "goal")."""
Snapshot = Mapping[str, NDArray[Any]]
"""A site's whole state as named arrays; opaque to everybody but the site."""
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many are done, and of how many."""


@dataclass(frozen=True)
class Action:
    """A policy's answer.

    Attributes:
        chunk: float64 (k, d), the next k actions.
        samples: float64 (m, k, d), one chunk for each ensemble member or sample, when the policy has them.
        noise: float64 (d,), the policy's own noise scale for each action dimension, when it knows it.
    """

    chunk: Vector
    samples: Vector | None = None
    noise: Vector | None = None


class RunnablePolicy(Protocol):
    """A policy in memory, ours or anybody's: a black box is enough."""

    spec: PolicySpec

    def reset(self, seed: int) -> None:
        """Forget the last episode; all randomness of the next one comes from `seed`."""

    def act(self, observation: Observation) -> Action:
        """Return the next chunk for one observation."""


@dataclass(frozen=True)
class SiteSpec:
    """What a site is.

    Attributes:
        observation: streams a policy may read, with their widths.
        action_low, action_high: float64 (d,) bounds; actions are clipped to them by the rollout.
        rate_hz: control rate; one `step` is one control step.
        phases: names in order; the site emits the event "phase/<name>" when one is first reached.
        factors: named start factors with their full range; a start region is a share of each range about its middle.
        horizon_steps: a try is over after this many steps.
    """

    name: str
    task: str
    criterion: str
    embodiment: str
    observation: dict[str, int]
    action_low: Vector
    action_high: Vector
    rate_hz: float
    phases: tuple[str, ...]
    factors: dict[str, tuple[float, float]]
    horizon_steps: int


@dataclass(frozen=True)
class Step:
    """What one control step brought.

    Attributes:
        observation: what the policy sees next.
        signals: extra streams to log at this stamp ("contact/force": (3,)); never shown to the policy.
        events: names of what happened in this step ("phase/grasp", "contact/lost").
        success: the task's success criterion holds now.
        t_ns: int64 ns on the site's clock, strictly increasing within a try.
    """

    observation: Observation
    success: bool
    t_ns: int
    signals: Mapping[str, Vector] = field(default_factory=dict)
    events: tuple[str, ...] = ()


class Site(Protocol):
    """Where a policy acts: a simulator, or a real cell behind an adapter. Entry-point group `saqiya.sites`."""

    spec: SiteSpec

    def sample_start(self, seed: int, *, region: float = 1.0) -> Start:
        """Draw a start from the middle `region` (0..1] of every factor's range; equal seeds give equal starts."""

    def reset(self, start: Start) -> Step:
        """Put the world at `start`; the returned step holds the first observation at the first stamp."""

    def step(self, action: Vector) -> Step:
        """Carry out one action, float64 (d,), within the bounds."""

    def close(self) -> None:
        """Free what the site holds."""


@runtime_checkable
class Restorable(Protocol):
    """A site whose state can be saved and put back. A real cell has none and gets a reset card instead."""

    def snapshot(self) -> Snapshot:
        """Return the whole state."""

    def restore(self, snapshot: Snapshot) -> Step:
        """Put the state back; stepping on gives what it gave before, bit for bit."""


class Operator(Protocol):
    """Who corrects: a scripted expert, a person at a browser, a teleoperator."""

    name: str

    def act(self, observation: Observation) -> Vector | None:
        """Return the operator's action, float64 (d,), or None when the operator does not act now."""


@runtime_checkable
class Demonstrable(Protocol):
    """A site that brings a scripted expert of its own."""

    def expert(self, seed: int) -> Operator:
        """Return an operator for this very site object; it may look at what the policy cannot see."""


@runtime_checkable
class Renderable(Protocol):
    """A site that can draw itself."""

    def render(self, *, height: int, width: int) -> NDArray[np.uint8]:
        """Return the scene as uint8 (height, width, 3) RGB.

        Raises:
            SiteFault: no offscreen renderer works here.
        """


@dataclass(frozen=True)
class Unread:
    """An episode inside a readable file that could not be used."""

    key: str
    reason: str
    remedy: str


class Format(Protocol):
    """Bytes to episodes. Entry-point group `saqiya.formats`; the object is used without arguments."""

    name: str

    def sniff(self, path: Path) -> bool:
        """Say whether `path` (file or folder) looks like this format, reading at most its first kilobytes."""

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        """Yield every try in `path`, in a stable order.

        Raises:
            UnreadableLog: nothing in the file can be used.
        """


@runtime_checkable
class Writable(Protocol):
    """A format that can also write; reading back gives the same samples, stamps, dtypes, events and metadata."""

    def write(self, episode: EpisodeLog, path: Path) -> None:
        """Write one episode to `path`, which must not exist."""


@dataclass(frozen=True)
class Shipped:
    """An episode on its way out.

    Attributes:
        uid: the episode's id here: what sidecars are keyed by.
        log: its samples, events and facts.
        spans: (start_ns, end_ns, weight, role) of the dataset version's entries; () where none was asked for.
    """

    uid: str
    log: EpisodeLog
    spans: tuple[tuple[int, int, float, str], ...] = ()


class DatasetWriter(Protocol):
    """Writes many episodes as one dataset that others read. Entry-point group `saqiya.writers`."""

    name: str

    def write_all(
        self, episodes: Iterable[Shipped], path: Path, *, settings: Mapping[str, JsonValue], progress: Progress
    ) -> tuple[str, ...]:
        """Write `path`, which must not exist, all or nothing; return what was resampled or dropped, in words.

        Raises:
            AlreadyThere: `path` exists.
            InvalidEpisode: an episode lacks what the format cannot do without.
        """


@dataclass(frozen=True)
class Lesson:
    """One span of an episode as a trainer sees it.

    Attributes:
        observation: float64 (t, D): the policy's observation streams side by side, in spec order.
        action: float64 (t, d): the action to imitate at each step.
        weight: float64 (t,): 0 where a step only gives context (not to be imitated).
        episode: index of the episode, so that held-out splits go by episode.
    """

    observation: Vector
    action: Vector
    weight: Vector
    episode: int


@dataclass(frozen=True)
class Trained:
    """What a trainer returns: a spec, named arrays (weights and normaliser) and figures such as held-out loss."""

    spec: PolicySpec
    tensors: Mapping[str, NDArray[Any]]
    metrics: Mapping[str, float]


class Trainer(Protocol):
    """Turns lessons into a policy, and its stored arrays back into one. Entry-point group `saqiya.trainers`."""

    name: str

    def fit(
        self,
        lessons: Sequence[Lesson],
        spec: PolicySpec,
        *,
        settings: Mapping[str, float],
        seed: int,
        progress: Progress,
    ) -> Trained:
        """Train from scratch; equal lessons, settings and seed give equal arrays on one machine."""

    def load(self, spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> RunnablePolicy:
        """Make the stored arrays act.

        Raises:
            PolicyUnreadable: arrays are missing or have wrong shapes.
        """


Row = Mapping[str, Vector]
"""One instant of a try: float64 vectors by the names their streams have in the log ("observation/state")."""


@dataclass(frozen=True)
class Seen:
    """What a detector may look at: a try's streams and events, and never what it came to.

    Attributes:
        streams: by name, at their own rates, without what a monitor wrote beside them.
        events: in time order, without those that only state the outcome, and without a monitor's.
    """

    streams: Mapping[str, Stream]
    events: tuple[Event, ...] = ()

    @classmethod
    def of(cls, streams: Mapping[str, Stream], events: Sequence[Event] = ()) -> Seen:
        """Leave out the events that state the outcome, and what a monitor said: no robot shows that to its own."""
        return cls(
            {name: stream for name, stream in streams.items() if not name.startswith(MONITORED)},
            tuple(one for one in events if one.name not in OUTCOME_EVENTS and not one.name.startswith(MONITORED)),
        )

    def until(self, end_ns: int) -> Seen:
        """Return what was known at an instant: every row and event stamped up to and including it."""
        kept = {}
        for name, stream in self.streams.items():
            count = int(np.searchsorted(stream.t_ns, end_ns, side="right"))
            kept[name] = replace(stream, t_ns=stream.t_ns[:count], values=stream.values[:count])
        return Seen(kept, tuple(event for event in self.events if event.t_ns <= end_ns))


OUTCOME_EVENTS = frozenset({"success", "failure"})
MONITORED = ("alarm/", "monitor/")
"""How the names of a monitor's events and streams begin."""


class FittedDetector(Protocol):
    """A detector that knows what is normal."""

    def score(self, seen: Seen) -> tuple[NDArray[np.int64], Vector]:
        """Return stamps int64 (t,) and scores float64 (t,), higher is worse; a score never looks ahead.

        Raises:
            InvalidEpisode: the try lacks what the detector reads.
        """


class Watch(Protocol):
    """A detector at work on one try as it happens."""

    def see(self, t_ns: int, row: Row, events: Sequence[str]) -> float | None:
        """Take in one instant and return its score, None while there is none.

        `row` holds what arrived since the last call, the action about to be executed included; `events` the names of
        what happened. Where all streams of a log share their stamps, calls at those stamps give what `score` gives.
        """


@runtime_checkable
class Online(Protocol):
    """A fitted detector that can run on the robot: watched step by step, and carried there as plain arrays."""

    def watch(self) -> Watch:
        """Begin a try."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what it learned; the detector's `load` makes it again."""


@runtime_checkable
class Explains(Protocol):
    """A fitted detector that can say in words why its score is what it is."""

    def reason(self, seen: Seen, t_ns: int) -> str:
        """Say in one clause, with numbers and units, what drove the score at `t_ns`; "" where it has none by then."""


@runtime_checkable
class Telling(Protocol):
    """A watch that can say the same of the instant that it saw last: an alarm's reason on the robot."""

    def reason(self) -> str:
        """Say in one clause, with numbers and units, what drove the last score; "" where there is none."""


class Detector(Protocol):
    """A runtime failure signal. Entry-point group `saqiya.detectors`; the object is used without arguments.

    One that is `Reloadable` too, and whose fitted form is `Online`, can run in `saqiya.Monitor`.
    """

    name: str
    version: str

    def fit(self, normal: Sequence[Seen], failed: Sequence[Seen] = ()) -> FittedDetector:
        """Learn what is normal.

        Args:
            normal: tries as they should be: the policy's training episodes, and successes set aside for this.
            failed: failed tries set aside for this; most detectors ignore them.

        Raises:
            TooLittle: there is not enough to learn from; the detector then takes no part.
        """


@runtime_checkable
class Reloadable(Protocol):
    """A detector that can be made again from the arrays of its fitted form."""

    def load(self, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
        """Make the fitted form again, bit for bit."""


@dataclass(frozen=True)
class Takeover:
    """How an operator enters a try: replay the logged actions, hand over at `step`, shortly before the failure.

    Attributes:
        actions: float64 (t, d), the executed actions of the failed try; replayed up to `step`.
        step: the control step at which the operator takes over.
        arrived: the observation that was logged at `step`; a replay that does not reach it is void.
        earlier: how many steps earlier each further attempt begins when the operator does not succeed.
        attempts: how often to try.
    """

    actions: Vector
    step: int
    arrived: Observation
    earlier: int
    attempts: int


@dataclass(frozen=True)
class Roll:
    """One try to be run: its logical key, where it starts, and who acts.

    A roll without a policy is a demonstration by the operator; with a policy and a takeover it is a correction.

    Attributes:
        shadow: a policy that is asked beside the one that acts, and moves nothing.
        monitor: a calibration's monitor that watches, and what it wants `on_alarm`: "mark", "pause" or "takeover".
        ask: when a person is asked in, and when the policy has control again; None: nobody is.
    """

    key: str
    start: Start
    source: Source
    policy: PolicyId | None = None
    operator: str = ""
    takeover: Takeover | None = None
    shadow: PolicyId | None = None
    monitor: Digest | None = None
    on_alarm: str = "mark"
    ask: Ask | None = None


@dataclass(frozen=True)
class Rolled:
    """What became of a roll: a stored episode, or the reason why there is none (a void, known before any outcome)."""

    roll: Roll
    episode: Episode | None
    success: bool
    human_steps: int = 0
    takeovers: int = 0
    void: str = ""


Roller = Callable[[Sequence[Roll]], Iterable[Rolled]]
"""Runs rolls at the scope's site, records and ingests each; a roll whose key is already an episode is not run again."""
