"""Runs the revisions in the transaction that `orchestrator.migrations.upgrade` has opened and locked."""

from __future__ import annotations

from alembic import context

from orchestrator.adapters.sql.schema import metadata

# `transaction_per_migration` stays off: all or nothing
context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
