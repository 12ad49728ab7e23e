"""What tells a stale embedding, beside the vectors.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_embeddings_staleness", "embeddings", ["resource_id", "built_from", "model_id"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_embeddings_staleness", "embeddings")
