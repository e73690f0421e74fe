"""One contract over all providers: what a receipt says is what the world did.

Each provider brings a world in which every kind of recipient can be made; the tests know only the interface.
"""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager

import pytest

from mailer.providers.base import Outcome
from mailer.providers.memory import Act, Behaviour, MemoryProvider, script_from
from mailer.providers.sendgrid import SendGridProvider
from mailer.providers.smtp import SmtpProvider
from tests.integration.envelopes import Open, envelope
from tests.integration.smtp_double import Mailbox, listening
from tests.sendgrid_double import KEY, SendGrid, serving

LONG, SHORT = 60.0, 1.5
"""D: short only where its end is waited for; elsewhere a busy machine has all the time it needs."""
HANGS = 60.0


class MemoryWorld:
    name = "memory"

    def __init__(self):
        self.acts = {}

    def make_provider(self, seconds):
        provider = MemoryProvider(self.acts, seconds=seconds)
        provider.script = self.acts
        return provider

    def make(self, recipient, behaviour):
        self.acts[recipient] = Act(behaviour, seconds=HANGS if behaviour is Behaviour.HANG else 0)

    def taken(self):
        return [entry.recipient for entry in self.provider.taken]


ANSWERS = {
    Behaviour.REFUSE: ("RCPT", "550 5.1.1 no such user"),
    Behaviour.NOT_TAKEN: ("RCPT", "451 4.3.0 try later"),
    Behaviour.MISCONFIGURED: ("RCPT", "550 5.7.26 unauthenticated mail is not accepted"),
    Behaviour.RESET_AFTER_ACCEPT: ("DOT", "take and reset"),
    Behaviour.HANG: ("DOT", "take and hang"),
}


API_ANSWERS = {
    Behaviour.REFUSE: {"status": 400, "body": b'{"errors": [{"message": "no", "field": "x"}]}'},
    Behaviour.NOT_TAKEN: {"status": 429, "headers": {"Retry-After": "0"}},
    Behaviour.MISCONFIGURED: {"status": 403},
    Behaviour.RESET_AFTER_ACCEPT: {"how": "reset", "takes": True},
    Behaviour.HANG: {"how": "hang", "takes": True},
}


class SendGridWorld:
    """One connection, so that the order of what was taken is the order of what was given."""

    name = "sendgrid"

    def __init__(self, account, host):
        self.account, self.host = account, host

    def make_provider(self, seconds):
        return SendGridProvider(KEY, host=self.host, seconds=seconds, connections=1)

    def make(self, recipient, behaviour):
        self.account.tell(recipient, **API_ANSWERS[behaviour])

    def taken(self):
        return [recipient for recipient, _, _ in self.account.taken]


class SmtpWorld:
    name = "smtp"

    def __init__(self, mailbox, port, connections):
        self.mailbox, self.port, self.connections = mailbox, port, connections

    def make_provider(self, seconds):
        return SmtpProvider(f"smtp+plain://127.0.0.1:{self.port}", seconds=seconds, connections=self.connections)

    def make(self, recipient, behaviour):
        stage, answer = ANSWERS[behaviour]
        self.mailbox.tell(stage, recipient, answer)

    def taken(self):
        return [recipient for recipient, _, _ in self.mailbox.taken]


@contextmanager
def memory():
    yield MemoryWorld()


@contextmanager
def smtp():
    mailbox = Mailbox()
    with listening(mailbox) as port:
        yield SmtpWorld(mailbox, port, 1)


@contextmanager
def smtp_pipelined():
    mailbox = Mailbox()
    with listening(mailbox, pipelining=True) as port:
        yield SmtpWorld(mailbox, port, 1)


@contextmanager
def smtp_pipelined_over_four():
    mailbox = Mailbox()
    with listening(mailbox, pipelining=True) as port:
        yield SmtpWorld(mailbox, port, 4)


@contextmanager
def sendgrid():
    account = SendGrid()
    with serving(account) as host:
        yield SendGridWorld(account, host)


def told(envelopes, receipts):
    """What each recipient's receipt said, in the order of the envelopes: receipts come as soon as they are known."""
    by_id = {receipt.delivery_id: receipt.outcome for receipt in receipts}
    return [by_id[e.delivery_id] for e in envelopes]


@pytest.fixture(
    params=[memory, smtp, smtp_pipelined, smtp_pipelined_over_four, sendgrid], ids=lambda made: made.__name__
)
def world(request):
    with request.param() as made:
        made.provider = made.make_provider(LONG)
        yield made
        made.provider.close()


def test_every_envelope_gets_one_receipt(world):
    envelopes = [envelope(f"p{n}@example.com") for n in range(20)]
    receipts = list(world.provider.hand_over(envelopes, Open()))
    assert len(receipts) == 20
    assert told(envelopes, receipts) == [Outcome.TAKEN] * 20
    assert all(r.provider_message_id for r in receipts)
    assert sorted(world.taken()) == sorted(e.recipient for e in envelopes)


def test_a_receipt_comes_as_soon_as_it_is_known(world):
    """One after the other, where there is one connection; and whatever there is, before all the rest."""
    envelopes = [envelope(f"p{n}@example.com") for n in range(40)]
    receipts = world.provider.hand_over(envelopes, Open())
    first = next(receipts)
    (its_own,) = [e for e in envelopes if e.delivery_id == first.delivery_id]
    assert first.outcome is Outcome.TAKEN
    assert its_own.recipient in world.taken()
    assert len(world.taken()) < 40
    assert {r.outcome for r in receipts} == {Outcome.TAKEN}


def test_a_hand_over_that_is_left_half_way_starts_nothing_more(world):
    receipts = world.provider.hand_over([envelope(f"p{n}@example.com") for n in range(40)], Open())
    next(receipts)
    receipts.close()
    assert [r.outcome for r in world.provider.hand_over([envelope("c@example.com")], Open())] == [Outcome.TAKEN]
    assert "c@example.com" in world.taken()
    assert len(world.taken()) < 20


def test_no_envelopes_no_receipts(world):
    assert list(world.provider.hand_over([], Open())) == []


def test_nothing_starts_once_the_window_is_closed(world):
    """The window is asked before every message; after the first no nobody asks again, and nothing is written."""
    window = Open(times=2)
    envelopes = [envelope(f"p{n}@example.com") for n in range(5)]
    receipts = list(world.provider.hand_over(envelopes, window))
    assert told(envelopes, receipts) == [Outcome.TAKEN] * 2 + [Outcome.NOT_STARTED] * 3
    assert sorted(world.taken()) == ["p0@example.com", "p1@example.com"]
    assert window.asked == 3


def test_a_window_that_never_opened_lets_nothing_out(world):
    receipts = list(world.provider.hand_over([envelope()], Open(times=0)))
    assert [r.outcome for r in receipts] == [Outcome.NOT_STARTED]
    assert world.taken() == []


@pytest.mark.parametrize(
    "behaviour, outcome",
    [
        (Behaviour.REFUSE, Outcome.REFUSED),
        (Behaviour.NOT_TAKEN, Outcome.NOT_TAKEN),
        (Behaviour.MISCONFIGURED, Outcome.MISCONFIGURED),
    ],
)
def test_one_bad_recipient_harms_no_other(world, behaviour, outcome):
    """Check 39: each recipient by itself, never the session."""
    world.make("bad@example.com", behaviour)
    envelopes = [envelope("a@example.com"), envelope("bad@example.com"), envelope("b@example.com")]
    receipts = list(world.provider.hand_over(envelopes, Open()))
    assert told(envelopes, receipts) == [Outcome.TAKEN, outcome, Outcome.TAKEN]
    (refused,) = [r for r in receipts if r.delivery_id == envelopes[1].delivery_id]
    assert refused.code[0] in "45"
    assert sorted(world.taken()) == ["a@example.com", "b@example.com"]


def test_silence_after_acceptance_is_in_doubt_and_the_next_message_goes_on(world):
    """Check 39: the message was taken, and nobody told us. It is never tried again by itself."""
    world.make("lost@example.com", Behaviour.RESET_AFTER_ACCEPT)
    envelopes = [envelope("lost@example.com"), envelope("b@example.com")]
    receipts = list(world.provider.hand_over(envelopes, Open()))
    assert told(envelopes, receipts) == [Outcome.IN_DOUBT, Outcome.TAKEN]
    assert sorted(world.taken()) == ["b@example.com", "lost@example.com"]


def test_a_hung_hand_over_ends_in_time_with_one_message_in_doubt(world):
    """D: what was written is in doubt, what never started surely was not taken; later all is well again."""
    world.provider = world.make_provider(SHORT)
    world.make("hung@example.com", Behaviour.HANG)
    started = time.monotonic()
    envelopes = [envelope("hung@example.com"), envelope("b@example.com")]
    receipts = list(world.provider.hand_over(envelopes, Open()))
    assert time.monotonic() - started < HANGS / 2
    assert told(envelopes, receipts) == [Outcome.IN_DOUBT, Outcome.NOT_TAKEN]
    assert world.taken() == ["hung@example.com"]
    assert [r.outcome for r in world.provider.hand_over([envelope("c@example.com")], Open())] == [Outcome.TAKEN]


def test_closing_twice_is_allowed_and_a_later_hand_over_opens_again(world):
    list(world.provider.hand_over([envelope("a@example.com")], Open()))
    world.provider.close()
    world.provider.close()
    list(world.provider.hand_over([envelope("b@example.com")], Open()))
    assert world.taken() == ["a@example.com", "b@example.com"]


def test_providers_are_known_by_name(world):
    assert world.provider.name == world.name


# -- the memory provider's own promises --------------------------------------------------------------


def test_the_ledger_tells_what_was_really_taken_whatever_was_answered(tmp_path):
    """The oracle of the fault tests: one line a message taken, whatever the receipt says."""
    ledger = tmp_path / "taken.jsonl"
    script = {
        "lost@example.com": Act(Behaviour.RESET_AFTER_ACCEPT),
        "refused@example.com": Act(Behaviour.REFUSE),
        "later@example.com": Act(Behaviour.NOT_TAKEN, retry_after=30),
    }
    provider = MemoryProvider(script, ledger=ledger)
    envelopes = [envelope(who) for who in ("a@example.com", *script)]
    before = time.monotonic()
    receipts = list(provider.hand_over(envelopes, Open()))
    lines = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert [line["delivery_id"] for line in lines] == [str(e.delivery_id) for e in envelopes[:2]]
    assert [line["recipient"] for line in lines] == ["a@example.com", "lost@example.com"]
    assert all(before <= line["first_byte"] <= time.monotonic() and line["campaign_id"] == 7 for line in lines)
    assert receipts[3].retry_after == 30


def test_many_processes_may_share_one_ledger(tmp_path):
    ledger = tmp_path / "taken.jsonl"
    providers = [MemoryProvider(ledger=ledger) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda p=p: list(p.hand_over([envelope() for _ in range(25)], Open())))
        for p in providers
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({json.loads(line)["delivery_id"] for line in ledger.read_text().splitlines()}) == 100


def test_a_slow_provider_takes_its_time_for_each_message():
    provider = MemoryProvider(usually=Act(seconds=0.05))
    started = time.monotonic()
    assert {r.outcome for r in provider.hand_over([envelope() for _ in range(4)], Open())} == {Outcome.TAKEN}
    assert time.monotonic() - started >= 0.2


def test_a_hang_can_be_ended_from_outside():
    """So that a race test waits for nothing but its own rival."""
    begun = threading.Event()
    provider = MemoryProvider(usually=Act(Behaviour.HANG, seconds=2 * HANGS), on_first_byte=lambda _: begun.set())
    receipts = []
    thread = threading.Thread(target=lambda: receipts.extend(provider.hand_over([envelope()], Open())))
    thread.start()
    assert begun.wait(HANGS)
    provider.release.set()
    thread.join(HANGS / 2)
    assert [r.outcome for r in receipts] == [Outcome.IN_DOUBT]


def test_a_provider_that_breaks_its_contract_can_be_played():
    provider = MemoryProvider(script_from({"a@example.com": {"behaviour": "raise"}}))
    with pytest.raises(RuntimeError):
        list(provider.hand_over([envelope("a@example.com")], Open()))
    assert provider.taken == []
