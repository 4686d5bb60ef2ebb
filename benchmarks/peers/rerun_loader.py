"""Under Rerun's Python: give batches of its block-shuffling loader from a LeRobot dataset, and say what they cost."""

from __future__ import annotations

import json
import sys
import time
import types
from pathlib import Path

try:
    import torchvision.transforms.functional  # noqa: F401
except (ImportError, RuntimeError, OSError):  # absent, or built for another torch: the H.264 path needs none of it
    for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["torchvision.transforms.functional"].pil_to_tensor = None  # type: ignore[attr-defined]

import rerun as rr
from rerun.experimental import LeRobotReader
from rerun.experimental.dataloader import (
    BlockShuffle,
    DataSource,
    Field,
    NumericDecoder,
    RerunIterableDataset,
    VideoFrameDecoder,
)
from torch.utils.data import DataLoader

CHUNK = 50
CAMERAS = ("observation.images.front", "observation.images.wrist")


def main(asked: Path) -> None:
    """Read `asked`, a JSON object: root, recordings (a folder), pool, batch, warm, batches."""
    wanted = json.loads(asked.read_text())
    folder = Path(wanted["recordings"])
    if not folder.exists():
        folder.mkdir()
        reader = LeRobotReader(wanted["root"])
        for episode in reader.episodes():
            path = folder / f"{episode:06d}.rrd"
            reader.stream(episode).write_rrd(str(path), application_id="bench", recording_id=f"episode-{episode}")
    fields = {name: Field(f"/{name}:VideoStream:sample", VideoFrameDecoder()) for name in CAMERAS}
    fields["state"] = Field("/observation.state:Scalars:scalars", NumericDecoder())
    fields["action"] = Field("/action:Scalars:scalars", NumericDecoder(), window=tuple(range(CHUNK)))
    with rr.server.Server(host="127.0.0.1", datasets={"bench": sorted(folder.glob("*.rrd"))}) as server:
        dataset = RerunIterableDataset(
            DataSource(server.client().get_dataset("bench")),
            "frame_index",
            fields,
            shuffle_strategy=BlockShuffle(buffer_size=wanted["pool"]),
        )
        loader = iter(DataLoader(dataset, wanted["batch"], num_workers=0))
        for _ in range(wanted["warm"]):
            next(loader)
        cpu, wall, samples = time.process_time(), time.perf_counter(), 0
        for _ in range(wanted["batches"]):
            batch = next(loader)
            samples += len(batch["state"])
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        shapes = {name: list(value.shape) for name, value in batch.items()}
    if shapes[CAMERAS[0]][1:] != [3, 240, 320] or shapes["action"][1:] != [CHUNK, 14]:
        raise SystemExit(f"unlike what was asked for: {shapes}")
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "samples": samples, "of": len(dataset)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
