"""Senders' pages in a browser: fit for everybody with something wrong on them, which is when they are read."""

from __future__ import annotations

from mailer import circuits, domains
from mailer.domains import Heard
from tests import factories
from tests.desks import Staff
from tests.e2e.looking import look
from tests.e2e.test_admin_pages import sign_in

BROKEN_WORDS = """() => {
  const broken = []
  const walk = document.createTreeWalker(document.querySelector('main'), NodeFilter.SHOW_TEXT)
  while (walk.nextNode()) {
    for (const word of walk.currentNode.data.matchAll(/[\\w.@]+/g)) {
      const range = document.createRange()
      range.setStart(walk.currentNode, word.index)
      range.setEnd(walk.currentNode, word.index + word[0].length)
      const lines = new Set([...range.getClientRects()].map(one => Math.round(one.top)))
      if (lines.size > 1) broken.push(word[0])
    }
  }
  return broken
}"""
"""Words that go on in the next line, at the width that was looked at last: 1280, where the column is narrow."""


def test_senders_pages_are_fit_for_everybody(page, served):
    staff = Staff(served.sessions)
    staff.operator("meera", "admin")
    with served.sessions() as session, session.begin():
        made = factories.sender(session)
        made.from_address = "festive-offers@newsletters.mail.anaar-home.example.com"
        made.reply_to = "hello.and.welcome@anaar-home.example.com"
        sender = made.id
        heard = Heard()
        heard.refused("421 4.7.0", "RCPT: temporarily deferred due to unexpected volume")
        domains.note(session, "smtp", {"busy.example": heard}, 0)
        for _ in range(circuits.FAILURES):
            circuits.failed(session, "smtp", "CONNECT: refused", 0)
    sign_in(page, served, "meera")
    for path in ("/senders/", f"/senders/{sender}", f"/senders/{sender}/edit", "/limits"):
        page.goto(served.url + path)
        look(page)
        assert page.evaluate(BROKEN_WORDS) == [], path
    with served.sessions() as session, session.begin():
        circuits.answered(session, "smtp")
