"""Letters go on to the helpline at least once, and nothing goes round. Checks 24 and 25; what is kept ends."""

from __future__ import annotations

from email import message_from_bytes
from email.policy import default

import pytest

from config.settings import Settings
from mailer.bounces.sorting import Kind, sort
from mailer.feedback import retention
from mailer.feedback.helpline import MOST_OF_ALL, MOST_OF_ONE, Helpline
from mailer.message import delivery_of
from tests.feedbacks import Feedback
from tests.integration.smtp_double import Mailbox, listening
from tests.sendgrid_double import KEY, SendGrid, serving
from workers.errands import Errands
from workers.post import ProviderPost

CARE = "care@shop.example.com"
BASE = "https://mail.example.com"


class Box:
    """A post that keeps what it is given; `problem` is what it answers."""

    def __init__(self):
        self.sent, self.problem, self.closed = [], "", 0

    def send(self, recipient, sent_from, domain, content):
        self.sent.append((recipient, sent_from, domain, content))
        return self.problem

    def close(self):
        self.closed += 1

    def mail(self, place=-1):
        return message_from_bytes(self.sent[place][3], policy=default)


@pytest.fixture
def feedback(committed, keys) -> Feedback:
    return Feedback(committed, keys)


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def helpline(feedback, box) -> Helpline:
    return Helpline(feedback.engine, CARE, BASE, box)


def write(feedback, body="Is it large?", subject="Sizes", sender="asha@example.com", headers=""):
    raw = f"From: Asha <{sender}>\nTo: hello@mail.example.com\nSubject: {subject}\n{headers}\n{body}\n"
    feedback.mail(raw.encode("utf-8", "surrogateescape"))


def kept(feedback):
    return feedback.query("SELECT * FROM kept_mails ORDER BY id DESC LIMIT 1")[0]


def test_a_letter_goes_on_once_and_can_be_answered(feedback, helpline, box):
    feedback.mailed(address="asha@example.com")
    write(feedback)
    assert (helpline.forward_waiting(), helpline.forward_waiting()) == (1, 0)
    [(recipient, sent_from, domain, _)] = box.sent
    mail = box.mail()
    assert (recipient, mail["Reply-To"], mail["Subject"]) == (CARE, "asha@example.com", "A customer wrote: Sizes")
    assert mail["From"].addresses[0].domain == domain
    text = mail.get_body().get_content()
    assert "> Is it large?" in text
    assert f"{BASE}/people/{feedback.customer}" in text
    attached = next(mail.iter_attachments())
    assert b"Is it large?" in attached.get_payload(decode=True)
    assert kept(feedback).forwarded_at is not None
    # What comes back for it names no delivery: nobody is counted for it.
    assert feedback.query("SELECT 1 FROM deliveries WHERE id = :named", named=delivery_of(sent_from)) == []


def test_it_says_that_a_machine_sent_it_and_comes_back_as_nothing(feedback, helpline, box):
    """Checks 24 and 25, RFC 3834: no robot answers it, and our own door drops it."""
    feedback.mailed()
    write(feedback)
    helpline.forward_waiting()
    assert box.mail()["Auto-Submitted"] == "auto-generated"
    assert box.mail()["X-Auto-Response-Suppress"] == "All"
    assert sort(box.sent[0][3]).kind is Kind.AUTOMATIC
    feedback.mail(box.sent[0][3])
    assert feedback.one("SELECT count(*) FROM kept_mails") == 1
    assert helpline.forward_waiting() == 0


def test_what_was_not_taken_is_tried_again_and_never_given_up(feedback, helpline, box):
    """At least once: twice is a nuisance, lost is a customer who was not heard."""
    feedback.mailed()
    write(feedback)
    box.problem = "in doubt"
    for tries in range(1, 4):
        assert helpline.forward_waiting() == 0
        assert (kept(feedback).tries, kept(feedback).problem, kept(feedback).forwarded_at) == (tries, "in doubt", None)
        assert helpline.forward_waiting() == 0, "not before its time"
        feedback.run("UPDATE kept_mails SET not_before = clock_timestamp()")
    box.problem = ""
    assert helpline.forward_waiting() == 1
    assert len(box.sent) == 4
    assert box.closed > 0


@pytest.mark.parametrize(
    ("sender", "headers"),
    [
        (CARE, ""),
        (CARE.upper(), ""),
        ("somebody@mail.example.com", ""),
        ("asha@example.com", "X-Askfirst-Letter: 7\n"),
    ],
    ids=["the helpline", "the helpline, shouting", "an address of ours", "what went on already"],
)
def test_what_could_go_round_stays_here_for_a_person(feedback, helpline, box, sender, headers):
    feedback.mailed()
    feedback.run("UPDATE senders SET list_domain = 'mail.example.com'")
    write(feedback, sender=sender, headers=headers)
    assert feedback.one("SELECT kind FROM kept_mails") == "letter"
    assert helpline.forward_waiting() == 0
    assert box.sent == []
    assert kept(feedback).problem.startswith("Not sent on")


@pytest.mark.parametrize("headers", ["Auto-Submitted: auto-replied\n", "Precedence: bulk\n", "List-Id: <x.example>\n"])
def test_answers_of_robots_are_not_even_kept(feedback, helpline, box, headers):
    """Check 24."""
    feedback.mailed()
    write(feedback, headers=headers)
    assert helpline.forward_waiting() == 0
    assert box.sent == []


@pytest.mark.parametrize(
    ("subject", "sender"),
    [
        ("=?utf-8?q?a=0D=0ABcc:_all=40example.com?=", "asha@example.com"),
        ("नमस्ते 👋 " + "x" * 900, "asha@example.com"),
        ("\x1b[31m\u202egnp", '"a\\"b"@example.com'),
        ("", "not an address"),
        ("x", "दुकान@example.com"),
    ],
)
def test_nothing_that_a_stranger_writes_becomes_a_header_of_ours(feedback, helpline, box, subject, sender):
    feedback.mailed()
    write(feedback, subject=subject, sender=sender)
    assert helpline.forward_waiting() == 1
    mail = box.mail()
    assert (mail["To"], mail["Bcc"], len(mail.get_all("Subject"))) == (CARE, None, 1)
    assert all(len(line) <= 998 for line in box.sent[0][3].split(b"\r\n"))
    assert b"\n" not in box.sent[0][3].replace(b"\r\n", b"")
    assert box.sent[0][3].isascii()


def test_one_sender_cannot_flood_the_helpline(feedback, helpline, box):
    feedback.mailed()
    for number in range(MOST_OF_ONE + 2):
        write(feedback, body=f"letter {number}")
    write(feedback, sender="bala@example.com")
    assert helpline.forward_waiting() == MOST_OF_ONE + 1
    assert MOST_OF_ALL > MOST_OF_ONE
    waiting = feedback.query("SELECT problem FROM kept_mails WHERE forwarded_at IS NULL")
    assert [row.problem for row in waiting] == ["Too many letters of this sender today."] * 2


def test_what_somebody_handled_already_stays(feedback, helpline, box):
    feedback.mailed()
    write(feedback)
    feedback.run("UPDATE kept_mails SET handled_at = clock_timestamp(), handled_as = 'done'")
    assert helpline.forward_waiting() == 0


def test_only_letters_go_on(feedback, helpline, box):
    feedback.mailed()
    feedback.mail(b"\x00\xff\x00")
    feedback.mail(feedback.dsn(to="hello@mail.example.com"))
    assert feedback.one("SELECT count(*) FROM kept_mails") == 2
    assert helpline.forward_waiting() == 0


# -- the end of what is kept ------------------------------------------------------------------------------------

OLD = "clock_timestamp() - interval '{} days'"


def aged(feedback, days):
    """One of each kind, this many days old."""
    feedback.mailed()
    feedback.sendgrid(feedback.event("deferred", response="421 4.7.28 unsolicited mail"))
    feedback.sendgrid(feedback.event("bounce", type="blocked", status="4.2.2", reason="mailbox full"))
    write(feedback)
    then = OLD.format(days)
    feedback.run(f"UPDATE provider_events SET received_at = {then}")
    feedback.run(f"UPDATE kept_mails SET received_at = {then}")
    feedback.run(f"UPDATE soft_bounces SET at = {then}")
    feedback.run(f"UPDATE alerts SET last_at = {then}")


TABLES = ("provider_events", "kept_mails", "soft_bounces", "alerts")


@pytest.mark.parametrize(
    ("days", "handled", "left"),
    [
        (89, True, {"provider_events", "kept_mails", "soft_bounces", "alerts"}),
        (91, True, {"kept_mails", "alerts"}),
        (181, True, {"alerts"}),
        (181, False, {"kept_mails", "alerts"}),
        (366, False, {"alerts"}),
        (401, False, set()),
    ],
)
def test_what_came_back_is_forgotten_in_time(feedback, days, handled, left):
    """What is too old goes, by the clock; deliveries keep what became of them."""
    aged(feedback, days)
    if handled:
        feedback.run("UPDATE kept_mails SET handled_at = clock_timestamp(), handled_as = 'done'")
    Errands(feedback.engine).run()
    assert {table for table in TABLES if feedback.query(f"SELECT 1 FROM {table}")} == left
    assert feedback.row().bounced_at is not None


def test_it_is_forgotten_in_batches(feedback):
    aged(feedback, 500)
    with feedback.sessions() as session, session.begin():
        assert retention.purge(session, most=1) == 4
    Errands(feedback.engine).run()
    assert all(feedback.query(f"SELECT 1 FROM {table}") == [] for table in TABLES)


# -- over the wire ---------------------------------------------------------------------------------------------


def settings_with(**given):
    return Settings.from_env(given)


def test_a_letter_goes_by_smtp_as_it_is(feedback):
    """From letter to mailbox: the whole way, through the installation's own provider."""
    mailbox = Mailbox()
    with listening(mailbox) as port:
        post = ProviderPost(settings_with(SMTP_URL=f"smtp+plain://127.0.0.1:{port}"))
        feedback.mailed(address="asha@example.com")
        write(feedback, body="नमस्ते, is it large?")
        assert Helpline(feedback.engine, CARE, BASE, post).forward_waiting() == 1
    [(recipient, sent_from, content)] = mailbox.taken
    assert (recipient, sent_from[:2]) == (CARE, "b-")
    assert "> नमस्ते, is it large?" in message_from_bytes(content, policy=default).get_body().get_content()


def test_a_letter_that_the_server_refuses_waits(feedback):
    mailbox = Mailbox()
    mailbox.tell("RCPT", CARE, "550 5.1.1 no such helpline")
    with listening(mailbox) as port:
        post = ProviderPost(settings_with(SMTP_URL=f"smtp+plain://127.0.0.1:{port}"))
        feedback.mailed()
        write(feedback)
        assert Helpline(feedback.engine, CARE, BASE, post).forward_waiting() == 0
    assert "550 5.1.1" in kept(feedback).problem
    assert feedback.query("SELECT 1 FROM suppressions") == [], "the helpline is no customer"


def test_a_letter_goes_by_sendgrid_as_text(feedback):
    account = SendGrid()
    with serving(account) as host:
        post = ProviderPost(settings_with(SENDGRID_API_KEY=KEY, SENDGRID_HOST=host))
        feedback.mailed(address="asha@example.com")
        write(feedback)
        assert Helpline(feedback.engine, CARE, BASE, post).forward_waiting() == 1
    [(recipient, request, _)] = account.taken
    assert recipient == CARE
    assert request.json["reply_to"]["email"] == "asha@example.com"
    assert "> Is it large?" in request.json["content"][0]["value"]
