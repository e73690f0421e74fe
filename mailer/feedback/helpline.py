"""Letters go on to the helpline: an outbox of its own, away from the door by which marketing leaves.

At least once: a letter that went twice is a nuisance, one that is lost is a customer who was not heard. Nobody's yes
is needed, for nobody but the helpline gets it. Bounded, and closed to everything that could go round for ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

import structlog
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from mailer.db import session_factory
from mailer.feedback.letter_mail import Letter, compose, why_not
from mailer.message import return_path

log = structlog.get_logger(__name__)

MOST_A_ROUND = 100
MOST_OF_ONE, MOST_OF_ALL = 10, 200
"""Letters that go on: of one sender in a day, of all in an hour. More stay here and come later."""
FIRST_WAIT, LONGEST_WAIT = 60, 6 * 3600
"""Seconds until it is tried again, doubling; it never gives up."""

_NEXT = text("""
    SELECT id, sender, subject, text, raw, received_at, customer_id, delivery_id FROM kept_mails
     WHERE forwarded_at IS NULL AND kind = 'letter' AND handled_at IS NULL AND not_before <= clock_timestamp()
     ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
""")
_LATELY = text("""
    SELECT count(*) FILTER (WHERE lower(sender) = lower(:sender)) AS of_one,
           count(*) FILTER (WHERE forwarded_at > clock_timestamp() - interval '1 hour') AS of_all
      FROM kept_mails WHERE forwarded_at > clock_timestamp() - interval '1 day'
""")
_IDENTITY = text("""
    SELECT s.from_name, s.from_address, s.list_domain FROM senders s
     ORDER BY s.id = (SELECT m.sender_id FROM mandates m JOIN deliveries d ON d.campaign_id = m.campaign_id
                       WHERE d.id = :delivery) DESC NULLS LAST, s.id LIMIT 1
""")
_OURS = text("SELECT lower(split_part(from_address, '@', 2)) FROM senders UNION SELECT lower(list_domain) FROM senders")
_GONE_ON = text("UPDATE kept_mails SET forwarded_at = clock_timestamp(), problem = NULL WHERE id = :id")
_LATER = text("""
    UPDATE kept_mails SET tries = tries + 1, problem = :problem,
           not_before = clock_timestamp()
                        + make_interval(secs => least(:first * power(2, least(tries, 20)), :longest))
     WHERE id = :id
""")
_NEVER = text("UPDATE kept_mails SET problem = :problem, not_before = '2999-01-01' WHERE id = :id")


class Post(Protocol):
    """Who carries mail to people who work here."""

    def send(self, recipient: str, sent_from: str, domain: str, content: bytes) -> str:
        """Hand one mail over; return what went wrong, or nothing once it was taken."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class Helpline:
    """Everything that forwarding needs. `forward_waiting` is one round."""

    engine: Engine
    address: str
    base: str
    """Where this application's own pages are."""
    post: Post

    def forward_waiting(self) -> int:
        """Forward what is due, one transaction each; return how many went on."""
        sessions, gone_on = session_factory(self.engine), 0
        try:
            for _ in range(MOST_A_ROUND):
                with sessions() as session, session.begin():
                    done = self.forward_next(session)
                if done is None:
                    break
                gone_on += done
        finally:
            self.post.close()
        return gone_on

    def forward_next(self, session: Session) -> bool | None:
        """Forward the next letter; return whether it went on, or None where none is due. The caller commits.

        Only the letter is locked meanwhile. What was taken and could not be recorded goes once more.
        """
        row = session.execute(_NEXT).one_or_none()
        if row is None:
            return None
        letter = Letter(row.id, row.sender, row.subject, row.text, bytes(row.raw), row.received_at, row.customer_id)
        never = why_not(letter, self.address, frozenset(session.execute(_OURS).scalars()))
        if never:
            session.execute(_NEVER, {"id": row.id, "problem": f"Not sent on: {never}."})
            return False
        problem = self._bound(session, row.sender) or self._send(session, letter, row.delivery_id)
        if problem:
            log.warning("letter_not_forwarded", letter=row.id, why=problem)
            values = {"id": row.id, "problem": problem[:300], "first": FIRST_WAIT, "longest": LONGEST_WAIT}
            session.execute(_LATER, values)
            return False
        session.execute(_GONE_ON, {"id": row.id})
        return True

    def _bound(self, session: Session, sender: str) -> str:
        lately = session.execute(_LATELY, {"sender": sender}).one()
        if lately.of_one >= MOST_OF_ONE:
            return "Too many letters of this sender today."
        return "Too many letters in this hour." if lately.of_all >= MOST_OF_ALL else ""

    def _send(self, session: Session, letter: Letter, delivery_id: object) -> str:
        identity = session.execute(_IDENTITY, {"delivery": delivery_id}).one_or_none()
        if identity is None:
            return "There is no sender yet."
        try:
            content = compose(letter, self.address, identity.from_name, identity.from_address, self.base)
        except ValueError as problem:  # a header that can't be written holds up nobody else
            return f"It can't be written as a mail: {problem}"
        # A name of no delivery: what comes back for it is kept for a person and counted against nobody.
        sent_from = return_path(uuid4(), identity.list_domain)
        return self.post.send(self.address, sent_from, identity.from_address.rpartition("@")[2], content)
