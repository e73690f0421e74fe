"""The words of the public pages in the languages they come in, and how dates are said in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from markupsafe import Markup
from werkzeug.datastructures import LanguageAccept

from mailer.consent.links import LANGUAGES

FOLDER = Path(__file__).parents[3] / "templates" / "pages" / "public"


@dataclass(frozen=True, slots=True)
class Speech:
    """One language: its texts, as they stand in its file, and the zone in which it tells times."""

    code: str
    texts: Mapping[str, Any]
    zone: ZoneInfo

    def purpose(self, key: str | None) -> str:
        """`offers and discounts`, as it stands within a sentence; for None: all marketing e-mails."""
        found = self.texts["purposes"].get(key)
        return str(found["name"]) if found else str(self.texts["everything"])

    def day(self, moment: datetime) -> Markup:
        """`14 March 2026`, as a `<time>`."""
        local = moment.astimezone(self.zone)
        return Markup('<time datetime="{}">{}</time>').format(local.date().isoformat(), self._day(local))

    def moment(self, moment: datetime) -> Markup:
        """`14 March 2026, 11:20 am (India time)`, as a `<time>`."""
        local = moment.astimezone(self.zone)
        said = f"{self._day(local)}, {self._clock(local)} ({self._zone(local)})"
        return Markup('<time datetime="{}">{}</time>').format(local.isoformat(timespec="minutes"), said)

    def _day(self, local: datetime) -> str:
        return f"{local.day} {self.texts['months'][local.month - 1]} {local.year}"

    def _clock(self, local: datetime) -> str:
        part = next(part for part in self.texts["parts_of_day"] if local.hour < part["until"])
        return str(part["say"]).format(time=f"{(local.hour - 1) % 12 + 1}:{local:%M}")

    def _zone(self, local: datetime) -> str:
        return str(self.texts["zones"].get(self.zone.key) or local.tzname())


@cache
def speech(code: str, zone: ZoneInfo) -> Speech:
    """The speech of one of `LANGUAGES`."""
    return Speech(code, json.loads((FOLDER / f"{code}.json").read_text("utf-8")), zone)


def choose(asked: str | None, of_link: str | None, accepted: LanguageAccept) -> str:
    """Return the language of a page: the one asked for, else the mail's, else the browser's, else English."""
    for wish in (asked, of_link):
        if wish in LANGUAGES:
            return str(wish)
    return accepted.best_match(LANGUAGES) or LANGUAGES[0]


def fill(text: str, **values: object) -> Markup:
    """Put `values`, escaped, into a text of ours: `{name}` stands for one."""
    return Markup(text).format(**values)  # noqa: S704  (from our own language files; the values are escaped)
