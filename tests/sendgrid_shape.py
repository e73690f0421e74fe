"""The names and kinds of values that `POST /v3/mail/send` knows, as published (twilio/sendgrid-oai, tsg_mail_v3, 2026).

An unknown name is passed over by the real one without a word: a misspelt switch would leave tracking on. So here it
is a mistake. One thing is mended: the description calls `custom_args` of the whole mail a string; it is an object.
"""

from __future__ import annotations

from collections.abc import Iterator

TEXTS = {str: str}
"""An object with any names and text for values."""
MAILBOX = {"email": str, "name": str}
SWITCH = {"enable": bool}
BYPASS = ("bypass_list_management", "bypass_spam_management", "bypass_bounce_management")
ANALYTICS = ("utm_source", "utm_medium", "utm_term", "utm_content", "utm_campaign")
PERSON = {
    "from": MAILBOX,
    "to": [MAILBOX],
    "cc": [MAILBOX],
    "bcc": [MAILBOX],
    "subject": str,
    "send_at": int,
    "headers": TEXTS,
    "substitutions": TEXTS,
    "custom_args": TEXTS,
    "dynamic_template_data": dict,
}
MAIL = {
    "personalizations": [PERSON],
    "from": MAILBOX,
    "reply_to": MAILBOX,
    "reply_to_list": [MAILBOX],
    "subject": str,
    "headers": TEXTS,
    "content": [{"type": str, "value": str}],
    "attachments": [dict.fromkeys(("content", "type", "filename", "disposition", "content_id"), str)],
    "categories": [str],
    "custom_args": TEXTS,
    "template_id": str,
    "send_at": int,
    "batch_id": str,
    "ip_pool_name": str,
    "asm": {"group_id": int, "groups_to_display": [int]},
    "mail_settings": dict.fromkeys((*BYPASS, "bypass_unsubscribe_management", "sandbox_mode"), SWITCH)
    | {"footer": SWITCH | {"text": str, "html": str}},
    "tracking_settings": {
        "click_tracking": SWITCH | {"enable_text": bool},
        "open_tracking": SWITCH | {"substitution_tag": str},
        "subscription_tracking": SWITCH | {"text": str, "html": str, "substitution_tag": str},
        "ganalytics": SWITCH | dict.fromkeys(ANALYTICS, str),
    },
}


def misfits(value: object, shape: object = MAIL, place: str = "") -> Iterator[str]:
    """Give the place of everything that has another kind than it should, or a name that nobody knows."""
    if isinstance(shape, type):
        if type(value) is not shape:  # True is no number here
            yield place
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield place
            return
        for number, one in enumerate(value):
            yield from misfits(one, shape[0], f"{place}.{number}")
    elif isinstance(shape, dict):
        if not isinstance(value, dict):
            yield place
            return
        for name, one in value.items():
            expected = shape.get(str) if str in shape else shape.get(name)
            yield from misfits(one, expected, f"{place}.{name}".lstrip("."))
    else:
        yield place
