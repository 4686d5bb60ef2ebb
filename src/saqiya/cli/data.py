"""The verbs of the data layer: logs in, datasets out."""

from __future__ import annotations

import sys
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.cli.verbs import pairs_of
from saqiya.domain.nouns import Audit, Episode
from saqiya.domain.streams import JsonValue
from saqiya.errors import UsageError
from saqiya.ingest.stage import Keep
from saqiya.loop.flywheel import Flywheel


@app.command()
def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Log files or folders.")],
    fact: Annotated[list[str] | None, typer.Option(help="key=value said of all of them (task, policy ...).")] = None,
    keep: Annotated[
        Keep, typer.Option(help="The originals: copy all, copy only what holds pictures, or link in place.")
    ] = Keep.COPY,
    link: Annotated[bool, typer.Option("--link", help="The same as --keep link.")] = False,
    rules: Annotated[Path | None, typer.Option(help=r"TOML with \[topics], \[units] and \[audit].")] = None,
    suggest: Annotated[bool, typer.Option("--suggest", help="Draft a mapping for tables; nothing comes in.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Take in logs of any known format; what cannot be used becomes a rejection that says why (exit code 1)."""
    if suggest:
        from saqiya.formats.tables.suggest import suggest as draft

        for path in paths:
            sys.stdout.write(draft(path))
        return
    with opened(where, quiet=as_json) as wheel:
        said = _toml(rules) if rules else {}
        admitted = wheel.data.ingest(paths, facts=pairs_of(fact or []), keep=Keep.LINK if link else keep, rules=said)
        lacks = wheel.data.missing(admitted.audits)
    if as_json:
        emit(admitted)
    else:
        held = [one for one in admitted.audits if one.verdict != "good"]
        say(
            f"{len(admitted.episodes)} episodes ({len(held)} in quarantine), {len(admitted.aliases)} known already in "
            f"another form, {len(admitted.rejections)} rejected, {admitted.ignored} files that are no logs."
        )
        rows("Rejected", ("file", "why", "what to do"), [(r.name, r.reason, r.remedy) for r in admitted.rejections])
        if held:
            rows("In quarantine (saqiya audit)", ("episode", "why"), [(a.episode, _why(a)) for a in held])
        for sentence in (*lacks, *_misfits(admitted.episodes)):
            say(sentence)
    if admitted.rejections:
        raise typer.Exit(NO)


@app.command()
def cut(
    episode: Annotated[str, typer.Argument(help="A long log that came in as one episode.")],
    rules: Annotated[Path | None, typer.Option(help="TOML; without it, rules that fit are suggested.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the cut; otherwise it is only shown.")] = False,
    picture: Annotated[Path | None, typer.Option(help="Draw the timeline into a .png or .svg.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Cut one long log into tries, shown on a timeline before it is kept; cutting again copies nothing."""
    from saqiya.ingest.cut_rules import read_rules
    from saqiya.ingest.timeline import timeline_picture, timeline_text

    with opened(where, quiet=as_json) as wheel:
        if rules is None:
            _suggestions(wheel, episode, as_json=as_json)
            return
        read = read_rules(rules)
        noun, log, cutting = wheel.data.cut(episode, read)
        if picture is not None:
            picture.write_bytes(timeline_picture(log, cutting, form=picture.suffix[1:]))
        made = wheel.data.keep_cut(noun, read, cutting) if keep else None
        if as_json:
            emit(made or cutting.spans)
            return
        say(timeline_text(log, cutting))
        say(f"Kept: {len(made.episodes)} episodes, {made.id}" if made else "Not kept. To keep it, add --keep.")


def _suggestions(wheel: Flywheel, episode: str, *, as_json: bool) -> None:
    from saqiya.ingest.cut_suggest import as_toml, suggest_rules

    found = suggest_rules(wheel.store.log(wheel.episode(episode)))
    if as_json:
        emit([{"name": one.name, "why": one.why, "tries": one.tries, "rules": one.rules.as_json()} for one in found])
        return
    if not found:
        say("No rule finds two tries in it. Name events or give a table of times: docs/long-logs.md.")
    for one in found:
        gives = f"{one.tries} tries of {one.shortest_s:.3g} to {one.longest_s:.3g} s, {one.share:.0%} of the time"
        say(f"# {one.name}: {one.why}\n# gives {gives}\n{as_toml(one.rules)}")


@app.command()
def audit(
    episodes: Annotated[list[str] | None, typer.Argument(help="Default: all that are in quarantine.")] = None,
    release: Annotated[str, typer.Option(help="Let them out of quarantine; say why.")] = "",
    who: Annotated[str, typer.Option(help="Who says so.")] = "",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Show what was found when episodes came in, and let a person overrule it."""
    with opened(where, quiet=as_json) as wheel:
        if release:
            if not who or not episodes:
                raise UsageError("a release needs episodes and --who", remedy="Name the episodes and yourself.")
            for ref in episodes:
                wheel.data.release(ref, who=who, why=release)
        found = wheel.data.audits(episodes or [])
    if as_json:
        emit(found)
        return
    if not found:
        say("No audit of these." if episodes else "Nothing is in quarantine.")
    for one in found:
        say(f"{one.episode}: {one.verdict} ({one.version})")
        rows("", ("check", "stream", "severity", "what"), [_cells(finding) for finding in one.findings])
        for name, why in one.missing.items():
            say(f"  missing: {name}, for {why}")


@app.command()
def retain(
    name: Annotated[str, typer.Argument(help="Of the decision; the same name goes on with it after a crash.")],
    keep: Annotated[list[str] | None, typer.Option(help='"site|policy|task=0.1": share of a group to keep.')] = None,
    otherwise: Annotated[float, typer.Option(help="The share of every other group.")] = 1.0,
    younger_days: Annotated[float, typer.Option(help="What is younger is kept.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the lots.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Erase what is not kept; otherwise it is only said.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Keep failures and all that something rests on; sample the rest by lot, so that rates stay unbiased."""
    shares = {group: float(share) for group, share in pairs_of(keep or []).items()}
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.retain(
            name, shares=shares, otherwise=otherwise, younger_s=younger_days * 86400.0, seed=seed, dry=not yes
        )
    if as_json:
        emit(made)
    else:
        say(f"{len(made.kept)} kept, {len(made.dropped)} {'erased' if yes else 'would be erased; --yes does it'}.")
        rows("Groups", ("site|policy|task", "kept with probability"), list(made.probability.items()))


@app.command()
def erase(
    episodes: Annotated[list[str], typer.Argument(help="By id, key or a unique part of an id.")],
    reason: Annotated[str, typer.Option(help="Stands on the tombstones; no personal data.")],
    yes: Annotated[bool, typer.Option("--yes", help="There is no way back.")] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Erase the bytes of episodes for good, and list what was made from them."""
    if not yes:
        raise UsageError("erasing cannot be undone", subject=", ".join(episodes), remedy="To go on, add --yes.")
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.erase(episodes, reason=reason)
    if as_json:
        emit(made)
        return
    say(f"{len(made.episodes)} episodes, {len(made.objects)} objects, {made.freed_bytes / 2**20:.1f} MiB erased.")
    if made.replaced:
        say(f"{len(made.replaced)} objects hold other tries too; they were replaced, with these tries blank in them.")
    rows("Made from them", ("kind", "ids"), [(kind, ", ".join(ids)) for kind, ids in made.touched.items()])
    for place in made.originals:
        say(f"  an original outside the workspace was not touched: {place}")


def _cells(finding: Mapping[str, JsonValue]) -> tuple[str, ...]:
    return tuple(str(finding.get(name, "")) for name in ("check", "stream", "severity", "what"))


def _misfits(episodes: Sequence[Episode]) -> list[str]:
    """Say which lines of the rules did not fit, and in how many tries."""
    told = [one.extra.get("renaming") for one in episodes]
    count = Counter(str(note) for notes in told if isinstance(notes, list) for note in notes)
    return [f"{note} ({n} of {len(episodes)} tries)" for note, n in count.items()]


def _why(audit: Audit) -> str:
    return "; ".join(str(one.get("what", "")) for one in audit.findings if one.get("severity") == "fault")[:300]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot be read: {error}", subject=str(path), remedy="Give a TOML file.") from error


@app.command()
def export(
    what: Annotated[list[str], typer.Argument(help="One dataset version, or episodes, by id or key.")],
    to: Annotated[Path, typer.Option(help="Where to; it must not exist.")],
    form: Annotated[str, typer.Option("--as", help="lerobot, mcap, rerun, robomimic, or a plug-in's.")] = "lerobot",
    setting: Annotated[list[str] | None, typer.Option("--set", help="The writer's own, for example fps=30.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write a dataset that others read, and say what it could not hold."""
    settings: dict[str, JsonValue] = {name: _number(text) for name, text in pairs_of(setting or []).items()}
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.export(what, to, form=form, settings=settings)
    if as_json:
        emit(made)
    else:
        say(f"{len(made.episodes)} episodes as {made.format} in {made.location}")
        for note in made.notes:
            say(f"  {note}")


@app.command()
def view(
    episode: Annotated[str, typer.Argument(help="By id, key or a unique part of its id.")],
    at: Annotated[float | None, typer.Option(help="The moment, in seconds from its beginning.")] = None,
    viewer: Annotated[str, typer.Option("--in", help="rerun or foxglove.")] = "rerun",
    out: Annotated[Path | None, typer.Option(help="The file to write.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Write a moment for a viewer, and print the command that opens it."""
    with opened(where, quiet=as_json) as wheel:
        made = wheel.data.view(episode, at_s=at, viewer=viewer, out=out)
    if as_json:
        emit({"path": str(made.path), "command": made.command, "notes": list(made.notes)})
    else:
        for note in made.notes:
            say(f"  {note}")
        say(made.command)


def _number(text: str) -> float | int | str:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
