"""Find a person, see what they agreed to and what was sent and why, and stop their mail."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request
from flask_security import current_user
from werkzeug.wrappers import Response

from mailer import optout
from mailer.errors import Unavailable
from mailer.models import Customer
from mailer.web import findings, person
from mailer.web.chrome import answer_crash, answer_problem
from mailer.web.edge import db, now, see, transaction
from mailer.web.shop import shop
from mailer.web.signin import needs, operator_id

people = Blueprint("people", __name__, url_prefix="/people")
people.register_error_handler(403, answer_problem)
people.register_error_handler(404, answer_problem)
people.register_error_handler(500, answer_crash)


SEES = ("author", "approver", "helpline", "admin")
"""Whoever works here in any role. An account without one sees nobody."""
REVEALS = ("helpline", "admin")


@people.get("/")
@needs(*SEES)
def search() -> str | Response:
    """By address, order number or reference: exactly, never by a part, so that nobody browses people."""
    asked = request.args.get("q", "").strip()
    found = findings.find(db(), shop().keys, asked) if asked else []
    if len(found) == 1:
        return see("people.show", customer_id=found[0].id)
    return render_template("admin/people.html", asked=asked, found=found)


@people.get("/<int:customer_id>")
@needs(*SEES)
def show(customer_id: int) -> str:
    return page(customer_id)


@people.post("/<int:customer_id>/reveal")
@needs(*REVEALS)
def reveal(customer_id: int) -> str | tuple[str, int]:
    """The address in full, once, for a reason that is kept with the name of who asked."""
    why = request.form.get("why", "").strip()
    if not why:
        return page(customer_id, why_missing=True), 422
    with transaction() as session:
        address = person.reveal(session, customer_id, operator_id(), why)
    return page(customer_id, address=address)


@people.post("/<int:customer_id>/stop")
@needs(*SEES)
def stop(customer_id: int) -> str | tuple[str, int]:
    """Less mail is always allowed: any operator, at once, no check of identity."""
    try:
        answer = optout.stop_person(shop().engine, customer_id=customer_id, scope="all", source="helpline")
    except Unavailable:
        return page(customer_id, not_stopped=True), 503
    with transaction() as session:
        person.note_act(session, operator_id(), "stop_person", customer_id)
    return page(customer_id, stopped=answer)


def page(customer_id: int, **more: object) -> str:
    session = db()
    customer = session.get(Customer, customer_id) or abort(404)
    shown = person.whole(session, customer, request.args.get("about"), now())
    may_reveal = any(current_user.has_role(role) for role in REVEALS)
    return render_template("admin/person.html", it=shown, may_reveal=may_reveal, **more)
