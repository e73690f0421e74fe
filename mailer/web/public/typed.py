"""The page for links that we didn't write (or no longer can read), and stopping by a typed address.

Nobody is asked who they are: an opt-out needs no check. Nothing is refused for being asked too often either; what
is limited is the work that a repeated request causes, counted in PostgreSQL by address and by network.
"""

from __future__ import annotations

from datetime import timedelta

from flask import request
from werkzeug.wrappers import Response

from config.logging import get_logger
from mailer import address as addresses
from mailer.consent.policy import ALL
from mailer.errors import BadAddress
from mailer.optout import stop_address
from mailer.suppression import is_suppressed
from mailer.web.edge import now
from mailer.web.public.blueprint import public
from mailer.web.public.stopping import evidence
from mailer.web.public.visit import page
from mailer.web.rates import bucket, count, network_of
from mailer.web.shop import shop

WINDOW = timedelta(hours=1)
PER_ADDRESS, PER_NETWORK = 5, 30
LONGEST = 254
"""Octets of an address (RFC 5321 s.4.5.3.1.3): no more is taken back into a page."""


@public.get("/stop", strict_slashes=False)
def stop_form() -> Response:
    """The form by itself: what a torn link leads to, and what the helpline may name."""
    return unknown_link(200)


@public.post("/stop", strict_slashes=False)
def stop_typed() -> Response:
    """Stop all marketing to an address as typed, known or not. The answer is the same for every address."""
    typed = request.form.get("email", "").strip()
    try:
        parsed = addresses.parse(typed)
    except BadAddress:
        return unknown_link(400, typed=typed[:LONGEST], bad=True)
    if not in_force_already(parsed):
        stop_address(shop().engine, shop().keys, address=typed, source="typed_address", evidence=evidence())
    return page("done", scope=ALL, at=now(), address=addresses.mask(parsed.written))


def in_force_already(parsed: addresses.ParsedAddress) -> bool:
    """Whether an address asked for too often is stopped anyway, so that its locks needn't be taken once more."""
    keys, network = shop().keys, network_of(request.remote_addr)
    hashed = addresses.hash_address(keys, parsed.canonical)
    with shop().sessions() as session, session.begin():
        of_address = count(session, bucket(keys, "stop address", parsed.canonical), WINDOW)
        of_network = count(session, bucket(keys, "stop network", network), WINDOW)
    if of_network == PER_NETWORK + 1:
        get_logger(__name__).warning("many_typed_stops", network=network, within=str(WINDOW))
    if of_address <= PER_ADDRESS:
        return False
    with shop().sessions() as session:
        return is_suppressed(session, hashed, ALL)


def unknown_link(status: int, *, typed: str = "", bad: bool = False) -> Response:
    """One page for links that are forged, torn or too old: it tells them apart to nobody."""
    return page("unknown", status=status, typed=typed, bad=bad)
