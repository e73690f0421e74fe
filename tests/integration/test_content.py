from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from campaigns import drafts, operations
from campaigns.approval import approval_hash
from campaigns.content import source_of
from mailer.errors import WrongState
from mailer.models import Revision
from mailer.render import ContentProblems
from mailer.starters import starting_kinds, starting_source
from tests import campaigns_ready, factories


def draft(session, kind="festive"):
    author = factories.operator(session)
    sender = factories.sender(session)
    return drafts.create_campaign(session, author.id, name="Diwali", kind=kind, sender_id=sender.id)


@pytest.mark.parametrize("kind", drafts.KINDS)
def test_the_mail_that_comes_along_for_each_kind_can_be_submitted_as_it_is(session, kind):
    assert set(starting_kinds()) == set(drafts.KINDS)
    campaign = draft(session, kind)
    operations.write_content(session, campaign.id, campaign.author_id, starting_source(kind))
    assert operations.submit(session, campaign.id, campaign.author_id)
    revision = session.get(Revision, campaign.revision_id)
    assert source_of(revision) == starting_source(kind)
    assert "@@" not in revision.compiled_html + revision.compiled_text


def test_content_with_an_undefined_variable_is_refused_and_nothing_is_saved(session):
    campaign = draft(session)
    wrong = replace(starting_source("festive"), subject="Dear {{ person.caste }}")
    with pytest.raises(ContentProblems, match=r"person\.caste"):
        operations.write_content(session, campaign.id, campaign.author_id, wrong)
    assert session.scalar(select(func.count()).select_from(Revision)) == 0
    assert campaign.revision_id is None


def test_an_edit_of_content_is_a_new_revision_and_the_old_one_stays(session):
    campaign = draft(session)
    source = starting_source("festive")
    first = operations.write_content(session, campaign.id, campaign.author_id, source)
    second = operations.write_content(session, campaign.id, campaign.author_id, replace(source, subject="Shubh Diwali"))
    assert (first.number, second.number) == (1, 2)
    assert first.subject == source.subject
    assert campaign.revision_id == second.id


def test_content_that_did_not_change_is_not_kept_twice(session):
    campaign = draft(session)
    first = operations.write_content(session, campaign.id, campaign.author_id, starting_source("festive"))
    again = operations.write_content(session, campaign.id, campaign.author_id, starting_source("festive"))
    assert again.id == first.id


def test_new_content_voids_an_approval(session):
    campaign = draft(session)
    source = starting_source("festive")
    operations.write_content(session, campaign.id, campaign.author_id, source)
    operations.submit(session, campaign.id, campaign.author_id)
    seen = approval_hash(session, campaign.id)
    operations.approve(session, campaign.id, campaigns_ready.approver(session).id, seen=seen)
    changed = replace(source, values=dict(source.values) | {"title": "Happy Dhanteras"})
    operations.write_content(session, campaign.id, campaign.author_id, changed)
    assert (campaign.state, campaign.approved_hash) == ("draft", None)
    with pytest.raises(WrongState):
        operations.start(session, campaign.id, campaign.author_id)
    assert approval_hash(session, campaign.id) != seen
