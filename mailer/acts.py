"""What operators did, in a chain of its own: append-only, written as the last statement of the act's transaction."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

# Sequence, time and hashes are given by the trigger, which also refuses any later change.
_APPEND = text("""
    INSERT INTO operator_acts (operator_id, act, subject, document)
    VALUES (:operator, :act, :subject, CAST(:document AS jsonb))
""")


def record(session: Session, operator_id: int | None, act: str, subject: str, **document: Any) -> None:
    """Append an act to the chain. Say it last: from here to the commit everybody else's act waits.

    `operator_id` None is askfirst itself; `subject` is like `campaign:7`; `document` must be JSON.
    """
    session.flush()
    session.execute(
        _APPEND,
        {"operator": operator_id, "act": act, "subject": subject, "document": json.dumps(document, ensure_ascii=False)},
    )
