"""senders with a provider of their own, and how each recipient domain is doing"""

from __future__ import annotations

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
