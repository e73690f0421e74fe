"""The local inbox: what the sink kept, as a mailbox would show it. Only on this machine, only while the sink stands in.

Nobody signs in here, so it answers this machine alone: the peer and the name asked for are loopback, and nothing
stands between. A mail is shown in a frame without script, form or origin; links that lead to our public address
are turned to this listener, so that they can be tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Literal, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, abort, make_response, render_template, request
from werkzeug.wrappers import Response

from config.settings import Settings, is_loopback
from mailer.inbox import Entry, count_messages, list_messages, read_entry, read_message
from mailer.web.shop import shop

PAGE = 100
SEARCHED = 10_000
BETWEEN = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via")
FRAME_POLICY = (
    "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox"
)
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

inbox = Blueprint("inbox", __name__, url_prefix="/inbox")


@dataclass(frozen=True, slots=True)
class Letter:
    """A stored message as a page shows it. What can't be read is empty: the raw view always works."""

    entry: Entry
    at: datetime
    subject: str
    sender: str
    headers: tuple[tuple[str, str], ...]
    text: str
    html: str
    one_click: str | None
    """Path of the one-click address on this listener."""


def show_inbox(app: Flask, settings: Settings) -> None:
    """Add the inbox if mail goes to this machine in the clear, as it does to the sink and to nothing else of ours."""
    if settings.smtp_url is not None and settings.smtp_url.startswith("smtp+plain://"):
        app.register_blueprint(inbox)


@inbox.before_request
def only_here() -> None:
    """Answer this machine alone; a name that a stranger's page points at us (DNS rebinding) is somebody else's."""
    host = urlsplit(request.host_url).hostname
    if not (is_loopback(request.remote_addr) and is_loopback(host)) or any(name in request.headers for name in BETWEEN):
        abort(404)


@inbox.after_request
def contain(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    return response


@inbox.get("/")
def index() -> str:
    """The newest messages, or the newest to one person."""
    folder, asked = kept(), request.args.get("to", "").strip()
    limit = min(max(request.args.get("n", PAGE, type=int), PAGE), SEARCHED)
    entries = list_messages(folder, SEARCHED if asked else limit)
    found = [one for one in entries if asked.lower() in " ".join(one.recipients).lower()][:limit]
    return render_template(
        "inbox/index.html",
        letters=[opened(folder, one) for one in found],
        asked=asked,
        total=count_messages(folder),
        more=limit + PAGE if len(found) == limit else None,
    )


@inbox.get("/<name>/", defaults={"view": "rendered"})
@inbox.get("/<name>/<any(text, raw, headers):view>")
def message(name: str, view: Literal["rendered", "text", "raw", "headers"]) -> str:
    """One message: rendered, its text part, its headers, or byte for byte."""
    letter = opened(kept(), entry_of(name))
    raw = read_message(kept(), name).decode("utf-8", "backslashreplace") if view == "raw" else ""
    return render_template("inbox/message.html", letter=letter, view=view, raw=raw)


@inbox.get("/<name>/html")
def frame(name: str) -> Response:
    """The HTML part alone, for the frame."""
    letter = opened(kept(), entry_of(name))
    response = make_response(letter.html or "<!doctype html><title>No HTML</title><p>This message has no HTML part.")
    response.headers["Content-Security-Policy"] = FRAME_POLICY
    response.headers["X-Frame-Options"] = "SAMEORIGIN"
    return response


def kept() -> Path:
    return shop().settings.data / "inbox"


def entry_of(name: str) -> Entry:
    try:
        return read_entry(kept(), name)
    except KeyError:
        abort(404)


def opened(folder: Path, entry: Entry) -> Letter:
    """Return a message with its parts decoded."""
    found = message_from_bytes(read_message(folder, entry.name), policy=default)
    address = str(found.get("List-Unsubscribe", "")).strip().removeprefix("<").partition(">")[0]
    return Letter(
        entry=entry,
        at=datetime.fromtimestamp(entry.received_at, UTC),
        subject=header(found, "Subject"),
        sender=header(found, "From"),
        headers=tuple((name, str(value)) for name, value in found.raw_items()),
        text=part(found, "plain"),
        html=part(found, "html").replace("<head>", '<head><base target="_blank">', 1).replace(public(), here()),
        one_click=address.removeprefix(public()) if address.startswith(f"{public()}/") else None,
    )


def header(found: EmailMessage, name: str) -> str:
    try:
        return str(found.get(name, ""))
    except (ValueError, IndexError, LookupError):  # the stdlib's parser gives up on some broken headers
        return "(can’t be read)"


def part(found: EmailMessage, kind: Literal["plain", "html"]) -> str:
    try:
        body = cast("EmailMessage | None", found.get_body((kind,)))
        return str(body.get_content()) if body is not None else ""
    except (ValueError, LookupError):
        return ""


def public() -> str:
    """Where our links lead."""
    return shop().settings.public_url


def here() -> str:
    """Where this listener is."""
    return request.host_url.rstrip("/")
