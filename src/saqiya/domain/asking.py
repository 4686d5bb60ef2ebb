"""When a person is asked into one try, as plain numbers: what a roll carries to whoever drives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["HANDBACK_STEPS", "LAST_STEPS", "MOST_TAKEOVERS", "Ask", "Hands"]

LAST_STEPS = 10
"""Nobody takes over in the last steps of a try: what is left there is the wreck, not the mistake."""
HANDBACK_STEPS = 5
"""Person and policy must agree for so many steps in a row before control goes back."""
MOST_TAKEOVERS = 3
"""Whoever has been asked so often in one try stays to its end: each switch costs, and a try must end."""


@dataclass(frozen=True)
class Ask:
    """When a person is asked to take over, and when the policy has control again.

    Attributes:
        enter: a score above it asks.
        leave: the score must be below it to hand back; never above `enter`.
        agree: so little apart are a person's action and the policy's when they agree, float share of half the range of
            an action, root mean square over its dimensions. 0: the person stays to the end.
        at_step: the control step of a random takeover, which no score decides; the gate only watches such a try.
        rewind_steps: where the site can restore a state, the person begins so many steps before trouble began: the last
            step with a score below `leave`. None: where it asked.
    """

    enter: float
    leave: float
    agree: float
    at_step: int | None = None
    rewind_steps: int | None = None


@dataclass
class Hands:
    """Whose hands one try is in, step by step: asked in above one score, handed back below a lower one.

    Attributes:
        takeovers: how often a person was asked in so far.
        calm: the last control step whose score was low.
        agreed: steps in a row for which person and policy agreed and the score was low.
        ahead: steps until the place that asked is passed: after a rewind all looks well again until there.
    """

    ask: Ask
    takeovers: int = 0
    calm: int = 0
    agreed: int = 0
    ahead: int = 0

    def wants(self, *, step: int, left: int, score: float | None, human: bool) -> str:
        """Return "takeover", "handback" or "".

        Args:
            step: control steps taken so far.
            left: control steps until the horizon.
            score: how wrong things look, None while nobody knows.
            human: a person has control.
        """
        if human:
            done = self.agreed >= HANDBACK_STEPS and self.ahead <= 0 and self.takeovers < MOST_TAKEOVERS
            return "handback" if done else ""
        if score is not None and score < self.ask.leave:
            self.calm = step
        if left <= LAST_STEPS:
            return ""
        if self.ask.at_step is not None:
            return "takeover" if step == self.ask.at_step else ""
        return "takeover" if score is not None and score > self.ask.enter else ""

    def taken(self, *, rewound: int) -> None:
        """Note that a person has control now, after so many steps were wound back."""
        self.takeovers, self.agreed, self.ahead = self.takeovers + 1, 0, rewound

    def went(self, *, apart: float, score: float | None) -> None:
        """Note a step of the person: how far apart it was from what the policy wanted."""
        calm = apart < self.ask.agree and (score is None or score < self.ask.leave)
        self.agreed = self.agreed + 1 if calm else 0
        self.ahead -= 1
