"""Training samples a CPU-second with two cameras in H.264, beside LeRobot and Rerun (see PROTOCOL.md)."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import stats

from benchmarks._effect import ORDERS, effects
from benchmarks._training import BATCH, Asked, differences, median, ours, prepare, theirs
from benchmarks._v21 import make_dataset
from benchmarks.harness import Figure, Measured, at_least, at_most, exactly, shown
from benchmarks.peers import ask
from saqiya.loop.flywheel import Flywheel
from saqiya.torch import History, Order, Windows, open_version
from saqiya.views.plan import mixing, permuted

COMMAND = "make bench ONLY=loader"
SEED = 20261121
REPEATS = 5
EPISODES, FRAMES = 40, 300
KEPT, POOL = 3, 512
SEEDS = 8
CAMERAS = ("camera/front", "camera/wrist")


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield equality of outputs, the ratios, what each side gave, and what blocks do to batches and to a policy."""
    with tempfile.TemporaryDirectory(prefix="saqiya-loader-") as name:
        folder = Path(name)
        prepare(folder)
        total = _prepare(folder, episodes=6 if quick else EPISODES)
        yield from _equal(folder, total)
        yield from _rates(folder, quick=quick)
        yield from _mixing(folder)
    yield from _effect(2 if quick else SEEDS)


def _prepare(folder: Path, *, episodes: int) -> int:
    make_dataset(folder / "v21", episodes=episodes, frames=FRAMES, seed=SEED)
    ask("lerobot_ingest", "converter", folder / "v21", folder / "v3")
    with Flywheel.init(folder / "lab", site="tiny") as wheel:
        admitted = wheel.data.ingest([folder / "v21"], keep="cameras")
        if len(admitted.episodes) != episodes:
            raise RuntimeError(f"not everything came in: {admitted.rejections}")
        version = wheel.data.version("all", [one.id for one in admitted.episodes])
        wheel.store.seal(version.id)
    total = episodes * FRAMES
    np.save(folder / "order.npy", permuted(np.arange(total), total, Order(seed=SEED).epoch_seed(0)))
    return total


def _asked(folder: Path, arm: str) -> Asked:
    if arm == "lerobot":
        return Asked(str(folder / "v3"), "global", SEED, str(folder / "order.npy"), 3, 16)
    return Asked(str(folder / "lab"), arm, SEED, "", *{"global": (3, 16), "blocks": (20, 75)}[arm])


def _equal(folder: Path, total: int) -> Iterator[Figure]:
    here, there = folder / "here.npz", folder / "there.npz"
    ours(replace(_asked(folder, "global"), kept=KEPT, keep=str(here), batches=1), folder)
    answer = theirs(replace(_asked(folder, "lerobot"), kept=KEPT, keep=str(there), batches=1), folder)
    apart = differences(here, there)
    numbers = max(largest for name, (largest, _) in apart.items() if name not in CAMERAS)
    yield at_most("loader.largest_difference_of_values", exactly(numbers), 0.0, command=COMMAND)
    yield shown("loader.lerobot.torchcodec", exactly(answer["torchcodec"]), command=COMMAND)
    for what, place in (("largest", 0), ("mean", 1)):
        worst = max(apart[name][place] for name in CAMERAS)
        yield shown(f"loader.{what}_difference_of_pixels", exactly(worst), command=COMMAND)
    windows = Windows(open_version(folder / "lab"), dict.fromkeys(CAMERAS, History()), at=CAMERAS[0])
    batch = next(iter(windows.loader(BATCH, order=Order(how="blocks", seed=SEED, pool=POOL))))
    episodes, moments = batch["episode"], batch["t_ns"].tolist()
    every = windows.reader.samples.at(np.arange(total))
    number = {
        (windows.source.episodes[e], t): k
        for k, (e, t) in enumerate(zip(every.episode, every.t_ns.tolist(), strict=True))
    }
    again = windows.__getitems__([number[pair] for pair in zip(episodes, moments, strict=True)]).tensors
    apart_px = max(int((batch[name] != again[name]).sum()) for name in CAMERAS)
    yield at_most("loader.blocks.pixels_unlike_global", exactly(float(apart_px)), 0.0, command=COMMAND)


def _rates(folder: Path, *, quick: bool) -> Iterator[Figure]:
    rates: dict[str, list[float]] = {}
    rerun = folder / "rerun.json"
    rerun.write_text(
        json.dumps({
            "root": str(folder / "v3"), "recordings": str(folder / "rrd"), "pool": POOL, "batch": BATCH,
            "warm": 2 if quick else 20, "batches": 5 if quick else 40,
        })
    )  # fmt: skip
    for _ in range(2 if quick else REPEATS):
        answers = {
            arm: ours(_asked(folder, arm), folder) for arm in ("global", "blocks") if not quick or arm == "global"
        }
        if quick:
            answers["blocks"] = ours(replace(_asked(folder, "blocks"), batches=20), folder)
        answers["lerobot"] = theirs(_asked(folder, "lerobot"), folder)
        answers["rerun"] = ask("rerun_loader", rerun, peer="rerun")
        for arm, answer in answers.items():
            rates.setdefault(arm, []).append(answer["samples"] / answer["cpu_s"])
    rate = {arm: np.array(values) for arm, values in rates.items()}
    for arm, rival, bar in (("global", "lerobot", 2.5), ("blocks", "lerobot", 8.0), ("blocks", "rerun", 1.0)):
        ratio = median(rate[arm] / rate[rival])
        yield at_least(f"loader.{arm}.ratio_to_{rival}", ratio, bar, command=COMMAND)
    for arm, values in rate.items():
        yield shown(f"loader.{arm}.samples_per_cpu_s", median(values), command=COMMAND)


def _mixing(folder: Path) -> Iterator[Figure]:
    windows = Windows(open_version(folder / "lab"), {CAMERAS[0]: History()}, at="action/executed")
    blocks = windows.blocks()
    group = np.repeat(np.arange(len(blocks)), blocks.count)[np.argsort(_members(blocks.start, blocks.count))]
    seed = Order(seed=SEED).epoch_seed(0)
    for pool in (128, POOL, 2048):
        order = np.concatenate([leave for _, leave in blocks.mixed(seed=seed, capacity=pool, apart=BATCH)])
        yield shown(f"loader.blocks.mixing.pool_{pool}", exactly(mixing(group[order], BATCH)), command=COMMAND)
    shuffled = permuted(np.arange(len(group)), len(group), seed)
    yield shown("loader.global.mixing", exactly(mixing(group[shuffled], BATCH)), command=COMMAND)


def _members(start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """List the samples of all blocks, block by block."""
    return np.concatenate([np.arange(low, low + size) for low, size in zip(start, count, strict=True)])


def _effect(seeds: int) -> Iterator[Figure]:
    found = [effects(SEED + number) for number in range(seeds)]
    for what in ("error", "success"):
        values = {how: np.array([getattr(one[how], what) for one in found]) for how in ORDERS}
        for how, one in values.items():
            yield shown(f"loader.policy.{what}.{how}", _mean(one), command=COMMAND)
        for how in ORDERS[1:]:
            yield shown(
                f"loader.policy.{what}.{how}_minus_global", _mean(values[how] - values["global"]), command=COMMAND
            )


def _mean(values: np.ndarray) -> Measured:
    """Return the mean over seeds with Student's 95 % interval."""
    middle = float(values.mean())
    half = float(stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Measured(middle, middle - half, middle + half, len(values))
