"""One try that a person drives: a site, the takeover state machine of `loop.tries.stepping`, and a journal on disk.

It begins at a failure's restored state, or with the policy at work and the person watching, or with the person alone.
Whoever steps it decides when; it knows no clock but the site's. What it wrote is read back by
`loop.driving.journal`, whether it ended or was cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from saqiya.correct.takeover import takeovers_n
from saqiya.domain.contracts import MONITORED, Restorable, Roll, RunnablePolicy, Site, Takeover, Vector
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import Event
from saqiya.errors import SiteFault, UsageError
from saqiya.loop.driving.journal import Journal
from saqiya.loop.driving.lookout import Lookout
from saqiya.loop.driving.person import Inputs, Person
from saqiya.loop.tries.mind import Mind
from saqiya.loop.tries.monitor import Monitor, Verdict
from saqiya.loop.tries.stepping import RING_STEPS, Control, Driver, Kept, arrived, steer

__all__ = ["CODES", "PERSON_S", "Drive", "State"]

PERSON_S = 120.0
"""A person who takes over has this time, or the site's own horizon where that is longer."""
EARLIER_STEPS = 10
"""Winding back again without having moved goes back so much further."""
CODES = tuple(Control)
"""Who had control at a step, as `drive/control` says it: an index into these."""


@dataclass(frozen=True)
class State:
    """How a drive stands.

    Attributes:
        over: "" while it goes on, "success" when the criterion holds, "time" when time is up.
        left_s: time that whoever has control has left, s of the person's clock.
        human_steps, takeovers: in what would be handed in now: what was wound back is not in it.
        alone: there is no policy to give control to.
    """

    control: Control
    over: str
    t_ns: int
    left_s: float
    human_steps: int
    takeovers: int
    redos: int
    alone: bool


@dataclass(frozen=True)
class _Anchor:
    """A state to go back to, and how many events there were."""

    kept: Kept
    events_n: int


class Drive:
    """A try under way; `step` it with what the person has in hand, `signal` what they press, `finish` it once."""

    def __init__(
        self,
        site: Site,
        roll: Roll,
        person: Person,
        *,
        policy: RunnablePolicy | None,
        facts: Mapping[str, Any],
        journal: Path,
        monitor: Monitor | None = None,
    ) -> None:
        """Put the site where the try begins.

        Args:
            site: reset by this call.
            roll: its key, start, and the takeover where it begins at a failure.
            person: who drives.
            policy: acts while nobody took over, and says all along what it wants.
            facts: go into the log's metadata.
            journal: a file that must not exist yet.
            monitor: watches while a policy leads; as in a roll it takes no part where the try begins at a failure.

        Raises:
            SiteFault: the site failed, or its replay does not reach the failure.
            AlreadyThere: there is such a journal.
        """
        self.site, self.person = site, person
        self._driver = Driver(site, Mind(policy) if policy is not None else None, person)
        self._led = policy is not None or roll.takeover is not None
        self._anchors: list[_Anchor] = []
        self.redos = self._own = self._takeovers = 0
        self._lookout: Lookout | None = None
        if monitor is not None and policy is not None and roll.takeover is None:
            self._lookout = self._driver.guard = Lookout(monitor, policy=str(facts.get("policy", "")))
        self._journal = Journal(
            journal,
            self._driver.pen,
            {
                "key": roll.key,
                "facts": {
                    **facts,
                    "source": roll.source.value,
                    "operator": roll.operator,
                    "start": {"seed": roll.start.seed, "factors": dict(roll.start.factors)},
                },
            },
        )
        with ExitStack() as undo:  # what never began leaves no journal
            undo.callback(self.discard)
            self._at = self._driver.start(roll.start)
            self._begin(roll.takeover)
            undo.pop_all()

    @property
    def state(self) -> State:
        """How it stands."""
        driver, over = self._driver, "success" if self._at.success else "time" if self._driver.left <= 0 else ""
        return State(
            control=driver.control,
            over=over,
            t_ns=self._at.t_ns,
            left_s=max(0, driver.left) / self.person.pace_hz,
            human_steps=self._own,
            takeovers=self._takeovers,
            redos=self.redos,
            alone=driver.mind is None,
        )

    @property
    def verdict(self) -> Verdict | None:
        """What the monitor said last; None where none watches, or it has not spoken yet."""
        return self._lookout.verdict if self._lookout is not None else None

    def step(self, inputs: Inputs) -> bool:
        """Carry out one control step; return False when nothing moves: paused, or over.

        A person who moves something while it is paused has control from there on.
        """
        if self.state.over:
            return False
        if self._driver.control is Control.PAUSED:
            if not inputs.moves:
                return False
            self.signal("recover" if self._led else "correct")
        elif self._driver.control is Control.AUTONOMOUS:
            self._remember()
        before, acted, self.person.inputs = self._at.t_ns, self._driver.pen.acted, inputs
        code = float(CODES.index(self._driver.control))
        self._at = self._driver.drive(self._at)
        acted["drive/control"].append((before, code))
        acted["drive/input_ms"].append((before, inputs.age_ms))
        acted["drive/latency_ms"].append((before, inputs.latency_ms))
        acted["drive/late_ms"].append((before, inputs.late_ms))
        self._note()
        return True

    def signal(self, name: str) -> None:
        """Do what the person pressed; what means nothing now changes nothing.

        Args:
            name: "takeover", "recover", "correct", "handback", or "redo".

        Raises:
            UsageError: it is none of these.
        """
        if name not in {"takeover", "recover", "correct", "handback", "redo"}:
            raise UsageError("is nothing that a drive understands", subject=name[:40], remedy="Update the page.")
        if name == "redo":
            self._redo()
            return
        driver, was = self._driver, self._driver.control
        now = steer(was, name)
        if now is was or self.state.over or (name == "handback" and driver.mind is None):
            return
        driver.control = now
        if now is Control.PAUSED:
            self._hold()
        elif now is Control.AUTONOMOUS:
            driver.left = self.site.spec.horizon_steps
            self._forget_wishes()
            if was is not Control.PAUSED:
                self._say("handback")
        else:
            if was is Control.PAUSED and self._led:
                self._say("takeover")
            self._say(now.value)
        self._note()

    def finish(self, said: Outcome | None) -> None:
        """End the try and its journal; `said` is the person's own word on it, beside the site's criterion.

        Raises:
            UsageError: the person did nothing yet.
        """
        if not self._own:
            raise UsageError("holds no step of yours", subject="drive", remedy="Take over first, or discard it.")
        over = self.state.over
        self._say({"success": "success", "time": "timeout"}.get(over, "end"))
        if self._lookout is not None:
            self._lookout.look(self._at, None, self._driver.pen)
            self._lookout.end(self._driver.pen)
        self._note()
        outcome = Outcome.SUCCESS if over == "success" else Outcome.FAILURE
        self._journal.close({"outcome": outcome.value, "said": said.value if said else ""})

    def cut(self) -> None:
        """Close the journal without an end: what is in it was aborted."""
        if self._lookout is not None:
            self._lookout.close()
        self._journal.close()

    def discard(self) -> None:
        """Throw the try away."""
        self.cut()
        self._journal.path.unlink()

    def _begin(self, takeover: Takeover | None) -> None:
        """Replay up to the takeover, if there is one, and let whoever is first have control."""
        if takeover is not None:
            for action in takeover.actions[: takeover.step]:
                self._remember()
                self._at = self._driver.drive(self._at, action)
            if not arrived(self._at, takeover):
                raise SiteFault(
                    "its replay does not reach the logged state",
                    subject=self.site.spec.name,
                    remedy="This site does not repeat itself: drive the whole task from its start instead.",
                )
        if self._driver.mind is None or takeover is not None:
            self._hold()
        else:
            self._driver.left = self.site.spec.horizon_steps
        self._note()

    def _hold(self) -> None:
        """Stop where it is; the person goes on from the action that was carried out last."""
        driver = self._driver
        driver.control = Control.PAUSED
        driver.left = max(self.site.spec.horizon_steps, round(PERSON_S * self.person.pace_hz))
        self.person.take(self._last_action())
        self._forget_wishes()
        self._remember(now=True)

    def _redo(self) -> None:
        """Go back to where the person took over; once more without having moved, further back.

        While the policy is at work there is nothing to do again: taking over comes first.
        """
        if not isinstance(self.site, Restorable):
            raise UsageError(
                "cannot go back", subject=self.site.spec.name, remedy="Discard this try and begin another one."
            )
        driver = self._driver
        if driver.control is Control.AUTONOMOUS and not self.state.over:
            return
        if driver.control is Control.PAUSED and len(self._anchors) > 1:
            earlier = [one for one in self._anchors if one.kept.taken <= driver.taken - EARLIER_STEPS]
            self._anchors = earlier or self._anchors[:1]
        anchor = self._anchors.pop()
        self._at = driver.put_back(anchor.kept, self.site)
        late = [one for one in driver.pen.events[anchor.events_n :] if one.name.startswith(MONITORED)]
        del driver.pen.events[anchor.events_n :]
        self._journal.back(self._at.t_ns, anchor.events_n)
        if self._lookout is not None:  # what the monitor said late of what stays, stays
            driver.pen.events += [one for one in late if one.t_ns < self._at.t_ns]
            self._lookout.back(self._at.t_ns, driver.pen)
        self._hold()
        own = self._own
        self._count()
        self.redos += self._own < own  # what nobody had done yet was not done again
        self._note()

    def _remember(self, *, now: bool = False) -> None:
        """Keep the state every few steps while the policy leads, and where a person takes over."""
        if isinstance(self.site, Restorable) and (now or self._driver.taken % RING_STEPS == 0):
            self._anchors.append(_Anchor(self._driver.kept(self._at, self.site), len(self._driver.pen.events)))

    def _forget_wishes(self) -> None:
        for mind in self._driver.minds():
            mind.queue = []

    def _last_action(self) -> Vector | None:
        executed = self._driver.pen.acted["action/executed"]
        return executed[-1][1] if executed else None

    def _say(self, name: str) -> None:
        self._driver.pen.events.append(Event(self._at.t_ns, name))

    def _note(self) -> None:
        if self._lookout is not None:
            self._lookout.tell(self._driver.pen)
        self._count()
        facts = {"human_steps": self._driver.human_steps, "takeovers": self._takeovers, "redos": self.redos}
        self._journal.note(facts)

    def _count(self) -> None:
        author = [who for _, who in self._driver.pen.acted["author"]]
        self._own, self._takeovers = sum(author), takeovers_n(author, led=self._led)
