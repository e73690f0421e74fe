"""senders with a provider of their own, and how each recipient domain is doing"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "CREATE FUNCTION all_purposes() RETURNS text[] LANGUAGE sql STABLE AS $$ SELECT array_agg(key ORDER BY position) FROM purposes $$"
    )
    op.add_column("senders", sa.Column("provider", sa.String(), nullable=True))
    op.add_column(
        "senders",
        sa.Column("purposes", postgresql.ARRAY(sa.String()), server_default=sa.text("all_purposes()"), nullable=False),
    )
    op.add_column("senders", sa.Column("return_domain", sa.String(), nullable=True))
    op.create_check_constraint(op.f("ck_senders_provider"), "senders", "provider ~ '^[a-z0-9][a-z0-9-]{0,59}$'")
    op.create_table(
        "domain_states",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("rate_per_second", sa.Double(), nullable=True),
        sa.Column("level", sa.Integer(), server_default="0", nullable=False),
        sa.Column("strikes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("eased_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("next_slot_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.CheckConstraint("level >= 0 AND strikes >= 0", name=op.f("ck_domain_states_counts")),
        sa.CheckConstraint("rate_per_second > 0", name=op.f("ck_domain_states_rate")),
        sa.PrimaryKeyConstraint("provider", "domain", name=op.f("pk_domain_states")),
    )
    op.create_table(
        "provider_circuits",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("level", sa.Integer(), server_default="0", nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("trial_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_provider_circuits")),
    )
    functions = Path(__file__).parent.parent / "sql" / "0004_senders.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
