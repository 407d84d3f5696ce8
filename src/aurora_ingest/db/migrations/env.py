"""Runs the revisions on the connection that `db.schema` gives."""

from __future__ import annotations

from alembic import context

from aurora_ingest.db import (  # noqa: F401 - METADATA's
    build_books,
    history_books,
    history_tables,
    lead_books,
    order_book_removals,
    verifier_books,
)
from aurora_ingest.db.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=context.config.attributes["version_table"],
    transactional_ddl=True,
)
context.run_migrations()
