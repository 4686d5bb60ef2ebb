"""What a command line promises: exit codes, one line an error, JSON when asked for, and nothing half made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path


def saqiya(*words: str, at: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "saqiya", *words]
    return subprocess.run(command, cwd=at, capture_output=True, text=True, check=False, timeout=60)


def made(at: Path) -> Path:
    assert saqiya("init", "wheel", "--site", "tiny", "--trainer", "ridge", "--workers", "0", at=at).returncode == 0
    return at / "wheel"


def test_a_wrong_init_leaves_nothing_behind(tmp_path: Path) -> None:
    assert saqiya("init", "wheel", "--workers", "-3", "--trainer", "ridge", at=tmp_path).returncode == 2
    assert saqiya("init", "wheel", "--trainer", "nosuch", at=tmp_path).returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_a_step_out_of_order_says_which_comes_first(tmp_path: Path) -> None:
    made(tmp_path)
    for command, first in (("train", "mix"), ("evaluate", "train"), ("deploy", "evaluate"), ("correct", "triage")):
        done = saqiya(command, "-w", "wheel", at=tmp_path)
        assert (done.returncode, f"Run saqiya {first} first." in done.stderr) == (1, True)


def test_an_error_is_json_when_json_is_asked_for(tmp_path: Path) -> None:
    done = saqiya("status", "-w", "nowhere", "--json", at=tmp_path)
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["type"] == "NoWorkspace"


def test_a_policy_name_is_given_once(tmp_path: Path) -> None:
    made(tmp_path)
    assert saqiya("policy", "register", "v14", "--declare", "data=march", "-w", "wheel", at=tmp_path).returncode == 0
    again = saqiya("policy", "register", "v14", "--declare", "data=april", "-w", "wheel", at=tmp_path)
    assert again.returncode == 2
    assert "registered already" in again.stderr


def test_a_policy_that_would_run_code_is_refused(tmp_path: Path) -> None:
    made(tmp_path)
    (tmp_path / "p.pt").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    done = saqiya("policy", "register", "v15", "--file", "p.pt", "-w", "wheel", at=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_among_logs_stops_nothing(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    os.mkfifo(logs / "a.mcap")
    (logs / "b.mcap").write_bytes(b"")
    done = saqiya("report", "logs", "--json", at=tmp_path)
    assert done.returncode == 2
    assert {Path(one["path"]).name for one in json.loads(done.stdout)["refused"]} == {"a.mcap", "b.mcap"}


def test_next_can_be_pasted(tmp_path: Path) -> None:
    made(tmp_path)
    assert "Next: saqiya turn -w wheel " in saqiya("status", "-w", "wheel", at=tmp_path).stdout


def test_data_alone_is_looked_at_and_mixed_and_is_no_wheel(tmp_path: Path) -> None:
    from saqiya.formats.mcap.log import McapFormat
    from saqiya.testing import make_episode

    assert saqiya("init", "lab", "--data", at=tmp_path).returncode == 0
    McapFormat().write(make_episode(), tmp_path / "a.mcap")
    (tmp_path / "rules.toml").write_text('[units]\n"observation/nosuch" = "m"\n')
    took = saqiya("ingest", "a.mcap", "--rules", "rules.toml", "-w", "lab", at=tmp_path)
    assert "no stream is called 'observation/nosuch'" in took.stdout
    assert "Next: saqiya mix" in saqiya("status", "-w", "lab", at=tmp_path).stdout
    asked = saqiya("query", "SELECT id FROM episodes", "-w", "lab", at=tmp_path).stdout.split()
    assert asked[1].startswith("episode-local-")
    assert len(asked) == 2  # an id stays in one piece
    made = saqiya("mix", asked[1], "--name", "first", "-w", "lab", at=tmp_path)
    assert (made.returncode, made.stdout.split(":")[0]) == (0, "dataset/first")
    for words in (("turn",), ("report",), ("mix",)):
        done = saqiya(*words, "-w", "lab", at=tmp_path)
        assert (done.returncode, "for data alone" in done.stderr) == (2, True)
    assert saqiya("mix", asked[1], "-w", "lab", at=tmp_path).returncode == 2
