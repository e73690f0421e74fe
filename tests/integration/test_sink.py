import asyncio
import signal
import smtplib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mailer import inbox
from workers.processes import spawn, stop
from workers.sink import listen, serve


class Sink:
    """A sink in a process of its own, as the supervisor starts it."""

    def __init__(self, data: Path, *options: str) -> None:
        self.folder = data / "inbox"
        with listen() as listening:
            self.port = listening.getsockname()[1]
            command = [sys.executable, "-P", "-m", "workers.cli", "--data", str(data), "sink"]
            command += ["--fd", str(listening.fileno()), *options]
            self.process = spawn(command, data / "sink.log", pass_fds=[listening.fileno()])

    def client(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self.port, timeout=20)

    def close(self) -> None:
        stop(self.process, signal.SIGTERM, 5, signal.SIGKILL)


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[Sink]:
    sink = Sink(tmp_path)
    yield sink
    sink.close()


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Sink]:
    sink = Sink(tmp_path, "--latency", "0.2")
    yield sink
    sink.close()


BODIES = {
    "plain": b"Subject: a\r\n\r\nHello.\r\n",
    "dots": b"Subject: a\r\n\r\n.\r\n..\r\n.x\r\nend.\r\n.\r\n",
    "one line": b"only.\r\n",
    "only dots": b".\r\n.\r\n",
    "bytes": b"Subject: a\r\n\r\n\xe0\xa4\xa8\xe0\xa4\xae\r\n",
    "large": b"Subject: a\r\n\r\n" + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 20_000,
    "an empty line": b"\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_message_is_kept_byte_for_byte(sink, body):
    with sink.client() as client:
        client.sendmail("bounce@example.com", ["asha@example.com"], body)
    (entry,) = inbox.list_messages(sink.folder)
    assert inbox.read_message(sink.folder, entry.name) == body
    assert (entry.sender, entry.recipients, entry.size) == ("bounce@example.com", ("asha@example.com",), len(body))


def test_when_a_message_was_begun_is_the_time_of_mail_from(sink):
    """No hand-over may begin after an opt-out's answer, so the beginning is what counts."""
    with sink.client() as client:
        client.ehlo()
        before = time.time()
        client.mail("bounce@example.com")
        after = time.time()
        client.rcpt("asha@example.com")
        client.data(b"Subject: a\r\n\r\n")
    (entry,) = inbox.list_messages(sink.folder)
    assert before <= entry.begun_at <= after <= entry.received_at


def test_the_answer_250_means_it_is_kept(slow):
    with slow.client() as client:
        began = time.monotonic()
        client.sendmail("bounce@example.com", ["asha@example.com"], b"Subject: a\r\n\r\n")
        assert time.monotonic() - began >= 0.2
        assert inbox.count_messages(slow.folder) == 1


def test_a_message_that_was_not_finished_is_not_kept(sink):
    with socket.create_connection(("127.0.0.1", sink.port), timeout=20) as connection:
        lines = connection.makefile("rb")
        lines.readline()
        for command in (b"EHLO h", b"MAIL FROM:<b@example.com>", b"RCPT TO:<a@example.com>", b"DATA"):
            connection.sendall(command + b"\r\n")
            while lines.readline()[3:4] == b"-":
                pass
        connection.sendall(b"Subject: half\r\n")
        lines.close()
    with sink.client() as client:
        client.sendmail("b@example.com", ["a@example.com"], b"Subject: whole\r\n\r\n")
    (entry,) = inbox.list_messages(sink.folder)
    assert b"whole" in inbox.read_message(sink.folder, entry.name)


def test_a_line_longer_than_a_relay_takes_is_refused(sink):
    """RFC 5322, 2.1.1: 998 octets. A mail that only our own sink takes would be lost elsewhere."""
    with sink.client() as client, pytest.raises(smtplib.SMTPDataError, match="Line too long"):
        client.sendmail("b@example.com", ["a@example.com"], b"Subject: a\r\n\r\n" + b"x" * 999 + b"\r\n")
    assert inbox.count_messages(sink.folder) == 0


def test_commands_may_be_pipelined(sink):
    """RFC 2920: what a client sends in one write is answered in order."""
    with socket.create_connection(("127.0.0.1", sink.port), timeout=20) as connection:
        lines = connection.makefile("rb")
        connection.sendall(
            b"EHLO h\r\nMAIL FROM:<b@example.com>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nSubject: 1\r\n\r\n.\r\n"
            b"MAIL FROM:<b@example.com>\r\nRCPT TO:<c@example.com>\r\nDATA\r\nSubject: 2\r\n\r\n.\r\nQUIT\r\n"
        )
        answers = lines.read().split(b"\r\n")
        lines.close()
    assert b"250-PIPELINING" in answers
    assert [answer[:3] for answer in answers if answer[3:4] == b" "] == [
        *(b"220", b"250"),
        *(b"250", b"250", b"354", b"250"),
        *(b"250", b"250", b"354", b"250"),
        b"221",
    ]
    assert [entry.recipients for entry in inbox.list_messages(sink.folder)] == [("c@example.com",), ("a@example.com",)]


def test_many_connections_lose_nothing_and_names_sort_by_arrival(sink):
    def send(sender: int) -> None:
        with sink.client() as client:
            for number in range(25):
                client.sendmail("b@example.com", [f"p{sender}-{number}@example.com"], b"Subject: a\r\n\r\n")

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries = inbox.list_messages(sink.folder, limit=1000)
    assert {entry.recipients[0] for entry in entries} == {f"p{s}-{n}@example.com" for s in range(4) for n in range(25)}
    assert [entry.name for entry in entries] == sorted((entry.name for entry in entries), reverse=True)
    assert len(inbox.list_messages(sink.folder, limit=7)) == 7


def test_the_sink_refuses_to_listen_beyond_this_machine(tmp_path):
    with socket.create_server(("0.0.0.0", 0)) as wide, ThreadPoolExecutor(1) as thread:  # noqa: S104
        # In a thread: where a browser was driven before, this one has a loop already.
        refused = thread.submit(lambda: asyncio.run(serve(tmp_path / "inbox", wide)))
        with pytest.raises(ValueError, match="this machine only"):
            refused.result()


@pytest.mark.parametrize("name", ["../root.key", "/etc/passwd", "", "x", "0" * 20 + "-0000001-000001"])
def test_a_name_from_an_address_bar_reaches_nothing_else(tmp_path, name):
    (tmp_path / "root.key.eml").write_text("secret")
    (tmp_path / "inbox").mkdir()
    with pytest.raises(KeyError):
        inbox.read_message(tmp_path / "inbox", name)


def test_an_inbox_that_is_not_there_yet_is_empty(tmp_path):
    assert inbox.list_messages(tmp_path / "inbox") == []
    assert inbox.count_messages(tmp_path / "inbox") == 0


def test_a_cleared_inbox_is_empty(sink):
    with sink.client() as client:
        client.sendmail("b@example.com", ["a@example.com"], b"Subject: a\r\n\r\n")
    inbox.clear(sink.folder)
    assert list(sink.folder.iterdir()) == []
