"""From a link to the opt-out door, and what is kept as evidence of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import request
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from config.logging import get_logger
from mailer.consent.links import Claim
from mailer.optout import stop_person
from mailer.web.edge import now
from mailer.web.public.agents import agent_class
from mailer.web.public.visit import customer_of
from mailer.web.rates import network_of
from mailer.web.shop import shop

AGENT_LENGTH = 200

# One row, skipped when a hand-over of it is being recorded: the number in a report isn't worth anybody's wait.
_NOTE = text("""
    UPDATE deliveries SET unsubscribed_at = clock_timestamp()
     WHERE (customer_id, id) IN (SELECT customer_id, id FROM deliveries
                                  WHERE customer_id = :customer AND id = :delivery AND unsubscribed_at IS NULL
                                    FOR UPDATE SKIP LOCKED)
""")


def stop(claim: Claim, scope: str, door: str) -> datetime:
    """Stop mail for whom the link names, and return since when; a reference that is nobody's any more is stopped too.

    Returns after the commit. Raises Unavailable when the database can't be reached.
    """
    customer_id = customer_of(claim)
    if customer_id is None:
        return now()
    answer = stop_person(
        shop().engine, customer_id=customer_id, scope=scope, source=door, evidence=evidence(delivery=claim.delivery_id)
    )
    note(claim, customer_id)
    return answer.at


def evidence(**more: object) -> Mapping[str, Any]:
    """What the request said of itself, as far as a proof needs it: no full network address."""
    said = request.user_agent.string
    return {
        "method": request.method,
        "agent": agent_class(said),
        "user_agent": said[:AGENT_LENGTH],
        "network": network_of(request.remote_addr),
    } | {name: str(value) for name, value in more.items() if value is not None}


def note(claim: Claim, customer_id: int) -> None:
    """Mark the mail from which the opt-out came, for reports. Nothing hangs on it."""
    try:
        with shop().sessions() as session, session.begin():
            session.execute(_NOTE, {"customer": customer_id, "delivery": claim.delivery_id})
    except DBAPIError:
        get_logger(__name__).exception("unsubscribe_not_noted", delivery=str(claim.delivery_id))
