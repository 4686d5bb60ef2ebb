"""`saqiya failures`: what failed, where each failure stands, and what people say of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.detect.quality import Estimate
from saqiya.detect.stage import FUSED
from saqiya.domain.nouns import Advice, Alarm, Calibration, Deployment, Episode, Failure, Outcome
from saqiya.errors import GuardRefusal
from saqiya.loop.flywheel import Flywheel
from saqiya.triage.backlog import troubles, variety
from saqiya.triage.life import State
from saqiya.triage.slices import Slice

failures = typer.Typer(help="Failures: list them, look at one, name a mode, dismiss, reset card.", no_args_is_help=True)
app.add_typer(failures, name="failures")
monitor = typer.Typer(help="The monitor that runs in the control loop.", no_args_is_help=True)
app.add_typer(monitor, name="monitor")

Who = Annotated[str, typer.Option("--by", help="Who says so.")]


@failures.command("list")
def list_(
    mode: Annotated[str, typer.Option(help="Only of this mode.")] = "",
    state: Annotated[State | None, typer.Option(help="Only at this state.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """List failures with their mode and where each stands, the newest first."""
    with opened(where, quiet=True) as wheel:
        told = wheel.failures.lives()
        if mode and mode not in told.labels.values():
            wheel.vocabulary.word(mode)
        chosen = [
            one
            for one in reversed(wheel.store.catalog.all(Failure))
            if mode in {"", told.labels[one.id]} and state in {None, told.lives[one.id].state}
        ]
        table = [
            (wheel.key_of(one.id), told.labels[one.id], told.lives[one.id].state.value, _moment(wheel, one), one.phase)
            for one in chosen
        ]
    if as_json:
        emit([dict(zip(("failure", "mode", "state", "moment_s", "phase"), row, strict=True)) for row in table])
        return
    rows("Failures", ("failure", "mode", "state", "look at, s", "last phase"), table)
    say(", ".join(f"{n} {name}" for name, n in sorted(Counter(row[2] for row in table).items())))


def _moment(wheel: Flywheel, failure: Failure) -> float:
    episode = wheel.store.catalog.get(failure.episode, Episode)
    return round((failure.moment_ns - episode.start_ns) / 1e9, 3)


@failures.command()
def show(
    failure: Annotated[str, typer.Argument(help="A failure by id or key.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Show one failure: its alarms with their reasons, its evidence, and its life."""
    with opened(where, quiet=True) as wheel:
        found = wheel.store.catalog.get(failure, Failure)
        episode = wheel.store.catalog.get(found.episode, Episode)
        alarms = [wheel.store.catalog.get(one, Alarm) for one in found.alarms]
        advice = wheel.store.catalog.referring(found.id, Advice)
        told = wheel.failures.lives()
    life = told.lives[found.id]
    if as_json:
        shown = {"failure": found, "mode": told.labels[found.id], "life": life.chapters, "alarms": alarms}
        emit({**shown, "advice": advice})
        return
    say(f"{found.id}: {told.labels[found.id] or 'not named yet'}, {life.state.value}")
    heard = [
        (
            f"{(a.start_ns - episode.start_ns) / 1e9:.2f} to {(a.end_ns - episode.start_ns) / 1e9:.2f}",
            a.detector,
            a.reason,
        )
        for a in alarms
    ]
    rows("Alarms", ("s", "detector", "why"), heard)
    rows("Evidence", ("", ""), [(name, f"{value:.4g}") for name, value in sorted(found.evidence.items())])
    if advice:
        rows("What it should have done", ("by", "says"), [(one.author, one.text) for one in advice])
    rows("Life", ("state", "why", "by"), [(c.state.value, c.because, c.noun) for c in life.chapters])


@failures.command()
def card(
    failure: Annotated[str, typer.Argument(help="A failure by id or key.")],
    out: Annotated[Path, typer.Option(help="The page to write; it must not exist.")] = Path("card.html"),
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write the reset card of a failure: how a person puts a real cell back to where it began."""
    with opened(where, quiet=True) as wheel:
        page = wheel.failures.card(failure, out)
    emit({"card": str(page)}) if as_json else say(str(page))


@app.command()
def judge(
    tries: Annotated[list[str] | None, typer.Argument(help="A subset or episodes of one task; default: all.")] = None,
    error: Annotated[float, typer.Option(help="Share of the answers that may be wrong.", min=0.001, max=0.5)] = 0.02,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Give outcomes to tries that nobody judged, by a model of those that somebody did; doubts go to a person."""
    with opened(where, quiet=as_json) as wheel:
        found = wheel.failures.judge(tries or (), error=error)
        left = [(wheel.key_of(one.id), why) for one, why in found.left]
    if as_json:
        emit({"claims": found.claims, "left": left, "labelled": found.labelled})
        return
    if not found.claims and not left:
        say("No try waits for an outcome.")
        return
    failed = sum(one.value is not Outcome.SUCCESS for one in found.claims)
    say(f"Learned from {found.labelled} tries: {len(found.claims) - failed} successes, {failed} failures claimed.")
    rows("For a person", ("try", "why"), left)


@failures.command()
def dismiss(
    failure: Annotated[str, typer.Argument(help="A failure by id or key.")],
    reason: Annotated[str, typer.Option(help="Why it is none, or not worth fixing.")],
    by: Who,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Say that a failure is none, or not worth fixing: nothing more is asked for it."""
    with opened(where, quiet=True) as wheel:
        made = wheel.failures.dismiss(failure, author=by, reason=reason)
    emit(made) if as_json else say(f"{made.failure} is dismissed.")


@failures.command()
def name(
    mode: Annotated[str, typer.Argument(help="A failure mode by name, id or key.")],
    label: Annotated[str, typer.Argument(help="A word of the vocabulary; vocabulary.toml adds your own.")],
    by: Who,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Name a mode, or rename it; two modes of one name are one, and later failures like it get the name."""
    with opened(where, quiet=True) as wheel:
        made = wheel.failures.name(mode, label, author=by)
    emit(made) if as_json else say(f"{mode} is called {made.label}.")


@failures.command()
def detectors(
    deployment: Annotated[str, typer.Argument(help="A deployment by id or key; default: the newest.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Judge the detectors by failure mode, and on successes under shifted conditions, beside the stopwatch."""
    with opened(where, quiet=True) as wheel:
        found, left_out = wheel.failures.quality(_deployment(wheel, deployment))
    if as_json:
        emit({"detectors": {name: report.as_json() for name, report in found.items()}, "left_out": dict(left_out)})
        return
    header = ("detector", "AUROC", "half way", "caught", "lead, s", "false alarms: nominal", "shifted", "")
    rows(
        "Detectors, on tries that calibration did not see",
        header,
        [
            (
                name,
                *map(_told, (one.auroc, one.auroc_half, one.caught, one.lead_s)),
                *map(_told, (one.false_alarms_nominal, one.false_alarms_shifted)),
                "" if one.beats_stopwatch or one.beats_stopwatch_half else "does not beat the stopwatch",
            )
            for name, one in found.items()
        ],
    )
    for name, why in left_out.items():
        say(f"{name} takes no part: {why}.")
    watch = found[FUSED]
    say(f"The stopwatch: {_told(watch.stopwatch)}, half way {_told(watch.stopwatch_half)}.")
    if watch.takeovers_n:
        say(f"{watch.takeovers_n} failures are labelled by the moment at which a person stepped in.")
    rows(
        "By failure mode, all detectors together",
        ("mode", "failures", "AUROC", "over the stopwatch", "over it half way", "caught", "lead, s"),
        [
            (mode, one.failures_n, *map(_told, (one.auroc, one.gain, one.gain_half, one.caught, one.lead_s)))
            for mode, one in watch.modes.items()
        ],
    )


def _deployment(wheel: Flywheel, ref: str) -> Deployment:
    """Return the deployment that is named, or the newest that detectors were calibrated on or failures found in."""
    catalog = wheel.store.catalog
    if ref:
        return catalog.get(ref, Deployment)
    held = {one.episode for one in catalog.all(Failure)}
    held |= {episode for one in catalog.all(Calibration) for episode in one.episodes}
    read = [one for one in catalog.all(Deployment) if held & set(one.episodes)]
    if not read:
        raise GuardRefusal(
            "no deployment has failures, or successes to calibrate on",
            subject=str(wheel.store.root),
            remedy="Run saqiya detect on tries of which somebody said how they ended.",
        )
    return read[-1]


def _told(found: Estimate) -> str:
    if found.value is None:
        return "-"
    return f"{found.value:.2f}" + ("" if found.low is None else f" ({found.low:.2f} to {found.high:.2f})")


@failures.command()
def slices(
    deployment: Annotated[str, typer.Argument(help="A deployment by id or key; default: the newest.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Show the conditions under which tries fail more than elsewhere, at all and by mode."""
    with opened(where, quiet=True) as wheel:
        every, by_mode = wheel.failures.slices(_deployment(wheel, deployment))
    if as_json:
        emit({"all": every, "modes": by_mode})
        return
    for title, found in (("Fails more than elsewhere", every), *sorted(by_mode.items())):
        table = [
            (one.condition, f"{one.failures}/{one.trials}", _lift(one), f"{one.q_value:.3g}")
            for one in found
            if one.stands_out
        ]
        if table or found is every:
            rows(title, ("condition", "failed", "lift over elsewhere", "q"), table)


def _lift(one: Slice) -> str:
    if one.lift is None:
        return "nothing failed elsewhere"
    return f"{one.lift:.1f} ({one.lift_low:.1f} to {one.lift_high:.1f})"


@monitor.command()
def export(
    file: Annotated[Path, typer.Argument(help="The file that saqiya.Monitor.load reads; it must not exist.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write the newest calibrated monitor to one file: a robot needs nothing else to watch with."""
    with opened(where, quiet=True) as wheel:
        made = wheel.failures.monitor(file)
        policy = wheel.key_of(made.policy) if made.policy else "an unknown policy"
    if as_json:
        emit({"file": str(file), "calibration": made.id, "policy": policy, "threshold": made.threshold})
        return
    say(
        f"{file}: calibrated for {policy}, budget {made.budget:.0%}" + (f"; threshold {made.said}" if made.said else "")
    )


@failures.command()
def backlog(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Show failures found against corrections integrated, turn by turn, and say when the wheel stalls or oscillates."""
    with opened(where, quiet=True) as wheel:
        books = wheel.failures.balances()
    said, kinds = troubles(books), {row.turn: row for row in variety(books, seed=0)}
    if as_json:
        emit({"turns": books, "variety": list(kinds.values()), "troubles": said})
        return
    table = [
        (
            one.turn,
            f"{one.found}/{one.episodes}",
            one.integrated,
            one.verified,
            one.open,
            f"{kinds[one.turn].per_thousand:.0f}" if one.turn in kinds else "",
        )
        for one in books
    ]
    rows("Backlog", ("turn", "found", "integrated", "verified", "open", "modes per 1,000 tries"), table)
    for line in said:
        say(line)
