"""a person decides what nobody knows"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "resend_requests",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("proposed_by", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column(
            "proposed_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False
        ),
        sa.Column("decision", sa.String(), nullable=True),
        sa.Column("decided_by", sa.BigInteger(), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "decision IN ('approved', 'declined', 'withdrawn')", name=op.f("ck_resend_requests_decision")
        ),
        sa.CheckConstraint(
            "(decision IS NULL) = (decided_by IS NULL) AND (decision IS NULL) = (decided_at IS NULL)",
            name=op.f("ck_resend_requests_decided"),
        ),
        sa.CheckConstraint(
            "(decision = 'withdrawn') = (decided_by = proposed_by)", name=op.f("ck_resend_requests_two_people")
        ),
        sa.ForeignKeyConstraint(["decided_by"], ["operators.id"], name=op.f("fk_resend_requests_decided_by_operators")),
        sa.ForeignKeyConstraint(
            ["proposed_by"], ["operators.id"], name=op.f("fk_resend_requests_proposed_by_operators")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resend_requests")),
    )
    op.create_index("ix_resend_requests_campaign_id", "resend_requests", ["campaign_id", "id"], unique=False)
    op.create_table(
        "resend_rows",
        sa.Column("customer_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.Uuid(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("attempt_id", sa.Uuid(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.CheckConstraint(
            "outcome IN ('sent_again', 'settled', 'closed', 'dropped')", name=op.f("ck_resend_rows_outcome")
        ),
        sa.ForeignKeyConstraint(
            ["request_id"], ["resend_requests.id"], name=op.f("fk_resend_rows_request_id_resend_requests")
        ),
        sa.PrimaryKeyConstraint("customer_id", "delivery_id", "request_id", name=op.f("pk_resend_rows")),
    )
    op.create_index("ix_resend_rows_request_id", "resend_rows", ["request_id"], unique=False)
    op.create_index(
        "uq_resend_rows_open",
        "resend_rows",
        ["customer_id", "delivery_id"],
        unique=True,
        postgresql_where=sa.text("outcome IS NULL"),
    )
    functions = Path(__file__).parent.parent / "sql" / "0009_doubts.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
