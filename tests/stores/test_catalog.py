from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from saqiya.domain.ids import digest_of
from saqiya.domain.nouns import Alias, Episode, Novelty, OutcomeClaim, Recording, Rejection, Tombstone
from saqiya.errors import Erased, UnknownId, UsageError

RACE = """
import os, sys, time
from pathlib import Path
from saqiya.domain.nouns import Rejection
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=time.time_ns, entropy=os.urandom)
sys.stdin.readline()
for first in range(0, 60, 5):
    batch = [(Rejection(id=workspace.catalog.new_id("rejection"), name=str(n), reason="r", remedy="m"), f"log/{n}")
             for n in range(first, first + 5)]
    print(*(noun.id for noun in workspace.catalog.put_all(batch)))
"""
KILLED = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from conftest import nouns_of_try
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=time.time_ns, entropy=os.urandom)
number = int(sys.argv[3])
while True:
    batch = nouns_of_try(workspace, number) + nouns_of_try(workspace, number + 1)
    workspace.catalog.put_all(batch)
    print(number, flush=True)
    number += 2
"""
FORKED = """
import os, sys, time
from pathlib import Path
from saqiya.domain.nouns import Rejection
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=time.time_ns, entropy=os.urandom)
def put(name):
    noun = Rejection(id=workspace.catalog.new_id("rejection"), name=name, reason="r", remedy="m")
    workspace.catalog.put(noun, key=name)
put("before")
children = []
for n in range(3):
    child = os.fork()
    if child == 0:
        put(f"child {n}")
        os._exit(0)
    children.append(child)
    put(f"parent {n}")
print([os.waitpid(child, 0)[1] for child in children], workspace.catalog.count())
"""
FULL = """
import os, resource, sys, time
from pathlib import Path
from saqiya.domain.nouns import Rejection
from saqiya.errors import StorageFull
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=time.time_ns, entropy=os.urandom)
def put(n):
    noun = Rejection(id=workspace.catalog.new_id("rejection"), name="x" * 20000, reason="r", remedy="m")
    workspace.catalog.put(noun, key=str(n))
put(0)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
stored = 1
try:
    while stored < 1000:
        put(stored)
        stored += 1
except StorageFull:
    print("full")
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(1 < stored < 1000, workspace.catalog.count()["rejection"] == stored)
put(stored)
print(workspace.catalog.count()["rejection"] == stored + 1)
"""


def rejection(workspace, reason="empty"):
    return Rejection(id=workspace.catalog.new_id("rejection"), name="a.mcap", reason=reason, remedy="Record it again")


def test_a_noun_comes_back_by_id_key_and_part_of_its_id(workspace, try_of):
    _, episode, _ = workspace.catalog.put_all(try_of(workspace, 1))
    for ref in (episode.id, "episode/1", episode.id[-8:]):
        assert workspace.catalog.get(ref, Episode) == episode
    assert workspace.catalog.get("episode-lab") == episode
    assert workspace.catalog.by_key(Episode, "episode/1") == workspace.catalog.by_key("episode", "episode/1") == episode
    assert workspace.catalog.by_key(Episode, "episode/2") is None
    assert workspace.catalog.key_of(episode.id) == "episode/1"
    assert workspace.catalog.has("episode", "episode/1")
    assert not workspace.catalog.has(Episode, "recording/1")


def test_a_key_keeps_its_first_noun(workspace):
    first = workspace.catalog.put(rejection(workspace), key="k")
    again = workspace.catalog.put(rejection(workspace, "another word"), key="k")
    assert again == first
    assert workspace.catalog.count() == {"rejection": 1}


def test_the_same_key_of_another_kind_is_another_noun(workspace, try_of):
    (recording, _), *_ = try_of(workspace, 1)
    workspace.catalog.put(recording, key="k")
    workspace.catalog.put(rejection(workspace), key="k")
    assert workspace.catalog.count() == {"recording": 1, "rejection": 1}


def test_a_step_that_runs_twice_stores_once_and_its_new_nouns_follow_the_first_ones(workspace, try_of):
    recording, episode, claim = workspace.catalog.put_all(try_of(workspace, 1)[:2] + try_of(workspace, 2)[:1])
    rerun = try_of(workspace, 1)  # new ids under the old keys, and a claim that the first run did not get to
    again = workspace.catalog.put_all(rerun)
    assert again[:2] == [recording, episode]
    assert again[2].episode == episode.id != rerun[1][0].id
    assert workspace.catalog.referring(episode.id, OutcomeClaim) == [again[2]]
    assert claim.id != recording.id


def test_a_key_twice_in_one_batch_is_one_noun(workspace):
    one, two = workspace.catalog.put_all([(rejection(workspace), "k"), (rejection(workspace), "k")])
    assert one == two


def test_nouns_of_a_batch_may_refer_to_each_other_in_any_order(workspace, try_of):
    workspace.catalog.put_all(try_of(workspace, 1)[::-1])
    assert workspace.catalog.count() == {"episode": 1, "outcome_claim": 1, "recording": 1}


def test_all_come_in_the_order_they_were_stored(workspace, try_of):
    for number in (3, 1, 2):
        workspace.catalog.put_all(try_of(workspace, number))
    workspace.catalog.put_all([pair for number in (9, 4) for pair in try_of(workspace, number)])
    assert [e.start.seed for e in workspace.catalog.all(Episode)] == [3, 1, 2, 9, 4]
    assert workspace.catalog.last(Episode).start.seed == 4
    assert workspace.catalog.all(Novelty) == []
    assert workspace.catalog.last(Novelty) is None


def test_who_refers_to_a_noun_or_an_object_is_found(workspace, try_of):
    recording, episode, claim = workspace.catalog.put_all(try_of(workspace, 1))
    workspace.catalog.put_all(try_of(workspace, 2))
    assert workspace.catalog.referring(recording.id, Episode) == [episode]
    assert workspace.catalog.referring(episode.id, OutcomeClaim) == [claim]
    assert workspace.catalog.referring(episode.streams, Episode) == [episode]
    assert workspace.catalog.referring(claim.id, Episode) == []


def test_a_reference_to_nothing_stores_nothing(workspace, try_of):
    recording, episode, _ = try_of(workspace, 1)
    with pytest.raises(UnknownId, match="recordings"):
        workspace.catalog.put_all([(rejection(workspace), "r"), episode])
    assert workspace.catalog.count() == {}
    workspace.catalog.put_all([recording, episode])


def test_a_reference_to_another_kind_is_refused(workspace, try_of):
    recording, episode, _ = (noun for noun, _ in try_of(workspace, 1))
    alias = Alias(
        id=workspace.catalog.new_id("alias"), episode=recording.id, recording=recording.id, key_in_recording=""
    )
    with pytest.raises(UnknownId, match="as kind episode, and its kind is recording"):
        workspace.catalog.put_all([(recording, "r"), (episode, "e"), (alias, "a")])


def test_an_object_that_is_not_stored_is_refused(workspace, try_of):
    recording, (episode, key), _ = try_of(workspace, 1)
    with pytest.raises(UnknownId, match="Put the bytes first"):
        workspace.catalog.put_all([recording, (replace(episode, streams=digest_of(b"not here")), key)])


def test_erased_bytes_are_refused_by_loaders_and_new_nouns(workspace, try_of):
    _, episode, _ = workspace.catalog.put_all(try_of(workspace, 1))
    stone = Tombstone(id=workspace.catalog.new_id("tombstone"), digest=episode.streams, reason="asked for")
    workspace.catalog.put(stone, key=episode.streams)
    workspace.objects.remove(episode.streams)
    with pytest.raises(Erased, match=episode.streams):
        workspace.streams(episode)
    twin = replace(episode, id=workspace.catalog.new_id("episode"))
    with pytest.raises(Erased):
        workspace.catalog.put(twin, key="twin")


def test_when_a_prefix_began_is_found_whatever_letters_are_in_it(workspace):
    born = {}
    for name in ("b%/1", "a_/1", "a_/0", "ab/0", "b%/2"):
        workspace.catalog.put(rejection(workspace), key=name)
        born[name] = workspace.catalog.first_created_ns(name)
    assert list(born.values()) == sorted(set(born.values()))
    assert workspace.catalog.first_created_ns("a_/") == born["a_/1"] < born["a_/0"]
    assert workspace.catalog.first_created_ns("b%") == born["b%/1"]
    assert workspace.catalog.first_created_ns("") == born["b%/1"]
    assert workspace.catalog.first_created_ns("c") is None


def test_an_id_under_another_key_is_refused(workspace):
    noun = workspace.catalog.put(rejection(workspace), key="k")
    with pytest.raises(UsageError, match="taken"):
        workspace.catalog.put(noun, key="l")
    same = rejection(workspace)
    with pytest.raises(UsageError, match="same id"):
        workspace.catalog.put_all([(same, "m"), (same, "n")])


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800"])
def test_a_key_must_name_something(workspace, key):
    with pytest.raises(UsageError):
        workspace.catalog.put(rejection(workspace), key=key)


def test_an_unknown_id_names_its_neighbours(workspace, try_of):
    _, episode, claim = workspace.catalog.put_all(try_of(workspace, 1))
    with pytest.raises(UnknownId, match="Did you mean episode/1"):
        workspace.catalog.get("episode/7", Episode)
    with pytest.raises(UnknownId, match="is outcome_claim, not episode"):
        workspace.catalog.get(claim.id, Episode)
    workspace.catalog.put_all(try_of(workspace, 2))
    with pytest.raises(UnknownId, match="Give more of the id"):
        workspace.catalog.get("episode-lab", Episode)
    for nonsense in ("", "%", "\ud800", "x" * 10_000):
        with pytest.raises((UnknownId, UsageError)):
            workspace.catalog.get(nonsense)
    assert workspace.catalog.get(episode.id, Episode) == episode


def test_two_open_workspaces_see_each_others_nouns(opened, workspace, try_of):
    other = opened()
    workspace.catalog.put_all(try_of(workspace, 1))
    assert other.catalog.all(Recording) == workspace.catalog.all(Recording)


def test_a_clock_that_stands_still_or_goes_back_keeps_the_order(workspace):
    workspace.catalog._clock = iter([100, 100, 7, 7]).__next__
    for name in "cabd":
        workspace.catalog.put(rejection(workspace, name), key=name)
    assert [noun.reason for noun in workspace.catalog.all(Rejection)] == ["c", "a", "b", "d"]


def test_four_processes_with_the_same_keys_store_each_once(workspace, verified):
    command = [sys.executable, "-c", RACE, str(workspace.root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    running = [subprocess.Popen(command, **pipes) for _ in range(4)]
    answers = {process.communicate("go\n")[0] for process in running}
    assert [process.returncode for process in running] == [0] * 4
    assert len(answers) == 1
    assert answers.pop().split() == [noun.id for noun in workspace.catalog.all(Rejection)]
    assert verified(workspace).lies == ()


def test_a_forked_process_and_its_parent_both_store_on(workspace, verified):
    command = [sys.executable, "-c", FORKED, str(workspace.root)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out == "[0, 0, 0] {'rejection': 7}\n"
    assert verified(workspace, full=True).lies == ()


def test_a_disk_that_fills_loses_nothing_that_was_committed(workspace, verified):
    command = [sys.executable, "-c", FULL, str(workspace.root)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.split() == ["full", "True", "True", "True"]
    assert verified(workspace, full=True).lies == ()


@pytest.mark.slow
def test_a_process_killed_at_any_moment_leaves_whole_tries_and_all_it_acknowledged(workspace, verified, killed_after):
    acknowledged = set()
    for round_ in range(10):
        acknowledged |= killed_after(KILLED, str(workspace.root), str(1000 * round_), delay_s=0.02 + 0.013 * round_)
    stored = {episode.start.seed for episode in workspace.catalog.all(Episode)}
    counts = workspace.catalog.count()
    assert acknowledged
    assert {number + more for number in acknowledged for more in (0, 1)} <= stored
    assert counts["episode"] == counts["recording"] == counts["outcome_claim"] == len(stored)
    assert verified(workspace, full=True).lies == ()
