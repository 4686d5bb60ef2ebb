"""The alpha ledger: what each candidate of a scope may spend, so that trying often buys no false promotion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, pi

from saqiya.errors import UsageError

__all__ = ["Entry", "alpha_for", "next_round", "spent"]


@dataclass(frozen=True)
class Entry:
    """One candidate's share: its round in the scope (from 1) and the alpha that its test was declared with."""

    round: int
    alpha: float


def alpha_for(round_number: int, alpha_total: float) -> float:
    """Give the alpha of a scope's n-th candidate: `alpha_total * 6 / (pi^2 n^2)`.

    The shares of all rounds to come add up to `alpha_total` and no more, so the chance of one or more false promotions
    over the life of the scope is at most `alpha_total`, whatever the candidates are and however they depend on each
    other (union bound; the sum of 1/n^2 is pi^2/6). The price: the fifth candidate has a 25th of the first one's alpha.

    Raises:
        UsageError: the round is below 1, or `alpha_total` is not inside (0, 1).
    """
    if round_number < 1:
        raise UsageError(f"there is no round {round_number}", remedy="Rounds of a scope count from 1.")
    if not 0.0 < alpha_total < 1.0:
        raise UsageError(f"alpha {alpha_total} is not inside (0, 1)", remedy="Use for example 0.05.")
    return alpha_total * 6.0 / (pi * pi * round_number * round_number)


def spent(entries: Iterable[Entry]) -> float:
    """Add up what was declared; a declared test has spent its alpha whether or not its trials were finished.

    Raises:
        UsageError: a round stands in the ledger twice with different alphas.
    """
    shares: dict[int, float] = {}
    for entry in entries:
        if shares.setdefault(entry.round, entry.alpha) != entry.alpha:
            raise UsageError(
                f"round {entry.round} was declared with alpha {shares[entry.round]} and with {entry.alpha}",
                remedy="An alpha is fixed before the first trial; keep the first and void the other plan.",
            )
    return fsum(shares.values())


def next_round(entries: Iterable[Entry]) -> int:
    """Give the number of the round that a new candidate opens."""
    return max((entry.round for entry in entries), default=0) + 1
