"""What goes over the wire unlooked at keeps the promise that is in its type (ASVS 1.3.11)."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st

from mailer import quoted
from mailer.dkim import Signer
from mailer.message import Marketing, Sender, build
from mailer.wire_text import WireText

SENDER = Sender("Anaar.", "hello@mail.example.com", "mail.example.com")
SIGNER = Signer("example.com", "2026a", rsa.generate_private_key(65537, 2048))
PIECES = st.lists(st.sampled_from(["\r", "\n", "\r\n", ".", "..", "a", " ", "=", "दी", "x" * 74, "<p>"])).map("".join)


def message(subject, html, text):
    return build(
        sender=SENDER,
        recipient="priya@example.com",
        subject=subject,
        html=html,
        text=text,
        date=datetime(2026, 11, 2, tzinfo=UTC),
        attempt_id=uuid4(),
        marketing=Marketing(7, "festive", ". festivals", "https://mail.example.com/u/x"),
    )


def keeps_its_promise(content):
    assert isinstance(content, WireText)
    lines = content.split(b"\r\n")
    assert lines[-1] == b""
    assert not any(line.startswith(b".") or b"\r" in line or b"\n" in line for line in lines)


@given(words=st.text("ab. ", min_size=1).map(lambda s: f".{s}x"), html=PIECES, text=PIECES)
@example(words=".x", html=".", text=".\r\n.\r\n")
def test_a_message_as_built_needs_no_stuffing_whatever_people_wrote(words, html, text):
    keeps_its_promise(message(words, html, text))
    keeps_its_promise(message(words, [quoted.encode(html), quoted.encode(text)], quoted.whole(text)))


@given(text=PIECES)
def test_signing_it_changes_nothing_about_that(text):
    keeps_its_promise(SIGNER.sign(message("Hello", text, text), 1_790_000_000))
