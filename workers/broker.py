"""The broker only wakes workers. Everything it holds may be lost at any time at the cost of a few seconds.

No retries: Dramatiq's default of twenty around a send is a way to mail somebody twice. No `delay`: what is due is
in the database. No gate in middleware: its errors are swallowed, so a gate there would fail open.
"""

from __future__ import annotations

from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import ShutdownNotifications, TimeLimit

QUEUE = "sending"
SLICE_LIMIT_MS = 60_000
"""A slice ends by itself after some seconds; what still runs after this is treated like a killed worker."""


def make_broker(redis_url: str) -> RedisBroker:
    """Return a broker on `redis_url`. Connects at the first use."""
    middleware = [TimeLimit(time_limit=SLICE_LIMIT_MS), ShutdownNotifications()]
    broker: RedisBroker = RedisBroker(  # type: ignore[no-untyped-call]
        url=redis_url, middleware=middleware, heartbeat_timeout=10_000
    )
    broker.declare_queue(QUEUE)
    return broker


def waiting(broker: RedisBroker) -> int:
    """Return how many messages wait in the sending queue."""
    return int(broker.client.llen(f"{broker.namespace}:{QUEUE}"))
