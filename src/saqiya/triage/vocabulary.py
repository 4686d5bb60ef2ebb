"""The words for failures: four coarse ones and finer words below them, versioned, so that counts can be compared.

After the taxonomies of AHA (Duan et al. 2024) and REFLECT (Liu et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

from saqiya.errors import UsageError

__all__ = ["COARSE", "UNNAMED", "VERSION", "WORDS", "Word", "word"]

VERSION = "1"


@dataclass(frozen=True)
class Word:
    """A word for a failure: what it means, the coarser word above it, and how bad one is beside a plain failure."""

    name: str
    parent: str
    meaning: str
    severity: float = 1.0


UNNAMED = "unnamed"
COARSE = ("grasp_failure", "pose_error", "recovery_failure", "generalization_failure")

_WORDS = (
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
    Word("collision", "recovery_failure", "the robot hit what it must not touch", severity=2.0),
    Word("force_limit", "recovery_failure", "a force limit ended the try", severity=2.0),
    Word("generalization_failure", "generalization_failure", "the situation lies outside what training covers"),
    Word("unseen_start", "generalization_failure", "it began where no training episode began"),
    Word("wrong_object", "generalization_failure", "it acted on another object"),
    Word("wrong_action", "generalization_failure", "it did something else than the task"),
    Word("perception", "generalization_failure", "it acted as if things stood where they do not"),
    Word(UNNAMED, UNNAMED, "no rule fits: it waits for a person to name it"),
)
WORDS: dict[str, Word] = {entry.name: entry for entry in _WORDS}


def word(name: str) -> Word:
    """Return the vocabulary's entry for `name`.

    Raises:
        UsageError: there is no such word.
    """
    if name not in WORDS:
        raise UsageError(
            f"is not in the failure vocabulary, version {VERSION}", subject=name, remedy=f"Known: {', '.join(WORDS)}."
        )
    return WORDS[name]
