"""HOLD: nothing is sent until a person says so. Set by a restored database or a wrong root key, or by hand.

Opt-outs, pages and the clock go on working; only the gate and the picking of deliveries say no.
"""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import acts


def hold(session: Session, operator_id: int | None, reason: str) -> bool:
    """Stop all sending; return whether it was going. After W = 0.8 s nothing more starts."""
    held = session.execute(
        text("""UPDATE installation SET hold = true, hold_reason = :why, hold_since = clock_timestamp()
                 WHERE id = 1 AND NOT hold RETURNING id"""),
        {"why": reason},
    ).first()
    if held is not None:
        acts.record(session, operator_id, "hold_set", "installation", reason=reason)
    return held is not None


def release(session: Session, operator_id: int | None, reason: str, *, fingerprint: str | None = None) -> bool:
    """Let sending go on; return whether it was held. `fingerprint` accepts another root key for good.

    A database that was in doubt (`mailer.restore`) is accepted as it is.
    """
    was = session.execute(text("SELECT hold_reason FROM installation WHERE id = 1 AND hold FOR UPDATE")).first()
    if was is None:
        return False
    session.execute(
        text("""UPDATE installation SET hold = false, hold_reason = NULL, hold_since = NULL,
                       root_key_fingerprint = coalesce(:fingerprint, root_key_fingerprint),
                       accepted_witness = coalesce(doubted_witness, accepted_witness), doubted_witness = NULL
                 WHERE id = 1"""),
        {"fingerprint": fingerprint},
    )
    acts.record(session, operator_id, "hold_released", "installation", reason=reason, was=was.hold_reason)
    return True
