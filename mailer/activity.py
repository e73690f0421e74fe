"""What people bought and wish for, and the projections of it that segments read.

The sources are `orders`, `order_lines` and `wishlist_items`; `customer_totals`, `purchase_facets` and
`wishlist_facets` are derived from them. Every door here keeps the derived rows in the transaction of the source,
set by set: `rebuild` makes them anew, `verify` derives them again and names every row that differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    and_,
    any_,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import Subquery

from mailer.db import Base
from mailer.models import CustomerTotals, Order, OrderLine, Product, PurchaseFacet, WishlistFacet, WishlistItem

DIMENSIONS = ("department", "category", "brand")
"""By what a facet sums up: a column of `products` each."""
LOCK_SPACE = 7220643
STRIPES = 256

Row = Mapping[str, Any]
Derivation: TypeAlias = Select[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Difference:
    """A derived row that is not what its sources come to; None where there is no row at all."""

    projection: str
    key: tuple[Any, ...]
    kept: tuple[Any, ...] | None
    derived: tuple[Any, ...] | None


# -- what comes in -------------------------------------------------------------------------------


def add_products(session: Session, products: Sequence[Row]) -> None:
    """Add products, or bring known ones (by `external_ref`) up to date, with the facets of whoever has them."""
    if not products:
        return
    new = upsert(Product)
    changed = {name: new.excluded[name] for name in ("name", "department", "category", "brand", "price_paise")}
    session.execute(new.on_conflict_do_update(index_elements=[Product.external_ref], set_=changed), list(products))
    refs = [product["external_ref"] for product in products]
    ids = list(session.scalars(select(Product.id).where(Product.external_ref.in_(refs))))
    bought = select(OrderLine.customer_id).where(_among(OrderLine.product_id, ids))
    wished = select(WishlistItem.customer_id).where(_among(WishlistItem.product_id, ids))
    keep(session, session.scalars(bought.union(wished)))


def add_orders(session: Session, orders: Sequence[Row], lines: Sequence[Row]) -> None:
    """Add orders with their lines and keep the projections. The same order twice changes nothing."""
    if not orders:
        return
    customers = {order["customer_id"] for order in orders}
    _hold(session, customers)
    session.execute(upsert(Order).on_conflict_do_nothing(), list(orders))
    if lines:
        session.execute(upsert(OrderLine).on_conflict_do_nothing(), list(lines))
    keep(session, customers)


def wish(session: Session, customer_id: int, products: Iterable[int], at: datetime) -> None:
    """Put products on a person's wishlist. Something that was removed before is there again."""
    rows = [{"customer_id": customer_id, "product_id": product, "added_at": at} for product in sorted(set(products))]
    if not rows:
        return
    _hold(session, {customer_id})
    new = upsert(WishlistItem)
    again = {"added_at": new.excluded.added_at, "removed_at": None}
    session.execute(
        new.on_conflict_do_update(
            index_elements=[WishlistItem.customer_id, WishlistItem.product_id],
            set_=again,
            where=WishlistItem.removed_at.is_not(None),
        ),
        rows,
    )
    keep(session, {customer_id})


def unwish(session: Session, customer_id: int, products: Iterable[int], at: datetime) -> None:
    """Take products off a person's wishlist; the rows stay, with the time of their removal."""
    _hold(session, {customer_id})
    session.execute(
        update(WishlistItem)
        .where(WishlistItem.customer_id == customer_id, WishlistItem.product_id.in_(set(products)))
        .where(WishlistItem.removed_at.is_(None))
        .values(removed_at=at)
    )
    keep(session, {customer_id})


def copy_in(session: Session, model: type[Base], columns: Sequence[str], chunks: Iterable[bytes]) -> int:
    """Load CSV `chunks` into the table of `model` by COPY and return the number of rows.

    The door for a whole history. It keeps no projection: `rebuild` follows in the same transaction.
    """
    table = model.__tablename__
    cursor = session.connection().connection.cursor()
    with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv)") as copy:
        for chunk in chunks:
            copy.write(chunk)
    return int(cursor.rowcount)


# -- what is derived -----------------------------------------------------------------------------


def keep(session: Session, customers: Iterable[int]) -> None:
    """Derive the projections of these people anew, from what is committed or written here."""
    ids = sorted(set(customers))
    _hold(session, ids)
    _derive(session, ids)


def rebuild(session: Session) -> None:
    """Derive every projection anew. Writers wait meanwhile, readers don't."""
    session.execute(text("SET LOCAL work_mem = '64MB'"))
    for model in (CustomerTotals, PurchaseFacet, WishlistFacet):
        session.execute(text(f"LOCK TABLE {model.__tablename__} IN SHARE ROW EXCLUSIVE MODE"))
    _derive(session, None)


def verify(session: Session, limit: int = 20) -> list[Difference]:
    """Return what differs between the projections and their sources, at most `limit` rows of each; empty is good."""
    session.execute(text("SET LOCAL work_mem = '64MB'"))
    return [
        difference
        for model, derived in (
            (CustomerTotals, _totals(None).subquery()),
            (PurchaseFacet, union_all(*(_purchases(one, None) for one in DIMENSIONS)).subquery()),
            (WishlistFacet, union_all(*(_wishes(one, None) for one in DIMENSIONS)).subquery()),
        )
        for difference in _differences(session, model, derived, limit)
    ]


def _hold(session: Session, customers: Iterable[int]) -> None:
    """Let two writers of one person derive one after the other: the second then sees what the first wrote.

    The customers' own rows are the gate's: a purchase never waits for a hand-over, nor the other way round. The
    locks are shared by people with the same remainder, so that a large import takes no more than `STRIPES` of them.
    """
    stripes = sorted({customer % STRIPES for customer in customers})
    session.execute(
        text("SELECT pg_advisory_xact_lock(:space, stripe) FROM unnest(CAST(:stripes AS int[])) AS stripe"),
        {"space": LOCK_SPACE, "stripes": stripes},
    )


def _derive(session: Session, ids: Sequence[int] | None) -> None:
    for model in (CustomerTotals, PurchaseFacet, WishlistFacet):
        gone = delete(model)
        session.execute(gone if ids is None else gone.where(_among(model.customer_id, ids)))
    _fill(session, CustomerTotals, _totals(ids))
    for dimension in DIMENSIONS:
        _fill(session, PurchaseFacet, _purchases(dimension, ids))
        _fill(session, WishlistFacet, _wishes(dimension, ids))


def _fill(session: Session, model: type[Base], query: Derivation) -> None:
    session.execute(insert(model).from_select([column.name for column in query.selected_columns], query))


def _among(column: ColumnElement[int] | Any, ids: Sequence[int] | None) -> ColumnElement[bool]:
    """Whether `column` is one of `ids`, as one array parameter however many they are; None means everybody."""
    if ids is None:
        return literal(True)
    return column == any_(cast(list(ids), ARRAY(BigInteger)))


def _totals(ids: Sequence[int] | None) -> Derivation:
    return (
        select(
            Order.customer_id,
            cast(func.count(), Integer).label("orders"),
            cast(func.sum(Order.total_paise), BigInteger).label("spent_paise"),
            func.min(Order.placed_at).label("first_order_at"),
            func.max(Order.placed_at).label("last_order_at"),
        )
        .where(_among(Order.customer_id, ids))
        .group_by(Order.customer_id)
    )


def _purchases(dimension: str, ids: Sequence[int] | None) -> Derivation:
    """What each person bought by `dimension`: lines and units that they got, money less what was given back.

    Who only ever brought things back bought nothing: no row.
    """
    value: ColumnElement[str] = Product.__table__.c[dimension]
    got = OrderLine.quantity > 0
    last_at = func.max(OrderLine.placed_at).filter(got)
    return (
        select(
            literal(dimension).label("dimension"),
            value.label("value"),
            OrderLine.customer_id,
            last_at.label("last_at"),
            cast(func.count().filter(got), Integer).label("lines"),
            cast(func.sum(OrderLine.quantity).filter(got), Integer).label("units"),
            cast(func.sum(OrderLine.amount_paise), BigInteger).label("amount_paise"),
        )
        .join(Product, Product.id == OrderLine.product_id)
        .where(value.is_not(None), _among(OrderLine.customer_id, ids))
        .group_by(value, OrderLine.customer_id)
        .having(last_at.is_not(None))
    )


def _wishes(dimension: str, ids: Sequence[int] | None) -> Derivation:
    value: ColumnElement[str] = Product.__table__.c[dimension]
    return (
        select(
            literal(dimension).label("dimension"),
            value.label("value"),
            WishlistItem.customer_id,
            cast(func.count(), Integer).label("items"),
            func.max(WishlistItem.added_at).label("last_added_at"),
        )
        .join(Product, Product.id == WishlistItem.product_id)
        .where(WishlistItem.removed_at.is_(None), value.is_not(None), _among(WishlistItem.customer_id, ids))
        .group_by(value, WishlistItem.customer_id)
    )


def _differences(session: Session, model: type[Base], derived: Subquery, limit: int) -> list[Difference]:
    """Join what is kept with what is derived, both ways, and return the rows in which they differ."""
    table = Base.metadata.tables[model.__tablename__]
    keys = [column.name for column in table.primary_key]
    facts = [column.name for column in table.c if column.name not in keys]
    same = [table.c[name] == derived.c[name] for name in keys]
    differ = [table.c[name].is_distinct_from(derived.c[name]) for name in keys + facts]
    query = (
        select(*(table.c[name] for name in keys + facts), *(derived.c[name] for name in keys + facts))
        .select_from(table.join(derived, and_(*same), full=True))
        .where(or_(*differ))
        .limit(limit)
    )
    return [_difference(table.name, len(keys), tuple(row)) for row in session.execute(query)]


def _difference(projection: str, keys: int, row: tuple[Any, ...]) -> Difference:
    kept, derived = row[: len(row) // 2], row[len(row) // 2 :]
    there, due = kept[0] is not None, derived[0] is not None
    return Difference(
        projection=projection,
        key=(kept if there else derived)[:keys],
        kept=kept[keys:] if there else None,
        derived=derived[keys:] if due else None,
    )
