"""Which failure mode is aimed at, and why that may be a waste: the guard's answer, with figures."""

from __future__ import annotations

import re
from dataclasses import dataclass

from saqiya.errors import UsageError

__all__ = ["Aim", "Solved", "aim_at", "aim_of", "objections"]

FEWEST_N = 20
"""Tries without a single failure below which nothing is called solved."""
LEVEL = 0.95
COMMA = re.compile(r",(?=[^,=]*=)")
"""What parts two factors of a condition: a comma before the next name."""


@dataclass(frozen=True)
class Aim:
    """What a target means: a mode's label, or a condition, {factor: word or (low, high)}."""

    label: str
    condition: dict[str, str | tuple[float, float]]

    def holds(self, factors: dict[str, float | str]) -> bool:
        """Say whether a try with these conditions is one that is aimed at."""
        return all(name in factors and _fits(factors[name], wanted) for name, wanted in self.condition.items())


@dataclass(frozen=True)
class Solved:
    """What speaks for a target being solved.

    Attributes:
        failures: (failures of it, tries) of the deployment of now.
        below: the failure rate under which it counts as solved.
        starts: (passed, tried) from its corrected starts under the policy of now.
        enough: what the stop rule says, "" where it says nothing.
    """

    failures: tuple[int, int]
    below: float
    starts: tuple[int, int] = (0, 0)
    enough: str = ""


def aim_of(target: str) -> Aim:
    """Read a target: "slip", or a condition such as "object=cup" or "object_x=0.1..0.2,light=dark".

    Raises:
        UsageError: it says nothing, or a part of a condition has no value or a range that ends before it starts.
    """
    if not target.strip():
        raise UsageError("names no target", remedy="Say which failure mode or condition it is for, or bootstrap.")
    if "=" not in target:
        return Aim(target.strip(), {})
    condition: dict[str, str | tuple[float, float]] = {}
    for part in COMMA.split(target):  # a word may hold commas: "object=nut, M5,light=dark"
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise UsageError("must be factor=value", subject=part, remedy="For example: object=cup,object_x=0.1..0.2.")
        condition[name] = _range(part, value)
    return Aim("", condition)


def aim_at(region: dict[str, str]) -> Aim:
    """Aim at a region as coverage tells it, {factor: word or "low..high"}: words may hold commas and dots."""
    condition: dict[str, str | tuple[float, float]] = {}
    for name, value in region.items():
        try:
            condition[name] = _range(name, value)
        except UsageError:
            condition[name] = value
    return Aim("", condition)


def _range(part: str, value: str) -> str | tuple[float, float]:
    low, dots, high = value.partition("..")
    if not dots:
        return value
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise UsageError("has no two numbers", subject=part, remedy="Write a range as 0.1..0.2.") from error
    if not ends[0] <= ends[1]:
        raise UsageError("is no range from low to high", subject=part, remedy="Write the lower number first.")
    return ends


def _fits(value: float | str, wanted: str | tuple[float, float]) -> bool:
    if isinstance(wanted, tuple):
        try:
            return wanted[0] <= float(value) <= wanted[1]
        except ValueError:
            return False
    if isinstance(value, str):
        return value.casefold() == wanted.casefold()
    try:
        return value == float(wanted)
    except ValueError:
        return False


def objections(solved: Solved) -> tuple[str, ...]:
    """Say why collecting for a target may be a waste; () where nothing speaks against it.

    A target counts as solved when its failure rate is surely below the bar (exact one-sided 95 % bound, Clopper and
    Pearson 1934), when it did not fail once in 20 tries or more, when all of its corrected starts pass now and nothing
    else of it fails, or when the stop rule says so. A target that nobody tried is never called solved.
    """
    from scipy import stats

    (failed, tries), (passed, tried) = solved.failures, solved.starts
    bound = float(stats.beta.ppf(LEVEL, failed + 1, tries - failed)) if failed < tries else 1.0
    found = []
    if tries and bound < solved.below:
        found.append(
            f"it fails in {failed} of {tries} tries, so surely in less than {bound:.1%} of them; "
            f"below {solved.below:.1%} counts as solved"
        )
    elif not failed and tries >= FEWEST_N:
        found.append(f"it did not fail in {tries} tries: at most {bound:.1%} of them would")
    if tried and passed == tried and not failed:
        found.append(f"all {tried} tries from its corrected starts pass under the policy of now")
    if solved.enough:
        found.append(solved.enough)
    return tuple(found)
