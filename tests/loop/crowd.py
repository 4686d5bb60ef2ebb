"""A workspace with people, failed tries and requests, made without a site: for tests of who works on what."""

import itertools
from dataclasses import replace

import numpy as np

from saqiya.domain.nouns import (
    AuthorKind,
    CorrectionKind,
    CorrectionRequest,
    Episode,
    Failure,
    Outcome,
    OutcomeClaim,
    Rank,
    Recording,
    Source,
)
from saqiya.domain.streams import Start, Stream
from saqiya.stores import streams

SECOND = 1_000_000_000


class Crowd:
    """Makes nouns in a wheel's workspace; ann, bob and cid are operators, rex and sue reviewers."""

    def __init__(self, wheel):
        self.wheel, self.catalog, self.desk = wheel, wheel.store.catalog, wheel.desk
        self.number = itertools.count()
        self.recording = self.put("recording", Recording(
            id=self.id("recording"), digest="0" * 64, format="mcap", name="day.mcap", size_bytes=1,
        ))  # fmt: skip
        self.now_ns = wheel.clock()

    def people(self, *names, rank=Rank.OPERATOR, profile=None):
        from saqiya.stores.people import Profile

        for name in names:
            self.desk.people.add(name, rank, "", profile or Profile(), by="test", now_ns=self.wheel.clock())

    def id(self, kind):
        return self.catalog.new_id(kind)

    def put(self, key, noun):
        return self.catalog.put(noun, key=key)

    def episode(self, *, outcome="", task="peg", site="lab", embodiment="arm", steps=20, held=None, **changes):
        number = next(self.number)
        t_ns = np.arange(steps, dtype=np.int64) * SECOND // 10
        made = held or {
            "action/executed": Stream(t_ns, np.cumsum(np.full((steps, 2), 0.1), axis=0)),
            "author": Stream(t_ns, (np.arange(steps) >= steps // 2).astype(np.uint8)[:, None]),
        }
        episode = Episode(
            id=self.id("episode"), recordings=(self.recording.id,), key_in_recording=str(number), start_ns=0,
            end_ns=steps * SECOND // 10, streams=self.wheel.store.objects.put(streams.encode(made)), infos=(),
            prints=(), source=Source.CORRECTION, task=task, embodiment=embodiment, site=site, steps=steps,
            start=Start(number, {"x": float(number)}),
        )  # fmt: skip
        self.put(f"try/{number}", replace(episode, **changes))
        if outcome:
            self.claim(episode, outcome)
        return episode

    def claim(self, episode, outcome):
        made = OutcomeClaim(
            id=self.id("outcome_claim"), episode=episode.id, value=Outcome(outcome),
            author_kind=AuthorKind.SIMULATOR, author="sim", version="1", time_ns=0,
        )  # fmt: skip
        return self.put(f"{episode.id}/{outcome}", made)

    def failure(self, **how):
        failed = self.episode(outcome="failure", **how)
        made = Failure(id=self.id("failure"), episode=failed.id, alarms=(), moment_ns=SECOND, phase="reach")
        return self.put(f"failure/{failed.id}", made)

    def request(self, count=1, *, failures=(), key=None, because=None, **how):
        failures = failures or tuple(self.failure(**how) for _ in range(count))
        starts = tuple(self.catalog.get(one.episode, Episode).start for one in failures)
        made = CorrectionRequest(
            id=self.id("correction_request"), target="slip", mode=None,
            correction_kind=CorrectionKind.TAKEOVER, count=count, starts=starts,
            failures=tuple(one.id for one in failures), reason="it slipped", because=because,
        )  # fmt: skip
        return self.put(key or f"triage/request/{next(self.number)}", made)

    def handed_in(self, person, request=None, **how):
        """Claim and submit, and return the submission."""
        lease = self.desk.claim(person, request.id if request is not None else None)
        return self.desk.submit(lease.id, person, self.episode(**how).id)
