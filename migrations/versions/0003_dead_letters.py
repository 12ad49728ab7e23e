"""Dead letters of messages that no call knows, and how each letter was closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Apply."""
    op.add_column("dead_letters", sa.Column("origin", sa.String(length=16), nullable=False, server_default="call"))
    op.add_column("dead_letters", sa.Column("headers", JSON, nullable=True))
    op.add_column("dead_letters", sa.Column("payload", sa.LargeBinary(), nullable=True))
    op.add_column("dead_letters", sa.Column("closed_by", sa.String(length=128), nullable=True))
    op.add_column("dead_letters", sa.Column("note", sa.Text(), nullable=True))
    op.create_index(op.f("ix_dead_letters_subject"), "dead_letters", ["subject"], unique=False)
    op.create_index(op.f("ix_dead_letters_closed_at"), "dead_letters", ["closed_at"], unique=False)


def downgrade() -> None:
    """Undo. Letters of unknown messages go with what tells them apart."""
    op.execute("DELETE FROM dead_letters WHERE origin = 'message'")
    op.drop_index(op.f("ix_dead_letters_closed_at"), table_name="dead_letters")
    op.drop_index(op.f("ix_dead_letters_subject"), table_name="dead_letters")
    for name in ("note", "closed_by", "payload", "headers", "origin"):
        op.drop_column("dead_letters", name)
