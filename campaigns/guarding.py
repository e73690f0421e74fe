"""What the clock does when the numbers of a campaign speak: warn, stop it or one domain of it, let a canary's rest go.

Whoever is stopped by numbers goes on by a person who says why (`operations.resume`, `let_domain`, `let_canary_go`).
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from campaigns import operations
from campaigns.drafts import active_operator, locked, note
from campaigns.models import Campaign
from mailer import canary, guards
from mailer.errors import Refused
from mailer.guards import Finding, Watch
from mailer.models import Mandate

REMEMBERED = timedelta(days=7)
"""So long after its end a campaign is watched: who complains does so when they have read it."""


def look(session: Session, campaign_id: int, memory: Watch) -> list[Finding]:
    """Look at one campaign's numbers and act on them; return what was found. The caller commits."""
    findings = guards.watch(session, campaign_id, memory)
    for found in findings:
        act_on(session, campaign_id, found)
    return findings


def act_on(session: Session, campaign_id: int, found: Finding) -> None:
    """Warn, or stop: the campaign where it is about all of it, else only that domain."""
    if found.level == "stop" and not found.domain:
        if (state := locked(session, campaign_id).state) == "sending":
            operations.pause(session, campaign_id, None, f"{found.words}. The limit is {found.allowed}")
        elif state == "sent":
            words = f"Look at this before you write again: {found.words}. The limit is {found.allowed}"
            note(session, campaign_id, None, words, "campaign_warned", counted=found.what, reports=found.reports)
        return
    facts = {"domain": found.domain, "counted": found.what, "reports": found.reports, "base": found.base}
    if found.level == "stop":
        words = f"Nothing more goes to {found.domain}: {found.words}. The limit is {found.allowed}"
        note(session, campaign_id, None, words, "domain_stopped", **facts)
    else:
        words = f"Look at this: {found.words}. It stops by itself at {found.allowed}"
        note(session, campaign_id, None, words, "campaign_warned", **facts)


def look_at_canary(session: Session, campaign_id: int) -> str | None:
    """Take a campaign's canary one step further; return `released` or `held` when that is news."""
    if locked(session, campaign_id).state != "sending":
        return None
    news = canary.tend(session, campaign_id)
    now = canary.look(session, campaign_id)
    if now is not None and news == "released":
        words = f"The first {now.messages} went well, the rest goes"
        note(session, campaign_id, None, words, "canary_released", by_itself=True)
    elif now is not None and news == "held":
        words = f"The rest waits for a person: {now.held} of the first {now.messages}"
        note(session, campaign_id, None, words, "canary_held", why=now.held)
    return news


def let_canary_go(session: Session, campaign_id: int, operator_id: int, reason: str) -> bool:
    """Let the rest go before its time, or against its numbers; False if it goes already."""
    locked(session, campaign_id)
    active_operator(session, operator_id)
    if not canary.let_go(session, campaign_id):
        return False
    note(session, campaign_id, operator_id, f"The rest goes: {reason}", "canary_released", reason=reason)
    return True


def let_domain_go(session: Session, campaign_id: int, operator_id: int, domain: str, reason: str) -> bool:
    """Send to a domain again that its numbers had stopped; the same reports don't stop it again."""
    locked(session, campaign_id)
    active_operator(session, operator_id)
    if domain not in guards.stopped_domains(session, campaign_id):
        return False
    guards.acknowledge(session, campaign_id, domain)
    words = f"Goes to {domain} again: {reason}"
    note(session, campaign_id, operator_id, words, "domain_resumed", domain=domain, reason=reason)
    return True


def of_sending(session: Session) -> list[int]:
    """Return the campaigns whose numbers matter now: those being sent, and those of which most is yet to come back."""
    lately = and_(Mandate.state == "finished", Campaign.ended_at > func.clock_timestamp() - REMEMBERED)
    watched = select(Campaign.id).join(Mandate, Mandate.campaign_id == Campaign.id)
    return list(session.scalars(watched.where(or_(Mandate.state == "sending", lately)).order_by(Campaign.id)))


def require_reason(reason: str) -> str:
    """Return the reason as it is kept, or raise Refused if there is none."""
    said = reason.strip()[:500]
    if not said:
        raise Refused("Say what you found. It is kept with your name.")
    return said
