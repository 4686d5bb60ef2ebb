"""People who may sign in, and the tokens they gave to programs. Only hashes of secrets are stored."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from saqiya.domain.streams import JsonValue
from saqiya.domain.visible import line
from saqiya.domain.words import Rank
from saqiya.errors import Corrupt, UnknownId, UsageError
from saqiya.stores.database import Database
from saqiya.stores.desk_tables import people, tokens
from saqiya.stores.trail import append

__all__ = ["People", "Person", "Profile", "Token"]

_NAMED: Final = sa.select(people).where(people.c.name == sa.bindparam("a_name"))
_HASHED: Final = sa.select(tokens).where(tokens.c.hash == sa.bindparam("a_hash"))
_NAME: Final = re.compile(r"[\w][\w.@+-]{0,63}")


@dataclass(frozen=True)
class Profile:
    """What work suits a person; () of anything means that it does not matter.

    Attributes:
        skills: tasks that they can do, by name.
        sites: places where they are.
        rigs: embodiments that they can operate, each at the same time as the others.
        cost_per_minute: in whatever unit the team counts in.
    """

    skills: tuple[str, ...] = ()
    sites: tuple[str, ...] = ()
    rigs: tuple[str, ...] = ()
    cost_per_minute: float = 1.0


@dataclass(frozen=True)
class Person:
    """Somebody who may do what their rank covers. `secret` is a hash; `epoch` rises when old sign-ins end."""

    name: str
    rank: Rank
    secret: str
    profile: Profile
    epoch: int
    disabled: bool


@dataclass(frozen=True)
class Token:
    """A program's key to act as a person, with only these scopes, until it expires or is revoked."""

    id: str
    person: str
    name: str
    scopes: tuple[str, ...]
    expires_ns: int
    revoked: bool


class People:
    """The table of people and that of their tokens; every change leaves an entry in the trail."""

    def __init__(self, database: Database) -> None:
        """Work in `database`."""
        self.database = database

    def add(self, name: str, rank: Rank, secret: str, profile: Profile, *, by: str, now_ns: int) -> Person:
        """Let somebody in.

        Raises:
            UsageError: the name cannot name a person, or is taken.
        """
        if not _NAME.fullmatch(name) or line(name) != name:
            raise UsageError(
                f"{name[:40]!r} cannot name a person",
                remedy="Use at most 64 letters, digits, dots, dashes, underscores, + and @; no spaces",
            )
        row = {"name": name, "rank": rank.value, "secret": secret, "profile": _text(profile), "epoch": 1}
        with self.database.writing() as connection:
            if self._row(connection, name) is not None:
                raise UsageError("there is somebody of this name", subject=name, remedy="Choose another name")
            connection.execute(sa.insert(people), row | {"created_ns": now_ns, "disabled_ns": None})
            append(connection, by, "person/add", name, {"rank": rank.value}, now_ns=now_ns)
        return Person(name, rank, secret, profile, 1, disabled=False)

    def get(self, name: str) -> Person | None:
        """Return a person, or None."""
        with self.database.reading() as connection:
            row = self._row(connection, name)
        return None if row is None else _person(row)

    def known(self, name: str) -> Person:
        """Return a person who may work here.

        Raises:
            UnknownId: there is nobody of this name, or they were disabled.
        """
        found = self.get(name)
        if found is None or found.disabled:
            what = "nobody of this name is known here" if found is None else "this person is disabled"
            raise UnknownId(what, subject=name[:80], remedy="An admin can add people: saqiya people add NAME")
        return found

    def all(self) -> tuple[Person, ...]:
        """Return everybody, disabled people too, by name."""
        with self.database.reading() as connection:
            return tuple(_person(row) for row in connection.execute(sa.select(people).order_by(people.c.name)))

    def change(
        self,
        name: str,
        *,
        by: str,
        now_ns: int,
        rank: Rank | None = None,
        secret: str | None = None,
        profile: Profile | None = None,
        disabled: bool | None = None,
    ) -> Person:
        """Change what is given of a person; all but a new profile ends every sign-in that they have.

        Raises:
            UnknownId: there is nobody of this name.
            UsageError: nobody would be left who may change people: the last admin stays one.
        """
        with self.database.writing() as connection:
            row = self._row(connection, name)
            if row is None:
                raise UnknownId("nobody of this name is known here", subject=name[:80], remedy="See saqiya people list")
            old = _person(row)
            new = replace(
                old,
                rank=rank or old.rank,
                secret=old.secret if secret is None else secret,
                profile=profile or old.profile,
                disabled=old.disabled if disabled is None else disabled,
            )
            if replace(new, profile=old.profile) != old:
                new = replace(new, epoch=old.epoch + 1)
            gone_ns = (row.disabled_ns or now_ns) if new.disabled else None
            said = {"rank": new.rank.value, "secret": new.secret, "profile": _text(new.profile), "epoch": new.epoch}
            query = sa.update(people).where(people.c.name == name)
            connection.execute(query.values(**said, disabled_ns=gone_ns))
            admins = sa.select(sa.func.count()).where(people.c.rank == Rank.ADMIN.value, people.c.disabled_ns.is_(None))
            if old.rank is Rank.ADMIN and not old.disabled and not connection.execute(admins).scalar():
                raise UsageError("is the last admin", subject=name, remedy="Make somebody else one first")
            detail = {"rank": new.rank.value, "disabled": new.disabled, "password": secret is not None}
            append(connection, by, "person/change", name, detail, now_ns=now_ns)
        return new

    def rehash(self, name: str, secret: str) -> None:
        """Keep the same password under a newer hash; nothing changes for the person."""
        with self.database.writing() as connection:
            connection.execute(sa.update(people).where(people.c.name == name).values(secret=secret))

    def token_add(self, token: Token, hash_: str, *, by: str, now_ns: int) -> Token:
        """Store a token by its hash.

        Raises:
            UnknownId: there is nobody of this name, or they are disabled.
        """
        self.known(token.person)
        row = {"id": token.id, "person": token.person, "name": token.name, "hash": hash_, "created_ns": now_ns}
        row |= {"scopes": json.dumps(token.scopes), "expires_ns": token.expires_ns, "revoked_ns": None}
        with self.database.writing() as connection:
            connection.execute(sa.insert(tokens), row)
            detail: dict[str, JsonValue] = {
                "person": token.person,
                "scopes": list(token.scopes),
                "expires_ns": token.expires_ns,
            }
            append(connection, by, "token/add", token.id, detail, now_ns=now_ns)
        return token

    def holder(self, hash_: str) -> tuple[Token, Person] | None:
        """Return the token with this hash, expired and revoked ones too, and for whom it speaks; None for no such."""
        with self.database.reading() as connection:
            token = connection.execute(_HASHED, {"a_hash": hash_}).first()
            person = None if token is None else self._row(connection, token.person)
        return None if token is None or person is None else (_token(token), _person(person))

    def tokens(self, person: str = "") -> tuple[Token, ...]:
        """Return a person's tokens, or everybody's, the newest first."""
        query = sa.select(tokens).order_by(tokens.c.created_ns.desc())
        with self.database.reading() as connection:
            rows = connection.execute(query.where(tokens.c.person == person) if person else query).all()
        return tuple(_token(row) for row in rows)

    def token_revoke(self, token_id: str, *, by: str, now_ns: int) -> None:
        """Let a token count no more.

        Raises:
            UnknownId: there is none of this id.
        """
        with self.database.writing() as connection:
            done = connection.execute(sa.update(tokens).where(tokens.c.id == token_id).values(revoked_ns=now_ns))
            if not done.rowcount:
                raise UnknownId("no token has this id", subject=token_id[:80], remedy="See saqiya people list")
            append(connection, by, "token/revoke", token_id, now_ns=now_ns)

    def token_spend(self, hash_: str, *, now_ns: int) -> bool:
        """Let the token with this hash count no more, on its holder's word, and say whether it still did."""
        alive = sa.and_(tokens.c.hash == hash_, tokens.c.revoked_ns.is_(None))
        with self.database.writing() as connection:
            row = connection.execute(sa.select(tokens).where(alive)).first()
            if row is None:
                return False
            connection.execute(sa.update(tokens).where(tokens.c.id == row.id).values(revoked_ns=now_ns))
            append(connection, row.person, "token/spend", row.id, now_ns=now_ns)
        return True

    def _row(self, connection: sa.Connection, name: str) -> sa.Row[Any] | None:
        return connection.execute(_NAMED, {"a_name": name}).first()


def _text(profile: Profile) -> str:
    return json.dumps(asdict(profile), sort_keys=True, separators=(",", ":"))


def _person(row: sa.Row[Any]) -> Person:
    try:
        profile = msgspec.json.decode(row.profile, type=Profile)
        rank = Rank(row.rank)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Corrupt(f"cannot be read ({error})", subject=f"people/{row.name}", remedy="saqiya verify") from error
    return Person(row.name, rank, row.secret, profile, row.epoch, disabled=row.disabled_ns is not None)


def _token(row: sa.Row[Any]) -> Token:
    scopes: Sequence[str] = json.loads(row.scopes)
    return Token(row.id, row.person, row.name, tuple(scopes), row.expires_ns, revoked=row.revoked_ns is not None)
