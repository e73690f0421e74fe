"""An honest local SendGrid: takes what the real one documents that it takes, and misbehaves on request.

What it tells and what it did are separate things, as they are in the world. It checks every request against the
documented limits and answers 400 with the field to blame, as the API does. Run as a program it serves a benchmark:
`python -m tests.sendgrid_double` prints its port and counts people without looking at them.
"""

from __future__ import annotations

import json
import re
import socket
import struct
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from tests.sendgrid_shape import misfits

KEY = "SG.made-up-key.for-tests"
RESERVED = {
    *("x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding"),
    *("to", "from", "subject", "reply-to", "cc", "bcc"),
}
ADDRESS = re.compile(r"[!-?A-~]+@[!-?A-~]+")
"""`format: email` is RFC 5321, so ASCII. Other letters before the @ are for servers with SMTPUTF8 (RFC 6531)."""


@dataclass
class Request:
    """One request as it came."""

    method: str
    path: str
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Told:
    """How to answer: a status with body and headers, or a way to fail. `takes`: whether the mail is taken all the same.

    `how` is `answer`, `hang`, `reset`, `truncate` (a body shorter than promised) or `trickle` (a byte now and then).
    """

    status: int = 202
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    how: str = "answer"
    takes: bool = False


class SendGrid:
    """The account behind the double: what it really took, and what it was told to say."""

    def __init__(self) -> None:
        self.taken = []
        """(recipient, request, personalization) in the order of arrival."""
        self.requests = []
        self.connections = 0
        self.told = {}
        """By recipient; `*` for every mail; by path for the other endpoints."""
        self.stopped = set()
        self.unreadable = None
        self.erased = []
        self.release = threading.Event()
        self.lock = threading.Lock()

    def tell(self, recipient, **told):
        self.told[recipient] = Told(**told)

    def answer(self, request) -> Told:
        with self.lock:
            self.requests.append(request)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return refusal(401, "The provided authorization grant is invalid, expired, or revoked")
        if request.path in self.told:
            return self.told[request.path]
        if request.path == "/v3/mail/send":
            return self.mail(request)
        return self.lists(request)

    def mail(self, request) -> Told:
        if len(request.body) >= 30_000_000:
            return Told(413, b"<html><body><h1>413 Request Entity Too Large</h1></body></html>")
        problem = problem_of(request)
        if problem is not None:
            return problem
        people = request.json["personalizations"]
        named = [self.told[p["to"][0]["email"]] for p in people if p["to"][0]["email"] in self.told]
        told = named[0] if named else self.told.get("*", Told())
        if (told.status == 202 and told.how == "answer") or told.takes:
            with self.lock:
                self.taken += [(person["to"][0]["email"], request, person) for person in people]
                told = Told(told.status, told.body, {"X-Message-Id": f"m{len(self.taken)}", **told.headers}, told.how)
        return told

    def lists(self, request) -> Told:
        with self.lock:
            if self.unreadable and self.unreadable.encode() in request.body:
                return refusal(400, "an address is invalid")
            if request.method == "POST" and request.path == "/v3/asm/suppressions/global":
                self.stopped |= set(request.json["recipient_emails"])
                return Told(201, b'{"recipient_emails": []}')
            if request.method == "DELETE" and request.path.startswith("/v3/asm/suppressions/global/"):
                self.stopped.discard(request.path.rpartition("/")[2].replace("%40", "@"))
                return Told(204)
            if request.method == "GET" and request.path.startswith("/v3/suppression/unsubscribes?"):
                query = parse_qs(request.path.partition("?")[2])
                start, most = int(query["offset"][0]), min(int(query["limit"][0]), 500)
                listed = [{"created": 1_790_000_000, "email": one} for one in sorted(self.stopped)]
                return Told(200, json.dumps(listed[start : start + most]).encode())
            if request.method == "POST" and request.path == "/v3/recipients/erasejob":
                self.erased += request.json["email_addresses"]
                return Told(202, b'{"job_id": "j1"}')
        return refusal(404, "not found")


def refusal(status, message, place=None):
    return Told(status, json.dumps({"errors": [{"message": message, "field": place, "help": None}]}).encode())


def problem_of(request) -> Told | None:
    """The first documented rule of mail send that a request breaks (checks 58 to 70, 79, 80)."""
    mail = request.json
    for place in misfits(mail):
        return refusal(400, "a name that nobody knows, or a value of another kind", place)
    for holds, message, place in rules_of(mail):
        if not holds:
            return refusal(400, message, place)
    for number, person in enumerate(mail["personalizations"]):
        for holds, message, place in rules_of_person(person):
            if not holds:
                return refusal(400, message, f"personalizations.{number}.{place}")
    return None


def rules_of(mail):
    people, content = mail.get("personalizations") or [], mail.get("content") or []
    addresses = [to["email"].lower() for p in people for kind in ("to", "cc", "bcc") for to in p.get(kind, [])]
    categories = mail.get("categories", [])
    yield 1 <= len(people) <= 1000, "1 to 1000 personalizations", "personalizations"
    yield len(addresses) <= 1000, "at most 1000 recipients", "personalizations"
    yield len(set(addresses)) == len(addresses), "each email address must be unique", "personalizations"
    yield mail.get("from", {}).get("email", "").isascii(), "unicode is not supported in from", "from.email"
    yield bool(ADDRESS.fullmatch(mail.get("from", {}).get("email", ""))), "from is no address", "from.email"
    yield bool(ADDRESS.fullmatch(mail.get("reply_to", {"email": "a@b"})["email"])), "reply_to is no address", "reply_to"
    yield bool(mail.get("subject", "").strip()), "a subject is required", "subject"
    yield [part["type"] for part in content] in (
        ["text/plain"], ["text/html"], ["text/plain", "text/html"],
    ), "text/plain first, then text/html", "content"  # fmt: skip
    yield all(part["value"] for part in content), "content may not be empty", "content"
    yield len(categories) <= 10 and len(set(categories)) == len(categories), "10 unique categories", "categories"
    yield all(c.isascii() and 0 < len(c) <= 255 for c in categories), "a category is ASCII, 255", "categories"
    yield "send_at" not in mail and "asm" not in mail, "never in our mail", "send_at"
    yield not [k for k in mail.get("mail_settings", {}) if k.startswith("bypass")], "no bypass", "mail_settings"
    yield set(mail) <= {
        "personalizations", "from", "reply_to", "subject", "content", "headers", "categories", "custom_args",
        "mail_settings", "tracking_settings",
    }, "unknown field", "mail"  # fmt: skip


def rules_of_person(person):
    headers, arguments = person.get("headers", {}), person.get("custom_args", {})
    values = person.get("substitutions", {})
    yield all(ADDRESS.fullmatch(to["email"]) for to in person["to"]), "does not contain a valid address", "to.0.email"
    yield not any(set(";,") & set(to.get("name", "")) for to in person["to"]), "no ; and , in a name", "to.0.name"
    yield not {name.lower() for name in headers} & RESERVED, "a reserved header", "headers"
    yield all(re.fullmatch(r"[!-9;-~]+", name) for name in headers), "a header name is ASCII", "headers"
    yield all(isinstance(v, str) and not re.search(r"[\r\n\0]", v) for v in headers.values()), "a value", "headers"
    yield arguments != {} and all(isinstance(v, str) for v in arguments.values()), "strings", "custom_args"
    yield len(json.dumps(arguments)) < 10_000, "custom_args under 10000 bytes", "custom_args"
    yield len(values) <= 150 and all(isinstance(v, str) for v in values.values()), "150 strings", "substitutions"
    yield len(json.dumps(values, ensure_ascii=False).encode()) <= 10_000, "10000 bytes", "substitutions"
    yield bool(person.get("subject", "x").strip()), "a subject is required", "subject"


# -- the wire --------------------------------------------------------------------------------------------------


@contextmanager
def serving(account, *, tls=None):
    """A server for `account` on a free port; gives its address."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    links = set()

    def accept():
        while True:
            try:
                link, _ = listener.accept()
            except OSError:
                return
            account.connections += 1
            links.add(link)
            threading.Thread(target=serve, args=(link, account, tls), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        host = "localhost" if tls else "127.0.0.1"
        yield f"{'https' if tls else 'http'}://{host}:{listener.getsockname()[1]}"
    finally:
        account.release.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for link in links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)


def serve(link, account, tls):
    with suppress(OSError), link:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            link = tls.wrap_socket(link, server_side=True)
        with link, link.makefile("rb") as reader:
            while (request := read(reader)) is not None:
                if not write(link, account.answer(request), account):
                    return


def read(reader) -> Request | None:
    first = reader.readline().decode().split()
    if len(first) != 3:
        return None
    headers = {}
    while (line := reader.readline()) not in {b"\r\n", b""}:
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = reader.read(int(headers.get("content-length", 0)))
    if len(body) < int(headers.get("content-length", 0)):
        return None
    return Request(first[0], first[1], headers, body)


def write(link, told, account) -> bool:
    """Answer as told; whether the connection goes on."""
    if told.how == "hang":
        account.release.wait(60)
        return False
    if told.how == "reset":
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        link.shutdown(socket.SHUT_RD)
        return False
    promised = len(told.body) + (100 if told.how == "truncate" else 0)
    lines = [f"HTTP/1.1 {told.status} Told", f"Content-Length: {promised}"]
    lines += [f"{name}: {value}" for name, value in told.headers.items()]
    whole = "\r\n".join([*lines, "", ""]).encode() + told.body
    if told.how == "trickle":
        for byte in whole:
            link.sendall(bytes([byte]))
            if account.release.wait(0.05):
                return False
        return True
    link.sendall(whole)
    return told.how == "answer" and told.headers.get("Connection") != "close"


class Counter(SendGrid):
    """Counts people and looks at nothing else: what a benchmark sends into."""

    people = 0

    def answer(self, request) -> Told:
        with self.lock:
            self.people += request.body.count(b'"to":[')
        return Told(202, b"", {"X-Message-Id": "m"})


if __name__ == "__main__":
    with serving(Counter()) as address:
        print(address, flush=True)
        sys.stdin.read()
