"""Refusals at hand-over, put down for the bounce classifier in the transaction that records them.

A server that says `550 5.1.1` in our face says what a returned mail would say a day later, so the same table of
causes reads both (`mailer.feedback.refused`). Costs nothing where nothing was refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

SOURCE = "handover"

# A server's final no has the form of RFC 5321 4.2 (`550`, `550 5.1.1`). Words (`needs SMTPUTF8`) are our own refusal,
# and HTTP's 400 and 413 are about the request: neither says anything about the mailbox.
_OF_A_SERVER = re.compile(r"5[0-5]\d(?=[ -]|$)")

_KEEP = text("""
    INSERT INTO provider_events (source, dedupe_key, body)
    SELECT :source, sha256(convert_to(w.id::text || ' ' || CAST(:attempt AS text), 'UTF8')),
           jsonb_build_object('delivery_id', w.id, 'attempt_id', CAST(:attempt AS text), 'said', w.said)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:said AS text[])) AS w(id, said) ORDER BY w.id
    ON CONFLICT (source, dedupe_key) DO NOTHING
""")


def keep(session: Session, attempt_id: UUID, refused: Sequence[tuple[UUID, str | None]]) -> None:
    """Put down what servers said against these deliveries, each once, however often this is repeated."""
    said = [(delivery_id, words) for delivery_id, words in refused if words and _OF_A_SERVER.match(words)]
    if said:
        session.execute(
            _KEEP,
            {
                "source": SOURCE,
                "attempt": str(attempt_id),
                "ids": [delivery_id for delivery_id, _ in said],
                "said": [words.replace("\x00", "\ufffd")[:500] for _, words in said],
            },
        )
