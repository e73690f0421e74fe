"""How often something was asked for. In PostgreSQL, so that losing the broker or a web process opens no gate."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class RateCount(Base):
    """One bucket in one window. The bucket is a keyed hash: no address and no network can be read from it."""

    __tablename__ = "rate_counts"
    __table_args__ = (Index("ix_rate_counts_window_start", "window_start"), {"postgresql_with": {"fillfactor": "50"}})

    bucket: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    window_start: Mapped[datetime] = mapped_column(primary_key=True)
    hits: Mapped[int]
