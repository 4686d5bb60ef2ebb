"""Alembic's entry: migrates over the connection that `stores.database` hands in, inside its transaction."""

from __future__ import annotations

from alembic import context

from saqiya.stores.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
