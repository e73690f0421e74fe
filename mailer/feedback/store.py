"""Keep what came, once, before it is answered. The caller commits and only then says 2xx (check 89)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer.feedback import sendgrid

MAIL = "mail"

_KEEP = text("""
    INSERT INTO provider_events (source, dedupe_key, body)
    SELECT :source, w.key, w.body FROM unnest(CAST(:keys AS bytea[]), CAST(:bodies AS jsonb[])) AS w(key, body)
     ORDER BY w.key
    ON CONFLICT (source, dedupe_key) DO NOTHING RETURNING id
""")
_KEEP_MAIL = text("""
    INSERT INTO provider_events (source, dedupe_key, body, raw) VALUES (:source, :key, CAST(:body AS jsonb), :raw)
    ON CONFLICT (source, dedupe_key) DO NOTHING RETURNING id
""")


def keep_events(session: Session, events: Sequence[Mapping[str, Any]]) -> int:
    """Store SendGrid's events; return how many were new. Sorted by key: two batches with the same events don't lock
    each other out.
    """
    once = {sendgrid.dedupe_key(event): event for event in events}
    bodies = [_json(event) for event in once.values()]
    return len(session.execute(_KEEP, {"source": sendgrid.SOURCE, "keys": list(once), "bodies": bodies}).all())


def keep_mail(session: Session, raw: bytes, sent_to: str) -> bool:
    """Store a raw mail; return whether it was new."""
    key = hashlib.sha256(sent_to.encode("utf-8", "replace") + b"\0" + raw).digest()
    kept = session.execute(
        _KEEP_MAIL, {"source": MAIL, "key": key, "body": _json({"sent_to": sent_to[:2000]}), "raw": raw}
    )
    return kept.first() is not None


def _json(event: Mapping[str, Any]) -> str:
    return json.dumps(_storable(event), ensure_ascii=False, default=str)


def _storable(value: Any) -> Any:
    """The same without NUL, half surrogate pairs and numbers that are none: PostgreSQL's JSON holds neither."""
    if isinstance(value, str):
        return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_storable(str(name)): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
