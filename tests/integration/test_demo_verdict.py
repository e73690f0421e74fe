"""The judge of the demonstration finds what it is there to find: each promise is broken once, on purpose."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import customers, inbox, suppression
from mailer.consent import ledger
from mailer.message import return_path
from mailer.models import Address, Customer, Delivery, PolicyChange
from tests.factories import agreeing, policy, sending, wording
from workers.demo import verdict
from workers.demo.leavers import Click, one_click_address
from workers.demo.verdict import Message


@dataclass
class Sent:
    """A campaign to three people who said yes, and what the sink saw of it."""

    people: list[Customer]
    deliveries: dict[UUID, Delivery]

    def of(self, person: int) -> Delivery:
        return next(d for d in self.deliveries.values() if d.customer_id == self.people[person].id)

    def message(self, person: int, at: float | None = None, recipient: str | None = None) -> Message:
        return Message(self.of(person).id, recipient or f"p{person}@example.com", at or time.time())

    def click(self, person: int, answered_at: float, status: int = 200) -> Click:
        return Click(self.of(person).id, True, answered_at - 0.01, answered_at, status)


@pytest.fixture
def sent(session: Session, keys: Keys) -> Sent:
    people = [agreeing(session, keys) for _ in range(3)]
    mandate = sending(session, people)
    rows = session.scalars(select(Delivery).where(Delivery.campaign_id == mandate.campaign_id))
    return Sent(people, {row.id: row for row in rows})


def test_one_mail_each_to_people_who_said_yes_breaks_nothing(session: Session, sent: Sent) -> None:
    messages = [sent.message(0), sent.message(1), sent.message(2)]
    assert verdict.duplicates(messages) == 0
    assert verdict.after_opt_out(messages, sent.deliveries, [sent.click(0, time.time() + 5)]) == 0
    assert verdict.without_consent(session, messages, sent.deliveries) == 0


def test_two_mails_of_one_delivery_are_found(sent: Sent) -> None:
    assert verdict.duplicates([sent.message(0), sent.message(0, recipient="else@example.com")]) == 1


def test_two_mails_to_one_address_are_found(sent: Sent) -> None:
    assert verdict.duplicates([sent.message(0), sent.message(1, recipient="p0@example.com"), sent.message(2)]) == 1


def test_a_mail_begun_after_the_answer_is_found(sent: Sent) -> None:
    now = time.time()
    messages = [sent.message(0, now), sent.message(1, now)]
    assert verdict.after_opt_out(messages, sent.deliveries, [sent.click(0, now - 0.001)]) == 1
    assert verdict.after_opt_out(messages, sent.deliveries, [sent.click(0, now + 0.001)]) == 0


def test_an_opt_out_counts_for_the_address_too(sent: Sent) -> None:
    now = time.time()
    sent.of(1).address_hash = sent.of(0).address_hash
    assert verdict.after_opt_out([sent.message(1, now)], sent.deliveries, [sent.click(0, now - 1)]) == 1


def test_an_opt_out_that_was_not_answered_promises_nothing(sent: Sent) -> None:
    now = time.time()
    assert verdict.after_opt_out([sent.message(0, now)], sent.deliveries, [sent.click(0, now - 1, status=503)]) == 0


def test_a_mail_after_a_withdrawal_is_without_consent_and_one_before_is_not(session: Session, sent: Sent) -> None:
    before = time.time()
    ledger.withdraw(session, sent.people[0].id, "festive", source="helpline")
    assert verdict.without_consent(session, [sent.message(0, before)], sent.deliveries) == 0
    assert verdict.without_consent(session, [sent.message(0, time.time() + 1)], sent.deliveries) == 1


def test_a_mail_to_somebody_found_to_be_a_minor_is_without_consent(session: Session, sent: Sent) -> None:
    customers.learn_birth_date(session, sent.people[0].id, date(datetime.now(UTC).year - 10, 1, 1))
    assert verdict.without_consent(session, [sent.message(0)], sent.deliveries) == 1


def test_a_mail_under_a_policy_that_changed_is_without_consent(session: Session, sent: Sent) -> None:
    newer = policy(session)
    session.add(PolicyChange(policy_version_id=newer.id, purpose="festive"))
    session.flush()
    assert verdict.without_consent(session, [sent.message(0)], sent.deliveries) == 1


def test_a_mail_to_a_suppressed_address_is_without_consent(session: Session, sent: Sent) -> None:
    address = session.scalars(select(Address.address_hash).where(Address.customer_id == sent.people[0].id)).one()
    suppression.lock_addresses(session, [address])
    ledger.lock_customers(session, [sent.people[0].id])
    suppression.suppress(session, address, "all", suppression.COMPLAINT)
    assert verdict.without_consent(session, [sent.message(0, time.time() + 1)], sent.deliveries) == 1


def test_a_mail_that_nobody_meant_to_send_is_without_consent(session: Session, sent: Sent) -> None:
    strangers = [Message(None, "a@example.com", time.time()), Message(uuid4(), "b@example.com", time.time())]
    assert verdict.without_consent(session, strangers, sent.deliveries) == 2


def test_a_yes_to_another_purpose_is_no_consent(session: Session, sent: Sent, keys: Keys) -> None:
    wording(session, "offer")
    offer = agreeing(session, keys, "offer")
    mandate = sending(session, [offer])
    rows = session.scalars(select(Delivery).where(Delivery.campaign_id == mandate.campaign_id)).all()
    message = Message(rows[0].id, "o@example.com", time.time())
    assert verdict.without_consent(session, [message], {row.id: row for row in rows}) == 1


def test_only_a_link_that_offers_one_click_is_pressed() -> None:
    post = b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    link = b"List-Unsubscribe: <https://localhost/u/x>,\r\n <mailto:stop@example.com>\r\n"
    assert one_click_address(link + post + b"\r\n") == "https://localhost/u/x"
    assert one_click_address(link + b"\r\n") is None
    assert one_click_address(post + b"List-Unsubscribe: <mailto:stop@example.com>\r\n\r\n") is None


def test_a_message_in_the_inbox_names_its_delivery(tmp_path: Path) -> None:
    delivery = uuid4()
    inbox.write_message(
        tmp_path,
        b"Subject: x\r\n\r\n",
        sender=return_path(delivery, "mail.example.com"),
        recipients=["P1@example.com"],
        begun_at=1.0,
        received_at=2.0,
    )
    assert verdict.messages_in(tmp_path) == [Message(delivery, "p1@example.com", 1.0)]
