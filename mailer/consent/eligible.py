"""The rule of `policy.decide` once more, as one SQL expression, for audiences of a million.

Only for choosing whom to consider: what leaves is decided by the gate, for one person, under their lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, exists, func, or_, select

from mailer.consent.policy import ALL, SHOP_ZONE, Refusal, eighteen_years_before
from mailer.models import (
    Address,
    ConsentState,
    Customer,
    PolicyChange,
    PolicyVersion,
    StopRequest,
    Suppression,
)

__all__ = ["eligible", "first_refusal", "policy_floor"]


def first_refusal(
    purpose: str, now: datetime, customer: Any = Customer, zone: ZoneInfo = SHOP_ZONE
) -> ColumnElement[str | None]:
    """Return an expression over `customer`: the first reason against mailing about `purpose`, or NULL.

    `now` decides which policy versions are in force and who is 18. The reasons and their order are `Refusal`'s.
    """
    reasons = (
        _about_person(now.astimezone(zone), customer)
        + _about_consent(purpose, now, customer)
        + _about_address(purpose, customer)
    )
    return case(*((condition, refusal.value) for condition, refusal in reasons), else_=None)


def eligible(purpose: str, now: datetime, customer: Any = Customer) -> ColumnElement[bool]:
    """Return an expression over `customer`: true when nothing speaks against mailing about `purpose`."""
    return first_refusal(purpose, now, customer).is_(None)


def policy_floor(purpose: Any, now: datetime | ColumnElement[datetime]) -> ScalarSelect[int]:
    """Return the oldest policy version under which a yes still covers `purpose` at `now` (0: any)."""
    return (
        select(func.coalesce(func.max(PolicyChange.policy_version_id), 0))
        .join(PolicyVersion, PolicyVersion.id == PolicyChange.policy_version_id)
        .where(PolicyChange.purpose == purpose, PolicyVersion.effective_at <= now)
        .scalar_subquery()
    )


def _about_person(now: datetime, customer: Any) -> list[tuple[ColumnElement[bool], Refusal]]:
    adult_since = eighteen_years_before(now.date())
    return [
        (customer.account == "erased", Refusal.ERASED),
        (customer.account != "active", Refusal.DEACTIVATED),
        (~exists().where(Address.customer_id == customer.id), Refusal.NO_ADDRESS),
        (customer.birth_date > adult_since, Refusal.MINOR),
        (and_(customer.birth_date.is_(None), customer.declared_adult_at.is_(None)), Refusal.AGE_UNKNOWN),
    ]


def _about_address(purpose: str, customer: Any) -> list[tuple[ColumnElement[bool], Refusal]]:
    # Two levels below the person: SQLAlchemy ties only one by itself, and would ask for everybody's address.
    own_hash = (
        select(Address.address_hash).where(Address.customer_id == customer.id).correlate(customer).scalar_subquery()
    )
    return [
        (
            exists().where(
                Suppression.address_hash == own_hash,
                Suppression.scope.in_([ALL, purpose]),
                Suppression.lifted_at.is_(None),
            ),
            Refusal.SUPPRESSED,
        ),
        (
            or_(
                exists().where(StopRequest.customer_id == customer.id, *_open_stop(purpose)),
                exists().where(StopRequest.address_hash == own_hash, *_open_stop(purpose)),
            ),
            Refusal.STOP_REQUESTED,
        ),
    ]


def _open_stop(purpose: str) -> tuple[ColumnElement[bool], ...]:
    return StopRequest.folded_at.is_(None), StopRequest.scope.in_([ALL, purpose])


def _about_consent(purpose: str, now: datetime, customer: Any) -> list[tuple[ColumnElement[bool], Refusal]]:
    mine = (ConsentState.customer_id == customer.id, ConsentState.purpose == purpose)
    covered = func.coalesce(ConsentState.policy_version_id, -1) >= policy_floor(purpose, now)
    return [
        (~exists().where(*mine), Refusal.NEVER_ASKED),
        (~exists().where(*mine, ConsentState.granted), Refusal.WITHDRAWN),
        (~exists().where(*mine, ConsentState.granted, covered), Refusal.POLICY_CHANGED),
    ]
