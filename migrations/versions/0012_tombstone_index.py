"""On SQLite too the index of tombstones holds tombstones alone.

With the living in it, SQLite took it for every question about living documents: it then read all of them to list a
page, or to find twenty by their ids.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INDEX = "ix_resources_deleted_at"
GONE = sa.text("deleted_at IS NOT NULL")


def upgrade() -> None:
    """Make it anew without the living."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(INDEX, table_name="resources")
        op.create_index(INDEX, "resources", ["deleted_at"], sqlite_where=GONE)


def downgrade() -> None:
    """Make it anew with all."""
    if op.get_bind().dialect.name == "sqlite":
        op.drop_index(INDEX, table_name="resources")
        op.create_index(INDEX, "resources", ["deleted_at"])
