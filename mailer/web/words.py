"""Values as people read them: numbers in Indian grouping, times in the shop's zone, addresses masked. Pure."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape


def number(value: int) -> str:
    """12940 -> 12,940; 486200 -> 4,86,200 (Indian grouping: the last three digits, then pairs)."""
    digits, sign = str(abs(value)), "−" if value < 0 else ""
    head, tail = digits[:-3], digits[-3:]
    pairs = [head[max(end - 2, 0) : end] for end in range(len(head), 0, -2)][::-1]
    return sign + ",".join([*pairs, tail])


def rupees(paise: int) -> str:
    """48620000 -> ₹4,86,200; paise are shown only where there are some."""
    whole, rest = divmod(abs(paise), 100)
    return ("−" if paise < 0 else "") + "₹" + number(whole) + (f".{rest:02d}" if rest else "")


def people(count: int) -> str:
    """1 -> 1 person; 3404 -> 3,404 people."""
    return "1 person" if count == 1 else f"{number(count)} people"


def share(part: int, whole: int) -> str:
    """5812 of 9480 -> 61.3%. What is there but tiny is never shown as nothing, nor all but one as all."""
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1%"
    if 99.9 < percent < 100:
        return "over 99.9%"
    return f"{percent:.1f}%".replace(".0%", "%")


def when(moment: datetime, now: datetime, zone: ZoneInfo) -> str:
    """`10:14` today, `yesterday, 16:40`, `Thu 5 Nov, 10:00` this year, else with the year."""
    local, today = moment.astimezone(zone), now.astimezone(zone)
    days = (today.date() - local.date()).days
    if days == 0:
        return f"{local:%H:%M}"
    if days == 1:
        return f"yesterday, {local:%H:%M}"
    if local.year == today.year:
        return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"
    return f"{local.day} {local:%b %Y}, {local:%H:%M}"


def day(moment: datetime, zone: ZoneInfo) -> str:
    """`14 August 2026`."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%B %Y}"


def short_day(moment: datetime, zone: ZoneInfo) -> str:
    """`14 Aug 2026`."""
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y}"


def clock_time(moment: datetime, zone: ZoneInfo) -> str:
    """`10:14`."""
    return f"{moment.astimezone(zone):%H:%M}"


def exact(moment: datetime, zone: ZoneInfo) -> str:
    """`10:20:14`."""
    return f"{moment.astimezone(zone):%H:%M:%S}"


def full(moment: datetime, zone: ZoneInfo) -> str:
    """`Tuesday, 3 November 2026, 10:20`."""
    local = moment.astimezone(zone)
    return f"{local:%A}, {local.day} {local:%B %Y}, {local:%H:%M}"


def duration(seconds: float) -> str:
    """660 -> about 11 minutes. Rounded up: an estimate that runs over is worse than one that doesn't."""
    if seconds < 60:
        return "less than a minute"
    minutes = -(-int(seconds) // 60)
    if minutes < 120:
        return f"about {minutes} minute{'s' if minutes > 1 else ''}"
    return f"about {-(-minutes // 60)} hours"


def visible(text: str) -> str:
    """Shows what would otherwise hide or turn the text around: control and bidi characters become ⟨U+202E⟩."""
    return "".join(f"⟨U+{ord(c):04X}⟩" if is_hidden(c) else c for c in text)


def breakable(address: str) -> Markup:
    """An address that a narrow column may break where a reader does: behind the @ and before a dot, never in a word."""
    return Markup(str(escape(visible(address))).replace("@", "@<wbr>").replace(".", "<wbr>."))  # noqa: S704  (escaped)


def is_hidden(char: str) -> bool:
    code = ord(char)
    return (
        code < 32
        or 0x7F <= code < 0xA0
        or code in {0x200B, 0x200E, 0x200F, 0x2028, 0x2029, 0xFEFF}
        or (0x202A <= code <= 0x202E or 0x2066 <= code <= 0x2069)
    )
