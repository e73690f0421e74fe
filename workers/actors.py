"""The actors: one-line bodies. A message carries a campaign's id and means no more than "look"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from workers.broker import QUEUE

SEND = "send_campaign"


def declare(broker: RedisBroker, send: Callable[[int], bool]) -> dramatiq.Actor[Any, Any]:
    """Declare the sending actor on `broker`; it asks to be woken again while `send` says that there is more."""

    def send_campaign(campaign_id: int) -> None:
        if send(campaign_id):
            actor.send(campaign_id)

    actor = dramatiq.actor(broker=broker, actor_name=SEND, queue_name=QUEUE)(send_campaign)
    return actor


def wake(broker: RedisBroker, campaign_id: int) -> None:
    """Ask some worker to look after a campaign."""
    broker.enqueue(dramatiq.Message(queue_name=QUEUE, actor_name=SEND, args=(campaign_id,), kwargs={}, options={}))
