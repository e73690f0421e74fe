"""Mails that a person must read: letters, and what could not be read or proved. Shown as text, never as a page.

What is decided here only ever means less mail, and is written down with the name of who decided.
"""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement
from werkzeug.wrappers import Response

from mailer import acts, optout
from mailer.errors import AskfirstError, InputProblem
from mailer.feedback import deciding
from mailer.models import KeptMail, Operator
from mailer.web import findings
from mailer.web.chrome import answer_crash, answer_problem
from mailer.web.edge import db, see, transaction
from mailer.web.shop import shop
from mailer.web.signin import needs, operator_id

kept = Blueprint("kept", __name__, url_prefix="/kept")
kept.register_error_handler(400, answer_problem)
kept.register_error_handler(403, answer_problem)
kept.register_error_handler(404, answer_problem)
kept.register_error_handler(500, answer_crash)

READS = ("helpline", "admin")
PAGE = 50
SHOWN = 20_000
"""Characters of a raw mail that a page shows."""
LARGEST_ID = 2**63 - 1


@kept.get("/")
@needs(*READS)
def index() -> str:
    """What waits for a person, oldest first; or everything, newest first."""
    everything = request.args.get("all") == "1"
    before = request.args.get("before", type=int)
    wanted = select(KeptMail).limit(PAGE)
    if everything:
        wanted = wanted.order_by(KeptMail.id.desc())
        wanted = wanted.where(KeptMail.id < min(before, LARGEST_ID)) if before else wanted
    else:
        wanted = wanted.where(waits()).order_by(KeptMail.id)
    mails = db().scalars(wanted).all()
    waiting = db().scalar(select(func.count()).select_from(KeptMail).where(waits()))
    return render_template("admin/kept.html", mails=mails, everything=everything, waiting=waiting, page_size=PAGE)


@kept.get("/<int:mail_id>")
@needs(*READS)
def show(mail_id: int) -> str:
    return page(mail_id)


@kept.post("/<int:mail_id>/person")
@needs(*READS)
def assign(mail_id: int) -> str | Response | tuple[str, int]:
    """Say whose it is: found exactly, like on the page People."""
    found = findings.find(db(), shop().keys, request.form.get("q", "").strip())
    if len(found) != 1:
        many = "Several people have that. Use an order number or a reference."
        return page(mail_id, problem=many if found else "Nobody here has that."), 422
    try:
        with transaction() as session:
            deciding.assign(session, mail_id, found[0].id)
            acts.record(session, operator_id(), "kept_mail_person", f"customer:{found[0].id}", mail=mail_id)
    except AskfirstError:
        abort(404)
    return see("kept.show", mail_id=mail_id)


@kept.post("/<int:mail_id>/decision")
@needs(*READS)
def decide(mail_id: int) -> str | Response | tuple[str, int]:
    """Dealt with; or a no; or an address that is gone."""
    decision = request.form.get("decision", "")
    if decision not in deciding.DECISIONS:
        abort(400)
    try:
        carry_out(mail_id, decision)
    except AskfirstError as problem:
        db().rollback()
        return page(mail_id, problem=str(problem)), 422
    return see("kept.show", mail_id=mail_id)


def carry_out(mail_id: int, decision: str) -> None:
    about = deciding.about(db(), mail_id)
    db().rollback()  # the stop has transactions of its own, and must not wait for what this one holds
    if decision == deciding.OPT_OUT:
        stop(about)
    with transaction() as session:
        if decision == deciding.BOUNCE:
            deciding.call_gone(session, about)
        deciding.handle(session, mail_id, operator_id(), decision)
        subject = f"customer:{about.customer_id}" if about.customer_id else f"kept_mail:{mail_id}"
        acts.record(session, operator_id(), f"kept_mail_{decision}", subject, mail=mail_id)


def stop(about: deciding.About) -> None:
    """The person where we know them, else whoever has the address it came from."""
    if about.customer_id is not None:
        optout.stop_person(shop().engine, customer_id=about.customer_id, scope="all", source="helpline")
    elif about.sender:
        optout.stop_address(shop().engine, shop().keys, address=about.sender, source="helpline")
    else:
        raise InputProblem("Say first whom this mail is about: then we know whom to leave alone.")


def waits() -> ColumnElement[bool]:
    """Nobody has dealt with it, and the helpline doesn't have it."""
    return and_(KeptMail.handled_at.is_(None), or_(KeptMail.kind != "letter", KeptMail.forwarded_at.is_(None)))


def page(mail_id: int, **more: object) -> str:
    session: Session = db()
    mail = session.get(KeptMail, mail_id) if mail_id <= LARGEST_ID else None
    if mail is None:
        abort(404)
    raw = mail.raw[:SHOWN].decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    headers, _, body = raw.partition("\n\n")
    by = session.get(Operator, mail.handled_by) if mail.handled_by else None
    return render_template(
        "admin/kept-mail.html", it=mail, headers=headers, body=body, cut=len(mail.raw) > SHOWN, by=by, **more
    )
