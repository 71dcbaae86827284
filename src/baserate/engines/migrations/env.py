"""Runs the steps on the connection that ``database.Database`` gives; see Alembic's manual."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from baserate.engines.database import METADATA


def run(connection: Connection) -> None:
    """Bring the database behind the connection to the newest version, in its transaction."""
    context.configure(connection=connection, target_metadata=METADATA, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
