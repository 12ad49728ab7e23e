"""Which revision of its algorithm built a derived kind: what an earlier one built is stale.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All there is was built by revision 1, as far as anybody knows."""
    op.add_column("derived_states", sa.Column("revision", sa.Integer(), server_default="1", nullable=False))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("derived_states", "revision")
