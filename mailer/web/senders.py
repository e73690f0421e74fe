"""Senders: who mail is from, how it gets through, what to publish in DNS; changed by administrators only."""

from __future__ import annotations

import re
from functools import partial
from urllib.parse import urlsplit

from flask import Blueprint, abort, current_app, render_template, request
from flask_security import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response

from config.settings import is_loopback
from mailer import acts, circuits, dkim, domains, published, senders
from mailer.errors import InputProblem
from mailer.message import BadHeader, wire_domain
from mailer.models import DomainState, ProviderCircuit, ProviderRest, Purpose, SenderIdentity
from mailer.resolver import ask_dns
from mailer.senders import SenderFacts, SenderProblems
from mailer.web.chrome import answer_crash, answer_problem
from mailer.web.edge import db, now, see, transaction
from mailer.web.shop import shop
from mailer.web.signin import needs, operator_id

blueprint = Blueprint("senders", __name__, url_prefix="/senders")
for code in (400, 403, 404):
    blueprint.register_error_handler(code, answer_problem)
blueprint.register_error_handler(500, answer_crash)

SEES = ("author", "approver", "admin")
RESOLVER = "askfirst_look_up"
"""Extension that answers instead of DNS: `(name, kind) -> records`."""
LOOK_UP_SECONDS = 2.0
"""For each record: a page is waiting."""
MOST_A_MINUTE = 600_000


@blueprint.get("/")
@needs(*SEES)
def index() -> str:
    """Who mail is from, and whether it gets through."""
    session = db()
    found = session.scalars(select(SenderIdentity).order_by(SenderIdentity.name)).all()
    lines = [(sender, provider_of(sender), standing(provider_of(sender))) for sender in found]
    return render_template("admin/senders.html", lines=lines, purposes=purposes(), may_change=may_change())


@blueprint.get("/new")
@needs("admin")
def new() -> str:
    return form(None, SenderFacts(purposes=tuple(purposes())))


@blueprint.post("/")
@needs("admin")
def add() -> Response | tuple[str, int]:
    facts = entered()
    try:
        with transaction() as session:
            sender = senders.add(session, operator_id(), facts, providers=shop().settings.providers)
    except SenderProblems as wrong:
        return form(None, facts, wrong.problems), 422
    return see("senders.show", sender_id=sender.id)


@blueprint.get("/<int:sender_id>")
@needs(*SEES)
def show(sender_id: int) -> str:
    return page(sender_id)


@blueprint.get("/<int:sender_id>/edit")
@needs("admin")
def edit(sender_id: int) -> str:
    return form(sender_id, SenderFacts.of(one(sender_id)))


@blueprint.post("/<int:sender_id>")
@needs("admin")
def change(sender_id: int) -> Response | tuple[str, int]:
    one(sender_id)
    facts = entered()
    try:
        with transaction() as session:
            senders.change(session, operator_id(), sender_id, facts, providers=shop().settings.providers)
    except SenderProblems as wrong:
        return form(sender_id, facts, wrong.problems), 422
    return see("senders.show", sender_id=sender_id)


@blueprint.post("/<int:sender_id>/pace")
@needs("admin")
def pace(sender_id: int) -> Response | tuple[str, int]:
    """How fast one recipient domain may get mail from this sender's provider; empty lifts the limit."""
    sender = one(sender_id)
    domain, a_minute = request.form.get("domain", "").strip(), request.form.get("a_minute", "").strip()
    try:
        wired = wire_domain(domain)
    except BadHeader:
        return page(sender_id, problems={"domain": "Enter a domain such as example.net."}), 422
    if a_minute and not (re.fullmatch(r"[0-9]{1,6}", a_minute) and 0 < int(a_minute) <= MOST_A_MINUTE):
        return page(sender_id, problems={"a_minute": "Enter a whole number of messages, or nothing."}), 422
    provider, rate = provider_of(sender) or abort(404), int(a_minute) / 60 if a_minute else None
    with transaction() as session:
        domains.allow(session, provider, wired, rate)
        told = {"domain": wired, "a_minute": int(a_minute) if a_minute else None}
        acts.record(session, operator_id(), "pace_domain", f"provider:{provider}", **told)
    return see("senders.show", sender_id=sender_id, _anchor="h-domains")


@blueprint.post("/<int:sender_id>/trial")
@needs("admin")
def trial(sender_id: int) -> Response:
    """Somebody has mended what was broken: try now, not when the while is over."""
    provider = provider_of(one(sender_id)) or abort(404)
    with transaction() as session:
        if circuits.try_now(session, provider):
            acts.record(session, operator_id(), "try_provider", f"provider:{provider}")
    return see("senders.show", sender_id=sender_id)


# -- what pages show -----------------------------------------------------------------------------------------


def page(sender_id: int, **more: object) -> str:
    sender = one(sender_id)
    provider = provider_of(sender)
    return render_template(
        "admin/sender.html",
        it=sender,
        provider=provider,
        standing=standing(provider),
        states=states_of(provider),
        purposes=purposes(),
        records=records(sender, provider),
        signed=signers(provider).of(from_domain(sender)) is not None,
        findings=check(sender, provider) if request.args.get("check") else None,
        may_change=may_change(),
        now=now(),
        **more,
    )


def form(sender_id: int | None, facts: SenderFacts, problems: dict[str, str] | None = None) -> str:
    stops = senders.sending_now(db(), sender_id) if sender_id is not None else []
    known = shop().settings.providers
    offered = [("", f"The installation’s own ({known[0]})" if known else "The installation’s own")]
    offered += [(name, name) for name in known]
    if facts.provider and facts.provider not in known:
        offered.append((facts.provider, f"{facts.provider} (the settings don’t have it)"))
    return render_template(
        "admin/sender-edit.html",
        sender_id=sender_id,
        it=facts,
        problems=problems or {},
        purposes=purposes(),
        offered=offered,
        stops=stops,
    )


def one(sender_id: int) -> SenderIdentity:
    return db().get(SenderIdentity, sender_id) or abort(404)


def entered() -> SenderFacts:
    """What the form says, nothing checked yet."""
    names = [name for name in SenderFacts.__dataclass_fields__ if name != "purposes"]
    return SenderFacts(
        **{name: request.form.get(name, "") for name in names}, purposes=tuple(request.form.getlist("purposes"))
    )


def may_change() -> bool:
    return bool(current_user.has_role("admin"))


def purposes() -> dict[str, str]:
    return {p.key: p.name for p in db().scalars(select(Purpose).order_by(Purpose.position))}


def provider_of(sender: SenderIdentity) -> str | None:
    """The provider that carries its mail; None where the settings have none at all."""
    return sender.provider or next(iter(shop().settings.providers), None)


def standing(provider: str | None) -> tuple[str, str, ProviderCircuit | ProviderRest | None]:
    """Sign, words and the row behind them: how a provider is doing."""
    if provider is None or provider not in shop().settings.providers:
        return "bad", "Not in the settings", None
    circuit, rest = db().get(ProviderCircuit, provider), db().get(ProviderRest, provider)
    told = circuits.look(db(), provider)
    if told.open > 0:
        return "warn", "Nobody is home; tried again soon", circuit
    if told.level > 0:
        return "warn", "Trying with a few messages", circuit
    if told.asked > 0:
        return "warn", "Asked us to wait", rest
    return "ok", "Works, as far as we know", None


def states_of(provider: str | None) -> list[DomainState]:
    """Domains that are slowed down, left alone or limited, those that wait first."""
    known = domains.known(db(), provider)[0] if provider else {}
    found = db().scalars(select(DomainState).where(DomainState.provider == provider, DomainState.domain.in_(known)))
    return sorted(found, key=lambda state: (-(state.until.timestamp() if state.until else 0), state.domain))


def records(sender: SenderIdentity, provider: str | None) -> list[published.Record]:
    return published.to_publish(
        from_domain(sender),
        signers(provider),
        return_domain=sender.return_domain or sender.list_domain,
        relay=relay_of(provider),
        inbound=urlsplit(shop().settings.public_url).hostname or "",
        signs_itself=signs_itself(provider),
    )


def check(sender: SenderIdentity, provider: str | None) -> list[published.Finding]:
    """Compare what DNS has with what is needed."""
    look_up = current_app.extensions.get(RESOLVER) or partial(ask_dns, seconds=LOOK_UP_SECONDS)
    if signs_itself(provider):
        return [published.check_policy(from_domain(sender), look_up)]
    back = sender.return_domain or sender.list_domain
    found = published.check(from_domain(sender), signers(provider), look_up, return_domain=back)
    return [*found, published.check_return(back, partial(look_up, kind="MX"))]


def from_domain(sender: SenderIdentity) -> str:
    try:
        return wire_domain(sender.from_address.rpartition("@")[2])
    except BadHeader:
        return sender.list_domain


def signers(provider: str | None) -> dkim.Signers:
    try:
        return dkim.load(() if signs_itself(provider) else shop().settings.dkim_keys)
    except InputProblem:
        return dkim.Signers()  # this process can't read them; workers say so when they start


def signs_itself(provider: str | None) -> bool:
    return (provider or "").partition("-")[0] == "sendgrid"


def relay_of(provider: str | None) -> str | None:
    """Name of the server that takes our mail, None for one on this machine. Never what else is in its address."""
    settings = shop().settings
    name = (provider or "").partition("-")[2]
    host = urlsplit((settings.smtp_urls.get(name) if name else settings.smtp_url) or "").hostname
    return None if host is None or is_loopback(host) else host
