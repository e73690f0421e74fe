"""Which deliveries are due, read without claiming them: two workers may read the same row, T1 decides who has it.

Rows come in the order of customers from wherever the caller's cursor stands, stripe by stripe, so that workers seldom
meet (`mailer.stripes`); rows that had to wait come by their own index.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import arrays, statements
from mailer.letters import Letter
from mailer.statements import Statement


@dataclass(frozen=True, slots=True)
class Job:
    """All a worker knows of a campaign while it sends a batch: its mandate as read before rendering."""

    campaign_id: int
    purpose: str
    message_class: str
    revision_id: int
    sender_id: int
    approved_hash: bytes
    return_domain: str
    as_of: datetime | None = None
    rate_per_second: float | None = None
    provider: str | None = None
    """Who carries it; None for the installation's own."""
    canary: bool = False
    """Only the first so many may go yet (`mailer.canary`)."""
    counted: bool = False
    """Clicks on its links are counted (`mailer.clicks`): approved so, and not turned off since."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A pending delivery with everything T1 will store: the address to render for and the grant to rely on.

    `address` is None for a person without one and `consent_event_id` None without a standing grant: neither is
    rendered, the gate gives the reason.
    """

    delivery_id: UUID
    customer_id: int
    address: str | None
    address_hash: bytes | None
    domain: str | None
    ledger_seq: int
    consent_event_id: int | None
    policy_version_id: int | None

    @property
    def worth_rendering(self) -> bool:
        """Whether the gate has any chance of letting this one go."""
        return self.address is not None and self.consent_event_id is not None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A candidate with its finished message; None where there was nothing worth rendering, or with the `problem`."""

    candidate: Candidate
    content: bytes | Letter | None
    problem: str | None = None


LAST = 2**63 - 1
"""No customer comes after this one."""

_COLUMNS = """
    SELECT d.id, d.customer_id, a.address, a.address_hash, a.domain, coalesce(h.seq, 0) AS ledger_seq,
           s.event_id, s.policy_version_id
      FROM {source}
      LEFT JOIN addresses a ON a.customer_id = d.customer_id
      LEFT JOIN consent_heads h ON h.customer_id = d.customer_id
      LEFT JOIN consent_state s ON s.customer_id = d.customer_id AND s.purpose = d.purpose AND s.granted
     WHERE {condition}"""

# Compared and ordered by the two together, which only the campaign's own index can do: that of customers would lead
# through all other campaigns of each of them.
_ONWARDS_CONDITION = """(d.campaign_id, d.customer_id) > (:campaign, :after)
       AND (d.campaign_id, d.customer_id) <= (:campaign, :until) AND d.state = 'pending'
       AND NOT coalesce(a.domain, d.recipient_domain) = ANY(CAST(:without AS text[]))
       AND NOT EXISTS (SELECT 1 FROM come_back b WHERE b.delivery_id = d.id AND b.customer_id = d.customer_id
                          AND b.not_before > clock_timestamp())
     ORDER BY d.campaign_id, d.customer_id LIMIT :limit"""
_ONWARDS = Statement(_COLUMNS.format(source="deliveries d", condition=_ONWARDS_CONDITION))
_NEXT = Statement(
    f"""SELECT d.customer_id FROM deliveries d LEFT JOIN addresses a ON a.customer_id = d.customer_id
         WHERE {_ONWARDS_CONDITION}"""  # noqa: S608  (our own words)
)
_COME_BACK = Statement(
    _COLUMNS.format(
        source="come_back b JOIN deliveries d ON d.id = b.delivery_id AND d.customer_id = b.customer_id",
        condition="""b.campaign_id = :campaign AND b.not_before <= clock_timestamp() AND d.state = 'pending'
       AND NOT coalesce(a.domain, d.recipient_domain) = ANY(CAST(:without AS text[]))
     ORDER BY b.not_before LIMIT :limit""",
    )
)


def read_job(session: Session, campaign_id: int) -> Job | None:
    """Return what a worker needs to send for a campaign, or None when it isn't sending (or all is on hold)."""
    row = session.execute(
        text("""SELECT m.*, coalesce(s.return_domain, s.list_domain) AS return_domain, s.provider,
                       m.click_tracking AND p.click_tracking AS counted
                  FROM mandates m JOIN senders s ON s.id = m.sender_id JOIN purposes p ON p.key = m.purpose,
                       installation i
                 WHERE m.campaign_id = :campaign AND m.state = 'sending' AND NOT i.hold"""),
        {"campaign": campaign_id},
    ).one_or_none()
    if row is None:
        return None
    return Job(
        row.campaign_id,
        row.purpose,
        row.message_class,
        row.revision_id,
        row.sender_id,
        bytes(row.approved_hash),
        row.return_domain,
        row.as_of,
        row.rate_per_second,
        row.provider,
        canary=row.canary_messages is not None and row.canary_released_at is None,
        counted=row.counted,
    )


def due(
    session: Session,
    campaign_id: int,
    *,
    after: int,
    until: int | None = None,
    limit: int = 500,
    without: Collection[str] = (),
) -> list[Candidate]:
    """Return up to `limit` pending deliveries of people after `after` and up to `until`, in order of customers.

    Whoever is at one of the domains in `without` is left out: they stay pending, and nobody waits for them.
    """
    found = statements.run(session, _ONWARDS, _span(campaign_id, after, until, limit, without))
    return [Candidate(*row) for row in found]


def next_due(session: Session, campaign_id: int, *, after: int, without: Collection[str] = ()) -> int | None:
    """Return the first customer after `after` whom `due` would find; None when there is nobody."""
    found = statements.run(session, _NEXT, _span(campaign_id, after, None, 1, without)).fetchone()
    return int(found[0]) if found is not None else None


def come_back(
    session: Session, campaign_id: int, *, limit: int = 500, without: Collection[str] = ()
) -> list[Candidate]:
    """Return up to `limit` pending deliveries whose waiting time is over, but for those at domains in `without`."""
    values = {"campaign": campaign_id, "limit": limit, "without": arrays.texts(without)}
    return [Candidate(*row) for row in statements.run(session, _COME_BACK, values)]


def last_customer(session: Session, campaign_id: int) -> int:
    """Return the highest customer of a campaign, 0 when it has none."""
    found = session.execute(
        text("SELECT coalesce(max(customer_id), 0) FROM deliveries WHERE campaign_id = :campaign"),
        {"campaign": campaign_id},
    )
    return int(found.scalar_one())


def _span(campaign_id: int, after: int, until: int | None, limit: int, without: Collection[str]) -> dict[str, object]:
    until = LAST if until is None else until
    return {"campaign": campaign_id, "after": after, "until": until, "limit": limit, "without": arrays.texts(without)}


def ids(candidates: Sequence[Candidate]) -> list[UUID]:
    """Return the delivery ids of `candidates`."""
    return [candidate.delivery_id for candidate in candidates]
