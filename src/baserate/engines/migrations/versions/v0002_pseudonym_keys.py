"""Which key the pseudonyms of a workspace are made with: its fingerprint, never the key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "pseudonym_keys",
        sa.Column("fingerprint", sa.String(16), primary_key=True),
        sa.Column("first_used_at", sa.String(32), nullable=False),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("pseudonym_keys")
