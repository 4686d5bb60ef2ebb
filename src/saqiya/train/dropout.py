"""`dropout`: one small ReLU network trained with dropout; it acts through numpy, ten passes saying how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Progress, RunnablePolicy, Trained
from saqiya.domain.nouns import PolicySpec
from saqiya.models.dropout import RATE, read_dropout
from saqiya.models.ensemble import Ensemble
from saqiya.models.normaliser import RESOLUTION
from saqiya.train.descent import descend
from saqiya.train.samples import Setting, finished, normalisers, one_thread, samples_of, settled

__all__ = ["Dropout"]

HELD_OUT = 1 / 8
"""Share of the episodes that the network never sees: its noise is measured there."""

_SETTINGS: dict[str, Setting] = {
    "dropout": (0.05, 0.001, 0.9),
    "layers": (3, 1, 8),
    "width": (256, 8, 2048),
    "steps": (1500, 1, 1_000_000),
    "batch": (64, 1, 8192),
    "rate": (1e-3, 1e-6, 1.0),
    "decay": (1e-4, 0.0, 1.0),
    "jitter": (0.0, 0.0, 1.0),
    "threads": (1, 1, 64),
    "resolution": (RESOLUTION, 1e-9, 1.0),
}


class Dropout:
    """Behaviour cloning of action chunks by one network with dropout: a quarter of `ensemble`'s training.

    Monte Carlo dropout (Gal and Ghahramani 2016): see `models.dropout` for how it acts. It is paid for with precision.
    Nominal success on the built-in tiny site (one seed, 40 tries): 98 % without, 95 %, 85 % and 48 % with 0.05, 0.1 and
    0.2 in the last hidden layer, and none at all with 0.05 in every layer. Hence the small default. Its disagreement
    warns less than an ensemble's: area to the success horizon .90 against .96 on Metaworld, .73 against .96 on tiny,
    each on its own policy's disturbed tries (seeds 11-13, demonstrations from the middle half), where a stopwatch has
    .93 to .96. Take it where training is dear.

    Settings: those of `ensemble` but `members`, and `dropout`, the probability of leaving out a last hidden unit.
    """

    name = "dropout"

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
        """Train from scratch; steps of weight 0 change nothing at all.

        Raises:
            ConfigError: a setting is unknown or out of range.
            InvalidEpisode: lessons do not fit the spec, or fewer than two episodes are left.
        """
        values = settled(settings, _SETTINGS, trainer=self.name)
        samples = samples_of(lessons, spec)
        seen = np.ones((1, samples.episodes_n), dtype=np.bool_)
        order = np.random.default_rng(seed).permutation(samples.episodes_n)
        seen[0, order[: max(1, round(HELD_OUT * samples.episodes_n))]] = False
        reads, writes = normalisers(samples, spec, values["resolution"])
        arrays = descend(samples, seen, (reads, writes), values, (seed, progress))
        network = Ensemble(reads, writes, tuple(arrays[0::2]), tuple(arrays[1::2]), np.zeros(spec.action))
        trained = finished(network, spec, samples, seen, values["resolution"])
        return replace(trained, tensors={**trained.tensors, RATE: np.array(values["dropout"])})

    def load(self, spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> RunnablePolicy:
        """Make the stored arrays act.

        Raises:
            PolicyUnreadable: arrays are missing or have wrong shapes.
        """
        return read_dropout(spec, tensors)
