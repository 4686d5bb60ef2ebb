"""Gradient descent on small ReLU networks side by side: the only place where our own trainers need torch."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Progress
from saqiya.models.normaliser import Normaliser
from saqiya.train.samples import Samples

if TYPE_CHECKING:
    import torch

__all__ = ["descend"]


def descend(
    samples: Samples,
    known: NDArray[np.bool_],
    scales: tuple[Normaliser, Normaliser],
    values: Mapping[str, float],
    run: tuple[int, Progress],
) -> list[NDArray[np.float32]]:
    """Train `m` networks side by side, by AdamW on the L1 error of the chunk.

    Args:
        samples: what to imitate.
        known: bool (m, E), which network may learn from which episode.
        scales: normalisers of observation and action.
        values: `layers`, `width`, `steps`, `batch`, `rate`, `decay`, `jitter`, `threads`, and `dropout` where units of
            the last hidden layer are to be left out, each with that probability (Srivastava et al., 2014).
        run: seed, and whom to tell the progress.

    Returns:
        Weight and bias of each layer in turn, float32 (m, in, out) and (m, 1, out).
    """
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
        dropout = values.get("dropout", 0.0)
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
            loss = (_forward(parameters, seen, dropout, generator) - target[index]).abs().mean(dim=(1, 2)).sum()
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


def _forward(
    parameters: Sequence[torch.Tensor], hidden: torch.Tensor, dropout: float, generator: torch.Generator
) -> torch.Tensor:
    """Every network on its own batch: float32 (m, b, D) to (m, b, o)."""
    import torch

    last = len(parameters) - 2
    for index in range(0, len(parameters), 2):
        hidden = torch.baddbmm(parameters[index + 1], hidden, parameters[index])
        if index < last:
            hidden = torch.relu(hidden)
            if dropout > 0 and index == last - 2:
                hidden = hidden * (torch.rand(hidden.shape, generator=generator) >= dropout) / (1.0 - dropout)
    return hidden


def _rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))
