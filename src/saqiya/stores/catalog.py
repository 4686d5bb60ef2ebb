"""The catalog: every noun as one row, and the references between them. A row is the only commit there is.

House rules ask for one module of plain SQL per noun; nouns being append-only values, one generic table serves all of
them instead: a new kind needs no SQL and no migration, lineage is two indexed columns, and `verify` is one loop. What
would need a table of its own is state that changes (a queue's leases), and that is not a noun.
"""

from __future__ import annotations

import difflib
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeVar, cast, overload

import sqlalchemy as sa

from saqiya.domain.ids import Clock, Mint
from saqiya.domain.nouns import NOUNS, Noun, Redaction, Tombstone, Undo
from saqiya.errors import Corrupt, Erased, UnknownId, UsageError
from saqiya.stores.codec import canonical
from saqiya.stores.database import BUSY_S, Database
from saqiya.stores.objects import Objects
from saqiya.stores.references import Reference, redirect, references
from saqiya.stores.rows import check, check_targets, chunks, kinds_of, noun_of, row_of
from saqiya.stores.schema import nouns, object_refs, refs
from saqiya.stores.shelves import Shelves

__all__ = ["Catalog", "noun_of"]

N = TypeVar("N", bound=Noun)
_SEEN_IN_NEAR_MATCHES: Final = 2000
_SHORTEST_PART: Final = 4
_PAGE: Final = 1000
Beside = Callable[[sa.Connection, Sequence[Noun]], None]
_BESIDE: Final[ContextVar[Beside | None]] = ContextVar("beside", default=None)


class Catalog:
    """Nouns by id, by key, by kind and by what they refer to.

    Attributes:
        mint: makes ids for this site.
    """

    def __init__(
        self, where: Path | str | sa.URL, *, objects: Objects, mint: Mint, clock: Clock, busy_s: float = BUSY_S
    ) -> None:
        """Open or make the catalog at a path or SQLAlchemy URL; `objects` is where digests must be found.

        Raises:
            WorkspaceTooNew, Corrupt, WorkspaceBusy, StorageFull: see `Database`.
        """
        self.database = Database(where, busy_s=busy_s)
        self.mint = mint
        self._objects = objects
        self._clock = clock
        self._shelves = Shelves(self.database)

    def new_id(self, kind: str) -> str:
        """Return a new id for a noun of `kind`."""
        return self.mint.id(kind)

    @contextmanager
    def beside(self, told: Beside) -> Iterator[None]:
        """Do something in every transaction of this thread that stores something new, with the new nouns."""
        before = _BESIDE.set(told)
        try:
            yield
        finally:
            _BESIDE.reset(before)

    def put(self, noun: N, *, key: str) -> N:
        """Store one noun; see `put_all`."""
        return cast("N", self.put_all([(noun, key)])[0])

    def put_all(
        self,
        batch: Sequence[tuple[Noun, str]],
        *,
        unless: Callable[[sa.Connection], bool] | None = None,
        along: Callable[[sa.Connection], None] | None = None,
    ) -> list[Noun]:
        """Store nouns under their logical keys in one transaction, and return them as stored, in order.

        A key of its kind that is taken already keeps its first noun, which is returned in place of the new one; what
        else in the batch refers to the new one's id is made to refer to the first's. So a step that runs twice stores
        once. Nouns of a batch may refer to each other in any order.

        Args:
            batch: nouns, each with its key.
            unless: asked inside the transaction; when it says True nothing is stored, and nothing is returned.
            along: done inside the transaction after the nouns are in: what it writes commits with them, and when it
                raises, neither is stored.

        Raises:
            UnknownId: a reference names no noun, one of another kind, or an object that is not stored.
            Erased: a reference names an object that was erased.
            UsageError: a noun has no exact stored form, a key is empty, or an id is taken under another key.
            StorageFull: no room; nothing of the batch is stored.
            WorkspaceBusy: another process writes for too long.
        """
        for noun, key in batch:
            check(noun, key)
        exact = [canonical(noun)[0] for noun, _ in batch]
        keys = [key for _, key in batch]
        with self.database.writing() as connection:
            if unless is not None and unless(connection):
                return []
            first = self._stored(connection, exact, keys)
            instead: dict[str, str] = {}
            for noun, key in zip(exact, keys, strict=True):
                holder = first.setdefault((noun.kind, key), noun)
                if holder.id != noun.id:
                    instead[noun.id] = holder.id
            result: list[Noun] = []
            fresh: dict[tuple[str, str], Noun] = {}
            for noun, key in zip(exact, keys, strict=True):
                name = (noun.kind, key)
                if first[name] is noun:
                    fresh[name] = first[name] = redirect(noun, instead)
                result.append(first[name])
            if fresh:
                self._insert(connection, fresh)
                if (beside := _BESIDE.get()) is not None:
                    beside(connection, list(fresh.values()))
            if along is not None:
                along(connection)
        for noun, key in zip(result, keys, strict=True):
            self._shelves.hold(noun, key)
        return result

    @overload
    def get(self, ref: str, kind: type[N]) -> N: ...
    @overload
    def get(self, ref: str, kind: None = None) -> Noun: ...
    def get(self, ref: str, kind: type[Noun] | None = None) -> Noun:
        """Return the noun with this id, logical key, or unique beginning or ending of an id (ids share beginnings).

        Raises:
            UnknownId: none answers, several do, or it is of another kind.
        """
        held = self._shelves.known(ref)
        if held is not None and (kind is None or isinstance(held[0], kind)):
            return held[0]
        with self.database.reading() as connection:
            for test in _tests(ref, [kind.kind] if kind else sorted(NOUNS)):
                rows = connection.execute(sa.select(nouns).where(test).limit(6)).all()
                if len(rows) == 1:
                    return self._shelves.read(rows[0])
                if rows:
                    raise UnknownId(
                        f"{ref[:80]!r} could be " + ", ".join(f"{row.id} ({row.key})" for row in rows[:5]),
                        remedy="Give more of the id",
                    )
            raise self._unknown(connection, ref, kind)

    @overload
    def by_key(self, kind: type[N], key: str) -> N | None: ...
    @overload
    def by_key(self, kind: str, key: str) -> Noun | None: ...
    def by_key(self, kind: type[Noun] | str, key: str) -> Noun | None:
        """Return the noun of a kind (class or name) under its logical key, or None."""
        name = kind if isinstance(kind, str) else kind.kind
        with self.database.reading() as connection:
            row = connection.execute(sa.select(nouns).where(nouns.c.kind == name, nouns.c.key == key)).first()
        return self._shelves.read(row) if row else None

    def by_keys(self, kind: type[N], keys: Sequence[str]) -> dict[str, N]:
        """Return the nouns of a class that are stored under any of these logical keys, by key."""
        found: dict[str, N] = {}
        with self.database.reading() as connection:
            for part in chunks(sorted(set(keys))):
                query = sa.select(nouns).where(nouns.c.kind == kind.kind, nouns.c.key.in_(part))
                found.update({row.key: cast("N", self._shelves.read(row)) for row in connection.execute(query)})
        return found

    def each(self, kind: type[N], ids: Sequence[str]) -> Iterator[N]:
        """Yield nouns of a class by id, in the order of the ids, without keeping them: for walks over many.

        Raises:
            UnknownId: an id names nothing, or a noun of another kind.
        """
        for part in chunks(ids):
            found = {one: kept[0] for one in part if (kept := self._shelves.known(one)) is not None}
            if missing := sorted(set(part) - found.keys()):
                with self.database.reading() as connection:
                    rows = connection.execute(sa.select(nouns).where(nouns.c.id.in_(missing))).all()
                found |= {row.id: noun_of(row) for row in rows}
            for one in part:
                noun = found.get(one)
                if not isinstance(noun, kind):
                    self.get(one, kind)  # says what is wrong, with neighbours
                    raise UnknownId(f"no {kind.kind} has this id", subject=one, remedy="Give a whole id")
                yield noun

    def id_of(self, kind: type[Noun], ref: str) -> str | None:
        """Return the id of a noun of a class by its id or key, without reading it; None when there is none."""
        named = sa.or_(nouns.c.id == ref, nouns.c.key == ref)
        with self.database.reading() as connection:
            found = connection.execute(sa.select(nouns.c.id).where(nouns.c.kind == kind.kind, named)).scalar()
        return None if found is None else str(found)

    def has_erased(self) -> bool:
        """Say whether anything was ever erased here."""
        with self.database.reading() as connection:
            return connection.execute(sa.select(nouns.c.id).where(_IS_STONE).limit(1)).first() is not None

    def erased(self, among: Iterable[str] | None = None) -> dict[str, str | None]:
        """Return which digests and episodes were erased, each with its replacement where other tries in it live on.

        Args:
            among: ask about these digests and ids alone; by default about all there are.
        """
        found: dict[str, str | None] = {}
        if not self.has_erased():
            return found
        with self.database.reading() as connection:
            if among is None:
                return {row.key: _instead(row) for row in connection.execute(sa.select(nouns).where(_IS_STONE))}
            for part in chunks(sorted(set(among))):
                found |= _stones(connection, part)
        return found

    def has(self, kind: type[Noun] | str, key: str) -> bool:
        """Say whether a noun of this kind is stored under this key."""
        name = kind if isinstance(kind, str) else kind.kind
        with self.database.reading() as connection:
            query = sa.select(nouns.c.id).where(nouns.c.kind == name, nouns.c.key == key)
            return connection.execute(query).first() is not None

    def all(self, kind: type[N]) -> list[N]:
        """Return every noun of a class, in the order they were stored."""
        return cast("list[N]", list(self._shelves.whole(kind).nouns))

    def standing(self, kind: type[N]) -> list[N]:
        """Return every noun of a class that nobody undid, in the order they were stored."""
        undone = {one.what for one in self.all(Undo)}
        return [one for one in self.all(kind) if one.id not in undone]

    def since(self, kind: type[N], created_ns: int) -> list[tuple[int, N]]:
        """Return the nouns of a class that were stored after a moment, each with its own, in that order."""
        shelf = self._shelves.whole(kind)
        first = bisect_right(shelf.created_ns, created_ns)
        return list(zip(shelf.created_ns[first:], cast("list[N]", shelf.nouns[first:]), strict=True))

    def news(
        self, kinds: Sequence[type[Noun]], created_ns: int, *, within: sa.Connection
    ) -> list[tuple[int, str, Noun]]:
        """Return what a transaction sees that was stored of several classes after a moment: its own, key, noun."""
        found: list[tuple[int, str, Noun]] = []
        while True:
            said = {"after": found[-1][0] if found else created_ns, "kinds": [kind.kind for kind in kinds]}
            part = [(row.created_ns, row.key, self._shelves.read(row)) for row in within.execute(_NEWS, said)]
            found += part
            if len(part) < _PAGE:
                return found

    def refers(self, connection: sa.Connection, field: str, target: str, kind: type[Noun], *, besides: str) -> bool:
        """Say whether a noun of a class, other than one, refers to `target` in a field, as a transaction sees it."""
        query = sa.select(nouns.c.id).join(refs, refs.c.source == nouns.c.id)
        here = (refs.c.target == target, refs.c.field == field, _unindexed_kind == kind.kind, nouns.c.id != besides)
        return connection.execute(query.where(*here).limit(1)).first() is not None

    def newer(self, kind: type[Noun], created_ns: int) -> Callable[[sa.Connection], bool]:
        """Return a test for `put_all`: whether a noun of a class was stored after a moment."""
        late = sa.select(nouns.c.id).where(nouns.c.kind == kind.kind, nouns.c.created_ns > created_ns).limit(1)
        return lambda connection: connection.execute(late).first() is not None

    def last(self, kind: type[N]) -> N | None:
        """Return the noun of a class that was stored last, or None."""
        newest = (nouns.c.created_ns.desc(), nouns.c.id.desc())
        with self.database.reading() as connection:
            row = connection.execute(
                sa.select(nouns).where(nouns.c.kind == kind.kind).order_by(*newest).limit(1)
            ).first()
        return cast("N", self._shelves.read(row)) if row else None

    def referring(self, target: str, kind: type[N]) -> list[N]:
        """Return the nouns of a class that refer to the noun or object `target`, in the order they were stored."""
        sources = sa.union(
            sa.select(refs.c.source).where(refs.c.target == target),
            sa.select(object_refs.c.source).where(object_refs.c.digest == target),
        )
        query = sa.select(nouns).where(nouns.c.id.in_(sources), _unindexed_kind == kind.kind).order_by(*_ORDER)
        with self.database.reading() as connection:
            rows = connection.execute(query).all()
        return cast("list[N]", [self._shelves.read(row) for row in rows])

    def key_of(self, noun_id: str) -> str:
        """Return the logical key a noun was stored under.

        Raises:
            UnknownId: no noun has this id.
        """
        held = self._shelves.known(noun_id)
        if held is not None:
            return held[1]
        with self.database.reading() as connection:
            key = connection.execute(sa.select(nouns.c.key).where(nouns.c.id == noun_id)).scalar()
            if key is None:
                raise self._unknown(connection, noun_id, None)
        return str(key)

    def first_created_ns(self, prefix: str) -> int | None:
        """Return when the first noun was stored whose key begins with `prefix`, or None."""
        query = sa.select(sa.func.min(nouns.c.created_ns)).where(nouns.c.key.startswith(prefix, autoescape=True))
        if self.database.is_sqlite and prefix:  # which answers a range of each kind from its index, but no LIKE
            after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
            query = query.where(nouns.c.kind.in_(sorted(NOUNS)), nouns.c.key >= prefix, nouns.c.key < after)
        with self.database.reading() as connection:
            found = connection.execute(query).scalar()
        return None if found is None else int(found)

    def count(self) -> dict[str, int]:
        """Return how many nouns there are of every kind that has any."""
        with self.database.reading() as connection:
            rows = connection.execute(sa.select(nouns.c.kind, sa.func.count()).group_by(nouns.c.kind)).all()
        return dict(sorted((row[0], row[1]) for row in rows))

    def object_path(self, digest: str, *, of: str = "") -> Path:
        """Return a file with an object's bytes, unless they were erased: with `object_view` the one door to them.

        Args:
            digest: the object's. Where other tries in it were erased, its replacement is given.
            of: the id of the episode that is to be read, where it is one.

        Raises:
            Erased: a tombstone stands for the object or the episode, whether or not its bytes are still here.
            Corrupt: the bytes are missing.
        """
        return self._objects.path(self.present(digest, of))

    def object_view(self, digest: str, *, of: str = "") -> memoryview:
        """Return an object's bytes, unless they were erased; they may lie in a pack, where no file is theirs alone.

        Raises:
            Erased, Corrupt: as `object_path`.
        """
        return self._objects.view(self.present(digest, of))

    def present(self, digest: str, of: str = "") -> str:
        """Return the digest under which an object's bytes are now: its own, or that of its replacement.

        Raises:
            Erased: as `object_path`.
        """
        with self.database.reading() as connection:
            stones = _stones(connection, [digest, of] if of else [digest])
            while stones:
                gone = {key for key, instead in stones.items() if instead is None}
                if gone:
                    raise _erased(of if of in gone else digest)
                digest = stones[digest] or digest
                stones = _stones(connection, [digest])
        return digest

    def close(self) -> None:
        """Close every connection to the database."""
        self.database.close()

    def _stored(
        self, connection: sa.Connection, batch: Iterable[Noun], keys: Iterable[str]
    ) -> dict[tuple[str, str], Noun]:
        wanted: dict[str, set[str]] = {}
        for noun, key in zip(batch, keys, strict=True):
            wanted.setdefault(noun.kind, set()).add(key)
        found: dict[tuple[str, str], Noun] = {}
        for kind, names in wanted.items():
            for part in chunks(sorted(names)):
                rows = connection.execute(_BY_KEYS, {"a_kind": kind, "keys": part})
                found.update({(kind, row.key): self._shelves.read(row) for row in rows})
        return found

    def _insert(self, connection: sa.Connection, fresh: Mapping[tuple[str, str], Noun]) -> None:
        newest = connection.execute(_NEWEST).scalar() or 0
        if not isinstance(newest, int):
            raise Corrupt("a row's birth is not a number", remedy="Run `saqiya verify` and restore the catalog")
        created_ns = max(self._clock(), newest + 1)
        kinds = {noun.id: noun.kind for noun in fresh.values()}
        if len(kinds) != len(fresh):
            raise UsageError("two nouns of the batch have the same id", remedy="Take each id from `new_id`")
        taken = kinds_of(connection, kinds)
        if taken:
            raise UsageError(
                "the id is taken by a noun under another key", subject=min(taken), remedy="Take each id from `new_id`"
            )
        links: list[tuple[str, Reference]] = [
            (noun.id, reference) for noun in fresh.values() for reference in references(noun)
        ]
        kinds |= kinds_of(connection, {link.target for _, link in links if link.kind != "object"} - set(kinds))
        check_targets(links, kinds)
        digests = {link.target for _, link in links if link.kind == "object"}
        _refuse_erased(connection, sorted(digests))
        for digest in self._objects.missing(sorted(digests)):
            raise UnknownId("no such object is stored", subject=digest, remedy="Put the bytes first, then the noun")
        rows = [row_of(noun, key, created_ns + place) for place, ((_, key), noun) in enumerate(fresh.items())]
        connection.execute(_INSERT, rows)
        for table, column, wanted in ((refs, "target", False), (object_refs, "digest", True)):
            found = [
                {"source": source, "field": link.field, column: link.target}
                for source, link in links
                if (link.kind == "object") is wanted
            ]
            if found:
                connection.execute(sa.insert(table), found)

    def _unknown(self, connection: sa.Connection, ref: str, kind: type[Noun] | None) -> UnknownId:
        query = sa.select(nouns.c.id, nouns.c.key, nouns.c.kind).order_by(nouns.c.created_ns.desc())
        rows = connection.execute(query.limit(_SEEN_IN_NEAR_MATCHES)).all()
        other = connection.execute(sa.select(nouns.c.kind).where(nouns.c.id == ref)).first()
        if kind is not None and other is not None:
            return UnknownId(
                f"its kind is {other.kind}, not {kind.kind}",
                subject=ref[:80],
                remedy=f"Give the id of a noun of kind {kind.kind}",
            )
        names = [name for row in rows if kind is None or row.kind == kind.kind for name in (row.id, row.key)]
        near = difflib.get_close_matches(ref, names, n=3, cutoff=0.5)
        return UnknownId(
            f"no {kind.kind if kind else 'noun'} has this id or key",
            subject=ref[:80],
            remedy=f"Did you mean {', '.join(near)}?" if near else "`saqiya status` shows what there is",
        )


_ORDER: Final = (nouns.c.created_ns, nouns.c.id)
_IS_STONE: Final = nouns.c.kind.in_((Tombstone.kind, Redaction.kind))
# Asked for every object that is opened: writing the statement anew takes ten times what answering it takes.
_STONES: Final = sa.select(nouns).where(_IS_STONE, nouns.c.key.in_(sa.bindparam("keys", expanding=True)))
_NEWS: Final = (
    sa.select(nouns)
    .where(nouns.c.created_ns > sa.bindparam("after"), nouns.c.kind.in_(sa.bindparam("kinds", expanding=True)))
    .order_by(nouns.c.created_ns)
    .limit(_PAGE)  # with an end in sight a database without statistics takes the index, and does not read the table
)
_BY_KEYS: Final = sa.select(nouns).where(
    nouns.c.kind == sa.bindparam("a_kind"), nouns.c.key.in_(sa.bindparam("keys", expanding=True))
)
_INSERT: Final = sa.insert(nouns)
_NEWEST: Final = sa.select(sa.func.max(nouns.c.created_ns))
_unindexed_kind: Final = nouns.c.kind + ""
"""The kind as no index knows it: else SQLite, which keeps no statistics, reads a whole kind to find a few ids in it."""


def _tests(ref: str, kinds: Sequence[str]) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what a reference by hand may mean, the likeliest and cheapest first; each is answered from an index."""
    yield sa.and_(nouns.c.id == ref, nouns.c.kind.in_(kinds))
    yield sa.and_(nouns.c.key == ref, nouns.c.kind.in_(kinds))
    size = len(ref)
    if size >= _SHORTEST_PART:
        beginning = sa.func.substr(nouns.c.id, 1, size) == ref
        ending = sa.func.substr(nouns.c.id, sa.func.length(nouns.c.id) - size + 1) == ref
        ids = sa.select(nouns.c.id).where(sa.or_(beginning, ending))
        yield sa.and_(nouns.c.id.in_(ids), _unindexed_kind.in_(kinds))


def _refuse_erased(connection: sa.Connection, digests: Sequence[str]) -> None:
    """Refuse objects that were erased, and those that were replaced: their old bytes hold an erased try."""
    for part in chunks(digests):
        for key in _stones(connection, part):
            raise _erased(key)


def _erased(key: str) -> Erased:
    return Erased("its bytes were erased on purpose", subject=key, remedy="Leave out what was made from it")


def _stones(connection: sa.Connection, keys: Sequence[str]) -> dict[str, str | None]:
    """Return which of these digests and ids were erased, each with its replacement where it has one."""
    found: dict[str, str | None] = {}
    for row in connection.execute(_STONES, {"keys": keys}):
        if found.get(row.key, "") is not None:
            found[row.key] = _instead(row)
    return found


def _instead(row: sa.Row[Any]) -> str | None:
    noun = noun_of(row)
    return noun.replacement if isinstance(noun, Redaction) else None
