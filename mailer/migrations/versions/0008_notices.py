"""what else providers must be told, and what was compared with them"""

from __future__ import annotations

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    raise NotImplementedError("askfirst only migrates forward: restore a backup instead")
