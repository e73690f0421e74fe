"""Webhook events stored and applied a second, duplicates and disorder included.

Ours: batches of 500 signed events in shuffled order, one in five told twice; verified and stored as the door does it,
then applied as the clock does it, until nothing is waiting. The limit: COPY of the same bytes, nothing applied. The
naive way: each event in a transaction of its own that looks it up, inserts it and updates the delivery through the
ORM (timed on a share of them).
"""

from __future__ import annotations

import base64
import json
import random
import time
from typing import Any
from uuid import UUID, uuid4

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from config.keys import Keys
from config.settings import Settings
from mailer.consent.links import Links
from mailer.db import create_engine_from
from mailer.feedback import store
from mailer.feedback.applying import Applier
from mailer.feedback.signatures import is_signed
from mailer.models import Delivery, ProviderEvent
from workers.measured import Measured
from workers.up import make_ready

SIZES = (10_000, 100_000)
BATCH = 500
WORDS = ("processed", "delivered", "open", "click")
"""What most events are; one delivery in two hundred bounces for good as well."""
NAIVE_EVENTS = 1_000
STARTED = 1_790_000_000


def run(settings: Settings, n: int, *, seed: int = 1, **_options: Any) -> Measured:
    """Measure with about `n` events."""
    make_ready(settings)
    engine = create_engine_from(settings.database_url or "")
    draw = random.Random(seed)
    batches = batched(draw, deliveries(engine, max(1, n // 5)))
    events = sum(count for count, _, _ in batches)
    public, signed = sign(batches)
    applier = applier_of(engine)
    began, cpu = time.perf_counter(), time.process_time()
    for body, seal in signed:
        if not is_signed(body, seal, str(STARTED), [public]):
            raise AssertionError("a batch that we signed must verify")
        with Session(engine) as session, session.begin():
            store.keep_events(session, json.loads(body))
    while applier.apply_waiting():
        pass
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    check(engine)
    limit = copy_bare(engine, [body for body, _ in signed], events)
    naive = one_by_one(engine, batches)
    engine.dispose()
    return Measured(events, "events/s", events / seconds, limit, naive, cpu / events * 1000)


def applier_of(engine: Engine) -> Applier:
    keys = Keys(bytes(range(32)))
    return Applier(engine, keys, Links(keys, "https://mail.example.com"))


def deliveries(engine: Engine, count: int) -> list[tuple[UUID, UUID]]:
    """Deliveries of one campaign, each accepted after one attempt; return their ids and attempts."""
    with engine.begin() as connection:
        connection.execute(
            text("""INSERT INTO customers (id, ref) SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex')
                      FROM generate_series(1, :count) n"""),
            {"count": count},
        )
        rows = connection.execute(
            text("""WITH made AS (
                      INSERT INTO deliveries (customer_id, campaign_id, address_hash, recipient_domain, purpose, state,
                                              attempt_id)
                      SELECT n, 1, sha256(CAST(CAST(n AS text) AS bytea)), 'example.com', 'offer', 'accepted',
                             gen_random_uuid() FROM generate_series(1, :count) n
                      RETURNING id, attempt_id, customer_id),
                    tried AS (
                      INSERT INTO delivery_attempts (customer_id, delivery_id, attempt_id, outcome)
                      SELECT customer_id, id, attempt_id, 'intent' FROM made)
                    SELECT id, attempt_id FROM made"""),
            {"count": count},
        )
        return [(row.id, row.attempt_id) for row in rows]


def batched(draw: random.Random, sent: list[tuple[UUID, UUID]]) -> list[tuple[int, bytes, list[dict[str, Any]]]]:
    events = [event(*ids, word) for ids in sent for word in WORDS]
    events += [event(*ids, "bounce", type="bounce", status="5.1.1", reason="User unknown") for ids in sent[::200]]
    events += draw.sample(events, len(events) // 5)
    draw.shuffle(events)
    parts = [events[at : at + BATCH] for at in range(0, len(events), BATCH)]
    return [(len(part), json.dumps(part).encode(), part) for part in parts]


def event(delivery_id: UUID, attempt_id: UUID, word: str, **more: str) -> dict[str, Any]:
    ids = {"delivery_id": delivery_id.hex, "attempt_id": attempt_id.hex, "sg_event_id": uuid4().hex}
    return {"event": word, "timestamp": STARTED, "email": "somebody@example.com", **ids, **more}


def sign(batches: list[tuple[int, bytes, list[dict[str, Any]]]]) -> tuple[str, list[tuple[bytes, str]]]:
    key = ec.generate_private_key(ec.SECP256R1())
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    seals = [key.sign(str(STARTED).encode() + body, ec.ECDSA(hashes.SHA256())) for _, body, _ in batches]
    signed = [(body, base64.b64encode(seal).decode()) for (_, body, _), seal in zip(batches, seals, strict=True)]
    return base64.b64encode(spki).decode(), signed


def check(engine: Engine) -> None:
    """Every delivery has all its times, and everybody who bounced is suppressed once."""
    with engine.connect() as connection:
        missing = connection.scalar(
            text("""SELECT count(*) FROM deliveries
                     WHERE delivered_at IS NULL OR opened_at IS NULL OR clicked_at IS NULL""")
        )
        odd = connection.scalar(
            text("""SELECT (SELECT count(*) FROM deliveries WHERE bounced_at IS NOT NULL)
                         - (SELECT count(*) FROM suppressions)""")
        )
    if missing or odd:
        raise AssertionError(f"{missing} deliveries lack events, {odd} bounces are not suppressed")


def copy_bare(engine: Engine, bodies: list[bytes], events: int) -> float:
    with engine.connect() as connection, connection.begin():
        connection.execute(text("CREATE TEMP TABLE bare (body text) ON COMMIT DROP"))
        cursor = connection.connection.cursor()
        began = time.perf_counter()
        with cursor.copy("COPY bare (body) FROM STDIN") as copy:
            for body in bodies:
                for one in json.loads(body):
                    copy.write_row((json.dumps(one),))
        return events / (time.perf_counter() - began)


def one_by_one(engine: Engine, batches: list[tuple[int, bytes, list[dict[str, Any]]]]) -> float:
    with Session(engine) as session, session.begin():
        session.execute(text("DELETE FROM provider_events"))
    events = [one for _, _, part in batches for one in part][:NAIVE_EVENTS]
    began = time.perf_counter()
    for one in events:
        with Session(engine) as session, session.begin():
            take(session, one)
    return len(events) / (time.perf_counter() - began)


def take(session: Session, one: dict[str, Any]) -> None:
    key = one["sg_event_id"].encode()
    if session.scalars(select(ProviderEvent).where(ProviderEvent.dedupe_key == key)).first() is not None:
        return
    session.add(ProviderEvent(source="sendgrid", dedupe_key=key, body=one))
    found = session.scalars(select(Delivery).where(Delivery.id == UUID(one["delivery_id"]))).one()
    if one["event"] == "delivered":
        found.delivered_at = found.delivered_at or session.scalar(text("SELECT clock_timestamp()"))
    elif one["event"] == "open":
        found.opened_at = found.opened_at or session.scalar(text("SELECT clock_timestamp()"))
