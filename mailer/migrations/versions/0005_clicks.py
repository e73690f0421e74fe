"""links that are counted, and what was clicked"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    off = sa.text("false")
    op.add_column("purposes", sa.Column("click_tracking", sa.Boolean(), server_default=off, nullable=False))
    op.add_column("mandates", sa.Column("click_tracking", sa.Boolean(), server_default=off, nullable=False))
    op.add_column("customer_limits", sa.Column("clicks_uncounted", sa.Boolean(), server_default=off, nullable=False))
    op.create_table(
        "link_destinations",
        sa.Column("revision_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("written", sa.String(), nullable=False),
        sa.Column("url", sa.String(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 99", name=op.f("ck_link_destinations_number")),
        sa.CheckConstraint("url ~ '^https://'", name=op.f("ck_link_destinations_url")),
        sa.ForeignKeyConstraint(
            ["revision_id"], ["revisions.id"], name=op.f("fk_link_destinations_revision_id_revisions")
        ),
        sa.PrimaryKeyConstraint("revision_id", "number", name=op.f("pk_link_destinations")),
    )
    op.create_table(
        "clicks",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("clicked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("scanned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.CheckConstraint("clicked_at IS NOT NULL OR scanned_at IS NOT NULL", name=op.f("ck_clicks_kind")),
        sa.PrimaryKeyConstraint("customer_id", "delivery_id", "number", name=op.f("pk_clicks")),
    )
    op.create_index("ix_clicks_campaign_id", "clicks", ["campaign_id", "number"], unique=False)
    functions = Path(__file__).parent.parent / "sql" / "0005_clicks.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
