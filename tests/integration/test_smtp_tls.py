"""What a server says under TLS is the same, wherever its records end and wherever the network cuts them."""

from __future__ import annotations

import select
import socket
import ssl
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailer.providers.smtp_replies import LONGEST_LINE, MOST_LINES, Reader
from mailer.providers.smtp_wire import Wire
from tests.integration.smtp_double import certificate

WORDS = st.one_of(
    st.binary(max_size=60).map(lambda words: words.replace(b"\n", b"")),
    st.sampled_from(
        [
            b"2.0.0 Ok: queued as 4F1A2",
            b"",
            b"x" * (LONGEST_LINE - 100),
            b"x" * (LONGEST_LINE + 500),
            "न".encode() * 40,
            b"\r\r",
        ]
    ),
)
LINES = st.builds(
    lambda code, mark, words: code + mark + words + b"\r\n",
    st.sampled_from([b"250", b"354", b"421", b"550", b"2x0", b""]),
    st.sampled_from([b" ", b"-", b""]),
    WORDS,
)
SAID = st.lists(LINES, min_size=1, max_size=8).map(b"".join)
CUTS = st.lists(st.one_of(st.integers(1, 400), st.sampled_from([LONGEST_LINE, 16_384])), max_size=40)


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    return certificate(tmp_path_factory.mktemp("tls"))


class Server:
    """The other end of a `Wire`, whose records are made in memory and leave in any pieces."""

    def __init__(self, contexts) -> None:
        inside, outside = contexts
        with closing(socket.create_server(("127.0.0.1", 0))) as listener:
            place = listener.getsockname()
            self.wire = Wire((socket.AF_INET, socket.SOCK_STREAM, 0, "", place))
            self.link, _ = listener.accept()
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = inside.wrap_bio(self._in, self._out, server_side=True)
        self.wire.seal(outside, "localhost")

    def __enter__(self):
        done = False
        while self.wire.shake_hands() or not done:
            if select.select([self.link], [], [], 0)[0]:
                self._in.write(self.link.recv(65_536))
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            self.link.sendall(self._out.read())
        return self

    def __exit__(self, *_):
        self.wire.close()
        self.link.close()

    def sealed(self, said, cuts) -> bytes:
        """What goes over the network for `said`, in records that end at `cuts`."""
        for piece in pieces(said, cuts):
            self._tls.write(piece)
        return self._out.read()


def pieces(whole, cuts):
    at = 0
    for cut in cuts:
        if at >= len(whole):
            return
        yield whole[at : at + cut]
        at += cut
    if at < len(whole):
        yield whole[at:]


def heard(server, reader):
    """All that has come by now. What is sent to this machine is there at once."""
    while (data := server.wire.read()) is not None:
        assert data, "the connection is open"
        yield from reader.feed(data)
        if reader.endless:
            return


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=SAID, records=CUTS, packets=CUTS)
def test_replies_are_the_same_however_they_are_cut(contexts, said, records, packets):
    whole = Reader()
    expected = whole.feed(said)
    reader, found = Reader(), []
    with Server(contexts) as server:
        for packet in pieces(server.sealed(said, records), packets):
            server.link.sendall(packet)
            if not reader.endless:
                found += heard(server, reader)
    assert found == expected
    assert (reader.endless, reader.endless or reader.unread) == (whole.endless, whole.endless or whole.unread)


@pytest.mark.parametrize("said", [b"250 " + b"x" * LONGEST_LINE * 3 + b"\r\n", b"250-x\r\n" * (MOST_LINES + 1)])
@pytest.mark.parametrize("packet", [100, 5_000, 1_000_000])
def test_an_answer_without_an_end_is_none_however_it_is_cut(contexts, said, packet):
    reader = Reader()
    with Server(contexts) as server:
        sealed = server.sealed(b"220 first\r\n" + said, [11])
        found = []
        for part in pieces(sealed, [packet] * (len(sealed) // packet)):
            server.link.sendall(part)
            if not reader.endless:
                found += heard(server, reader)
    assert reader.endless
    assert [reply.text for reply in found] == ["first"]
