"""What exactly somebody approves: one hash over content, rule, sender, purpose, tracking, options and schedule."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from mailer.errors import InputProblem
from mailer.models import Mandate, Purpose, Revision, SenderIdentity

MESSAGE_CLASS = "marketing"
_SENDER = tuple(attribute.columns[0] for attribute in inspect(SenderIdentity).column_attrs)
_CAMPAIGN = (
    Campaign.id,
    Campaign.kind,
    Campaign.purpose,
    Campaign.rule,
    Campaign.options,
    Campaign.scheduled_at,
    Campaign.submitted_at,
    Campaign.author_id,
)
_CONTENT = (Revision.id, Revision.language, Revision.content_hash, Revision.values)


def approval_hash(session: Session, campaign_id: int) -> bytes:
    """Return SHA-256 over all that an approval covers, as it is in the database now (never from loaded objects).

    Any change of any of it changes the hash, and so does every new submission: a yes to an earlier one is spent.
    """
    document = covered(session, campaign_id)
    return hashlib.sha256(canonical(document)).digest()


def covered(session: Session, campaign_id: int) -> dict[str, Any]:
    """Return what an approval covers, as JSON."""
    parts = {"campaign": _CAMPAIGN, "content": _CONTENT, "sender": _SENDER}
    # Once there is a mandate, what it says; before, what the purpose says now.
    clicks = func.coalesce(Mandate.click_tracking, Purpose.click_tracking).label("tracking.clicks")
    columns = [column.label(f"{part}.{column.key}") for part, of in parts.items() for column in of]
    row = session.execute(
        select(*columns, clicks)
        .join(SenderIdentity, SenderIdentity.id == Campaign.sender_id)
        .join(Purpose, Purpose.key == Campaign.purpose)
        .outerjoin(Mandate, Mandate.campaign_id == Campaign.id)
        .outerjoin(Revision, Revision.id == Campaign.revision_id)
        .where(Campaign.id == campaign_id)
    ).one_or_none()
    if row is None:
        raise InputProblem(f"There is no campaign {campaign_id}.")
    said: dict[str, Any] = {"message_class": MESSAGE_CLASS, "campaign": {}, "content": {}, "sender": {}, "tracking": {}}
    for label, value in row._mapping.items():
        part, name = label.split(".")
        said[part][name] = _plain(value)
    return said


def canonical(document: dict[str, Any]) -> bytes:
    """Return JSON in which equal documents are equal bytes."""
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
