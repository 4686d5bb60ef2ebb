"""`ridge`: an ensemble of random-feature ridge regressions, in closed form, with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Progress, RunnablePolicy, Trained
from saqiya.domain.nouns import PolicySpec
from saqiya.models.ensemble import Ensemble, EnsemblePolicy, read_ensemble
from saqiya.models.lifted import fit_lifted
from saqiya.models.normaliser import RESOLUTION
from saqiya.train.samples import Setting, finished, normalisers, one_thread, samples_of, settled, who_saw_what

__all__ = ["Ridge"]

_SETTINGS: dict[str, Setting] = {
    "members": (4, 2, 64),
    "features": (512, 8, 4096),
    "penalty": (1e-4, 1e-9, 10.0),
    "resolution": (RESOLUTION, 1e-9, 1.0),
}


class Ridge:
    """Random ReLU features and a ridge regression on top, for each of a few members.

    Random features after Rahimi and Recht (2007), with ReLU in place of the cosine, so that a stored policy is a
    network of one hidden layer and acts through the same forward pass as `ensemble`. Members differ by their features
    and by the group of episodes that each has never seen.

    Settings: `members`, `features` of each member, `penalty` (share of the mean feature power), `resolution` (least
    scale of a channel, in its own unit).
    """

    name = "ridge"

    @one_thread()
    def fit(
        self,
        lessons: Sequence[Lesson],
        spec: PolicySpec,
        *,
        settings: Mapping[str, float],
        seed: int,
        progress: Progress,
    ) -> Trained:
        """Fit every member in closed form; steps of weight 0 change nothing at all.

        Raises:
            ConfigError: a setting is unknown or out of range.
            InvalidEpisode: lessons do not fit the spec, or fewer than two episodes are left.
        """
        values = settled(settings, _SETTINGS, trainer=self.name)
        members, resolution = int(values["members"]), values["resolution"]
        samples = samples_of(lessons, spec)
        rng = np.random.default_rng(seed)
        seen = who_saw_what(samples.episodes_n, members, rng)
        reads, writes = normalisers(samples, spec, values["resolution"])
        inputs = reads.apply(samples.observation)
        target = writes.apply(samples.chunk).reshape(len(inputs), -1)
        layers = []
        for member in range(members):
            weight = samples.weight * seen[member][samples.episode]
            fitted = fit_lifted(
                inputs, target, weight, features_n=int(values["features"]), penalty=values["penalty"], rng=rng
            )
            layers.append((fitted.hidden, fitted.shift, fitted.out, fitted.base))
            progress("train", member + 1, members)
        stacked = [np.stack(part).astype(np.float32) for part in zip(*layers, strict=True)]
        blank = np.zeros(spec.action)
        ensemble = Ensemble(
            reads, writes, (stacked[0], stacked[2]), (stacked[1][:, None, :], stacked[3][:, None, :]), blank
        )
        return finished(ensemble, spec, samples, seen, resolution)

    def load(self, spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> RunnablePolicy:
        """Make the stored arrays act.

        Raises:
            PolicyUnreadable: arrays are missing or have wrong shapes.
        """
        return EnsemblePolicy(spec, read_ensemble(spec, tensors))
