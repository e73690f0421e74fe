"""What the retailer sells, what a person bought and wishes for, and the projections that segments read.

Every table of a person has the customer in its key, so that it can be distributed by customer. Money is in paise
(integers). A negative quantity is a return. No banking data is held, here or anywhere.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from mailer.db import Base


class Product(Base):
    """A thing on sale. `department` > `category` > `name`; prices in paise."""

    __tablename__ = "products"
    __table_args__ = (Index("ix_products_category", "category"), Index("ix_products_brand", "brand"))

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    external_ref: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    department: Mapped[str]
    category: Mapped[str]
    brand: Mapped[str | None]
    price_paise: Mapped[int] = mapped_column(BigInteger)


class Order(Base):
    """One purchase. `total_paise` is the sum of its lines."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_external_ref", "external_ref"),)

    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.id"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    external_ref: Mapped[str]
    placed_at: Mapped[datetime]
    total_paise: Mapped[int] = mapped_column(BigInteger)
    store: Mapped[str | None]


class OrderLine(Base):
    """One line of an order, with the time of its order so that a person's lines are read by time without a join."""

    __tablename__ = "order_lines"
    __table_args__ = (Index("ix_order_lines_product_id", "product_id", "customer_id", "placed_at"),)

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    order_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_id: Mapped[int] = mapped_column(BigInteger)
    quantity: Mapped[int]
    amount_paise: Mapped[int] = mapped_column(BigInteger)
    discount_paise: Mapped[int] = mapped_column(BigInteger, server_default="0")
    placed_at: Mapped[datetime]


class WishlistItem(Base):
    """Something a person wishes for. Removed items are kept with the time of their removal."""

    __tablename__ = "wishlist_items"
    __table_args__ = (Index("ix_wishlist_items_product_id", "product_id", "customer_id"),)

    customer_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("customers.id"), primary_key=True)
    product_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    added_at: Mapped[datetime]
    removed_at: Mapped[datetime | None]


class CustomerTotals(Base):
    """Projection of a person's orders. Kept as orders come in; `askfirst projections verify` recomputes it."""

    __tablename__ = "customer_totals"
    __table_args__ = (
        Index("ix_customer_totals_spent_paise", "spent_paise", "customer_id"),
        Index("ix_customer_totals_last_order_at", "last_order_at", "customer_id"),
    )

    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    orders: Mapped[int]
    spent_paise: Mapped[int] = mapped_column(BigInteger)
    first_order_at: Mapped[datetime]
    last_order_at: Mapped[datetime]


class PurchaseFacet(Base):
    """Projection: what a person bought of one department, category or brand (`dimension`, `value`)."""

    __tablename__ = "purchase_facets"
    __table_args__ = (Index("ix_purchase_facets_customer_id", "customer_id"),)

    dimension: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    last_at: Mapped[datetime]
    """The last time that a line with a quantity above 0 was bought."""
    lines: Mapped[int]
    units: Mapped[int]
    amount_paise: Mapped[int] = mapped_column(BigInteger)


class WishlistFacet(Base):
    """Projection: what a person's present wishlist holds of one department, category or brand."""

    __tablename__ = "wishlist_facets"
    __table_args__ = (Index("ix_wishlist_facets_customer_id", "customer_id"),)

    dimension: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    items: Mapped[int]
    last_added_at: Mapped[datetime]
