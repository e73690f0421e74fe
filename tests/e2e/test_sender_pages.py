"""Senders' pages in a browser: fit for everybody with something wrong on them, which is when they are read."""

from __future__ import annotations

from mailer import circuits, domains
from mailer.domains import Heard
from tests import factories
from tests.desks import Staff
from tests.e2e.test_admin_pages import look, sign_in


def test_senders_pages_are_fit_for_everybody(page, served):
    staff = Staff(served.sessions)
    staff.operator("meera", "admin")
    with served.sessions() as session, session.begin():
        sender = factories.sender(session).id
        heard = Heard()
        heard.refused("421 4.7.0", "RCPT: temporarily deferred due to unexpected volume")
        domains.note(session, "smtp", {"busy.example": heard}, 0)
        for _ in range(circuits.FAILURES):
            circuits.failed(session, "smtp", "CONNECT: refused", 0)
    sign_in(page, served, "meera")
    for path in ("/senders/", f"/senders/{sender}", f"/senders/{sender}/edit"):
        page.goto(served.url + path)
        look(page)
    with served.sessions() as session, session.begin():
        circuits.answered(session, "smtp")
