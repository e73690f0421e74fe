"""A campaign's content: the mails that come along for each kind, and revisions, compiled when they are saved."""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from mailer.models import Revision
from mailer.render import Source, compile_source


def save_revision(session: Session, campaign: Campaign, operator_id: int, source: Source) -> Revision:
    """Compile `source` and keep it as the campaign's content; an unchanged one is not kept twice.

    Raises `ContentProblems` with all that is wrong; nothing is saved then.
    """
    compiled = compile_source(source)
    last = None if campaign.revision_id is None else session.get(Revision, campaign.revision_id)
    if last is not None and source_of(last) == source and last.author_id == operator_id:
        return last
    number = session.scalar(
        select(func.coalesce(func.max(Revision.number), 0) + 1).where(Revision.campaign_id == campaign.id)
    )
    revision = Revision(
        campaign_id=campaign.id,
        number=number,
        kind=source.kind,
        language=source.language,
        subject=source.subject,
        preheader=source.preheader,
        mjml=source.mjml,
        text=source.text,
        values=dict(source.values),
        compiled_html=compiled.html,
        compiled_text=compiled.text,
        content_hash=compiled.hash,
        author_id=operator_id,
    )
    session.add(revision)
    session.flush()
    campaign.revision_id = revision.id
    return revision


def source_of(revision: Revision) -> Source:
    """Return what an operator wrote, to be edited further."""
    return Source(
        kind=revision.kind,
        language=revision.language,
        subject=revision.subject,
        preheader=revision.preheader,
        mjml=revision.mjml,
        text=revision.text,
        values=revision.values,
    )
