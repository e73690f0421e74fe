"""What tests of feedback share: somebody who was mailed, and what SendGrid and mail servers say about that mail."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

from sqlalchemy import text

from mailer.consent.links import Links
from mailer.feedback import store
from mailer.feedback.applying import Applier
from mailer.message import return_path
from tests import factories
from tests.mailed import BASE, standing

LATER = 1_790_000_000
"""A time of events: 21 September 2026."""


class Feedback:
    """One person whose delivery has an attempt, in the state asked for, and the two ends of feedback."""

    def __init__(self, committed, keys) -> None:
        self.sessions, self.engine, self.owner, self.keys = committed.sessions, committed.engine, committed.owner, keys
        self.links = Links(keys, BASE)
        self.applier = Applier(committed.engine, keys, self.links)
        self.attempt = uuid4()

    def mailed(self, state="accepted", *, also=("festive",), address="", provider="sendgrid") -> UUID:
        with self.sessions() as session, session.begin():
            person = factories.agreeing(session, self.keys, "offer", address)
            for purpose in also:
                factories.ledger.grant(session, person.id, factories.wording(session, purpose).id, source="shop")
            mandate = factories.sending(session, [person], "offer")
            self.customer, self.campaign, self.ref = person.id, mandate.campaign_id, person.ref
            self.delivery = session.scalar(
                text("""UPDATE deliveries SET state = :state, attempt_id = :attempt, provider = :provider,
                               intended_at = clock_timestamp() WHERE customer_id = :id RETURNING id"""),
                {"state": state, "attempt": self.attempt, "id": person.id, "provider": provider},
            )
            self.write_attempt(session)
        return self.delivery

    def write_attempt(self, session):
        session.execute(
            text("""INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome)
                    VALUES (:id, :delivery, :attempt, 'intent')"""),
            {"id": self.customer, "delivery": self.delivery, "attempt": self.attempt},
        )

    def event(self, word, **more):
        ids = {"delivery_id": self.delivery.hex, "attempt_id": self.attempt.hex}
        known = {"event": word, "sg_event_id": uuid4().hex, "timestamp": LATER, "email": "asha@example.com"}
        return known | ids | more

    def sendgrid(self, *events):
        with self.sessions() as session, session.begin():
            store.keep_events(session, events)
        return self.apply()

    def mail(self, raw, sent_to=""):
        with self.sessions() as session, session.begin():
            store.keep_mail(session, raw, sent_to)
        return self.apply()

    def apply(self):
        while self.applier.apply_waiting():
            pass
        return self

    def verp(self):
        return return_path(self.delivery, "mail.example.com")

    def dsn(self, status="5.1.1", said="550 5.1.1 User unknown", who=None, action="failed", to=None):
        who = who or self.address()
        return (
            f"From: MAILER-DAEMON@mx.example.com\nTo: <{to or self.verp()}>\nSubject: Undelivered\n"
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n--b\n\nIt failed.\n"
            f"--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx\n\nFinal-Recipient: rfc822; {who}\n"
            f"Action: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {said}\n\n--b--\n"
        ).encode()

    def address(self):
        return self.one("SELECT address FROM addresses WHERE customer_id = :customer")

    def row(self):
        return self.query("SELECT * FROM deliveries WHERE id = :delivery")[0]

    def suppressions(self):
        rows = self.query("SELECT scope, reason FROM suppressions WHERE lifted_at IS NULL")
        return {(row.scope, row.reason) for row in rows}

    def outcomes(self):
        return [row.outcome for row in self.query("SELECT outcome FROM provider_events ORDER BY id")]

    def standing(self):
        return standing(self.sessions, self.customer)

    def one(self, statement):
        return self.query(statement)[0][0]

    def query(self, statement, **values):
        ids = {"customer": getattr(self, "customer", None), "delivery": getattr(self, "delivery", None)}
        with self.sessions() as session:
            return session.execute(text(statement), ids | values).all()

    def run(self, statement):
        with self.owner.begin() as connection:
            connection.execute(text(statement), {"delivery": self.delivery, "customer": self.customer})

    def everything(self):
        """All that feedback may change, without when it was written down."""
        row = self.row()
        times = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed")
        return json.dumps(
            {
                "state": row.state,
                "times": [str(getattr(row, f"{name}_at")) for name in times],
                "suppressed": sorted(self.suppressions()),
                "standing": self.standing(),
                "soft": [tuple(map(str, one)) for one in self.query("SELECT delivery_id, cause, at FROM soft_bounces")],
                "alerts": [tuple(map(str, one)) for one in self.query("SELECT cause, domain, count FROM alerts")],
                "people": self.one("SELECT count(*) FROM customers"),
            },
            sort_keys=True,
        )
