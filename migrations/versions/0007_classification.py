"""Classification: codes, what the model says, and trained models. The codes begin as `classification_codes.json` has them.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

FIRST_CODES_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""One time in every library: of two libraries, an edit of a first code is later than the code of the other."""
FIRST_CODES = Path(__file__).parents[1] / "classification_codes.json"
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables and fill that of the codes."""
    codes = op.create_table(
        "classification_codes",
        sa.Column("code", sa.String(length=16), nullable=False),
        sa.Column("parent", sa.String(length=16), nullable=True),
        sa.Column("label", sa.String(length=200), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent"], ["classification_codes.code"], name=op.f("fk_classification_codes_parent_classification_codes")
        ),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_classification_codes")),
    )
    op.create_index(op.f("ix_classification_codes_parent"), "classification_codes", ["parent"])
    op.create_table(
        "resource_categories",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("predicted", sa.String(length=16), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("alternatives", JSON, nullable=False),
        sa.Column("classifier", sa.String(length=200), nullable=False),
        sa.Column("built_from", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["resources.id"],
            name=op.f("fk_resource_categories_resource_id_resources"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_resource_categories")),
    )
    op.create_index("ix_resource_categories_confidence", "resource_categories", ["confidence", "resource_id"])
    op.create_table(
        "model_versions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("embedding_model", sa.String(length=128), nullable=False),
        sa.Column("training_sha256", sa.String(length=64), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("label_counts", JSON, nullable=False),
        sa.Column("metrics", JSON, nullable=False),
        sa.Column("parameters", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("training_sha256", name=op.f("uq_model_versions_training_sha256")),
    )
    op.create_index(
        "uq_model_versions_active",
        "model_versions",
        ["is_active"],
        unique=True,
        postgresql_where=sa.text("is_active"),
        sqlite_where=sa.text("is_active"),
    )
    moment = FIRST_CODES_AT
    if op.get_bind().dialect.name == "sqlite":
        moment = moment.replace(tzinfo=None)
    first = json.loads(FIRST_CODES.read_text(encoding="utf-8"))
    first.sort(key=lambda row: row["parent"] is not None)  # parents before what refers to them
    op.bulk_insert(codes, [{**row, "updated_at": moment} for row in first])


def downgrade() -> None:
    """Take them away, and what people changed of the codes with them."""
    op.drop_table("model_versions")
    op.drop_table("resource_categories")
    op.drop_table("classification_codes")
