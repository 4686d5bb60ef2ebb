from __future__ import annotations

import itertools
import os
import subprocess
import sys

import pytest

from saqiya.errors import Corrupt, NoWorkspace, UsageError, WorkspaceBusy, WorkspaceTooNew
from saqiya.stores.workspace import Workspace

HOLDER = """
import os, sys, time
from pathlib import Path
from saqiya.stores.workspace import Workspace
workspace = Workspace.open(Path(sys.argv[1]), clock=lambda: 1_700_000_000_000_000_000, entropy=os.urandom)
with workspace.lock("scope"):
    if os.fork() == 0:
        print("held", flush=True)  # the child says it: only once it runs has it let go of what it inherited
        time.sleep(30)
        os._exit(0)
    sys.stdin.readline()
"""


def open_at(root):
    return Workspace.open(root, clock=itertools.count().__next__, entropy=os.urandom)


def test_a_new_workspace_opens_again_with_its_site(opened, workspace):
    assert opened().site == "lab"
    assert workspace.catalog.new_id("turn").startswith("turn-lab-")
    assert {path.name for path in workspace.root.iterdir()} >= {"objects", "spool", "derived", "catalog.sqlite"}


def test_there_is_no_workspace_where_none_was_made_or_making_it_was_cut_short(tmp_path, workspace):
    with pytest.raises(NoWorkspace, match="saqiya init"):
        open_at(tmp_path)
    (workspace.root / "workspace.json").unlink()
    with pytest.raises(NoWorkspace):
        open_at(workspace.root)
    Workspace.create(workspace.root, site="lab", clock=itertools.count().__next__, entropy=os.urandom).close()


def test_a_second_workspace_in_the_same_place_is_refused(opened, workspace):
    with pytest.raises(UsageError, match="already"):
        opened(create=True)


@pytest.mark.parametrize("site", ["", "Lab", "a b", "a/b", "x" * 33, "é"])
def test_a_site_must_fit_into_an_id(tmp_path, site):
    with pytest.raises(UsageError, match="site"):
        Workspace.create(tmp_path / "w", site=site, clock=itertools.count().__next__, entropy=os.urandom)
    assert not (tmp_path / "w").exists()


def test_a_newer_format_is_refused_by_both_numbers(workspace):
    (workspace.root / "workspace.json").write_text('{"format": 7, "layout": {"new": true}}')
    with pytest.raises(WorkspaceTooNew, match=r"format 7.*up to 1"):
        open_at(workspace.root)


@pytest.mark.parametrize(
    "facts", ["", "{}", '{"format": "1"}', '{"format": 1}', '{"format": 1, "site": "../x"}', "\udcff"]
)
def test_facts_that_cannot_be_read_are_corrupt(workspace, facts):
    (workspace.root / "workspace.json").write_bytes(facts.encode(errors="surrogateescape"))
    with pytest.raises(Corrupt, match=r"workspace\.json"):
        open_at(workspace.root)


def test_streams_of_an_episode_come_back(workspace, try_of):
    _, episode, _ = workspace.catalog.put_all(try_of(workspace, 3))
    assert workspace.streams(episode)["observation/state"].values.tolist() == [[3.0, 3.0]] * 5


def test_a_scope_is_held_once_and_other_scopes_are_free(workspace):
    held = f"scope 'a': process {os.getpid()} holds it since 2023-11-14T22:13"
    with workspace.lock("a"), workspace.lock("b"), pytest.raises(WorkspaceBusy, match=held):
        workspace.lock("a").__enter__()
    with workspace.lock("a"):
        pass


def test_a_killed_holder_frees_its_scope_though_its_child_lives_on(workspace):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(workspace.root)], start_new_session=True, **pipes)
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(WorkspaceBusy, match=f"process {holder.pid} holds it since 2023-11-14T22:13:20"):
        workspace.lock("scope").__enter__()
    holder.kill()
    holder.wait()
    with workspace.lock("scope"):
        os.killpg(holder.pid, 0)  # raises if the child is gone: then this test would show nothing
    os.killpg(holder.pid, 9)
    holder.communicate()
