"""`saqiya serve` as people start it: a process on a socket, its first link, its stop, and what it refuses."""

import json
import re
import signal
import socket
import subprocess
import sys

import httpx
import pytest
from typer.testing import CliRunner

from saqiya.cli.app import whole
from saqiya.cli.serve import _tell
from saqiya.domain.words import Rank
from saqiya.errors import ConfigError, GuardRefusal, UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.server.run import listening, prepared
from saqiya.server.settings import ServerSettings, is_loopback, read_secret

SECRET = bytes(32)
LONG_S = 60.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as place:
        return place.getsockname()[1]


@pytest.fixture
def served(fresh):
    """A server in a process of its own: its process, its address, and what it printed."""
    Flywheel.init(fresh / "w", site="tiny", trainer="ridge", workers=0).close()
    command = [sys.executable, "-m", "saqiya", "serve", "-w", fresh / "w", "--port", str(free_port()), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    said = "".join(iter(process.stdout.readline, "}\n")) + "}"
    yield process, json.loads(said)
    process.kill()
    process.wait()
    process.stdout.close()


def test_the_first_start_signs_an_admin_in_once_and_the_stop_ends_open_streams(served):
    process, said = served
    with httpx.Client(base_url=said["address"], timeout=LONG_S) as client:
        body = {"ticket": said["sign_in"].partition("ticket=")[2], "password": "a few unrelated words"}
        me = client.post("/api/v1/session", json=body).json()
        assert (me["name"], me["rank"]) == ("admin", "admin")
        assert client.post("/api/v1/session", json=body).status_code == 401
        with client.stream("GET", "/live") as stream:
            lines = stream.iter_lines()
            assert next(lines) == "retry: 2000"
            added = client.post("/api/v1/people", json={"name": "ann"}, headers={"x-csrf-token": me["csrf"]})
            assert added.json()["link"].startswith(said["address"])
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line.startswith("event: ")] == ["event: hello"]
    assert process.wait(LONG_S) == 0


def test_a_link_that_was_lost_is_no_way_out_of_the_workspace_for_good(fresh, capsys):
    _tell("http://127.0.0.1:8787", "LINK", open_air=False)
    told = capsys.readouterr().out
    name = re.search(r"signs you in as (\w+)", told)[1]
    assert f"saqiya people password {name}" in told
    with Flywheel.init(fresh / "w") as wheel:
        prepared(wheel, ServerSettings(SECRET))
        assert wheel.staff.sign_in(name, wheel.staff.password(name, by="a shell")).rank is Rank.ADMIN


def test_a_later_start_makes_no_link(fresh):
    with Flywheel.init(fresh / "w", site="tiny", trainer="ridge", workers=0) as wheel:
        settings = ServerSettings(SECRET)
        assert prepared(wheel, settings)[1].startswith("http://127.0.0.1:8787/sign-in?ticket=saqiya_")
        assert prepared(wheel, settings)[1] == ""


def test_a_port_that_is_taken_is_told(fresh):
    with Flywheel.init(fresh / "w") as wheel, socket.create_server(("127.0.0.1", 0)) as place:
        settings = ServerSettings(SECRET, port=place.getsockname()[1])
        with pytest.raises(UsageError, match="cannot be listened on"):
            listening(wheel, settings)


def test_people_are_enough_to_listen_beyond_loopback(fresh):
    with Flywheel.init(fresh / "w") as wheel:
        wheel.staff.add("ann", Rank.ADMIN, by="test")
        settings = ServerSettings(SECRET, host="0.0.0.0", port=free_port(), public="https://saqiya.lab")
        with listening(wheel, settings) as place:
            assert place.getsockname()[1] == settings.port


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.2", False), ("saqiya.lab", False)],
)  # fmt: skip
def test_loopback_is_known(host, local):
    assert is_loopback(host) is local


def test_the_secret_is_made_once_and_only_its_owner_reads_it(tmp_path):
    made = read_secret(tmp_path, make=True)
    assert len(made) == 32
    assert read_secret(tmp_path, make=True) == read_secret(tmp_path, make=False) == made
    assert (tmp_path / "serve.secret").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("text", ["", "no hex", "ab" * 31])
def test_a_damaged_secret_is_refused(tmp_path, text):
    path = tmp_path / "serve.secret"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError):
        read_secret(tmp_path, make=True)


def test_no_secret_is_made_beyond_loopback(tmp_path):
    with pytest.raises(GuardRefusal):
        read_secret(tmp_path, make=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("public", ["saqiya.lab", "ftp://x", "https://", "https://x/path", "javascript:alert(1)"])
def test_what_is_no_address_is_refused(public):
    with pytest.raises(UsageError):
        ServerSettings(SECRET, public=public)


def test_a_proxy_without_https_is_refused_and_not_passed_over(fresh):
    Flywheel.init(fresh / "w").close()
    words = ["serve", "-w", str(fresh / "w"), "--proxy", "10.0.0.7", "--public", "http://saqiya.lab"]
    with pytest.raises(UsageError, match="https alone"):
        CliRunner().invoke(whole(), words, catch_exceptions=False)


@pytest.mark.parametrize(
    ("settings", "hosts"),
    [
        (ServerSettings(SECRET), {"127.0.0.1:8787", "localhost:8787", "[::1]:8787"}),
        (ServerSettings(SECRET, port=80), {"127.0.0.1", "localhost", "[::1]"}),
        (ServerSettings(SECRET, host="10.0.0.1", public="https://Saqiya.Lab/"), {"saqiya.lab"}),
    ],
)
def test_it_answers_to_its_own_names(settings, hosts):
    assert settings.hosts == hosts


def test_a_short_secret_signs_nothing():
    with pytest.raises(UsageError):
        ServerSettings(b"short")
