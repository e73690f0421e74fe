"""Clicks: counted only where an administrator turned it on, an approver approved it, and the person lets us.

A click is never consent and decides nothing: neither the gate nor the ledger reads what is written here. Programs
that follow links are told apart by what they say, by when they come and by following everything at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from mailer import acts
from mailer.click_links import ClickLinks, Followed
from mailer.consent.policy import eighteen_years_before
from mailer.destinations import Destination, destinations, name
from mailer.errors import UnknownPurpose
from mailer.models import Revision

COUNTED_DAYS = 60
"""After so long a click says nothing about a campaign any more: the link works, nobody counts."""
AT_ONCE_SECONDS = 10
"""Every link of a mail within so many seconds: a program, whatever it says it is."""
TOO_SOON_SECONDS = 5
"""Sooner after the mail was handed over no person has read it (check 116)."""

_KEEP = text("""
    INSERT INTO link_destinations (revision_id, number, written, url)
    SELECT :revision, w.* FROM unnest(CAST(:numbers AS int[]), CAST(:written AS text[]), CAST(:urls AS text[])) AS w
    ON CONFLICT DO NOTHING
""")
_OF_CAMPAIGN = text("""
    SELECT l.number, l.written, l.url FROM mandates m JOIN purposes p ON p.key = m.purpose
      JOIN link_destinations l ON l.revision_id = m.revision_id
     WHERE m.campaign_id = :campaign AND m.click_tracking AND p.click_tracking ORDER BY l.number
""")
# Who may be counted, given the latest birth date of an adult: not a minor, nobody of unknown age (DPDP s.9(3)).
_COUNTABLE = """c.account = 'active' AND NOT coalesce(x.clicks_uncounted, false)
       AND (c.birth_date <= :adult_since OR (c.birth_date IS NULL AND c.declared_adult_at IS NOT NULL))"""
_WHO = """
    SELECT c.id FROM customers c LEFT JOIN customer_limits x ON x.customer_id = c.id
     WHERE c.id = ANY(:people) AND {countable}"""
_WHO_COUNTS = text(_WHO.format(countable=_COUNTABLE))
# Of the revision that was handed over and is approved in the campaign's mandate; of no other.
_LEADS_TO = text("""
    SELECT l.url FROM deliveries d
      JOIN mandates m ON m.campaign_id = d.campaign_id AND m.revision_id = d.revision_id
      JOIN link_destinations l ON l.revision_id = d.revision_id AND l.number = :number
     WHERE d.id = :delivery
""")
_HIT = """
    INSERT INTO clicks (customer_id, delivery_id, number, campaign_id, clicked_at, scanned_at, last_at, agent)
    SELECT h.customer_id, h.id, :number, h.campaign_id, CASE WHEN NOT h.machine THEN h.now END,
           CASE WHEN h.machine THEN h.now END, h.now, :agent
      FROM (
        SELECT d.*, clock_timestamp() AS now,
               :machine OR d.state = 'handing_over'
                 OR clock_timestamp() < coalesce(d.settled_at, d.intended_at) + make_interval(secs => :too_soon)
                 AS machine
          FROM deliveries d
          JOIN mandates m ON m.campaign_id = d.campaign_id AND m.click_tracking
          JOIN purposes p ON p.key = m.purpose AND p.click_tracking
          JOIN customers c ON c.id = d.customer_id
          LEFT JOIN customer_limits x ON x.customer_id = c.id
         WHERE d.id = :delivery AND d.intended_at > clock_timestamp() - make_interval(days => :days) AND {countable}
      ) h
    ON CONFLICT (customer_id, delivery_id, number) DO UPDATE
       SET clicked_at = coalesce(clicks.clicked_at, excluded.clicked_at),
           scanned_at = coalesce(clicks.scanned_at, excluded.scanned_at), last_at = excluded.last_at
    RETURNING customer_id"""
_RECORD = text(_HIT.format(countable=_COUNTABLE))
# Seen after the fact: who had been taken for a person until the last link was followed.
_ALL_AT_ONCE = text("""
    UPDATE clicks k SET scanned_at = coalesce(k.scanned_at, k.clicked_at), clicked_at = NULL
      FROM deliveries d
     WHERE k.customer_id = :customer AND k.delivery_id = :delivery AND k.clicked_at IS NOT NULL
       AND d.customer_id = k.customer_id AND d.id = k.delivery_id
       AND k.clicked_at > clock_timestamp() - make_interval(secs => :seconds)
       AND (SELECT count(*) FROM clicks o WHERE o.customer_id = :customer AND o.delivery_id = :delivery
               AND o.last_at > clock_timestamp() - make_interval(secs => :seconds))
           >= greatest(2, (SELECT count(*) FROM link_destinations l WHERE l.revision_id = d.revision_id))
""")
_UNCOUNTED = text("""
    INSERT INTO customer_limits (customer_id, clicks_uncounted) SELECT id, true FROM customers WHERE ref = :ref
    ON CONFLICT (customer_id) DO UPDATE SET clicks_uncounted = true
""")
_SWITCH = text("UPDATE purposes SET click_tracking = :on WHERE key = :purpose AND click_tracking <> :on RETURNING key")
_NUMBERS = text("""
    SELECT l.number, l.url, count(k.clicked_at) AS people, count(*) FILTER (WHERE k.clicked_at IS NULL
           AND k.scanned_at IS NOT NULL) AS programs
      FROM mandates m JOIN link_destinations l ON l.revision_id = m.revision_id
      LEFT JOIN clicks k ON k.campaign_id = m.campaign_id AND k.number = l.number
     WHERE m.campaign_id = :campaign GROUP BY l.number, l.url ORDER BY l.number
""")


@dataclass(frozen=True, slots=True)
class Counting:
    """What of one campaign is counted, and how a worker writes the links."""

    wanted: Sequence[Destination]

    def fields(
        self, session: Session, people: Mapping[UUID, int], links: ClickLinks, today: date
    ) -> dict[UUID, Mapping[str, str]]:
        """Return the field `clicks` of each delivery (given with its person): ours, or the plain address for whoever
        is not counted: by their choice, under 18, or of unknown age (DPDP s.9(3)).
        """
        asked = {"people": list(people.values()), "adult_since": eighteen_years_before(today)}
        counted = set(session.execute(_WHO_COUNTS, asked).scalars())
        plain = {name(one.number): one.url for one in self.wanted}
        return {
            delivery: {name(one.number): links.url(delivery, one.number) for one in self.wanted}
            if person in counted
            else plain
            for delivery, person in people.items()
        }


def keep_destinations(session: Session, revision: Revision) -> int:
    """Write down where the links of an approved revision lead; return how many. Once; they never change."""
    found = destinations(revision.compiled_html, revision.values)
    columns = {"numbers": [d.number for d in found], "written": [d.written for d in found]}
    session.execute(_KEEP, {"revision": revision.id, **columns, "urls": [d.url for d in found]})
    return len(found)


def counting(session: Session, campaign_id: int) -> Counting | None:
    """Return what is counted of a campaign now, None for nothing: then no link of its mail is ours."""
    rows = session.execute(_OF_CAMPAIGN, {"campaign": campaign_id}).all()
    return Counting([Destination(*row) for row in rows]) if rows else None


def leads_to(session: Session, followed: Followed) -> str | None:
    """Return where a link leads: among the destinations of the approved revision, or nowhere."""
    url = session.execute(_LEADS_TO, {"delivery": followed.delivery_id, "number": followed.number}).scalar()
    return str(url) if url is not None else None


def record(session: Session, followed: Followed, *, machine: bool, agent: str, today: date) -> None:
    """Count that a link was followed, where that is counted at all. The edge commits."""
    hit: dict[str, Any] = {"delivery": followed.delivery_id, "number": followed.number, "agent": agent}
    facts = {"machine": machine, "adult_since": eighteen_years_before(today), "days": COUNTED_DAYS}
    customer = session.execute(_RECORD, hit | facts | {"too_soon": TOO_SOON_SECONDS}).scalar()
    if customer is not None:
        session.execute(_ALL_AT_ONCE, hit | {"customer": customer, "seconds": AT_ONCE_SECONDS})


def stop_counting(session: Session, customer_ref: bytes) -> None:
    """Never count this person's clicks again, and forget those that were. Nobody needs to say why."""
    session.execute(_UNCOUNTED, {"ref": customer_ref})


def switch(session: Session, purpose: str, operator_id: int, *, on: bool) -> bool:
    """Turn counting on or off for a purpose; return whether it changed. Off holds at once, for mail already out too.

    On is for campaigns approved from now on: what was approved without stays without.
    """
    if session.execute(text("SELECT 1 FROM purposes WHERE key = :key"), {"key": purpose}).first() is None:
        raise UnknownPurpose(f"There is no purpose '{purpose}'.")
    changed = session.execute(_SWITCH, {"purpose": purpose, "on": on}).first() is not None
    if changed:
        acts.record(session, operator_id, f"click_tracking_{'on' if on else 'off'}", f"purpose:{purpose}")
    return changed


def numbers(session: Session, campaign_id: int) -> Sequence[Row[Any]]:
    """Return (number, url, people, programs) for each counted link of a campaign."""
    return session.execute(_NUMBERS, {"campaign": campaign_id}).all()
