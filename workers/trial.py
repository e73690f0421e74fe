"""Test mails: an operator sees in their own mailbox what customers would get. No customer is involved."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.orm import Session

from campaigns.models import Campaign
from config.settings import Settings
from mailer import delivery, merge_fields
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.errors import Refused
from mailer.models import Operator, Revision, SenderIdentity
from mailer.pick import Job
from mailer.providers.base import Outcome, Receipt

TestSender = Callable[[Session, Campaign, Revision, Operator], Receipt]


def make_test_sender(settings: Settings, links: Links) -> TestSender:
    """Return what hands a test of a revision to an operator's own address. Connects for each test, and only then."""

    def send(session: Session, campaign: Campaign, revision: Revision, operator: Operator) -> Receipt:
        from workers.runtime import (
            make_provider,
            make_signers,
        )  # only now: customers' pages must not even load the queue

        identity = session.get_one(SenderIdentity, campaign.sender_id)
        if identity.provider is not None and identity.provider not in settings.providers:
            raise Refused(f"The sender uses the provider “{identity.provider}”, which the settings don’t have.")
        returns = identity.return_domain or identity.list_domain
        job = Job(campaign.id, campaign.purpose, "marketing", revision.id, identity.id, b"", returns)
        content = Composer(links, make_signers(settings, identity.provider)).trial(
            session, job, revision, operator.email, _fields(revision, identity, links)
        )
        provider = make_provider(settings, identity.provider)
        try:
            receipt = delivery.send_test(provider, job, operator.email, content)
        finally:
            provider.close()
        if receipt.outcome is not Outcome.TAKEN:
            raise Refused(f"The test was not taken by the mail provider: {receipt.code} {receipt.detail}".strip())
        return receipt

    return send


def _fields(revision: Revision, identity: SenderIdentity, links: Links) -> dict[str, Any]:
    """A made-up person with everything: no customer's data is shown to try a mail."""
    sender = {
        "name": identity.from_name,
        "legal_name": identity.legal_name,
        "postal_address": identity.postal_address,
        "care_phone": identity.care_phone,
        "care_email": identity.care_email,
        "officer": identity.officer,
    }
    return merge_fields.everything(revision.values) | {"sender": sender, "assets": links.address_of("static/mail")}
