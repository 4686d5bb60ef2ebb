"""Runs other people's software beside ours, each in an environment of its own (`make peers`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

__all__ = ["ask", "peer_python", "start"]

HERE = Path(__file__).parent


def peer_python(peer: str = "lerobot") -> Path:
    """Return the Python that has a peer: under `.peers` beside the project, or as $SAQIYA_PEERS_PYTHON names it.

    LeRobot 0.6.1 and Rerun 0.41 cap different versions of torch, so each has an environment of its own; Rerun's is
    named by $SAQIYA_PEERS_RERUN.

    Raises:
        SystemExit: neither is there.
    """
    switch = {"lerobot": "SAQIYA_PEERS_PYTHON", "rerun": "SAQIYA_PEERS_RERUN"}[peer]
    named = os.environ.get(switch)  # noqa: TID251 - a benchmark's own switch
    found = Path(named) if named else HERE.parents[1] / ".peers" / peer / "bin" / "python"
    if not found.exists():
        raise SystemExit(f"the environment of {peer} is missing: make peers PYTHON312=python3.12")
    return found


def start(script: str, *arguments: object, peer: str = "lerobot") -> subprocess.Popen[str]:
    """Start a script of this folder under a peer's Python, in a process group of its own."""
    return subprocess.Popen(
        [str(peer_python(peer)), str(HERE / f"{script}.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},  # noqa: TID251 - passed on
    )


def ask(script: str, *arguments: object, peer: str = "lerobot") -> dict[str, float]:
    """Run a script to its end and return the JSON object that its last line is.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
    """
    process = start(script, *arguments, peer=peer)
    try:
        out, err = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode:
        raise RuntimeError(f"{script} failed under {peer_python(peer)}: {err[-2000:]}")
    answer: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return answer
