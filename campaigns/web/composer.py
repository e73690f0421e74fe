"""Writing a campaign: first what it is about, then one form for who, what, from and how fast."""

from __future__ import annotations

from flask import abort, render_template, request
from sqlalchemy import select
from werkzeug.wrappers import Response

from campaigns import drafts
from campaigns.audience import funnel
from campaigns.models import Campaign
from campaigns.web import form
from campaigns.web.blueprint import campaigns
from campaigns.web.form import Typed
from campaigns.web.one import found, funnel_rows
from campaigns.web.presets import PRESETS, written
from mailer.errors import InputProblem, Refused
from mailer.merge_fields import CAMPAIGN_VALUES
from mailer.models import Purpose, Revision, SenderIdentity
from mailer.starters import starting_source
from mailer.web.edge import db, see, transaction
from mailer.web.signin import needs, operator_id

Answer = str | Response | tuple[str, int]


@campaigns.get("/campaigns/new")
@needs("author")
def new() -> str:
    """First the topic: it decides whose yes counts, and which mail there is to start from."""
    kind = request.args.get("kind", "")
    if kind not in drafts.KINDS:
        purposes = db().scalars(select(Purpose).order_by(Purpose.position)).all()
        return render_template("admin/kinds.html", purposes=purposes)
    return sheet(form.of_starter(starting_source(kind)))


@campaigns.post("/campaigns")
@needs("author")
def create() -> Answer:
    it = form.typed(request.form)
    try:
        with transaction() as session:
            campaign = drafts.create_campaign(
                session,
                operator_id(),
                name=it.name,
                kind=form.kind_of(it),
                sender_id=form.sender_of(it),
                rule=form.rule_of(it),
                options=form.options_of(it),
            )
            drafts.write_content(session, campaign.id, operator_id(), form.source_of(it))
    except InputProblem as problem:
        return sheet(it, problems=form.problems_of(problem)), 422
    return see("campaigns.show", campaign_id=campaign.id)


@campaigns.get("/campaigns/<int:campaign_id>/edit")
@needs("author")
def edit(campaign_id: int) -> str:
    campaign = found(campaign_id)
    revision = db().get(Revision, campaign.revision_id) or abort(404)
    return sheet(form.of_campaign(campaign, revision), campaign)


@campaigns.post("/campaigns/<int:campaign_id>/draft")
@needs("author")
def save(campaign_id: int) -> Answer:
    """Any change takes a campaign back to a draft, and its approval with it."""
    campaign, it = found(campaign_id), form.typed(request.form)
    try:
        with transaction() as session:
            drafts.edit(
                session,
                campaign_id,
                operator_id(),
                name=it.name,
                sender_id=form.sender_of(it),
                rule=form.rule_of(it),
                options=form.options_of(it, campaign.options),
            )
            drafts.write_content(session, campaign_id, operator_id(), form.source_of(it))
    except (InputProblem, Refused) as problem:
        found_problems = form.problems_of(problem) if isinstance(problem, InputProblem) else {"form": str(problem)}
        return sheet(it, found(campaign_id), found_problems), 409 if isinstance(problem, Refused) else 422
    return see("campaigns.show", campaign_id=campaign_id)


@campaigns.post("/campaigns/trial")
@needs("author")
def trial() -> Answer:
    """Count the segment, or fill in a ready-made one. Nothing is saved, and nothing that was typed is lost."""
    it = form.typed(request.form)
    number = request.form.get("campaign", "")
    campaign = found(int(number)) if number.isdecimal() else None
    if request.form.get("do") == "preset":
        preset = PRESETS.get(request.form.get("preset", ""), PRESETS["everybody"])
        it = form.with_rule(it, written(preset.rule))
    try:
        counted = funnel_rows(funnel(db(), form.rule_of(it), form.kind_of(it)), it.kind)
    except InputProblem as problem:
        return sheet(it, campaign, form.problems_of(problem)), 422
    return sheet(it, campaign, counted=counted)


def sheet(
    it: Typed,
    campaign: Campaign | None = None,
    problems: dict[str, str] | None = None,
    counted: dict[str, object] | None = None,
) -> str:
    """The form with what was typed, what has to be fixed, and the count if somebody asked for it."""
    session = db()
    return render_template(
        "admin/composer.html",
        it=it,
        campaign=campaign,
        problems=problems or {},
        content_keys=[name for name in problems or {} if name.startswith(form.CONTENT)],
        counted=counted,
        purpose=session.get(Purpose, it.kind) or abort(404),
        senders=[
            (sender.id, f"{sender.from_name} <{sender.from_address}>")
            for sender in session.scalars(select(SenderIdentity).order_by(SenderIdentity.name))
        ],
        presets=PRESETS,
        fields=form.value_fields(CAMPAIGN_VALUES[it.kind]),
        value=form.VALUE,
    )
