"""The consent ledger and its projection; policy versions and wordings; suppressions and stop requests.

`consent_events` is append-only and chained per customer: its trigger gives sequence, time and hash, keeps
`consent_state` and `consent_heads`, and refuses whoever didn't call `lock_customers` first. The ledger (a person,
a purpose, evidence) and the suppressions (an address) are different things and are never merged.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class Purpose(Base):
    """What mail may be about. Each is a separate yes (DPDP s.6(1): specific)."""

    __tablename__ = "purposes"

    key: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str]
    position: Mapped[int]
    click_tracking: Mapped[bool] = mapped_column(server_default="false")
    """Whether clicks on links of this mail are counted. Off unless an administrator turns it on."""


class PolicyVersion(Base):
    """A version of the privacy notice. Its id rises with its age: a higher one is newer."""

    __tablename__ = "policy_versions"

    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    summary: Mapped[str]
    body: Mapped[str]
    effective_at: Mapped[datetime]
    published_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class PolicyChange(Base):
    """A material change for a purpose: a yes given under an older version stops covering it on the effective date."""

    __tablename__ = "policy_changes"

    policy_version_id: Mapped[int] = mapped_column(ForeignKey("policy_versions.id"), primary_key=True)
    purpose: Mapped[str] = mapped_column(ForeignKey("purposes.key"), primary_key=True)


class Wording(Base):
    """The exact words beside a box, under one policy version, in one language. Never changed, only added to."""

    __tablename__ = "wordings"
    __table_args__ = (UniqueConstraint("purpose", "policy_version_id", "locale", "words"),)

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    purpose: Mapped[str] = mapped_column(ForeignKey("purposes.key"))
    policy_version_id: Mapped[int] = mapped_column(ForeignKey("policy_versions.id"))
    locale: Mapped[str]
    words: Mapped[str]


class ConsentEvent(Base):
    """One act of one person. `seq`, `recorded_at`, `prev_hash` and `hash` are given by the trigger."""

    __tablename__ = "consent_events"
    __table_args__ = (
        CheckConstraint("action IN ('grant', 'withdraw', 'withdraw_all')", name="action"),
        CheckConstraint("(action = 'withdraw_all') = (purpose IS NULL)", name="purpose"),
        CheckConstraint(
            "action <> 'grant' OR (policy_version_id IS NOT NULL AND wording_id IS NOT NULL)", name="grant_has_proof"
        ),
        CheckConstraint("source ~ '^[a-z_]{1,40}$'", name="source"),
        CheckConstraint("channel = 'email'", name="channel"),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True))
    """Rises over the whole installation: what deliveries cite and the restore guard compares."""
    action: Mapped[str]
    purpose: Mapped[str | None] = mapped_column(ForeignKey("purposes.key"))
    channel: Mapped[str] = mapped_column(server_default="email")
    occurred_at: Mapped[datetime]
    """When the person did it, as told; never later than `recorded_at`."""
    recorded_at: Mapped[datetime]
    source: Mapped[str]
    policy_version_id: Mapped[int | None] = mapped_column(ForeignKey("policy_versions.id"))
    wording_id: Mapped[int | None] = mapped_column(BigInteger, ForeignKey("wordings.id"))
    wording_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 of the words that were shown, given by the trigger: a wording that changes later would show."""
    evidence_digest: Mapped[bytes | None] = mapped_column(LargeBinary)
    """SHA-256 over salt and evidence: the evidence can be erased and the chain still verifies."""
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)


class ConsentEvidence(Base):
    """The personal part of the proof (network, agent, place, form). It can be erased; the ledger can't."""

    __tablename__ = "consent_evidence"

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    salt: Mapped[bytes] = mapped_column(LargeBinary)
    document: Mapped[dict[str, Any]] = mapped_column(JSONB)


class ConsentHead(Base):
    """The end of a person's chain, and when they last said no to everything. Kept by the ledger's trigger."""

    __tablename__ = "consent_heads"
    __table_args__ = ({"postgresql_with": {"fillfactor": "70"}},)

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int]
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    withdrawn_all_at: Mapped[datetime | None]


class ConsentState(Base):
    """The projection: what a person's events come to for one purpose. Kept by the ledger's trigger."""

    __tablename__ = "consent_state"
    __table_args__ = (
        Index(
            "ix_consent_state_granted", "purpose", "customer_id", "policy_version_id", postgresql_where=text("granted")
        ),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    granted: Mapped[bool]
    seq: Mapped[int]
    event_id: Mapped[int] = mapped_column(BigInteger)
    """The event that decides: the grant relied on, or the withdrawal."""
    policy_version_id: Mapped[int | None]
    withdrawn_at: Mapped[datetime | None]
    """When the last withdrawal was recorded: a grant that happened before it has no effect."""


class Suppression(Base):
    """An address that must not be mailed, by keyed hash; outlives erasure. Scope is `all` or a purpose."""

    __tablename__ = "suppressions"
    __table_args__ = (
        CheckConstraint("reason ~ '^[a-z_]{1,40}$'", name="reason"),
        {"postgresql_with": {"fillfactor": "80"}},
    )

    address_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    scope: Mapped[str] = mapped_column(primary_key=True)
    key_id: Mapped[int] = mapped_column(primary_key=True, server_default="1", autoincrement=False)
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    lifted_at: Mapped[datetime | None]
    """Set only by a new act of the person."""


class SuppressionEvent(Base):
    """Append-only history of suppressions: what was set or lifted, when, by which act."""

    __tablename__ = "suppression_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    address_hash: Mapped[bytes] = mapped_column(LargeBinary)
    scope: Mapped[str]
    action: Mapped[str]
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class StopRequest(Base):
    """An opt-out that is already in force though not yet in the ledger: committed before any lock is awaited."""

    __tablename__ = "stop_requests"
    __table_args__ = (
        CheckConstraint("customer_id IS NOT NULL OR address_hash IS NOT NULL", name="of_somebody"),
        CheckConstraint("scope ~ '^[a-z_]{1,40}$'", name="scope"),
        CheckConstraint("source ~ '^[a-z_]{1,40}$'", name="source"),
        Index("ix_stop_requests_open_customer", "customer_id", postgresql_where=text("folded_at IS NULL")),
        Index("ix_stop_requests_open_address", "address_hash", postgresql_where=text("folded_at IS NULL")),
        Index("ix_stop_requests_requested_at", "requested_at"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    customer_id: Mapped[int | None] = mapped_column(BigInteger)
    address_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    scope: Mapped[str]
    """`all` or a purpose."""
    source: Mapped[str]
    document: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    event_id_seen: Mapped[int] = mapped_column(BigInteger, server_default=FetchedValue())
    """The newest ledger entry of anybody when it was asked for: a later one that says the same has folded it."""
    requested_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    folded_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    """When whoever asked was told. None: they were not, or it was not worth a wait to write it down."""


class LedgerDigest(Base):
    """Append-only, one a day: the ends of all chains and the history of suppressions as they stood at midnight UTC.

    A chain that is cut or removed verifies by itself; it no longer fits the digest.
    """

    __tablename__ = "ledger_digests"

    day: Mapped[date] = mapped_column(primary_key=True)
    """Everything recorded before this day began, UTC."""
    chains: Mapped[int] = mapped_column(BigInteger)
    chains_digest: Mapped[bytes] = mapped_column(LargeBinary)
    suppressions: Mapped[int] = mapped_column(BigInteger)
    suppressions_digest: Mapped[bytes] = mapped_column(LargeBinary)
    prev_hash: Mapped[bytes] = mapped_column(LargeBinary)
    hash: Mapped[bytes] = mapped_column(LargeBinary)
    taken_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
