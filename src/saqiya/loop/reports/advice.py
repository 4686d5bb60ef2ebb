"""What to collect next, from what the trials leave open; where they leave everything open, that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.detect.moments import Moments
from saqiya.evaluate.power import Comparison, Standing
from saqiya.triage.slices import Slice

__all__ = ["Advice", "advise"]

MOST_MOMENTS_N = 3
MOST_SLICES_N = 3
FEWEST_N = 10


@dataclass(frozen=True)
class Advice:
    """One thing to do, and the numbers that speak for it."""

    do: str
    because: str

    @property
    def sentence(self) -> str:
        """Return both in one line."""
        return f"{self.do} {self.because}"


def advise(
    *,
    versus: Sequence[tuple[str, Comparison]],
    moments: Mapping[str, Moments],
    slices: Mapping[str, Sequence[Slice]],
    lost_n: int,
    unnamed_n: int,
    silent: tuple[int, int],
) -> tuple[Advice, ...]:
    """List what to collect next: recoveries, conditions, trials, and what is missing between table and logs.

    `silent` is how many tries have no known outcome, of how many.
    """
    found: list[Advice] = []
    if silent[0] * 2 > silent[1]:
        found.append(
            Advice(
                "Write down how each try ended, one row a try, and give the table: --trials trials.csv.",
                f"{silent[0]} of {silent[1]} tries have no known outcome.",
            )
        )
    for task, result in moments.items():
        found += _from_moments(task, result)
    for task, conditions in slices.items():
        found += _from_slices(task, conditions)
    for task, told in versus:
        if told.standing is Standing.UNDECIDED and told.more_n is not None:
            found.append(Advice(f"Run about {_rounded(told.more_n)} more trials an arm{_on(task)}.", told.sentence))
    if lost_n or unnamed_n:
        found.append(
            Advice(
                "Find the missing logs and rows before you trust a rate.",
                f"{lost_n} rows name no log that is here, {unnamed_n} logs are named by no row; tries that crash the "
                "logger are often failures.",
            )
        )
    return tuple(found)


def _rounded(n: int) -> int:
    step = 5 if n <= 100 else 10
    return -(-n // step) * step


def _on(task: str) -> str:
    return f" on {task}" if task else ""


def _from_moments(task: str, result: Moments) -> list[Advice]:
    if not result.moments:
        return [
            Advice(
                f"Log more successes{_on(task)}.",
                f"{result.successes_n} are too few to say where {result.failures_n} failures first went wrong.",
            )
        ]
    places = Counter((moment.phase, moment.drivers[0][0] if moment.drivers else "") for moment in result.moments)
    found = []
    most = places.most_common(MOST_MOMENTS_N)
    for (phase, stream), count in [item for item in most if item[1] > 1] or most[:1]:
        where = f"in phase {phase}" if phase else "at the marked moment"
        times = sorted(m.look_s for m in result.moments if (m.phase, (*m.drivers, ("", 0))[0][0]) == (phase, stream))
        middle = times[len(times) // 2]
        doubt = (
            "" if result.gain is not None and result.gain[1] > 0.0 else " (read the warning beside the moments first)"
        )
        found.append(
            Advice(
                f"Demonstrate the recovery {where}, around {middle:.1f} s{_on(task)}.",
                f"{count} of {len(result.moments)} failures first look wrong there, in "
                f"{stream or 'no single stream'}{doubt}.",
            )
        )
    if result.threshold is None:
        found.append(
            Advice(
                f"Log more successes{_on(task)}.",
                f"{result.successes_n} give no threshold at {result.budget:.0%} budget.",
            )
        )
    return found


def _from_slices(task: str, conditions: Sequence[Slice]) -> list[Advice]:
    found = [
        Advice(
            f"Collect corrections where {item.condition}{_on(task)}.",
            f"{item.failures} of {item.trials} failed there, {item.rest[0]} of {item.rest[1]} elsewhere "
            f"(q = {item.q_value:.2g}).",
        )
        for item in conditions
        if item.stands_out
    ][:MOST_SLICES_N]
    if conditions and not found:
        thin = [item for item in conditions if item.trials < FEWEST_N][:MOST_SLICES_N]
        words = ", ".join(f"{item.condition} ({item.failures} of {item.trials} failed)" for item in thin)
        found.append(
            Advice(
                f"Not enough to say which condition fails more{_on(task)}."
                + (f" Least is known of: {words}." if words else ""),
                f"{len(conditions)} conditions looked at, none stands out at a false discovery rate of 10 %.",
            )
        )
    return found
