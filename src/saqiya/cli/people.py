"""`saqiya people`: who may sign in, from the shell of whoever has the workspace in their hands."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say
from saqiya.domain.nouns import Rank
from saqiya.loop.people.exams import known
from saqiya.loop.people.staff import Profile

people = typer.Typer(help="People: add, list, disable, new passwords, tokens for programs.", no_args_is_help=True)
app.add_typer(people, name="people")

Name = Annotated[str, typer.Argument(help="Their name, as it will stand beside what they do.")]
By = Annotated[str, typer.Option("--by", help="Who does it, for the trail.")]
Own = Annotated[bool, typer.Option("--own", help="Read the password from the terminal or a pipe; default: make one.")]


@people.command()
def add(
    name: Name,
    rank: Annotated[Rank, typer.Option(help="What they may do.")] = Rank.OPERATOR,
    skill: Annotated[list[str] | None, typer.Option(help="A task that they can do; none: any. Repeat it.")] = None,
    site: Annotated[list[str] | None, typer.Option(help="A place where they are; none: any. Repeat it.")] = None,
    rig: Annotated[list[str] | None, typer.Option(help="A robot that they can operate; none: any. Repeat it.")] = None,
    cost: Annotated[float, typer.Option(help="Of a minute, in whatever the team counts in.", min=0.0)] = 1.0,
    own: Own = False,
    by: By = "command line",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Let somebody in; a password that is made is printed this once."""
    profile = Profile(tuple(skill or ()), tuple(site or ()), tuple(rig or ()), cost)
    given = _asked() if own else ""
    with opened(where, quiet=True) as wheel:
        made, password = wheel.staff.add(name, rank, by=by, password=given, profile=profile)
    _told(made.name, "" if own else password, f"{made.name} may come in as {made.rank.value}.", as_json=as_json)


@people.command("list")
def list_(where: Where = Path(), as_json: JsonFlag = False) -> None:
    """List people with their rank, what work suits them, and their tokens."""
    with opened(where, quiet=True) as wheel:
        everybody, tokens = wheel.staff.people.all(), wheel.staff.people.tokens()
        now_ns = wheel.clock()
    table = []
    for one in everybody:
        live = [t for t in tokens if t.person == one.name and not t.revoked and t.expires_ns > now_ns]
        suits = [*one.profile.skills, *one.profile.sites, *one.profile.rigs]
        rank = "disabled" if one.disabled else one.rank.value
        said = [f"{t.name} ({t.id}) until {_day(t.expires_ns)}" for t in live]
        table.append((one.name, rank, ", ".join(suits) or "anything", "; ".join(said)))
    if as_json:
        emit([dict(zip(("name", "rank", "suits", "tokens"), row, strict=True)) for row in table])
        return
    rows("People", ("name", "rank", "suits", "tokens"), table)


@people.command()
def disable(
    name: Name,
    back: Annotated[bool, typer.Option("--back", help="Let them in again.")] = False,
    by: By = "command line",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Keep somebody out, at once and everywhere; what they did stays."""
    with opened(where, quiet=True) as wheel:
        changed = wheel.staff.change(name, by=by, disabled=not back)
    _told(changed.name, "", f"{name} may {'come in again' if back else 'no longer come in'}.", as_json=as_json)


@people.command()
def password(
    name: Name, own: Own = False, by: By = "command line", where: Where = Path(), as_json: JsonFlag = False
) -> None:
    """Give somebody a new password; every sign-in under the old one ends."""
    given = _asked() if own else ""
    with opened(where, quiet=True) as wheel:
        made = wheel.staff.password(name, by=by, password=given)
    _told(name, "" if own else made, f"{name} has a new password.", as_json=as_json)


@people.command()
def token(
    name: Name,
    purpose: Annotated[str, typer.Option("--for", help="What it is for.")] = "program",
    scope: Annotated[Rank, typer.Option(help="The most that it may do.")] = Rank.VIEWER,
    days: Annotated[float, typer.Option(help="How long it holds.")] = 30.0,
    revoke: Annotated[str, typer.Option(help="Revoke the token of this id instead.")] = "",
    by: By = "command line",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Make a token with which a program may act for somebody, or revoke one; it is printed this once."""
    with opened(where, quiet=True) as wheel:
        if revoke:
            wheel.staff.revoke(revoke, by=by)
            _told(name, "", f"{revoke} opens nothing any more.", as_json=as_json)
            return
        made, secret = wheel.staff.issue(name, purpose, [scope.value], days=days, by=by)
    _told(name, secret, f"{made.id}, until {_day(made.expires_ns)}, for what a {scope.value} may.", as_json=as_json)


@people.command()
def exam(
    tries: Annotated[list[str] | None, typer.Argument(help="Tries from whose starts; none: fresh starts.")] = None,
    count: Annotated[int, typer.Option(help="How many fresh starts.", min=1)] = 5,
    needed: Annotated[int, typer.Option(help="How many must succeed.", min=1)] = 4,
    by: By = "command line",
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Ask everybody who wants to work on a task to show it first; the site's criterion judges, else a reviewer."""
    with opened(where, quiet=True) as wheel:
        task, starts = known(wheel, tries or (), count=count)
        made = wheel.desk.refer(task, starts, needed=needed, by=by)
    if as_json:
        emit(made)
    else:
        say(f"Whoever does {needed} of {len(starts)} may work on {task}; before that nothing else of it is theirs.")


def _asked() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return sys.stdin.readline().rstrip("\r\n")


def _told(name: str, secret: str, said: str, *, as_json: bool) -> None:
    if as_json:
        emit({"name": name, "said": said, **({"secret": secret} if secret else {})})
    else:
        say(f"{said}\nShown this once: {secret}" if secret else said)


def _day(t_ns: int) -> str:
    return datetime.fromtimestamp(t_ns / 1e9, UTC).strftime("%Y-%m-%d")
