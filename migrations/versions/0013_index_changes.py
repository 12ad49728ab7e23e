"""Changes of the search index are numbered.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TABLE = "search_documents"
INDEX = "ix_search_documents_change"


def upgrade() -> None:
    """Whatever is indexed was changed before the first number."""
    op.add_column(TABLE, sa.Column("change", sa.Integer(), nullable=False, server_default="0"))
    op.create_index(INDEX, TABLE, ["change"])


def downgrade() -> None:
    """Forget the numbers."""
    op.drop_index(INDEX, TABLE)
    op.drop_column(TABLE, "change")
