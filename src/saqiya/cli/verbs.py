"""The verbs of the wheel, each on the turn under way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say, success_text
from saqiya.domain.nouns import (
    DatasetVersion,
    Decision,
    Deployment,
    GateDecision,
    Noun,
    Policy,
)
from saqiya.errors import GuardRefusal, UsageError
from saqiya.loop.flywheel import Flywheel

N = TypeVar("N", bound=Noun)

record = typer.Typer(help="Record demonstrations, or recover a truncated recording.", no_args_is_help=True)
policy = typer.Typer(help="Policies: register one that was trained elsewhere, list them.", no_args_is_help=True)
app.add_typer(record, name="record")
app.add_typer(policy, name="policy")


@record.command("bootstrap")
def record_bootstrap(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Record the first demonstrations, after a training smoke on the first few has passed."""
    from saqiya.loop.smoke import smoke

    with opened(where, quiet=as_json) as wheel:
        request = wheel.record()
        smoke(wheel, request)
        made = wheel.correct(request)
        if as_json:
            emit(made)
        else:
            say(f"{sum(one.accepted for one in made)} of {len(made)} demonstrations accepted.")


@record.command("recover")
def record_recover(
    file: Annotated[Path, typer.Argument(help="A truncated MCAP recording; it is not changed.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the finished log.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read every whole chunk of a truncated recording and write a finished log beside it."""
    from saqiya.record.recover import recover

    target = out or file.with_suffix(".recovered.mcap")
    found = recover(file, target)
    emit(found) if as_json else say(f"{target}: {found}")


@policy.command("register")
def policy_register(
    name: Annotated[str, typer.Argument(help="What logs and tables call it.")],
    file: Annotated[Path | None, typer.Option(help="Its weights: safetensors, ONNX, torch checkpoint.")] = None,
    declare: Annotated[list[str] | None, typer.Option(help="key=value about its origin (data, code, base).")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Register a policy that was trained elsewhere; what is not declared stays visibly unknown."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.register(name, file=file, declared=pairs_of(declare or []))
    emit(made) if as_json else say(f"{made.name}: {made.id}, lineage {made.lineage.value}")


@policy.command("list")
def policy_list(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """List every policy with its lineage."""
    with opened(where, quiet=True) as wheel:
        found = wheel.store.catalog.all(Policy)
    if as_json:
        emit(found)
    else:
        rows("Policies", ("name", "lineage", "trainer", "id"), [(p.name, p.lineage, p.trainer, p.id) for p in found])


Logs = Annotated[bool, typer.Option("--logs", help="Policies that acted elsewhere: tries that came in by ingest.")]


@app.command()
def detect(
    tries: Annotated[
        list[str] | None, typer.Argument(help="With --logs: a subset or episodes; default: all that are new.")
    ] = None,
    logs: Logs = False,
    shadow: Annotated[str, typer.Option(help="A policy to run over the tries: its divergence is a signal too.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Calibrate the detectors on the last deployment, or on logs, and find the failures in it."""
    with opened(where, quiet=as_json) as wheel:
        if logs:
            found = _each(wheel, tries, verb=partial(wheel.failures.detect, beside=shadow))
        else:
            found = [(None, wheel.detect(beside=shadow))]
        names = [wheel.key_of(one.id) if one else "" for one, _ in found]
    if as_json:
        emit([one for _, one in found] if logs else found[0][1])
        return
    for title, (_, one) in zip(names, found, strict=True):
        rows(
            f"Detectors {title}".rstrip(),
            ("name", "threshold", "AUROC to the horizon", "stopwatch", "at half of it", "false alarms"),
            [_detector(c) for c in one.calibrations],
        )
        say(f"{len(one.failures)} failures.")


def _each(wheel: Flywheel, tries: list[str] | None, *, verb: Any) -> list[tuple[Any, Any]]:  # noqa: ANN401
    """Do `verb` to each deployment that the logs make; those that were adopted before, where none is named or new."""
    catalog = wheel.store.catalog
    try:
        found = wheel.failures.adopt(tries or ())
    except GuardRefusal:
        found = tuple(one for one in catalog.all(Deployment) if one.decision is None)
        if tries or not found:
            raise
    return [(one, verb(one)) for one in found]


def _detector(calibration: Any) -> tuple[str, ...]:  # noqa: ANN401 - a noun printed field by field
    report = calibration.report
    threshold = calibration.said or f"{calibration.threshold:.4g}"
    figures = ("auroc", "stopwatch", "auroc_half", "false_alarms")
    return calibration.detector, threshold, *(_estimate(report.get(name)) for name in figures)


def _estimate(found: Any) -> str:  # noqa: ANN401 - JSON from a stored report
    if not isinstance(found, dict) or found.get("value") is None:
        return "too few to say"
    return f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f}), n {found['n']}"


@app.command()
def triage(
    tries: Annotated[
        list[str] | None, typer.Argument(help="With --logs: a subset or episodes; default: all logged deployments.")
    ] = None,
    logs: Logs = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Name, group and rank the failures, and ask for corrections."""
    with opened(where, quiet=as_json) as wheel:
        found = (
            [(wheel.key_of(whose.id), one) for whose, one in _each(wheel, tries, verb=wheel.failures.triage)]
            if logs
            else [("", wheel.triage())]
        )
    if as_json:
        emit([one for _, one in found] if logs else found[0][1])
        return
    for key, one in found:
        table = [(m.label, len(m.members), f"{m.priority:.4f}", _shown(m.factors)) for m in one.modes]
        rows(f"Modes {key}".strip(), ("mode", "failures", "priority", "from"), table)
        rows(
            "Requests",
            ("for", "kind", "count", "why"),
            [(r.target, r.correction_kind, r.count, r.reason) for r in one.requests],
        )


def _shown(factors: Mapping[str, float]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:.3g}" for name, value in factors.items())


@app.command()
def mix(
    what: Annotated[list[str] | None, typer.Argument(help="With --name: a subset, or episodes, whole.")] = None,
    name: Annotated[str, typer.Option(help="Make a version of these; dataset/NAME is its key.")] = "",
    note: Annotated[str, typer.Option(help="Why this version is made.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Mix the dataset version of this turn, or one of chosen episodes; refuses evaluation starts (exit code 1)."""
    if bool(what) != bool(name):
        raise UsageError("chosen episodes need a name, and a name needs them", remedy="saqiya mix SUBSET --name NAME.")
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.version(name, what, note=note) if what else wheel.mix(note=note)
        key = wheel.key_of(made.id)
    emit(made) if as_json else say(f"{key}: {len(made.entries)} spans, manifest {made.manifest_hash}")


@app.command()
def train(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Train the candidate of this turn."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.train(_made(wheel, DatasetVersion, "dataset", before="mix"))
    emit(made) if as_json else say(f"{made.name}: {made.metrics}")


@app.command()
def evaluate(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Let the gate decide about this turn's candidate; HOLD and REJECT end with exit code 1."""
    with opened(where, quiet=as_json) as wheel:
        decision = wheel.evaluate(_made(wheel, Policy, "policy", before="train"))
    _decided(decision, as_json=as_json)


@app.command()
def deploy(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """Roll out the policy in charge, try the starts of open failures again, log every try, and close the turn."""
    with opened(where, quiet=as_json) as wheel:
        wheel.deploy(_made(wheel, GateDecision, "decision", before="evaluate"))
        wheel.recheck()
        closed = wheel.close_turn()
    emit(closed) if as_json else say(success_text(closed.figures["success"]))


@policy.command("rollback")
def policy_rollback(
    ref: Annotated[str, typer.Argument(help="A policy that the gate once let through, by id or key.")],
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Let an earlier policy take charge again, rolled out from fresh starts; the next turn begins with it."""
    from saqiya.loop.people.wishes import roll_back

    with opened(where, quiet=as_json) as wheel:
        made = roll_back(wheel, ref)
        key = wheel.key_of(made.policy)
    emit(made) if as_json else say(f"{key} is in charge again, tried {len(made.episodes)} times.")


@app.command()
def turn(
    until_rest: Annotated[bool, typer.Option("--until-rest", help="Go on until the wheel says why it rests.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Do what people ask for on the pages, until Ctrl-C.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Turn the wheel once, durably: after a crash the same command goes on.

    HOLD and REJECT end with exit code 1, and so does a wheel that rests already.
    """
    if watch:
        from saqiya.cli.watch import keep_watch

        keep_watch(where)
    with opened(where, quiet=as_json) as wheel:
        done = [wheel.turn()]
        while until_rest and not done[-1].figures["stopped_because"]:
            done.append(wheel.turn())
        decision = wheel.store.catalog.get(done[-1].decision, GateDecision)
        wheel.write_pages()
    if as_json:
        emit([one.figures for one in done])
    else:
        for one in done:
            f = one.figures
            say(f"turn {f['turn']}: {f['decision']}, success {success_text(f['success'])}, {f['cycle_s']} s")
        say(
            f"Rests: {done[-1].figures['stopped_because']}"
            if done[-1].figures["stopped_because"]
            else f"Next: saqiya turn -w {where}"
        )
        if not until_rest:
            _decided(decision, as_json=False)
    if not until_rest and decision.decision not in {Decision.INITIAL, Decision.PROMOTE}:
        raise typer.Exit(NO)


def _made(wheel: Flywheel, kind: type[N], part: str, *, before: str) -> N:
    """Return what an earlier step of this turn made, or say which step comes first."""
    found = wheel.store.catalog.by_key(kind, wheel.key(part))
    if found is None:
        raise GuardRefusal(
            f"there is no {part} in this turn yet", subject=f"turn {wheel.number}", remedy=f"Run saqiya {before} first."
        )
    return found


def _decided(decision: GateDecision, *, as_json: bool) -> None:
    if as_json:
        emit(decision)
    else:
        say(decision.decision.value)
        for reason in decision.reasons:
            say(f"  {reason}")
    if decision.decision not in {Decision.INITIAL, Decision.PROMOTE}:
        raise typer.Exit(NO)


def pairs_of(items: list[str]) -> dict[str, str]:
    """Split key=value arguments; several may stand in one, with commas between them."""
    made = {}
    for item in (part for one in items for part in one.split(",") if part.strip()):
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UsageError("must be key=value", subject=item, remedy="For example: task=pick-place.")
        made[name] = value
    return made
