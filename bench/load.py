"""Loading a purchase history, projections included: order lines a second.

Ours: COPY into the tables as they are, with keys and indexes, then every projection derived anew. The limit: COPY
of the same bytes of lines into a table without key or index, and no projection. The naive way: the same lines one
INSERT each, with the row of each projection read and written in Python (timed on a share of them).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from config.settings import Settings
from mailer import activity
from mailer.db import create_engine_from
from mailer.models import CustomerTotals, OrderLine, PurchaseFacet
from workers.demo.history import PARTS, History
from workers.measured import Measured
from workers.up import make_ready

SIZES = (150_000, 1_469_307)
LINES_A_HOUSEHOLD = 595
NAIVE_LINES = 1_500
UNTIL = date(2026, 11, 7)
BARE = "CREATE TABLE bare AS SELECT * FROM order_lines LIMIT 0"
COLUMNS = ", ".join(PARTS["order lines"].columns)


def run(settings: Settings, n: int, **_options: Any) -> Measured:
    """Measure with about `n` lines: whole households. The history is what it is: no option changes it."""
    make_ready(settings)
    engine = create_engine_from(settings.database_url or "")
    history = History(UNTIL, max(1, n // LINES_A_HOUSEHOLD))
    add_households(engine, history)
    began, cpu = time.perf_counter(), time.process_time()
    with Session(engine) as session:
        history.load(session, settings.shop_zone, lambda *_: None)
        activity.rebuild(session)
        session.commit()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    lines = history.counts().lines
    limit = copy_bare(settings, engine, history)
    naive = one_by_one(engine)
    history.close()
    engine.dispose()
    return Measured(lines, "order lines/s", lines / seconds, limit, naive, cpu / lines * 1000)


def add_households(engine: Engine, history: History) -> None:
    with Session(engine) as session, session.begin():
        session.execute(
            text("""INSERT INTO customers (id, ref) SELECT id, decode(lpad(to_hex(id), 32, '0'), 'hex')
                      FROM unnest(CAST(:ids AS bigint[])) AS id"""),
            {"ids": [household.id for household in history.households()]},
        )


def copy_bare(settings: Settings, engine: Engine, history: History) -> float:
    with owner_of(settings) as owner:
        owner.execute(text(BARE))
        owner.execute(text("GRANT INSERT ON bare TO PUBLIC"))
    with engine.begin() as connection, history.rows("order lines") as chunks:
        cursor = connection.connection.cursor()
        began, lines = time.perf_counter(), 0
        with cursor.copy(f"COPY bare ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
            for chunk in chunks:
                copy.write(chunk)
                lines += chunk.count(b"\n")
    return lines / (time.perf_counter() - began)


@contextmanager
def owner_of(settings: Settings) -> Iterator[Any]:
    engine = create_engine_from(settings.database_owner_url or settings.database_url or "")
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def one_by_one(engine: Engine) -> float:
    """Take some lines out again, then add them the way a first version would."""
    with Session(engine) as session, session.begin():
        some = session.query(OrderLine).limit(NAIVE_LINES).all()
        rows = [{column.name: getattr(line, column.name) for column in OrderLine.__table__.c} for line in some]
        for line in some:
            session.delete(line)
    began = time.perf_counter()
    for row in rows:
        with Session(engine) as session, session.begin():
            add_line(session, row)
    return len(rows) / (time.perf_counter() - began)


def add_line(session: Session, row: dict[str, Any]) -> None:
    session.add(OrderLine(**row))
    product = session.execute(
        text("SELECT department, category, brand FROM products WHERE id = :id"), {"id": row["product_id"]}
    ).one_or_none()
    totals = session.get(CustomerTotals, row["customer_id"])
    if totals is not None:
        totals.spent_paise += row["amount_paise"]
    for dimension in activity.DIMENSIONS if product is not None else ():
        facet = session.get(PurchaseFacet, (dimension, getattr(product, dimension), row["customer_id"]))
        if facet is not None:
            facet.lines += 1
            facet.units += row["quantity"]
            facet.amount_paise += row["amount_paise"]
