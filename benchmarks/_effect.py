"""What the order of samples does to a policy: a point is driven to a target that only the camera shows."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.torch import Chunk, History, Order, Windows, source_of

__all__ = ["ORDERS", "Effect", "effects"]

ORDERS = ("global", "blocks", "given")
SIDE, STEPS, CHUNK = 64, 60, 8
EPISODES, HELD_OUT = 200, 20
BATCH, BATCHES, POOL = 32, 900, 512
TRIES, REACHED = 50, 0.06
SPEED, NOISE = 0.06, 0.01

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """One trained network: squared error on held-out episodes, and the share of closed-loop tries that arrive."""

    error: float
    success: float


def effects(seed: int) -> dict[str, Effect]:
    """Train one network an order on the same data, from the same weights, for the same number of batches."""
    torch.set_num_threads(1)  # so small a network is slower with more, and sums in another order
    logs = [_episode(np.random.default_rng([seed, number])) for number in range(EPISODES + HELD_OUT)]
    windows, unseen = (
        Windows(source_of(part), {"camera": History(), "action": Chunk(steps=CHUNK)}, at="action")
        for part in (logs[:EPISODES], logs[EPISODES:])
    )
    test = unseen.__getitems__(np.arange(0, len(unseen), 5)).tensors
    found = {}
    for how in ORDERS:
        torch.manual_seed(seed)
        network = _network()
        _train(network, windows, Order(how=how, seed=seed, pool=POOL))
        with torch.no_grad():
            error = _loss(network, test).item()
        found[how] = Effect(error, _success(network, np.random.default_rng([seed, 10**6])))
    return found


def _expert(point: Floats, target: Floats) -> Floats:
    way = target - point
    length: Floats = np.linalg.norm(way, axis=-1, keepdims=True)
    return way * np.minimum(1.0, SPEED / np.maximum(length, 1e-9))


def _picture(point: Floats, target: Floats, ground: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = ground.copy()
    for place, colour in ((target, (60, 220, 60)), (point, (230, 40, 40))):
        row, column = (np.clip(place, 0, 1) * (SIDE - 7)).astype(int)
        picture[row : row + 6, column : column + 6] = colour
    return picture


def _episode(draw: np.random.Generator) -> EpisodeLog:
    point, target = draw.uniform(0, 1, 2), draw.uniform(0, 1, 2)
    ground = draw.integers(70, 120, (SIDE, SIDE, 3), dtype=np.uint8)
    pictures, actions = [], []
    for _ in range(STEPS):
        pictures.append(_picture(point, target, ground))
        action = _expert(point, target) + draw.normal(0, NOISE, 2)
        actions.append(action)
        point = np.clip(point + action, 0, 1)
    t_ns = np.arange(STEPS, dtype=np.int64) * 33_333_333
    action_stream = Stream(t_ns=t_ns, values=np.array(actions, dtype=np.float32))
    return EpisodeLog("try", {"action": action_stream}, videos={"camera": _film(pictures, t_ns)})


def _film(pictures: list[NDArray[np.uint8]], t_ns: NDArray[np.int64]) -> Video:
    file = io.BytesIO()
    with av.open(file, "w", format="h264") as out:
        stream = out.add_stream("libx264", rate=30, options={"preset": "veryfast", "g": "15", "bf": "0", "crf": "18"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        stream.time_base = Fraction(1, 30)
        packets = [one for picture in pictures for one in stream.encode(av.VideoFrame.from_ndarray(picture))]
        packets += stream.encode()
    size = np.array([one.size for one in packets], dtype=np.int64)
    every = np.arange(len(packets), dtype=np.int64)
    key = np.array([one.is_keyframe for one in packets])
    track = Track(t_ns.copy(), np.cumsum(size) - size, size, key, every, "h264", SIDE, SIDE, form="annexb")
    return Video(track, b"".join(bytes(one) for one in packets))


class _Keypoints(nn.Module):
    """Spatial softmax (Levine et al., JMLR 2016): where each feature map is brightest, in [-1, 1]."""

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        weight = maps.flatten(2).softmax(dim=2).reshape(maps.shape)
        row, column = (torch.linspace(-1, 1, side) for side in maps.shape[2:])
        return torch.cat(((weight.sum(dim=3) * row).sum(dim=2), (weight.sum(dim=2) * column).sum(dim=2)), dim=1)


def _network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 16, 5, 2), nn.ReLU(), nn.Conv2d(16, 16, 3), _Keypoints(),
        nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, CHUNK * 2),
    )  # fmt: skip


def _seen(pictures: torch.Tensor) -> torch.Tensor:
    return pictures.float().div_(127.5).sub_(1).contiguous()


def _loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    predicted = network(_seen(batch["camera"][:, 0])).reshape(-1, CHUNK, 2)
    counts = (~batch["action/pad"]).float()[..., None]
    return (((predicted - batch["action"] / SPEED) ** 2) * counts).sum() / (counts.sum() * 2)


def _train(network: nn.Module, windows: Windows, order: Order) -> None:
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, BATCHES)
    for number, batch in enumerate(_endless(windows, order)):
        if number == BATCHES:
            return
        optimiser.zero_grad()
        _loss(network, batch).backward()
        optimiser.step()
        schedule.step()


def _endless(windows: Windows, order: Order) -> Iterator[dict[str, torch.Tensor]]:
    loader = windows.loader(BATCH, order=order, drop_last=True)
    while True:
        yield from loader


def _success(network: nn.Module, draw: np.random.Generator) -> float:
    point, target = draw.uniform(0, 1, (TRIES, 2)), draw.uniform(0, 1, (TRIES, 2))
    ground = draw.integers(70, 120, (TRIES, SIDE, SIDE, 3), dtype=np.uint8)
    arrived = np.zeros(TRIES, dtype=bool)
    for _ in range(STEPS):
        pictures = np.stack([_picture(*one) for one in zip(point, target, ground, strict=True)])
        with torch.no_grad():
            chunk = network(_seen(torch.from_numpy(pictures).permute(0, 3, 1, 2))).reshape(TRIES, CHUNK, 2)
        point = np.clip(point + chunk[:, 0].numpy() * SPEED, 0, 1)
        arrived |= np.linalg.norm(point - target, axis=1) < REACHED
    return float(arrived.mean())
