"""Nouns, their references to each other, and their references to objects."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "r0001"
down_revision = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "nouns",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("created_ns", sa.BigInteger, nullable=False),
        sa.Column("scheme", sa.Integer, nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("seal", sa.Text, nullable=False),
        sa.UniqueConstraint("kind", "key", name="uq_nouns_kind_key"),
    )
    op.create_index("ix_nouns_kind_created_ns", "nouns", ["kind", "created_ns"])
    op.create_index("ix_nouns_created_ns", "nouns", ["created_ns"])
    op.create_table(
        "refs",
        sa.Column("source", sa.Text, sa.ForeignKey("nouns.id", name="fk_refs_source"), primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("target", sa.Text, sa.ForeignKey("nouns.id", name="fk_refs_target"), primary_key=True),
    )
    op.create_index("ix_refs_target", "refs", ["target"])
    op.create_table(
        "object_refs",
        sa.Column("source", sa.Text, sa.ForeignKey("nouns.id", name="fk_object_refs_source"), primary_key=True),
        sa.Column("field", sa.Text, primary_key=True),
        sa.Column("digest", sa.Text, primary_key=True),
    )
    op.create_index("ix_object_refs_digest", "object_refs", ["digest"])
