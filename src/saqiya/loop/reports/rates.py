"""Rates and comparisons of policies, from tries that have both a log and an outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from saqiya.domain.nouns import Outcome
from saqiya.evaluate.intervals import clopper_pearson
from saqiya.evaluate.power import Comparison, compare
from saqiya.ingest.trials import TrialRow

__all__ = ["NOBODY", "UNKNOWN_OUTCOME", "LogTry", "Rate", "Versus", "comparisons_of", "natural", "rates_of"]

NOBODY = "(no policy named)"
UNKNOWN_OUTCOME = "its outcome is not known"
MOST_POLICIES_N = 5


@dataclass(frozen=True)
class LogTry:
    """One try as the report counts it.

    Attributes:
        paths: every file it lies in; the same try in two formats has two.
        outcome: the word that counts, from `outcome_from` ("table", "log" or "" when nobody says).
        counted: it is part of a success rate; else `why_not` says why.
        claims: every outcome that was claimed, with who claims it.
        factors: conditions named by the table.
        clock: the clock of its streams, or what the log says of it where stamps are assumed.
        streams: names of what was measured.
    """

    key: str
    paths: tuple[str, ...]
    policy: str
    task: str
    criterion: str
    outcome: Outcome
    outcome_from: str
    counted: bool
    why_not: str
    claims: tuple[str, ...]
    factors: Mapping[str, str]
    length_s: float
    problems: tuple[str, ...]
    taken_over: bool
    day: str
    clock: str
    streams: tuple[str, ...]

    @property
    def failed(self) -> bool:
        """Say whether it counts as a failure: not a success, or one that an operator took over in."""
        return self.outcome is not Outcome.SUCCESS or self.taken_over


@dataclass(frozen=True)
class Rate:
    """Success of one policy on one task by one criterion, with the exact 95 % interval (Clopper and Pearson 1934).

    `aborts` and `taken_over` are counted as failures; `unknown` tries have no outcome and are not counted.
    `table_successes` of `table_trials` is the rate if the rows whose logs are missing counted too.
    """

    policy: str
    task: str
    criterion: str
    successes: int
    trials: int
    low: float
    high: float
    aborts: int
    taken_over: int
    unknown: int
    table_successes: int
    table_trials: int


@dataclass(frozen=True)
class Versus:
    """One policy against another on one task by one criterion."""

    task: str
    criterion: str
    first: str
    second: str
    comparison: Comparison

    @property
    def sentence(self) -> str:
        """Return the comparison with its task and criterion before it."""
        where = f"{self.task} ({self.criterion})" if self.task and self.criterion else self.task or self.criterion
        return f"{where}: {self.comparison.sentence}" if where else self.comparison.sentence


def rates_of(tries: Sequence[LogTry], lost: Sequence[tuple[TrialRow, str]]) -> tuple[Rate, ...]:
    """Count by policy, task and criterion: rates never pool across criteria."""
    tasks = {item.task for item in tries if item.task}
    only = next(iter(tasks)) if len(tasks) == 1 else ""
    keys = {(item.policy, item.task, item.criterion) for item in tries if item.counted}
    rates = []
    for policy, task, criterion in sorted(keys, key=lambda key: (key[1], key[2], natural(key[0]))):
        own = [item for item in tries if (item.policy, item.task, item.criterion) == (policy, task, criterion)]
        counted = [item for item in own if item.counted]
        successes = sum(not item.failed for item in counted)
        extra = [
            row.outcome
            for row, _ in lost
            if (row.fields.get("policy", NOBODY), row.fields.get("task", only), row.fields.get("criterion", ""))
            == (policy, task, criterion)
            and row.outcome is not Outcome.UNKNOWN
        ]
        interval = clopper_pearson(successes, len(counted))
        rates.append(
            Rate(
                policy=policy,
                task=task,
                criterion=criterion,
                successes=successes,
                trials=len(counted),
                low=interval.low,
                high=interval.high,
                aborts=sum(item.outcome is Outcome.ABORTED for item in counted),
                taken_over=sum(item.taken_over and item.outcome is Outcome.SUCCESS for item in counted),
                unknown=sum(item.why_not == UNKNOWN_OUTCOME for item in own),
                table_successes=successes + sum(outcome is Outcome.SUCCESS for outcome in extra),
                table_trials=len(counted) + len(extra),
            )
        )
    return tuple(rates)


def natural(text: str) -> list[tuple[int, int, str]]:
    """Sort "v9" before "v12"."""
    parts: list[tuple[int, int, str]] = []
    word = ""
    for sign in f"{text}\0":
        if word and sign.isdigit() != word[-1].isdigit():
            parts.append((0, int(word), "") if word.isdecimal() else (1, 0, word))
            word = ""
        word += sign
    return parts


def comparisons_of(rates: Sequence[Rate]) -> tuple[tuple[Versus, ...], list[str]]:
    """Compare the policies of each task and criterion, later names against earlier ones."""
    found, notes = [], []
    for task, criterion in dict.fromkeys((rate.task, rate.criterion) for rate in rates):
        arms = [rate for rate in rates if (rate.task, rate.criterion) == (task, criterion) and rate.policy != NOBODY]
        pairs = [(a, b) for number, b in enumerate(arms) for a in arms[:number]]
        if len(arms) > MOST_POLICIES_N:
            most = max(arms, key=lambda rate: rate.trials)
            pairs = [(most, rate) for rate in arms if rate is not most]
            notes.append(
                f"{task or 'The task'}: {len(arms)} policies, each compared with {most.policy} (most trials) only."
            )
        if len(pairs) > 1:
            notes.append(
                f"{task or 'The task'}: {len(pairs)} comparisons; p-values are not adjusted, so of twenty pairs of "
                "equals one would look decided."
            )
        for a, b in pairs:
            told = compare((a.successes, a.trials), (b.successes, b.trials), names=(a.policy, b.policy))
            found.append(Versus(task, criterion, a.policy, b.policy, told))
    return tuple(found), notes
