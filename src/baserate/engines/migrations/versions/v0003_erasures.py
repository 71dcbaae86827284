"""What was erased, for whom, and which commits were restated by it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.add_column("commits", sa.Column("restated_digest", sa.String(80)))
    op.create_table(
        "erasures",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("up_to", sa.String(10), nullable=False),
        sa.Column("asked_at", sa.String(32), nullable=False),
        sa.Column("asked_by", sa.String(200), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
        sa.Column("finished_at", sa.String(32)),
        sa.Column("counts", sa.JSON, nullable=False),
    )
    erasure = sa.ForeignKey("erasures.id")
    op.create_table(
        "erased_people",
        sa.Column("erasure_id", sa.Integer, erasure, primary_key=True),
        sa.Column("pseudonym", sa.String(32), primary_key=True),
    )
    op.create_table(
        "erased_interactions",
        sa.Column("erasure_id", sa.Integer, sa.ForeignKey("erasures.id"), primary_key=True),
        sa.Column("interaction_id", sa.Text, primary_key=True),
    )
    op.create_table(
        "restatements",
        sa.Column("erasure_id", sa.Integer, sa.ForeignKey("erasures.id"), primary_key=True),
        sa.Column("run_id", sa.String(40), primary_key=True),
        sa.Column("table_name", sa.String(80), primary_key=True),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("digest_before", sa.String(80), nullable=False),
        sa.Column("digest_after", sa.String(80), nullable=False),
    )


def downgrade() -> None:
    """Drop the tables; what was erased stays erased, but is no longer known to be."""
    for table in ("restatements", "erased_interactions", "erased_people", "erasures"):
        op.drop_table(table)
    op.drop_column("commits", "restated_digest")
