"""What people bought and wish for, and the projections that segments read."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import activity
from mailer.models import CustomerTotals, Order, OrderLine, Product, PurchaseFacet, WishlistFacet, WishlistItem
from tests.conftest import Committed
from tests.factories import person

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def product(ref: str, category: str, department: str = "Grocery", brand: str | None = "National") -> dict[str, Any]:
    return {
        "external_ref": ref,
        "name": f"Product {ref}",
        "department": department,
        "category": category,
        "brand": brand,
        "price_paise": 10_000,
    }


def catalogue(session: Session) -> dict[str, int]:
    activity.add_products(session, [product("tea", "Tea"), product("lamp", "Lamps", "Home", None)])
    return {row.external_ref: row.id for row in session.execute(select(Product.external_ref, Product.id))}


def order(number: int, customer: int, lines: list[tuple[int, int, int]], at: datetime = NOON) -> tuple[dict, list]:
    """An order of (product, quantity, paise) lines."""
    head = {
        "customer_id": customer,
        "id": number,
        "external_ref": str(number),
        "placed_at": at,
        "total_paise": sum(paise for _, _, paise in lines),
        "store": None,
    }
    of = {"customer_id": customer, "order_id": number, "placed_at": at}
    return head, [
        {**of, "line": i, "product_id": p, "quantity": quantity, "amount_paise": paise}
        for i, (p, quantity, paise) in enumerate(lines, start=1)
    ]


def totals(session: Session, customer: int) -> CustomerTotals | None:
    return session.get(CustomerTotals, customer, populate_existing=True)


def facet(session: Session, customer: int, dimension: str, value: str) -> tuple[datetime, int, int, int] | None:
    row = session.get(PurchaseFacet, (dimension, value, customer), populate_existing=True)
    return row and (row.last_at, row.lines, row.units, row.amount_paise)


def test_an_order_is_in_totals_and_facets_at_once(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    head, lines = order(1, customer, [(products["tea"], 2, 500), (products["lamp"], 1, 9_000)])
    activity.add_orders(session, [head], lines)
    kept = totals(session, customer)
    assert kept is not None
    assert (kept.orders, kept.spent_paise, kept.last_order_at) == (1, 9_500, NOON)
    assert facet(session, customer, "category", "Tea") == (NOON, 1, 2, 500)
    assert facet(session, customer, "department", "Home") == (NOON, 1, 1, 9_000)
    assert facet(session, customer, "brand", "National") == (NOON, 1, 2, 500)
    assert activity.verify(session) == []


def test_the_same_order_twice_counts_once(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    head, lines = order(1, customer, [(products["tea"], 2, 500)])
    activity.add_orders(session, [head], lines)
    activity.add_orders(session, [head], lines)
    assert facet(session, customer, "category", "Tea") == (NOON, 1, 2, 500)


def test_what_was_brought_back_was_not_bought_but_lowers_the_money(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    later = NOON + timedelta(days=9)
    bought = order(1, customer, [(products["tea"], 2, 500)])
    returned = order(2, customer, [(products["tea"], -1, -250), (products["lamp"], 0, -100)], later)
    activity.add_orders(session, [bought[0], returned[0]], bought[1] + returned[1])
    assert facet(session, customer, "category", "Tea") == (NOON, 1, 2, 250)
    assert facet(session, customer, "category", "Lamps") is None
    assert activity.verify(session) == []


def test_a_wish_that_was_removed_is_in_no_facet_and_a_new_wish_is_again(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id

    def wished() -> list[str]:
        rows = select(WishlistFacet.value).where(WishlistFacet.customer_id == customer)
        return sorted(session.scalars(rows.where(WishlistFacet.dimension == "category")))

    activity.wish(session, customer, products.values(), NOON)
    assert wished() == ["Lamps", "Tea"]
    activity.unwish(session, customer, [products["tea"]], NOON + timedelta(days=1))
    assert wished() == ["Lamps"]
    removed = session.get(WishlistItem, (customer, products["tea"]), populate_existing=True)
    assert removed is not None
    assert removed.removed_at == NOON + timedelta(days=1)
    activity.wish(session, customer, [products["tea"]], NOON + timedelta(days=2))
    assert wished() == ["Lamps", "Tea"]
    assert activity.verify(session) == []


def test_a_product_that_moves_to_another_category_moves_in_the_facets(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    head, lines = order(1, customer, [(products["tea"], 1, 500)])
    activity.add_orders(session, [head], lines)
    activity.wish(session, customer, [products["tea"]], NOON)
    activity.add_products(session, [product("tea", "Hot drinks")])
    assert facet(session, customer, "category", "Tea") is None
    assert facet(session, customer, "category", "Hot drinks") == (NOON, 1, 1, 500)
    assert activity.verify(session) == []


def test_rebuild_gives_what_keeping_gave(session: Session, keys: Keys) -> None:
    products, people = catalogue(session), [person(session, keys).id for _ in range(5)]
    for number, customer in enumerate(people):
        head, lines = order(number, customer, [(products["tea"], number, 100), (products["lamp"], 1, 900)])
        activity.add_orders(session, [head], lines)
        activity.wish(session, customer, [products["lamp"]], NOON)

    def everything() -> list[Any]:
        tables = ("customer_totals", "purchase_facets", "wishlist_facets")
        return [session.execute(text(f"SELECT * FROM {name} ORDER BY 1, 2, 3")).all() for name in tables]

    before = everything()
    activity.rebuild(session)
    assert everything() == before
    assert all(before)


def test_a_line_of_an_unknown_product_counts_in_the_total_and_in_no_facet(session: Session, keys: Keys) -> None:
    customer = person(session, keys).id
    head, lines = order(1, customer, [(99_999_999, 1, 700)])
    activity.add_orders(session, [head], lines)
    kept = totals(session, customer)
    assert kept is not None
    assert kept.spent_paise == 700
    found = session.scalars(select(PurchaseFacet).where(PurchaseFacet.customer_id == customer)).all()
    assert found == []
    assert activity.verify(session) == []


@pytest.mark.parametrize(
    "table, change",
    [
        ("customer_totals", "UPDATE customer_totals SET spent_paise = spent_paise + 1 WHERE customer_id = :one"),
        ("customer_totals", "DELETE FROM customer_totals WHERE customer_id = :one"),
        ("purchase_facets", "UPDATE purchase_facets SET lines = lines + 1 WHERE customer_id = :one"),
        ("purchase_facets", "UPDATE purchase_facets SET value = 'Ghost' WHERE customer_id = :one AND value = 'Tea'"),
        ("wishlist_facets", "DELETE FROM wishlist_facets WHERE customer_id = :one"),
    ],
)
def test_verify_names_what_differs(session: Session, keys: Keys, table: str, change: str) -> None:
    products, customer = catalogue(session), person(session, keys).id
    head, lines = order(1, customer, [(products["tea"], 1, 500)])
    activity.add_orders(session, [head], lines)
    activity.wish(session, customer, [products["lamp"]], NOON)
    session.execute(text(change), {"one": customer})
    found = activity.verify(session)
    assert found
    assert {difference.projection for difference in found} == {table}
    assert all(customer in difference.key for difference in found)
    activity.rebuild(session)
    assert activity.verify(session) == []


def test_verify_sees_a_source_that_was_changed_behind_its_back(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    head, lines = order(1, customer, [(products["tea"], 1, 500)])
    activity.add_orders(session, [head], lines)
    session.execute(update(OrderLine).where(OrderLine.customer_id == customer).values(amount_paise=1))
    (difference, *_) = activity.verify(session)
    assert difference.kept is not None
    assert difference.derived is not None
    assert (difference.kept[-1], difference.derived[-1]) == (500, 1)


def test_copied_lines_are_in_the_projections_after_a_rebuild(session: Session, keys: Keys) -> None:
    products, customer = catalogue(session), person(session, keys).id
    columns = ["customer_id", "id", "external_ref", "placed_at", "total_paise"]
    assert activity.copy_in(session, Order, columns, [f"{customer},1,a,{NOON},500\n".encode()]) == 1
    columns = ["customer_id", "order_id", "line", "product_id", "quantity", "amount_paise", "placed_at"]
    rows = [f"{customer},1,1,{products['tea']},1,300,{NOON}\n", f"{customer},1,2,{products['tea']},0,200,{NOON}\n"]
    assert activity.copy_in(session, OrderLine, columns, [row.encode() for row in rows]) == 2
    assert activity.verify(session) != []
    activity.rebuild(session)
    assert activity.verify(session) == []
    assert facet(session, customer, "category", "Tea") == (NOON, 1, 1, 500)


def test_two_writers_of_one_person_lose_nothing(committed: Committed, keys: Keys) -> None:
    """Both derive from the orders that are there: the second must see what the first wrote."""
    with committed() as session:
        products, customer = catalogue(session), person(session, keys).id
        session.commit()
    started = threading.Barrier(4)

    def write(worker: int) -> None:
        started.wait()
        for number in range(10):
            with committed() as session:
                head, lines = order(worker * 100 + number, customer, [(products["tea"], 1, 100)])
                activity.add_orders(session, [head], lines)
                session.commit()

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with committed() as session:
        assert activity.verify(session) == []
        kept = totals(session, customer)
        assert kept is not None
        assert (kept.orders, kept.spent_paise) == (40, 4_000)


def test_a_purchase_does_not_wait_for_a_hand_over(committed: Committed, keys: Keys) -> None:
    """The gate holds the person's row while it hands over; an order needs only the key of that row."""
    with committed() as session:
        products, customer = catalogue(session), person(session, keys).id
        session.commit()
    with committed() as gate, committed() as shop:
        gate.execute(text("SELECT 1 FROM customers WHERE id = :one FOR NO KEY UPDATE"), {"one": customer})
        shop.execute(text("SET LOCAL lock_timeout = '2s'"))
        head, lines = order(1, customer, [(products["tea"], 1, 100)])
        activity.add_orders(shop, [head], lines)
        shop.commit()
        assert totals(shop, customer) is not None
