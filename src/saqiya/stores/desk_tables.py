"""What changes, beside the nouns that do not: people, their tokens, leases on work, and the trail of who did what."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa

from saqiya.stores.schema import metadata

__all__ = ["leases", "people", "tokens", "trail"]

people: Final = sa.Table(
    "people",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("rank", sa.Text, nullable=False),
    sa.Column("secret", sa.Text, nullable=False),  # a hash of the password, "" where there is none
    sa.Column("profile", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),  # raised whenever what was signed before shall count no more
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("disabled_ns", sa.BigInteger),
)

tokens: Final = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("person", sa.Text, sa.ForeignKey("people.name", name="fk_tokens_person"), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Column("scopes", sa.Text, nullable=False),
    sa.Column("created_ns", sa.BigInteger, nullable=False),
    sa.Column("expires_ns", sa.BigInteger, nullable=False),
    sa.Column("revoked_ns", sa.BigInteger),
    sa.Index("ix_tokens_hash", "hash", unique=True),
    sa.Index("ix_tokens_person", "person"),
)

leases: Final = sa.Table(
    "leases",
    metadata,
    sa.Column("request", sa.Text, sa.ForeignKey("nouns.id", name="fk_leases_request"), primary_key=True),
    sa.Column("slot", sa.Integer, primary_key=True),
    sa.Column("id", sa.Text, nullable=False),
    sa.Column("person", sa.Text, nullable=False),
    sa.Column("since_ns", sa.BigInteger, nullable=False),
    sa.Column("until_ns", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("submission", sa.Text, nullable=False),  # the id of what was handed in last, "" before
    sa.Column("reviewer", sa.Text, nullable=False),  # who looks at it now, "" for nobody
    sa.Column("reviewing_until_ns", sa.BigInteger, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),  # of the trail: what changed since is found without reading all
    sa.Index("ix_leases_id", "id", unique=True),
    sa.Index("ix_leases_seq", "seq"),
    sa.Index("ix_leases_person_state", "person", "state"),
    sa.Index("ix_leases_state_since_ns", "state", "since_ns"),
)

trail: Final = sa.Table(
    "trail",
    metadata,
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("t_ns", sa.BigInteger, nullable=False),
    sa.Column("who", sa.Text, nullable=False),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("subject", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("previous", sa.Text, nullable=False),
    sa.Column("hash", sa.Text, nullable=False),
    sa.Index("ix_trail_subject", "subject"),
    sa.Index("ix_trail_who", "who"),
)
