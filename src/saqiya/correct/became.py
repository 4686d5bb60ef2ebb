"""What became of an operator's corrections, in words that claim no more than the figures do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Became", "told"]

Counts = tuple[int, int]


@dataclass(frozen=True)
class Became:
    """One operator's corrections of one mode, and how the mode fared.

    Attributes:
        before: (failures of the mode, tries) of the deployment that they answered.
        after: the same of the newest deployment of a policy that learned from them; None: there is none yet.
        change: (value, low, high) of the failure rate, after minus before, 95 %; None without `after`.
        starts: (passed, tried) from the corrected starts under the newest policy that learned from them.
        others: the same from failing starts that nobody corrected, under the same policy: what chance alone fixes.
        policy: key of that policy; "" before.
        said: one sentence.
    """

    operator: str
    mode: str
    given: int
    accepted: int
    human_steps: int
    takeovers: int
    before: Counts
    after: Counts | None
    change: tuple[float, float, float] | None
    starts: Counts
    others: Counts
    policy: str
    said: str


def told(
    *,
    accepted: int,
    held: bool,
    after: Counts | None,
    change: tuple[float, float, float] | None,
    starts: Counts,
    declared: bool,
) -> str:
    """Say in one sentence what became of corrections.

    Args:
        accepted: of those given.
        held: a policy learned from them, and was never deployed.
        after: (failures of the mode, tries) under the newest policy that learned from them; None: there is none yet.
        change: (value, low, high) of the failure rate, after minus before.
        starts: (passed, tried) from the corrected starts under that policy.
        declared: what the newer policy was trained on is known.
    """
    if not accepted:
        return "none was accepted, so nothing was trained on"
    if held:
        return "trained on; the gate has not let that policy through"
    if after is None or change is None:
        return "not yet trained on" if declared else "no later policy has been deployed yet"
    low, high = change[1:]
    if high < 0.0:
        said = "the mode became rarer"
    elif low > 0.0:
        said = "the mode became more frequent"
    else:
        said = "no change that the interval can tell from zero"
    if starts[1]:
        said += f"; {starts[0]} of {starts[1]} tries from the corrected starts pass now"
    return said if declared else f"{said}; what the newer policy was trained on is not declared"
