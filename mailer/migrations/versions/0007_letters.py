"""letters to the helpline, and refusals at hand-over"""

from __future__ import annotations

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
