"""What follows what in a turn. Each step makes nouns under keys of its turn, and finds them there when run again."""

from __future__ import annotations

from collections.abc import Callable

from saqiya.correct.stage import BOOTSTRAP
from saqiya.domain.nouns import Correction, DatasetVersion, GateDecision, Policy
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.smoke import smoke

__all__ = ["FIRST", "LATER", "Action", "steps"]

Action = Callable[[Flywheel], object]
Step = tuple[str, Action]


def _bootstrap(wheel: Flywheel) -> None:
    """Collect the first demonstrations, after a training smoke on the first few has passed."""
    request = wheel.record()
    smoke(wheel, request)
    wheel.correct(request)


def _plan(wheel: Flywheel) -> None:
    """Share human minutes among the modes where saqiya.toml gives some; else triage's sharing stands."""
    if wheel.config.correct.minutes > 0.0 and not wheel.pump.planned():
        wheel.pump.ask(wheel.pump.plan(wheel.config.correct.minutes))


def _correct(wheel: Flywheel) -> None:
    """Serve the requests of this turn, best first."""
    for request in wheel.requests():
        wheel.correct(request)


def _mix(wheel: Flywheel) -> None:
    """Mix what was accepted so far, after marking what repeats itself: copies weigh together what one weighs."""
    wheel.pump.duplicates([one.episode for one in wheel.store.catalog.all(Correction) if one.accepted])
    wheel.mix(note="bootstrap" if wheel.number == 0 else f"corrections of turn {wheel.number}")


def _train(wheel: Flywheel) -> None:
    wheel.train(wheel.store.catalog.get(wheel.key("dataset"), DatasetVersion))


def _evaluate(wheel: Flywheel) -> None:
    wheel.evaluate(wheel.store.catalog.get(wheel.key("policy"), Policy))


def _deploy(wheel: Flywheel) -> None:
    wheel.deploy(wheel.store.catalog.get(wheel.key("decision"), GateDecision))


FIRST: tuple[Step, ...] = (
    (BOOTSTRAP, _bootstrap),
    ("mix", _mix),
    ("train", _train),
    ("evaluate", _evaluate),
    ("deploy", _deploy),
    ("close", Flywheel.close_turn),
)
LATER: tuple[Step, ...] = (
    ("detect", Flywheel.detect),
    ("triage", Flywheel.triage),
    ("plan", _plan),
    ("correct", _correct),
    ("mix", _mix),
    ("train", _train),
    ("evaluate", _evaluate),
    ("deploy", _deploy),
    ("recheck", Flywheel.recheck),
    ("close", Flywheel.close_turn),
)


def steps(wheel: Flywheel) -> tuple[Step, ...]:
    """Return the steps of the turn under way.

    Raises:
        GuardRefusal: the wheel has already stopped, and says why.
    """
    from saqiya.loop.figures import stopped_because

    why = stopped_because(wheel)
    if why:
        raise GuardRefusal(f"the wheel rests: {why}", subject=wheel.scope, remedy="Raise [stop] target to go on.")
    return FIRST if wheel.number == 0 else LATER
