"""Which rules a log could be cut by, and what each would give: shown to a person, who chooses."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median, pstdev

import numpy as np

from saqiya.domain.streams import EpisodeLog, JsonValue
from saqiya.errors import InvalidMapping
from saqiya.ingest.columns import outcome_of
from saqiya.ingest.cut import Cutting, cut
from saqiya.ingest.cut_rules import CutRules, rules_from
from saqiya.ingest.motion import Motion, motion_of
from saqiya.models.roles import Role, roles_of, sensors

__all__ = ["Suggestion", "as_toml", "suggest_rules"]

START = frozenset(
    ("start", "started", "starting", "begin", "began", "begun", "running", "active", "executing", "go", "new")
)
END = frozenset((
    "end", "ended", "stop", "stopped", "done", "finish", "finished", "complete", "completed", "success", "succeeded",
    "fail", "failed", "failure", "abort", "aborted", "cancel", "cancelled", "canceled", "timeout",
))  # fmt: skip
STOP = re.compile(r"e[-_ ]?stop|emergency|protective", re.IGNORECASE)
MOST_DETAILS_N = 12
MOST_HOMES_N = 3
FEWEST_TRIES_N = 2


@dataclass(frozen=True)
class Suggestion:
    """Rules that fit a log, and what they would give.

    Attributes:
        name: what they look at: "events", "starts", "home", "idle", "gripper".
        why: what was seen that speaks for them.
        share: of the log's time that lies in tries.
        evenness: standard deviation of the tries' lengths over their mean: tries of one task are of one length.
    """

    name: str
    why: str
    rules: CutRules
    tries: int
    median_s: float
    shortest_s: float
    longest_s: float
    share: float
    evenness: float


def suggest_rules(log: EpisodeLog) -> tuple[Suggestion, ...]:
    """Return every kind of rule that finds at least two tries in a log: those that rest on events first.

    The order is a hint, not a verdict: events were said by somebody, home and gripper are habits of a cell, pauses are
    anybody's.
    """
    stops: list[JsonValue] = [
        {"event": name, "outcome": "aborted"}
        for name in sorted({event.name for event in log.events if STOP.search(event.name)})
    ]
    motion = motion_of(log)
    offers: list[tuple[str, str, dict[str, JsonValue]]] = []
    offers += _from_events(log, stops)
    offers += _from_homes(log, stops)
    offers += _from_grippers(log, stops)
    if motion is not None and (pause := _usual_pause(motion)) is not None:
        idle: dict[str, JsonValue] = {"idle": {"longer_s": pause}, "limits": {"min_s": 2.0}}
        offers.append(("idle", f"pauses are clearly shorter or longer than {pause:g} s", _with_ends(idle, stops)))
    made = []
    for name, why, raw in offers:
        rules = rules_from(raw)
        try:
            found = cut(log, rules)
        except InvalidMapping:
            continue  # this rule tells nothing here, which is what was asked
        if len(found.spans) >= FEWEST_TRIES_N:
            made.append(_suggestion(name, why, rules, found))
    return tuple(made)


def _suggestion(name: str, why: str, rules: CutRules, found: Cutting) -> Suggestion:
    lengths = [(one.end_ns - one.start_ns) / 1e9 for one in found.spans]
    whole = (found.span.end_ns - found.span.start_ns) / 1e9
    mean = sum(lengths) / len(lengths)
    return Suggestion(
        name, why, rules, len(lengths), median(lengths), min(lengths), max(lengths), sum(lengths) / whole,
        pstdev(lengths) / mean if mean else 0.0,
    )  # fmt: skip


def _with_ends(raw: dict[str, JsonValue], stops: list[JsonValue]) -> dict[str, JsonValue]:
    ends = raw.get("end")
    return {**raw, "end": [*(ends if isinstance(ends, list) else []), *stops]} if stops else raw


def _from_events(log: EpisodeLog, stops: list[JsonValue]) -> list[tuple[str, str, dict[str, JsonValue]]]:
    """Read starts and ends off the words of repeated events and of what they say."""
    names = Counter(event.name for event in log.events)
    details = {name: Counter(e.detail for e in log.events if e.name == name) for name in names}
    starts: list[JsonValue] = []
    ends: list[JsonValue] = []
    for name in sorted(names):
        if STOP.search(name):
            continue
        said = details[name]
        if name_words := _words(name) & (START | END):
            _sort_in(name, "", name_words, starts, ends, told=said)
        elif len(said) <= MOST_DETAILS_N:
            for detail in sorted(said):
                if own := _words(detail) & (START | END):
                    _sort_in(name, detail, own, starts, ends, told=Counter())
    seen = sum(names[str(one["event"])] for one in starts if isinstance(one, dict))
    offers: list[tuple[str, str, dict[str, JsonValue]]] = []
    if starts and (ends or stops):
        raw: dict[str, JsonValue] = {"start": [*starts], "end": [*ends, *stops]}
        offers.append(("events", f"{seen} events say that something starts, others that it ends", raw))
    if starts:
        offers.append(
            ("starts", f"{seen} events say that something starts; each ends what came before", {"start": [*starts]})
        )
    elif ends:
        offers.append(
            ("ends", "events say that something ended; each begins what comes next", {"end": [*ends, *stops]})
        )
    return offers


def _sort_in(
    name: str, detail: str, words: set[str], starts: list[JsonValue], ends: list[JsonValue],
    *, told: Mapping[str, int],
) -> None:  # fmt: skip
    """Put an event among the starts or the ends; one that has words of both says nothing."""
    if words & START and words & END:
        return
    rule: dict[str, JsonValue] = {"event": name, **({"detail": detail} if detail else {})}
    if words & START:
        starts.append(rule)
        return
    if 0 < len(told) <= MOST_DETAILS_N and any(_outcome(one) for one in told):
        for one in sorted(told):  # one rule for each thing that the end says
            outcome = _outcome(one)
            ends.append({"event": name, "detail": one or "", **({"outcome": outcome} if outcome else {})})
        return
    outcome = _outcome(detail) or next((found for word in sorted(words) if (found := _outcome(word))), "")
    ends.append({**rule, **({"outcome": outcome} if outcome else {})})


def _outcome(text: str) -> str:
    outcome, known = outcome_of(text)
    return outcome.value if known and outcome.value != "unknown" and text not in {"", "0", "1", "done"} else ""


def _words(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return {word for word in re.split(r"[^a-z]+", spaced.casefold()) if word}


def _from_homes(log: EpisodeLog, stops: list[JsonValue]) -> list[tuple[str, str, dict[str, JsonValue]]]:
    places = {n: s for n, s in sensors(log).items() if Role.MEASURED in roles_of(n) and s.t_ns.size >= 20}
    ordered = sorted(places, key=lambda n: ("position" not in n and "joint" not in n, -places[n].values[0].size, n))
    offers: list[tuple[str, str, dict[str, JsonValue]]] = []
    for name in ordered[:MOST_HOMES_N]:
        raw: dict[str, JsonValue] = {"home": {"stream": name, "dwell_s": 2.0}}
        offers.append(("home", f"{name} comes back to one pose", _with_ends(raw, stops)))
    return offers


def _from_grippers(log: EpisodeLog, stops: list[JsonValue]) -> list[tuple[str, str, dict[str, JsonValue]]]:
    """Take the gripper's widest stay for "between tries", where it stands apart from all other widths."""
    offers: list[tuple[str, str, dict[str, JsonValue]]] = []
    for name, stream in sensors(log).items():
        if Role.GRIPPER not in roles_of(name) or stream.t_ns.size < 20 or stream.values[0].size != 1:
            continue
        x = np.sort(stream.values.reshape(-1).astype(np.float64))
        x = x[np.isfinite(x)]
        if x.size < 20 or x[0] == x[-1]:
            continue
        counts, edges = np.histogram(x, bins=50)
        empty = np.flatnonzero(counts < 0.002 * x.size)
        if not empty.size:
            continue
        last = int(empty[-1])
        while last > 0 and counts[last - 1] < 0.002 * x.size:
            last -= 1
        bound = float(f"{(edges[last] + edges[int(empty[-1]) + 1]) / 2:.4g}")
        raw: dict[str, JsonValue] = {
            "start": [{"stream": name, "below": bound, "hold_s": 0.3}],
            "end": [{"stream": name, "above": bound, "hold_s": 0.3}],
        }
        offers.append(("gripper", f"{name} stands open beyond {bound:g} between other widths", _with_ends(raw, stops)))
    return offers


def _usual_pause(motion: Motion) -> float | None:
    """Return the length that parts the pauses inside tries from those between: the widest gap among their lengths."""
    stretches = motion.stretches(0.0)
    pauses = np.sort([(b[0] - a[1]) / 1e9 for a, b in pairwise(stretches)])
    pauses = pauses[pauses >= 0.5]
    if pauses.size < FEWEST_TRIES_N:
        return None
    # A cut needs pauses on its long side: the longest few alone (lunch) part a day in two.
    ratio = pauses[1:] / pauses[:-1]
    usable = np.arange(1, pauses.size) <= pauses.size - FEWEST_TRIES_N
    ratio = np.where(usable, ratio, 0.0)
    best = int(ratio.argmax())
    if ratio[best] < 1.2:
        return float(f"{max(2.0, float(np.median(pauses))):.3g}")
    return float(f"{float(np.sqrt(pauses[best] * pauses[best + 1])):.3g}")


def as_toml(rules: CutRules) -> str:
    """Write rules as the TOML that `read_rules` reads; a table of times is left out, for it has a file of its own."""
    lines: list[str] = []
    for section, value in rules.as_json().items():
        tables = value if isinstance(value, list) else [value]
        if section == "table":
            continue
        for table in tables:
            lines.append(f"[[{section}]]" if isinstance(value, list) else f"[{section}]")
            items = table.items() if isinstance(table, dict) else ()
            lines += [f"{key} = {json.dumps(item, ensure_ascii=False)}" for key, item in items]
            lines.append("")
    return "\n".join(lines)
