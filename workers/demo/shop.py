"""Anaar Home, a shop that doesn't exist: its notices with the exact words of each box, its sender, its operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from mailer.models import PolicyChange, PolicyVersion, SenderIdentity, Wording

SENDER = {
    "name": "Anaar Home",
    "from_name": "Anaar Home",
    "from_address": "hello@mail.example.com",
    "reply_to": "care@example.com",
    "legal_name": "Anaar Home Private Limited",
    "postal_address": "14 Sample Road, Bengaluru 560 001, India",
    "care_phone": "1800 000 0000",
    "care_email": "care@example.com",
    "officer": "Meera Rao",
    "list_domain": "mail.example.com",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A version of the privacy notice, so many days old, and the purposes for which it changed something material."""

    label: str
    days: int
    summary: str
    changes: tuple[str, ...] = ()


NOTICES = (
    Notice("2.0", 900, "The first notice with a box for each purpose."),
    Notice("3.0", 420, "Festive mail may now be chosen by what you bought.", ("festive",)),
    Notice("3.1", 250, "Says who hands our mail over, and how long proofs are kept."),
    Notice("3.2", 52, "Offers may now be chosen by your searches and what you look at.", ("offer",)),
)
FORMER = {
    "festive": "Yes, e-mail me before festivals.",
    "launch": "Yes, e-mail me about new products.",
    "offer": "Yes, e-mail me about offers and discounts, chosen using my orders and wishlist.",
    "service": "Yes, e-mail me when something I bought from you is due for a service.",
}
PRESENT = {
    "festive": "Yes, e-mail me for festivals and seasons.",
    "launch": "Yes, e-mail me about new products, chosen using my orders, wishlist, searches and what I look at in"
    " your shop.",
    "offer": "Yes, e-mail me about offers and discounts, chosen using my orders, wishlist, searches and what I look at"
    " in your shop.",
    "service": "Yes, e-mail me when something I bought from you is due for a service, and about how to look after it.",
}
HINDI = {
    "festive": "हाँ, मुझे त्योहारों और मौसमों पर ई-मेल भेजें।",
    "launch": "हाँ, मुझे नए उत्पादों के बारे में ई-मेल भेजें।",
    "offer": "हाँ, मुझे ऑफ़र और छूट के बारे में ई-मेल भेजें।",
    "service": "हाँ, जब मेरी ख़रीदी हुई चीज़ की सर्विस का समय हो, तो मुझे ई-मेल भेजें।",
}
WORDS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "2.0": {"en": FORMER},
    "3.0": {"en": FORMER | {"festive": PRESENT["festive"]}, "hi": HINDI},
    "3.1": {"en": FORMER | {"festive": PRESENT["festive"]}, "hi": HINDI},
    "3.2": {"en": PRESENT, "hi": HINDI},
}


@dataclass(frozen=True, slots=True)
class Words:
    """Where the words of a box are stored: wording and policy version by notice, language and purpose."""

    wordings: Mapping[tuple[str, str, str], int]
    versions: Mapping[str, int]
    effective: Mapping[str, datetime]

    def shown(self, notice: str, language: str, purpose: str) -> tuple[int, int]:
        """Return wording and policy version of a box as it was shown; a notice without that language was in English."""
        key = (notice, language, purpose)
        return self.wordings[key if key in self.wordings else (notice, "en", purpose)], self.versions[notice]


def publish(session: Session, now: datetime) -> Words:
    """Store the notices, their material changes and the words beside every box."""
    versions, wordings, effective = {}, {}, {}
    for notice in NOTICES:
        since = (now - timedelta(days=notice.days)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        version = PolicyVersion(
            label=notice.label, summary=notice.summary, body=notice.summary, effective_at=since, published_at=since
        )
        session.add(version)
        session.flush()
        versions[notice.label], effective[notice.label] = version.id, since
        session.add_all(PolicyChange(policy_version_id=version.id, purpose=purpose) for purpose in notice.changes)
        for language, words in WORDS[notice.label].items():
            for purpose, said in words.items():
                wording = Wording(purpose=purpose, policy_version_id=version.id, locale=language, words=said)
                session.add(wording)
                session.flush()
                wordings[notice.label, language, purpose] = wording.id
    return Words(wordings, versions, effective)


def sender(session: Session) -> SenderIdentity:
    """Store who the shop's mail is from."""
    identity = SenderIdentity(**SENDER)
    session.add(identity)
    session.flush()
    return identity
