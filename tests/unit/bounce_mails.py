"""Mails that come back, written by hand: reports, complaints and letters, and what a test asks of them."""

from __future__ import annotations

from uuid import UUID

from mailer.bounces.causes import Act
from mailer.bounces.sorting import Kind, Sorted
from mailer.message import return_path

DELIVERY = UUID("6f1c2f6e-0f3a-4a51-9c7e-2b1d8a4f5c3d")
VERP = return_path(DELIVERY, "mail.example.com")
BOUNDARY = "b0"


def report(blocks: str, words: str = "It failed.", kind: str = "delivery-status") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.com\nTo: <{VERP}>\nSubject: Undelivered Mail\n"
        f'Content-Type: multipart/report; report-type={kind}; boundary="{BOUNDARY}"\n\n'
        f"--{BOUNDARY}\nContent-Type: text/plain\n\n{words}\n"
        f"--{BOUNDARY}\nContent-Type: message/{kind}\n\n{blocks}\n--{BOUNDARY}--\n"
    ).encode()


def block(action: str, status: str, said: str = "", who: str = "asha@example.com") -> str:
    return f"Final-Recipient: rfc822; {who}\nAction: {action}\nStatus: {status}\nDiagnostic-Code: smtp; {said}\n"


def suppresses(mail: Sorted) -> bool:
    failed = [finding for finding in mail.findings if finding.action == "failed"]
    return mail.kind is Kind.BOUNCE and any(finding.cause.act is Act.SUPPRESS for finding in failed)


def letter(headers: str = "", body: str = "Hello", subject: str = "Hi", to: str = "care@example.com") -> bytes:
    return f"From: Asha <asha@example.com>\nTo: {to}\nSubject: {subject}\n{headers}\n{body}\n".encode()


def complaint(kind: str, who: str = "redacted@example.com", mail_from: str = VERP) -> bytes:
    fields = f"Feedback-Type: {kind}\nVersion: 1\nOriginal-Rcpt-To: {who}\nOriginal-Mail-From: {mail_from}\n"
    return report(fields, kind="feedback-report")
