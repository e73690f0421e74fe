"""The conversation about messages without a socket: whatever a server says, what is told agrees with what was done."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailer.providers.base import Envelope, Outcome
from mailer.providers.smtp_replies import LONGEST_LINE, Reader, Reply
from mailer.providers.smtp_talk import Talk, Turn
from mailer.providers.smtp_words import NEEDS_8BITMIME, NEEDS_SMTPUTF8, Words, words_of
from mailer.wire_text import WireText

CODES = st.sampled_from([250, 250, 250, 250, 354, 354, 354, 251, 421, 450, 503, 550, 554, -1, 333])
WORDS = Words(b"MAIL FROM:<b@example.com>\r\n", b"RCPT TO:<a@example.com>\r\n", b"x\r\n")


def turn(number):
    return Turn(Envelope(UUID(int=number + 1), UUID(int=9), 7, f"p{number}@example.com", "b@x.example", b"x\r\n"))


class Server:
    """Plays the wire between a talk and a server that says any codes at all; knows which dots it got and accepted."""

    def __init__(self, pipelining):
        self.talk = Talk({"PIPELINING": ""} if pipelining else {})
        self.number = 0
        self.dotted, self.said_yes, self.again = set(), set(), []
        self.saw = []

    def speak(self, behind):
        """Say all that may be said, as a line does; `behind`: a next message behind the dot."""
        talk = self.talk
        while not talk.broken:
            if talk.due:
                done = talk.due
                talk.finish(done)
                if behind and talk.pipelining and not done.refusal:
                    self.begin()
                done.dotted = True
                self.dotted.add(done.envelope.delivery_id)
            elif talk.more():
                pass
            elif talk.is_free:
                talk.clean()
                if not talk.is_free:
                    return
                self.begin()
            else:
                return

    def begin(self):
        self.talk.begin(turn(self.number), WORDS)
        self.number += 1


@given(pipelining=st.booleans(), behind=st.booleans(), codes=st.lists(CODES, max_size=60))
def test_every_message_ends_once_and_only_a_yes_to_its_dot_makes_it_taken(pipelining, behind, codes):
    server = Server(pipelining)
    server.speak(behind)
    for code in codes:
        if server.talk.broken:
            break
        first = server.talk.turns[0] if server.talk.turns else None
        dotted = first is not None and first.dotted and not first.refusal
        if dotted and code // 100 == 2:
            server.said_yes.add(first.envelope.delivery_id)
        server.talk.hear(Reply(code, "x"))
        server.speak(behind)
        assert len(server.talk.turns) <= 2
    again = [one.envelope.delivery_id for one in server.talk.lost("gone")]
    told = {receipt.delivery_id: receipt.outcome for receipt in server.talk.receipts}
    assert Counter([*(r.delivery_id for r in server.talk.receipts), *again]) == Counter(
        UUID(int=number + 1) for number in range(server.number)
    )
    assert not set(again) & server.dotted
    for delivery_id, outcome in told.items():
        assert (outcome is Outcome.TAKEN) == (delivery_id in server.said_yes)
        if outcome is Outcome.IN_DOUBT:
            assert delivery_id in server.dotted


@given(pipelining=st.booleans(), codes=st.lists(CODES, max_size=30))
def test_a_message_that_was_not_refused_and_has_its_dot_is_never_called_not_taken_by_silence(pipelining, codes):
    server = Server(pipelining)
    server.speak(behind=True)
    for code in codes:
        if not server.talk.broken:
            server.talk.hear(Reply(code, "x"))
            server.speak(behind=True)
    open_ones = {t.envelope.delivery_id for t in server.talk.turns if t.dotted and not t.refusal}
    before = len(server.talk.receipts)
    list(server.talk.lost("gone"))
    for receipt in server.talk.receipts[before:]:
        assert (receipt.outcome is Outcome.IN_DOUBT) == (receipt.delivery_id in open_ones)


def test_a_message_taken_back_leaves_no_trace():
    talk = Talk({"PIPELINING": ""})
    first, second = turn(0), turn(1)
    talk.begin(first, WORDS)
    for code in (250, 250, 354):
        talk.hear(Reply(code))
    talk.finish(first)
    talk.begin(second, WORDS)
    talk.take_back(second)
    first.dotted = True
    talk.hear(Reply(250))
    assert [r.outcome for r in talk.receipts] == [Outcome.TAKEN]
    assert talk.is_free
    assert list(talk.lost("gone")) == []


def test_a_message_goes_over_another_connection_once_not_twice():
    talk = Talk({"PIPELINING": ""})
    talk.begin(turn(0), WORDS)
    for code in (550, 503, 503):
        talk.hear(Reply(code))
    second = turn(1)
    talk.begin(second, WORDS)
    assert list(talk.lost("gone")) == [second]
    other = Talk({"PIPELINING": ""})
    other.begin(turn(2), WORDS)
    for code in (550, 503, 503):
        other.hear(Reply(code))
    other.begin(second, WORDS)
    assert list(other.lost("gone")) == []
    assert other.receipts[-1].outcome is Outcome.NOT_TAKEN


# -- reading -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 40), max_size=20))
def test_replies_are_the_same_however_their_bytes_come(cuts):
    data = b"250 ok\r\n250-first\r\n250-second line\r\n250 last\r\n354 go\n421 bye\r\nwhat?\r\n55"
    reader, replies = Reader(), []
    for cut in cuts:
        replies += reader.feed(data[:cut])
        data = data[cut:]
    replies += reader.feed(data)
    assert [(r.code, r.text) for r in replies] == [
        (250, "ok"),
        (250, "first second line last"),
        (354, "go"),
        (421, "bye"),
        (-1, "?"),
    ]
    assert reader.unread


@pytest.mark.parametrize("words", [b"2" * (LONGEST_LINE + 1), b"250-more\r\n" * 200, b"250-" + b"x" * 9_000 + b"\r\n"])
def test_an_answer_without_an_end_is_no_answer(words):
    """What came before it counts: it may be about another message."""
    reader = Reader()
    assert [reply.code for reply in reader.feed(b"250 ok\r\n" + words)] == [250]
    assert reader.endless


def test_what_an_operator_is_shown_moves_no_cursor():
    (reply,) = Reader().feed(b"550 5.1.1 \x1b[2Jno\x00body\xff\r\n")
    assert reply.text.isprintable()
    assert reply.number == "550 5.1.1"


# -- words ---------------------------------------------------------------------------------------------


def envelope(content, recipient="a@example.com"):
    return Envelope(UUID(int=1), UUID(int=2), 7, recipient, "b@x.example", content)


def test_bytes_beyond_ascii_go_only_where_they_are_carried():
    """RFC 6152: a server that doesn't offer 8BITMIME may drop the eighth bit."""
    content = "नमस्ते\r\n".encode()
    assert words_of(envelope(content), set()) == NEEDS_8BITMIME
    assert words_of(envelope(content), {"8BITMIME"}).mail.endswith(b"> BODY=8BITMIME\r\n")
    assert words_of(envelope(b"x\r\n"), {"8BITMIME"}).mail.endswith(b">\r\n")
    assert words_of(envelope(b"x\r\n", "प्रिया@example.com"), {"8BITMIME"}) == NEEDS_SMTPUTF8


def test_content_made_for_the_wire_is_not_copied():
    content = WireText(b"x\r\n")
    assert words_of(envelope(content), set()).content is content
