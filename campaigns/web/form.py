"""What somebody typed into the campaign form, and what it comes to: a rule, content, options, or what to fix."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from campaigns import options, rules
from campaigns.drafts import KINDS
from campaigns.models import Campaign
from campaigns.web.presets import PRESETS, written
from mailer.errors import InputProblem
from mailer.merge_fields import CAMPAIGN_VALUES, Field, Link, Several, Text
from mailer.models import Revision
from mailer.render import ContentProblems, Source

PLAIN = ("kind", "name", "rule", "sender_id", "rate", "canary", "canary_minutes", "subject", "preheader")
VALUE, CONTENT = "value-", "content-"
LABELS = {
    "shop_url": "Address of the shop",
    "button": "Words on the button",
    "button_url": "Where the button leads",
    "hero": "Picture, by file name",
    "hero_alt": "What the picture shows, for people who don’t see it",
    "order_by": "Order by, to get it in time",
    "tip_title": "Heading of the tip",
    "week": "This week in our shops",
    "week_title": "Heading of the week",
    "percent_off": "Per cent off",
    "ends": "When the offer ends",
    "where": "Where it holds",
    "basis": "What the old price was, and when",
}
FASTEST = 600_000
OF_FORM = ("rate_per_second", "canary_messages", "canary_minutes")
USUAL_WAIT = "60"


class FormProblems(InputProblem):
    """What has to be fixed, by field of the form."""

    def __init__(self, found: Mapping[str, str]) -> None:
        self.found = dict(found)
        super().__init__(" ".join(found.values()))


@dataclass(frozen=True, slots=True)
class Typed:
    """The form as it was typed: nothing of it is lost when something has to be fixed."""

    kind: str
    name: str = ""
    rule: str = field(default_factory=lambda: written(PRESETS["everybody"].rule))
    sender_id: str = ""
    rate: str = ""
    canary: str = ""
    canary_minutes: str = ""
    subject: str = ""
    preheader: str = ""
    mjml: str = ""
    text: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


def typed(form: Mapping[str, str]) -> Typed:
    """Read a posted form."""
    plain = {name: form.get(name, "").strip() for name in PLAIN}
    bodies = {name: form.get(name, "").replace("\r\n", "\n") for name in ("mjml", "text")}
    values = {name.removeprefix(VALUE): text.strip() for name, text in form.items() if name.startswith(VALUE)}
    return Typed(**plain, **bodies, values=values)


def of_starter(starter: Source) -> Typed:
    """A form filled with the mail that comes along for a kind."""
    return Typed(
        kind=starter.kind, **_content(starter.subject, starter.preheader, starter.mjml, starter.text, starter.values)
    )


def of_campaign(campaign: Campaign, revision: Revision) -> Typed:
    """A form filled with a campaign as it is."""
    rate = campaign.options.get("rate_per_second")
    return Typed(
        kind=campaign.kind,
        name=campaign.name,
        rule=written(campaign.rule),
        sender_id=str(campaign.sender_id),
        rate=f"{rate * 60:g}" if rate else "",
        canary=str(campaign.options.get("canary_messages") or ""),
        canary_minutes=str(campaign.options.get("canary_minutes") or ""),
        **_content(revision.subject, revision.preheader, revision.mjml, revision.text, revision.values),
    )


def with_rule(it: Typed, rule: str) -> Typed:
    return replace(it, rule=rule)


@dataclass(frozen=True, slots=True)
class ValueField:
    """A field of the form for something that is the same for everybody."""

    name: str
    label: str
    shape: str
    hint: str


def value_fields(known: Mapping[str, Field]) -> list[ValueField]:
    """Return the fields for a kind's values: one line, several lines, an address, or a list as JSON."""
    plain = {name: name.replace("_", " ").capitalize() for name in known}
    return [ValueField(name, LABELS.get(name, plain[name]), *_shape(of)) for name, of in known.items()]


def _shape(of: Field) -> tuple[str, str]:
    match of:
        case Several(most=most, each=each):
            return "list", f"Up to {most}, as JSON. Each has: {', '.join(each)}."
        case Link():
            return "url", "Begins with https://"
        case Text(optional=optional, longest=longest):
            return (
                "lines" if longest > 120 else "line"
            ), f"Up to {longest} characters{', or nothing' if optional else ''}."
    return "line", ""


def kind_of(it: Typed) -> str:
    if it.kind not in KINDS:
        raise FormProblems({"kind": "Choose what the campaign is about."})
    return it.kind


def rule_of(it: Typed) -> rules.Rule:
    """The segment, or where exactly it can't be read."""
    try:
        return rules.parse(json.loads(it.rule))
    except json.JSONDecodeError as wrong:
        raise FormProblems(
            {"rule": f"The rule is not JSON. Line {wrong.lineno}, column {wrong.colno}: {wrong.msg}."}
        ) from None
    except rules.RuleProblems as wrong:
        raise FormProblems({"rule": f"The rule can’t be used: {'; '.join(wrong.problems)}."}) from None


def options_of(it: Typed, before: Mapping[str, Any] | None = None) -> options.Options:
    """How it is sent: what the form says, all else as it was."""
    said = {name: value for name, value in (before or {}).items() if name not in OF_FORM}
    if it.rate:
        wrong = "Give a whole number of messages a minute, or leave it empty for as fast as it goes."
        said["rate_per_second"] = _number(it.rate, "rate", FASTEST, wrong) / 60
    if it.canary:
        wrong = "Give a whole number of people, or leave it empty to send to everybody at once."
        said["canary_messages"] = _number(it.canary, "canary", 1_000_000, wrong)
        wrong = "Give a whole number of minutes, a week at most."
        said["canary_minutes"] = _number(it.canary_minutes or USUAL_WAIT, "canary_minutes", 7 * 24 * 60, wrong)
    return options.parse(said)


def _number(typed: str, name: str, most: int, wrong: str) -> int:
    digits = typed.replace(",", "")
    if not digits.isdecimal() or len(digits) > 9 or not 1 <= int(digits) <= most:
        raise FormProblems({name: wrong})
    return int(digits)


def sender_of(it: Typed) -> int:
    if not it.sender_id.isdecimal():
        raise FormProblems({"sender_id": "Choose who the message is from."})
    return int(it.sender_id)


def source_of(it: Typed) -> Source:
    """The content. Values that are lists are typed as JSON."""
    known = CAMPAIGN_VALUES[kind_of(it)]
    values: dict[str, Any] = {}
    for name, text in it.values.items():
        values[name] = _listed(name, text) if isinstance(known.get(name), Several) else text
    broken = {
        place: "This must be one line, without hidden characters. Type it again."
        for place, words in (("subject", it.subject), ("preheader", it.preheader))
        if any(unicodedata.category(char) in ("Cc", "Zl", "Zp") for char in words)
    }
    if broken:
        raise FormProblems(broken)
    return Source(it.kind, "en", it.subject, it.preheader, it.mjml, it.text, values)


def problems_of(problem: InputProblem) -> dict[str, str]:
    """What to fix, by field, whoever found it."""
    if isinstance(problem, FormProblems):
        return problem.found
    if isinstance(problem, ContentProblems):
        return {f"{CONTENT}{place}": words for place, words in enumerate(problem.problems, 1)}
    if "name" in str(problem):
        return {"name": str(problem)}
    return {"form": str(problem)}


def _content(subject: str, preheader: str, mjml: str, text: str, values: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: value if isinstance(value, str) else written(value) for name, value in values.items()}
    return {"subject": subject, "preheader": preheader, "mjml": mjml, "text": text, "values": shown}


def _listed(name: str, text: str) -> list[Any]:
    if not text:
        return []
    try:
        return cast("list[Any]", json.loads(text))
    except json.JSONDecodeError as wrong:
        raise FormProblems({VALUE + name: f"This list is not JSON. Line {wrong.lineno}: {wrong.msg}."}) from None
