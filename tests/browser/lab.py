"""A small workspace in which people have worked: two turns, failures with names, requests, submissions, reviews."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Failure, Rank, Source, Verdict
from saqiya.loop.flywheel import Flywheel

PASSWORD = "a few unrelated words"
PEOPLE = {"ada": Rank.ADMIN, "rob": Rank.REVIEWER, "ren": Rank.REVIEWER, "olga": Rank.OPERATOR, "vic": Rank.VIEWER}
EVIL = '<img src=x onerror="document.body.dataset.owned=1"><b>bold</b>'
"""What a name or a note could hold that must show as text."""
SETTINGS = """
[train.settings]
members = 3
features = 128
[bootstrap]
demonstrations = 12
smoke = 4
region = 0.5
[deploy]
rollouts = 16
[correct]
per_turn = 5
[evaluate]
worked = 6
regression_per_mode = 3
[gate]
n_max = 15
[stop]
target = 1.0
turns_without_gain = 9
[desk]
second_share = 1.0
"""


def build(path: Path) -> Path:
    """Make the workspace at `path`."""
    Flywheel.init(path, site="tiny", trainer="ridge", seed=0, workers=0).close()
    text = (path / "saqiya.toml").read_text().split("[bootstrap]")[0]
    (path / "saqiya.toml").write_text(text + SETTINGS)
    with Flywheel(path) as wheel:
        wheel.turn()
        wheel.turn()
    with Flywheel(path) as wheel:
        wheel.detect()
        wheel.triage()
        wheel.pump.ask(wheel.pump.plan(20))
        for name, rank in PEOPLE.items():
            wheel.staff.add(name, rank, by="setup", password=PASSWORD)
        work(wheel)
    return path


def work(wheel: Flywheel) -> None:
    """Let people work: six submissions, of which three are decided, and words about failures."""
    made = [hand_in(wheel, "olga", note=EVIL if number == 5 else f"try {number}") for number in range(6)]
    wheel.desk.review(made[0], "rob", Verdict.ACCEPT)
    wheel.desk.review(made[1], "rob", Verdict.REJECT, "the puck was pushed, not carried")
    wheel.desk.review(made[2], "rob", Verdict.ACCEPT, labels=("light=dim",))
    wheel.desk.review(made[0], "ren", Verdict.REJECT, "it brushes the wall at the end")
    wheel.desk.review(made[2], "ren", Verdict.ACCEPT)
    wheel.desk.claim("olga")
    failures = wheel.store.catalog.all(Failure)
    wheel.desk.advise(failures[-1].id, "rob", EVIL)
    wheel.desk.assign(failures[-2].id, "olga", "rob")
    wheel.desk.dismiss(failures[-3].id, "rob", "the try was stopped by hand")


def hand_in(wheel: Flywheel, person: str, *, note: str) -> str:
    """Claim the best slot, let the site's expert drive it under the person's name, and hand it in."""
    lease = wheel.desk.claim(person)
    assert lease.start is not None
    rolled = next(iter(wheel.roller([Roll(f"people/{lease.id}", lease.start, Source.CORRECTION, operator=person)])))
    assert rolled.episode is not None
    return wheel.desk.submit(lease.id, person, rolled.episode.id, note).id


@contextmanager
def served(wheel: Flywheel) -> Iterator[str]:
    """Serve a workspace on a free port of this machine, in a thread, and give the address."""
    import uvicorn

    from saqiya.server.app import create_app
    from saqiya.server.settings import ServerSettings

    with socket.create_server(("127.0.0.1", 0)) as place:
        settings = ServerSettings(secret=b"s" * 32, port=place.getsockname()[1])
        app = create_app(wheel, settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, ws="websockets-sansio"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.02)
        try:
            yield settings.address
        finally:
            server.should_exit = True
            app.state.live.stop()
            thread.join(timeout=10)
