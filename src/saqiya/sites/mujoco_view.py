"""Draw a MuJoCo scene offscreen in a child process.

A process of its own, because a GL library can be chosen only once in a process, must be chosen before others load
theirs, and ends the process when it crashes. `View` is the parent's half; this module run as a script is the child's.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector
from saqiya.errors import SiteFault

__all__ = ["AZIMUTH_DEG", "View"]

BACKENDS = ("egl", "osmesa")
READY = b"ready\n"
LOOK_AT_M, DISTANCE_M, AZIMUTH_DEG, ELEVATION_DEG = (0.0, 0.72, 0.12), 1.15, 215.0, -25.0
REMEDY = "Install one of them (Debian: apt-get install libegl1 libgl1-mesa-dri, or libosmesa6) to get pictures."


class View:
    """Draws one model at one size; `draw` takes joint positions and where the site named "goal" is."""

    def __init__(self, model_path: str, *, height: int, width: int) -> None:
        """Start the child with the first GL library that works.

        Raises:
            SiteFault: none works here.
        """
        self.size = (height, width)
        failures = []
        for backend in BACKENDS:
            self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the child
            self._child = subprocess.Popen(  # noqa: S603 - our own module with our own words
                [sys.executable, "-m", __name__, backend, model_path, str(height), str(width)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
            )
            assert self._child.stdin is not None
            assert self._child.stdout is not None
            self._in, self._out = self._child.stdin, self._child.stdout
            if self._out.readline() == READY:
                return
            failures.append(f"{backend}: {self._last_error()}")
            self.close()
        raise SiteFault(f"no offscreen GL works here ({'; '.join(failures)})", subject="render", remedy=REMEDY)

    def draw(self, qpos: Vector, goal: Vector) -> NDArray[np.uint8]:
        """Return uint8 (height, width, 3) RGB, top row first.

        Raises:
            SiteFault: the child died.
        """
        height, width = self.size
        try:
            self._in.write(np.concatenate((qpos, goal)).astype(np.float64).tobytes())
            self._in.flush()
            raw = self._out.read(height * width * 3)
        except BrokenPipeError:
            raw = b""
        if len(raw) < height * width * 3:
            raise SiteFault(f"the drawing process died ({self._last_error()})", subject="render", remedy=REMEDY)
        return np.frombuffer(raw, np.uint8).reshape(height, width, 3).copy()

    def close(self) -> None:
        """End the child: it stops when its input closes."""
        with contextlib.suppress(BrokenPipeError):  # it died before it read its last input
            self._in.close()
        self._child.wait()
        self._out.close()
        self._errors.close()

    def _last_error(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"exit status {self._child.poll()}"


def _serve(backend: str, model_path: str, height: int, width: int) -> None:
    """Be the child: read joint positions and goal, write pixels, until the input ends."""
    import importlib

    import mujoco

    model = mujoco.MjModel.from_xml_path(model_path)
    data = mujoco.MjData(model)
    model.vis.global_.offheight, model.vis.global_.offwidth = height, width
    model.vis.quality.offsamples = 0  # multisampling and shadows make a software renderer ten times slower
    context: Any = importlib.import_module(f"mujoco.{backend}").GLContext(width, height)
    context.make_current()
    draw = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, draw)
    scene, option, camera = mujoco.MjvScene(model, 1000), mujoco.MjvOption(), mujoco.MjvCamera()
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_REFLECTION, mujoco.mjtRndFlag.mjRND_SKYBOX):
        scene.flags[flag] = 0
    camera.lookat[:], camera.distance = LOOK_AT_M, DISTANCE_M
    camera.azimuth, camera.elevation = AZIMUTH_DEG, ELEVATION_DEG
    pixels, area = np.empty((height, width, 3), np.uint8), mujoco.MjrRect(0, 0, width, height)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(READY)
    sink.flush()
    size = (model.nq + 3) * 8
    while len(raw := source.read(size)) == size:
        values = np.frombuffer(raw)
        data.qpos[:], model.site("goal").pos = values[:-3], values[-3:]
        mujoco.mj_kinematics(model, data)
        mujoco.mj_camlight(model, data)
        mujoco.mjv_updateScene(model, data, option, None, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
        mujoco.mjr_render(area, scene, draw)
        mujoco.mjr_readPixels(pixels, None, area, draw)
        sink.write(pixels[::-1].tobytes())  # GL's first row is the lowest
        sink.flush()
    draw.free()
    context.free()


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
