"""what else providers must be told, and what was compared with their lists"""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    now = sa.text("clock_timestamp()")
    op.create_table(
        "list_keepers",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_list_keepers")),
    )
    op.execute("INSERT INTO list_keepers (provider) VALUES ('sendgrid')")
    op.create_table(
        "list_comparisons",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("read", sa.Integer(), server_default="0", nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("theirs_only", sa.Integer(), server_default="0", nullable=False),
        sa.Column("ours_only", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), server_default=now, nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_list_comparisons")),
    )
    op.create_table(
        "listed_addresses",
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("provider", "address_hash", name=op.f("pk_listed_addresses")),
    )
    op.add_column("provider_notices", sa.Column("address_hash", sa.LargeBinary(), nullable=True))
    op.execute("""UPDATE provider_notices n SET address_hash = a.address_hash FROM addresses a
                   WHERE a.customer_id = n.customer_id AND a.address = n.address AND n.told_at IS NULL""")
    functions = Path(__file__).parent.parent / "sql" / "0008_notices.sql"
    op.get_bind().exec_driver_sql(functions.read_text(encoding="utf-8").replace("%", "%%"))


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
