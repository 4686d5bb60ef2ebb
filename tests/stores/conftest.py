from __future__ import annotations

import itertools
import logging
import random
import subprocess
import sys
import time
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from saqiya.domain.nouns import (
    AuthorKind,
    Episode,
    Lineage,
    Outcome,
    OutcomeClaim,
    Policy,
    Recording,
    Source,
    StreamInfo,
)
from saqiya.domain.streams import Event, Start, Stream
from saqiya.stores import streams
from saqiya.stores.bucket import Bucket, Credentials
from saqiya.stores.query import Questions
from saqiya.stores.verify import verify
from saqiya.stores.workspace import Workspace

_serial = itertools.count()


@pytest.fixture
def opened(tmp_path):
    """Open workspaces by folder name; each draws its ids from a seed of its own."""
    seeds, made, clock = itertools.count(), [], itertools.count(1_700_000_000_000_000_000, 1_000_000).__next__

    def open_(name="workspace", *, create=False, home=None, database=None):
        entropy = random.Random(next(seeds)).randbytes
        if create:
            made.append(Workspace.create(tmp_path / name, site="lab", clock=clock, entropy=entropy))
        if not create or database:
            made.append(Workspace.open(tmp_path / name, clock=clock, entropy=entropy, home=home, database=database))
        return made[-1]

    yield open_
    for workspace in made:
        workspace.close()


@pytest.fixture(scope="session")
def s3():
    """A server on this machine that speaks S3: its endpoint. Ask it for speed and it tells nothing of the real one."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def new_bucket(s3):
    """Make a bucket with a name of its own, and give ways to it."""
    names = []

    def make(name=None, *, now_ns=time.time_ns, **settings):
        if name is None:
            name = f"bucket-{next(_serial)}"
            urllib.request.urlopen(urllib.request.Request(f"{s3}/{name}", method="PUT")).close()
            names.append(name)
        who = Credentials("key", "secret")
        settings = {"endpoint": s3, "credentials": who, "patience_s": 2.0} | settings
        return Bucket(f"s3://{name}/some/prefix", now_ns=now_ns, **settings)

    make.names = names
    return make


@pytest.fixture
def workspace(opened):
    return opened(create=True)


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request, opened):
    """A workspace whose bytes lie in its own folder, and one whose bytes lie in a bucket."""
    made = opened(create=True)
    if request.param == "folder":
        return made
    return opened(home=request.getfixturevalue("new_bucket")())


def nouns_of_try(workspace, number, *, samples=5):
    """Make the nouns of one try, with its bytes stored: recording, episode, claim, each with its key."""
    catalog = workspace.catalog
    stamps = np.arange(samples, dtype=np.int64)
    values = np.full((samples, 2), float(number))
    data = streams.encode({"observation/state": Stream(t_ns=stamps, values=values, clock="sim")})
    digest = workspace.objects.put(data)
    recording = Recording(
        id=catalog.new_id("recording"), digest=digest, format="mcap", name=f"{number}.mcap", size_bytes=len(data)
    )
    episode = Episode(
        id=catalog.new_id("episode"),
        recordings=(recording.id,),
        key_in_recording="0",
        start_ns=0,
        end_ns=samples,
        streams=digest,
        infos=(),
        prints=(),
        source=Source.ROLLOUT,
        task="reach",
        embodiment="arm",
        site="lab",
        steps=samples,
        start=Start(seed=number, factors={"x": 0.1 * number}),
    )
    claim = OutcomeClaim(
        id=catalog.new_id("outcome_claim"),
        episode=episode.id,
        value=Outcome.SUCCESS,
        author_kind=AuthorKind.SIMULATOR,
        author="sim",
        version="1",
        time_ns=number,
    )
    return [(recording, f"recording/{number}"), (episode, f"episode/{number}"), (claim, f"claim/{number}")]


@pytest.fixture
def try_of():
    return nouns_of_try


@pytest.fixture
def verified():
    """Verify a workspace and return the report."""

    def check(workspace, *, full=False, now_ns=0):
        return verify(workspace.catalog, workspace.objects, full=full, derived=workspace.derived, now_ns=now_ns)

    return check


@pytest.fixture
def killed_after():
    """Run a script, kill it a moment after its first line, and return the numbers it had printed."""

    def run(script, root, first, *, delay_s):
        command = [sys.executable, "-c", script, root, str(Path(__file__).parent), first]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        time.sleep(delay_s)
        process.kill()
        rest = process.communicate()[0]
        return {int(word) for word in (line + rest).split("\n")[:-1]}

    return run


class Lab:
    """A workspace to ask questions of: tries at two sites, under two policies, with forces, slips and takeovers."""

    def __init__(self, workspace):
        self.store = workspace
        self.policies = [self.put(f"turn-{i}/policy", self.policy(f"turn-{i}/policy")) for i in (3, 7)]
        self.recording = self.put("recording", Recording(
            id=self.id("recording"), digest="0" * 64, format="mcap", name="day.mcap", size_bytes=1,
        ))  # fmt: skip

    def id(self, kind):
        return self.store.catalog.new_id(kind)

    def put(self, key, noun):
        return self.store.catalog.put(noun, key=key)

    def policy(self, name):
        return Policy(
            id=self.id("policy"), name=name, lineage=Lineage.DECLARED, trainer="", weights=None, spec=None, dataset=None
        )

    def streams(self, number, *, fields=("fx", "fy"), takeover_s=None):
        t_ns = np.arange(100, dtype=np.int64) * 100_000_000
        force = np.stack([np.arange(100.0), np.full(100, float(number))], axis=1)
        made = {
            "contact/force": Stream(t_ns, force, fields=fields),
            "observation/state": Stream(t_ns[::2], np.zeros((50, 3), np.float32)),
        }
        if takeover_s is not None:
            made["author"] = Stream(t_ns, (t_ns >= takeover_s * 1e9).astype(np.uint8)[:, None])
        return made

    def claim(self, episode, value="success", by="simulator", key=None):
        made = OutcomeClaim(
            id=self.id("outcome_claim"), episode=episode.id, value=Outcome(value), author_kind=AuthorKind(by),
            author="x", version="1", time_ns=0,
        )  # fmt: skip
        return self.put(key or f"{episode.id}/{by}/{value}", made)

    def episode(self, number, *, site="A", policy=1, slip_s=None, outcome="success", held=None, **changes):
        """Store a try of ten seconds; with `slip_s`, and with `takeover_s` through `held`, something happens."""
        streams_ = self.streams(number) if held is None else held
        slips = (Event(int(slip_s * 1e9), "contact/lost"),) if slip_s is not None else ()
        made = Episode(
            id=self.id("episode"), recordings=(self.recording.id,), key_in_recording=str(number), start_ns=0,
            end_ns=10_000_000_000, streams=self.store.objects.put(streams.encode(streams_)),
            infos=tuple(
                StreamInfo(name, one.values.dtype.str, one.values.shape, one.rate_hz, one.clock, one.stamp, one.unit)
                for name, one in streams_.items()
            ),
            prints=(), source=Source.ROLLOUT, task="peg", embodiment="arm", site=site, steps=100,
            events=(Event(0, "phase/reach"), *slips, Event(6_000_000_000, "phase/place")),
            policy=self.policies[policy].id, start=Start(number, {"x": number / 10, "surface": "wood"}),
            extra={"shift": "early", "count": number},
        )  # fmt: skip
        made = replace(made, **changes)
        self.put(f"try/{number}", made)
        if outcome:
            self.claim(made, outcome)
        return made


@pytest.fixture
def lab(workspace):
    return Lab(workspace)


@pytest.fixture
def slips(lab):
    """Eight tries; in one of them a slip is followed by a takeover within 5 s, at site A, under policy 7."""
    made = [
        lab.episode(0, slip_s=2.0, held=lab.streams(0, takeover_s=4.5)),
        lab.episode(1, slip_s=2.0, held=lab.streams(1, takeover_s=7.5)),
        lab.episode(2, slip_s=2.0, held=lab.streams(2, takeover_s=1.0)),
        lab.episode(3, slip_s=2.0, held=lab.streams(3, takeover_s=4.5), site="B"),
        lab.episode(4, slip_s=2.0, held=lab.streams(4, takeover_s=4.5), policy=0),
        lab.episode(5, held=lab.streams(5, takeover_s=4.5)),
        lab.episode(6, slip_s=2.0),
        lab.episode(7, outcome="failure", held={"observation/state": lab.streams(0)["observation/state"]}),
    ]
    lab.made = [one.id for one in made]
    return lab


@pytest.fixture
def questions(slips):
    with Questions(slips.store) as opened:
        yield opened
