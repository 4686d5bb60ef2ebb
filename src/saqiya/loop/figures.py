"""The figures of a turn, and why the wheel rests: pure arithmetic over what the catalog holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from saqiya.correct.stage import BOOTSTRAP, DRILL
from saqiya.detect.stage import outcomes_of
from saqiya.domain.nouns import (
    Correction,
    CorrectionRequest,
    DatasetVersion,
    Deployment,
    Episode,
    Evaluation,
    GateDecision,
    Outcome,
    Policy,
    Turn,
)
from saqiya.evaluate.intervals import clopper_pearson, newcombe
from saqiya.evaluate.trials import autonomous_success
from saqiya.loop.config import StopConfig
from saqiya.loop.novelty.measuring import novelty_of

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["SWITCH_STEPS", "stop_reason", "stopped_because", "success_of", "turn_figures", "turns_json"]

SWITCH_STEPS = 20
"""What a takeover costs beside its steps: the operator's switch of attention, in control steps."""


def success_of(wheel: Flywheel, deployment: Deployment) -> dict[str, Any]:
    """Success of a deployment's autonomous tries with the exact 95 % interval (Clopper and Pearson 1934)."""
    episodes = [wheel.store.catalog.get(one, Episode) for one in deployment.episodes]
    known = {one: value for one, value in outcomes_of(wheel.store, episodes).items() if value is not Outcome.UNKNOWN}
    k = sum(autonomous_success(value, takeover=False) for value in known.values())
    interval = clopper_pearson(k, len(known))
    return {"n": len(known), "k": k, "low": round(interval.low, 4), "high": round(interval.high, 4)}


def turn_figures(wheel: Flywheel, decision: GateDecision, deployment: Deployment) -> dict[str, Any]:
    """Gather what turns.json says of the turn under way."""
    from saqiya.loop.novelty.saturation import stops_of  # it needs what a takeover costs, from here

    catalog = wheel.store.catalog
    requests = {one.id: one for one in catalog.all(CorrectionRequest)}
    corrections = [one for one in catalog.all(Correction) if requests[one.request].target != DRILL]
    fresh = [one for one in corrections if catalog.key_of(one.request).startswith(wheel.key(""))]
    served = [one for one in corrections if requests[one.request].target != BOOTSTRAP]
    evaluation = catalog.get(decision.evaluation, Evaluation) if decision.evaluation else None
    champion = wheel.champion()
    bits = [
        one for c in fresh for one in novelty_of(catalog, c.episode) if champion and one.relative_to == champion[0].id
    ]
    candidate = catalog.get(decision.candidate, Policy)
    steps, takeovers = sum(one.human_steps for one in served), sum(one.takeovers for one in served)
    seconds = wheel.account.seconds()
    figures: dict[str, Any] = {
        "turn": wheel.number,
        "dataset": catalog.get(candidate.dataset, DatasetVersion).manifest_hash if candidate.dataset else None,
        "policy": catalog.key_of(deployment.policy),
        "demonstrations": sum(one.accepted for one in corrections),
        "corrections": sum(one.accepted for one in fresh),
        "human_steps": steps,
        "human_cost": steps + SWITCH_STEPS * takeovers,
        "novelty_bits": round(sum(one.bits for one in bits), 1),
        "success": success_of(wheel, deployment),
        "decision": decision.decision.value,
        "pairs": evaluation.pairs if evaluation else 0,
        "alpha_spent": round(decision.alpha_spent, 6),
        "cycle_s": round(wheel.turn_seconds(), 2),
        "own_share": round(wheel.account.own_share(wheel.config.run.workers), 4),
        "busy_share": round(wheel.account.busy_share(), 4),
        "seconds": {kind: round(took, 2) for kind, took in sorted(seconds.items())},
    }
    earlier = [dict(turn.figures) for turn in catalog.all(Turn) if turn.scope == wheel.scope]
    figures["collect_no_more"] = stops_of(wheel)
    figures["stopped_because"] = stop_reason([*earlier, figures], wheel.config.stop)
    return figures


def stop_reason(turns: Sequence[dict[str, Any]], stop: StopConfig) -> str | None:
    """Say why the wheel should rest after these turns, or None: go on.

    It rests when the lower bound of success has reached the target, or when the last `turns_without_gain` turns each
    showed a change of success whose 95 % interval (Newcombe 1998) holds zero.
    """
    if not turns:
        return None
    success = turns[-1]["success"]
    if success["low"] >= stop.target:
        return f"the lower bound of success, {success['low']:.3f}, reached the target of {stop.target:.2f}"
    window = turns[-stop.turns_without_gain - 1 :]
    if len(window) <= stop.turns_without_gain:
        return None
    for before, after in pairwise(window):
        old, new = before["success"], after["success"]
        gain = newcombe((old["k"], old["n"]), (new["k"], new["n"]))
        if gain.low > 0.0:
            return None
    return f"{stop.turns_without_gain} turns in a row showed no gain that the interval can tell from zero"


def put_back(wheel: Flywheel) -> tuple[str, dict[str, Any]] | None:
    """Say which policy a person put back in charge since the last turn, by key, and the success of its tries then."""
    found = wheel.champion()
    if found is None or not wheel.key_of(found[1].id).startswith("rollback/"):
        return None
    return wheel.key_of(found[0].id), success_of(wheel, found[1])


def stopped_because(wheel: Flywheel) -> str | None:
    """Say why the wheel rests now, by the saqiya.toml of now; what a policy reached counts while it is in charge."""
    back = put_back(wheel)
    if back:
        return stop_reason([{"success": back[1]}], wheel.config.stop)
    turns = [dict(turn.figures) for turn in wheel.store.catalog.all(Turn) if turn.scope == wheel.scope]
    return stop_reason(turns, wheel.config.stop)


def turns_json(wheel: Flywheel) -> str:
    """Return turns.json: one object a turn."""
    turns = [dict(turn.figures) for turn in wheel.store.catalog.all(Turn) if turn.scope == wheel.scope]
    return json.dumps(turns, indent=1, sort_keys=False) + "\n"
