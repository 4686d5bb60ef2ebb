r"""A workspace's `factors.toml`: where its factors are read, what ought to be shown, and what cannot be.

[factors.object]                # optional; any factor may be told of
meaning = "what is handled"
values = ["pear", "melon"]      # ought to be shown; never shown where no log has it

[[rule]]                        # the first that fits counts; a person's word counts before any rule
factor = "object"
field = "instruction"           # task, site, operator, file, start.x, or any fact of the log: "env_info.kind"
regex = 'pick the (.+?) from'   # one of: word, glob, regex, range; without any, the field's text is the value
                                # value = "..." says what it means; else the group, or the text itself
[[rule]]
factor = "lighting"
field = "lux"
range = [0, 50]                 # half-open
value = "dark"

[region."pose region"]          # start factors become regions; without this, thirds of each range
object_x = [-0.1, 0.1]          # or [], for the site's range or the span of what was seen
object_y = [0.6, 0.7]
cuts = 3

[strategies.suction]            # a word of your own for how a task is done
meaning = "held by a vacuum cup"
factor = "strategy"             # or arms, regrasp

[[impossible]]                  # a pair that cannot be, and is not missed
object = "melon"
strategy = "pinch"
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any

from saqiya.domain.toml import Where, line_of, name_of
from saqiya.errors import ConfigError
from saqiya.models.conditions import (
    CUTS_N,
    MOST_CELLS_N,
    STRATEGIES,
    STRATEGY,
    STRATEGY_FACTORS,
    By,
    FactorRules,
    Grid,
    Rule,
    Strategy,
)

__all__ = ["FILE_NAME", "parse_rules", "read_rules"]

FILE_NAME = "factors.toml"
TESTS = ("word", "glob", "regex", "range")
SECTIONS = ("factors", "rule", "region", "strategies", "impossible")
UNTOLD = (math.nan, math.nan)


def read_rules(path: Path) -> FactorRules:
    """Read a workspace's `factors.toml`; where there is none, logs speak for themselves.

    Raises:
        ConfigError: it cannot be read, or says something that cannot be: file, line and key are named.
    """
    if not path.exists():
        return FactorRules()
    try:
        return parse_rules(path.read_text(encoding="utf-8-sig"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", subject=str(path), remedy="Save it as UTF-8 text.") from error


def parse_rules(text: str, path: Path) -> FactorRules:
    """Return the rules that `text` holds; `path` names it in errors.

    Raises:
        ConfigError: see `read_rules`.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error
    reader = _Reader(text, path)
    reader.known(raw, SECTIONS, ())
    words = dict(STRATEGIES)
    for name, entry in reader.table(raw, "strategies").items():
        words[name] = reader.strategy(name, entry)
    factors = reader.table(raw, "factors")
    for name, entry in factors.items():
        reader.factor(name, entry, words)
    rules = tuple(reader.rule(at, entry, words) for at, entry in enumerate(reader.array(raw, "rule")))
    return FactorRules(
        rules=rules,
        values={name: tuple(entry["values"]) for name, entry in factors.items() if entry.get("values")},
        meanings={name: entry["meaning"] for name, entry in factors.items() if "meaning" in entry},
        grids={name: reader.grid(name, entry) for name, entry in reader.table(raw, "region").items()},
        impossible=tuple(reader.impossible(at, one) for at, one in enumerate(reader.array(raw, "impossible"))),
        strategies=words,
    )


@dataclass(frozen=True)
class _Reader:
    text: str
    path: Path

    def table(self, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = raw.get(key, {})
        self.demand(isinstance(value, dict), (key,), "must be a section")
        for name, entry in value.items():
            self.demand(isinstance(entry, dict), (key, name), "must be a section")
        return dict(value)

    def array(self, raw: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
        value = raw.get(key, [])
        self.demand(
            isinstance(value, list) and all(isinstance(one, dict) for one in value),
            (key,),
            f"must be sections that begin with [[{key}]]",
        )
        return list(value)

    def known(self, entry: Iterable[str], keys: Iterable[str], where: Where) -> None:
        for key in entry:
            self.demand(key in keys, (*where, key), f"unknown; known: {', '.join(keys)}")

    def strategy(self, name: str, entry: dict[str, Any]) -> Strategy:
        where = ("strategies", name)
        self.known(entry, ("meaning", "factor"), where)
        self.demand(name not in STRATEGIES, where, "is built in and keeps its meaning")
        self.demand(name == " ".join(name.lower().split()) != "", where, "a word is small letters")
        self.demand(not re.search(r"[,;+/|_-]", name), where, "a word has no , ; + / | _ or - in it")
        meaning, factor = entry.get("meaning"), entry.get("factor", STRATEGY)
        self.demand(isinstance(meaning, str) and bool(meaning), (*where, "meaning"), "must say what the word means")
        self.demand(factor in STRATEGY_FACTORS, (*where, "factor"), f"must be one of {', '.join(STRATEGY_FACTORS)}")
        return Strategy(name, factor, str(meaning))

    def factor(self, name: str, entry: dict[str, Any], words: Mapping[str, Strategy]) -> None:
        where = ("factors", name)
        self.known(entry, ("meaning", "values"), where)
        self.demand(isinstance(entry.get("meaning", ""), str), (*where, "meaning"), "must be text")
        values = entry.get("values", [])
        listed = isinstance(values, list) and all(isinstance(one, str) and one.strip() for one in values)
        self.demand(listed, (*where, "values"), "must be a list of words")
        self.demand(len({one.casefold() for one in values}) == len(values), (*where, "values"), "says a word twice")
        for value in values if name in STRATEGY_FACTORS else ():
            self.word(name, value, words, (*where, "values"))

    def word(self, factor: str, value: str, words: Mapping[str, Strategy], where: Where) -> None:
        known = [one.word for one in words.values() if factor in {STRATEGY, one.factor}]
        self.demand(value in known, where, f"{value!r} is no word for it; known: {', '.join(known)}")

    def rule(self, at: int, entry: dict[str, Any], words: Mapping[str, Strategy]) -> Rule:
        where = ("rule", at)
        self.known(entry, ("factor", "field", "value", *TESTS), where)
        for key in ("factor", "field"):
            held = isinstance(entry.get(key), str) and bool(entry[key].strip())
            self.demand(held, (*where, key), f"a rule names its {key}")
        tests = [key for key in TESTS if key in entry]
        self.demand(len(tests) < 2, (*where, tests[-1] if tests else "field"), "a rule has one test")
        value = entry.get("value", "")
        self.demand(isinstance(value, str) and (bool(value) or "value" not in entry), (*where, "value"), "must be text")
        if value and entry["factor"] in STRATEGY_FACTORS:
            self.word(entry["factor"], value, words, (*where, "value"))
        pattern, span = None, None
        if "range" in entry:
            span = self.span(entry["range"], (*where, "range"))
            self.demand(bool(value), (*where, "range"), "a range needs a value: what such numbers are called")
        elif tests:
            pattern = self.pattern(tests[0], entry[tests[0]], (*where, tests[0]))
        place = f"{self.path.name}:{line_of(self.text, where)}"
        return Rule(entry["factor"], entry["field"], pattern, span, value, By.RULE, place)

    def pattern(self, kind: str, text: Any, where: Where) -> re.Pattern[str]:  # noqa: ANN401 - TOML
        self.demand(isinstance(text, str) and bool(text), where, "must be text")
        said = {"word": rf"(?<!\w){re.escape(text)}(?!\w)", "glob": translate(text), "regex": text}[kind]
        try:
            return re.compile(said, re.IGNORECASE)
        except re.error as error:
            self.demand(False, where, f"is no regular expression: {error}")
            raise

    def span(self, value: Any, where: Where) -> tuple[float, float]:  # noqa: ANN401 - TOML
        pair = isinstance(value, list) and len(value) == 2
        numbers = pair and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
        self.demand(numbers and value[0] < value[1], where, "must be [low, high], low below high")
        return float(value[0]), float(value[1])

    def grid(self, name: str, entry: dict[str, Any]) -> Grid:
        where = ("region", name)
        cuts = entry.get("cuts", CUTS_N)
        self.demand(isinstance(cuts, int) and 1 < cuts <= MOST_CELLS_N, (*where, "cuts"), "must be a number from 2 up")
        told = {key: value for key, value in entry.items() if key != "cuts"}
        self.demand(bool(told), where, "names no start factor")
        self.demand(cuts ** len(told) <= MOST_CELLS_N, where, f"makes more than {MOST_CELLS_N} regions")
        ranges = {key: UNTOLD if value == [] else self.span(value, (*where, key)) for key, value in told.items()}
        finite = all(math.isnan(low) or (math.isfinite(low) and math.isfinite(high)) for low, high in ranges.values())
        self.demand(finite, where, "its ranges must be finite")
        return Grid(ranges, cuts, declared=UNTOLD not in ranges.values())

    def impossible(self, at: int, entry: dict[str, Any]) -> dict[str, str]:
        words = all(isinstance(value, str) for value in entry.values())
        self.demand(len(entry) == 2 and words, ("impossible", at), "must be two factors, each with a value")
        return dict(entry)

    def demand(self, holds: object, where: Where, what: str) -> None:
        if not holds:
            subject = f"{self.path}:{line_of(self.text, where)}"
            raise ConfigError(f"{name_of(where)}: {what}", subject=subject, remedy="Correct that line.")
