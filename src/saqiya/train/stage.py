"""The shell of `train`: a dataset version's spans become lessons, a trainer's arrays become a policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import numpy as np

from saqiya import plugins
from saqiya.domain.contracts import Lesson, Progress, RunnablePolicy, Trainer
from saqiya.domain.nouns import DatasetEntry, DatasetVersion, Episode, Lineage, Policy, PolicySpec
from saqiya.domain.streams import Stream
from saqiya.errors import InvalidEpisode, PolicyUnreadable
from saqiya.stores import tensors
from saqiya.stores.workspace import Workspace
from saqiya.train.foreign import examine

__all__ = ["examine", "lessons", "load", "run"]


def run(  # noqa: PLR0913 - a shell takes what the config says, each thing by its name
    store: Workspace,
    dataset: DatasetVersion,
    *,
    trainer: str,
    spec: PolicySpec,
    settings: Mapping[str, float],
    seed: int,
    progress: Progress,
    spent: Callable[[str], AbstractContextManager[None]],
    key: str,
) -> Policy:
    """Train a policy from scratch on `dataset` and store it under `key`; a policy already there is returned.

    The time of the trainer itself is booked with `spent("optimiser")`.
    """
    known = store.catalog.by_key("policy", key)
    if known is not None:
        return store.catalog.get(known.id, Policy)
    teacher: Trainer = plugins.load("saqiya.trainers", trainer)()
    taught = lessons(store, dataset, spec)
    with spent("optimiser"):
        trained = teacher.fit(taught, spec, settings=settings, seed=seed, progress=progress)
    policy = Policy(
        id=store.catalog.new_id("policy"),
        name=key,
        lineage=Lineage.TRAINED,
        trainer=trainer,
        weights=store.objects.put(tensors.encode(trained.tensors)),
        spec=trained.spec,
        dataset=dataset.id,
        seed=seed,
        settings=dict(settings),
        metrics=dict(trained.metrics),
    )
    return store.catalog.put(policy, key=key)


def load(store: Workspace, policy: Policy) -> RunnablePolicy:
    """Bring a stored policy into memory.

    Raises:
        PolicyUnreadable: it was only registered, so its weights are elsewhere, or its arrays do not fit.
    """
    if policy.weights is None or policy.spec is None:
        raise PolicyUnreadable(
            "was registered without weights that Saqiya can run", subject=policy.name, remedy="Run it on its own stack."
        )
    teacher: Trainer = plugins.load("saqiya.trainers", policy.trainer)()
    return teacher.load(policy.spec, tensors.read(store.catalog.object_path(policy.weights)))


def lessons(store: Workspace, dataset: DatasetVersion, spec: PolicySpec) -> list[Lesson]:
    """Read every entry's span as arrays on the stamps of its executed actions."""
    return [
        _lesson(store.streams(store.catalog.get(entry.episode, Episode)), entry, spec, index)
        for index, entry in enumerate(dataset.entries)
    ]


def _lesson(streams: Mapping[str, Stream], entry: DatasetEntry, spec: PolicySpec, index: int) -> Lesson:
    if "action/executed" not in streams:
        raise InvalidEpisode("has no stream action/executed", subject=entry.episode, remedy="Leave it out of the mix.")
    executed = streams["action/executed"]
    inside = (executed.t_ns >= entry.start_ns) & (executed.t_ns < entry.end_ns)
    stamps = executed.t_ns[inside]
    columns = []
    for name in spec.observation:
        stream = streams[f"observation/{name}"]
        latest = np.searchsorted(stream.t_ns, stamps, side="right") - 1
        if stamps.size and latest.min(initial=0) < 0:
            raise InvalidEpisode(f"acts before its first {name}", subject=entry.episode, remedy="Cut the span later.")
        columns.append(stream.values[latest].reshape(len(stamps), -1).astype(np.float64))
    return Lesson(
        observation=np.concatenate(columns, axis=1),
        action=executed.values[inside].astype(np.float64),
        weight=np.full(len(stamps), entry.weight),
        episode=index,
    )
