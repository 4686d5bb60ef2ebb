"""The tables of nouns. One holds every kind, so a new kind needs no migration; what changes is in `desk_tables`."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

__all__ = ["REVISIONS", "metadata", "nouns", "object_refs", "refs"]

REVISIONS: Final = ("r0001", "r0002")
"""Every migration in order; the last is the one this Saqiya works with. A test holds this against `migrations/`."""

metadata: Final = sa.MetaData()

nouns: Final = sa.Table(
    "nouns",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),  # strictly increasing: the order of insertion
    sa.Column("scheme", sa.Integer, nullable=False),
    sa.Column("payload", sa.Text, nullable=False),
    sa.Column("seal", sa.Text, nullable=False),
    sa.UniqueConstraint("kind", "key", name="uq_nouns_kind_key"),
    sa.Index("ix_nouns_kind_created_ns", "kind", "created_ns"),
    sa.Index("ix_nouns_created_ns", "created_ns"),
)

refs: Final = sa.Table(
    "refs",
    metadata,
    sa.Column("source", sa.Text, sa.ForeignKey("nouns.id", name="fk_refs_source"), primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("target", sa.Text, sa.ForeignKey("nouns.id", name="fk_refs_target"), primary_key=True),
    sa.Index("ix_refs_target", "target"),
)

object_refs: Final = sa.Table(
    "object_refs",
    metadata,
    sa.Column("source", sa.Text, sa.ForeignKey("nouns.id", name="fk_object_refs_source"), primary_key=True),
    sa.Column("field", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Index("ix_object_refs_digest", "digest"),
)
