"""From trials to counts: which tries may enter the test, and what counts as a success."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from saqiya.domain.nouns import Outcome
from saqiya.errors import UsageError
from saqiya.evaluate.paths import Arms

__all__ = ["Arm", "Results", "Try", "autonomous_success", "gather"]


class Arm(StrEnum):
    """The two sides of a comparison."""

    CHAMPION = "champion"
    CANDIDATE = "candidate"


@dataclass(frozen=True)
class Try:
    """What became of one slot. `pair` is the slot's pair number; a void's reason came before any outcome."""

    arm: Arm
    pair: int | None
    success: bool
    void: str = ""


@dataclass(frozen=True)
class Results:
    """The comparison's data in the order that was drawn, and what was left out of it.

    Attributes:
        champion, candidate: success by trial, of equal length. For paired arms index i is one pair.
        voids: pairs (or, for independent arms, tries) left out because of a void.
        unpaired: tries left out because their partner is missing.
    """

    champion: tuple[bool, ...]
    candidate: tuple[bool, ...]
    voids: int = 0
    unpaired: int = 0


def autonomous_success(outcome: Outcome, *, takeover: bool) -> bool:
    """Tell whether a try counts as a success of the policy: an abort is a failure, and so is any try with a takeover.

    Raises:
        UsageError: the outcome is unknown; a guess here would be a silent one.
    """
    if outcome is Outcome.UNKNOWN:
        raise UsageError(
            "a trial's outcome is unknown, and the gate does not guess",
            remedy="Label the episode, then decide again.",
        )
    return outcome is Outcome.SUCCESS and not takeover


def gather(arms: Arms, tries: Iterable[Try]) -> Results:
    """Line up the tries of both arms for the test.

    Paired arms: by pair number; a pair with a void is left out whole and counted, and a try without partner or pair
    number is counted as unpaired and never enters. Independent arms: in the order given, to the length of the shorter.

    Raises:
        UsageError: a pair holds two tries of the same arm.
    """
    if arms is Arms.PAIRED:
        return _pairs(tries)
    sides: dict[Arm, list[bool]] = {Arm.CHAMPION: [], Arm.CANDIDATE: []}
    voids = 0
    for one in tries:
        if one.void:
            voids += 1
        else:
            sides[one.arm].append(one.success)
    champion, candidate = sides[Arm.CHAMPION], sides[Arm.CANDIDATE]
    n = min(len(champion), len(candidate))
    return Results(tuple(champion[:n]), tuple(candidate[:n]), voids, len(champion) + len(candidate) - 2 * n)


def _pairs(tries: Iterable[Try]) -> Results:
    pairs: dict[int, dict[Arm, Try]] = {}
    unpaired = 0
    for one in tries:
        if one.pair is None:
            unpaired += 1
        elif one.arm in pairs.setdefault(one.pair, {}):
            raise UsageError(
                f"the {one.arm} was tried twice", subject=f"pair {one.pair}", remedy="Give each try a slot of its own."
            )
        else:
            pairs[one.pair][one.arm] = one
    champion: list[bool] = []
    candidate: list[bool] = []
    voids = 0
    for number in sorted(pairs):
        pair = pairs[number]
        if any(one.void for one in pair.values()):
            voids += 1
        elif len(pair) < len(Arm):
            unpaired += 1
        else:
            champion.append(pair[Arm.CHAMPION].success)
            candidate.append(pair[Arm.CANDIDATE].success)
    return Results(tuple(champion), tuple(candidate), voids, unpaired)
