"""Marks of what repeats: kept with distance and spacing, found once, used again, and weighed down in every mix."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from saqiya import Flywheel
from saqiya.domain.nouns import DatasetVersion, Duplicate, Episode
from saqiya.domain.streams import Stream
from saqiya.formats.mcap.log import McapFormat
from saqiya.testing import make_episode


def slower(log, n):
    """The same try in n samples more or fewer, in single precision, at another hour."""
    made = {}
    for name, stream in log.streams.items():
        rows = np.linspace(0, len(stream.t_ns) - 1, len(stream.t_ns) + n)
        flat = stream.values.reshape(len(stream.t_ns), -1)
        values = np.stack([np.interp(rows, np.arange(len(flat)), column) for column in flat.T], axis=1)
        t_ns = np.interp(rows, np.arange(len(flat)), stream.t_ns).astype(np.int64) + 10**12
        made[name] = Stream(t_ns, values.astype(np.float32).reshape(len(rows), *stream.values.shape[1:]))
    return dataclasses.replace(log, streams=made, events=())


def sampled(seed):
    """A try whose way is smooth, as a robot's is."""
    rng = np.random.default_rng(seed)
    corners, t = rng.uniform(-0.3, 0.3, (6, 3)), np.linspace(0.0, 5.0, 60)
    place = np.stack([np.interp(t, np.arange(6), column) for column in corners.T], axis=1)
    rows = {"observation/state": place, "action/executed": np.diff(place, axis=0, append=place[-1:])}
    t_ns = np.arange(60, dtype=np.int64) * 50_000_000
    streams = {name: Stream(t_ns.copy(), values) for name, values in rows.items()}
    return dataclasses.replace(make_episode(seed=seed), streams=streams, events=())


@pytest.fixture
def lab(tmp_path):
    with Flywheel.init(tmp_path / "lab") as wheel:
        yield wheel


def take_in(wheel, tmp_path, logs, **facts):
    """Ingest logs, each in a file of its own, and return the episodes in the order in which they came."""
    number = len(list(tmp_path.glob("*.mcap")))
    for log in logs:
        path = tmp_path / f"{number:03}.mcap"
        McapFormat().write(log, path)
        wheel.data.ingest([path], facts=facts)
        number += 1
    return sorted(wheel.store.catalog.all(Episode), key=lambda one: one.id)


def marks(wheel):
    return [(one.episode, one.of, one.how) for one in wheel.store.catalog.all(Duplicate)]


def test_a_copy_is_marked_once_with_what_it_was_judged_by(lab, tmp_path):
    episodes = take_in(lab, tmp_path, [*map(sampled, range(12)), slower(sampled(4), 9)])
    found = lab.pump.duplicates()
    assert (found.tries_n, found.fresh, found.alone) == (13, 1, ())
    (mark,) = found.marks
    assert (mark.episode, mark.of, mark.how) == (episodes[12].id, episodes[4].id, "near")
    assert 0.0 <= mark.distance < mark.spacing / 3
    again = lab.pump.duplicates()
    assert (again.marks, again.fresh) == (found.marks, 0)
    assert len(marks(lab)) == 1


def test_new_data_uses_the_marks_there_are(lab, tmp_path):
    episodes = take_in(lab, tmp_path, [*map(sampled, range(8)), slower(sampled(1), 9)])
    before = lab.pump.duplicates()
    episodes = take_in(lab, tmp_path, [sampled(20), slower(sampled(1), -9), slower(sampled(20), 5)])
    after = lab.pump.duplicates()
    assert [(one.episode, one.of) for one in after.marks] == [
        (episodes[8].id, episodes[1].id),
        (episodes[10].id, episodes[1].id),
        (episodes[11].id, episodes[9].id),
    ]
    assert (before.fresh, after.fresh) == (1, 2)


def test_equal_numbers_are_exact_copies_whatever_else_differs(lab, tmp_path):
    take_in(lab, tmp_path, [sampled(0), sampled(1)])
    first = lab.store.catalog.all(Episode)[0]
    twin = dataclasses.replace(first, id=lab.store.catalog.new_id("episode"), task="another", site="elsewhere")
    lab.store.catalog.put(twin, key="another site's copy")
    assert [(one.episode, one.of, one.how, one.distance) for one in lab.pump.duplicates().marks] == [
        (twin.id, first.id, "exact", 0.0)
    ]


def test_sites_and_tasks_are_compared_and_embodiments_are_not(lab, tmp_path):
    for seed, facts in ((2, {"site": "b", "task": "pour"}), (3, {"embodiment": "another arm"})):
        log = slower(sampled(seed), 7)
        other = dataclasses.replace(log, metadata={**log.metadata, **facts})
        episodes = take_in(lab, tmp_path, [*([] if seed == 3 else map(sampled, range(8))), other])
    assert [(m.episode, m.of) for m in lab.pump.duplicates().marks] == [(episodes[8].id, episodes[2].id)]


def test_only_what_is_named_is_compared(lab, tmp_path):
    episodes = take_in(lab, tmp_path, [*map(sampled, range(8)), slower(sampled(4), 9)])
    assert lab.pump.duplicates([one.id for one in episodes[:4]]).marks == ()
    found = lab.pump.duplicates([one.id for one in episodes[3:]])
    assert [(m.episode, m.of) for m in found.marks] == [(episodes[8].id, episodes[4].id)]


def test_a_mix_gives_a_group_the_weight_of_one_and_keeps_every_episode(lab, tmp_path):
    episodes = take_in(lab, tmp_path, [*map(sampled, range(8)), slower(sampled(4), 9), slower(sampled(4), -7)])
    ids = [one.id for one in episodes]
    plain = lab.data.version("plain", ids)
    assert {entry.weight for entry in plain.entries} == {1.0}
    lab.pump.duplicates()
    weighed = lab.data.version("weighed", ids)
    weight = {entry.episode: entry.weight for entry in weighed.entries}
    assert list(weight) == ids
    assert sum(weight[one] for one in (ids[4], ids[8], ids[9])) == pytest.approx(1.0)
    assert {weight[one] for one in ids if one not in (ids[4], ids[8], ids[9])} == {1.0}
    assert weighed.manifest_hash == lab.data.version("again", ids[::-1]).manifest_hash != plain.manifest_hash
    lab.pump.duplicates()
    assert lab.data.version("weighed", ids) == lab.store.catalog.get("dataset/weighed", DatasetVersion)
    alone = lab.data.version("without the others", ids[:8])
    assert {entry.weight for entry in alone.entries} == {1.0}


def test_the_command_says_what_repeats(lab, tmp_path):
    take_in(lab, tmp_path, [*map(sampled, range(8)), slower(sampled(4), 9)])

    def saqiya(*words):
        command = [sys.executable, "-m", "saqiya", "duplicates", "-w", str(lab.store.root), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = saqiya()
    assert (done.returncode, done.stdout.split(".")[0]) == (
        0,
        "1 of 9 episodes repeat an earlier one (0 exactly, 1 nearly; 1 newly marked)",
    )
    told = json.loads(saqiya("--json").stdout)
    assert (told["tries_n"], told["fresh"], [one["how"] for one in told["marks"]]) == (9, 0, ["near"])
