"""Write a folder of MCAP logs and a table of trials, as a team that runs two policies on a cell would have them.

    python examples/mcap_logs/make_logs.py FOLDER
    saqiya report FOLDER/logs --trials FOLDER/trials.csv --out FOLDER/report.html

A simulated arm pushes a peg into a hole; "v14" slips less often than "v12", and both slip more on the steel plate. Two
tries are also there as HDF5, one row names a log that is gone, one log is cut off, and one file is no log at all.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np

from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.formats.mcap.log import McapFormat

RATE_HZ = 50.0
SLIP = {("v12", "wood"): 0.2, ("v12", "steel"): 0.6, ("v14", "wood"): 0.1, ("v14", "steel"): 0.45}


def push(rng: np.random.Generator, name: str, *, slips: bool) -> EpisodeLog:
    """Simulate one try: approach, contact at about 2 s, and a slip at about 3 s when `slips`."""
    length_s = float(rng.uniform(5.0, 7.0))
    t = np.arange(0.0, length_s, 1.0 / RATE_HZ)
    contact_s, slip_s = rng.normal(2.0, 0.05), rng.normal(3.0, 0.1)
    depth = np.clip(t - contact_s, 0.0, 3.0)
    if slips:
        depth = np.where(t > slip_s, depth[np.searchsorted(t, slip_s)], depth)
    force = 8.0 * (t > contact_s) * (1.0 - np.exp(-(t - contact_s).clip(0) / 0.2))
    if slips:
        force = np.where(t > slip_s, 2.0, force)
    tool = np.column_stack([0.4 - 0.1 * np.minimum(t, contact_s), 0.01 * depth]) + rng.normal(0, 5e-4, (t.size, 2))
    wrench = np.column_stack([0.3 * force, 0.1 * force, force]) + rng.normal(0, 0.15, (t.size, 3))
    t_ns = 1_780_000_000_000_000_000 + np.rint(t * 1e9).astype(np.int64)
    events = (Event(int(t_ns[0]), "phase/approach"), Event(int(t_ns[0] + contact_s * 1e9), "phase/insert"))
    streams = {
        "observation/tool": Stream(t_ns, tool, unit="m", fields=("x", "z")),
        "contact/force": Stream(t_ns, wrench, unit="N", fields=("x", "y", "z")),
    }
    return EpisodeLog(name, streams, events, {"task": "peg-in-hole"})


def make(folder: Path, *, tries: int = 20, seed: int = 7) -> None:
    """Write `tries` logs a policy and the table into `folder`."""
    import h5py

    logs = folder / "logs"
    logs.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    rows = []
    for policy in ("v12", "v14"):
        for number in range(tries):
            plate = "steel" if number % 2 else "wood"
            slips = bool(rng.random() < SLIP[policy, plate])
            name = f"{policy}_{number:02d}"
            log = push(rng, name, slips=slips)
            McapFormat().write(log, logs / f"{name}.mcap")
            if number == 3:
                with h5py.File(logs / f"{name}.hdf5", "w") as file:
                    file["data/demo_0/obs/tool"] = log.streams["observation/tool"].values
                    file["data/demo_0/obs/force"] = log.streams["contact/force"].values
            rows.append([f"{name}.mcap", policy, "peg-in-hole", "fail" if slips else "success", plate])
    whole = (logs / "v12_00.mcap").read_bytes()
    (logs / "cut_off.mcap").write_bytes(whole[: len(whole) // 3])
    (logs / "notes.bin").write_bytes(b"\x07\x01 no log")
    rows.append(["v14_99.mcap", "v14", "peg-in-hole", "success", "wood"])
    with (folder / "trials.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Log", "Model", "Task", "Result", "Plate"])
        writer.writerows(rows)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Usage: make_logs.py FOLDER")
    make(Path(sys.argv[1]))
