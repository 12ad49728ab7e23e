"""Batches and their items; what the scheduled tasks find in the quality of documents.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
TIME = sa.DateTime(timezone=True)
OPEN = sa.text("state IN ('freezing', 'running')")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "batches",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(length=16), nullable=False),
        sa.Column("wanted", JSON, nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("frozen_after", sa.Uuid(), nullable=True),
        sa.Column("asked_by", sa.String(length=128), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=True),
        sa.Column("finished_at", TIME, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batches")),
    )
    op.create_index("ix_batches_open", "batches", ["state"], postgresql_where=OPEN, sqlite_where=OPEN)
    op.create_index("ix_batches_finished_at", "batches", ["finished_at"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("error", JSON, nullable=True),
        sa.Column("ended_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batches.id"], name=op.f("fk_batch_items_batch_id_batches"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("batch_id", "place", name=op.f("pk_batch_items")),
        sa.UniqueConstraint("batch_id", "resource_id", name=op.f("uq_batch_items_batch_id_resource_id")),
    )
    op.create_index("ix_batch_items_state", "batch_items", ["batch_id", "state", "place"])
    _create_findings()
    op.create_index("ix_quality_history_at", "quality_history", ["at"])


def downgrade() -> None:
    """Take them away, with all they hold."""
    op.drop_index("ix_quality_history_at", table_name="quality_history")
    op.drop_index(op.f("ix_quality_outliers_severity"), table_name="quality_outliers")
    op.drop_table("quality_outliers")
    op.drop_index(op.f("ix_quality_degradations_fell"), table_name="quality_degradations")
    op.drop_table("quality_degradations")
    op.drop_index("ix_batch_items_state", table_name="batch_items")
    op.drop_table("batch_items")
    op.drop_index("ix_batches_finished_at", table_name="batches")
    op.drop_index("ix_batches_open", table_name="batches", postgresql_where=OPEN, sqlite_where=OPEN)
    op.drop_table("batches")


def _create_findings() -> None:
    op.create_table(
        "quality_degradations",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("overall_from", sa.Float(), nullable=False),
        sa.Column("overall_to", sa.Float(), nullable=False),
        sa.Column("fell", sa.Float(), nullable=False),
        sa.Column("from_at", TIME, nullable=False),
        sa.Column("to_at", TIME, nullable=False),
        sa.Column("dimensions", JSON, nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        _belongs_to_a_resource("quality_degradations"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_quality_degradations")),
    )
    op.create_index(op.f("ix_quality_degradations_fell"), "quality_degradations", ["fell"])
    op.create_table(
        "quality_outliers",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("severity", sa.Float(), nullable=False),
        sa.Column("reasons", JSON, nullable=False),
        sa.Column("compared_with", sa.String(length=16), nullable=False),
        sa.Column("scored_at", TIME, nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        _belongs_to_a_resource("quality_outliers"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_quality_outliers")),
    )
    op.create_index(op.f("ix_quality_outliers_severity"), "quality_outliers", ["severity"])


def _belongs_to_a_resource(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["resource_id"], ["resources.id"], name=op.f(f"fk_{table}_resource_id_resources"), ondelete="CASCADE"
    )
