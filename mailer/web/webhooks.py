"""Doors for programs: SendGrid's events, and raw mail from any mail server. Verify, remember, 2xx; the clock applies.

Nothing is decided here: what came is stored once, and committed, before it is answered. Without the database the
answer is 503, and whoever knocked comes again.
"""

from __future__ import annotations

import json
import time
from typing import Any

from flask import Blueprint, abort, request
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer.feedback import forms, signatures, store
from mailer.web.edge import transaction
from mailer.web.shop import shop

webhooks = Blueprint("webhooks", __name__, url_prefix="/hooks")

LARGEST_BATCH = 1_000_000
LARGEST_MAIL = 25_000_000
MOST_EVENTS = 20_000


@webhooks.post("/sendgrid")
def sendgrid_events() -> Response:
    """SendGrid's event webhook: an array of events, signed (checks 84 to 90)."""
    request.max_content_length = LARGEST_BATCH
    body = request.get_data(cache=True)
    if not _signed_by_sendgrid(body):
        abort(403)
    events = _events(body)
    with transaction() as session:
        new = store.keep_events(session, events)
    get_logger(__name__).info("events_kept", came=len(events), new=new)
    return Response(status=204)


@webhooks.post("/inbound")
def inbound_mail() -> Response:
    """A raw mail (`message/rfc822`) from a mail server, or a form of SendGrid's Inbound Parse (checks 95, 96)."""
    request.max_content_length = LARGEST_MAIL
    body = request.get_data(cache=True)
    if not (signatures.knows_secret(shop().keys, _secret()) or _signed_by_sendgrid(body)):
        abort(403)
    if request.mimetype == "multipart/form-data":
        raw, sent_to = forms.mail_in(request.headers.get("Content-Type", ""), body)
    else:
        raw, sent_to = body, " ".join(request.headers.getlist("X-Envelope-To"))
    if not raw:
        abort(400)
    with transaction() as session:
        new = store.keep_mail(session, raw, sent_to)
    get_logger(__name__).info("mail_kept", size=len(raw), new=new)
    return Response(status=204)


def _signed_by_sendgrid(body: bytes) -> bool:
    timestamp = request.headers.get(signatures.TIMESTAMP)
    public_keys = shop().settings.sendgrid_webhook_keys
    signed = signatures.is_signed(body, request.headers.get(signatures.SIGNATURE), timestamp, public_keys)
    if signed and signatures.is_stale(timestamp, time.time()):
        get_logger(__name__).warning("stale_signature", timestamp=str(timestamp)[:20])
    return signed and not signatures.is_expired(timestamp, time.time())


def _secret() -> str | None:
    """The secret, as a bearer token, or as the password where only a name and a password can be set."""
    try:
        given = request.authorization
    except ValueError:  # werkzeug's base64 raises where a name is not ASCII
        return None
    if given is None:
        return None
    return given.token if given.type == "bearer" else given.password


def _events(body: bytes) -> list[dict[str, Any]]:
    """The events of a batch. What is no event is left out: one bad element doesn't drop the others (check 88)."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        abort(400)
    if not isinstance(told, list):
        abort(400)
    return [event for event in told[:MOST_EVENTS] if isinstance(event, dict)]
