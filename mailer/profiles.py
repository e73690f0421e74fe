"""What the database knows of the people of one batch that a mail may speak of: a row a person, things by number.

One statement for a batch, however large it is, and only what somebody wants to know: the rest is not looked up.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from sqlalchemy.orm import Session

from mailer import arrays, statements
from mailer.cards import Thing
from mailer.statements import Statement

Profile: TypeAlias = (
    "tuple[int, bytes, str | None, str | None, datetime, str, list[int] | None, list[str] | None,"
    " datetime | None, list[int] | None]"
)
"""Number, reference, first name and city; when and where they agreed; products they wish for, newest wish first;
categories they often buy; when they bought last and products of then. None where nobody wanted to know."""


class Wanted(NamedTuple):
    """What a content says of people, beyond what every mail does."""

    wishes: bool = True
    often: bool = True
    last: bool = True


def read(session: Session, people: Collection[int], purpose: str, wanted: Wanted, category: str) -> list[Profile]:
    """Return a row for each of `people` whose yes to `purpose` stands. What they bought last: of `category`, if any."""
    asked = {"people": arrays.numbers(people), "purpose": purpose, "category": category}
    return statements.run(session, _statement(wanted, category != ""), asked).fetchall()


def things(session: Session, numbers: Collection[int]) -> dict[int, Thing]:
    """Return the products with these numbers; none for a number that there isn't."""
    found = statements.run(session, _THINGS, {"numbers": arrays.numbers(numbers)})
    return {number: Thing(*said) for number, *said in found}


@lru_cache(16)
def _statement(wanted: Wanted, one_category: bool) -> Statement:
    of_category = ("AND value = :category", "AND p.category = :category") if one_category else ("", "")
    joined = _LAST_AT.format(of_category=of_category[0]) if wanted.last else ""
    last = f"f.last_at, {_LAST.format(of_category=of_category[1])}" if wanted.last else "NULL, NULL"
    return Statement(
        _PEOPLE.format(
            wishes=_WISHES if wanted.wishes else "NULL",
            often=_OFTEN if wanted.often else "NULL",
            last=last,
            joined=joined,
        )
    )


# Those asked for come first, whatever the planner knows: a plan made on empty tables would go through all consents.
_PEOPLE = """
    WITH who AS MATERIALIZED (SELECT unnest(CAST(:people AS bigint[])) AS id)
    SELECT c.id, c.ref, c.given_name, c.city, e.occurred_at, e.source, {wishes}, {often}, {last}
      FROM who
      CROSS JOIN LATERAL (SELECT * FROM customers WHERE id = who.id OFFSET 0) AS c
      CROSS JOIN LATERAL (SELECT seq FROM consent_state
                           WHERE customer_id = who.id AND purpose = :purpose AND granted OFFSET 0) AS s
      CROSS JOIN LATERAL (SELECT occurred_at, source FROM consent_events
                           WHERE customer_id = who.id AND seq = s.seq OFFSET 0) AS e
      {joined}"""

# A few more than a mail shows: what is never named in a mail is left out afterwards.
_WISHES = """
    ARRAY(SELECT product_id FROM wishlist_items WHERE customer_id = c.id AND removed_at IS NULL
           ORDER BY added_at DESC, product_id LIMIT 8)"""

_OFTEN = """
    ARRAY(SELECT value FROM purchase_facets WHERE customer_id = c.id AND dimension = 'category' AND lines > 0
           ORDER BY lines DESC, last_at DESC, value LIMIT 16)"""

# The facet knows when it was, the order is found by that, and its lines by key: no scan of a long history.
_LAST_AT = """
    LEFT JOIN LATERAL (SELECT last_at FROM purchase_facets
                        WHERE customer_id = c.id AND dimension = 'category' {of_category}
                        ORDER BY last_at DESC LIMIT 1) AS f ON true"""

_LAST = """
    CASE WHEN f.last_at IS NOT NULL THEN
    ARRAY(SELECT p.id
            FROM orders o
            JOIN order_lines n ON n.customer_id = o.customer_id AND n.order_id = o.id
            JOIN products p ON p.id = n.product_id
           WHERE o.customer_id = c.id AND o.placed_at = f.last_at AND n.quantity > 0 {of_category}
           ORDER BY n.amount_paise DESC, p.id LIMIT 8) END"""

_THINGS = Statement("""
    SELECT id, name, department, category, external_ref, price_paise FROM products
     WHERE id = ANY(CAST(:numbers AS bigint[]))""")
