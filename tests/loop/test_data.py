"""What a lab without a wheel does with its logs: each verb once more says the same, and says what it did."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from saqiya import Flywheel
from saqiya.cli.show import Live
from saqiya.domain.nouns import Cut, Episode
from saqiya.domain.streams import Event, Stream
from saqiya.errors import ConfigError, UsageError
from saqiya.formats.mcap.log import McapFormat
from saqiya.ingest.cut_rules import rules_from
from saqiya.loop.config import has_wheel
from saqiya.loop.standing import holdings
from saqiya.testing import make_episode

RULES = {"start": [{"event": "say", "detail": "go"}], "end": [{"event": "say", "detail": "done", "outcome": "success"}]}


@pytest.fixture
def lab(tmp_path):
    with Flywheel.init(tmp_path / "lab") as wheel:
        yield wheel


def a_day(path, *, tries=3):
    """Write a log of a minute with some tries of five seconds."""
    t_ns = np.arange(1200, dtype=np.int64) * 50_000_000
    force_ns = np.arange(4800, dtype=np.int64) * 12_500_000
    draw = np.random.default_rng(0)
    streams = {
        "observation/state": Stream(t_ns, draw.normal(size=(1200, 3))),
        "action/executed": Stream(t_ns.copy(), draw.normal(size=(1200, 3))),
        "contact/force": Stream(force_ns, draw.normal(size=(4800, 1))),
    }
    said = [(5 + 10 * n, "go") for n in range(tries)] + [(10 + 10 * n, "done") for n in range(tries)]
    events = tuple(Event(at * 10**9, "say", word) for at, word in sorted(said))
    log = replace(make_episode(), key="day", streams=streams, events=events, metadata={"task": "t"})
    McapFormat().write(log, path)
    return path


def test_the_same_cut_again_is_the_cut_that_is_there(lab, tmp_path):
    day = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    rules = rules_from(RULES)
    _, _, cutting = lab.data.cut(day.id, rules)
    first = lab.data.keep_cut(day, rules, cutting)
    assert lab.data.keep_cut(day, rules, cutting) == first
    assert len(lab.store.catalog.all(Episode)) == 1 + 3
    wider = rules_from({**RULES, "limits": {"pre_s": 1.0}})
    other = lab.data.keep_cut(day, wider, lab.data.cut(day.id, wider)[2])
    assert (other.supersedes, len(lab.store.catalog.all(Cut))) == (first.id, 3)
    assert lab.data.keep_cut(day, rules, cutting).supersedes == other.id


def test_tries_that_were_cut_out_go_out_as_robomimic(lab, tmp_path):
    day = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    rules = rules_from(RULES)
    made = lab.data.keep_cut(day, rules, lab.data.cut(day.id, rules)[2])
    lab.data.export(made.episodes, tmp_path / "out.hdf5", form="robomimic")
    whole = lab.store.log(day).streams["action/executed"]
    with h5py.File(tmp_path / "out.hdf5") as file:
        inside = (whole.t_ns >= made.spans[1].start_ns) & (whole.t_ns < made.spans[1].end_ns)
        assert np.array_equal(file["data/demo_1/actions"], whole.values[inside])


@pytest.mark.parametrize("form", ["lerobot", "robomimic"])
def test_streams_that_take_anothers_rate_are_counted(lab, tmp_path, form):
    pytest.importorskip("pyarrow")
    episode = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    lab.data.export([episode.id], tmp_path / "mcap", form="mcap")
    assert lab.data.tax().resampled == 0
    made = lab.data.export([episode.id], tmp_path / "out", form=form)
    assert lab.data.tax().resampled == 1, made.notes


def test_an_export_is_told_once(lab, tmp_path, capfd):
    episode = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    lab.progress = Live(quiet=False)
    lab.data.export([episode.id], tmp_path / "out", form="mcap")
    assert capfd.readouterr().err.splitlines() == ["export 0/1", "export 1/1"]


def test_an_export_comes_in_again_without_a_rejection(lab, tmp_path):
    episode = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    lab.data.export([episode.id], tmp_path / "out", form="mcap")
    back = lab.data.ingest([tmp_path / "out"])
    assert (len(back.aliases), back.rejections, back.ignored) == (1, (), 1)


def test_a_workspace_for_data_alone_says_what_it_holds_and_that_it_has_no_wheel(lab, tmp_path):
    assert holdings(lab).next.startswith("saqiya ingest")
    episode = lab.data.ingest([a_day(tmp_path / "day.mcap")]).episodes[0]
    assert holdings(lab).next.startswith("saqiya mix")
    lab.data.version("first", [episode.id])
    found = holdings(lab)
    assert (found.episodes, found.recordings, found.versions) == (1, 1, ("dataset/first",))
    with pytest.raises(ConfigError, match="for data alone"):
        _ = lab.config


def test_a_wheel_is_added_to_what_is_said_of_the_store(tmp_path):
    root = tmp_path / "lab"
    Flywheel.init(root).close()
    said = "[store]\ncache_bytes = 123456789\n"
    (root / "saqiya.toml").write_text(said)
    assert not has_wheel(root / "saqiya.toml")
    with Flywheel.init(root, site="tiny", trainer="ridge") as wheel:
        assert (wheel.config.store.cache_bytes, wheel.config.site.name) == (123456789, "tiny")
    assert has_wheel(root / "saqiya.toml")
    with pytest.raises(UsageError):
        Flywheel.init(root, site="tiny", trainer="ridge")
