"""`/metrics`: our figures for Prometheus. Only for this machine, or for whoever has the token: they tell of the shop.

They hold no address and no name.
"""

from __future__ import annotations

import hmac
from urllib.parse import urlsplit

from flask import Blueprint, abort, request
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session
from werkzeug.wrappers import Response

from config.settings import is_loopback
from mailer import condition, metrics
from mailer.web.edge import db
from mailer.web.inbox import BETWEEN
from mailer.web.shop import shop

measures = Blueprint("measures", __name__)

HOURS = 24


@measures.get("/metrics")
def figures() -> Response:
    """Ask the database once, now."""
    if not may_see():
        abort(404)
    registry = CollectorRegistry()
    registry.register(Figures(db()))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def may_see() -> bool:
    """This machine with nothing in between, or the bearer of the token."""
    token = shop().settings.metrics_token
    if token is not None:
        shown = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        return hmac.compare_digest(shown.encode(), token.encode())
    # By this machine's own name, too: many a proxy passes nothing on but the name that was asked for.
    host = urlsplit(request.host_url).hostname
    return is_loopback(request.remote_addr) and is_loopback(host) and not any(n in request.headers for n in BETWEEN)


class Figures(Collector):
    """What one look at the database says."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def collect(self) -> list[GaugeMetricFamily]:
        found = metrics.in_all(self._session, HOURS)
        latency = GaugeMetricFamily(
            "askfirst_opt_out_latency_seconds",
            "Seconds from an opt-out to its answer, over 24 hours",
            labels=["quantile"],
        )
        for quantile, value in (("0.5", found.p50), ("0.99", found.p99), ("1", found.slowest)):
            if value is not None:
                latency.add_metric([quantile], value / 1000)
        gauges = [
            latency,
            _gauge("opt_outs", "Opt-outs in 24 hours", found.asked),
            _gauge("opt_outs_late", "Messages begun after the answer to an opt-out, in 24 hours: always 0", found.late),
            _gauge(
                "opt_out_to_last_handover_seconds",
                "The largest time from an answer to the last hand-over to that person; never above 0",
                found.nearest,
            ),
        ]
        part = GaugeMetricFamily("askfirst_part", "1 well, 0.5 look, 0 not well, -1 not known", labels=["part"])
        for line in condition.lines(self._session):
            part.add_metric([line.key], {"ok": 1.0, "warn": 0.5, "bad": 0.0, "unknown": -1.0}[line.level])
            gauges += [_gauge(name, f"{line.name}: see the health page", value) for name, value in line.figures.items()]
        return [*gauges, part]


def _gauge(name: str, words: str, value: float | None) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(f"askfirst_{name}", words)
    if value is not None:
        gauge.add_metric([], value)
    return gauge
