"""limits that stop a campaign by itself, and what a restore must not undo"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")


def upgrade() -> None:
    reports_and_canary()
    restore_guard()
    journal()
    op.add_column("stop_requests", sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_stop_requests_requested_at", "stop_requests", ["requested_at"], unique=False)
    op.create_table(
        "heartbeats",
        sa.Column("part", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.Column("document", sa.dialects.postgresql.JSONB(), server_default="{}", nullable=False),
        sa.PrimaryKeyConstraint("part", name=op.f("pk_heartbeats")),
    )
    functions = Path(__file__).parent.parent / "sql" / "0006_guards.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def reports_and_canary() -> None:
    for what in ("complained", "bounced"):
        op.create_index(
            f"ix_deliveries_{what}",
            "deliveries",
            ["campaign_id", "recipient_domain"],
            unique=False,
            postgresql_where=sa.text(f"{what}_at IS NOT NULL"),
        )
    op.create_table(
        "guard_counts",
        sa.Column("campaign_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("reports", sa.Integer(), nullable=False),
        sa.Column("base", sa.Integer(), nullable=False),
        sa.Column("level", sa.String(), server_default="ok", nullable=False),
        sa.Column("acknowledged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.CheckConstraint("what IN ('complaints', 'bounces')", name=op.f("ck_guard_counts_what")),
        sa.CheckConstraint("level IN ('ok', 'warn', 'stop')", name=op.f("ck_guard_counts_level")),
        sa.PrimaryKeyConstraint("campaign_id", "domain", "what", name=op.f("pk_guard_counts")),
    )
    op.add_column("mandates", sa.Column("canary_messages", sa.Integer(), nullable=True))
    op.add_column("mandates", sa.Column("canary_minutes", sa.Integer(), nullable=True))
    for name in ("canary_full_at", "canary_released_at"):
        op.add_column("mandates", sa.Column(name, sa.DateTime(timezone=True), nullable=True))
    op.add_column("mandates", sa.Column("canary_held", sa.String(), nullable=True))


def restore_guard() -> None:
    identity = sa.Column("identity", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False)
    op.add_column("installation", identity)
    op.add_column("installation", sa.Column("witness", sa.BigInteger(), server_default="0", nullable=False))
    for name in ("witness_nonce", "doubted_witness", "accepted_witness"):
        op.add_column("installation", sa.Column(name, sa.String(), nullable=True))


def journal() -> None:
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "xact",
            sa.BigInteger(),
            server_default=sa.text("CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
            nullable=False,
        ),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("ref_digest", sa.LargeBinary(), nullable=True),
        sa.Column("address_hash", sa.LargeBinary(), nullable=True),
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("origin", sa.BigInteger(), nullable=True),
        sa.Column("origin_hash", sa.LargeBinary(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("kind IN ('stop', 'withdraw', 'suppress', 'erase')", name=op.f("ck_journal_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    op.create_index("ix_journal_xact", "journal", ["xact", "id"], unique=False)
    op.create_table(
        "journal_applied",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=NOW, nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_journal_applied")),
    )


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
