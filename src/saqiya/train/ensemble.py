"""`ensemble`: a few small ReLU networks trained side by side with torch; they act through numpy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Lesson, Progress, RunnablePolicy, Trained
from saqiya.domain.nouns import PolicySpec
from saqiya.models.ensemble import Ensemble as Network
from saqiya.models.ensemble import EnsemblePolicy, read_ensemble
from saqiya.models.normaliser import RESOLUTION, Normaliser
from saqiya.train.samples import Samples, Setting, finished, normalisers, one_thread, samples_of, settled, who_saw_what

if TYPE_CHECKING:
    import torch

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
        arrays = _descend(samples, seen, (reads, writes), values, (seed, progress))
        network = Network(reads, writes, tuple(arrays[0::2]), tuple(arrays[1::2]), np.zeros(spec.action))
        return finished(network, spec, samples, seen, values["resolution"])

    def load(self, spec: PolicySpec, tensors: Mapping[str, NDArray[Any]]) -> RunnablePolicy:
        """Make the stored arrays act.

        Raises:
            PolicyUnreadable: arrays are missing or have wrong shapes.
        """
        return EnsemblePolicy(spec, read_ensemble(spec, tensors))


def _descend(
    samples: Samples,
    known: NDArray[np.bool_],
    scales: tuple[Normaliser, Normaliser],
    values: Mapping[str, float],
    run: tuple[int, Progress],
) -> list[NDArray[np.float32]]:
    """Return weight and bias of each layer in turn, float32 (m, in, out) and (m, 1, out)."""
    import torch

    seed, progress = run
    reads, writes = scales
    before = torch.get_num_threads()
    torch.set_num_threads(int(values["threads"]))
    try:
        generator = torch.Generator().manual_seed(seed)
        inputs = torch.from_numpy(reads.apply(samples.observation).astype(np.float32))
        target = torch.from_numpy(writes.apply(samples.chunk).reshape(len(inputs), -1).astype(np.float32))
        # Each member draws its batches with its own odds: the sample's weight for an episode that it may see, else 0.
        odds = torch.from_numpy(samples.weight * known[:, samples.episode])
        sizes = [inputs.shape[1], *[int(values["width"])] * int(values["layers"]), target.shape[1]]
        parameters = _initial(sizes, len(known), generator)
        optimiser = torch.optim.AdamW(parameters, lr=values["rate"], weight_decay=values["decay"], fused=True)
        steps, batch, jitter = int(values["steps"]), int(values["batch"]), values["jitter"]
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(step, steps))
        block = 100
        for step in range(steps):
            if step % block == 0:
                drawn = torch.multinomial(odds, block * batch, replacement=True, generator=generator)
                progress("train", step, steps)
            index = drawn[:, (step % block) * batch : (step % block + 1) * batch]
            seen = inputs[index]
            if jitter > 0:
                seen = seen + jitter * torch.randn(seen.shape, generator=generator)
            loss = (_forward(parameters, seen) - target[index]).abs().mean(dim=(1, 2)).sum()
            optimiser.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
        progress("train", steps, steps)
    finally:
        torch.set_num_threads(before)
    return [parameter.detach().numpy().copy() for parameter in parameters]


def _initial(sizes: Sequence[int], members: int, generator: torch.Generator) -> list[torch.Tensor]:
    """He initialisation (He et al., 2015), another draw for each member; biases start at nothing."""
    import torch

    made = []
    for index, (wide, narrow) in enumerate(itertools.pairwise(sizes)):
        gain = 2.0 if index < len(sizes) - 2 else 1.0
        weight = torch.randn((members, wide, narrow), generator=generator) * math.sqrt(gain / wide)
        made += [weight.requires_grad_(), torch.zeros((members, 1, narrow), requires_grad=True)]
    return made


def _forward(parameters: Sequence[torch.Tensor], hidden: torch.Tensor) -> torch.Tensor:
    """Every member on its own batch: float32 (m, b, D) to (m, b, o)."""
    import torch

    last = len(parameters) - 2
    for index in range(0, len(parameters), 2):
        hidden = torch.baddbmm(parameters[index + 1], hidden, parameters[index])
        if index < last:
            hidden = torch.relu(hidden)
    return hidden


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
