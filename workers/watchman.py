"""What the clock watches: the numbers of campaigns that are being sent."""

from __future__ import annotations

import structlog

from campaigns import guarding
from mailer import canary
from mailer.db import SessionFactory
from mailer.guards import Watch

log = structlog.get_logger(__name__)


class Watchman:
    """Looks at one thing after another; what can't be looked at hides nothing else."""

    def __init__(self, sessions: SessionFactory) -> None:
        self._sessions = sessions
        self._watch = Watch()

    def look_at_numbers(self) -> None:
        """Warn of campaigns and domains, stop them, and let canaries' rest go."""
        with self._sessions() as session:
            sending, singing = guarding.of_sending(session), canary.singing(session)
        for campaign_id in sorted({*sending, *singing}):
            # Each campaign apart: one whose numbers can't be read must not keep the others from being stopped.
            try:
                with self._sessions() as session, session.begin():
                    guarding.look(session, campaign_id, self._watch)
                    if campaign_id in singing:
                        guarding.look_at_canary(session, campaign_id)
            except Exception:
                log.exception("duty_failed", duty="look_at_numbers", campaign_id=campaign_id)
