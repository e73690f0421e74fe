"""What a SendGrid request may hold (checks 58 to 73, 79 to 81), and what its answers mean (74, 75)."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from mailer.letters import Letter, Shared
from mailer.message import Marketing, Sender, build
from mailer.providers import sendgrid_message, sendgrid_replies
from mailer.providers.base import Outcome
from mailer.providers.sendgrid_message import Unsendable
from tests.integration.envelopes import envelope
from tests.sendgrid_double import Request, problem_of
from tests.sendgrid_shape import misfits

NOW = 1_790_000_000.0
HTML = "<p>नमस्ते, अनार से दीपावली की शुभकामनाएँ</p>\n<p>.</p>\n<p>=_= " + "x" * 200 + "</p>\n"
SENDER = Sender("अनार Home, Pune", "hello@उदाहरण.भारत", "mail.example.com", reply_to="care@example.com")


def message(recipient="priya@example.com", subject="Diwali 🪔 दीपावली", **changes):
    given = {
        "sender": SENDER,
        "recipient": recipient,
        "subject": subject,
        "html": HTML,
        "text": "Happy Diwali,\nfrom Anaar\n",
        "date": datetime(2026, 11, 8, tzinfo=UTC),
        "attempt_id": uuid4(),
        "marketing": Marketing(7, "festive", "त्योहार", "https://mail.example.com/u/v1.01.body.tag"),
    }
    return envelope(recipient, build(**(given | changes)))


def asked(envelope, **options):
    return json.loads(sendgrid_message.single(envelope, **options))


def letters(count, **values):
    shared = Shared("Dear #a#", "<p>Dear #a#</p>")
    return [
        envelope(f"p{n}@example.com", head(f"Hello {n}"), letter=Letter(shared, {"#a#": f"Person {n}", **values}))
        for n in range(count)
    ]


def head(subject):
    return f"From: Anaar <a@example.com>\r\nSubject: {subject}\r\nList-Unsubscribe: <https://x.example/1>".encode()


def refused(head_or_content, **changes):
    with pytest.raises(Unsendable) as caught:
        sendgrid_message.single(envelope(content=head_or_content, **changes))
    return str(caught.value)


def test_a_message_arrives_as_it_was_built():
    """Check 67: text first. Letters of every script, dots and line ends survive the way there and back."""
    request = asked(message())
    assert request["content"] == [
        {"type": "text/plain", "value": "Happy Diwali,\nfrom Anaar\n"},
        {"type": "text/html", "value": HTML},
    ]
    assert request["subject"] == "Diwali 🪔 दीपावली"
    assert request["from"] == {"email": "hello@xn--p1b6ci4b4b3a.xn--h2brj9c", "name": "अनार Home, Pune"}
    assert request["reply_to"] == {"email": "care@example.com"}
    assert request["personalizations"][0]["to"] == [{"email": "priya@example.com"}]


def test_what_we_ask_keeps_to_every_documented_limit():
    """Check 58: the double checks them all, and is checked itself in test_the_double_is_strict."""
    body = sendgrid_message.single(message())
    assert problem_of(Request("POST", "/v3/mail/send", {}, body)) is None


def test_both_unsubscribe_headers_go_along_unchanged_and_theirs_stay_out():
    """Checks 1, 2, 65, 80: our header, none of their tracking, no group of theirs."""
    request = asked(message())
    headers = request["personalizations"][0]["headers"]
    assert headers["List-Unsubscribe"] == "<https://mail.example.com/u/v1.01.body.tag>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert headers["Feedback-ID"] == "7:festive:marketing:askfirst"
    assert not {name.lower() for name in headers} & sendgrid_message.RESERVED
    assert request["tracking_settings"]["subscription_tracking"] == {"enable": False}
    assert request["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert "asm" not in request


def test_a_future_time_and_a_bypass_are_never_asked_for():
    """Checks 70, 71 and 79."""
    request = asked(message())
    assert not {"send_at", "batch_id", "mail_settings"} & set(request)
    assert "send_at" not in request["personalizations"][0]


def test_ids_come_back_with_every_event_and_say_nothing_about_anybody():
    """Checks 62 and 63: strings, opaque, and no word of the person in arguments or categories."""
    sent = message("priya.sharma@example.com")
    request = asked(sent)
    arguments = request["personalizations"][0]["custom_args"]
    assert arguments == {"delivery_id": sent.delivery_id.hex, "attempt_id": sent.attempt_id.hex}
    kept = json.dumps([arguments, request["categories"]])
    assert not [word for word in ("priya", "sharma", "@", "example", "Diwali") if word in kept]
    assert len(json.dumps(arguments)) < 10_000


def test_categories_are_a_number_and_a_key_never_a_name():
    """Check 64: a campaign's name may be in Hindi; ASCII only."""
    assert asked(message())["categories"] == ["campaign-7", "festive"]
    with pytest.raises(Unsendable):
        sendgrid_message.checked_categories(["दीपावली"])
    with pytest.raises(Unsendable):
        sendgrid_message.checked_categories([f"c{n}" for n in range(11)])
    with pytest.raises(Unsendable):
        sendgrid_message.checked_categories(["c" * 256])


@pytest.mark.parametrize("name", sorted(sendgrid_message.RESERVED))
def test_a_reserved_header_is_refused_here_in_any_case(name):
    """Check 65."""
    for spelling in (name, name.upper(), name.title()):
        with pytest.raises(Unsendable):
            list(sendgrid_message.checked_headers({spelling: "x"}))


@pytest.mark.parametrize(
    "headers", [{"X Y": "a"}, {"X-Ä": "a"}, {"X": "a\r\nBcc: b@example.com"}, {"X": "ä"}, {"X": "a", "x": "b"}]
)
def test_a_header_that_is_none_or_hides_another_is_refused(headers):
    """Checks 29 and 65."""
    with pytest.raises(Unsendable):
        list(sendgrid_message.checked_headers(headers))


def test_a_signature_of_ours_stays_behind_they_sign_themselves():
    sent = message()
    signed = envelope(content=b"DKIM-Signature: v=1; a=rsa-sha256; b=x\r\n" + sent.content)
    assert "DKIM-Signature" not in asked(signed)["personalizations"][0]["headers"]


def test_an_empty_subject_or_a_message_without_words_is_refused():
    """Checks 67 and 68."""
    assert "subject" in refused(b"From: a@example.com\r\nSubject: \r\n\r\nHello\r\n")
    assert "says something" in refused(b"From: a@example.com\r\nSubject: x\r\n\r\n")


def test_a_subject_can_not_smuggle_a_header():
    """Check 29: JSON has no rule against line breaks, so the check is ours."""
    assert "line break" in refused(b"From: a@example.com\r\nSubject: =?utf-8?q?x=0D=0ABcc:_b?=\r\n\r\nHello\r\n")


def test_a_sender_in_other_letters_is_refused():
    """Check 66: Unicode is not supported in from."""
    assert "sender" in refused("From: अनार@example.com\r\nSubject: x\r\n\r\nHello\r\n".encode())


def test_a_recipient_in_other_letters_is_refused_alone_and_before_it_is_written():
    """Check 33: SendGrid takes ASCII before the @ only. Our own words, so no bounce of that person's."""
    wide = message("प्रिया@example.com")
    with pytest.raises(Unsendable, match="ASCII"):
        sendgrid_message.single(wide)
    assert asked(message("priya@उदाहरण.भारत"))["personalizations"][0]["to"] == [
        {"email": "priya@xn--p1b6ci4b4b3a.xn--h2brj9c"}
    ]


@pytest.mark.parametrize("sandbox", [False, True])
def test_every_request_has_the_published_names_and_kinds(sandbox):
    """Check 58, against the published description and not only against what we thought of."""
    for body in (
        sendgrid_message.single(message(), sandbox=sandbox),
        sendgrid_message.single(letters(1)[0], sandbox=sandbox),
        sendgrid_message.several(letters(3), sandbox=sandbox),
    ):
        assert list(misfits(json.loads(body))) == []


def test_a_message_of_30_mb_is_refused_before_anything_is_written():
    """Check 61."""
    assert "30 MB" in refused(b"From: a@example.com\r\nSubject: x\r\n\r\n" + b"x" * 30_000_000)


def test_sandbox_is_a_real_boolean():
    """Check 73."""
    assert asked(message(), sandbox=True)["mail_settings"] == {"sandbox_mode": {"enable": True}}


def test_a_thousand_people_share_a_request_and_no_more():
    """Check 59."""
    body = sendgrid_message.several(letters(1000))
    assert problem_of(Request("POST", "/v3/mail/send", {}, body)) is None
    assert len(json.loads(body)["personalizations"]) == 1000
    with pytest.raises(Unsendable):
        sendgrid_message.several(letters(1001))


def test_people_who_share_a_request_keep_their_own_words_headers_and_ids():
    """Check 69: substitutions are strings; the content is there once."""
    sent = letters(2)
    request = json.loads(sendgrid_message.several(sent))
    assert [part["value"] for part in request["content"]] == ["Dear #a#", "<p>Dear #a#</p>"]
    first, second = request["personalizations"]
    assert (first["substitutions"], second["substitutions"]) == ({"#a#": "Person 0"}, {"#a#": "Person 1"})
    assert (first["subject"], second["subject"]) == ("Hello 0", "Hello 1")
    assert first["custom_args"] != second["custom_args"]
    assert first["headers"] == {"List-Unsubscribe": "<https://x.example/1>"}


def test_an_address_in_two_spellings_is_one_address():
    """Check 60."""
    one, two = letters(2)
    twice = envelope("P0@EXAMPLE.com", two.content, letter=two.letter)
    with pytest.raises(Unsendable):
        sendgrid_message.several([one, twice])


def test_too_much_to_substitute_goes_out_as_a_whole_message():
    """Check 69: 10,000 bytes and 150 substitutions a person."""
    much = letters(1, **{"#b#": "x" * 10_000})[0]
    many = letters(1, **{f"#m{n}#": "x" for n in range(150)})[0]
    for sent in (much, many):
        assert not sendgrid_message.fits(sent)
        assert asked(sent)["content"][1]["value"] == "<p>Dear Person 0</p>"


def test_the_double_is_strict():
    """A double that takes everything would prove nothing: each rule, broken once."""
    good = json.loads(sendgrid_message.single(message()))
    person = good["personalizations"][0]
    broken = [
        good | {"personalizations": []},
        good | {"personalizations": [person] * 2},
        good | {"personalizations": [person | {"to": [{"email": "nobody"}]}]},
        good | {"personalizations": [person | {"headers": {"Reply-To": "a"}}]},
        good | {"personalizations": [person | {"custom_args": {}}]},
        good | {"personalizations": [person | {"custom_args": {"n": 1}}]},
        good | {"personalizations": [person | {"substitutions": {"#a#": "x" * 10_001}}]},
        good | {"from": {"email": "अनार@example.com"}},
        good | {"subject": " "},
        good | {"content": list(reversed(good["content"]))},
        good | {"content": [{"type": "text/plain", "value": ""}]},
        good | {"categories": ["दीपावली"]},
        good | {"categories": ["a", "a"]},
        good | {"send_at": 1},
        good | {"mail_settings": {"bypass_list_management": {"enable": True}}},
        good | {"custom": 1},
        good | {"reply_to": {"email": "अनार@example.com"}},
        good | {"tracking_settings": {"open_tracking": {"enabled": False}}},
        good | {"tracking_settings": {"open_tracking": {"enable": "false"}}},
        good | {"tracking_settings": {"opens": {"enable": False}}},
        good | {"mail_settings": {"sandbox_mode": {"enable": 1}}},
        good | {"subject": 7},
        good | {"content": {"type": "text/plain", "value": "x"}},
        good | {"personalizations": [person | {"to": [{"email": "p@example.com", "name": "Rao, P"}]}]},
        good | {"personalizations": [person | {"to": [{"email": "प्रिया@example.com"}]}]},
        good | {"personalizations": [person | {"to": [{"mail": "p@example.com"}]}]},
        good | {"personalizations": [person | {"headers": {"X-A": 1}}]},
    ]
    told = [problem_of(Request("POST", "/v3/mail/send", {}, json.dumps(one).encode())) for one in broken]
    assert [t.status if t else None for t in told] == [400] * len(broken)


# -- answers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status, outcome",
    [
        (202, Outcome.TAKEN),
        *((status, Outcome.REFUSED) for status in (400, 413)),
        *((status, Outcome.MISCONFIGURED) for status in (401, 403, 404, 405, 406, 415, 451)),
        (429, Outcome.NOT_TAKEN),
        *((status, Outcome.IN_DOUBT) for status in (200, 201, 204, 302, 418, 500, 502, 503, 504)),
    ],
)
def test_each_number_means_one_thing(status, outcome):
    """Checks 72 and 74: 200 is what the sandbox says; a number we don't know is in doubt."""
    assert sendgrid_replies.outcome_of(status) is outcome


def test_the_sandbox_takes_with_200():
    """Check 72."""
    assert sendgrid_replies.outcome_of(200, sandbox=True) is Outcome.TAKEN


@pytest.mark.parametrize(
    "headers, seconds",
    [
        ({"retry-after": "7"}, 7),
        ({"x-ratelimit-reset": str(int(NOW) + 20)}, 20),
        ({"x-ratelimit-reset": "20"}, 20),  # seconds that are left, as some of its pages have it
        ({"retry-after": "7", "x-ratelimit-reset": str(int(NOW) + 20)}, 20),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:10 GMT"}, 50),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "0", "x-ratelimit-reset": str(int(NOW) + 20)}, 20),
        ({"x-ratelimit-reset": str(int(NOW) - 20)}, sendgrid_replies.SHORTEST_REST),
        ({"x-ratelimit-reset": str(int(NOW) + 86_400)}, sendgrid_replies.LONGEST_REST),
        ({"x-ratelimit-reset": "soon", "retry-after": "later"}, sendgrid_replies.USUAL_REST),
        ({"x-ratelimit-reset": "nan"}, sendgrid_replies.USUAL_REST),
        ({"x-ratelimit-reset": "-inf"}, sendgrid_replies.USUAL_REST),
        ({}, sendgrid_replies.USUAL_REST),
    ],
)
def test_how_long_to_stay_away(headers, seconds):
    """Check 75: the later of both headers, within bounds; either may be missing or nonsense."""
    assert sendgrid_replies.rest(headers, NOW, jitter=0) == seconds


def test_not_everybody_comes_back_at_once():
    """Check 75."""
    waits = {sendgrid_replies.rest({"retry-after": "8"}, NOW) for _ in range(20)}
    assert len(waits) > 1
    assert min(waits) >= 8
    assert max(waits) <= 10


def test_the_reason_is_kept_without_the_address():
    body = b'{"errors": [{"message": "priya@example.com is no address", "field": "personalizations.0.to.0.email"}]}'
    assert sendgrid_replies.words_of(body) == "personalizations.0.to.0.email (address) is no address"
    assert sendgrid_replies.blamed(body) == {0}


@pytest.mark.parametrize("body", [b"", b"\xff\x00", b"<html>413</html>", b"[1]", b'{"errors": 3}', b'{"errors": [3]}'])
def test_a_body_that_is_no_answer_of_theirs_breaks_nothing(body):
    """Check 61: a proxy answers in HTML."""
    assert sendgrid_replies.blamed(body) == set()
    assert "\x00" not in sendgrid_replies.words_of(body)
