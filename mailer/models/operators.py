"""Who works here, what they may do, and what they did. Sign-in itself is Flask-Security's (`mailer.web.signin`).

The columns are those that Flask-Security asks for, spelled out, so that models need no Flask.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, LargeBinary, Table, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from mailer.db import Base

operators_roles = Table(
    "operators_roles",
    Base.metadata,
    Column("operator_id", ForeignKey("operators.id", ondelete="CASCADE"), primary_key=True),
    Column("role_id", ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True),
)


class Role(Base):
    """What an operator may do: author, approver, helpline, admin."""

    __tablename__ = "roles"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str | None]


class Operator(Base):
    """Somebody who works here. Never deleted: their acts stay theirs; `active` is taken away instead."""

    __tablename__ = "operators"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password: Mapped[str | None]
    active: Mapped[bool] = mapped_column(server_default="true")
    fs_uniquifier: Mapped[str] = mapped_column(unique=True)
    """Changing it ends every session of this operator."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    last_login_at: Mapped[datetime | None]
    current_login_at: Mapped[datetime | None]
    last_login_ip: Mapped[str | None]
    current_login_ip: Mapped[str | None]
    login_count: Mapped[int] = mapped_column(server_default="0")
    tf_primary_method: Mapped[str | None]
    tf_totp_secret: Mapped[str | None]

    roles: Mapped[list[Role]] = relationship(secondary=operators_roles, lazy="selectin")


class OperatorAct(Base):
    """Append-only, one chain: what an operator did, written as the last statement of the act's transaction."""

    __tablename__ = "operator_acts"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    operator_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("operators.id"))
    act: Mapped[str]
    subject: Mapped[str]
    document: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    at: Mapped[datetime]
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
