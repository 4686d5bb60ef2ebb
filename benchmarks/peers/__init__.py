"""Runs other people's software beside ours, each in an environment of its own (`make peers`)."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

__all__ = ["ask", "peer_python", "start"]

HERE = Path(__file__).parent


def peer_python() -> Path:
    """Return the Python that has LeRobot 0.6.1: `.peers` beside the project, or $SAQIYA_PEERS_PYTHON.

    Raises:
        SystemExit: neither is there.
    """
    named = os.environ.get("SAQIYA_PEERS_PYTHON")  # noqa: TID251 - a benchmark's own switch
    found = Path(named) if named else HERE.parents[1] / ".peers" / "bin" / "python"
    if not found.exists():
        raise SystemExit("LeRobot's environment is missing: make peers PYTHON312=python3.12")
    return found


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a script of this folder under the peers' Python, in a process group of its own."""
    return subprocess.Popen(
        [str(peer_python()), str(HERE / f"{script}.py"), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"},  # noqa: TID251 - passed on
    )


def ask(script: str, *arguments: object) -> dict[str, float]:
    """Run a script to its end and return the JSON object that its last line is.

    Raises:
        RuntimeError: it failed; with the end of what it wrote.
    """
    process = start(script, *arguments)
    try:
        out, err = process.communicate()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    if process.returncode:
        raise RuntimeError(f"{script} failed under {peer_python()}: {err[-2000:]}")
    answer: dict[str, float] = json.loads(out.strip().splitlines()[-1])
    return answer
