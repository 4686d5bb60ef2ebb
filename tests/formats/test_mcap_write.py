"""A shipped folder of MCAP files reads back to the same episodes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saqiya.domain.contracts import Shipped
from saqiya.domain.streams import EpisodeLog
from saqiya.formats.mcap.log import McapFormat
from saqiya.formats.mcap.write import McapWriter
from saqiya.formats.shipping import file_name
from saqiya.testing import make_episode, make_video
from saqiya.testing.formats import _check_equal


def quiet(what: str, done: int, of: int) -> None:
    pass


def test_a_folder_of_logs_reads_back(tmp_path: Path) -> None:
    logs = [
        replace(make_episode(seed=seed), key=f"day/{seed}", videos={"camera/a": make_video(seed=seed, form="avcc")})
        for seed in range(3)
    ]
    notes = McapWriter().write_all(
        (Shipped(f"u{n}", log) for n, log in enumerate(logs)), tmp_path / "out", settings={}, progress=quiet
    )
    assert notes == ()
    listed = json.loads((tmp_path / "out" / "episodes.json").read_text())["episodes"]
    for log, one in zip(logs, listed, strict=True):
        (back,) = McapFormat().read(tmp_path / "out" / one["file"])
        assert isinstance(back, EpisodeLog)
        _check_equal(log, back)


def test_a_camera_that_will_not_play_is_told(tmp_path: Path) -> None:
    log = replace(make_episode(), videos={"camera/a": make_video(reordered=True)})
    notes = McapWriter().write_all([Shipped("u", log)], tmp_path / "out", settings={}, progress=quiet)
    assert notes == (
        f"{log.key}: camera/a is kept but will not play: it has B-frames, and packets are shown in the order in which "
        "they come",
    )


@given(st.lists(st.text(max_size=120), min_size=1, max_size=8))
def test_any_key_gives_a_safe_name_of_its_own(keys: list[str]) -> None:
    taken: set[str] = set()
    names = [file_name(key, ".mcap", taken) for key in keys]
    assert len({name.lower() for name in names}) == len(keys)
    for name in names:
        assert Path(name).name == name
        assert not name.startswith((".", "-"))
        assert name.isascii()
        assert len(name) < 120


@pytest.mark.parametrize("key", ["../../etc/passwd", "/abs", "..", "", "NUL", "a\0b", "x" * 5000, "~", "*"])
def test_no_key_leaves_the_folder(key: str, tmp_path: Path) -> None:
    McapWriter().write_all(
        [Shipped("u", replace(make_episode(steps=3), key=key))], tmp_path / "out", settings={}, progress=quiet
    )
    (path,) = (tmp_path / "out").glob("*.mcap")
    (back,) = McapFormat().read(path)
    assert back.key == key
