"""Runs, commits, the pointers to the current ones, and every change of a pointer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "workspace",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(40), primary_key=True),
        sa.Column("stage", sa.String(80), nullable=False),
        sa.Column("ds", sa.String(24), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("code_version", sa.String(80), nullable=False),
        sa.Column("config_digest", sa.String(80), nullable=False),
        sa.Column("inputs", sa.JSON, nullable=False),
        sa.Column("seeds", sa.JSON, nullable=False),
        sa.Column("failure", sa.String(200)),
    )
    op.create_index("runs_by_stage", "runs", ["stage", "ds", "state"])
    op.create_table(
        "commits",
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.run_id"), primary_key=True),
        sa.Column("table_name", sa.String(80), primary_key=True),
        sa.Column("ds", sa.String(24), nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("committed_at", sa.String(32), nullable=False),
    )
    op.create_index("commits_by_table", "commits", ["table_name", "ds"])
    op.create_table(
        "pointers",
        sa.Column("table_name", sa.String(80), primary_key=True),
        sa.Column("ds", sa.String(24), primary_key=True),
        sa.Column("run_id", sa.String(40), sa.ForeignKey("runs.run_id"), nullable=False),
    )
    op.create_table(
        "pointer_changes",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("table_name", sa.String(80), nullable=False),
        sa.Column("ds", sa.String(24), nullable=False),
        sa.Column("from_run", sa.String(40)),
        sa.Column("to_run", sa.String(40)),
        sa.Column("reason", sa.String(16), nullable=False),
        sa.Column("changed_at", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables."""
    for table in ("pointer_changes", "pointers", "commits", "runs", "workspace"):
        op.drop_table(table)
