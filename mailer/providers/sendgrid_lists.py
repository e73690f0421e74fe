"""SendGrid's own lists: who may get nothing by it, and whom it must forget (`mailer.notices`),
and who is on them (`mailer.comparing`).

The global list, because our mail names no group of theirs: a group's list would stop nothing. Somebody who says no
to one purpose and yes to another is therefore not on it; our own gate keeps them apart. Nor would it be safe: SendGrid
puts addresses for a group that doesn't exist on the global list.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from mailer.providers import sendgrid_replies
from mailer.providers.sendgrid import HOST
from mailer.providers.sendgrid_client import Answer, NotBegun, Unanswered, Unwritten, api

PAGE = 500
SECONDS = 5.0
"""For each call. It is repeated until it was heard, so it need not wait long."""


class SendGridLists:
    """Puts addresses on the list of global unsubscribes, takes them off, has them erased."""

    name = "sendgrid"

    def __init__(
        self, key: str, *, host: str = HOST, seconds: float = SECONDS, context: ssl.SSLContext | None = None
    ) -> None:
        self._api = api(key, host, seconds=seconds, context=context)

    def stop(self, addresses: Sequence[str]) -> str:
        """POST /v3/asm/suppressions/global."""
        return _problem(self._global().post, {"recipient_emails": list(addresses)})

    def allow(self, addresses: Sequence[str]) -> str:
        """DELETE /v3/asm/suppressions/global/{address}; one that isn't there is fine."""
        for address in addresses:
            problem = _problem(self._global()._(quote(address, safe="")).delete, fine=(404,))
            if problem:
                return problem
        return ""

    def erase(self, addresses: Sequence[str]) -> str:
        """POST /v3/recipients/erasejob (at most 5,000 addresses)."""
        return _problem(self._api.recipients.erasejob.post, {"email_addresses": list(addresses)})

    def stopped(self, after: int) -> tuple[list[str], bool, str]:
        """GET /v3/suppression/unsubscribes, by offset."""
        query = {"limit": PAGE, "offset": after}
        try:
            answer: Answer = self._api.suppression.unsubscribes.get(query=query)
            if answer.status != 200:
                return [], True, f"{answer.status} {sendgrid_replies.words_of(answer.body)}".strip()
            found = [str(entry["email"]) for entry in json.loads(answer.body)]
        except (NotBegun, Unwritten, Unanswered) as trouble:
            return [], True, str(trouble) or type(trouble).__name__
        except (ValueError, KeyError, TypeError):
            return [], True, "its list is not the JSON that is documented"
        return found, len(found) < PAGE, ""

    def close(self) -> None:
        """Close the connections that rest."""
        self._api.connections.close()

    def _global(self) -> Any:
        return self._api.asm.suppressions._("global")


def _problem(call: Any, *given: Any, fine: tuple[int, ...] = ()) -> str:
    """What went wrong with a call, without an address; nothing if it was heard."""
    try:
        answer: Answer = call(*given)
    except (NotBegun, Unwritten, Unanswered) as trouble:
        return str(trouble) or type(trouble).__name__
    if 200 <= answer.status < 300 or answer.status in fine:
        return ""
    return f"{answer.status} {sendgrid_replies.words_of(answer.body)}".strip()
