"""Training windows for PyTorch: a dataset version as batches of tensors, with nothing exported.

    from torch.utils.data import DataLoader
    from saqiya.torch import Chunk, History, Order, Windows, collate, open_version

    windows = Windows(open_version("lab"), {
        "camera/front": History(),
        "observation/joint": History(steps=2, rate_hz=10),
        "action/executed": Chunk(steps=50),
    }, at="action/executed")

    for batch in windows.loader(32, order=Order(seed=7), workers=4): ...       # resumable, in any order
    for batch in DataLoader(windows, 32, shuffle=True, collate_fn=collate): ... # or as any map-style dataset

Another mixture, window, rate or weight is another `Windows(...)`: it opens in milliseconds and the next batch has it.
"""

from __future__ import annotations

from saqiya.torch.loader import Loader, Order
from saqiya.torch.version import open_version
from saqiya.torch.windows import Batch, Windows, collate
from saqiya.views.source import Source, source_of
from saqiya.views.windows import Chunk, History, Window

__all__ = [
    "Batch",
    "Chunk",
    "History",
    "Loader",
    "Order",
    "Source",
    "Window",
    "Windows",
    "collate",
    "open_version",
    "source_of",
]
