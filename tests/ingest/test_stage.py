from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from saqiya.domain.nouns import Alias, Episode, Policy, Recording, Rejection
from saqiya.domain.streams import EpisodeLog, Event, Stream
from saqiya.errors import GuardRefusal
from saqiya.formats.mcap.log import McapFormat
from saqiya.ingest.cut_rules import rules_from
from saqiya.loop.flywheel import Flywheel
from saqiya.testing import make_episode, make_video


@pytest.fixture
def wheel(fresh, new_wheel):
    with Flywheel(new_wheel(fresh / "wheel")) as opened:
        yield opened


@pytest.fixture
def logs(fresh):
    folder = fresh / "logs"
    folder.mkdir()
    return folder


def log(path, seed, *, rows=40, **metadata):
    rng = np.random.default_rng(seed)
    t_ns = np.arange(rows, dtype=np.int64) * 50_000_000
    streams = {
        "observation/q": Stream(t_ns, rng.normal(size=(rows, 3))),
        "action/executed": Stream(t_ns, rng.normal(size=(rows, 2))),
    }
    McapFormat().write(EpisodeLog(path.stem, streams, (), metadata), path)
    return path


def as_hdf5(mcap, path):
    (read,) = McapFormat().read(mcap)
    with h5py.File(path, "w") as file:
        file["data/demo_0/obs/q"] = read.streams["observation/q"].values
        file["data/demo_0/actions"] = read.streams["action/executed"].values
    return path


def counts(wheel):
    return wheel.store.catalog.count()


def test_a_log_becomes_recording_episode_and_claim(wheel, logs):
    log(logs / "run.mcap", 1, outcome="success", task="carry", operator="op-1")
    (episode,) = wheel.ingest([logs]).episodes
    assert (episode.task, episode.operator, episode.steps) == ("carry", "op-1", 40)
    assert counts(wheel) == {"audit": 1, "episode": 1, "outcome_claim": 1, "recording": 1}
    recording = wheel.store.catalog.get(episode.recordings[0], Recording)
    assert recording.digest == recording.object
    assert recording.size_bytes == (logs / "run.mcap").stat().st_size


def test_a_log_that_says_nothing_of_its_outcome_makes_no_claim(wheel, logs):
    log(logs / "run.mcap", 1)
    wheel.ingest([logs])
    assert counts(wheel) == {"audit": 1, "episode": 1, "recording": 1}


def test_bad_files_become_rejections_that_say_why_and_the_good_go_on(wheel, logs):
    good = log(logs / "a.mcap", 1).read_bytes()
    log(logs / "z.mcap", 2)
    (logs / "empty.mcap").touch()
    (logs / "cut.mcap").write_bytes(good[: len(good) // 2])
    (logs / "corrupt.mcap").write_bytes(good[:200] + bytes(100) + good[300:])
    (logs / "foreign.bin").write_bytes(b"\x00\x01 nobody knows")
    (logs / "foreign.hdf5").write_bytes(b"not hdf5 at all")
    (logs / "notes.md").write_text("a document")
    found = wheel.ingest([logs, logs / "missing.mcap"])
    assert (len(found.episodes), found.ignored) == (2, 1)
    said = {item.name.rsplit("/", 1)[-1]: item for item in found.rejections}
    assert set(said) == {"empty.mcap", "cut.mcap", "corrupt.mcap", "foreign.bin", "foreign.hdf5", "missing.mcap"}
    assert all(item.reason and item.remedy and item.digest for item in said.values())
    assert "empty" in said["empty.mcap"].reason
    assert "truncated" in said["cut.mcap"].reason
    assert "saqiya record recover" in said["cut.mcap"].remedy
    assert "no known format" in said["foreign.bin"].reason
    assert wheel.verify().lies == ()


@pytest.mark.parametrize(
    ("facts", "said"),
    [({"source": "dream"}, "its source is 'dream'"), ({"start": {"seed": "soon"}}, "its start is no seed")],
)
def test_a_log_that_says_nonsense_of_itself_is_rejected_with_the_words_it_may_say(wheel, logs, facts, said):
    log(logs / "bad.mcap", 1, **facts)
    log(logs / "good.mcap", 2)
    found = wheel.ingest([logs])
    assert len(found.episodes) == 1
    assert said in found.rejections[0].reason
    assert found.rejections[0].remedy


def test_ingesting_twice_changes_nothing(wheel, logs):
    as_hdf5(log(logs / "run.mcap", 1), logs / "run.hdf5")
    log(logs / "other.mcap", 2, outcome="failure")
    (logs / "empty.mcap").touch()
    first = wheel.ingest([logs])
    before = counts(wheel)
    again = wheel.ingest([logs])
    assert counts(wheel) == before
    assert [one.id for one in again.rejections] == [one.id for one in first.rejections]
    assert {one.id for one in again.aliases} == {one.id for one in first.aliases}


def test_the_same_try_in_two_formats_is_one_episode_with_an_alias(wheel, logs):
    mcap = log(logs / "run.mcap", 1)
    hdf5 = as_hdf5(mcap, logs / "copy.hdf5")
    (episode,) = wheel.ingest([mcap]).episodes
    found = wheel.ingest([hdf5])
    assert found.episodes == ()
    (alias,) = found.aliases
    assert alias.episode == episode.id
    assert wheel.store.catalog.get(alias.recording, Recording).format == "hdf5"
    assert (counts(wheel)["episode"], counts(wheel)["alias"]) == (1, 1)
    assert wheel.store.catalog.referring(episode.id, Alias) == [alias]


def test_the_same_bytes_under_another_name_are_one_recording(wheel, logs):
    raw = log(logs / "run.mcap", 1).read_bytes()
    (logs / "copy.mcap").write_bytes(raw)
    wheel.ingest([logs])
    assert counts(wheel) == {"audit": 1, "episode": 1, "recording": 1}


def test_a_linked_log_stays_where_it_lies_and_is_known_by_place_size_and_hash(wheel, logs):
    path = log(logs / "run.mcap", 1)
    (episode,) = wheel.ingest([path], link=True).episodes
    recording = wheel.store.catalog.get(episode.recordings[0], Recording)
    assert recording.object is None
    assert (recording.location, recording.size_bytes) == (str(path), path.stat().st_size)
    assert not wheel.store.objects.has(recording.digest)
    path.unlink()
    assert wheel.store.streams(episode)["observation/q"].values.shape == (40, 3)
    assert wheel.verify().lies == ()


def test_what_the_user_says_fills_in_and_what_the_log_says_wins(wheel, logs):
    log(logs / "run.mcap", 1, task="carry")
    (episode,) = wheel.ingest([logs], facts={"task": "stack", "operator": "op-2"}).episodes
    assert (episode.task, episode.operator) == ("carry", "op-2")


def test_a_policy_that_is_registered_is_linked_and_another_stays_a_name(wheel, logs):
    policy = wheel.register("v14", declared={"trained": "elsewhere"})
    log(logs / "a.mcap", 1, policy="v14")
    log(logs / "b.mcap", 2, policy="v99")
    known, unknown = wheel.ingest([logs]).episodes
    assert (known.policy, known.policy_name) == (policy.id, "")
    assert (unknown.policy, unknown.policy_name) == (None, "v99")
    assert wheel.store.catalog.all(Policy) == [policy]


def test_rejected_files_are_facts_that_stay(wheel, logs):
    (logs / "empty.mcap").touch()
    wheel.ingest([logs])
    (rejection,) = wheel.store.catalog.all(Rejection)
    assert rejection.name.endswith("empty.mcap")
    assert wheel.store.catalog.all(Episode) == []


def test_a_try_with_a_hard_fault_comes_in_and_is_held_back(wheel, logs):
    (read,) = McapFormat().read(log(logs / "good.mcap", 1))
    broken = read.streams["action/executed"].values.copy()
    broken[20:] = np.nan
    streams = {**read.streams, "action/executed": Stream(read.streams["action/executed"].t_ns, broken)}
    McapFormat().write(EpisodeLog("bad", streams), logs / "bad.mcap")
    admitted = wheel.ingest([logs])
    (held,) = [audit for audit in admitted.audits if audit.verdict == "quarantined"]
    with pytest.raises(GuardRefusal, match="quarantine"):
        wheel.data.version("all", [one.id for one in admitted.episodes])
    wheel.data.release(held.episode, who="op-1", why="the end is not used")
    assert len(wheel.data.version("all", [one.id for one in admitted.episodes]).entries) == 2


def long_log(path, tries):
    t_ns = np.arange(tries * 200, dtype=np.int64) * 50_000_000
    phase = np.arange(len(t_ns)) % 200
    moving = np.where(phase < 120, phase, 0)[:, None] * np.array([[0.01, 0.02]])
    events = [
        Event(int(t_ns[number * 200 + at]), name)
        for number in range(tries)
        for at, name in ((0, "task/start"), (120, "task/end"))
    ]
    noise = np.random.default_rng(3).normal(0, 1e-3, moving.shape)
    streams = {"observation/q": Stream(t_ns, moving + noise), "action/executed": Stream(t_ns, moving + 2 * noise)}
    McapFormat().write(EpisodeLog("day", streams, tuple(events)), path)
    return path


def test_a_long_log_is_cut_without_copying_a_byte_and_cut_again(wheel, logs):
    (whole,) = wheel.ingest([long_log(logs / "day.mcap", 5)]).episodes
    before = sorted(wheel.store.objects.digests())
    rules = rules_from({"start": [{"event": "task/start"}], "end": [{"event": "task/end"}]})
    first = wheel.data.keep_cut(whole, rules, wheel.data.cut(whole.id, rules)[2])
    assert len(first.episodes) == 5
    later = rules_from({"start": [{"event": "task/start"}], "limits": {"min_s": 1.0}})
    second = wheel.data.keep_cut(whole, later, wheel.data.cut(whole.id, later)[2])
    assert second.supersedes == first.id
    assert sorted(wheel.store.objects.digests()) == before
    piece = wheel.episode(first.episodes[1])
    assert len(wheel.store.streams(piece)["action/executed"].t_ns) in (120, 121)
    assert {event.name for event in piece.events} <= {"task/start", "task/end"}


def test_a_try_that_another_process_takes_in_meanwhile_is_an_alias_and_not_a_second_episode(wheel, logs):
    """Its twin comes in after this process looked which tries there are, and before it stores its own."""
    ours, theirs = log(logs / "ours.mcap", 1), log(logs / "theirs.mcap", 1, task="carry")

    def meanwhile(_what, _done, _of):
        with Flywheel(wheel.store.root) as other:
            other.ingest([theirs])

    wheel.progress = meanwhile
    done = wheel.data.ingest([ours])
    assert counts(wheel)["episode"] == 1
    assert (len(done.episodes), len(done.aliases)) == (0, 1)
    assert wheel.verify(full=True).lies == ()


def test_a_recording_that_was_erased_does_not_come_back(wheel, logs):
    log(logs / "run.mcap", 1)
    (episode,) = wheel.ingest([logs]).episodes
    wheel.data.erase([episode.id], reason="asked to")
    wheel.ingest([logs])
    assert wheel.verify(full=True).lies == ()
    assert not list(wheel.store.objects.digests())


def test_a_pipe_is_left_out_and_nobody_waits_for_it(wheel, logs):
    import os

    os.mkfifo(logs / "run.bag")
    (rejection,) = wheel.ingest([logs]).rejections
    assert "neither a file nor a folder" in rejection.reason


def test_what_may_not_be_read_is_a_rejection_and_the_rest_comes_in(wheel, logs, monkeypatch):
    log(logs / "run.mcap", 1)
    log(logs / "shut.mcap", 2)
    opened = type(logs).open

    def shut(path, *args, **kwargs):
        if path.name == "shut.mcap":  # as root no right is ever missing
            raise PermissionError(13, "Permission denied", str(path))
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(type(logs), "open", shut)
    done = wheel.ingest([logs])
    assert len(done.episodes) == 1
    assert [one.name.rpartition("/")[2] for one in done.rejections] == ["shut.mcap"]
    assert "rights" in done.rejections[0].remedy


def test_two_empty_files_of_one_name_are_two_rejections(wheel, logs):
    for folder in ("a", "b"):
        (logs / folder).mkdir()
        (logs / folder / "force.csv").touch()
    assert len({one.name for one in wheel.ingest([logs]).rejections}) == 2
    assert counts(wheel)["rejection"] == 2


def test_a_linked_camera_that_changed_is_a_lie(wheel, logs):
    episode = replace(make_episode(seed=5), videos={"camera/front": make_video(seed=5, codec="jpeg", form="")})
    McapFormat().write(episode, logs / "seen.mcap")
    (stored,) = wheel.data.ingest([logs], keep="link", rules={"audit": {"*": "warn"}}).episodes
    assert stored.media[0].object is None
    assert wheel.verify(full=True).lies == ()
    raw = bytearray((logs / "seen.mcap").read_bytes())
    raw[len(raw) // 2] ^= 1
    (logs / "seen.mcap").write_bytes(raw)
    (lie,) = wheel.verify(full=True).lies
    assert "not what it was" in lie.what


def test_a_file_that_claims_its_success_comes_in_with_the_claim(wheel, logs):
    with h5py.File(logs / "run.hdf5", "w") as file:
        file.attrs.update({"success": True, "source": "spacemouse", "start": "home"})
        file["action"] = np.random.default_rng(0).normal(size=(60, 7))
    (episode,) = wheel.ingest([logs]).episodes
    assert episode.extra["source_said"] == "spacemouse"
    assert counts(wheel)["outcome_claim"] == 1


def test_a_claim_by_nobody_costs_its_try_alone(wheel, logs):
    log(logs / "odd.mcap", 1, outcome="success", claimed_by="the log")
    log(logs / "run.mcap", 2)
    done = wheel.ingest([logs])
    assert (len(done.episodes), len(done.rejections)) == (1, 1)
