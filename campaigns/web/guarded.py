"""What came back of a campaign, what it stopped, and where its canary is, as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Campaign
from mailer import canary, guard_limits, guards
from mailer.guard_limits import Limits, What
from mailer.guards import Finding, Level
from mailer.models import GuardCount


@dataclass(frozen=True, slots=True)
class Guarded:
    """What came back, what it stopped, and where the canary is."""

    complaints: int
    bounces: int
    stopped: bool
    domains: list[Finding]
    """Recipient domains to which nothing goes until a person says so."""
    warned: list[Finding]
    canary: canary.Canary | None
    limits: Limits

    @property
    def waits(self) -> bool:
        """Whether all but the first wait for the numbers, or for a person."""
        return self.canary is not None and self.canary.stage in ("waiting", "held")


def of_campaign(session: Session, campaign: Campaign) -> Guarded:
    """Read it all; nothing here grows with the audience."""
    reports = guards.reports_of(session, campaign.id)
    query = select(GuardCount).where(GuardCount.campaign_id == campaign.id).order_by(GuardCount.domain, GuardCount.what)
    found = [
        Finding(row.domain, cast("What", row.what), cast("Level", row.level), row.reports, row.base)
        for row in session.scalars(query)
    ]
    return Guarded(
        complaints=reports.get((guards.WHOLE, "complaints"), 0),
        bounces=reports.get((guards.WHOLE, "bounces"), 0),
        stopped=guards.stopped(session, campaign.id),
        domains=[one for one in found if one.domain and one.level == "stop"],
        warned=[one for one in found if one.level == "warn"],
        canary=canary.look(session, campaign.id),
        limits=guard_limits.read(session),
    )
