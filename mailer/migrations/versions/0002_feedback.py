"""what comes back: events, soft bounces, kept mails, alerts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "provider_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("dedupe_key", sa.LargeBinary(), nullable=False),
        sa.Column("body", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=True),
        sa.Column("received_at", TIME, server_default=NOW, nullable=False),
        sa.Column("not_before", TIME, server_default=NOW, nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("applied_at", TIME, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.CheckConstraint("source IN ('sendgrid', 'mail')", name=op.f("ck_provider_events_source")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_events")),
        sa.UniqueConstraint("source", "dedupe_key", name=op.f("uq_provider_events_source_dedupe_key")),
        postgresql_with={"fillfactor": "80"},
    )
    op.create_index(
        "ix_provider_events_waiting",
        "provider_events",
        ["not_before", "id"],
        unique=False,
        postgresql_where=sa.text("applied_at IS NULL"),
    )
    op.create_table(
        "soft_bounces",
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("address_hash", "delivery_id", name=op.f("pk_soft_bounces")),
    )
    op.create_table(
        "kept_mails",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("customer_id", sa.BigInteger(), nullable=True),
        sa.Column("delivery_id", sa.Uuid(), nullable=True),
        sa.Column("sender", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("forwarded_at", TIME, nullable=True),
        sa.CheckConstraint("kind IN ('letter', 'unreadable', 'unproved', 'unclear')", name=op.f("ck_kept_mails_kind")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_mails")),
        sa.UniqueConstraint("event_id", name=op.f("uq_kept_mails_event_id")),
    )
    op.create_index("ix_kept_mails_customer_id", "kept_mails", ["customer_id", "id"], unique=False)
    op.create_index(
        "ix_kept_mails_waiting",
        "kept_mails",
        ["id"],
        unique=False,
        postgresql_where=sa.text("forwarded_at IS NULL AND kind = 'letter'"),
    )
    op.create_table(
        "alerts",
        sa.Column("cause", sa.String(), nullable=False),
        sa.Column("domain", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("count", sa.Integer(), server_default="1", nullable=False),
        sa.Column("sample", sa.String(), nullable=False),
        sa.Column("first_at", TIME, nullable=False),
        sa.Column("last_at", TIME, nullable=False),
        sa.Column("seen_at", TIME, nullable=True),
        sa.Column("seen_by", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("cause", "domain", "day", name=op.f("pk_alerts")),
    )


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
