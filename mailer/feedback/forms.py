"""PURE: a mail that SendGrid's Inbound Parse hands in as a form, put together again (check 95).

The form's parts are read as bytes: SendGrid tells the charset of each field in a field of its own, and a web
framework would have decoded them before that could be known.
"""

from __future__ import annotations

import json
from email import message_from_bytes
from email.message import Message

_BOUNDARY = "=_askfirst_parse"
_KEPT_TYPES = ("message/", "text/rfc822-headers")


def mail_in(content_type: str, body: bytes) -> tuple[bytes, str]:
    """Return the raw mail that a form holds, and to whom it was sent. Never raises; an empty form is an empty mail."""
    try:
        form = message_from_bytes(b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body)
        parts = {_name(part): part for part in reversed(_parts(form))}
        sent_to = " ".join(_recipients(_text(parts, "envelope")))
        raw = _bytes(parts.get("email"))
        return raw or _rebuilt(parts), sent_to or _text(parts, "to")
    except (ValueError, LookupError, TypeError):
        return b"", ""


def _parts(form: Message) -> list[Message]:
    payload = form.get_payload()
    return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []


def _name(part: Message) -> str:
    return str(part.get_param("name", "", header="content-disposition"))


def _bytes(part: Message | None) -> bytes:
    payload = part.get_payload(decode=True) if part is not None else None
    return payload if isinstance(payload, bytes) else b""


def _text(parts: dict[str, Message], name: str) -> str:
    return _bytes(parts.get(name)).decode(_charset(parts, name), "replace").strip()


def _charset(parts: dict[str, Message], name: str) -> str:
    told = _json(_bytes(parts.get("charsets")))
    charset = str(told.get(name, "utf-8"))
    try:
        "".encode(charset)
    except (LookupError, ValueError):
        return "utf-8"
    return charset


def _recipients(envelope: str) -> list[str]:
    to = _json(envelope.encode()).get("to", [])
    return [str(one) for one in to] if isinstance(to, list) else [str(to)]


def _json(raw: bytes) -> dict[str, object]:
    try:
        told = json.loads(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _rebuilt(parts: dict[str, Message]) -> bytes:
    """Headers as they came, the text in UTF-8, and those attachments that are reports or returned mail."""
    headers = _headers(_bytes(parts.get("headers")))
    if not headers and not parts:
        return b""
    body = _text(parts, "text")
    kind = "plain" if body or "html" not in parts else "html"
    pieces = [f"Content-Type: text/{kind}; charset=utf-8\n\n{body or _text(parts, 'html')}\n".encode()]
    for name, part in parts.items():
        if name.startswith("attachment") and part.get_content_type().startswith(_KEPT_TYPES):
            pieces.append(f"Content-Type: {part.get_content_type()}\n\n".encode() + _payload(part) + b"\n")
    opening = f'{headers}Content-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n'.encode("utf-8", "replace")
    between = f"--{_BOUNDARY}\n".encode()
    return opening + between + (b"\n" + between).join(pieces) + f"\n--{_BOUNDARY}--\n".encode()


def _payload(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):
        return b"\n".join(one.as_bytes() for one in inner if isinstance(one, Message))
    return _bytes(part)


def _headers(raw: bytes) -> str:
    """The header block without what describes the body, which is made anew."""
    kept, skipping = [], False
    for line in raw.decode("utf-8", "replace").replace("\r\n", "\n").split("\n"):
        if not line.strip():
            continue
        if line[0] not in " \t":
            skipping = line.lower().startswith(("content-", "mime-version"))
        if not skipping:
            kept.append(line)
    return "".join(f"{line}\n" for line in kept)
