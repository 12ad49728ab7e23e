"""Citations, the keys they are found by, and the ranks they give.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "content_links",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("content_version", sa.Integer(), nullable=False),
        sa.Column("links", JSON, nullable=False),
        _of_resource("content_links"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_content_links")),
    )
    op.create_table(
        "citation_sets",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("built_from", sa.Integer(), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        _of_resource("citation_sets"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_citation_sets")),
    )
    op.create_table(
        "citations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("work", sa.String(length=320), nullable=False),
        sa.Column("type", sa.String(length=16), nullable=False),
        sa.Column("doi", sa.Text(), nullable=True),
        sa.Column("arxiv_id", sa.String(length=64), nullable=True),
        sa.Column("rfc", sa.Integer(), nullable=True),
        sa.Column("pmid", sa.String(length=16), nullable=True),
        sa.Column("isbn", sa.String(length=16), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("label", sa.String(length=64), nullable=True),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("mentions", sa.Integer(), nullable=False),
        sa.Column("target_resource_id", sa.Uuid(), nullable=True),
        _of_resource("citations"),
        sa.ForeignKeyConstraint(
            ["target_resource_id"],
            ["resources.id"],
            name=op.f("fk_citations_target_resource_id_resources"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_citations")),
    )
    op.create_index("uq_citations_resource_work", "citations", ["resource_id", "work"], unique=True)
    op.create_index("ix_citations_resource_position", "citations", ["resource_id", "position", "id"])
    op.create_index("ix_citations_target", "citations", ["target_resource_id", "id"])
    op.create_table(
        "citation_keys",
        sa.Column("citation_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=320), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["citation_id"], ["citations.id"], name=op.f("fk_citation_keys_citation_id_citations"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("citation_id", "key", name=op.f("pk_citation_keys")),
    )
    op.create_index("ix_citation_keys_key", "citation_keys", ["key"])
    op.create_table(
        "resource_keys",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.String(length=320), nullable=False),
        _of_resource("resource_keys"),
        sa.PrimaryKeyConstraint("resource_id", "key", name=op.f("pk_resource_keys")),
    )
    op.create_index("ix_resource_keys_key", "resource_keys", ["key", "resource_id"])
    op.create_table(
        "citation_ranks",
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("score", sa.Float(), nullable=False),
        _of_resource("citation_ranks"),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_citation_ranks")),
    )
    op.create_index("ix_citation_ranks_score", "citation_ranks", ["score"])


def downgrade() -> None:
    """Take them away."""
    for table in ("citation_ranks", "resource_keys", "citation_keys", "citations", "citation_sets", "content_links"):
        op.drop_table(table)
    op.execute("DELETE FROM derived_states WHERE kind = 'citations'")
    op.execute("DELETE FROM counters WHERE name IN ('citation_graph', 'citation_ranks')")


def _of_resource(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["resource_id"], ["resources.id"], name=op.f(f"fk_{table}_resource_id_resources"), ondelete="CASCADE"
    )
