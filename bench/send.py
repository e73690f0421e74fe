"""Sending with the full protocol: messages a second by two workers, into a sink.

Ours: two worker processes, each message personalised (about 40 KB), with intent, locks, gate and record, and no DKIM.
The limit: a bare pipelining client that has all bytes ready, the same messages into the same sink. The naive way: one
process, each message through the ORM, plain Jinja, `EmailMessage` and smtplib (timed on a share of them).
The audience is made before the clock runs. CPU and memory are those of the workers.
"""

from __future__ import annotations

import smtplib
import time
from collections.abc import Sequence
from contextlib import closing
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from bench import bare
from bench.hands import hired
from bench.scene import WORKERS, Scene, scene, sink
from config.settings import Settings
from mailer import pick
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.db import database_time
from mailer.fields import fields_for
from mailer.message import return_path
from mailer.models import Customer, Delivery, Revision, SenderIdentity
from mailer.pick import Candidate, Job
from mailer.render import Compiled, Renderer
from workers.measured import Measured

SIZES = (10_000, 100_000)
SAMPLES = 400
"""Different messages that the bare client sends again and again."""
BARE_MESSAGES = 20_000
NAIVE_MESSAGES = 150


def run(settings: Settings, n: int, *, smtp: str | None = None, **_options: Any) -> Measured:
    """Measure with an audience of `n`."""
    with sink(smtp) as place, scene(settings, n, place) as made:
        job, people = picked(made)
        limit = bare_rate(made, job, people, place, n)
        with hired(made.settings, made.campaign_id, WORKERS) as hands:
            for hand in hands:
                hand.begin()
            for hand in hands:
                hand.hear("idle")
            made.wait(30 + n / 100)
            costs = [hand.end() for hand in hands]
        states = made.states()
        if states != {"accepted": n}:
            raise RuntimeError(f"not everybody got it: {states}")
        rate = n / made.seconds()  # before the naive way, which settles some of them once more
        naive = naive_rate(made, job, people, place)
        cpu, rss = sum(cost["cpu"] for cost in costs), max(cost["rss"] for cost in costs)
        return Measured(n, "messages/s", rate, limit, naive, cpu / n * 1000, rss)


def picked(made: Scene) -> tuple[Job, Sequence[Candidate]]:
    with Session(made.engine) as session:
        job = pick.read_job(session, made.campaign_id)
        if job is None:
            raise RuntimeError("the campaign doesn't send")
        return job, pick.due(session, made.campaign_id, after=0, limit=SAMPLES)


def bare_rate(made: Scene, job: Job, people: Sequence[Candidate], place: tuple[str, int], n: int) -> float:
    """Return messages a second of the same bytes, all ready before the clock runs."""
    composer = Composer(Links(made.keys, made.settings.public_url))
    with Session(made.engine) as session:
        prepared = composer.compose(session, job, people, uuid4())
    contents = [bytes(one.content) for one in prepared if isinstance(one.content, bytes)]
    openings = [
        bare.commands(return_path(people[at % len(people)].delivery_id, job.return_domain), f"person{at}@example.com")
        for at in range(min(n, BARE_MESSAGES))
    ]
    return bare.send(place, contents, openings).rate


def naive_rate(made: Scene, job: Job, people: Sequence[Candidate], place: tuple[str, int]) -> float:
    """Return messages a second of one process that does one thing after the other."""
    links = Links(made.keys, made.settings.public_url)
    some = people[:NAIVE_MESSAGES]
    began = time.perf_counter()
    with closing(smtplib.SMTP(*place)) as server:  # without a goodbye: not every sink knows one
        for candidate in some:
            with Session(made.engine) as session, session.begin():
                send_one(session, server, job, candidate, links)
    return len(some) / (time.perf_counter() - began)


def send_one(session: Session, server: smtplib.SMTP, job: Job, candidate: Candidate, links: Links) -> None:
    customer = session.get_one(Customer, candidate.customer_id)
    revision, sender = session.get_one(Revision, job.revision_id), session.get_one(SenderIdentity, job.sender_id)
    delivery = session.scalars(select(Delivery).where(Delivery.id == candidate.delivery_id)).one()
    fields = fields_for(session, job, [candidate], links)[candidate.delivery_id]
    words = (revision.kind, revision.language, revision.subject, revision.preheader)
    said = Renderer(Compiled(*words, revision.compiled_html, revision.compiled_text)).render(fields)
    message = EmailMessage()
    message["From"], message["Subject"] = sender.from_address, said.subject
    message["To"] = customer.address.address if customer.address else ""
    message["List-Unsubscribe"] = f"<{fields['links']['unsubscribe']}>"
    message.set_content(said.text)
    message.add_alternative(said.html, subtype="html")
    server.send_message(message)
    delivery.state, delivery.settled_at = "accepted", database_time(session)
