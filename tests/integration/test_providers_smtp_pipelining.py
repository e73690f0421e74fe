"""SMTP pipelining (RFC 2920): every fault at every stage, in groups and step by step, over one connection and many."""

from __future__ import annotations

import contextlib
import time
from collections import Counter

import pytest

from mailer.providers.base import Outcome
from mailer.providers.smtp import SmtpProvider
from mailer.wire_text import WireText
from tests.integration.envelopes import CONTENT, Open
from tests.integration.smtp_double import Mailbox, accepting, certificate, listening
from tests.integration.smtp_faults import DROP, SILENCE, TAKE_AND_DROP, faulty, named

FAULTS = {
    "4xx": b"451 4.3.0 not now\r\n",
    "5xx": b"550 5.1.1 never\r\n",
    "421": b"421 4.3.2 closing\r\n",
    "drop": DROP,
    "silence": SILENCE,
    "garbage": b"\xff\xfe what?\r\n",
    "beside the point": b"333 what next?\r\n",
    "without an end": b"x" * 20_000,
}
LATER, NEVER, OURS, UNKNOWN = Outcome.NOT_TAKEN, Outcome.REFUSED, Outcome.MISCONFIGURED, Outcome.IN_DOUBT
MEANING = {
    "MAIL": {"5xx": OURS},
    "RCPT": {"5xx": NEVER},
    "DATA": {"5xx": NEVER},
    "DOT": {"5xx": NEVER}
    | dict.fromkeys(["drop", "silence", "garbage", "beside the point", "without an end"], UNKNOWN),
}
LONG, SHORT = 60.0, 1.0
"""D: short only where its end is waited for; elsewhere a busy machine has all the time it needs."""


@pytest.fixture
def provider_of():
    """Make providers that are closed when the test is over."""
    made = []

    def make(server, *, seconds=LONG, connections=1):
        made.append(SmtpProvider(f"smtp+plain://127.0.0.1:{server.port}", seconds=seconds, connections=connections))
        return made[-1]

    yield make
    for provider in made:
        provider.close()


def hand_over(provider, envelopes, window=None):
    """What became of each, by name."""
    receipts = list(provider.hand_over(envelopes, window or Open()))
    assert Counter(r.delivery_id for r in receipts) == Counter(e.delivery_id for e in envelopes)
    by_id = {receipt.delivery_id: receipt for receipt in receipts}
    return {e.recipient.partition("@")[0]: by_id[e.delivery_id].outcome for e in envelopes}


def agrees(server, told):
    """What a receipt says is what the world did."""
    taken = Counter(name for name, _ in server.taken)
    assert set(taken.values()) <= {1}
    for name, outcome in told.items():
        if outcome is not UNKNOWN:
            assert (name in taken) == (outcome is Outcome.TAKEN), name


# -- the outcome table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("pipelining", [True, False], ids=["pipelined", "step by step"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", MEANING)
def test_a_fault_means_what_its_stage_makes_it_and_harms_no_other_message(provider_of, stage, fault, pipelining):
    """The table of docs/sending.md. Before and behind the odd one, messages go their way, over a new connection."""
    silent = fault == "silence"
    with faulty({("odd", stage): FAULTS[fault]}, pipelining=pipelining) as server:
        provider = provider_of(server, seconds=SHORT if silent else LONG)
        told = hand_over(provider, named("a", "b", "odd", "c", "d"))
        agrees(server, told)
    assert told["odd"] is MEANING[stage].get(fault, LATER)
    assert (told["a"], told["b"]) == (Outcome.TAKEN, Outcome.TAKEN)
    assert (told["c"], told["d"]) == ((LATER, LATER) if silent else (Outcome.TAKEN, Outcome.TAKEN))


@pytest.mark.parametrize("stage", MEANING)
def test_a_silent_connection_holds_up_only_its_own_messages(provider_of, stage):
    with faulty({("odd", stage): SILENCE}) as server:
        provider = provider_of(server, seconds=SHORT, connections=4)
        told = hand_over(provider, named("odd", *"abcdefgh"))
        agrees(server, told)
    assert told.pop("odd") is MEANING[stage].get("silence", LATER)
    assert set(told.values()) == {Outcome.TAKEN}


def test_what_was_taken_and_not_told_is_in_doubt(provider_of):
    with faulty({("odd", "DOT"): TAKE_AND_DROP}) as server:
        told = hand_over(provider_of(server), named("a", "b", "odd", "c"))
        assert told == {"a": Outcome.TAKEN, "b": Outcome.TAKEN, "odd": UNKNOWN, "c": Outcome.TAKEN}
        assert [name for name, _ in server.taken] == ["a", "b", "odd", "c"]


# -- groups of commands --------------------------------------------------------------------------------


def test_the_end_of_a_message_and_the_beginning_of_the_next_go_in_one_write(provider_of):
    with faulty() as server:
        assert set(hand_over(provider_of(server), named(*"abcdef")).values()) == {Outcome.TAKEN}
        together = [piece for piece in server.pieces if b".\r\nMAIL FROM" in piece]
    assert together
    assert all(piece.endswith(b"DATA\r\n") for piece in together)  # content is never before its 354 (RFC 2920 3.1)


def test_a_server_that_offers_no_pipelining_is_spoken_to_step_by_step(provider_of):
    with faulty(pipelining=False) as server:
        assert set(hand_over(provider_of(server), named(*"abc")).values()) == {Outcome.TAKEN}
        commands = [piece for piece in server.pieces if piece.startswith((b"MAIL", b"RCPT", b"DATA"))]
    assert len(commands) == 9
    assert all(piece.count(b"\r\n") == 1 for piece in commands)


def test_a_slow_server_gets_no_message_begun_that_it_would_find_long_after(provider_of):
    """Behind a dot that is answered late, a message would wait unread, perhaps beyond its window."""

    def slowly(link):
        time.sleep(0.15)
        link.sendall(b"250 ok\r\n")

    slow = {(name, "DOT"): slowly for name in "abcd"}
    with faulty(slow) as server:
        assert set(hand_over(provider_of(server), named(*"abcd")).values()) == {Outcome.TAKEN}
        assert not any(b".\r\nMAIL FROM" in piece for piece in server.pieces)


def test_a_refused_recipient_whose_content_is_asked_for_gets_only_the_dot(provider_of):
    """RFC 2920 section 3.1: the server may answer DATA with 354 though no recipient is left."""
    with faulty({("odd", "RCPT"): b"550 5.1.1 never\r\n"}, lax=True) as server:
        told = hand_over(provider_of(server), named("a", "b", "odd", "c"))
        agrees(server, told)
        assert told["odd"] is NEVER
        assert told["c"] is Outcome.TAKEN
        assert server.connections == 1
    assert b"".join(server.pieces).count(CONTENT[:30]) == 3


def test_a_refused_sender_whose_content_is_asked_for_gets_not_even_the_dot(provider_of):
    """A dot would make it an empty mail to somebody."""
    odd = {("odd", "MAIL"): b"550 5.7.1 not you\r\n", ("odd", "RCPT"): b"250 ok\r\n"}
    with faulty(odd, lax=True) as server:
        told = hand_over(provider_of(server), named("a", "b", "odd", "c"))
        agrees(server, told)
    assert told["odd"] is OURS
    assert told["c"] is Outcome.TAKEN
    assert server.connections == 2


def test_after_a_refusal_the_next_message_begins_afresh(provider_of):
    """RFC 5321 section 4.1.1.5: a transaction that was left open is ended by RSET."""
    with faulty({("odd", "RCPT"): b"550 5.1.1 never\r\n"}) as server:
        hand_over(provider_of(server), named("a", "odd", "c"))
        said = b"".join(server.pieces)
        assert said.count(b"RSET\r\n") == 1
        assert said.index(b"RSET") > said.index(b"MAIL FROM:<odd@")
        assert server.connections == 1


@pytest.mark.parametrize("content", [b"Subject: x\r\n\r\n.\r\n..\r\n.hidden\r\nend", b".", b"", b"\r\n.\r\n"])
def test_dots_arrive_whatever_the_content(provider_of, content):
    with faulty() as server:
        assert hand_over(provider_of(server), named("a", content=content)) == {"a": Outcome.TAKEN}
        ((_, arrived),) = server.taken
    unstuffed = (b"\r\n" + arrived).replace(b"\r\n.", b"\r\n")[2:]
    assert unstuffed == content.removesuffix(b"\r\n")


def test_what_is_made_for_the_wire_goes_as_it_is(provider_of):
    content = WireText(CONTENT.replace(b"\r\n.", b"\r\n=2E"))
    with faulty() as server:
        assert hand_over(provider_of(server), named("a", content=content)) == {"a": Outcome.TAKEN}
        assert server.taken == [("a", bytes(content)[:-2])]


# -- the window ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("connections", [1, 3])
@pytest.mark.parametrize("pipelining", [True, False])
def test_of_ten_messages_only_those_leave_for_which_the_window_was_open(provider_of, pipelining, connections):
    window = Open(times=3)
    with faulty(pipelining=pipelining) as server:
        told = hand_over(provider_of(server, connections=connections), named(*"abcdefghij"), window)
        agrees(server, told)
        assert len(server.begun) == 3
    assert Counter(told.values()) == {Outcome.TAKEN: 3, Outcome.NOT_STARTED: 7}
    assert window.asked == 4


@pytest.mark.parametrize("room, size", [(None, 15_000_000), (4_096, 7_200)], ids=["unwritten", "in our kernel"])
def test_a_server_that_stops_reading_gets_no_dot_and_nothing_is_in_doubt(provider_of, room, size):
    """And nothing of the next message either: when it reads on, after the window, it finds half a content."""
    stuck = {("odd", "DATA"): lambda link: (link.sendall(b"354 go\r\n"), server.released.wait(LONG))}
    with faulty(room=room) as server:
        server.faults.update(stuck)
        told = hand_over(
            provider_of(server, seconds=SHORT), named("odd", "c", content=WireText(b"x" * 78 + b"\r\n") * (size // 80))
        )
        server.released.set()
        assert server.begun == ["odd"]
    assert told == {"odd": LATER, "c": LATER}


class Narrow:
    """A wire that accepts so many bytes of its next write behind a dot, and then none for a moment."""

    def __init__(self, wire, room):
        self._wire, self._room = wire, room

    def __getattr__(self, name):
        return getattr(self._wire, name)

    def write(self, data):
        if not bytes(data[:3]).startswith(b".\r\n"[: len(data)]) or self._room is None:
            return self._wire.write(data)
        room, self._room = self._room, None
        return self._wire.write(data[:room]) if room else 0


@pytest.mark.parametrize("room", [0, 1, 3, 4, 20])
def test_what_waits_in_our_own_buffer_does_not_leave_after_the_window(provider_of, room):
    """The next message has begun only if its own first byte was accepted; else the window is asked for it anew."""
    window = Open(times=2)
    with faulty() as server:
        provider = provider_of(server)
        hand_over(provider, named("a", "b"))
        line = provider._lines[0]
        line._wire, line._prompt = Narrow(line._wire, room), True
        told = hand_over(provider, named("c", "d", "e"), window)
        agrees(server, told)
        begun = room > len(b".\r\n")
        assert told["c"] is Outcome.TAKEN
        assert told["d"] is (Outcome.TAKEN if begun else Outcome.NOT_STARTED)
        assert told["e"] is Outcome.NOT_STARTED
        assert ("d" in server.begun) == begun
    assert window.asked == 3


# -- several connections, kept -------------------------------------------------------------------------


@pytest.mark.parametrize("pipelining", [True, False])
def test_many_connections_take_every_message_once(provider_of, pipelining):
    names = [f"p{n}" for n in range(120)]
    with faulty(pipelining=pipelining) as server:
        provider = provider_of(server, connections=4)
        for start in range(0, 120, 40):
            told = hand_over(provider, named(*names[start : start + 40]))
            assert set(told.values()) == {Outcome.TAKEN}
        assert server.connections == 4
        assert sorted(name for name, _ in server.taken) == sorted(names)


def test_one_message_needs_one_connection(provider_of):
    with faulty() as server:
        hand_over(provider_of(server, connections=8), named("a"))
        assert server.connections == 1


def test_connections_that_the_server_left_while_they_rested_are_renewed_without_loss(provider_of):
    with faulty() as server:
        provider = provider_of(server, connections=3)
        window = Open()
        hand_over(provider, named(*"abcdef"))
        for link in server._links:
            link.shutdown(2)
        assert set(hand_over(provider, named(*"ghijkl"), window).values()) == {Outcome.TAKEN}
        assert sorted(name for name, _ in server.taken) == list("abcdefghijkl")


def test_a_connection_closed_after_a_number_of_messages_costs_none(provider_of):
    """421 to MAIL behind a dot, and again on each new connection: "enough messages on this connection"."""
    with faulty() as server:
        server.faults[("d", "MAIL")] = b"421 4.7.0 enough\r\n"
        provider = provider_of(server)
        window = Open()
        receipts = provider.hand_over(named(*"abcdefg"), window)
        first = next(receipts)
        assert first.outcome is Outcome.TAKEN
        outcomes = [first.outcome, *(r.outcome for r in receipts)]
    assert Counter(outcomes) == {Outcome.TAKEN: 6, LATER: 1}  # d was told twice, on a connection of its own at last
    assert window.asked == 8


def test_a_server_that_loses_every_connection_is_left_alone_after_a_few(provider_of):
    every = {(name, "MAIL"): DROP for name in "abcdefghijklmnop"}
    with faulty(every) as server:
        told = hand_over(provider_of(server, connections=2), named(*"abcdefghijklmnop"))
        assert set(told.values()) == {LATER}
        assert server.connections <= 6


# -- hostile servers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "DOT"])
@pytest.mark.parametrize("words", [b"250 ok\r\n" * 50_000, b"250-and\r\n" * 50_000, b"250-" + b"y" * 900_000])
def test_a_server_that_never_stops_talking_is_left(provider_of, stage, words):
    def flood(link):
        with contextlib.suppress(OSError):
            link.sendall(words)

    started = time.monotonic()
    with faulty({("odd", stage): flood}) as server:
        told = hand_over(provider_of(server), named("odd", "a"))
        agrees(server, {"a": told["a"]})
    assert time.monotonic() - started < LONG / 2
    assert told["a"] is Outcome.TAKEN
    # A first answer to the dot that is a yes is a yes, whatever follows.
    allowed = {UNKNOWN, Outcome.TAKEN} if stage == "DOT" else {LATER}
    assert told["odd"] in allowed


def test_an_answer_before_its_question_is_no_answer(provider_of):
    """A server ahead of us would have the answer to the content counted for the dot."""
    early = {("odd", "DATA"): b"354 go\r\n250 2.0.0 taken already\r\n"}
    with faulty(early) as server:
        told = hand_over(provider_of(server), named("a", "odd", "b"))
        agrees(server, told)
    assert told == {"a": Outcome.TAKEN, "odd": LATER, "b": Outcome.TAKEN}


# -- under TLS -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("smtps", [True, False])
def test_pipelining_over_several_connections_under_tls(tmp_path, smtps):
    server, trusting = certificate(tmp_path)
    mailbox = Mailbox()
    content = b"Subject: x\r\n\r\n" + b"0123456789abcdef\r\n" * 12_000
    sign_in = None if smtps else accepting("anaar", "secret")  # aiosmtpd offers no sign-in under TLS from the start
    with listening(mailbox, tls=server, smtps=smtps, sign_in=sign_in, pipelining=True) as port:
        way = "smtps://" if smtps else "smtp://anaar:secret@"
        provider = SmtpProvider(f"{way}localhost:{port}", connections=3, context=trusting)
        for names in ("abcdefgh", "ijklmnop"):
            assert set(hand_over(provider, named(*names, content=content)).values()) == {Outcome.TAKEN}
        provider.close()
    assert sorted(to[0] for to, _, _ in mailbox.taken) == list("abcdefghijklmnop")
    assert {arrived for _, _, arrived in mailbox.taken} == {content}
    assert len(mailbox.sessions) == 3
