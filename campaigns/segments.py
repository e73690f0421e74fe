"""A rule as one SQL statement over the projections, everything bound; and the facts of one person, read once.

Every condition is true or false, never NULL: a missing row or city must not vanish under a "not". So conditions
on other tables are EXISTS, which PostgreSQL turns into joins where they stand alone and probes where they don't.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from campaigns.facts import Facts, Line, Moment, Purchases, needs_lines
from campaigns.rules import (
    ADULT,
    AgeBand,
    And,
    Bought,
    LastOrder,
    Leaf,
    LivesIn,
    Not,
    Or,
    OrdersCount,
    Rule,
    SpeaksLocale,
    SpentTotal,
    WishlistHolds,
    mentions_age,
)
from mailer.models import (
    Customer,
    CustomerTotals,
    OrderLine,
    Product,
    PurchaseFacet,
    WishlistFacet,
    WishlistItem,
)

Condition = ColumnElement[bool]
_OF = {"category": Product.category, "brand": Product.brand, "department": Product.department}


@dataclass(frozen=True, slots=True)
class Span:
    """People with `after` < id <= `up_to`: so a chunk of an audience reads only its own part of every table."""

    after: int
    up_to: int


def matching(rule: Rule, as_of: datetime, span: Span | None = None) -> Select[int]:
    """Return the one statement that selects the ids of everybody in the segment at `as_of`."""
    return select(Customer.id).where(condition(rule, as_of, span))


def condition(rule: Rule, as_of: datetime, span: Span | None = None) -> Condition:
    """Return the segment as a condition on `Customer`. A rule that mentions an age matches known adults only."""
    frame = _Frame(Moment(as_of), span)
    said = [frame.says(rule)]
    if mentions_age(rule):
        said.append(frame.adult())
    if span is not None:
        said += [Customer.id > span.after, Customer.id <= span.up_to]
    return and_(*said)


def count(session: Session, rule: Rule, as_of: datetime | None = None) -> int:
    """Return how many people are in the segment."""
    people = matching(rule, as_of or datetime.now(UTC)).subquery()
    return session.scalar(select(func.count()).select_from(people)) or 0


@dataclass(frozen=True, slots=True)
class _Frame:
    """What every condition of one statement shares."""

    moment: Moment
    span: Span | None

    def says(self, rule: Rule) -> Condition:
        match rule:
            case And(rules):
                return and_(true(), *(self.says(r) for r in rules))
            case Or(rules):
                return or_(false(), *(self.says(r) for r in rules))
            case Not(below):
                return not_(self.says(below))
            case _:
                return self.leaf(rule)

    def leaf(self, rule: Leaf) -> Condition:  # noqa: C901, PLR0911 - one condition for each kind
        match rule:
            case Bought():
                return self.bought(rule)
            case SpentTotal(at_least=low, at_most=high):
                bounds = tuple(None if rupees is None else rupees * 100 for rupees in (low, high))
                return self.total(CustomerTotals.spent_paise, *bounds)
            case OrdersCount(at_least=low, at_most=high):
                return self.total(CustomerTotals.orders, low, high)
            case LastOrder():
                return self.last_order(rule)
            case WishlistHolds():
                return self.wishes(rule)
            case LivesIn(cities=cities, states=states):
                return or_(_among(Customer.city, cities), _among(Customer.state, states))
            case SpeaksLocale(locales=locales):
                return or_(Customer.locale.in_(locales), func.split_part(Customer.locale, "-", 1).in_(locales))
            case AgeBand():
                return self.band(rule)

    def total(self, column: InstrumentedAttribute[int], low: int | None, high: int | None) -> Condition:
        # Who never ordered has no row: enough needs one, little is the absence of more.
        said: list[Condition] = []
        if low is not None:
            said.append(exists().where(*self.mine(CustomerTotals.customer_id), column >= low))
        if high is not None:
            said.append(~exists().where(*self.mine(CustomerTotals.customer_id), column > high))
        return and_(*said)

    def last_order(self, rule: LastOrder) -> Condition:
        def ordered_within(days: int) -> Condition:
            since = self.moment.days_ago(days)
            return exists().where(*self.mine(CustomerTotals.customer_id), CustomerTotals.last_order_at >= since)

        recent = true() if rule.within_days is None else ordered_within(rule.within_days)
        quiet = true() if rule.not_within_days is None else ~ordered_within(rule.not_within_days)
        return and_(recent, quiet)

    def bought(self, rule: Bought) -> Condition:
        if needs_lines(rule):
            return self.bought_lines(rule)
        facet = PurchaseFacet
        of = [facet.dimension == rule.dimension, facet.value.in_(rule.values), facet.lines > 0]
        if rule.within_days:
            of.append(facet.last_at >= self.moment.days_ago(rule.within_days))
        return self.enough(rule, facet.customer_id, of, func.sum(facet.lines), func.sum(facet.units))

    def bought_lines(self, rule: Bought) -> Condition:
        column = Product.external_ref if rule.dimension == "product" else _OF[rule.dimension]
        products = select(Product.id).where(column.in_(rule.values))
        of = [OrderLine.product_id.in_(products), OrderLine.quantity > 0]
        if rule.within_days:
            of.append(OrderLine.placed_at >= self.moment.days_ago(rule.within_days))
        return self.enough(rule, OrderLine.customer_id, of, func.count(), func.sum(OrderLine.quantity))

    def enough(
        self,
        rule: Bought,
        customer_id: InstrumentedAttribute[int],
        of: list[Condition],
        lines: ColumnElement[int],
        units: ColumnElement[int],
    ) -> Condition:
        if not (rule.at_least_lines or rule.at_least_units):
            return exists().where(*self.mine(customer_id), *of)
        grouped = select(customer_id).where(*of, *self.within(customer_id)).group_by(customer_id)
        if rule.at_least_lines:
            grouped = grouped.having(lines >= rule.at_least_lines)
        if rule.at_least_units:
            grouped = grouped.having(units >= rule.at_least_units)
        return Customer.id.in_(grouped)

    def wishes(self, rule: WishlistHolds) -> Condition:
        if rule.dimension == "product":
            products = select(Product.id).where(Product.external_ref.in_(rule.values))
            here = (WishlistItem.product_id.in_(products), WishlistItem.removed_at.is_(None))
            return exists().where(*self.mine(WishlistItem.customer_id), *here)
        facet = WishlistFacet
        of = (facet.dimension == rule.dimension, facet.value.in_(rule.values), facet.items > 0)
        return exists().where(*self.mine(facet.customer_id), *of)

    def band(self, rule: AgeBand) -> Condition:
        born = [Customer.birth_date.is_not(None), Customer.birth_date <= self.moment.born_by(rule.from_age)]
        if rule.to_age is not None:
            born.append(Customer.birth_date > self.moment.born_by(rule.to_age + 1))
        return self.adult() if (rule.from_age, rule.to_age) == (ADULT, None) else and_(*born)

    def adult(self) -> Condition:
        by_birth = and_(Customer.birth_date.is_not(None), Customer.birth_date <= self.moment.born_by(ADULT))
        return or_(by_birth, and_(Customer.birth_date.is_(None), Customer.declared_adult_at.is_not(None)))

    def mine(self, customer_id: InstrumentedAttribute[int]) -> tuple[Condition, ...]:
        return (customer_id == Customer.id, *self.within(customer_id))

    def within(self, customer_id: InstrumentedAttribute[int]) -> tuple[Condition, ...]:
        # PostgreSQL carries an equality over to the joined table, but not a range: say it again.
        return () if self.span is None else (customer_id > self.span.after, customer_id <= self.span.up_to)


def _among(column: InstrumentedAttribute[str | None], values: tuple[str, ...]) -> Condition:
    return and_(column.is_not(None), column.in_(values)) if values else false()


def facts_of(session: Session, customer_id: int) -> Facts | None:
    """Return everything a rule can ask about one person, in a fixed number of statements; None: nobody has this id."""
    person = session.get(Customer, customer_id, populate_existing=True)
    if person is None:
        return None
    totals = session.get(CustomerTotals, customer_id, populate_existing=True)
    return Facts(
        city=person.city,
        state=person.state,
        locale=person.locale,
        birth_date=person.birth_date,
        declared_adult=person.declared_adult_at is not None,
        orders=totals.orders if totals is not None else 0,
        spent_paise=totals.spent_paise if totals is not None else 0,
        last_order_at=totals.last_order_at if totals is not None else None,
        bought=_bought_by(session, customer_id),
        lines=_lines_of(session, customer_id),
        wishes=_wishes_of(session, customer_id),
    )


def _bought_by(session: Session, customer_id: int) -> dict[tuple[str, str], Purchases]:
    facets = session.scalars(select(PurchaseFacet).where(PurchaseFacet.customer_id == customer_id))
    return {(f.dimension, f.value): Purchases(f.last_at, f.lines, f.units) for f in facets}


def _lines_of(session: Session, customer_id: int) -> tuple[Line, ...]:
    of = (Product.external_ref, Product.category, Product.brand, Product.department)
    rows = session.execute(
        select(OrderLine.placed_at, OrderLine.quantity, *of)
        .join(Product, Product.id == OrderLine.product_id)
        .where(OrderLine.customer_id == customer_id, OrderLine.quantity > 0)
    )
    names = ("product", "category", "brand", "department")
    return tuple(Line(at, quantity, dict(zip(names, of, strict=True))) for at, quantity, *of in rows)


def _wishes_of(session: Session, customer_id: int) -> frozenset[tuple[str, str]]:
    facets = session.execute(
        select(WishlistFacet.dimension, WishlistFacet.value).where(
            WishlistFacet.customer_id == customer_id, WishlistFacet.items > 0
        )
    )
    products: Any = session.scalars(
        select(Product.external_ref)
        .join(WishlistItem, WishlistItem.product_id == Product.id)
        .where(WishlistItem.customer_id == customer_id, WishlistItem.removed_at.is_(None))
    )
    return frozenset({(d, v) for d, v in facets} | {("product", ref) for ref in products})
