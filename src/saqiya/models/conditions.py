"""What a try was done with, where, by whom and how: its named factors, as a log, a rule or a person tells them.

A person's word counts before a rule's, a rule's before the log's own. What the streams merely suggest never counts as
said. Several stages read factors: coverage, the plan, and the slices of failures.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import product
from operator import attrgetter

from saqiya.domain.nouns import Episode, FactorClaim
from saqiya.domain.streams import JsonValue, Start

__all__ = [
    "STRATEGIES",
    "STRATEGY",
    "STRATEGY_FACTORS",
    "SUGGESTED",
    "By",
    "FactorRules",
    "Grid",
    "Rule",
    "Said",
    "Strategy",
    "conditions_of",
    "field_of",
    "grids_of",
    "said_of",
]

SUGGESTED = "suggested: "
"""Begins the author of a claim that nobody made: what streams or an instruction's words hint at."""
FEW_LEVELS_N = 4
"""Numbers with so few values are names (stations, plates), not places."""
MOST_CELLS_N = 27
CUTS_N = 3
AXIS = re.compile(r"(.+)_([xyz])")
STRATEGY = "strategy"
STRATEGY_FACTORS = (STRATEGY, "arms", "regrasp")
"""How a task was done has three sides that go together freely: one scoops with two arms, after a regrasp."""


class By(StrEnum):
    """Who says that a factor has a value."""

    PERSON = "person"
    RULE = "rule"
    LOG = "log"
    SUGGESTED = "suggested"
    UNREAD = "unread"  # the log says it, and it is no word of the list


@dataclass(frozen=True)
class Said:
    """A factor's value, who says so, and where: a name, "factors.toml:12", a field of the log."""

    value: str
    by: By
    where: str = ""


@dataclass(frozen=True)
class Strategy:
    """A word for how a task is done; `factor` is the side of it that the word belongs to."""

    word: str
    factor: str
    meaning: str


STRATEGIES: Mapping[str, Strategy] = {
    one.word: one
    for one in (
        Strategy("pinch", STRATEGY, "held between fingers"),
        Strategy("scoop", STRATEGY, "lifted from below, without closing on it"),
        Strategy("push", STRATEGY, "moved ahead of the hand, without holding it"),
        Strategy("pull", STRATEGY, "moved after the hand, without holding it"),
        Strategy("one arm", "arms", "one arm moves"),
        Strategy("two arms", "arms", "both arms move"),
        Strategy("regrasp", "regrasp", "let go and taken again, in one try"),
        Strategy("one grasp", "regrasp", "taken once"),
    )
}


@dataclass(frozen=True)
class Rule:
    """Reads one factor off one field of the log.

    Attributes:
        field: see `field_of`.
        pattern: must be found in the field's text; None where any text, or a number of `span`, will do.
        span: half-open range of numbers.
        value: what it means; "" for the pattern's first group, or the text itself.
        where: file and line, or the field's name.
    """

    factor: str
    field: str
    pattern: re.Pattern[str] | None = None
    span: tuple[float, float] | None = None
    value: str = ""
    by: By = By.RULE
    where: str = ""

    def value_of(self, told: JsonValue) -> str | None:
        """Return the factor's value where the rule fits what the field says."""
        if self.span is not None:
            number = _number(told)
            return self.value if number is not None and self.span[0] <= number < self.span[1] else None
        text = _text(told)
        if self.pattern is None:
            return (self.value or text) if text else None
        found = self.pattern.search(text) if text else None
        if found is None:
            return None
        return self.value or " ".join((found[1] if found.re.groups else found[0] or "").split()) or None


@dataclass(frozen=True)
class Grid:
    """Names regions of start factors: each range is cut into `cuts` equal parts, what lies outside has its own words.

    Attributes:
        ranges: (low, high) by start factor.
        declared: the ranges were told, and not only the span of what was seen.
    """

    ranges: Mapping[str, tuple[float, float]]
    cuts: int = CUTS_N
    declared: bool = True

    def value_of(self, start: Start) -> str | None:
        """Return the region that a start lies in; None where it lacks a factor."""
        places = {name: _number(start.factors.get(name)) for name in self.ranges}
        words = [self._part(name, place) for name, place in places.items() if place is not None]
        return self._joined(words) if len(words) == len(self.ranges) else None

    @property
    def values(self) -> tuple[str, ...]:
        """Every region inside the ranges."""
        parts = [[self._between(name, at) for at in range(self.cuts)] for name in self.ranges]
        return tuple(self._joined(words) for words in product(*parts))

    def parts(self, value: str) -> dict[str, str]:
        """Return a region as a range of each start factor: {"object_x": "0.1..0.2", "object_y": "0.3..inf"}."""
        words = value.split(", ") if len(self.ranges) > 1 else [f"{next(iter(self.ranges))} {value}"]
        told = {name: word.split(" ", 1)[1] for name, word in zip(self.ranges, words, strict=True)}
        return {name: _as_range(word) for name, word in told.items()}

    def _joined(self, words: Sequence[str]) -> str:
        if len(words) == 1:
            return words[0]
        axes = [AXIS.fullmatch(name) for name in self.ranges]
        stems = {axis[1] if axis else "" for axis in axes}
        short = [axis[2] for axis in axes if axis] if len(stems) == 1 and "" not in stems else list(self.ranges)
        return ", ".join(f"{name} {word}" for name, word in zip(short, words, strict=True))

    def _part(self, name: str, place: float) -> str:
        low, high = self.ranges[name]
        if place < low:
            return f"under {self._told(name, low)}"
        if place > high:
            return f"over {self._told(name, high)}"
        return self._between(name, min(self.cuts - 1, int((place - low) / (high - low) * self.cuts)))

    def _between(self, name: str, at: int) -> str:
        low, high = self.ranges[name]
        edges = [low + (high - low) * (at + step) / self.cuts for step in (0, 1)]
        return "..".join(self._told(name, edge) for edge in edges)

    def _told(self, name: str, edge: float) -> str:
        """Write an edge to a hundredth of a region's width, more or less."""
        low, high = self.ranges[name]
        digits = max(0, 2 - math.floor(math.log10((high - low) / self.cuts)))
        return f"{round(edge, digits) + 0.0:.{digits}f}"


def _as_range(word: str) -> str:
    side, _, edge = word.partition(" ")
    return {"under": f"-inf..{edge}", "over": f"{edge}..inf"}.get(side, word)


_SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "task": ("task",),
    "embodiment": ("embodiment",),
    "site": ("site",),
    "operator": ("operator",),
    "object": ("object", "obj", "object_name", "obj_name", "item", "target_object"),
    "environment": ("environment", "env_name", "env", "scene", "scene_name", "background", "room"),
    "lighting": ("lighting", "light", "illumination"),
    STRATEGY: (STRATEGY, "technique", "grasp_type"),
    "arms": ("arms",),
    "regrasp": ("regrasp",),
    "station": ("station",),
    "surface": ("surface",),
    "robot": ("robot",),
    "shift": ("shift",),
    "instruction": ("instruction", "language_instruction"),
}
"""What logs call the factors that everybody has; a factors.toml names others."""
_FROM_LOG = tuple(
    Rule(factor, "extra.instruction" if name == "instruction" else name, by=By.LOG, where=name)
    for factor, names in _SYNONYMS.items()
    for name in names
)
_RENAMED = {name: factor for factor, names in _SYNONYMS.items() for name in names}


@dataclass(frozen=True)
class FactorRules:
    """What a workspace's `factors.toml` says, on top of what every log can say itself.

    Attributes:
        rules: in their order; of one factor the first that fits counts.
        values: values that a factor should have been shown with, whether or not a log has them.
        meanings: what a factor is, in words.
        grids: regions of start factors, by the factor they make.
        impossible: pairs of values that cannot be, each {factor: value}.
        strategies: the words for how a task is done.
    """

    rules: tuple[Rule, ...] = ()
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    meanings: Mapping[str, str] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)
    impossible: tuple[Mapping[str, str], ...] = ()
    strategies: Mapping[str, Strategy] = field(default_factory=lambda: STRATEGIES)


def field_of(episode: Episode, name: str, *, file: str = "") -> JsonValue:
    """Return what a field of an episode says; None where there is no such field.

    `task`, `embodiment`, `site`, `operator`, `source`, `policy`, `episode` (its name in its file), `file`, and
    `instruction` (task and all that the log calls an instruction); else a start factor (`start.` may stand before it),
    else a fact of the log, with dots into nested ones.
    """
    return _reader(name)(episode, file)


@cache
def _reader(name: str) -> Callable[[Episode, str], JsonValue]:
    """Return what reads a field: many tries are read by the same few rules, so names are taken apart once."""
    if name == "instruction":
        return lambda episode, _: _instruction(episode)
    if name == "file":
        return lambda _, file: file
    if name in _ATTRIBUTES:
        attribute = attrgetter(_ATTRIBUTES[name])
        return lambda episode, _: str(attribute(episode))
    bare, parts = name.removeprefix("start."), name.removeprefix("extra.").split(".")

    def read(episode: Episode, _: str) -> JsonValue:
        if episode.start is not None and bare in episode.start.factors:
            return episode.start.factors[bare]
        held: JsonValue = episode.extra
        for part in parts:
            held = held.get(part) if isinstance(held, dict) else None
        return held

    return read


def _instruction(episode: Episode) -> str:
    said = [episode.task, *(str(episode.extra.get(one, "")) for one in _INSTRUCTIONS)]
    return " | ".join(dict.fromkeys(text for text in said if text))


_ATTRIBUTES = {
    "task": "task", "embodiment": "embodiment", "site": "site", "operator": "operator", "source": "source",
    "policy": "policy_name", "episode": "key_in_recording",
}  # fmt: skip
_INSTRUCTIONS = ("instruction", "language_instruction", "instructions", "prompt", "language")


def grids_of(rules: FactorRules, ranges: Mapping[str, tuple[float, float]], starts: Iterable[Start]) -> dict[str, Grid]:
    """Return the regions that starts are told by: those of the file, and thirds of every other numeric start factor.

    `object_x` and `object_y` make one factor, "object region". A range that nobody declared is the span of the starts.
    A number with four values or fewer, and no declared range, is a name.
    """
    seen: dict[str, set[float]] = {}
    words: set[str] = set()
    for start in starts:
        for name, value in start.factors.items():
            number = None if isinstance(value, str) else _number(value)
            seen.setdefault(name, set()).add(number) if number is not None else words.add(name)
    spans = {name: (min(some), max(some)) for name, some in seen.items() if len(some) > FEW_LEVELS_N}
    known = {**spans, **{name: span for name, span in ranges.items() if span[1] > span[0]}}
    made = {
        factor: Grid({one: known.get(one, span) if math.isnan(span[0]) else span for one, span in grid.ranges.items()},
                     grid.cuts, grid.declared)
        for factor, grid in rules.grids.items()
    }  # fmt: skip
    made = {name: grid for name, grid in made.items() if not any(math.isnan(low) for low, _ in grid.ranges.values())}
    taken = {name for grid in made.values() for name in grid.ranges}
    taken |= {rule.field.removeprefix("start.") for rule in rules.rules}
    groups: dict[str, dict[str, tuple[float, float]]] = {}
    for name in sorted(set(known) & set(seen) - words - taken):
        axis = AXIS.fullmatch(name)
        groups.setdefault(axis[1] if axis else name, {})[name] = known[name]
    for group, spans in groups.items():
        whole = len(spans) > 1 and CUTS_N ** len(spans) <= MOST_CELLS_N
        for factor, parts in [(f"{group} region", spans)] if whole else [(name, {name: spans[name]}) for name in spans]:
            made[factor] = Grid(parts, CUTS_N, all(name in ranges for name in parts))
    return made


def said_of(
    episode: Episode,
    rules: FactorRules,
    grids: Mapping[str, Grid],
    *,
    claims: Iterable[FactorClaim] = (),
    file: str = "",
) -> dict[str, Said]:
    """Return every factor that something is known of.

    Args:
        episode: the try.
        rules: of the workspace.
        grids: regions of starts, see `grids_of`.
        claims: about this episode, in the order they were made; the newest of a factor counts, and one with value ""
            takes back what was said before.
        file: where its log lay.
    """
    said: dict[str, Said] = {}
    for rule in (*rules.rules, *_FROM_LOG):
        if rule.factor not in said:
            held = field_of(episode, rule.field, file=file)
            value = None if held is None else rule.value_of(held)
            if value is not None:
                _take(said, rule.factor, Said(value, rule.by, rule.where), rules)
    if episode.start is not None:
        placed = {name for grid in grids.values() for name in grid.ranges}
        for factor, grid in grids.items():
            region = grid.value_of(episode.start)
            if region is not None:
                said.setdefault(factor, Said(region, By.LOG, "start"))
        for name, told in episode.start.factors.items():
            text = _text(told)
            if name not in placed and text:
                said.setdefault(_RENAMED.get(name, name), Said(text, By.LOG, f"start.{name}"))
    return said | _claimed(claims, said)


def _claimed(claims: Iterable[FactorClaim], said: Mapping[str, Said]) -> dict[str, Said]:
    people: dict[str, Said] = {}
    hints: dict[str, Said] = {}
    for claim in claims:
        hint = claim.author.startswith(SUGGESTED)
        kept = hints if hint else people
        if not claim.value:
            kept.pop(claim.factor, None)
        elif hint:
            kept[claim.factor] = Said(claim.value, By.SUGGESTED, claim.author.removeprefix(SUGGESTED))
        else:
            kept[claim.factor] = Said(claim.value, By.PERSON, claim.author)
    known = {factor for factor, one in said.items() if one.by is not By.UNREAD}
    return {factor: one for factor, one in hints.items() if factor not in known} | people


def _take(said: dict[str, Said], factor: str, told: Said, rules: FactorRules) -> None:
    """Keep a value; what is said of the strategy is split into its sides, by the words of the list."""
    if factor not in STRATEGY_FACTORS:
        said[factor] = told
        return
    for part in re.split(r"[,;+/|]", told.value):
        text = " ".join(re.sub(r"[_-]", " ", part).lower().split())
        word = rules.strategies.get(text)
        if word is not None:
            said.setdefault(word.factor, Said(word.word, told.by, told.where))
        elif text:
            said.setdefault(factor, Said(text, By.UNREAD, told.where))


def conditions_of(episode: Episode, said: Mapping[str, Said], grids: Mapping[str, Grid]) -> dict[str, str | float]:
    """Return the conditions under which a try began: its factors, start numbers as they are, and who acted.

    Nothing that was measured during or after the try is among them, so how it was done (the strategy) is not.
    """
    left_out = {*STRATEGY_FACTORS, *grids}
    named = {
        factor: one.value
        for factor, one in said.items()
        if factor not in left_out and one.by not in {By.SUGGESTED, By.UNREAD}
    }
    start = episode.start.factors if episode.start is not None else {}
    numbers = {name: value for name, value in start.items() if not isinstance(value, str)}
    policy = {"policy": episode.policy_name} if episode.policy_name else {}
    return {**named, **numbers, **policy}


def _number(told: object) -> float | None:
    if isinstance(told, bool) or not isinstance(told, str | int | float):
        return None
    try:
        number = float(told)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(told: JsonValue) -> str:
    """Return what a field says as one line; lists of words are joined, anything nested says nothing."""
    if isinstance(told, bool):
        return "yes" if told else "no"
    if isinstance(told, int | float):
        return f"{told:g}" if math.isfinite(told) else ""
    if isinstance(told, list):
        return ", ".join(filter(None, (_text(one) for one in told if not isinstance(one, list | dict))))
    return " ".join(told.split()) if isinstance(told, str) else ""
