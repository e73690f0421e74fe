"""PURE: why a message came back, and what follows from it. One table; each row with its action and its source.

"5.x.x means suppress" is wrong for about two in five real bounces: only an address that is gone may stop a person.
A mailbox that is full, a server that is away and a policy that dislikes us say nothing about whether the person is
there. What the other side wrote in words is read before its numbers: servers give 5.1.1 for a full mailbox and 5.7.1
for an unknown user. Rows are tried from the top.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum


class Act(StrEnum):
    """What a cause leads to."""

    SUPPRESS = "suppress"
    """The address is gone: nothing is sent to it any more."""
    COUNT = "count"
    """It may pass: counted within a window, and forgotten when a message arrives."""
    ALERT = "alert"
    """It is about us, the sender: a person here is told, and the recipient is left alone."""
    NOTHING = "nothing"
    """News, not a failure."""


@dataclass(frozen=True, slots=True)
class Cause:
    """A row: its name, what follows, where that comes from, and what it is known by."""

    name: str
    act: Act
    source: str
    words: re.Pattern[str] | None = None
    statuses: re.Pattern[str] | None = None


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives), re.IGNORECASE)


def _statuses(*numbers: str) -> re.Pattern[str]:
    return re.compile("|".join(rf"(?:{number})" for number in numbers))


_WHO = r"(?:users?|recipients?|rcpt|addressee|mailbox|account|e-?mail (?:address|account)|address|alias|local part)"
_GONE = r"(?:disabled|discontinued|deactivated|deleted|terminated|inactive|suspended|closed|expired)"

CAUSES = (
    Cause(
        "sender_refused",
        Act.ALERT,
        "RFC 3463 X.1.7, X.1.8: the sender's address is what is wrong",
        _words(
            r"sender (?:address |domain )?(?:was )?(?:rejected|refused|denied|verif\w+ failed)",
            r"sender verif\w+",
            r"(?:unknown|invalid|bad) sender",
            r"sender'?s? (?:domain|address) (?:does|is|not)",
            r"domain of sender address",
            r"return.path .{0,40}(?:invalid|does not exist)",
        ),
        _statuses(r"[45]\.1\.[78]"),
    ),
    Cause(
        "sender_not_authenticated",
        Act.ALERT,
        "RFC 7372 X.7.20-29; Gmail 5.7.25-5.7.29 and 4.7.x; Outlook 5.7.515, 5.7.509: SPF, DKIM, DMARC or reverse name",
        _words(
            r"\b(?:spf|dkim|dmarc|domainkeys)\b",
            r"unauthenticated (?:e-?mail|mail|sender)",
            r"not authenticated",
            r"\bptr\b record",
            r"reverse (?:dns|name|lookup)",
            r"\brdns\b",
            r"authentication (?:is )?required",
            r"relay(?:ing)? (?:is |access )?(?:denied|not (?:permitted|allowed)|prohibited)",
            r"we do not relay",
            r"unable to relay",
            r"required authentication",
            r"daily (?:user )?sending (?:quota|limit)",
        ),
        _statuses(r"[45]\.7\.(?:2\d|3[0-2]|515|509|8|9|14)"),
    ),
    Cause(
        "mailbox_full",
        Act.COUNT,
        "RFC 3463 X.2.2: the person can make room again",
        _words(
            r"(?:over|exceed\w*|exceeding|out of|above)[^.\n]{0,30}\bquota",
            r"quota[^.\n]{0,40}(?:exceed|violat|full|reached|over)",
            r"overdrawn",
            r"over ?quota",
            r"disk ?space|diskquota|disk quota",
            r"(?:mail ?box|mail ?folder|inbox|account|storage)[^.\n]{0,25}\bfull",
            r"full (?:mail ?box|inbox)",
            r"too much mail",
            r"insufficient (?:disk|storage|system storage)",
            r"mailbox (?:size )?limit",
            r"space not enough|not (?:have )?enough (?:disk |storage )?space",
            r"out of (?:storage|disk)",
            r"receiving mail (?:at a rate|too quickly)",
        ),
        _statuses(r"[45]\.2\.2", r"[45]\.3\.1"),
    ),
    Cause(
        "too_large",
        Act.ALERT,
        "RFC 3463 X.2.3, X.3.4: the message is too large, which is ours to mend",
        _words(
            r"(?:message|mail|size)[^.\n]{0,40}(?:exceed\w*|too (?:large|big))[^.\n]{0,40}(?:size|limit|maximum"
            r"|large|big|length)?",
            r"max(?:imum)? (?:inbound |incoming )?message size",
            r"size limit",
            r"(?:too (?:large|big))",
        ),
        _statuses(r"5\.2\.3", r"5\.3\.4"),
    ),
    Cause(
        "domain_gone",
        Act.SUPPRESS,
        "RFC 3463 X.1.2, X.4.4 with no such domain: no mailbox can be there",
        _words(
            r"host (?:or domain name )?not found",
            r"(?:unknown|no such) (?:mail )?(?:host|domain)",
            r"(?:host|domain)(?: name)? (?:is )?(?:unknown|non-?exist\w*|does ?n[o'’]t exist|not found)",
            r"unroute?able (?:mail )?(?:domain|address)",
            r"nxdomain",
            r"couldn'?t find any host",
            r"(?:bad|invalid|illegal) (?:destination )?(?:host|domain)\b",
            r"point(?:s)? to non-?existent hosts",
            r"no route to (?:domain|address)",
            r"name or service not known",
        ),
        _statuses(r"5\.1\.2", r"5\.1\.10"),
    ),
    Cause(
        "mailbox_unknown",
        Act.SUPPRESS,
        "RFC 3463 X.1.1, X.1.3: there is no such mailbox",
        _words(
            rf"(?:unknown|no such|invalid|non-?existent|unrecogni[sz]ed|bad destination|bad) (?:local |virtual "
            rf"|remote |destination |system )?{_WHO}\b",
            rf"\b{_WHO}(?: name)?(?: you (?:entered|tried[^.]{{0,40}}))?[^.\n]{{0,50}}? (?:is |was |has "
            rf"|are )?(?:unknown|not known|not found|not recogni[sz]ed|non-?exist\w*|does ?n[o'’]t exist"
            rf"|do(?:es)? not exist|not listed|not a valid|is invalid|not exist)",
            r"not listed in (?:the )?(?:public name|domino)",
            r"does ?n[o'’]t have an? \S+ account",
            r"no (?:mail ?box|account|user|person|one|recipient) (?:here )?(?:by|with|of) (?:that|this) name",
            r"no mail ?box (?:here|found|available)",
            r"not an active (?:address|account|user"
            r"|mailbox)",
            r"invalid final delivery user",
            r"no matches to nameserver|did not exactly match"
            r"|final e-?mail delivery point",
            r"not a (?:valid|known) (?:user|mailbox|recipient|address)",
            r"user (?:name )?(?:isn'?t|is not) (?:here|known)",
            r"\b(?:no such|unknown) (?:person|addressee|login)",
            r"address (?:is )?unknown",
            r"unknown user",
            r"n'existe pas",
            r"existiert nicht",
            r"unbekannter? empf",
            r"empf.{1,3}nger .{0,20}unbekannt",
            r"(?:usuario|direcci.n|cuenta|buz.n)[^.\n]{0,40}(?:no existe|desconocid)",
            r"(?:utente|indirizzo|casella)[^.\n]{0,40}(?:non esiste|sconosciut)",
            r"(?:usu.rio|endere.o|caixa)[^.\n]{0,40}n.o (?:existe|encontrad)",
            r"utilisateur (?:inconnu|non recens)",
            r"пользовател\w+ не найден|почтовый ящик не (?:найден|существует)",
        ),
        _statuses(r"5\.1\.[136]"),
    ),
    Cause(
        "mailbox_closed",
        Act.SUPPRESS,
        "RFC 3463 X.2.1, X.1.6: the mailbox was closed, or its owner moved",
        _words(
            rf"\b(?:account|mailbox|user|address|alias)\b[^.\n]{{0,40}}\b(?:is|was|been|are) (?:\w+ )?{_GONE}\b",
            rf"\b{_GONE} (?:account|mailbox|user|recipient)\b|\b(?:account|mailbox|user) {_GONE}\b",
            r"has moved|moved permanently",
            r"no longer (?:with|works|work|valid|employed|on th|in use|here|exist|available|active|at )",
            r"has left (?:the|our)",
        ),
        _statuses(r"5\.2\.1"),
    ),
    Cause(
        "mailbox_unavailable",
        Act.COUNT,
        "RFC 5321 4.2.3, 550 in its widest sense: said of mailboxes that are gone, and of mail that is not liked",
        _words(r"mailbox (?:is )?(?:currently )?unavailable", r"recipient address rejected: access denied"),
    ),
    Cause(
        "refused_as_spam",
        Act.ALERT,
        "RFC 3463 X.7.1; providers' bulk rules: reputation and content are the sender's",
        _words(
            r"\bspam",
            r"(?:black|block|deny)[ -]?list",
            r"\brbl\b|dnsbl|spamhaus|spamcop|barracuda|sorbs|proofpoint|cloudmark",
            r"reputation|sender ?score|senderbase",
            r"unsolicited|bulk (?:e-?)?mail",
            r"listed (?:in|at|on|by) \S+\.\S+",
            r"(?:content|message|mail)[^.\n]{0,30}(?:rejected|refused|blocked|denied"
            r"|filter)[^.\n]{0,30}(?:content|filter|polic|spam|virus|security)",
            r"(?:rejected|refused|blocked|denied)[^.\n]{0,40}(?:polic|filter|security|administrat)",
            r"virus|malware|phish|suspicious",
            r"polic(?:y|ies)\b",
            r"access denied",
            r"\bblocked\b",
            r"\bbanned\b",
            r"rate limit|too many (?:messages|connections|recipients|errors)|throttl",
            r"complaints|deferred due",
            r"not authori[sz]ed|permission (?:denied|to send)",
            r"(?:not|aren'?t) accept\w* (?:mail|messages) from",
            r"prohibited",
        ),
        _statuses(r"[45]\.7\.\d{1,3}"),
    ),
    Cause(
        "message_refused",
        Act.ALERT,
        "RFC 3463 X.5.x, X.6.x: how the message is written, or what was said on the wire",
        _words(
            r"without to: field",
            r"no resent-from",
            r"(?:missing|bad|invalid|no) (?:\w+[ -])?header",
            r"syntax error|protocol error|bad sequence",
            r"content (?:conversion|type)",
            r"mime\b.{0,30}(?:error|invalid|not)",
            r"8bit|8-bit|smtputf8",
        ),
        _statuses(r"5\.5\.\d{1,3}", r"5\.6\.\d{1,3}"),
    ),
    Cause(
        "route_trouble",
        Act.COUNT,
        "RFC 3463 X.4.x: servers that are away, loops, time-outs",
        _words(
            r"too many hops|\bhop count|mail loop|loops? back|routing loop",
            r"timed? ?out|time-?out",
            r"connection (?:was )?(?:refused|dropped|reset|closed|lost|failed)",
            r"could not (?:initiate|connect)|can'?t connect|unable to connect|did not (?:accept our|respond)",
            r"network (?:is )?unreachable|no route to host",
            r"temp(?:orary)?[_ ]?(?:failure|fail|error|problem)|try again later|temporarily|greylist",
            r"delivery failed \d+ attempts|retry (?:time|timeout)|expired",
            r"could not be resolved|dns (?:error|failure|problem)|name service",
            r"unable to transfer",
        ),
        _statuses(r"[45]\.4\.\d{1,3}", r"[45]\.3\.\d{1,3}"),
    ),
    Cause("temporary", Act.COUNT, "RFC 3463 class 4: it may pass", None, _statuses(r"4\.\d{1,3}\.\d{1,3}")),
    Cause("unclear", Act.COUNT, "nothing says that the address is gone: not guessed"),
)
BY_NAME = {cause.name: cause for cause in CAUSES}

FORWARD = Cause("forward_failed", Act.COUNT, "RFC 3464 2.3.1: the failed address is not the one that was written to")
DELAYED = Cause("delayed", Act.NOTHING, "RFC 3464 2.3.3: it is still being tried")
ARRIVED = Cause("arrived", Act.NOTHING, "RFC 3464 2.3.3: delivered, relayed or expanded")


def cause_of(words: str, status: str = "") -> Cause:
    """Return the cause of a failure from what was said about it and its status of RFC 3463, if there is one.

    An address is called gone only for good: what class 4 says about it may pass.
    """
    said = _ADDRESS.sub(" ", " ".join(words[:4000].split())).replace("_", " ")
    by_words = next((row for row in CAUSES if row.words is not None and row.words.search(said)), None)
    by_status = next((row for row in CAUSES if row.statuses is not None and row.statuses.fullmatch(status)), None)
    found = by_words or by_status or BY_NAME["unclear"]
    if found.name == "mailbox_unavailable" and by_status is not None:
        found = by_status  # words that say everything and nothing: here the number says more
    return BY_NAME["temporary"] if found.act is Act.SUPPRESS and _may_pass(said, status) else found


# "User [name@example.com] does not exist": the address would tear the sentence apart
_ADDRESS = re.compile(r"[<\[(\"']?[^\s<>\[\]()\"']{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}[>\])\"']?")
_PASSES = re.compile(r"temporar|not found, try again|try (?:again )?later", re.IGNORECASE)
_CODE_4, _CODE_5 = (re.compile(rf"(?<![\d.]){number}[0-5]\d[ -](?=[#<A-Za-z{number}])") for number in (4, 5))


def _may_pass(said: str, status: str) -> bool:
    if status:
        return status.startswith("4") or bool(_PASSES.search(said))
    return bool(_PASSES.search(said) or (_CODE_4.search(said) and not _CODE_5.search(said)))
