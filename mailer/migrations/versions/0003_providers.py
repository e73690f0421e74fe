"""what providers asked of us, and what they must be told"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "provider_rests",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_rests")),
    )
    now = sa.text("clock_timestamp()")
    op.create_table(
        "provider_notices",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("address", sa.String(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("kind IN ('standing', 'erasure')", name=op.f("ck_provider_notices_kind")),
        sa.CheckConstraint("(address IS NULL) = (told_at IS NOT NULL)", name=op.f("ck_provider_notices_address")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_notices")),
    )
    op.create_index(
        "ix_provider_notices_due",
        "provider_notices",
        ["provider", "not_before"],
        unique=False,
        postgresql_where=sa.text("told_at IS NULL"),
    )
    op.create_index("ix_provider_notices_customer_id", "provider_notices", ["customer_id"], unique=False)
    functions = Path(__file__).parent.parent / "sql" / "0003_providers.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
