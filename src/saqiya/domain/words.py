"""Words with one meaning: the closed lists that nouns are written in."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "TRUST",
    "AuthorKind",
    "CorrectionKind",
    "Decision",
    "Lineage",
    "Outcome",
    "Rank",
    "Role",
    "Source",
    "Suite",
    "Verdict",
]


class Source(StrEnum):
    """How an episode came to be."""

    DEMONSTRATION = "demonstration"
    ROLLOUT = "rollout"
    CORRECTION = "correction"
    UNKNOWN = "unknown"


class Outcome(StrEnum):
    """What a try came to. An abort counts as a failure at the gate."""

    SUCCESS = "success"
    FAILURE = "failure"
    ABORTED = "aborted"
    UNKNOWN = "unknown"


class AuthorKind(StrEnum):
    """Who can claim an outcome; a gate pins the order of trust it used."""

    PERSON = "person"
    RULE = "rule"
    MODEL = "model"
    SIMULATOR = "simulator"


TRUST = (AuthorKind.PERSON, AuthorKind.RULE, AuthorKind.SIMULATOR, AuthorKind.MODEL)
"""Whose word on an outcome counts, first of all; of claims by one kind of author, the newest."""


class CorrectionKind(StrEnum):
    """What an operator shows.

    Takeover: from shortly before a failure on. Recovery: out of a near failure. Demonstration: the whole task.
    Strategy: the whole task in a way that was never shown.
    """

    TAKEOVER = "takeover"
    RECOVERY = "recovery"
    DEMONSTRATION = "demonstration"
    STRATEGY = "strategy"


class Role(StrEnum):
    """Why an episode is in a dataset version."""

    ANCHOR = "anchor"
    REPLAY = "replay"
    CORRECTION = "correction"


class Lineage(StrEnum):
    """How well the origin of a policy is known."""

    TRAINED = "trained"
    DECLARED = "declared"
    UNKNOWN = "unknown"


class Suite(StrEnum):
    """Which question a trial helps to answer."""

    SUPERIORITY = "superiority"
    WORKED = "worked"
    REGRESSION = "regression"


class Decision(StrEnum):
    """What the gate says. INITIAL is the first policy of a scope: there is no champion to compare with."""

    INITIAL = "INITIAL"
    PROMOTE = "PROMOTE"
    HOLD = "HOLD"
    REJECT = "REJECT"


class Rank(StrEnum):
    """What a person may do here; each rank may do all that those before it may. Ask with `covers`, never with `<`."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    REVIEWER = "reviewer"
    ADMIN = "admin"

    def covers(self, needed: Rank) -> bool:
        """Say whether this rank may do what `needed` may."""
        order = list(Rank)
        return order.index(self) >= order.index(needed)


class Verdict(StrEnum):
    """What a reviewer says of a submission."""

    ACCEPT = "accept"
    REJECT = "reject"
    SEND_BACK = "send_back"
