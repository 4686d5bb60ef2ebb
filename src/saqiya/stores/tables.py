"""What `saqiya query` can be asked of: every relation with its columns, and how a noun becomes rows of it.

A noun never changes, so its rows never do; the one exception is `episodes`, whose rows also say what later nouns made
of an episode (its outcome, its audit, whether a newer cut replaced it). They are written anew when such a noun comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter
from typing import Any, Final

import msgspec
import numpy as np

from saqiya.domain.media import PACKED
from saqiya.domain.nouns import (
    Alarm,
    Alias,
    Audit,
    Calibration,
    ClockMap,
    Correction,
    CorrectionRequest,
    Cut,
    DatasetVersion,
    Deployment,
    Episode,
    Evaluation,
    EvaluationPlan,
    Export,
    Failure,
    FailureMode,
    GateDecision,
    Noun,
    Novelty,
    Outcome,
    OutcomeClaim,
    Policy,
    Recording,
    Rejection,
    Retention,
    Subset,
    Tombstone,
    Trial,
    Turn,
)
from saqiya.domain.streams import Stream
from saqiya.domain.words import TRUST

__all__ = ["EPISODES", "TABLES", "Column", "Known", "Table", "author_rows", "author_runs", "policy_number", "resolved"]

TEXT, INT, FLOAT, BOOL, JSON = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN", "JSON"
TEXTS, NUMBERS, WORDS = "VARCHAR[]", "MAP(VARCHAR, DOUBLE)", "MAP(VARCHAR, VARCHAR)"


@dataclass(frozen=True)
class Column:
    """A column: its type in SQL, what it means, and how it is read off a row's source (default: by its name)."""

    name: str
    type: str
    meaning: str
    of: Callable[[Any], object] | None = None


@dataclass(frozen=True)
class Table:
    """A stored relation.

    Attributes:
        each: the rows of one noun, ready; default: one row, read off the noun by its columns.
        named: rows begin with the noun's id and key, and end with when it was stored.
    """

    name: str
    kind: type[Noun]
    meaning: str
    columns: tuple[Column, ...]
    each: Callable[[Any], Iterable[tuple[object, ...]]] | None = None
    named: bool = True

    @property
    def schema(self) -> tuple[Column, ...]:
        """Every column in order, those that all nouns have included."""
        return (_ID, _KEY, *self.columns, _STORED) if self.named else self.columns

    def rows(self, noun: Noun, key: str, created_ns: int) -> list[tuple[object, ...]]:
        """Return the rows of one noun, in the order of `schema`."""
        made = [self.row(noun)] if self.each is None else self.each(noun)
        return [(noun.id, key, *row, created_ns) for row in made] if self.named else list(made)

    def row(self, source: object) -> tuple[object, ...]:
        """Return the row that is read off one source."""
        return tuple([read(source) for read in self._readers])

    @cached_property
    def _readers(self) -> list[Callable[[Any], object]]:
        return [_reader(column) for column in self.columns]


@dataclass
class Known:
    """An episode and all that is known of it beside."""

    noun: Episode
    key: str
    created_ns: int
    claims: list[OutcomeClaim] = field(default_factory=list)
    audit: Audit | None = None
    cuts: list[str] = field(default_factory=list)
    superseded: bool = False
    aliases: int = 0
    erased: bool = False
    format: str = ""
    policy_name: str = ""

    @property
    def claim(self) -> OutcomeClaim | None:
        """The claim that wins."""
        return resolved(self.claims)


def resolved(claims: Sequence[OutcomeClaim]) -> OutcomeClaim | None:
    """Return the claim that is trusted most (`TRUST`), the last of those; None when nobody said anything."""
    best: OutcomeClaim | None = None
    for claim in claims:
        if best is None or TRUST.index(claim.author_kind) <= TRUST.index(best.author_kind):
            best = claim
    return best


def _reader(column: Column) -> Callable[[Any], object]:
    of: Callable[[Any], Any] = column.of or attrgetter(column.name)
    if column.type in {NUMBERS, WORDS}:
        return lambda source: list(of(source).items())
    return (lambda source: _json(of(source))) if column.type == JSON else of


def _json(value: object) -> str:
    return _encoder.encode(value).decode()


_encoder: Final = msgspec.json.Encoder()


def _numbers(factors: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in factors.items() if not isinstance(value, str)}


def _words(factors: dict[str, Any]) -> dict[str, str]:
    return {name: value for name, value in factors.items() if isinstance(value, str)}


_ID: Final = Column("id", TEXT, "the noun's id")
_KEY: Final = Column("key", TEXT, "the logical key it was stored under")
_STORED: Final = Column("stored_ns", INT, "when it was stored, ns since 1970")


def _start(known: Known) -> dict[str, float | str]:
    return known.noun.start.factors if known.noun.start else {}


def _disputed(known: Known) -> bool:
    return len({claim.value for claim in known.claims}) > 1


EPISODES: Final = Table(
    "episodes",
    Episode,
    "One try, with what later nouns say of it.",
    (
        Column("n", INT, "row number, internal", lambda _: 0),
        Column("id", TEXT, "the episode's id", lambda k: k.noun.id),
        Column("key", TEXT, "its logical key", lambda k: k.key),
        Column("task", TEXT, "the task, in words", lambda k: k.noun.task),
        Column("site", TEXT, "where it ran", lambda k: k.noun.site),
        Column("embodiment", TEXT, "the robot", lambda k: k.noun.embodiment),
        Column("source", TEXT, "demonstration, rollout, correction or unknown", lambda k: k.noun.source),
        Column("policy", TEXT, "id of the policy that acted, when it is registered", lambda k: k.noun.policy),
        Column("policy_name", TEXT, "its name, or what the log called it", lambda k: k.policy_name),
        Column("policy_number", INT, "its number (see policies)", lambda k: policy_number(k.policy_name)),
        Column("operator", TEXT, "who operated", lambda k: k.noun.operator),
        Column("outcome", TEXT, "success, failure, aborted or unknown, by the claim that is trusted most",
               lambda k: k.claim.value if k.claim else Outcome.UNKNOWN),
        Column("outcome_by", TEXT, "whose word that is: person, rule, simulator, model",
               lambda k: k.claim.author_kind if k.claim else None),
        Column("outcome_disputed", BOOL, "claims differ (see claims)", _disputed),
        Column("start_ns", INT, "first instant, on the episode's clock", lambda k: k.noun.start_ns),
        Column("end_ns", INT, "just after the last", lambda k: k.noun.end_ns),
        Column("duration_s", FLOAT, "seconds in between", lambda k: (k.noun.end_ns - k.noun.start_ns) / 1e9),
        Column("steps", INT, "control steps", lambda k: k.noun.steps),
        Column("start_seed", INT, "seed of its start", lambda k: k.noun.start.seed if k.noun.start else None),
        Column("start_key", TEXT, "equal for equal starts", lambda k: k.noun.start.key if k.noun.start else None),
        Column("start_factors", NUMBERS, "start_factors['x']: the start's numbers", lambda k: _numbers(_start(k))),
        Column("start_words", WORDS, "start_words['surface']: the start's words", lambda k: _words(_start(k))),
        Column("streams", TEXTS, "names of its numeric streams", lambda k: [one.name for one in k.noun.infos]),
        Column("cameras", TEXTS, "names of its cameras",
               lambda k: [one.name for one in k.noun.media if one.codec != PACKED]),
        Column("recording", TEXT, "id of the recording it was read from",
               lambda k: k.noun.recordings[0] if k.noun.recordings else None),
        Column("key_in_recording", TEXT, "which try of the recording", lambda k: k.noun.key_in_recording),
        Column("format", TEXT, "the recording's format", lambda k: k.format),
        Column("object", TEXT, "SHA-256 of the object that holds its streams", lambda k: k.noun.streams),
        Column("aliases", INT, "recordings that hold the same try", lambda k: k.aliases),
        Column("cut", TEXT, "id of the cut that made it", lambda k: k.cuts[-1] if k.cuts else None),
        Column("superseded", BOOL, "a newer cut of its recording has other tries", lambda k: k.superseded),
        Column("verdict", TEXT, "of its audit: good, quarantined; NULL: not audited",
               lambda k: k.audit.verdict if k.audit else None),
        Column("missing", TEXTS, "streams that a diagnosis or a retraining would miss",
               lambda k: sorted(k.audit.missing) if k.audit else None),
        Column("erased", BOOL, "its bytes were erased on purpose", lambda k: k.erased),
        Column("extra", JSON, "extra->>'name': facts without a column of their own", lambda k: k.noun.extra),
        Column("stream_facts", JSON, "internal: see streams", lambda k: k.noun.infos),
        Column("camera_facts", JSON, "internal: see cameras", lambda k: k.noun.media),
        Column("stored_ns", INT, "when it was stored, ns since 1970", lambda k: k.created_ns),
    ),
    named=False,
)  # fmt: skip


def _phases(episode: Episode) -> list[tuple[object, ...]]:
    begun = [event for event in episode.events if event.name.startswith("phase/")]
    ends = [event.t_ns for event in begun[1:]] + [max(episode.end_ns, begun[-1].t_ns)] if begun else []
    return [
        (episode.id, event.name.removeprefix("phase/"), event.t_ns, end) for event, end in zip(begun, ends, strict=True)
    ]


def _cut_spans(cut: Cut) -> list[tuple[object, ...]]:
    whose = cut.episodes if len(cut.episodes) == len(cut.spans) else (None,) * len(cut.spans)
    return [
        (cut.id, cut.recording, episode, span.why, span.start_ns, span.end_ns, span.outcome)
        for span, episode in zip(cut.spans, whose, strict=True)
    ]


def author_runs(author: Stream, end_ns: int) -> list[tuple[str, int, int]]:
    """Return who acted when: (policy or operator, start_ns, end_ns) for each run of equal authors."""
    if not len(author.t_ns):
        return []
    who = np.asarray(author.values).reshape(len(author.t_ns), -1)[:, 0] != 0
    first = np.concatenate([[0], np.flatnonzero(who[1:] != who[:-1]) + 1])
    ends = [*(int(t) for t in author.t_ns[first[1:]]), max(end_ns, int(author.t_ns[-1]))]
    return [("operator" if who[i] else "policy", int(author.t_ns[i]), end) for i, end in zip(first, ends, strict=True)]


def author_rows(episode: str, runs: Sequence[tuple[str, int, int]]) -> list[tuple[object, ...]]:
    """Return rows of `authors`; an operator's run after a policy's is a takeover."""
    return [
        (episode, name, start, end, name == "operator" and place > 0) for place, (name, start, end) in enumerate(runs)
    ]


_NUMBER: Final = "the turn that trained it, else the number its name ends with"


def policy_number(name: str) -> int | None:
    """Return the turn in a trained policy's name ("turn-7/policy"), else the number at its end ("pi-v7"), else None."""
    found = re.search(r"^turn-(\d{1,18})/policy$|(?<!\d)(\d{1,18})$", name)
    return int(found[1] or found[2]) if found else None


def _imported(recording: Recording) -> bool:
    return recording.object is not None or any(part.object is not None for part in recording.parts)


def _placed(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(name, kind, meaning) for name, kind, meaning in columns)


_EPISODE: Final = Column("episode", TEXT, "the episode's id")
_START: Final = Column("start_ns", INT, "first instant, on the episode's clock")
_END: Final = Column("end_ns", INT, "just after the last")

TABLES: Final[tuple[Table, ...]] = (
    EPISODES,
    Table(
        "events", Episode, "Instants with a name.",
        _placed(("episode", TEXT, "the episode's id"), ("t_ns", INT, "when, on the episode's clock"),
                ("t_s", FLOAT, "seconds since the episode began"), ("name", TEXT, "phase/grasp, takeover"),
                ("detail", TEXT, "more words")),
        each=lambda e: [(e.id, v.t_ns, (v.t_ns - e.start_ns) / 1e9, v.name, v.detail) for v in e.events], named=False,
    ),
    Table(
        "phases", Episode, "What was being done: from one phase event to the next.",
        _placed(("episode", TEXT, "the episode's id"), ("name", TEXT, "the phase"),
                ("start_ns", INT, "first instant"), ("end_ns", INT, "just after the last")),
        each=_phases, named=False,
    ),
    Table(
        "authors", Episode, "Who acted when, from the stream `author`.",
        _placed(("episode", TEXT, "the episode's id"), ("name", TEXT, "policy or operator; unread: why is in name"),
                ("start_ns", INT, "first instant"), ("end_ns", INT, "just after the last"),
                ("takeover", BOOL, "an operator's run after a policy's")),
        each=lambda _: (), named=False,
    ),
    Table(
        "claims", OutcomeClaim, "Every word on how an episode ended.",
        (_EPISODE, Column("outcome", TEXT, "success, failure, aborted, unknown", lambda n: n.value),
         Column("author_kind", TEXT, "person, rule, model, simulator"), Column("author", TEXT, "who"),
         Column("version", TEXT, "of the criterion"), Column("time_ns", INT, "when it was said"),
         Column("confidence", FLOAT, "0 to 1")),
    ),
    Table(
        "alarms", Alarm, "A detector's score passed its threshold.",
        (_EPISODE, Column("calibration", TEXT, "its id: detector and threshold"), _START, _END,
         Column("score", FLOAT, "the highest in the span")),
    ),
    Table(
        "calibrations", Calibration, "A detector's threshold for one policy.",
        (Column("detector", TEXT, "its name"), Column("version", TEXT, "its version"),
         Column("policy", TEXT, "the policy's id"), Column("budget", FLOAT, "allowed false alarms"),
         Column("successes", INT, "that it rests on"), Column("threshold", FLOAT, "NULL: infinite"),
         Column("horizon_s", FLOAT, "a failure is caught before it"), Column("report", JSON, "its quality")),
    ),
    Table(
        "failed", Failure, "Internal: see failures.",
        (_EPISODE, Column("alarms", TEXTS, "ids"), Column("moment_ns", INT, "when it first looked wrong"),
         Column("phase", TEXT, "the last that was reached"), Column("evidence", NUMBERS, "evidence['x']")),
    ),
    Table(
        "modes", FailureMode, "A named group of failures.",
        (Column("label", TEXT, "its name"), Column("parent", TEXT, "the coarser name"),
         Column("policy", TEXT, "whose failures"), Column("failures", INT, "how many", lambda n: len(n.members)),
         Column("medoid", TEXT, "the typical failure's id"), Column("priority", FLOAT, "its place in the queue"),
         Column("factors", NUMBERS, "what the priority is made of")),
    ),
    Table(
        "members", FailureMode, "Which failure is in which mode.",
        _placed(("mode", TEXT, "the mode's id"), ("failure", TEXT, "the failure's id"), ("label", TEXT, "the mode's")),
        each=lambda m: [(m.id, one, m.label) for one in m.members], named=False,
    ),
    Table(
        "novelty", Novelty, "Bits that an episode tells a policy.",
        (_EPISODE, Column("relative_to", TEXT, "policy or version"), Column("method", TEXT, "how it was measured"),
         Column("bits", FLOAT, "in all"), Column("bits_per_step", FLOAT, "a step"), Column("steps", INT, "the rival"),
         Column("coverage", FLOAT, "distance of its start from known ones"), Column("worth", FLOAT, "bits that count"),
         Column("junk", TEXT, "why none do"), Column("surprisal", FLOAT, "bits of states that training did not show"),
         Column("learnable", FLOAT, "bits one half teaches"), Column("consistency", FLOAT, "error by its own steps")),
    ),
    Table(
        "requests", CorrectionRequest, "What is to be collected, and why.",
        (Column("target", TEXT, "a mode's label, or bootstrap"), Column("mode", TEXT, "its id"),
         Column("correction_kind", TEXT, "takeover, demonstration"), Column("count", INT, "how many"),
         Column("failures", TEXTS, "ids"), Column("reason", TEXT, "why")),
    ),
    Table(
        "corrections", Correction, "What an operator gave, and what it cost.",
        (Column("request", TEXT, "its id"), _EPISODE, Column("failure", TEXT, "the failure's id"),
         Column("correction_kind", TEXT, "takeover, demonstration"), Column("operator", TEXT, "who"),
         Column("human_steps", INT, "steps by the operator"), Column("takeovers", INT, "switches to the operator"),
         Column("accepted", BOOL, "it is a lesson"), Column("reason", TEXT, "why not")),
    ),
    Table(
        "versions", DatasetVersion, "Dataset versions.",
        (Column("parent", TEXT, "the version it grew from"), Column("manifest_hash", TEXT, "of contents and weights"),
         Column("spans", INT, "how many entries", lambda n: len(n.entries)),
         Column("episodes", INT, "how many episodes", lambda n: len({one.episode for one in n.entries})),
         Column("note", TEXT, "why it was made")),
    ),
    Table(
        "entries", DatasetVersion, "Spans of episodes in dataset versions.",
        _placed(("version", TEXT, "the version's id"), ("episode", TEXT, "the episode's id"),
                ("start_ns", INT, "first instant"), ("end_ns", INT, "just after the last"),
                ("weight", FLOAT, "per sample"), ("role", TEXT, "anchor, replay, correction")),
        each=lambda v: [(v.id, e.episode, e.start_ns, e.end_ns, e.weight, e.role) for e in v.entries], named=False,
    ),
    Table(
        "policies", Policy, "Policies, trained here or registered.",
        (Column("name", TEXT, "what logs call it"), Column("number", INT, _NUMBER, lambda n: policy_number(n.name)),
         Column("lineage", TEXT, "trained, declared, unknown"),
         Column("trainer", TEXT, "who trained it"), Column("dataset", TEXT, "the version's id"),
         Column("base", TEXT, "the policy it grew from"), Column("seed", INT, "of its training"),
         Column("embodiment", TEXT, "the robot", lambda n: n.spec.embodiment if n.spec else None),
         Column("metrics", NUMBERS, "metrics['loss']"), Column("declared", WORDS, "what was said of its origin")),
    ),
    Table(
        "plans", EvaluationPlan, "What was fixed before the first trial.",
        (Column("scope", TEXT, "task criterion and embodiment"), Column("round", INT, "which of the scope"),
         Column("alpha", FLOAT, "allowed"), Column("candidate", TEXT, "the policy's id"),
         Column("champion", TEXT, "the policy's id"), Column("slots", INT, "trials", lambda n: len(n.slots)),
         Column("params", JSON, "the test's"), Column("power", JSON, "its power")),
    ),
    Table(
        "slots", EvaluationPlan, "Internal: see trials.",
        _placed(("plan", TEXT, "the plan's id"), ("slot", INT, "place in the order"), ("arm", TEXT, "the policy's id"),
                ("suite", TEXT, "superiority, worked, regression"), ("stratum", TEXT, "what is compared with like"),
                ("pair", INT, "with whom it is compared")),
        each=lambda p: [(p.id, i, s.arm, s.suite, s.stratum, s.pair) for i, s in enumerate(p.slots)], named=False,
    ),
    Table(
        "tried", Trial, "Internal: see trials.",
        (Column("plan", TEXT, "its id"), Column("slot", INT, "place in the order"), _EPISODE,
         Column("success", BOOL, "autonomous success"), Column("void", TEXT, "why it does not count")),
    ),
    Table(
        "evaluations", Evaluation, "What the trials of a plan showed.",
        (Column("plan", TEXT, "its id"), Column("pairs", INT, "compared"), Column("wins", INT, "candidate alone"),
         Column("losses", INT, "champion alone"), Column("champion_successes", INT, "of the pairs"),
         Column("candidate_successes", INT, "of the pairs"), Column("voids", INT, "that do not count"),
         Column("strata", JSON, "by stratum"), Column("stopped", TEXT, "where the test stopped")),
    ),
    Table(
        "decisions", GateDecision, "The gate's word on a candidate.",
        (Column("decision", TEXT, "INITIAL, PROMOTE, HOLD, REJECT"), Column("candidate", TEXT, "the policy's id"),
         Column("champion", TEXT, "the policy's id"), Column("evaluation", TEXT, "its id"),
         Column("alpha_spent", FLOAT, "here"), Column("reasons", TEXTS, "sentences with numbers")),
    ),
    Table(
        "deployments", Deployment, "Policies let loose on a site.",
        (Column("scope", TEXT, "task criterion and embodiment"), Column("policy", TEXT, "its id"),
         Column("decision", TEXT, "its id"), Column("mode", TEXT, "full, canary, shadow"),
         Column("episodes", TEXTS, "ids")),
    ),
    Table(
        "turns", Turn, "Rotations of the wheel.",
        (Column("scope", TEXT, "task criterion and embodiment"), Column("number", INT, "from 0"),
         Column("dataset", TEXT, "the version's id"), Column("policy", TEXT, "in charge at the end"),
         Column("decision", TEXT, "its id"), Column("deployment", TEXT, "its id"),
         Column("figures", JSON, "figures->>'cycle_s'")),
    ),
    Table(
        "recordings", Recording, "Bytes as they came.",
        (Column("name", TEXT, "of the file"), Column("format", TEXT, "mcap, lerobot, ..."),
         Column("size_bytes", INT, "of the original"), Column("digest", TEXT, "its SHA-256"),
         Column("imported", BOOL, "one copy is here", _imported),
         Column("location", TEXT, "where the original lay")),
    ),
    Table(
        "aliases", Alias, "The same try in another recording.",
        (_EPISODE, Column("recording", TEXT, "its id"), Column("key_in_recording", TEXT, "which try of it")),
    ),
    Table(
        "rejections", Rejection, "What could not be used, and why.",
        (Column("name", TEXT, "of the file"), Column("reason", TEXT, "why"), Column("remedy", TEXT, "what to do"),
         Column("digest", TEXT, "its SHA-256")),
    ),
    Table(
        "audits", Audit, "What was found when an episode came in.",
        (_EPISODE, Column("version", TEXT, "of the audit"), Column("verdict", TEXT, "good, quarantined"),
         Column("missing", WORDS, "missing['camera/front']: what for")),
    ),
    Table(
        "findings", Audit, "One row a finding of an audit.",
        _placed(("audit", TEXT, "its id"), ("episode", TEXT, "the episode's id"), ("finding", TEXT, "which check"),
                ("stream", TEXT, "where"), ("severity", TEXT, "fault, warning, note"), ("what", TEXT, "in words"),
                ("figures", JSON, "the numbers")),
        each=lambda a: [
            (a.id, a.episode, *(_word(f.get(name)) for name in ("check", "stream", "severity", "what")), _json(f))
            for f in a.findings
        ], named=False,
    ),
    Table(
        "cuts", Cut, "How a long log was cut into tries.",
        (Column("recording", TEXT, "its id"), Column("rules", JSON, "what cut it"),
         Column("spans", INT, "tries found", lambda n: len(n.spans)), Column("supersedes", TEXT, "an older cut's id")),
    ),
    Table(
        "cut_spans", Cut, "The tries that a cut found.",
        _placed(("cut", TEXT, "its id"), ("recording", TEXT, "its id"), ("episode", TEXT, "the episode's id"),
                ("why", TEXT, "which rule"), ("start_ns", INT, "first instant"), ("end_ns", INT, "just after the last"),
                ("outcome", TEXT, "what the rule says of it")),
        each=_cut_spans, named=False,
    ),
    Table(
        "clock_maps", ClockMap, "How one clock of a recording reads on another.",
        (Column("recording", TEXT, "its id"), Column("source", TEXT, "the clock"), Column("target", TEXT, "the other"),
         Column("offset_ns", INT, "at at_ns"), Column("at_ns", INT, "on the source"),
         Column("drift_ppm", FLOAT, "parts in a million"), Column("uncertainty_ns", INT, "of the offset"),
         Column("method", TEXT, "how it was found")),
    ),
    Table(
        "subsets", Subset, "Named sets of episodes.",
        (Column("name", TEXT, "its name"), Column("sql", TEXT, "what it asks")),
    ),
    Table(
        "retentions", Retention, "Decisions on what to keep.",
        (Column("rule", JSON, "in words and numbers"), Column("seed", INT, "of the draw"),
         Column("probability", NUMBERS, "by stratum"), Column("kept", INT, "how many", lambda n: len(n.kept)),
         Column("dropped", INT, "how many", lambda n: len(n.dropped))),
    ),
    Table(
        "exports", Export, "Episodes written in another's format.",
        (Column("dataset", TEXT, "the version's id"), Column("episodes", INT, "how many", lambda n: len(n.episodes)),
         Column("format", TEXT, "lerobot, mcap, ..."), Column("location", TEXT, "where"),
         Column("notes", TEXTS, "what the format could not hold")),
    ),
    Table(
        "tombstones", Tombstone, "Bytes that were erased on purpose.",
        (Column("digest", TEXT, "of the bytes"), Column("reason", TEXT, "why"), Column("affected", TEXTS, "ids")),
    ),
)  # fmt: skip


def _word(value: object) -> str | None:
    return None if value is None else str(value)
