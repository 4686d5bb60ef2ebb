"""The words for failures: four coarse ones and finer words below them, versioned, so that counts can be compared.

After the taxonomies of AHA (Duan et al. 2024) and REFLECT (Liu et al. 2023). A workspace can add words of its own,
weigh words, and retire words, in its `vocabulary.toml`:

    [words.lid_not_found]
    parent = "grasp_failure"
    meaning = "the lid was never found under the cloth"
    severity = 1.5                  # optional; 1.0 is a plain failure

    [severity]
    collision = 5.0

    [retired]
    weak_grasp = "no_grasp"         # what was called weak_grasp counts as no_grasp from now on, in old turns too

The four coarse words are the same everywhere, and a built-in word never changes its meaning: so counts of one workspace
can be laid beside those of another.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from saqiya.domain.ids import digest_of
from saqiya.domain.toml import Where, line_of, name_of
from saqiya.errors import ConfigError, UsageError

__all__ = ["COARSE", "EDITION", "FILE_NAME", "UNNAMED", "Vocabulary", "Word", "built_in", "parse", "read_vocabulary"]

FILE_NAME = "vocabulary.toml"
EDITION = "2"
"""Goes up when a built-in word is added or a rule gives other labels; a test holds words and edition together."""
COARSE = ("grasp_failure", "pose_error", "recovery_failure", "generalization_failure")
UNNAMED = "unnamed"
WAITING = "unknown-"
"""Begins the label of a cluster that waits for a person's name."""
NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Word:
    """A word for a failure: what it means, the coarser word above it, and how bad one is beside a plain failure."""

    name: str
    parent: str
    meaning: str
    severity: float = 1.0


_BUILT_IN = (
    Word("grasp_failure", "grasp_failure", "the object was not held as it must be"),
    Word("no_grasp", "grasp_failure", "the object was never held"),
    Word("weak_grasp", "grasp_failure", "the object was touched or held, but never moved on"),
    Word("slip", "grasp_failure", "the object was held and lost"),
    Word("pose_error", "pose_error", "the object was moved, but not to where it belongs"),
    Word("translation", "pose_error", "it ended in the wrong place"),
    Word("rotation", "pose_error", "it ended at the wrong angle"),
    Word("recovery_failure", "recovery_failure", "something went wrong and was not put right"),
    Word("failed_retry", "recovery_failure", "the object was lost, taken again, and the try still failed"),
    Word("stall", "recovery_failure", "the robot stopped getting on"),
    Word("timeout", "recovery_failure", "time ran out while it was still getting on"),
    Word("actuation", "recovery_failure", "the robot did not do what it was told to do", severity=2.0),
    Word("dropout", "recovery_failure", "a stream that it acted by fell silent", severity=2.0),
    Word("collision", "recovery_failure", "the robot hit what it must not touch", severity=2.0),
    Word("force_limit", "recovery_failure", "a force limit ended the try", severity=2.0),
    Word("generalization_failure", "generalization_failure", "the situation lies outside what training covers"),
    Word("unseen_start", "generalization_failure", "it began where no training episode began"),
    Word("wrong_object", "generalization_failure", "it acted on another object"),
    Word("wrong_action", "generalization_failure", "it did something else than the task"),
    Word("perception", "generalization_failure", "it acted as if things stood where they do not"),
    Word(UNNAMED, UNNAMED, "no rule fits: it waits for a person to name it"),
)


@dataclass(frozen=True)
class Vocabulary:
    """The words that are in use, and what became of those that are not.

    Attributes:
        words: every word that was ever in use, by name.
        retired: a retired word's successor.
    """

    words: Mapping[str, Word]
    retired: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The edition of the built-in words; with words or retirements of one's own, their digest behind it.

        Equal versions count alike. Severity is left out: it moves priorities, whose factors are shown, and no count.
        """
        own = [(one.name, one.parent, one.meaning) for one in self.words.values() if one.name not in _NAMES]
        if not own and not self.retired:
            return EDITION
        return f"{EDITION}+{digest_of(json.dumps([sorted(own), sorted(self.retired.items())]).encode())[:8]}"

    @property
    def current(self) -> tuple[Word, ...]:
        """The words in use, in order."""
        return tuple(one for name, one in self.words.items() if name not in self.retired)

    def resolve(self, label: str) -> str:
        """Return what a label is called now: itself, or what came after it when it was retired."""
        while label in self.retired:
            label = self.retired[label]
        return label

    def word(self, label: str) -> Word:
        """Return the entry for a label, old or new; a cluster that waits for a name is as bad as what is unnamed.

        Raises:
            UsageError: there is no such word.
        """
        found = self.words.get(self.resolve(label))
        if found is not None:
            return found
        if label.startswith(WAITING):
            return Word(label, UNNAMED, self.words[UNNAMED].meaning, self.words[UNNAMED].severity)
        raise UsageError(
            f"is not in the failure vocabulary, version {self.version}",
            subject=label,
            remedy=f"Add it to {FILE_NAME}, or use one of {', '.join(one.name for one in self.current)}.",
        )


_NAMES = frozenset(one.name for one in _BUILT_IN)


def built_in() -> Vocabulary:
    """Return the words that every workspace has."""
    return Vocabulary({one.name: one for one in _BUILT_IN})


def read_vocabulary(path: Path) -> Vocabulary:
    """Read a workspace's `vocabulary.toml`; where there is none, the built-in words are all.

    Raises:
        ConfigError: it cannot be read, or says something that cannot be: file, line and key are named.
    """
    if not path.exists():
        return built_in()
    try:
        return parse(path.read_text(encoding="utf-8-sig"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", subject=str(path), remedy="Save it as UTF-8 text.") from error


def parse(text: str, path: Path) -> Vocabulary:
    """Return the built-in words with what `text` adds, weighs and retires; `path` names it in errors.

    Raises:
        ConfigError: see `read_vocabulary`.
    """
    try:
        raw = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"is not TOML: {error}", subject=str(path), remedy="Correct that line.") from error
    reader = _Reader(text, path)
    for key in raw:
        reader.demand(
            key in {"words", "severity", "retired"}, (key,), "unknown section; known: words, severity, retired"
        )
    words = dict(built_in().words)
    for name, entry in reader.table(raw, "words").items():
        words[name] = reader.word(name, entry)
    for name, severity in reader.table(raw, "severity").items():
        where = ("severity", name)
        reader.demand(name in words, where, "there is no such word")
        reader.demand(name in _NAMES, where, "is a word of this file: say how bad it is in its own section")
        words[name] = Word(name, words[name].parent, words[name].meaning, reader.severity(severity, where))
    retired = reader.table(raw, "retired")
    for name, successor in retired.items():
        reader.retirement(name, successor, words, retired)
    return Vocabulary(words, retired)


@dataclass(frozen=True)
class _Reader:
    text: str
    path: Path

    def table(self, raw: Mapping[str, Any], key: str) -> dict[str, Any]:
        value = raw.get(key, {})
        self.demand(isinstance(value, dict), (key,), "must be a section")
        return dict(value)

    def word(self, name: str, entry: Any) -> Word:  # noqa: ANN401 - TOML is anything until it is checked
        where = ("words", name)
        self.demand(
            name not in _NAMES, where, "is built in and keeps its meaning; weigh it in [severity], or retire it"
        )
        self.demand(NAME.fullmatch(name) is not None, where, "a word is small letters, digits and _, a letter first")
        self.demand(isinstance(entry, dict), where, "must be a section with parent and meaning")
        for key in entry:
            known = ("parent", "meaning", "severity")
            self.demand(key in known, (*where, key), f"unknown key; known: {', '.join(known)}")
        self.demand(
            entry.get("parent") in COARSE,
            (*where, "parent"),
            f"must be one of {', '.join(COARSE)}, which are the same everywhere",
        )
        meaning = entry.get("meaning")
        self.demand(
            isinstance(meaning, str) and bool(meaning.strip()), (*where, "meaning"), "must say what the word means"
        )
        severity = self.severity(entry.get("severity", 1.0), (*where, "severity"))
        return Word(name, entry["parent"], entry["meaning"], severity)

    def severity(self, value: Any, where: Where) -> float:  # noqa: ANN401
        number = isinstance(value, int | float) and not isinstance(value, bool)
        self.demand(
            number and math.isfinite(value) and value > 0, where, "must be a number above 0; a plain failure has 1.0"
        )
        return float(value)

    def retirement(
        self,
        name: str,
        successor: object,
        words: Mapping[str, Word],
        retired: Mapping[str, Any],
    ) -> None:
        where = ("retired", name)
        self.demand(name in words, where, "there is no such word; keep the section of a word that you retire")
        self.demand(name not in {*COARSE, UNNAMED}, where, "the coarse words and unnamed stay")
        self.demand(
            isinstance(successor, str) and successor in words, where, f"its successor {successor!r} is not a word"
        )
        seen = [name]
        while seen[-1] in retired:
            after = retired[seen[-1]]
            self.demand(after not in seen, where, f"goes round in a circle: {' -> '.join([*seen, str(after)])}")
            seen.append(after)

    def demand(self, holds: bool, where: Where, what: str) -> None:  # noqa: FBT001 - a condition
        if not holds:
            subject = f"{self.path}:{line_of(self.text, where)}"
            raise ConfigError(f"{name_of(where)}: {what}", subject=subject, remedy="Correct that line.")
