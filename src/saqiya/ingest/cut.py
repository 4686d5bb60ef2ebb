"""Cut one long log into tries: rules see moments, moments become spans; nothing is copied, and the rest is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from saqiya.domain.logged import CutSpan
from saqiya.domain.streams import EpisodeLog, JsonValue, Span
from saqiya.ingest.cut_marks import Mark, marks_of
from saqiya.ingest.cut_rules import CutRules
from saqiya.ingest.cut_table import ranges_of
from saqiya.ingest.motion import motion_of, span_of

__all__ = ["Cutting", "cut"]

SETTLE_NS = 5_000_000_000
"""An end that says how the try went counts for it up to 5 s after another end closed it."""
REST_S = 1.0


@dataclass(frozen=True)
class Cutting:
    """What rules make of a log.

    Attributes:
        spans: the tries, in order, half-open, none overlapping another.
        facts: for each span what else the rules know of it (task).
        leftovers: the ranges between them, with the reason why each is no try.
        notes: what was mended or left out, in sentences.
    """

    span: Span
    spans: tuple[CutSpan, ...]
    facts: tuple[Mapping[str, JsonValue], ...]
    leftovers: tuple[CutSpan, ...]
    notes: tuple[str, ...]


@dataclass
class _Draft:
    """Tries as they are being found."""

    spans: list[CutSpan] = field(default_factory=list)
    facts: list[Mapping[str, JsonValue]] = field(default_factory=list)
    left_out: list[CutSpan] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, span: CutSpan, facts: Mapping[str, JsonValue] | None = None) -> None:
        self.spans.append(span)
        self.facts.append(facts or {})


def cut(log: EpisodeLog, rules: CutRules) -> Cutting:
    """Cut a log by rules. Equal logs and rules give equal cuts, whatever order the streams come in.

    Starts and ends are paired in time. Where a second start by the same rule comes before any end, the try is
    unfinished: it lasts until the robot last came to rest before that start, or until the start. Without any rule for
    ends, each start ends the try before it; without any for starts, each end begins the next. An end outside a try is
    left out, but for what it says of the outcome of a try that ended at most 5 s before.

    Raises:
        InvalidMapping: a rule names what the log does not have, or a table's time cannot be read.
        InvalidEpisode: the log has no sample.
    """
    span = span_of(log)
    draft = _Draft()
    if rules.table:
        _from_table(draft, rules, span)
    else:
        marks = [mark for mark in marks_of(log, rules) if span.start_ns <= mark.at_ns <= span.end_ns]
        _pair(draft, marks, span, _Ends(log, rules))
    _limit(draft, rules)
    _widen(draft, rules, span)
    leftovers = _between(draft, span)
    if rules.limits.leftovers == "keep":
        kept = [one for one in leftovers if one.end_ns - one.start_ns >= max(1, round(rules.limits.min_s * 1e9))]
        both = sorted(
            [*zip(draft.spans, draft.facts, strict=True), *((one, {}) for one in kept)], key=lambda one: one[0].start_ns
        )
        draft.spans, draft.facts = [one for one, _ in both], [facts for _, facts in both]
        leftovers = [one for one in leftovers if one not in kept]
    return Cutting(span, tuple(draft.spans), tuple(draft.facts), tuple(leftovers), tuple(draft.notes))


@dataclass(frozen=True)
class _Ends:
    """Where a try without a seen end is taken to end."""

    log: EpisodeLog
    rules: CutRules

    @cached_property
    def stretches(self) -> list[tuple[int, int]]:
        """Ranges of motion with pauses of less than a second; none where no stream tells."""
        idle = self.rules.idle
        motion = motion_of(self.log) if idle is None else motion_of(self.log, idle.streams, idle.floor)
        return motion.stretches(REST_S) if motion is not None else []

    def rest_before(self, start_ns: int, until_ns: int) -> tuple[int, str]:
        """Return the last moment before `until_ns` at which the robot came to rest for a second, and how to say it."""
        rest_ns = round(REST_S * 1e9)
        ended = [b for a, b in self.stretches if b - a >= rest_ns and start_ns < b <= until_ns - rest_ns]
        return (ended[-1], "it came to rest") if ended else (until_ns, "")


def _pair(draft: _Draft, marks: Sequence[Mark], span: Span, ends: _Ends) -> None:
    has_starts, has_ends = any(m.begins for m in marks), any(not m.begins for m in marks)
    opened: Mark | None = None if has_starts else Mark(span.start_ns, True, "log", "the log begins")
    for mark in marks:
        if mark.begins:
            if opened is None:
                opened = mark
            elif mark.rule == opened.rule and mark.at_ns > opened.at_ns:
                if has_ends:
                    _unfinished(draft, opened, mark.at_ns, "another start", ends)
                else:
                    _close(draft, opened, mark.at_ns, f"the next start: {mark.why}", mark.outcome)
                opened = mark
        elif opened is not None and mark.at_ns > opened.at_ns:
            _close(draft, opened, mark.at_ns, mark.why, mark.outcome)
            opened = None if has_starts else Mark(mark.at_ns, True, "log", "the try before ended")
        elif mark.outcome and draft.spans:
            _settle(draft, mark)
    if opened is not None and opened.at_ns < span.end_ns and (has_starts or has_ends):
        if has_starts:
            _unfinished(draft, opened, span.end_ns, "the log ends", ends)
        else:
            draft.left_out.append(CutSpan(opened.at_ns, span.end_ns, "no end was seen after it"))


def _close(draft: _Draft, opened: Mark, end_ns: int, why: str, outcome: str) -> None:
    draft.add(CutSpan(opened.at_ns, end_ns, f"{opened.why}; {why}", outcome or opened.outcome))


def _unfinished(draft: _Draft, opened: Mark, until_ns: int, why: str, ends: _Ends) -> None:
    if ends.rules.limits.unfinished == "drop":
        draft.left_out.append(CutSpan(opened.at_ns, until_ns, f"{opened.why}; no end was seen before {why}"))
        return
    end_ns, rest = ends.rest_before(opened.at_ns, until_ns)
    _close(draft, opened, end_ns, f"no end was seen before {why}" + (f": {rest}" if rest else ""), "")


def _settle(draft: _Draft, mark: Mark) -> None:
    last = draft.spans[-1]
    if not last.outcome and mark.at_ns - last.end_ns <= SETTLE_NS:
        draft.spans[-1] = replace(last, outcome=mark.outcome, why=f"{last.why}; then {mark.why}")


def _from_table(draft: _Draft, rules: CutRules, span: Span) -> None:
    ranges, notes = ranges_of(rules.table, span, utc_offset_h=rules.limits.utc_offset_h)
    draft.notes += notes
    for number, (start, end, row, outcome) in enumerate(ranges):
        following = ranges[number + 1][0] if number + 1 < len(ranges) else span.end_ns
        said = f"line {row.line} of the table" if row.line else f"row {number + 1} of the table"
        begin, stop = max(start, span.start_ns), min(end or following, span.end_ns)
        if end and end > following:
            draft.notes.append(f"{said} ends after the next one starts: it was cut there")
            stop = min(stop, following)
        if draft.spans and begin < draft.spans[-1].end_ns:
            begin = draft.spans[-1].end_ns
        if stop <= begin:
            draft.notes.append(f"{said} leaves no room beside its neighbours")
            continue
        draft.add(CutSpan(begin, stop, said, outcome), {"task": row.task} if row.task else {})


def _limit(draft: _Draft, rules: CutRules) -> None:
    limits = rules.limits
    spans, facts = draft.spans, draft.facts
    draft.spans, draft.facts = [], []
    for one, own in zip(spans, facts, strict=True):
        length_s = (one.end_ns - one.start_ns) / 1e9
        if length_s < limits.min_s:
            draft.left_out.append(replace(one, why=f"{one.why}; {length_s:.2f} s is shorter than {limits.min_s:g} s"))
        elif limits.max_s is None or length_s <= limits.max_s:
            draft.add(one, own)
        elif limits.too_long == "drop":
            draft.left_out.append(replace(one, why=f"{one.why}; {length_s:.1f} s is longer than {limits.max_s:g} s"))
        else:
            # Its end was not where it was looked for, so what that end says of the outcome is not this try's.
            end_ns = one.start_ns + round(limits.max_s * 1e9)
            why = f"{one.why}; trimmed from {length_s:.1f} s to {limits.max_s:g} s"
            draft.add(CutSpan(one.start_ns, end_ns, why), own)


def _widen(draft: _Draft, rules: CutRules, span: Span) -> None:
    """Add the margins; where two meet, the room between the tries is shared in its middle."""
    pre, post = round(rules.limits.pre_s * 1e9), round(rules.limits.post_s * 1e9)
    if not pre and not post:
        return
    spans = draft.spans
    for number, one in enumerate(spans):
        before = spans[number - 1].end_ns if number else span.start_ns
        after = rules_end = spans[number + 1].start_ns if number + 1 < len(spans) else span.end_ns
        if number + 1 < len(spans) and rules_end - one.end_ns < pre + post:
            after = one.end_ns + (rules_end - one.end_ns) * post // (pre + post)
        spans[number] = replace(
            one, start_ns=max(before, one.start_ns - pre), end_ns=max(one.end_ns, min(after, one.end_ns + post))
        )


def _between(draft: _Draft, span: Span) -> list[CutSpan]:
    """Return what lies outside the tries, each with why it is none."""
    out: list[CutSpan] = []
    at = span.start_ns
    bounds = [(one.start_ns, one.end_ns) for one in draft.spans]
    for start, end in [*bounds, (span.end_ns, span.end_ns)]:
        if start > at:
            reasons = [one.why for one in draft.left_out if one.start_ns < start and one.end_ns > at]
            out.append(CutSpan(at, start, "; ".join(reasons) or "outside all tries"))
        at = max(at, end)
    return out
