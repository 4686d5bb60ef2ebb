"""What an audit says: findings with figures, and the rules that make a verdict of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase

from saqiya.domain.streams import JsonValue
from saqiya.errors import UsageError

__all__ = ["DEFAULT_RULES", "Act", "Finding", "Judgement", "Severity", "figures", "judge", "rules_of"]


class Severity(StrEnum):
    """How grave a finding is by itself; what is done about it is the rules' word."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


class Act(StrEnum):
    """What a rule does about a finding."""

    REJECT = "reject"
    QUARANTINE = "quarantine"
    WARN = "warn"
    IGNORE = "ignore"


@dataclass(frozen=True)
class Finding:
    """One thing an audit found.

    Attributes:
        check: which check, "clock/gap"; the word that rules match.
        stream: the stream or camera it is about, "" for the whole try.
        what: one sentence for a person, with its figures.
        figures: the same figures as numbers, units in their names.
    """

    check: str
    stream: str
    severity: Severity
    what: str
    figures: Mapping[str, JsonValue] = field(default_factory=dict)

    def as_json(self) -> dict[str, JsonValue]:
        """Return it as `Audit.findings` keeps it."""
        return {
            "check": self.check,
            "stream": self.stream,
            "severity": self.severity.value,
            "what": self.what,
            "figures": dict(self.figures),
        }


@dataclass(frozen=True)
class Judgement:
    """What became of a try.

    Attributes:
        verdict: "good", "quarantined" (kept, left out of mixtures) or "rejected".
        because: the findings that decided, gravest act first.
        acts: for each finding, in the order given, what its rule did.
    """

    verdict: str
    because: tuple[Finding, ...]
    acts: tuple[Act, ...]


DEFAULT_RULES: dict[str, str] = {
    "*!fault": "quarantine",
    "*!warning": "warn",
    "*!note": "warn",
    "values/none-finite:action/*": "reject",
}
"""`check[:stream][!severity]`, with `*` and `?`, to an act; the last one that fits decides. A quarantined try is kept
and can be let out by a person; rejected are only tries whose actions hold no number at all."""


def rules_of(own: Mapping[str, object]) -> dict[str, str]:
    """Return the default rules with the user's after them, so that the user's word wins.

    Raises:
        UsageError: an act is none of reject, quarantine, warn, ignore.
    """
    for pattern, act in own.items():
        if act not in set(Act):
            raise UsageError(
                f"the rule for {pattern!r} says {act!r}", remedy=f"Say one of: {', '.join(Act)}, for each check."
            )
    return {**{key: act for key, act in DEFAULT_RULES.items() if key not in own}, **{k: str(v) for k, v in own.items()}}


def judge(findings: Iterable[Finding], rules: Mapping[str, str] = DEFAULT_RULES) -> Judgement:
    """Apply `rules` to findings; a finding that no rule fits is warned of."""
    found = tuple(findings)
    acts = tuple(_act(one, rules) for one in found)
    for act, verdict in ((Act.REJECT, "rejected"), (Act.QUARANTINE, "quarantined")):
        if act in acts:
            decided = [one for one, own in zip(found, acts, strict=True) if own is act]
            return Judgement(verdict, tuple(decided), acts)
    return Judgement("good", (), acts)


def _act(finding: Finding, rules: Mapping[str, str]) -> Act:
    act = Act.WARN
    for pattern, word in rules.items():
        head, _, severity = pattern.partition("!")
        check, _, stream = head.partition(":")
        if (
            fnmatchcase(finding.check, check)
            and fnmatchcase(finding.stream, stream or "*")
            and fnmatchcase(finding.severity.value, severity or "*")
        ):
            act = Act(word)
    return act


def figures(**values: float | str | Sequence[float]) -> dict[str, JsonValue]:
    """Return figures as exact JSON: six significant digits, no NaN or infinity (those become None)."""
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: float | str | Sequence[float]) -> JsonValue:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence):
        return [_plain(one) for one in value]
    if isinstance(value, int):  # stamps keep every digit
        return int(value)
    number = float(value)
    return float(f"{number:.6g}") if math.isfinite(number) else None
