"""Does the episode page show the right picture at every moment, and how soon can a person work? See PROTOCOL.md."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks._coded import EYES, Eye, coded_episode, read
from benchmarks.harness import Figure, Measured, at_least, at_most, exactly, shown
from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Episode, Recording
from saqiya.domain.streams import EpisodeLog, Stream
from saqiya.domain.words import Rank
from saqiya.formats.mcap.log import McapFormat
from saqiya.ingest.describe import episode_of, media_of
from saqiya.loop.flywheel import Flywheel
from saqiya.stores.streams import encode

__all__ = ["run"]

COMMAND = "make bench ONLY=replay"
SEED = 20261121
CHROMIUM = "/usr/bin/chromium"
NAME, PASSWORD = "ann", "a few unrelated words"
SETTLED = ".episode[data-ready=yes][data-settled=true]"
SPIKES_N = 100
HOUR_EYE = (Eye("camera/front", 5.0, 0.3, {"g": "50", "bf": "0"}, (144, 108)),)


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield exactness, seconds and milliseconds."""
    seconds, hour_s = (8.0, 120.0) if quick else (60.0, 3600.0)
    seeks, openings = (6, 2) if quick else (100, 10)
    with tempfile.TemporaryDirectory(prefix="saqiya-replay-") as name:
        root = Path(name)
        minute = coded_episode(seed=SEED, seconds=seconds, streams=20)
        hour = spiked(coded_episode(seed=SEED + 1, seconds=hour_s, streams=20, eyes=HOUR_EYE))
        refs = taken_in(root / "workspace", root, minute, hour)
        yield from _spikes(root / "workspace", refs[1], hour)
        yield from _pictures(root / "workspace", refs[0], seeks)
        with served(root / "workspace") as address, browser() as made:
            yield from _hour(made, address, refs[1])
            yield from _minute(made, address, refs[0], openings)
            yield from _seeks(made, address, refs[0], minute, seeks)
            yield from _playing(made, address, refs[0])


def spiked(log: EpisodeLog) -> EpisodeLog:
    """Set far rows of one stream to twice its range, each to a value of its own."""
    stream = log.streams["observation/joint_0"]
    values = stream.values.copy()
    at = np.linspace(1000, len(values) - 1000, SPIKES_N).astype(int) + 7
    values[at, 0] = 4.0 + np.arange(SPIKES_N) / 1000
    return replace(log, streams={**log.streams, "observation/joint_0": Stream(stream.t_ns, values, unit="rad")})


def taken_in(workspace: Path, folder: Path, minute: EpisodeLog, hour: EpisodeLog) -> tuple[str, str]:
    """Make a workspace that holds both logs, and return their episodes."""
    with Flywheel.init(workspace) as wheel:
        McapFormat().write(minute, folder / "minute.mcap")
        (episode,) = wheel.ingest([folder / "minute.mcap"]).episodes
        wheel.staff.add(NAME, Rank.ADMIN, password=PASSWORD, by="benchmark")
        return episode.id, _stored(wheel, hour).id


def _stored(wheel: Flywheel, log: EpisodeLog) -> Episode:
    """Put a log into the store as ingest leaves it: writing and reading millions of messages is not measured."""
    store, digest = wheel.store, digest_of(log.key.encode())
    held = {name: store.objects.put(bytes(video.data)) for name, video in log.videos.items()}
    media = tuple(media_of(name, log.videos[name].track, digest=one, ours=True) for name, one in held.items())
    recording = Recording(
        id=store.catalog.new_id("recording"), digest=digest, format="made", name=log.key, size_bytes=1
    )
    episode = episode_of(
        log,
        log.span,
        id=store.catalog.new_id("episode"),
        recording=recording.id,
        streams=store.objects.put(
            encode(log.streams, {name: (log.videos[name].track, one) for name, one in held.items()})
        ),
        media=media,
        policy=None,
    )
    store.catalog.put_all([(recording, "recording/hour"), (episode, "episode/hour")])
    return episode


@contextmanager
def served(workspace: Path) -> Iterator[str]:
    """Serve a workspace from a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as place:
        port = place.getsockname()[1]
    child = subprocess.Popen([sys.executable, "-m", "benchmarks.replay", str(workspace), str(port)])
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait()


@contextmanager
def browser() -> Iterator[Any]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield made
        made.close()


def opened(made: Any, address: str) -> Any:  # noqa: ANN401 - Playwright's page
    """Return a page in a context that has cached nothing, signed in."""
    page = made.new_context(viewport={"width": 1280, "height": 900}).new_page()
    answer = page.request.post(f"{address}/api/v1/session", data={"name": NAME, "password": PASSWORD})
    assert answer.ok, answer.text()
    return page


def _spikes(workspace: Path, ref: str, hour: EpisodeLog) -> Iterator[Figure]:
    stream = hour.streams["observation/joint_0"]
    last_ns = hour.span.end_ns - hour.span.start_ns
    with Flywheel(workspace) as wheel:
        found = wheel.replay.series(ref, "observation/joint_0", start_ns=0, end_ns=last_ns, points=1000)
    column = stream.values[:, 0].astype(np.float64)
    wanted = column[column > 3.0]
    stride = column[:: int(np.ceil(len(column) / 1000))]
    # Two spikes in one stretch share its greatest value: a spike is seen where its stretch is as high as it is.
    at = found.t_ns.searchsorted(stream.t_ns[column > 3.0] - hour.span.start_ns, "right") - 1
    ours = float((found.high[at, 0] >= wanted).sum())
    yield at_least("replay.spikes", exactly(ours), SPIKES_N, command=COMMAND)
    yield shown("replay.spikes.every_nth_row", exactly(float(np.isin(wanted, stride).sum())), command=COMMAND)


def _pictures(workspace: Path, ref: str, count: int) -> Iterator[Figure]:
    rng = np.random.default_rng(SEED)
    with Flywheel(workspace) as wheel:
        for eye in EYES:
            n = len(wheel.replay.stamps(ref, eye.name))
            for label, order in (
                ("random", rng.integers(0, n, min(count, 40)).tolist()),
                ("in_order", range(min(n, count))),
            ):
                wheel.replay.frame(ref, eye.name, 0)
                took = []
                for index in order:
                    began = time.perf_counter()
                    wheel.replay.frame(ref, eye.name, index)
                    took.append((time.perf_counter() - began) * 1e3)
                name = eye.name.removeprefix("camera/")
                yield shown(f"replay.picture_ms.{name}.{label}", _spread(took), command=COMMAND)


def _hour(made: Any, address: str, ref: str) -> Iterator[Figure]:  # noqa: ANN401 - Playwright's browser
    for label in ("first", "later"):
        seconds, _ = _opening(made, address, ref)
        yield at_most(f"replay.hour.{label}_s", Measured(seconds, seconds, seconds, 1), 2.0, command=COMMAND)


def _minute(made: Any, address: str, ref: str, count: int) -> Iterator[Figure]:  # noqa: ANN401
    before = _cpu_s()
    took = [_opening(made, address, ref) for _ in range(count)]
    cpu_s = (_cpu_s() - before) / count
    yield at_most("replay.interactive_s", _spread([one for one, _ in took]), 1.0, command=COMMAND)
    yield shown("replay.opening_cpu_s", exactly(cpu_s), command=COMMAND)
    yield shown("replay.load_average", exactly(os.getloadavg()[0]), command=COMMAND)
    yield shown("replay.interactive_s.slowest", exactly(max(one for one, _ in took)), command=COMMAND)
    yield shown("replay.all_plots_s", _spread([whole for _, whole in took]), command=COMMAND)


def _cpu_s() -> float:
    """Return the processor seconds of this process and all that descend from it: server, browser and its driver."""
    rows = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parts = stat.read_text().rpartition(")")[2].split()
            rows[int(stat.parent.name)] = (int(parts[1]), sum(map(int, parts[11:15])))
    own = {os.getpid()}
    for _ in range(8):
        own |= {pid for pid, (parent, _) in rows.items() if parent in own}
    return sum(rows[pid][1] for pid in own) / os.sysconf("SC_CLK_TCK")


def _opening(made: Any, address: str, ref: str) -> tuple[float, float]:  # noqa: ANN401
    """Open a page and step once; return the seconds until then, and until every plot is drawn."""
    page = opened(made, address)
    began = time.perf_counter()
    page.goto(f"{address}/episodes/{ref}?t=1", wait_until="commit")
    page.wait_for_selector(SETTLED, timeout=60_000)
    before = page.get_attribute(".episode", "data-t-ns")
    page.keyboard.press(".")
    page.wait_for_function("was => document.querySelector('.episode').dataset.tNs !== was", arg=before)
    seconds = time.perf_counter() - began
    page.wait_for_selector(".episode[data-whole=yes]", timeout=60_000)
    whole = time.perf_counter() - began
    page.context.close()
    return seconds, whole


def _seeks(made: Any, address: str, ref: str, log: EpisodeLog, count: int) -> Iterator[Figure]:  # noqa: ANN401
    from PIL import Image

    rng = np.random.default_rng(SEED)
    stamps = {eye.name: log.videos[eye.name].track.t_ns - log.span.start_ns for eye in EYES}
    page = opened(made, address)
    page.goto(f"{address}/episodes/{ref}")
    page.wait_for_selector(SETTLED)
    box = page.locator("#bands canvas").bounding_box()
    exact, guessed, took = 0, 0, []
    for x in rng.uniform(66, box["width"] - 14, count).tolist():
        began = time.perf_counter()
        page.mouse.click(box["x"] + x, box["y"] + 24)
        page.wait_for_selector(SETTLED)
        took.append((time.perf_counter() - began) * 1e3)
        t_ns = int(page.get_attribute(".episode", "data-t-ns"))
        right, rounded = [], []
        photo = np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
        for eye in EYES:
            part = page.locator(f'.cam[data-camera="{eye.name}"] canvas').bounding_box()
            left, top = round(part["x"]), round(part["y"])
            number = read(photo[top : top + round(part["height"]), left : left + round(part["width"])])
            wanted = _index(stamps[eye.name], t_ns)
            right.append(number == wanted)
            rounded.append(_by_rate(stamps[eye.name], t_ns) == wanted)
        exact, guessed = exact + all(right), guessed + all(rounded)
    yield at_least("replay.exact_seeks", exactly(float(exact)), count, command=COMMAND)
    yield shown("replay.exact_seeks.time_x_rate", exactly(float(guessed)), command=COMMAND)
    yield shown("replay.seek_ms", _spread(took), command=COMMAND)
    page.context.close()


def _index(stamps: NDArray[np.int64], t_ns: int) -> int:
    return max(0, int(np.searchsorted(stamps, t_ns, "right")) - 1)


def _by_rate(stamps: NDArray[np.int64], t_ns: int) -> int:
    rate = (len(stamps) - 1) / float(stamps[-1] - stamps[0])
    return int(np.clip(np.floor((t_ns - stamps[0]) * rate), 0, len(stamps) - 1))


SAMPLE = """(stamps) => new Promise((done) => {
  const page = document.querySelector(".episode"), began = performance.now(), found = [];
  const look = (now) => {
    for (const [name, own] of Object.entries(stamps)) {
      const figure = document.querySelector(`.cam[data-camera="${name}"]`);
      if (!figure.classList.contains("rolling")) continue;
      const t = Number(page.dataset.tNs);
      found.push(Number(figure.dataset.index) - Math.max(0, own.filter((one) => one <= t).length - 1));
    }
    if (now - began < 10000) requestAnimationFrame(look); else done(found);
  };
  requestAnimationFrame(look);
})"""


def _playing(made: Any, address: str, ref: str) -> Iterator[Figure]:  # noqa: ANN401
    page = opened(made, address)
    page.goto(f"{address}/episodes/{ref}?t=1")
    page.wait_for_selector(SETTLED)
    stamps = {}
    for eye in EYES:
        answer = page.request.get(f"{address}/api/v1/episodes/{ref}/stamps", params={"camera": eye.name})
        stamps[eye.name] = answer.json()["t_ns"]
    page.keyboard.press(" ")
    page.wait_for_timeout(1500)
    off = np.abs(np.array(page.evaluate(SAMPLE, stamps)))
    page.context.close()
    if off.size:
        yield shown("replay.playing.within_one_picture", exactly(float((off <= 1).mean())), command=COMMAND)
        yield shown("replay.playing.pictures_off_p95", exactly(float(np.quantile(off, 0.95))), command=COMMAND)


def _spread(values: list[float]) -> Measured:
    """Return the median with the distribution-free 95 % interval of a median."""
    rows = np.sort(values)
    reach = 0.98 * np.sqrt(len(rows))
    low, high = (int(np.clip(len(rows) / 2 + side * reach, 0, len(rows) - 1)) for side in (-1, 1))
    return Measured(float(np.median(rows)), float(rows[low]), float(rows[high]), len(rows))


def _serve(workspace: str, port: str) -> None:
    import uvicorn

    from saqiya.server.app import create_app
    from saqiya.server.settings import ServerSettings

    with Flywheel(workspace) as wheel:
        app = create_app(wheel, ServerSettings(secret=bytes(range(32)), port=int(port)))
        uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="error", access_log=False)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
