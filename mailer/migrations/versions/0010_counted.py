"""a message sent again counts twice, limits by numbers are set by people"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("maybe_mailed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("""
        UPDATE deliveries d SET maybe_mailed_at = i.at
          FROM resend_rows r
          JOIN (SELECT customer_id, delivery_id, attempt_id, max(at) AS at FROM delivery_attempts
                 WHERE outcome = 'intent' GROUP BY 1, 2, 3) i
            ON i.customer_id = r.customer_id AND i.delivery_id = r.delivery_id AND i.attempt_id = r.attempt_id
         WHERE r.outcome = 'sent_again' AND d.customer_id = r.customer_id AND d.id = r.delivery_id
    """)
    op.create_table(
        "guard_limits",
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("warn", sa.Double(), nullable=False),
        sa.Column("stop", sa.Double(), nullable=False),
        sa.Column("set_by", sa.BigInteger(), nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), server_default=sa.text("clock_timestamp()"), nullable=False),
        sa.CheckConstraint("what IN ('complaints', 'bounces')", name=op.f("ck_guard_limits_what")),
        sa.CheckConstraint(
            "warn > 0 AND warn <= stop AND stop <= CASE what WHEN 'complaints' THEN 0.01 ELSE 0.1 END",
            name=op.f("ck_guard_limits_sane"),
        ),
        sa.ForeignKeyConstraint(["set_by"], ["operators.id"], name=op.f("fk_guard_limits_set_by_operators")),
        sa.PrimaryKeyConstraint("what", name=op.f("pk_guard_limits")),
    )


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
