"""What a domain has published about its mail: DKIM keys, SPF, DMARC (Gmail's and Yahoo's rules for senders).

Pure but for the resolver, which is a parameter: `look_up(name)` returns the TXT records of a name, none where there
are none, and raises LookUpFailed where nobody can tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from publicsuffixlist import PublicSuffixList

from mailer.dkim import Signer, Signers

LookUp = Callable[[str], Sequence[str]]


class LookUpFailed(Exception):
    """The resolver could not be asked. That says nothing about what is published."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `fine` None: could not be found out."""

    subject: str
    fine: bool | None
    words: str


@dataclass(frozen=True, slots=True)
class Record:
    """One DNS record that should be there, and what for."""

    subject: str
    name: str
    kind: str
    value: str
    why: str

    @property
    def zone_line(self) -> str:
        """The record as a zone file has it: what a name server's form takes, or its import."""
        return f"{self.name}. {self.kind} {quoted(self.value) if self.kind == 'TXT' else self.value}"


def to_publish(
    from_domain: str,
    signers: Signers,
    *,
    return_domain: str,
    relay: str | None,
    inbound: str,
    signs_itself: bool = False,
) -> list[Record]:
    """Return the records that mail from `from_domain` needs (Gmail's and Yahoo's rules; checks 49, 50).

    `relay` is the server that takes our mail, None for one on this machine; `inbound` where failures could come. Who
    `signs_itself` (SendGrid) names the records for signatures and return paths on a page of its own.
    """
    top = organisation(from_domain)
    policy = Record(
        "DMARC", f"_dmarc.{top}", "TXT", f"v=DMARC1; p=none; rua=mailto:dmarc@{top}",
        "Says what receivers should do with mail that isn’t proved to be yours, and where to report it. "
        "Begin with p=none; when the reports are clean for some weeks, make it p=quarantine.",
    )  # fmt: skip
    if signs_itself:
        return [policy]
    keys = [
        Record(
            f"DKIM {signer.selector}", signer.record()[0], "TXT", signer.record()[1],
            "The key by which others check our signatures." if signer is signers.of(from_domain)
            else "An earlier or coming key. It stays while mail signed with it is on its way, about a week.",
        )
        for signer in signers.all if organisation(signer.domain) == top
    ]  # fmt: skip
    spf_record = Record(
        "SPF", return_domain, "TXT", f"v=spf1 a:{relay} ~all" if relay else "v=spf1 a mx ~all",
        "Lists who may send for the return path. If your relay’s operator names an include: for it, use that instead.",
    )  # fmt: skip
    back = Record(
        "Bounces", return_domain, "MX", f"10 {inbound}.",
        "Where failures come back: the mail server that pipes them to askfirst inbound. Name yours here.",
    )  # fmt: skip
    return [*keys, spf_record, policy, back]


def quoted(value: str) -> str:
    """Return a record as name servers want it written: strings of at most 255 characters."""
    return " ".join(f'"{value[place : place + 255]}"' for place in range(0, len(value), 255))


def check(from_domain: str, signers: Signers, look_up: LookUp, *, return_domain: str | None = None) -> list[Finding]:
    """Say whether mail from `from_domain` would pass: every key published, SPF, DMARC, alignment (checks 49, 50).

    `return_domain` is that of the return path, which SPF is about; the same unless given.
    """
    mine = [signer for signer in signers.all if organisation(signer.domain) == organisation(from_domain)]
    findings = [_told(signer, look_up) for signer in mine]
    if signers.of(from_domain) is None:
        findings.append(Finding("DKIM", False, f"no key signs for {from_domain}: make one with `askfirst dkim new`"))
    findings.append(_guarded("SPF", lambda: spf(return_domain or from_domain, look_up)))
    if return_domain and organisation(return_domain) != organisation(from_domain):
        words = f"the return path's domain {return_domain} is another organisation's: SPF does not count for DMARC"
        findings.append(Finding("SPF", False, words))
    findings.append(_guarded("DMARC", lambda: dmarc(from_domain, look_up)))
    return findings


def organisation(domain: str) -> str:
    """Return the organisational domain: mail.example.co.in is example.co.in (RFC 7489 s.3.2)."""
    return _SUFFIXES.privatesuffix(domain.lower().rstrip(".")) or domain.lower()


_SUFFIXES = PublicSuffixList()


def comes_back(domain: str, look_up_mx: LookUp) -> Finding:
    """Somebody takes mail for the return path, else no failure is ever heard of (RFC 5321 s.5.1)."""
    found = look_up_mx(domain)
    if not found or found == ["."]:
        return Finding("Bounces", False, f"no server takes mail for {domain}: what fails there is never told")
    return Finding("Bounces", True, f"{domain}: {', '.join(sorted(found))}")


def spf(domain: str, look_up: LookUp) -> Finding:
    """One `v=spf1` record that ends in a judgement (RFC 7208 s.3.2, s.4.5)."""
    found = [record for record in look_up(domain) if re.match(r"v=spf1(\s|$)", record, re.IGNORECASE)]
    if len(found) != 1:
        return Finding("SPF", False, f"{domain} has {len(found)} records that begin with v=spf1; it needs one")
    if re.search(r"(?<!\S)\+?all(?!\S)", found[0], re.IGNORECASE):
        return Finding("SPF", False, f"{domain} lets the whole world send: end the record with ~all or -all")
    return Finding("SPF", True, f"{domain}: {found[0]}")


def dmarc(domain: str, look_up: LookUp) -> Finding:
    """A policy for the domain or its organisation, at least p=none (RFC 7489 s.6.6.3)."""
    for name in dict.fromkeys((domain, organisation(domain))):
        found = [record for record in look_up(f"_dmarc.{name}") if re.match(r"v=DMARC1\s*(;|$)", record)]
        if len(found) > 1:
            return Finding("DMARC", False, f"_dmarc.{name} has {len(found)} policies, which counts as none")
        if found:
            policy = _tags(found[0]).get("p", "")
            fine = policy in {"none", "quarantine", "reject"}
            return Finding("DMARC", fine, f"_dmarc.{name}: {found[0]}" if fine else f"_dmarc.{name} has no policy p=")
    return Finding("DMARC", False, f"publish at _dmarc.{organisation(domain)}: v=DMARC1; p=none; rua=mailto:...")


def dkim_key(signer: Signer, look_up: LookUp) -> Finding:
    """The published key is the one that signs (RFC 6376 s.3.6)."""
    name, wanted = signer.record()
    found = [tags for record in look_up(name) if "p" in (tags := _tags(record))]
    subject = f"DKIM {signer.selector}"
    if not found:
        return Finding(subject, False, f"nothing at {name}. Publish: {wanted}")
    if found[0]["p"] == "":
        return Finding(subject, False, f"{name} says that this key was withdrawn")
    if len(found) > 1 or found[0]["p"] != _tags(wanted)["p"]:
        return Finding(subject, False, f"{name} holds another key. Publish: {wanted}")
    if signer.key.key_size < 2048:
        return Finding(subject, True, f"{name} fits; its {signer.key.key_size} bits are few, 2048 are usual")
    return Finding(subject, True, f"{name} fits")


def _told(signer: Signer, look_up: LookUp) -> Finding:
    return _guarded(f"DKIM {signer.selector}", lambda: dkim_key(signer, look_up))


def _guarded(subject: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except LookUpFailed as trouble:
        return Finding(subject, None, f"could not be looked up: {trouble}")


def _tags(record: str) -> dict[str, str]:
    """`v=DKIM1; k=rsa; p=...` as a mapping; blanks inside a value mean nothing."""
    pairs = (part.partition("=") for part in record.split(";") if "=" in part)
    return {name.strip().lower(): re.sub(r"\s", "", value) for name, _, value in pairs}


def check_policy(from_domain: str, look_up: LookUp) -> Finding:
    """What is there to check where the provider signs: the policy."""
    return _guarded("DMARC", lambda: dmarc(from_domain, look_up))


def check_return(domain: str, look_up_mx: LookUp) -> Finding:
    """Whether failures can come back."""
    return _guarded("Bounces", lambda: comes_back(domain, look_up_mx))
