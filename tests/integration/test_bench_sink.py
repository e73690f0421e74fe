"""What benchmarks are made of: the sink tells the truth about what came and when, the bare client ends."""

from __future__ import annotations

import smtplib
import socket
import time

import pytest

from bench import bare, sink

CONTENT = b"Subject: x\r\n\r\n" + b"word\r\n" * 2_000


def seen(log):
    return [line.split(b"\t") for line in log.read_bytes().splitlines()]


@pytest.mark.parametrize("connections", [1, 4])
def test_every_message_of_the_bare_client_is_in_the_log_once(tmp_path, connections):
    log = tmp_path / "log"
    openings = [bare.commands(f"b-{n}@mail.example.com", f"p{n}@example.com") for n in range(50)]
    with sink.running(log=log) as port:
        before = time.monotonic()
        pace = bare.send(("127.0.0.1", port), [CONTENT], openings, connections=connections)
        after = time.monotonic()
    assert pace.n == 50
    for kind in (b"B", b"T"):
        lines = [line for line in seen(log) if line[0] == kind]
        assert sorted(to for *_, to in lines) == sorted(b"p%d@example.com" % n for n in range(50))
        assert all(before <= float(at) <= after for _, at, *_ in lines)


def test_a_message_that_was_begun_and_never_finished_was_not_taken(tmp_path):
    log = tmp_path / "log"
    with sink.running(log=log) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(b"EHLO h\r\nMAIL FROM:<b@example.com>\r\nRCPT TO:<a@example.com>\r\nDATA\r\nhalf\r\n.")
        with link.makefile("rb") as lines:
            while not lines.readline().startswith(b"354"):
                pass
    assert [(kind, to) for kind, _, _, to in seen(log)] == [(b"B", b"a@example.com")]


def test_dots_split_anywhere_end_the_content_and_nothing_else_does(tmp_path):
    """The final dot may come in pieces, and a content may be only a dot."""
    log = tmp_path / "log"
    with sink.running(log=log) as port, socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        lines = link.makefile("rb")
        lines.readline()
        for to, content in ((b"a", b"..\r\n.x\r\n\r.\r\n\r\n.\r\n"), (b"b", b".\r\n")):
            link.sendall(b"MAIL FROM:<b@example.com>\r\nRCPT TO:<%b@example.com>\r\nDATA\r\n" % to)
            assert [lines.readline()[:3] for _ in range(3)] == [b"250", b"250", b"354"]
            for byte in content:
                link.sendall(bytes([byte]))
            assert lines.readline()[:3] == b"250"
        lines.close()
    assert [(kind, to) for kind, _, _, to in seen(log)] == [
        (kind, to) for to in (b"a@example.com", b"b@example.com") for kind in (b"B", b"T")
    ]


def test_a_slow_sink_notes_when_the_bytes_came_and_answers_later(tmp_path):
    log = tmp_path / "log"
    openings = [bare.commands("b@example.com", f"p{n}@example.com") for n in range(2)]
    with sink.running(log=log, delay=1.0) as port:
        pace = bare.send(("127.0.0.1", port), [CONTENT], openings, connections=1)
    first_dot, second_begun = (float(at) for kind, at, *_ in seen(log)[1:3])
    assert pace.seconds >= 2.0
    assert second_begun - first_dot < 1.0


def test_a_sink_that_hangs_takes_the_message_and_says_nothing(tmp_path):
    log = tmp_path / "log"
    with sink.running(log=log, hang_after=1) as port:
        client = smtplib.SMTP("127.0.0.1", port, timeout=60)
        client.sendmail("b@example.com", ["a@example.com"], CONTENT)
        client.sock.settimeout(1.0)
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.sendmail("b@example.com", ["c@example.com"], CONTENT)
        client.close()
    assert [to for kind, _, _, to in seen(log) if kind == b"T"] == [b"a@example.com", b"c@example.com"]
