"""The list of campaigns. Its filters are its address: it can be bookmarked, sent to somebody, and gone back to."""

from __future__ import annotations

from flask import render_template, request
from sqlalchemy import select

from campaigns.models import Campaign
from campaigns.web import readings
from campaigns.web.blueprint import campaigns
from mailer.models import Operator, Purpose
from mailer.web.edge import db
from mailer.web.signin import needs


@campaigns.get("/campaigns")
@needs()
def index() -> str:
    wanted, session = wanted_by(request.args), db()
    authors = select(Operator).where(Operator.id.in_(select(Campaign.author_id))).order_by(Operator.name)
    return render_template(
        "admin/campaigns.html",
        wanted=wanted,
        shelf=readings.shelf(session, wanted),
        page_size=readings.PAGE,
        purposes=session.scalars(select(Purpose).order_by(Purpose.position)).all(),
        authors=session.scalars(authors).all(),
    )


def wanted_by(args: dict[str, str]) -> readings.Wanted:
    """Read the filters. What can't be read filters nothing: an old bookmark still shows a list."""
    author, page = args.get("author", ""), args.get("page", "")
    return readings.Wanted(
        state=args.get("state", ""),
        purpose=args.get("purpose", ""),
        author=int(author) if author.isdecimal() else None,
        words=args.get("q", "").strip(),
        page=max(1, int(page)) if page.isdecimal() and len(page) < 6 else 1,
    )
