"""Campaigns on their way: written, submitted, approved and started through the real doors."""

from __future__ import annotations

import itertools

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import operations, tending
from campaigns.approval import approval_hash
from campaigns.models import Campaign
from campaigns.rules import EVERYBODY, Rule
from campaigns.tending import Settled
from mailer.models import Operator, Revision, Role
from tests import factories

_numbers = itertools.count(1)


def content(session: Session, campaign: Campaign, author_id: int) -> Revision:
    """A revision as it is once compiled; compiling itself is tested where it lives."""
    revision = Revision(
        campaign_id=campaign.id,
        number=next(_numbers),
        kind=campaign.kind,
        subject="Happy Diwali",
        preheader="A wish",
        mjml="-",
        text="-",
        compiled_html='<a href="{{ links.unsubscribe }}">Unsubscribe</a>',
        compiled_text="Stop: {{ links.unsubscribe }}",
        content_hash=b"c" * 32,
        author_id=author_id,
    )
    session.add(revision)
    session.flush()
    campaign.revision_id = revision.id
    session.flush()
    return revision


def approver(session: Session) -> Operator:
    found = factories.operator(session)
    found.roles.append(session.scalars(select(Role).where(Role.name == "approver")).one())
    session.flush()
    return found


def draft(session: Session, rule: Rule = EVERYBODY, **facts) -> Campaign:
    author = factories.operator(session)
    facts = {"name": "Diwali", "kind": "festive", "sender_id": factories.sender(session).id} | facts
    campaign = operations.create_campaign(session, author.id, rule=rule, **facts)
    content(session, campaign, author.id)
    return campaign


def waiting(session: Session, rule: Rule = EVERYBODY, **facts) -> Campaign:
    campaign = draft(session, rule, **facts)
    operations.submit(session, campaign.id, campaign.author_id)
    return campaign


def approved(session: Session, rule: Rule = EVERYBODY, **facts) -> Campaign:
    campaign = waiting(session, rule, **facts)
    operations.approve(session, campaign.id, approver(session).id, seen=approval_hash(session, campaign.id))
    return campaign


def started(session: Session, rule: Rule = EVERYBODY, **facts) -> Campaign:
    campaign = approved(session, rule, **facts)
    assert operations.start(session, campaign.id, campaign.author_id).started
    return campaign


def tend(session: Session, settled: Settled | None = None) -> dict[str, list[int]]:
    """What a clock does for campaigns in one tick: which were started, paused and ended."""
    memory: Settled = {} if settled is None else settled
    done: dict[str, list[int]] = {"start": [], "pause": [], "finish": []}
    for kind, found in done.items():  # what was started in a tick is looked at in it
        for duty in tending.look(session, memory):
            if duty.what == kind and duty.do(session, memory):
                found.append(duty.campaign_id)
    return done
