"""A campaign's mail as somebody would see it, closed off: no script, no link, no picture from elsewhere."""

from __future__ import annotations

from flask import abort, make_response, request, url_for
from markupsafe import escape
from werkzeug.wrappers import Response

from campaigns.content import source_of
from campaigns.web.blueprint import campaigns
from campaigns.web.one import found
from mailer.errors import InputProblem
from mailer.merge_fields import everything, nothing
from mailer.models import Revision
from mailer.render import Rendered, Renderer, compile_source
from mailer.web.edge import db
from mailer.web.signin import needs

CLOSED_OFF = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'; "
        "form-action 'none'; base-uri 'none'; sandbox"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
}
SAMPLE_PICTURES = "https://mail.anaar.example/static/mail"


@campaigns.get("/campaigns/<int:campaign_id>/preview")
@needs()
def preview(campaign_id: int) -> Response:
    """The HTML part, for a made-up person with everything or, with `?as=nothing`, of whom we know least."""
    try:
        page = rendered(campaign_id).html.replace(SAMPLE_PICTURES, pictures())
    except InputProblem as problem:
        page = f"<!doctype html><html lang=en><title>Can’t be shown</title><p>{escape(problem)}</p></html>"
    return make_response(page, 200, CLOSED_OFF)


@campaigns.get("/campaigns/<int:campaign_id>/preview.txt")
@needs()
def preview_text(campaign_id: int) -> Response:
    """The text part."""
    try:
        words = rendered(campaign_id).text
    except InputProblem as problem:
        words = str(problem)
    return make_response(words, 200, CLOSED_OFF | {"Content-Type": "text/plain; charset=utf-8"})


def rendered(campaign_id: int) -> Rendered:
    """Compiled and rendered for a made-up person: nobody's data is needed to look at a mail."""
    campaign = found(campaign_id)
    revision = db().get(Revision, campaign.revision_id) if campaign.revision_id else None
    source = source_of(revision or abort(404))
    compiled, least = compile_source(source), request.args.get("as") == "nothing"
    made_up = nothing(source.kind, source.values) if least else everything(source.values)
    return Renderer(compiled).render(made_up)


def pictures() -> str:
    return url_for("static", filename="mail", _external=True)
