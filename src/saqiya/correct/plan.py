"""How a budget of human minutes is shared: always to what brings the most points of success a minute next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from saqiya.correct.experience import Yield
from saqiya.domain.words import CorrectionKind
from saqiya.domain.worth import Gain, PlanSkip
from saqiya.errors import UsageError

__all__ = ["BLOCK_N", "FEWEST_N", "MOST_N", "Option", "Origin", "Share", "kinds", "persists", "share"]

FEWEST_N, MOST_N = 20, 50
"""Corrections of one mode: fewer than 20 seldom show in the next deployment, after 50 another look at it is cheaper."""
BLOCK_N = 5
"""Corrections that are given out at once: no curve is known more finely."""
PER_N = 10
STRATEGY_N = 20
"""Accepted corrections after which a mode that has not become rarer asks for another way of doing it."""
WHOLE_TASK = frozenset({"generalization_failure", "unnamed"})


@dataclass(frozen=True)
class Origin:
    """Where corrections of one kind can begin: how many places there are, and what one takes of a person."""

    kind: CorrectionKind
    available: int
    minutes: float


@dataclass(frozen=True)
class Option:
    """Something that could be collected.

    Attributes:
        target: a mode's label.
        origins: what it is collected from, the best kind first.
        expected: what it may bring.
    """

    target: str
    origins: tuple[Origin, ...]
    expected: Yield

    @property
    def limit(self) -> int:
        """How many corrections can be asked for at most."""
        return min(MOST_N, sum(one.available for one in self.origins))

    def minutes(self, begin: int, end: int) -> float:
        """Return what the corrections from the `begin`-th to before the `end`-th take, dealt along the origins."""
        taken, first = 0.0, 0
        for one in self.origins:
            last = first + one.available
            taken += max(0, min(end, last) - max(begin, first)) * one.minutes
            first = last
        return taken


@dataclass(frozen=True)
class Share:
    """What one option was given.

    Attributes:
        counts: for each of its origins.
        gain: of all of them.
        minutes: of a person.
        because: why this many.
    """

    option: Option
    counts: tuple[int, ...]
    gain: Gain
    minutes: float
    because: str


@dataclass
class _Open:
    option: Option
    given: int = 0
    closed: str = ""
    spent: float = field(default=0.0)

    def next_block(self, least: float) -> int:
        """Return how many come next: a first block of 20, or as few as the curve needs; then five by five."""
        if self.given:
            return min(BLOCK_N, self.option.limit - self.given)
        whole = min(FEWEST_N, self.option.limit)
        return next((n for n in range(BLOCK_N, whole, BLOCK_N) if _flat(self.option, n, whole - n, least)), whole)


def share(options: Sequence[Option], *, minutes: float, least: float) -> tuple[list[Share], list[PlanSkip]]:
    """Share `minutes` among the options by their expected gain a minute, each next block worth less than the last.

    Gains have diminishing returns, so giving each next block to the best is best in all but the last block (greedy
    knapsack, Dantzig 1957). An option is closed when the upper end of what its next block brings is below `least`
    for 10 corrections, when it has 50 or no more starts, or when the next block does not fit what is left.

    Args:
        options: what could be collected.
        minutes: of a person, in all.
        least: points of success that 10 corrections must be able to bring (0.01 is one point).

    Returns:
        The shares, the best use of a minute first; and what is not spent on, and why.

    Raises:
        UsageError: no minutes, or an option whose corrections take none.
    """
    if not minutes > 0.0 or any(one.minutes <= 0.0 for option in options for one in option.origins):
        raise UsageError(f"{minutes:g} minutes cannot be shared", remedy="Give minutes above 0.")
    books = [_Open(one) for one in options]
    left = minutes
    for one in books:
        if not one.option.limit:
            one.closed = "no start known: nothing says where to begin"
    while any(not one.closed for one in books):
        bids = [(bid[0], -at, one, bid) for at, one in enumerate(books) if (bid := _bid(one, left, least)) is not None]
        if not bids:
            break
        _, _, best, (_, size, cost) = max(bids, key=lambda bid: bid[:2])
        best.given, best.spent, left = best.given + size, best.spent + cost, left - cost
        if best.given == best.option.limit:
            full = best.given == MOST_N
            best.closed = f"{MOST_N} is the most at once" if full else "there are no more starts"
    shares = [_share(one) for one in books if one.given]
    skipped = [PlanSkip(one.option.target, one.closed) for one in books if not one.given]
    return sorted(shares, key=lambda one: -one.gain.value / one.minutes), skipped


def _bid(one: _Open, left: float, least: float) -> tuple[float, int, float] | None:
    """Return (points a minute, size, minutes) of an option's next block; None, and closed, where there is none."""
    if one.closed:
        return None
    size = one.next_block(least)
    value, _, high = one.option.expected.gain(size, after=one.given)
    if value <= 0.0 or high * PER_N / size < least:
        one.closed = (
            f"saturated: {size} more bring {_points(*one.option.expected.gain(size, after=one.given))}, "
            f"and {PER_N} must be able to bring {100 * least:.1f}"
        )
        return None
    fits = next((n for n in range(size, 0, -1) if one.option.minutes(one.given, one.given + n) <= left), 0)
    if fits < min(size, BLOCK_N):
        cost = one.option.minutes(one.given, one.given + size)
        one.closed = (
            f"too expensive: {size} take {cost:.1f} minutes ({100 * value / cost:+.2f} points a minute), "
            f"and {left:.1f} are left"
        )
        return None
    value, _, _ = one.option.expected.gain(fits, after=one.given)
    cost = one.option.minutes(one.given, one.given + fits)
    return value / cost, fits, cost


def _share(one: _Open) -> Share:
    counts, left = [], one.given
    for origin in one.option.origins:
        counts.append(min(left, origin.available))
        left -= counts[-1]
    value, low, high = one.option.expected.gain(one.given)
    more = one.option.expected.gain(BLOCK_N, after=one.given)
    because = f"{BLOCK_N} more would bring {_points(*more)}"
    if one.closed:
        because += f"; {one.closed}"
    gain = Gain(one.given, round(value, 5), round(low, 5), round(high, 5))
    return Share(one.option, tuple(counts), gain, one.spent, because)


def _flat(option: Option, begin: int, count: int, least: float) -> bool:
    return option.expected.gain(count, after=begin)[2] * PER_N / count < least


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def persists(*, accepted: int, before: tuple[int, int], after: tuple[int, int], starts: tuple[int, int]) -> bool:
    """Say whether a mode goes on in spite of many corrections: it is as frequent as ever and its own starts still fail.

    Args:
        accepted: corrections of it that were accepted, all in one strategy.
        before: (failures, tries) before the first of them.
        after: the same, now.
        starts: (passed, tried) from the corrected starts under the policy of now.
    """
    from scipy import stats

    if accepted < STRATEGY_N or not before[1] or not after[1] or not starts[1]:
        return False
    table = [[before[0], before[1] - before[0]], [after[0], after[1] - after[0]]]
    rarer = float(stats.fisher_exact(table, alternative="greater").pvalue) < 0.05
    return not rarer and 2 * starts[0] < starts[1]


def kinds(parent: str, *, restorable: bool, persistent: bool) -> tuple[CorrectionKind, ...]:
    """Say what to ask for in a mode, the best kind first.

    - a mode that persists: the whole task in another way
    - what was wrong from the beginning (perception, unseen starts), or has no name: whole demonstrations
    - else, where a state can be restored: takeovers shortly before the failure; then recoveries out of tries that
      nearly failed so; a person at a real cell shows the whole task from the failing start
    """
    if persistent:
        return (CorrectionKind.STRATEGY,)
    if restorable and parent not in WHOLE_TASK:
        return CorrectionKind.TAKEOVER, CorrectionKind.RECOVERY, CorrectionKind.DEMONSTRATION
    return (CorrectionKind.DEMONSTRATION,)
