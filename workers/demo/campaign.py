"""Two operators and a Diwali campaign: written by one, approved by the other, ready to start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from holidays.countries.india import India
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import operations, rules
from campaigns.approval import approval_hash
from campaigns.audience import Funnel, funnel
from campaigns.options import Options
from config.settings import Settings
from mailer.models import Operator
from mailer.starters import starting_source
from mailer.web.edge import transaction
from mailer.web.signin import make_operator
from workers.demo import shop

KIND = "festive"
RULE = {
    "type": "and",
    "rules": [
        {
            "type": "bought",
            "dimension": "department",
            "values": ["Grocery", "Produce", "Deli", "Pastry", "Frozen grocery"],
            "within_days": 180,
        },
        {"type": "spent", "at_least": 20_000},
        {
            "type": "not",
            "rule": {
                "type": "bought",
                "dimension": "category",
                "values": ["Greeting cards/wrap/party sply"],
                "within_days": 60,
            },
        },
    ],
}
STAFF = (
    ("anita@example.com", "Anita Rao", ("author",)),
    ("farhan@example.com", "Farhan Qureshi", ("approver",)),
    ("leela@example.com", "Leela Thomas", ("admin", "helpline")),
)


@dataclass(frozen=True, slots=True)
class SignIn:
    """How an operator of the demonstration signs in. The password was made for this run."""

    email: str
    name: str
    roles: tuple[str, ...]
    password: str


@dataclass(frozen=True, slots=True)
class Ready:
    """An approved campaign, what its rule comes to, and how fast it will go."""

    id: int
    funnel: Funnel
    rate_per_second: float | None


def hire(settings: Settings) -> list[SignIn]:
    """Add the operators, each with a password of their own."""
    import wsgi

    with wsgi.create_app(settings).app_context(), transaction():
        return [SignIn(email, name, roles, make_operator(email, name, roles)) for email, name, roles in STAFF]


def prepare(session: Session, today: date, seconds: float) -> Ready:
    """Write, submit and approve the campaign, at a rate at which it lasts about `seconds`; 0 for no limit."""
    author, approver = (_operator(session, email) for email, _, _ in STAFF[:2])
    rule = rules.parse(RULE)
    found = funnel(session, rule, KIND)
    rate = max(1.0, round(found.may_be_mailed / seconds, 1)) if seconds else None
    campaign = operations.create_campaign(
        session,
        author,
        name="Diwali wishes",
        kind=KIND,
        sender_id=shop.sender(session).id,
        rule=rule,
        options=Options(rate_per_second=rate),
    )
    source = starting_source(KIND)
    source = replace(source, values={**source.values, **dates(today)})
    operations.write_content(session, campaign.id, author, source)
    operations.submit(session, campaign.id, author)
    seen = approval_hash(session, campaign.id)
    operations.approve(session, campaign.id, approver, seen=seen, comment="Lovely. The tip about the diya stays.")
    session.flush()
    return Ready(campaign.id, found, rate)


def dates(today: date) -> Mapping[str, Any]:
    """Return what the mail says about days, for the next Diwali."""
    diwali = next_diwali(today)
    opens, closes, order = diwali - timedelta(days=4), diwali - timedelta(days=1), diwali - timedelta(days=4)
    return {
        "order_by": f"{order:%A}, {order.day} {order:%B}",
        "week": f"From {opens.day} {opens:%B} to {closes.day} {closes:%B} our shops are open until 10 pm. On "
        f"{diwali.day} {diwali:%B} we are at home with our families, and all shops are closed.",
    }


def next_diwali(today: date) -> date:
    """Return the day of the next Diwali."""
    days = India(years=(today.year, today.year + 1), language="en_IN")
    return min(day for day, name in days.items() if "Diwali" in name and day >= today)


def _operator(session: Session, email: str) -> int:
    return session.scalars(select(Operator.id).where(Operator.email == email)).one()
