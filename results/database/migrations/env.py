"""Alembic's entry: works on the connection that results.database.schema hands over, on our tables only."""

from __future__ import annotations

from alembic import context

from results.database import artifact_rows  # noqa: F401 - its tables belong to the models too
from results.database.models import Base
from results.database.schema import VERSION_TABLE, is_ours

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table=VERSION_TABLE,
    include_name=is_ours,
    render_as_batch=True,  # SQLite changes a column only by rebuilding its table
)
with context.begin_transaction():
    context.run_migrations()
