"""All that is looked at when a try comes in, in one call: clocks, hard faults, what a later stage will miss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from saqiya.domain.logged import Audit
from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import EpisodeLog
from saqiya.ingest.clocks import ClockEstimate, audit_clocks
from saqiya.ingest.faults import check_faults
from saqiya.ingest.findings import DEFAULT_RULES, Act, Finding, Judgement, judge
from saqiya.ingest.sufficiency import missing_of

__all__ = ["VERSION", "Audited", "audit"]

VERSION = "audit-1"
"""Changes whenever a check or a threshold does: audits of two versions are not compared in silence."""


@dataclass(frozen=True)
class Audited:
    """What was found in one try.

    Attributes:
        findings: of all checks, in a stable order; those that a rule ignores are in it.
        judgement: what the rules make of them.
        missing: as in `Audit`.
        estimates: how its clocks read on one another.
    """

    findings: tuple[Finding, ...]
    judgement: Judgement
    missing: dict[str, str]
    estimates: tuple[ClockEstimate, ...]

    def as_noun(self, own_id: str, episode: str) -> Audit:
        """Return it as the noun that is stored, without what a rule ignores."""
        shown = [one for one, act in zip(self.findings, self.judgement.acts, strict=True) if act is not Act.IGNORE]
        return Audit(
            id=own_id,
            episode=episode,
            version=VERSION,
            verdict=self.judgement.verdict,
            findings=tuple(one.as_json() for one in shown),
            missing=self.missing,
        )

    def held(self) -> Audited:
        """Return it with quarantine in place of a rejection: a cut names every try that it found."""
        if self.judgement.verdict != "rejected":
            return self
        return replace(self, judgement=replace(self.judgement, verdict="quarantined"))


def audit(
    log: EpisodeLog,
    *,
    rules: Mapping[str, str] = DEFAULT_RULES,
    spec: PolicySpec | None = None,
    now_ns: int | None = None,
) -> Audited:
    """Look at one try and judge it.

    Args:
        log: the try; nothing in it is changed.
        rules: which finding rejects, quarantines or only warns (`findings.rules_of`).
        spec: what the policy to be trained needs, where there is one.
        now_ns: when it was taken in; stamps after it are in the future.
    """
    clocks = audit_clocks(log, now_ns=now_ns)
    findings = (*check_faults(log), *clocks.findings)
    return Audited(findings, judge(findings, rules), missing_of(log, spec), clocks.estimates)
