"""Hand-over by SendGrid over real connections: faults, many connections, many people a request (checks 59 to 78)."""

from __future__ import annotations

import logging
import socket
import threading
import time

import pytest

from mailer.letters import Letter, Shared
from mailer.providers.base import Outcome
from mailer.providers.sendgrid import UNSENDABLE, SendGridProvider
from tests.integration.envelopes import Open, envelope
from tests.integration.smtp_double import certificate
from tests.sendgrid_double import KEY, SendGrid, serving

LONG, SHORT = 60.0, 1.0
"""D: short only where its end is waited for; elsewhere a busy machine has all the time it needs."""


@pytest.fixture
def account():
    return SendGrid()


@pytest.fixture
def host(account):
    with serving(account) as address:
        yield address


@pytest.fixture
def make(request):
    """Makes providers that are closed when the test is over."""

    def made(host, *, key=KEY, seconds=LONG, **options):
        provider = SendGridProvider(key, host=host, seconds=seconds, **options)
        request.addfinalizer(provider.close)
        return provider

    return made


@pytest.fixture
def provider(host, make):
    return make(host)


def one(provider, **changes):
    (receipt,) = provider.hand_over([envelope(**changes)], Open())
    return receipt


def letters(count, addresses="p{}@example.com"):
    shared = Shared("Dear #a#", "<p>Dear #a#</p>")
    head = b"From: Anaar <a@example.com>\r\nSubject: Hello\r\nList-Unsubscribe: <https://x.example/1>"
    return [envelope(addresses.format(n), head, letter=Letter(shared, {"#a#": f"Person {n}"})) for n in range(count)]


def outcomes(provider, envelopes, window=None):
    return [r.outcome for r in provider.hand_over(envelopes, window or Open())]


# -- one person a request ----------------------------------------------------------------------------------


def test_a_taken_message_is_known_by_their_name_for_it(provider):
    """Check 72: 202 has no body; the name is in a header."""
    receipt = one(provider)
    assert (receipt.outcome, receipt.code, receipt.provider_message_id) == (Outcome.TAKEN, "202", "m1")


def test_many_messages_go_over_a_few_kept_connections(provider, account):
    for _ in range(3):
        assert set(outcomes(provider, [envelope(f"p{n}@example.com") for n in range(50)])) == {Outcome.TAKEN}
    assert len(account.taken) == 150
    assert account.connections <= 8


def test_receipts_come_in_order_over_many_connections(provider, account):
    account.tell("p5@example.com", status=400)
    envelopes = [envelope(f"p{n}@example.com") for n in range(30)]
    receipts = list(provider.hand_over(envelopes, Open()))
    assert [r.delivery_id for r in receipts] == [e.delivery_id for e in envelopes]
    assert [n for n, r in enumerate(receipts) if r.outcome is Outcome.REFUSED] == [5]


def test_a_window_that_closes_stops_every_connection(provider, account):
    """Asked before each first byte, whichever connection it is on: exactly so many start."""
    told = outcomes(provider, [envelope(f"p{n}@example.com") for n in range(40)], Open(times=11))
    assert told.count(Outcome.TAKEN) == len(account.taken) == 11
    assert told.count(Outcome.NOT_STARTED) == 29


def test_a_connection_that_was_closed_while_it_rested_is_opened_anew(account, make):
    """Check 76 is about what was written; a connection found dead before that is renewed."""
    account.tell("a@example.com", headers={"Connection": "close"})
    with serving(account) as host:
        provider = make(host, connections=1)
        assert outcomes(provider, [envelope("a@example.com"), envelope("b@example.com")]) == [Outcome.TAKEN] * 2
    assert account.connections == 2


@pytest.mark.parametrize("how", ["reset", "hang", "truncate"])
def test_no_whole_answer_is_in_doubt_and_nothing_is_written_twice(make, host, account, how):
    """Check 76: SendGrid has no idempotency key."""
    account.tell("p@example.com", how=how, takes=True, body=b"x")
    provider = make(host, seconds=SHORT if how == "hang" else LONG)
    assert one(provider, recipient="p@example.com").outcome is Outcome.IN_DOUBT
    assert len(account.taken) == 1


def test_a_black_hole_and_an_answer_by_the_byte_end_in_time(account, host, make):
    """Check 77: one deadline over all of it; each byte would begin a socket's time-out anew."""
    provider = make(host, seconds=SHORT)
    account.tell("slow@example.com", how="trickle", body=b"x" * 1000, takes=True)
    account.tell("hung@example.com", how="hang", takes=True)
    began = time.monotonic()
    told = outcomes(provider, [envelope("slow@example.com"), envelope("hung@example.com")])
    assert time.monotonic() - began < LONG / 2
    assert told == [Outcome.IN_DOUBT] * 2


def test_the_package_itself_would_wait_for_ever():
    """Check 77: why its transport was replaced. A client as it comes has no time-out."""
    from sendgrid import SendGridAPIClient

    assert SendGridAPIClient("k").client.timeout is None


@pytest.mark.parametrize("status", [500, 502, 503, 504, 302, 200])
def test_an_answer_that_may_hide_a_taken_message_is_in_doubt(provider, account, status):
    account.tell("p@example.com", status=status)
    assert one(provider, recipient="p@example.com").outcome is Outcome.IN_DOUBT


def test_a_redirect_is_never_followed_with_the_key(account, provider):
    account.tell("p@example.com", status=307, headers={"Location": "http://127.0.0.1:1/"})
    one(provider, recipient="p@example.com")
    assert len(account.requests) == 1


def test_a_wrong_key_is_our_mistake_and_does_not_show(host, make):
    """Checks 74 and 78."""
    provider = make(host, key="SG.very-secret")
    receipt = one(provider)
    assert (receipt.outcome, receipt.code) == (Outcome.MISCONFIGURED, "401")
    assert "very-secret" not in repr(receipt) + repr(provider) + repr(vars(provider))


def test_a_413_of_a_proxy_is_a_refusal(provider, account):
    """Check 61: HTML, not JSON."""
    account.tell("p@example.com", status=413, body=b"<html><h1>413 Request Entity Too Large</h1></html>")
    receipt = one(provider, recipient="p@example.com")
    assert (receipt.outcome, receipt.code) == (Outcome.REFUSED, "413")


def test_what_breaks_their_rules_is_refused_here_without_a_byte(provider, account):
    receipt = one(provider, content=b"From: a@example.com\r\nSubject: \r\n\r\nHello\r\n")
    assert (receipt.outcome, receipt.code) == (Outcome.REFUSED, UNSENDABLE)
    assert account.requests == []


def test_nobody_home_is_not_taken_and_asked_once_not_for_everybody(make):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    provider = make(f"http://127.0.0.1:{port}", connections=1)
    receipts = list(provider.hand_over([envelope() for _ in range(5)], Open()))
    assert {r.outcome for r in receipts} == {Outcome.NOT_TAKEN}
    assert all("no connection" in r.detail for r in receipts)


def test_a_server_that_can_not_be_trusted_gets_nothing(account, tmp_path, make):
    """A certificate that nobody vouches for: the key is not shown to it."""
    server, trusting = certificate(tmp_path)
    with serving(account, tls=server) as host:
        assert one(make(host)).outcome is Outcome.NOT_TAKEN
        assert account.requests == []
        assert one(make(host, context=trusting)).outcome is Outcome.TAKEN


def test_after_a_429_nothing_is_written_until_it_is_over(provider, account):
    """Check 75: this provider's own rest; `mailer.rests` makes it everybody's."""
    account.tell("*", status=429, headers={"Retry-After": "30"})
    first, *_ = provider.hand_over([envelope("a@example.com")], Open())
    assert (first.outcome, first.code) == (Outcome.NOT_TAKEN, "429")
    assert 30 <= first.retry_after <= 37.5
    asked = len(account.requests)
    receipts = list(provider.hand_over([envelope() for _ in range(5)], Open()))
    assert {(r.outcome, r.code) for r in receipts} == {(Outcome.NOT_TAKEN, "429")}
    assert all(29 <= r.retry_after <= 37.5 for r in receipts)
    assert len(account.requests) == asked


def test_the_key_and_the_mail_are_in_no_log_even_at_debug(provider, caplog):
    """Check 78: the package prints both at DEBUG; our transport doesn't."""
    caplog.set_level(logging.DEBUG)
    for name in ("python_http_client", "python_http_client.client", "sendgrid"):
        caplog.set_level(logging.DEBUG, logger=name)
    one(provider)
    assert KEY not in caplog.text
    assert "example.com" not in caplog.text


def test_two_hand_overs_at_once_keep_out_of_each_others_way(provider, account):
    """A test mail from one thread while another sends."""
    told = []
    threads = [
        threading.Thread(target=lambda: told.extend(outcomes(provider, [envelope() for _ in range(20)])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == [Outcome.TAKEN] * 80


# -- many people a request ---------------------------------------------------------------------------------


def test_a_thousand_people_go_in_one_request_the_next_in_another(provider, account):
    """Check 59."""
    assert outcomes(provider, letters(1001)) == [Outcome.TAKEN] * 1001
    assert sorted(len(request.json["personalizations"]) for request in account.requests) == [1, 1000]


def test_one_address_twice_goes_in_two_requests(provider, account):
    """Check 60."""
    both = [*letters(2), *letters(1, "P{}@EXAMPLE.COM")]
    both[2] = envelope("P0@EXAMPLE.COM", both[2].content, letter=Letter(both[0].letter.shared, {"#a#": "x"}))
    assert outcomes(provider, both) == [Outcome.TAKEN] * 3
    assert sorted(len(request.json["personalizations"]) for request in account.requests) == [1, 2]


def test_messages_without_a_letter_go_alone_beside_those_with_one(provider, account):
    mixed = letters(3)
    mixed.insert(2, envelope("alone@example.com"))
    receipts = list(provider.hand_over(mixed, Open()))
    assert {r.delivery_id for r in receipts} == {e.delivery_id for e in mixed}
    assert len(receipts) == 4
    assert sorted(len(request.json["personalizations"]) for request in account.requests) == [1, 3]


def test_people_of_two_shapes_go_in_two_requests_however_they_are_mixed(provider, account):
    one, other = letters(3), letters(3, "q{}@example.com")
    mixed = [envelope for pair in zip(one, other, strict=True) for envelope in pair]
    assert outcomes(provider, mixed) == [Outcome.TAKEN] * 6
    told = sorted([p["to"][0]["email"][0] for p in request.json["personalizations"]] for request in account.requests)
    assert told == [["p"] * 3, ["q"] * 3]


def test_a_request_asks_the_window_once_and_counts_as_one_start(provider, account):
    window = Open(times=1)
    assert outcomes(provider, letters(10), window) == [Outcome.TAKEN] * 10
    assert outcomes(provider, letters(10), window) == [Outcome.NOT_STARTED] * 10
    assert len(account.requests) == 1


def without_a_subject(count, who):
    many = letters(count)
    return [
        envelope(one.recipient, one.content.replace(b"Hello", b" "), letter=one.letter) if place == who else one
        for place, one in enumerate(many)
    ]


@pytest.mark.parametrize("who", [0, 2])
def test_one_whose_message_cannot_be_written_takes_nobody_with_him(provider, account, who):
    """Check 68: an empty subject is refused here, whoever is the first in the request."""
    many = without_a_subject(4, who)
    receipts = list(provider.hand_over(many, Open()))
    assert account.requests == []
    expected = [Outcome.NOT_TAKEN] * 4
    expected[who] = Outcome.REFUSED
    assert [receipt.outcome for receipt in receipts] == expected
    assert receipts[who].code == UNSENDABLE
    assert set(outcomes(provider, [one for place, one in enumerate(many) if place != who])) == {Outcome.TAKEN}


def test_only_who_is_named_in_a_refusal_is_refused(provider, account):
    """The request is refused as a whole: the others were not taken and come again."""
    account.tell("p1@example.com", status=400, body=b'{"errors":[{"message":"no","field":"personalizations.1.to"}]}')
    assert outcomes(provider, letters(3)) == [Outcome.NOT_TAKEN, Outcome.REFUSED, Outcome.NOT_TAKEN]
    assert account.taken == []


def test_a_refusal_that_names_nobody_sends_the_next_ones_apart(provider, account):
    account.tell("p1@example.com", status=400, body=b'{"errors":[{"message":"no","field":"content"}]}')
    assert outcomes(provider, letters(3)) == [Outcome.NOT_TAKEN] * 3
    assert outcomes(provider, letters(3)) == [Outcome.TAKEN, Outcome.REFUSED, Outcome.TAKEN]


def test_an_unanswered_request_is_in_doubt_for_everybody_in_it(provider, account):
    account.tell("p1@example.com", how="reset", takes=True)
    assert outcomes(provider, letters(3)) == [Outcome.IN_DOUBT] * 3
