"""Checks 1 to 3, 13, 18, 21 to 23, 26 to 34, 36 to 38 of the standards, on the raw bytes of a message."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.utils import parseaddr
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.message import BadHeader, Marketing, Sender, build, delivery_of, return_path, wire_address
from mailer.wire_names import PLAIN, by_the_rules

INDIA = timezone(timedelta(hours=5, minutes=30))
SENDER = Sender(name="Anaar Home", address="news@mail.anaar.example", domain="mail.anaar.example")
YES = Marketing(
    campaign_id=7,
    purpose="festive",
    purpose_name="festivals and seasons",
    unsubscribe_url="https://mail.anaar.example/u/v1.1.abc.def",
)

TOKEN = f"v1.01.{'b' * 48}.{'t' * 24}"


def message(**changes):
    given = {
        "sender": SENDER,
        "recipient": "priya@example.com",
        "subject": "Happy Diwali, Priya",
        "html": "<p>Light</p>",
        "text": "Light",
        "date": datetime(2026, 11, 2, 9, 30, tzinfo=INDIA),
        "attempt_id": uuid4(),
        "marketing": YES,
    }
    return build(**(given | changes))


def raw_header(content: bytes, name: str) -> list[bytes]:
    """Every header of that name, with its folds, from the raw bytes."""
    head = content.split(b"\r\n\r\n", 1)[0] + b"\r\n"
    return re.findall(rb"^" + name.encode() + rb": ((?:.*\r\n)(?:[ \t].*\r\n)*)", head, re.MULTILINE | re.IGNORECASE)


def parsed(content: bytes):
    return message_from_bytes(content, policy=policy.default)


@pytest.mark.parametrize("length", [20, 60, 200, 850])
def test_one_click_headers_stand_whole_and_once_however_long_the_token(length):
    """Checks 1, 2 and 3: one https address, unfolded, never an encoded word (finding A)."""
    url = "https://mail.anaar.example/u/" + "t" * length
    content = message(marketing=replace(YES, unsubscribe_url=url))
    assert raw_header(content, "List-Unsubscribe") == [f"<{url}>\r\n".encode()]
    assert raw_header(content, "List-Unsubscribe-Post") == [b"List-Unsubscribe=One-Click\r\n"]
    assert all(b"=?" not in line for line in content.split(b"\r\n") if line.startswith(b"List-"))


def test_a_mail_address_to_unsubscribe_comes_after_the_https_one():
    """Check 1: a mailto may be added."""
    content = message(marketing=replace(YES, unsubscribe_mailto="stop-abc@mail.anaar.example"))
    (value,) = raw_header(content, "List-Unsubscribe")
    assert re.findall(rb"<https://[^>\s]+>", value) == [b"<https://mail.anaar.example/u/v1.1.abc.def>"]
    assert value.endswith(b"\r\n <mailto:stop-abc@mail.anaar.example?subject=unsubscribe>\r\n")


@pytest.mark.parametrize(
    "url",
    [
        "http://mail.anaar.example/u/x",
        "https://mail.anaar.example/u/x y",
        "https://mail.anaar.example/u/x>,<https://evil.example",
        "https://mail.anaar.example/u/\r\nBcc: all@example.com",
        "https://मेल.example/u/x",
        "https://mail.anaar.example/" + "x" * 1000,
        "",
    ],
)
def test_an_unsubscribe_link_that_is_not_one_plain_https_address_is_refused(url):
    """Check 1."""
    with pytest.raises(BadHeader):
        message(marketing=replace(YES, unsubscribe_url=url))


def test_no_link_header_tells_the_address_it_is_about():
    """Check 13."""
    for url in ("https://mail.anaar.example/u/Priya@Example.com", "https://mail.anaar.example/u?e=priya%40example.com"):
        with pytest.raises(BadHeader):
            message(marketing=replace(YES, unsubscribe_url=url))
    assert b"priya" not in raw_header(message(), "List-Unsubscribe")[0]


def test_a_notice_has_no_unsubscribe_header_that_would_stop_nothing():
    """Check 18; and robots are told not to answer (RFC 3834)."""
    content = message(marketing=None)
    assert b"list-" not in content.lower()
    assert b"Feedback-ID" not in content
    assert raw_header(content, "Auto-Submitted") == [b"auto-generated\r\n"]


def test_a_purpose_is_one_list_for_ever():
    """Check 21: stable, human-readable, in our domain."""
    first, second = message(), message(marketing=replace(YES, campaign_id=8))
    assert raw_header(first, "List-Id") == raw_header(second, "List-Id")
    assert raw_header(first, "List-Id") == [b"festivals and seasons <festive.mail.anaar.example>\r\n"]
    assert re.fullmatch(rb"[^<>]{0,200}<[a-z0-9.-]{3,255}>\r\n", raw_header(first, "List-Id")[0])


def test_a_list_named_in_hindi_is_told_by_its_key():
    """Checks 3 and 21: no encoded word in any List- header."""
    content = message(marketing=replace(YES, purpose_name="त्योहार और मौसम"))
    assert raw_header(content, "List-Id") == [b"<festive.mail.anaar.example>\r\n"]


def test_feedback_id_is_the_same_for_everybody_in_a_campaign():
    """Check 22: at most four fields, a constant account of 5 to 15 characters, nothing about a person."""
    one, other = message(), message(recipient="ravi@example.com")
    assert raw_header(one, "Feedback-ID") == raw_header(other, "Feedback-ID") == [b"7:festive:marketing:askfirst\r\n"]
    with pytest.raises(BadHeader):
        message(sender=replace(SENDER, account="ask"))


def test_complaint_reports_are_invited_only_where_somebody_reads_them():
    """Check 23: exactly one CFBL-Address, with an id that is signed, in letters that RFC 9477 allows."""
    listening = replace(SENDER, feedback_address="fbl@mail.anaar.example")
    signed = replace(YES, complaint_token=TOKEN)
    for silent in (message(), message(sender=listening), message(marketing=signed)):
        assert b"CFBL" not in silent
    content = message(sender=listening, marketing=signed)
    assert raw_header(content, "CFBL-Address") == [b"fbl@mail.anaar.example; report=arf\r\n"]
    (value,) = raw_header(content, "CFBL-Feedback-ID")
    assert "".join(value.decode().split()).replace(":", ".") == TOKEN
    assert b"." not in value
    assert all(len(line) <= 78 for line in value.split(b"\r\n"))
    assert b"CFBL" not in message(sender=listening, marketing=None)


def test_nothing_relies_on_precedence():
    """Check 26."""
    assert raw_header(message(), "Precedence") == []


def test_one_of_each_header_that_a_message_must_have():
    """Checks 27 and 37: one recipient, one of each, a date with its zone."""
    content = message()
    for name in ("From", "To", "Date", "Message-ID", "Subject", "MIME-Version"):
        assert len(raw_header(content, name)) == 1, name
    assert raw_header(content, "Cc") == raw_header(content, "Bcc") == []
    assert raw_header(content, "To") == [b"priya@example.com\r\n"]
    assert raw_header(content, "Date") == [b"Mon, 02 Nov 2026 09:30:00 +0530\r\n"]
    with pytest.raises(BadHeader):
        message(date=datetime(2026, 11, 2))


def test_message_ids_are_unique_and_in_our_domain():
    """Check 27."""
    seen = {raw_header(message(), "Message-ID")[0] for _ in range(1000)}
    assert len(seen) == 1000
    assert all(re.fullmatch(rb"<[0-9a-f]{32}@mail\.anaar\.example>\r\n", one) for one in seen)


@pytest.mark.parametrize(
    "html", ["x" * 40_000, "दीया " * 9000, "a\nb\rc\r\nd", "", ".\n..\n.x", "é" * 1000 + " \n\t\n"]
)
def test_lines_are_short_and_end_in_crlf_whatever_the_content(html):
    """Check 28."""
    content = message(html=html, subject="शुभ दीपावली " * 20, text=html)
    assert content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r")
    lines = content.split(b"\r\n")
    assert max(map(len, lines)) <= 998
    assert all(len(line) <= 78 for line in lines if not line.startswith(b"List-Unsubscribe: "))
    assert not any(line.startswith(b".") and len(line) == 1 for line in lines)
    body = parsed(content).get_body(("html",)).get_content()
    assert body == re.sub(r"\r\n?|\n", "\r\n", html) + "\r\n"


CONTROLS = ["\r\nBcc: all@example.com", "\n", "\r", "\0", "\x0b", "\x1f", "\x7f", "\x85", "\x9f", "\u2028", "\u2029"]


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_character_in_any_header_value_is_refused(control):
    """Check 29, ASVS 1.3.11."""
    bad = f"Hello{control}there"
    for changes in (
        {"subject": bad},
        {"recipient": f"pri{control}ya@example.com"},
        {"recipient": f"priya@exam{control}ple.com"},
        {"sender": replace(SENDER, name=bad)},
        {"sender": replace(SENDER, address=f"news{control}@anaar.example")},
        {"sender": replace(SENDER, reply_to=f"care{control}@anaar.example")},
        {"sender": replace(SENDER, domain=f"anaar{control}.example")},
        {"sender": replace(SENDER, account=f"askf{control}")},
        {
            "sender": replace(SENDER, feedback_address=f"fbl{control}@anaar.example"),
            "marketing": replace(YES, complaint_token=TOKEN),
        },
        {
            "sender": replace(SENDER, feedback_address="fbl@anaar.example"),
            "marketing": replace(YES, complaint_token=f"v1{control}.x"),
        },
        {"marketing": replace(YES, purpose=f"fest{control}")},
        {"marketing": replace(YES, purpose_name=bad)},
        {"marketing": replace(YES, unsubscribe_url=f"https://anaar.example/{control}")},
        {"marketing": replace(YES, unsubscribe_mailto=f"stop{control}@anaar.example")},
    ):
        with pytest.raises(BadHeader):
            message(**changes)


@pytest.mark.parametrize("empty", ["", " ", "\u00a0"])
def test_a_message_without_a_subject_is_refused(empty):
    """Check 68 speaks of it too: a merge field that came out empty."""
    with pytest.raises(BadHeader):
        message(subject=empty)


WORDS = [
    "दिवाली की शुभकामनाएँ, आपके घर में रोशनी और खुशियाँ भरी रहें",
    "இனிய தீபாவளி நல்வாழ்த்துக்கள், உங்கள் இல்லத்தில் ஒளி நிறையட்டும்",
    "Diwali 🪔🪔🪔 " * 12,
    "Four things from your wishlist cost less this week, and here is a rather long line about all of them",
    "=?utf-8?q?fake?= encoded word",
    "double  spaces   stay",
    "w" * 300,
    " leading and trailing ",
]


@pytest.mark.parametrize("words", WORDS)
def test_a_subject_comes_back_as_it_was_and_each_encoded_word_stands_alone(words):
    """Check 30: at most 75 characters each, none split inside a character."""
    (raw,) = raw_header(message(subject=words), "Subject")
    assert str(make_header(decode_header(raw.decode().replace("\r\n", "").removesuffix("\r\n")))) == words
    for word in re.findall(r"=\?utf-8\?[bq]\?[^?]*\?=", raw.decode()):
        assert len(word) <= 75
        assert "\ufffd" not in str(make_header(decode_header(word)))


@given(st.text(min_size=1, max_size=200).filter(lambda s: s.strip()))
def test_any_subject_is_refused_or_comes_back_as_it_was(words):
    """Checks 29 and 30."""
    try:
        content = message(subject=words)
    except BadHeader:
        return
    assert (
        parsed(content)["Subject"] == words
        or str(make_header(decode_header(raw_header(content, "Subject")[0].decode().replace("\r\n", "")))) == words
    )
    assert len(raw_header(content, "To")) == 1


@pytest.mark.parametrize(
    "name",
    ["Sharma, Ravi", 'The "Home" Shop', "a;b<c>@d", "back\\slash", "Anaar & Co.", "अनार होम", "Été, Ltd", "n" * 90],
)
def test_a_display_name_comes_back_as_it_was_with_one_address(name):
    """Check 31: quoted where it has a special character; check 30 for other scripts."""
    content = message(sender=replace(SENDER, name=name))
    raw = raw_header(content, "From")[0].decode()
    assert [a.addr_spec for a in parsed(content)["From"].addresses] == ["news@mail.anaar.example"]
    display, address = parseaddr(raw.replace("\r\n", ""))
    assert (str(make_header(decode_header(display))), address) == (name, "news@mail.anaar.example")
    assert all(len(line) <= 78 for line in raw.split("\r\n"))


def test_a_domain_in_another_script_goes_out_in_a_labels():
    """Check 32: in headers and on the envelope."""
    assert wire_address("priya@उदाहरण.भारत") == "priya@xn--p1b6ci4b4b3a.xn--h2brj9c"
    content = message(recipient="priya@उदाहरण.भारत", sender=replace(SENDER, address="news@अनार.example"))
    assert raw_header(content, "To") == [b"priya@xn--p1b6ci4b4b3a.xn--h2brj9c\r\n"]
    assert parseaddr(raw_header(content, "From")[0].decode())[1].isascii()


def test_a_mailbox_name_in_another_script_is_written_as_it_is():
    """Check 33: raw UTF-8, which needs SMTPUTF8; nothing else in the message is beyond ASCII."""
    content = message(recipient="प्रिया@example.com")
    assert raw_header(content, "To") == ["प्रिया@example.com\r\n".encode()]
    assert content.replace("प्रिया".encode(), b"").isascii()
    assert message().isascii()


@pytest.mark.parametrize(
    "address",
    [
        "priya", "@example.com", "priya@", "pri ya@example.com", "priya@exa mple.com", "<priya@example.com>", "a@b@c",
        "a,b@example.com", "priya@-example.com", "priya@example..com", ".priya@example.com", "l" * 65 + "@example.com",
        "priya@" + "d" * 64 + ".com", "p@" + ".".join(["d" * 60] * 5) + ".com", "priya@example.com\u00a0",
        "p\u2003@x.com",
    ],
)  # fmt: skip
def test_what_is_not_an_address_never_reaches_an_envelope(address):
    """Check 34."""
    with pytest.raises(BadHeader):
        wire_address(address)


def test_the_domain_is_lower_case_and_the_mailbox_name_untouched():
    """Check 34: only the domain is without case."""
    assert wire_address("Priya.Rao+Shop@EXAMPLE.com") == "Priya.Rao+Shop@example.com"


@given(st.from_regex(PLAIN, fullmatch=True) | st.from_regex(r"[a.+@\n-]{1,4}l{0,66}@[a.\n-]{1,4}d{0,66}\.c{1,190}\n?"))
def test_a_plain_address_is_what_the_rules_leave_as_it_is(address):
    if PLAIN.fullmatch(address):
        assert by_the_rules(address) == address


def test_text_comes_first_and_html_second():
    """Check 36."""
    found = parsed(message(html="<p>रोशनी</p>", text="रोशनी"))
    assert found.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in found.iter_parts()] == ["text/plain", "text/html"]
    assert [part.get_content().strip() for part in found.iter_parts()] == ["रोशनी", "<p>रोशनी</p>"]
    assert all(part["Content-Transfer-Encoding"] == "quoted-printable" for part in found.iter_parts())


def test_a_part_can_not_be_ended_by_its_content():
    """Check 36: whatever a person's name is."""
    found = parsed(message(html="<p>--=_askfirst--</p>\n--=_askfirst--\n", text="--=_askfirst\nContent-Type: x\n\n"))
    assert len(list(found.iter_parts())) == 2


def test_a_return_path_names_the_delivery_and_nothing_else():
    """Check 38: opaque, in our domain, safe from servers that change case."""
    delivery = uuid4()
    path = return_path(delivery, "mail.anaar.example")
    assert re.fullmatch(r"b-[a-z2-7]{26}@mail\.anaar\.example", path)
    assert delivery_of(path) == delivery_of(f"<{path.upper()}>") == delivery
    assert return_path(uuid4(), "mail.anaar.example") != path


@pytest.mark.parametrize("other", ["", "priya@example.com", "b-short@x.example", "b-" + "1" * 26 + "@x.example", "<>"])
def test_another_return_path_names_no_delivery(other):
    """Check 46: a bounce that isn't ours settles nothing."""
    assert delivery_of(other) is None


@given(st.uuids())
def test_every_return_path_leads_back(delivery: UUID):
    """Check 38."""
    path = return_path(delivery, "mail.anaar.example")
    assert delivery_of(path) == delivery
    assert path == f"b-{base64.b32encode(delivery.bytes).decode().rstrip('=').lower()}@mail.anaar.example"


def test_the_same_message_is_the_same_bytes():
    """What was approved and rendered can be compared later."""
    ids = {"attempt_id": uuid4(), "date": datetime.now(UTC)}
    assert message(**ids) == message(**ids)
