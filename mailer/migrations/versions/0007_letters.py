"""letters to the helpline, and refusals at hand-over"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

NOW = sa.text("clock_timestamp()")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.drop_constraint(op.f("ck_provider_events_source"), "provider_events")
    op.create_check_constraint(
        op.f("ck_provider_events_source"), "provider_events", "source IN ('sendgrid', 'mail', 'handover')"
    )
    op.create_index(
        "ix_provider_events_refused",
        "provider_events",
        ["id"],
        unique=False,
        postgresql_where=sa.text("applied_at IS NULL AND source = 'handover'"),
    )
    op.add_column("kept_mails", sa.Column("tries", sa.Integer(), server_default="0", nullable=False))
    op.add_column("kept_mails", sa.Column("not_before", TIME, server_default=NOW, nullable=False))
    op.add_column("kept_mails", sa.Column("problem", sa.String(), nullable=True))
    op.add_column("kept_mails", sa.Column("handled_at", TIME, nullable=True))
    op.add_column("kept_mails", sa.Column("handled_by", sa.BigInteger(), nullable=True))
    op.add_column("kept_mails", sa.Column("handled_as", sa.String(), nullable=True))
    op.create_check_constraint(
        op.f("ck_kept_mails_handled"),
        "kept_mails",
        "handled_as IN ('done', 'opt_out', 'bounce') AND (handled_at IS NULL) = (handled_as IS NULL)",
    )
    op.create_index(
        "ix_kept_mails_forwarded",
        "kept_mails",
        ["forwarded_at"],
        unique=False,
        postgresql_where=sa.text("forwarded_at IS NOT NULL"),
    )
    op.create_index(
        "ix_kept_mails_open", "kept_mails", ["id"], unique=False, postgresql_where=sa.text("handled_at IS NULL")
    )


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
