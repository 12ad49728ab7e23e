"""Authors: who the names on documents stand for, and what people decided about them.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Resources that are there get their authors from the reconciler."""
    op.add_column("resources", sa.Column("authors_version", sa.Integer(), nullable=False, server_default="1"))
    op.create_table(
        "author_sets",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("built_from", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"], ["resources.id"], name=op.f("fk_author_sets_resource_id_resources"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_author_sets")),
    )
    op.create_table(
        "authors",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("family", sa.Text(), nullable=False),
        sa.Column("given", sa.Text(), nullable=False),
        sa.Column("particles", sa.Text(), nullable=False),
        sa.Column("suffix", sa.String(length=16), nullable=False),
        sa.Column("orcid", sa.String(length=19), nullable=True),
        sa.Column("is_group", sa.Boolean(), nullable=False),
        sa.Column("document_count", sa.Integer(), nullable=False),
        sa.Column("variant_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_authors")),
        sa.UniqueConstraint("key", name=op.f("uq_authors_key")),
    )
    op.create_index(op.f("ix_authors_orcid"), "authors", ["orcid"])
    op.create_index("ix_authors_document_count_id", "authors", ["document_count", "id"])
    op.create_table(
        "author_variants",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("block", sa.Text(), nullable=False),
        sa.Column("orcid", sa.String(length=19), nullable=True),
        sa.Column("is_group", sa.Boolean(), nullable=False),
        sa.Column("search", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("linked_to", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["author_id"], ["authors.id"], name=op.f("fk_author_variants_author_id_authors")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_author_variants")),
        sa.UniqueConstraint("key", name=op.f("uq_author_variants_key")),
    )
    for column in ("author_id", "block", "orcid"):
        op.create_index(op.f(f"ix_author_variants_{column}"), "author_variants", [column])
    op.create_table(
        "resource_authors",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("variant_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.ForeignKeyConstraint(
            ["resource_id"],
            ["resources.id"],
            name=op.f("fk_resource_authors_resource_id_resources"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["variant_id"], ["author_variants.id"], name=op.f("fk_resource_authors_variant_id_author_variants")
        ),
        sa.PrimaryKeyConstraint("resource_id", "position", name=op.f("pk_resource_authors")),
    )
    op.create_index(op.f("ix_resource_authors_variant_id"), "resource_authors", ["variant_id"])
    op.create_table(
        "author_decisions",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=32), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("kind", "first", "second", name=op.f("pk_author_decisions")),
    )
    op.create_index("ix_author_decisions_second", "author_decisions", ["second"])


def downgrade() -> None:
    """Undo. What people decided about authors is lost."""
    op.drop_table("author_decisions")
    op.drop_table("resource_authors")
    op.drop_table("author_variants")
    op.drop_table("authors")
    op.drop_table("author_sets")
    op.drop_column("resources", "authors_version")
