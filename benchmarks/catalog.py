"""`catalog`: asking a workspace of a million episodes. See PROTOCOL.md."""

from __future__ import annotations

import itertools
import multiprocessing
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np

from benchmarks.harness import Figure, Measured, at_most, shown
from saqiya.domain.manifest import manifest_hash
from saqiya.domain.nouns import (
    Alarm,
    AuthorKind,
    Calibration,
    Cut,
    CutSpan,
    DatasetEntry,
    DatasetVersion,
    Episode,
    Lineage,
    Noun,
    Outcome,
    OutcomeClaim,
    Policy,
    Recording,
    Role,
    Source,
    StreamInfo,
)
from saqiya.domain.streams import Event, Start, Stream
from saqiya.stores import streams as codec
from saqiya.stores.codec import SCHEME, seal
from saqiya.stores.query import Questions
from saqiya.stores.references import references
from saqiya.stores.snapshot import refresh
from saqiya.stores.workspace import Workspace

__all__ = ["Maker", "opened", "run"]

T = TypeVar("T")
COMMAND = "make bench ONLY=catalog"
SEED = 20261121
SIZES = (10_000, 100_000, 1_000_000)
QUICK = (300,)
BAR_MS, BAR_BYTES = 50.0, 1 << 30
REPEATS, LOOKUPS = 21, 200
TRIES_A_LOG, OBJECTS = 100, 64
PHASES = ("reach", "grasp", "lift", "place")
SECOND_NS = 10**9

QUESTIONS = {
    "episodes.filter": "SELECT id, duration_s FROM episodes WHERE site = 'A' AND policy_number = 7 "
    "AND outcome = 'failure' AND duration_s > 12",
    "episodes.group": "SELECT site, policy_number, outcome, count(*) AS n, avg(duration_s) AS mean FROM episodes "
    "GROUP BY ALL",
    "episodes.point": "SELECT * FROM episodes WHERE id = '{}'",
    "spans.filter": "SELECT episode, start_ns FROM spans WHERE kind = 'alarm' AND name = 'distance' AND value > 2.9 "
    "AND start_ns > 0",
    "spans.group": "SELECT kind, name, count(*) AS n FROM spans GROUP BY ALL",
    "spans.point": "SELECT * FROM spans WHERE episode = '{}'",
}
SLIP = """
SELECT e.id, slip.t_s, (t.start_ns - slip.t_ns) / 1e9 AS later_s
FROM episodes e JOIN events slip ON slip.episode = e.id JOIN takeovers t ON t.episode = e.id
WHERE e.site = 'A' AND e.policy_number = 7 AND slip.name = 'contact/lost'
  AND t.start_ns BETWEEN slip.t_ns AND slip.t_ns + ns(5)"""
FORCE = f"""
WITH found AS ({SLIP})
SELECT found.id, max(f.v0) AS force FROM found JOIN signal('contact/force') f ON f.episode = found.id
WHERE f.t_s BETWEEN found.t_s - 1 AND found.t_s GROUP BY ALL"""  # noqa: S608 - our own text


def opened(root: Path, *, create: bool = False) -> Workspace:
    """Open, or make, the workspace; its clock ticks by the millisecond and its ids come from the seed."""
    make = Workspace.create if create else Workspace.open
    clock = itertools.count(1_700_000_000_000_000_000, 1_000_000).__next__
    extra = {"site": "lab"} if create else {}
    return make(root, clock=clock, entropy=np.random.default_rng(SEED).bytes, **extra)


@dataclass
class Maker:
    """Fills a catalog in bulk with what `Catalog.put_all` would write."""

    store: Workspace
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    episodes: list[str] = field(default_factory=list)
    spans: int = 0

    def __post_init__(self) -> None:
        """Store what all episodes share: objects, policies, a calibration for each."""
        self._encoder = msgspec.json.Encoder(order="sorted")
        self._rows: list[tuple[Any, ...]] = []
        self._refs: list[tuple[str, str, str]] = []
        self._objects: list[tuple[str, str, str]] = []
        self._tenth: dict[str, Episode] = {}
        self._ticks = itertools.count(1_700_000_000_000_000_000, 1_000)
        self._streams = self.store.objects.put_many([_object(i) for i in range(OBJECTS)])
        self._policies = [self._put(_policy(self._id("policy"), number), "") for number in range(10)]
        self._calibrations = [
            self._put(_calibration(self._id("calibration"), policy), policy) for policy in self._policies
        ]

    def grow(self, size: int) -> None:
        """Add logs of 100 tries until there are `size` episodes; then a dataset version with a tenth of the new."""
        while len(self.episodes) < size:
            self._log(min(TRIES_A_LOG, size - len(self.episodes)))
            if len(self._rows) > 20_000:
                self._flush()
        taken = tuple(DatasetEntry(one, 0, 4 * SECOND_NS, 1.0, Role.ANCHOR) for one in self._tenth)
        hashed = manifest_hash(taken, self._tenth, None)
        version = DatasetVersion(id=self._id("dataset_version"), parent=None, entries=taken, manifest_hash=hashed)
        self._put(version, f"version/{size}")
        self._tenth.clear()
        self.spans += len(taken)
        self._flush()

    def _log(self, tries: int) -> None:
        number = len(self.episodes)
        recording = self._put(
            Recording(id=self._id("recording"), digest=f"{number:064x}", format="mcap", name=f"{number}.mcap",
                      size_bytes=10**8, location=f"/logs/{number}.mcap"), f"{number:064x}")  # fmt: skip
        made = [self._try(recording, number + i) for i in range(tries)]
        spans = tuple(CutSpan(i * 20 * SECOND_NS, (i + 1) * 20 * SECOND_NS, "idle") for i in range(tries))
        self._put(Cut(id=self._id("cut"), recording=recording, rules={"idle_s": 3.0}, spans=spans,
                      episodes=tuple(made)), f"{recording}/cut")  # fmt: skip
        self.spans += tries

    def _try(self, recording: str, number: int) -> str:
        rng, policy = self.rng, number % 10
        start, long_s, draw = number % TRIES_A_LOG * 20 * SECOND_NS, float(rng.uniform(5, 19)), rng.random(4).tolist()
        at = [start + int(long_s * part * SECOND_NS) for part in (0.0, 0.2, 0.5, 0.8)]
        names = [Event(t, f"phase/{name}") for t, name in zip(at, PHASES, strict=True)]
        if draw[0] < 0.05:
            names.append(Event(start + 2 * SECOND_NS, "contact/lost"))
        end, taken = start + int(long_s * SECOND_NS), draw[1] < 0.02
        names.append(Event(end - 1, "success" if draw[2] < 0.7 else "timeout"))
        infos = [StreamInfo("contact/force", "<f4", (500, 3), 100.0, "robot", "sensor", "N")]
        infos += [StreamInfo(f"observation/{name}", "<f4", (500, 7), 100.0, "robot", "sensor") for name in "qv"]
        infos += [StreamInfo("author", "|u1", (500, 1), 100.0, "robot", "sensor")] * taken
        episode = Episode(
            id=self._id("episode"), recordings=(recording,), key_in_recording=str(number), start_ns=start, end_ns=end,
            streams=self._streams[number % OBJECTS], infos=tuple(infos), prints=(f"{number:032x}",),
            source=Source.ROLLOUT, task=f"task-{number % 8}", embodiment=f"arm-{number % 3}",
            site="ABCDE"[number // 7 % 5], steps=int(long_s * 20), events=tuple(names),
            policy=self._policies[policy],
            start=Start(number, {"x": round(float(draw[3]), 6), "surface": "wood" if draw[0] < 0.5 else "steel"}),
        )  # fmt: skip
        key = f"log/{number}"
        self._put(episode, key)
        won = Outcome.SUCCESS if draw[2] < 0.7 else Outcome.FAILURE
        self._put(OutcomeClaim(id=self._id("outcome_claim"), episode=episode.id, value=won, version="1",
                               author_kind=AuthorKind.SIMULATOR, author="site", time_ns=end), f"{key}/log")  # fmt: skip
        if draw[3] < 0.1:
            self._put(Alarm(id=self._id("alarm"), episode=episode.id, calibration=self._calibrations[policy],
                            start_ns=at[2], end_ns=at[3], score=1.0 + 20 * float(draw[3])), f"{key}/alarm")  # fmt: skip
            self.spans += 1
        self.spans += len(PHASES) + 3 * taken
        self.episodes.append(episode.id)
        if number % 10 == 0:
            self._tenth[episode.id] = episode
        return episode.id

    def _id(self, kind: str) -> str:
        return self.store.catalog.new_id(kind)

    def _put(self, noun: Noun, key: str) -> str:
        key, created_ns = key or f"turn-{len(self._rows)}/policy", next(self._ticks)
        payload = self._encoder.encode(noun).decode()
        mark = seal(kind=noun.kind, key=key, scheme=SCHEME, created_ns=created_ns, payload=payload)
        self._rows.append((noun.id, noun.kind, key, created_ns, SCHEME, payload, mark))
        for one in references(noun):
            (self._objects if one.kind == "object" else self._refs).append((noun.id, one.field, one.target))
        return noun.id

    def _flush(self) -> None:
        connection = sqlite3.connect(self.store.root / "catalog.sqlite")
        with connection:
            connection.execute("PRAGMA synchronous=OFF")
            connection.executemany("INSERT INTO nouns VALUES (?, ?, ?, ?, ?, ?, ?)", self._rows)
            connection.executemany("INSERT INTO refs VALUES (?, ?, ?)", self._refs)
            connection.executemany("INSERT INTO object_refs VALUES (?, ?, ?)", self._objects)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        self._rows.clear()
        self._refs.clear()
        self._objects.clear()


def _object(seed: int) -> bytes:
    rng = np.random.default_rng([SEED, seed])
    t_ns = np.arange(0, TRIES_A_LOG * 20 * SECOND_NS, SECOND_NS // 5, dtype=np.int64)
    author = (t_ns // SECOND_NS % 20 >= 4).astype(np.uint8)[:, None]
    streams = {
        "contact/force": Stream(t_ns, rng.normal(size=(len(t_ns), 3)).astype(np.float32)),
        "author": Stream(t_ns, author),
    }
    return codec.encode(streams)


def _policy(name: str, number: int) -> Policy:
    return Policy(id=name, name=f"turn-{number}/policy", lineage=Lineage.DECLARED, trainer="", weights=None, spec=None,
                  dataset=None)  # fmt: skip


def _calibration(name: str, policy: str) -> Calibration:
    return Calibration(id=name, detector="distance", version="1", policy=policy, budget=0.05, successes=100,
                       threshold=1.0, episodes=(), horizon_s=10.0)  # fmt: skip


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield the figures of each size."""
    with tempfile.TemporaryDirectory(prefix="saqiya-catalog-") as folder:
        root = Path(folder) / "store"
        with closing(opened(root, create=True)) as store:
            maker = Maker(store)
            sizes = QUICK if quick else SIZES
            for size in sizes:
                maker.grow(size - 100)
                yield from _size(root, maker, size, last=size == sizes[-1])


def _size(root: Path, maker: Maker, size: int, *, last: bool) -> Iterator[Figure]:
    def figure(name: str, value: Measured, bar: float) -> Figure:
        full = f"catalog.{size}.{name}"
        return at_most(full, value, bar, command=COMMAND) if last else shown(full, value, command=COMMAND)

    def told(name: str, value: float) -> Figure:
        return shown(f"catalog.{size}.{name}", Measured(value, value, value, 1), command=COMMAND)

    took_s, memory, size_bytes = _apart(_refreshed, root)
    yield told("snapshot.seconds", took_s)
    yield figure("snapshot.peak_bytes", Measured(memory, memory, memory, 1), BAR_BYTES)
    maker.grow(size)
    yield told("snapshot.seconds_after_100_more", _apart(_refreshed, root)[0])
    yield told("snapshot.bytes_an_episode", size_bytes / size)
    yield told("catalog.bytes_an_episode", sum(one.stat().st_size for one in root.glob("catalog.sqlite*")) / size)
    yield told("spans", maker.spans)
    chosen = maker.rng.choice(maker.episodes, REPEATS + 1).tolist()
    found, memory = _apart(_asked, root, chosen)
    for name, milliseconds in found.items():
        judged = name in QUESTIONS
        yield (
            figure(f"{name}.ms", _median(milliseconds), BAR_MS)
            if judged
            else shown(f"catalog.{size}.{name}.ms", _median(milliseconds), command=COMMAND)
        )
    yield figure("questions.peak_bytes", Measured(memory, memory, memory, 1), BAR_BYTES)
    for name, milliseconds in _apart(_looked_up, root, maker.rng.choice(maker.episodes, LOOKUPS).tolist()).items():
        yield figure(f"row.{name}.ms", _median(milliseconds), BAR_MS)


def _apart(work: Callable[..., T], *arguments: object) -> T:
    """Run in a process of its own, so that its memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _refreshed(root: Path) -> tuple[float, int, int]:
    with closing(opened(root)) as store:
        began = time.perf_counter()
        made = refresh(store)
        took_s = time.perf_counter() - began
    return took_s, _peak_bytes(), sum(path.stat().st_size for files in made.files.values() for path in files)


def _asked(root: Path, chosen: Sequence[str]) -> tuple[dict[str, list[float]], int]:
    made: dict[str, list[float]] = {}
    with closing(opened(root)) as store:
        with Questions(store) as ask:
            for name, sql in QUESTIONS.items():
                made[name] = [_ms(lambda sql=sql, one=one: ask.table(sql.format(one))) for one in chosen][1:]
            for name, sql in (("slip_then_takeover", SLIP), ("slip_then_takeover.force", FORCE)):
                made[name] = [_ms(lambda sql=sql: ask.table(sql)) for _ in range(6)][1:]
                if not ask.table(sql).num_rows and len(chosen) > 10**4:
                    raise ValueError(f"{name} finds nothing")

        def alone(sql: str) -> None:
            with Questions(store) as ask:
                ask.table(sql)

        for name, sql in QUESTIONS.items():
            made[f"alone.{name}"] = [_ms(lambda sql=sql, one=one: alone(sql.format(one))) for one in chosen[:6]][1:]
    return made, _peak_bytes()


def _looked_up(root: Path, chosen: Sequence[str]) -> dict[str, list[float]]:
    with closing(opened(root)) as store:
        half = len(chosen) // 2
        by_id = [_ms(lambda one=one: store.catalog.get(one, Episode)) for one in chosen[:half]]
        keys = [store.catalog.key_of(one) for one in chosen[half:]]
        by_key = [_ms(lambda one=one: store.catalog.by_key(Episode, one)) for one in keys]
    return {"by_id": by_id, "by_key": by_key}


def _ms(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1e3


def _median(values: Sequence[float]) -> Measured:
    low, middle, high = statistics.quantiles(values, n=4)
    return Measured(middle, low, high, len(values))
