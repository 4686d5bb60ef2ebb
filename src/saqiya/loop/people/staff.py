"""Who may come in: people, their passwords, and the tokens of programs. `Flywheel.staff`.

A secret is shown once, when it is made, and stored as a hash: passwords by argon2id (RFC 9106), tokens, which are long
and random, by SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from saqiya.domain.nouns import Noun, Rank
from saqiya.domain.streams import JsonValue
from saqiya.domain.visible import line
from saqiya.errors import ConfigError, SignInRefused, UsageError
from saqiya.stores.people import People, Person, Profile, Token
from saqiya.stores.trail import Trail, append

if TYPE_CHECKING:
    import sqlalchemy as sa
    from argon2 import PasswordHasher

    from saqiya.loop.flywheel import Flywheel

__all__ = ["Person", "Profile", "Staff", "Token"]

SHORTEST: Final = 10
LONGEST: Final = 1024
"""Longer passwords are refused before they are hashed: hashing a gigabyte is an attack."""
TOKEN: Final = "saqiya_"  # noqa: S105 - how a token begins, so that one that leaks is found by a search
DAY_NS: Final = 86_400_000_000_000


class Staff:
    """People and tokens: made, changed, let in and kept out; each change leaves an entry in the trail."""

    def __init__(self, wheel: Flywheel) -> None:
        """Work in the workspace of `wheel`."""
        self.wheel = wheel
        database = wheel.store.catalog.database
        self.people, self.trail = People(database), Trail(database)

    def add(
        self, name: str, rank: Rank = Rank.OPERATOR, *, by: str, password: str = "", profile: Profile | None = None
    ) -> tuple[Person, str]:
        """Let somebody in, and return them with their password: the one given, or a fresh one to be told once.

        Raises:
            UsageError: the name is taken or cannot be one, or the password is too short or too long.
        """
        chosen = password or self._fresh()
        made = self.people.add(
            name, rank, self._hashed(chosen), _suits(profile or Profile()), by=by, now_ns=self.wheel.clock()
        )
        return made, chosen

    def password(self, name: str, *, by: str, password: str = "") -> str:
        """Set somebody's password, or a fresh one, and return it; whoever is signed in under their name is out.

        Raises:
            UnknownId: there is nobody of this name.
            UsageError: it is too short or too long.
        """
        chosen = password or self._fresh()
        self.people.change(name, by=by, now_ns=self.wheel.clock(), secret=self._hashed(chosen))
        return chosen

    def change(
        self,
        name: str,
        *,
        by: str,
        rank: Rank | None = None,
        profile: Profile | None = None,
        disabled: bool | None = None,
    ) -> Person:
        """Change somebody's rank or profile, or keep them out; all but a profile signs them out everywhere.

        Raises:
            UnknownId: there is nobody of this name.
            UsageError: they are the last admin.
        """
        suits = _suits(profile) if profile else None
        return self.people.change(name, by=by, now_ns=self.wheel.clock(), rank=rank, profile=suits, disabled=disabled)

    def sign_in(self, name: str, password: str) -> Person:
        """Return who signs in. It takes as long for a name that nobody has as for a wrong password.

        Raises:
            SignInRefused: they do not fit, or the person is disabled; which, it does not say.
        """
        found = self.people.get(name)
        usable = found is not None and not found.disabled and found.secret != ""
        secret = found.secret if found is not None and usable else self._nobody
        good = len(password) <= LONGEST and self._fits(secret, password)
        if found is None or not usable or not good:
            raise SignInRefused("name and password do not fit", remedy="Try again, or ask an admin for a new password.")
        if self._hasher.check_needs_rehash(found.secret):
            self.people.rehash(found.name, self._hashed(password))
        return found

    def issue(self, person: str, name: str, scopes: Sequence[str], *, days: float, by: str) -> tuple[Token, str]:
        """Make a token for a program, and return it with its secret, which is shown this once.

        Raises:
            UnknownId: there is nobody of this name, or they are disabled.
            UsageError: it would hold for no time, or for more than a year.
        """
        if not 0.0 < days <= 366.0:
            raise UsageError(f"a token cannot hold for {days:g} days", remedy="Up to 366.")
        if not line(name):
            raise UsageError("says nothing of what it is for", subject="token", remedy="Name the program.")
        secret, now_ns = TOKEN + secrets.token_urlsafe(32), self.wheel.clock()
        made = Token(
            id=self.wheel.store.catalog.new_id("token"),
            person=person,
            name=line(name),
            scopes=tuple(dict.fromkeys(scopes)),
            expires_ns=now_ns + int(days * DAY_NS),
            revoked=False,
        )
        return self.people.token_add(made, _digest(secret), by=by, now_ns=now_ns), secret

    def revoke(self, token_id: str, *, by: str) -> None:
        """Let a token count no more.

        Raises:
            UnknownId: there is none of this id.
        """
        self.people.token_revoke(token_id, by=by, now_ns=self.wheel.clock())

    def token(self, secret: str) -> tuple[Person, tuple[str, ...]]:
        """Return for whom a token speaks, and with which scopes.

        Raises:
            SignInRefused: it is unknown, revoked or expired, or its person is disabled; which, it does not say.
        """
        found = self.people.holder(_digest(secret)) if secret.startswith(TOKEN) else None
        if found is None or found[0].revoked or found[1].disabled or found[0].expires_ns <= self.wheel.clock():
            raise SignInRefused("the token does not open the door", remedy="Ask an admin for a new one.")
        return found[1], found[0].scopes

    def spend(self, secret: str) -> bool:
        """Let the token of a secret count no more, and say whether it still did: of two who try, one hears yes."""
        return self.people.token_spend(_digest(secret), now_ns=self.wheel.clock())

    def note(self, who: str, what: str, subject: str, detail: Mapping[str, JsonValue] | None = None) -> None:
        """Leave an entry in the trail for what somebody did outside the desk."""
        with self.people.database.writing() as connection:
            append(connection, who, what, subject, detail, now_ns=self.wheel.clock())

    @contextmanager
    def noting(self, who: str, what: str, kinds: tuple[type[Noun], ...]) -> Iterator[list[str]]:
        """Leave an entry in the trail in each transaction that stores something of some kinds, and give their ids."""
        noted: list[str] = []

        def told(connection: sa.Connection, made: Sequence[Noun]) -> None:
            ids = [one.id for one in made if isinstance(one, kinds)]
            if ids:
                detail: dict[str, JsonValue] = {"nouns": list(ids)}
                append(connection, who, what, ids[0], detail, now_ns=self.wheel.clock())
                noted.extend(ids)

        with self.wheel.store.catalog.beside(told):
            yield noted

    @cached_property
    def _hasher(self) -> PasswordHasher:
        if find_spec("argon2") is None:
            raise ConfigError("needs a library", subject="passwords", remedy="pip install 'saqiya[serve]'")
        from argon2 import PasswordHasher

        return PasswordHasher()

    @cached_property
    def _nobody(self) -> str:
        """A hash that nobody knows the password of, so that names that nobody has take as long as others."""
        return self._hasher.hash(secrets.token_urlsafe(24))

    def check(self, password: str) -> None:
        """Refuse a password that is too short or too long.

        Raises:
            UsageError: it is.
        """
        if not SHORTEST <= len(password) <= LONGEST:
            raise UsageError(
                f"a password of {len(password)} characters is not taken",
                remedy=f"Use {SHORTEST} to {LONGEST} characters; a few unrelated words are good.",
            )

    def _hashed(self, password: str) -> str:
        self.check(password)
        return self._hasher.hash(password)

    def _fits(self, secret: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher.verify(secret, password)
        except (VerificationError, InvalidHashError):
            return False

    @staticmethod
    def _fresh() -> str:
        return secrets.token_urlsafe(15)


def _suits(profile: Profile) -> Profile:
    """Return a profile whose names can be seen, each once."""

    def seen(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(filter(None, map(line, names))))

    return replace(profile, skills=seen(profile.skills), sites=seen(profile.sites), rigs=seen(profile.rigs))


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
