"""Finished messages for a batch: merge fields in a fixed number of statements, rendered and built for each person.

Done before the intent and outside the window. What was read here may be stale by the time the gate looks; the gate
compares the ledger's sequence and the address, and what changed goes back.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from mailer import clicks, destinations
from mailer.click_links import ClickLinks
from mailer.clicks import Counting
from mailer.consent.links import Kind, Links
from mailer.consent.policy import SHOP_ZONE
from mailer.dkim import Signer, Signers
from mailer.errors import InputProblem
from mailer.fields import FieldReader
from mailer.message import Marketing, Sender, build, optout_address, wire_domain
from mailer.models import Purpose, Revision, SenderIdentity
from mailer.pick import Candidate, Job, Prepared
from mailer.render import Compiled, Encoded, Renderer

Fields = Mapping[str, Any]
KEPT = 8
"""Approved contents kept compiled in one worker."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything about a campaign's message that is the same for everybody."""

    renderer: Renderer
    sender: Sender
    purpose: str
    purpose_name: str
    counting: Counting | None = None
    """Whose links are counted, and which; None where none is: then no link of the mail is ours."""
    signer: Signer | None = None
    """Who signs for the domain of From (RFC 8058 s.3.1); None where there is no key for it."""


class Composer:
    """Makes messages. Keeps compiled contents between batches: a revision never changes."""

    def __init__(
        self,
        links: Links,
        signers: Signers | None = None,
        *,
        letters: bool = False,
        click_links: ClickLinks | None = None,
        inbound: Collection[str] = (),
    ) -> None:
        """Mail to the `inbound` domains comes back to us: only there do we say that we can be written to."""
        self._links, self._signers, self._letters = links, signers or Signers(), letters
        self._inbound = frozenset(inbound)
        self._click_links = click_links
        self._fields = FieldReader(links)
        self._sheets: dict[tuple[int, bytes, bool], Sheet] = {}

    def compose(self, session: Session, job: Job, candidates: Sequence[Candidate], attempt_id: UUID) -> list[Prepared]:
        """Return a message for each of `candidates`, in their order. One that can't be made holds up nobody else."""
        sheet = self._sheet(session, job)
        worth = [candidate for candidate in candidates if candidate.worth_rendering]
        fields = self._fields.read(session, job, worth, sheet.renderer.reads) if worth else {}
        if sheet.counting is not None and self._click_links is not None:
            people = {c.delivery_id: c.customer_id for c in worth if c.delivery_id in fields}
            counted = sheet.counting.fields(session, people, self._click_links, datetime.now(SHOP_ZONE).date())
            fields = {delivery: {**said, "clicks": counted[delivery]} for delivery, said in fields.items()}
        now = datetime.now(UTC)
        return [
            self._one(sheet, job, candidate, said, attempt_id, now)
            if (said := fields.get(candidate.delivery_id)) is not None
            else Prepared(candidate, None)
            for candidate in candidates
        ]

    def _one(
        self, sheet: Sheet, job: Job, candidate: Candidate, fields: Fields, attempt_id: UUID, now: datetime
    ) -> Prepared:
        try:
            if self._letters:
                return self._letter(sheet, job, candidate, fields, attempt_id, now)
            encoded = sheet.renderer.encode(fields)
            message = self._message(sheet, job, candidate, fields, attempt_id, now, encoded)
            return Prepared(candidate, _signed(sheet.signer, message, now))
        except InputProblem as problem:
            return Prepared(candidate, None, str(problem))

    def trial(self, session: Session, job: Job, revision: Revision, operator_address: str, fields: Fields) -> bytes:
        """Return a test message for an operator: marked as one, and with no header that would stop nothing."""
        sender = session.get_one(SenderIdentity, job.sender_id)
        rendered, now = _renderer(revision).render(fields), datetime.now(UTC)
        message = build(
            sender=sender_of(sender),
            recipient=operator_address,
            subject=f"[Test] {rendered.subject}",
            html=rendered.html,
            text=rendered.text,
            date=now,
            attempt_id=uuid4(),
            marketing=None,
        )
        return _signed(self._signer_of(sender_of(sender)), message, now)

    def _letter(
        self, sheet: Sheet, job: Job, candidate: Candidate, fields: Fields, attempt_id: UUID, now: datetime
    ) -> Prepared:
        """The message as a letter with the headers beside it; whole where it doesn't fit. Its carrier signs it."""
        encoded, letter = sheet.renderer.letter(fields)
        message = self._message(sheet, job, candidate, fields, attempt_id, now, encoded)
        if letter is None:
            return Prepared(candidate, message)
        return Prepared(candidate, replace(letter, head=message.partition(b"\r\n\r\n")[0]))

    def _message(
        self,
        sheet: Sheet,
        job: Job,
        candidate: Candidate,
        fields: Fields,
        attempt_id: UUID,
        now: datetime,
        rendered: Encoded,
    ) -> bytes:
        return build(
            sender=sheet.sender,
            recipient=candidate.address or "",
            subject=rendered.subject,
            html=rendered.pieces,
            text=rendered.text,
            date=now,
            attempt_id=message_key(attempt_id, candidate.delivery_id),
            marketing=self._marketing(sheet, job.campaign_id, candidate.delivery_id, fields["links"]["unsubscribe"]),
        )

    def _marketing(self, sheet: Sheet, campaign_id: int, delivery_id: UUID, url: str) -> Marketing:
        sender = sheet.sender
        mailto = optout_address(delivery_id, sender.domain) if sender.domain in self._inbound else None
        token = self._links.beside(url, Kind.COMPLAINT) if sender.feedback_address is not None else None
        return Marketing(campaign_id, sheet.purpose, sheet.purpose_name, url, mailto, token)

    def _complaints_to(self, sender: Sender) -> str | None:
        """Where complaints may be reported: only where we read it, and sign for the very domain of From (RFC 9477)."""
        domain, signed = sender.domain, wire_domain(sender.address.rpartition("@")[2])
        signer = self._signer_of(sender)
        if domain not in self._inbound or signer is None or signer.domain != signed:
            return None
        return f"fbl@{domain}" if domain == signed or domain.endswith(f".{signed}") else None

    def _signer_of(self, sender: Sender) -> Signer | None:
        return self._signers.of(wire_domain(sender.address.rpartition("@")[2]))

    def _sheet(self, session: Session, job: Job) -> Sheet:
        key = (job.revision_id, job.approved_hash, job.counted)
        if key not in self._sheets:
            if len(self._sheets) >= KEPT:
                self._sheets.pop(next(iter(self._sheets)))
            sender = sender_of(session.get_one(SenderIdentity, job.sender_id))
            sender = replace(sender, feedback_address=self._complaints_to(sender))
            purpose = session.get_one(Purpose, job.purpose)
            counted = clicks.counting(session, job.campaign_id) if job.counted and self._click_links else None
            renderer = _renderer(session.get_one(Revision, job.revision_id), counted)
            signer = self._signer_of(sender)
            self._sheets[key] = Sheet(renderer, sender, purpose.key, purpose.name, counted, signer)
        return self._sheets[key]


def _signed(signer: Signer | None, message: bytes, now: datetime) -> bytes:
    return message if signer is None else signer.sign(message, int(now.timestamp()))


def message_key(attempt_id: UUID, delivery_id: UUID) -> UUID:
    """Return what makes a Message-ID unique for one attempt at one delivery, and names neither."""
    digest = hashlib.sha256(attempt_id.bytes + delivery_id.bytes).digest()
    return UUID(bytes=digest[:16], version=4)


def sender_of(identity: SenderIdentity) -> Sender:
    """Return a sender identity as messages need it."""
    return Sender(identity.from_name, identity.from_address, identity.list_domain, reply_to=identity.reply_to)


def _renderer(revision: Revision, counting: Counting | None = None) -> Renderer:
    wanted = counting.wanted if counting is not None else ()
    return Renderer(
        Compiled(
            revision.kind,
            revision.language,
            revision.subject,
            revision.preheader,
            destinations.counted(revision.compiled_html, wanted),
            revision.compiled_text,
            counted=frozenset(destinations.name(one.number) for one in wanted),
        )
    )
