"""The training smoke: before more is collected, show that what was collected can be trained on at all."""

from __future__ import annotations

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Lesson, RunnablePolicy
from saqiya.domain.nouns import Correction, CorrectionRequest, DatasetVersion, PolicySpec, Role
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel
from saqiya.mix.weights import entries, whole
from saqiya.train import stage as train

__all__ = ["smoke"]

STEPS = 150.0


def smoke(wheel: Flywheel, request: CorrectionRequest) -> None:
    """Collect the first few demonstrations of `request`, train shortly on them, and check that the policy learnt.

    What people gave and a reviewer accepted counts like the expert's.

    Passed: its actions are finite, and on what it was shown they are nearer to the operator's than the mean action is.

    Raises:
        GuardRefusal: too few demonstrations succeeded, or the policy learnt nothing; nothing more is collected.
    """
    if wheel.store.catalog.has(DatasetVersion, wheel.key("dataset")):
        return
    wanted = min(wheel.config.bootstrap.smoke, len(request.starts))
    wheel.correct(request, first=wanted)
    given = wheel.store.catalog.referring(request.id, Correction)
    accepted = [one.episode for one in given if one.accepted][:wanted]
    if len(accepted) * 2 < wanted:
        raise GuardRefusal(
            f"only {len(accepted)} of the first {wanted} demonstrations were accepted",
            subject="training smoke",
            remedy="Review what waits, and look at the operator's recordings before collecting more.",
        )
    lessons, spec = _lessons(wheel, accepted)
    config = wheel.config.train
    trainer = plugins.load("saqiya.trainers", config.trainer)()
    short = {"steps": min(STEPS, config.settings["steps"])} if "steps" in config.settings else {}
    with wheel.account.spent("optimiser"):
        trained = trainer.fit(lessons, spec, settings={**config.settings, **short}, seed=0, progress=wheel.progress)
    policy = trainer.load(trained.spec, trained.tensors)
    with wheel.account.spent("inference"):
        error, rival = _errors(policy, lessons, spec)
    if not error < rival:
        raise GuardRefusal(
            f"after a short training the policy errs by {error:.3g}, always answering the mean action by {rival:.3g}",
            subject="training smoke",
            remedy="Check that actions and observations belong together before collecting more.",
        )


def _lessons(wheel: Flywheel, accepted: list[str]) -> tuple[list[Lesson], PolicySpec]:
    parts = []
    for one in accepted:
        episode = wheel.episode(one)
        parts.append(whole(one, Role.ANCHOR, wheel.store.streams(episode)["action/executed"]))
    version = DatasetVersion(id="smoke", parent=None, entries=entries(parts), manifest_hash="")
    spec = wheel.policy_spec()
    return train.lessons(wheel.store, version, spec), spec


def _errors(policy: RunnablePolicy, lessons: list[Lesson], spec: PolicySpec) -> tuple[float, float]:
    """Mean absolute error of the policy's first action, and of the mean action, on what was shown."""
    shown = np.concatenate([lesson.action for lesson in lessons])
    edges = np.cumsum([0, *spec.observation.values()])
    answers = []
    for lesson in lessons:
        policy.reset(0)
        for row in lesson.observation:
            seen = {name: row[a:b] for name, a, b in zip(spec.observation, edges, edges[1:], strict=False)}
            answers.append(policy.act(seen).chunk[0])
    return float(np.abs(np.array(answers) - shown).mean()), float(np.abs(shown.mean(axis=0) - shown).mean())
