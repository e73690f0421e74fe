"""One visit to a customers' page: whose link it is, in which language, in whose name we answer, and the log line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from flask import current_app, g, make_response, render_template, request
from markupsafe import Markup
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer.consent.links import LANGUAGES, Claim, Kind
from mailer.models import Customer, SenderIdentity
from mailer.web.edge import now
from mailer.web.public.agents import agent_class
from mailer.web.public.language import Speech, choose, speech
from mailer.web.shop import shop

LAST_HOUSE = "askfirst_house"
LINK_LANGUAGE = "askfirst_link_language"
REPEATED = ("scope", "clicks", "email", "List-Unsubscribe")
"""Fields that a page may ask to be sent once more."""


@dataclass(frozen=True, slots=True)
class House:
    """Who speaks to the customer."""

    brand: str = "Our shop"
    legal_name: str = ""
    postal_address: str = ""
    care_phone: str = ""
    care_email: str = ""
    officer: str = ""

    @property
    def phone(self) -> Markup:
        """The number, which no line breaks."""
        return Markup('<span class="tel">{}</span>').format(self.care_phone)


def verified(token: str, kind: Kind) -> Claim | None:
    """Return what the link says if we wrote it, and leave a line in the log either way."""
    claim = shop().links.verify(token, kind, now())
    setattr(g, LINK_LANGUAGE, claim.language if claim else None)
    get_logger(__name__).info(
        "public_hit",
        door=kind.value,
        method=request.method,
        agent=agent_class(request.user_agent.string),
        valid=claim is not None,
        delivery=str(claim.delivery_id) if claim else None,
        purpose=claim.purpose if claim else None,
    )
    return claim


def customer_of(claim: Claim) -> int | None:
    """Return the id of whom a link names, if the reference is still anybody's."""
    with shop().sessions() as session:
        return session.scalar(select(Customer.id).where(Customer.ref == claim.customer_ref))


def spoken() -> Speech:
    """The language of this visit. It hangs on the request and the link, never on the person's record."""
    code = choose(request.args.get("lang"), g.get(LINK_LANGUAGE), request.accept_languages)
    return speech(code, ZoneInfo(shop().settings.shop_zone))


def page(name: str, *, claim: Claim | None = None, status: int = 200, **facts: object) -> Response:
    """Answer with a customers' page."""
    said = spoken()
    html = render_template(
        f"public/{name}.html",
        said=said,
        t=said.texts,
        house=house(),
        claim=claim,
        languages={code: code == said.code for code in LANGUAGES},
        again=sent_fields() if request.method == "POST" else None,
        **facts,
    )
    response = make_response(html, status)
    response.content_language = said.code
    return response


def plain(text: str, status: int = 200) -> Response:
    """Answer a program: one line."""
    response = make_response(text + "\n", status)
    response.mimetype = "text/plain"
    return response


def sent_fields() -> Mapping[str, str]:
    """What was sent, so that a button can send exactly that again."""
    return {name: request.form[name] for name in REPEATED if name in request.form}


def house() -> House:
    """The retailer's name and contact; with the database down the last that were seen, then none."""
    try:
        with shop().sessions() as session:
            found = session.scalars(select(SenderIdentity).order_by(SenderIdentity.id).limit(1)).first()
    except (DBAPIError, PoolTimeout):
        return last_house()
    if found is not None:
        current_app.extensions[LAST_HOUSE] = House(
            found.from_name,
            found.legal_name,
            found.postal_address,
            found.care_phone,
            found.care_email,
            found.officer,
        )
    return last_house()


def last_house() -> House:
    """What `house` saw last, without asking the database."""
    known: House = current_app.extensions.get(LAST_HOUSE) or House()
    return known
