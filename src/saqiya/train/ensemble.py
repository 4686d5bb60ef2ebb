"""`ensemble`: a few small ReLU networks trained side by side with torch; they act through numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Progress, RunnablePolicy, Trained
from saqiya.domain.nouns import PolicySpec
from saqiya.models.ensemble import Ensemble as Network
from saqiya.models.ensemble import EnsemblePolicy, read_ensemble
from saqiya.models.normaliser import RESOLUTION
from saqiya.train.descent import descend
from saqiya.train.samples import Setting, finished, normalisers, one_thread, samples_of, settled, who_saw_what

__all__ = ["Ensemble"]

_SETTINGS: dict[str, Setting] = {
    "members": (4, 2, 16),
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


class Ensemble:
    """Behaviour cloning of action chunks by an ensemble of small networks, one batched product for all members.

    Deep ensembles after Lakshminarayanan et al. (2017), chunks and L1 loss after ACT (Zhao et al., 2023). Where we
    differ: no latent variable and no temporal averaging; members differ by initial weights, by batch order and by the
    group of episodes that each has never seen and is judged on. Equal inputs, seed and `threads`
    give equal arrays on one machine.

    Settings: `members`; hidden `layers` of `width`; `steps` of AdamW with `batch` samples for each member; `rate`,
    which rises over the first 5 % and falls as a cosine to nothing; `decay` of the weights; `jitter`, standard
    deviation of noise on the normalised observations; `threads` of torch; `resolution`, the least scale of a channel.
    """

    name = "ensemble"

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
        rng = np.random.default_rng(seed)
        seen = who_saw_what(samples.episodes_n, int(values["members"]), rng)
        reads, writes = normalisers(samples, spec, values["resolution"])
        arrays = descend(samples, seen, (reads, writes), values, (seed, progress))
        network = Network(reads, writes, tuple(arrays[0::2]), tuple(arrays[1::2]), np.zeros(spec.action))
        return finished(network, spec, samples, seen, values["resolution"])

    def load(self, spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> RunnablePolicy:
        """Make the stored arrays act.

        Raises:
            PolicyUnreadable: arrays are missing or have wrong shapes.
        """
        return EnsemblePolicy(spec, read_ensemble(spec, tensors))
