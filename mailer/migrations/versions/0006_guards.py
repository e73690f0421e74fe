"""limits that stop a campaign by itself, and what a restore must not undo"""

from __future__ import annotations

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
