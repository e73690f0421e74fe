"""Why a message may not leave, did not leave, or what became of it, in words for the people who work here. Pure.

The keys are the values of `Refusal`, the gate's reasons and the states of a delivery. A test holds that every one
of them has words.
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """`few` heads a row of a table; `because` ends the sentence "No, because ..."; `now` is what can be done."""

    few: str
    because: str
    now: str


NOTHING = "Nothing has to be done."
ONLY_THEY = (
    "Only this person can change it, in their own preferences. Asking them by e-mail would itself be marketing, "
    "so askfirst does not offer it."
)

LATER = "A later message may reach them."
AGAIN = "It is tried again by itself."
REPORT = "Wait for the provider’s report."

REASONS: dict[str, Reason] = {
    "erased": Reason("Erased", "they were erased at their request", NOTHING),
    "deactivated": Reason(
        "Account not active", "their account is not active", "They can activate it again themselves."
    ),
    "no_address": Reason(
        "No e-mail address", "we have no e-mail address of them", "They can give one when they next order."
    ),
    "minor": Reason("Under 18", "they are under 18", "Nobody under 18 is mailed, whatever they agreed to."),
    "age_unknown": Reason(
        "Age not known", "we don’t know that they are 18 or older", "They can say so in their own preferences."
    ),
    "suppressed": Reason(
        "On the do-not-mail list",
        "their address is on the do-not-mail list",
        "An address comes off it only by a new act of the person.",
    ),
    "stop_requested": Reason("Just said no", "they asked us to stop a moment ago", ONLY_THEY),
    "never_asked": Reason("Never said yes", "they never said yes to it", ONLY_THEY),
    "withdrawn": Reason("Said yes, later said no", "they said no", ONLY_THEY),
    "policy_changed": Reason(
        "Yes was to older wording",
        "what they agreed to has changed since, and they have not agreed again",
        "They are asked again by the notice about the change.",
    ),
    "pause_until": Reason(
        "Paused by themselves", "they paused mail until a date", "It goes on by itself after that date."
    ),
    "less_often": Reason("Wants mail less often", "they asked to be written to less often", LATER),
    "capped": Reason("Had enough messages already", "they already had as many messages as we allow", LATER),
    "duplicate_address": Reason(
        "Same address as somebody else", "somebody else with the same address got this message", NOTHING
    ),
    "not_found": Reason("Record gone", "their record is gone", NOTHING),
    "no_gate_for_this_message": Reason(
        "Not marketing", "this kind of message may not leave as marketing", "Tell whoever runs askfirst."
    ),
    "quiet_hours": Reason("Night where they are", "it is night where they are", "It goes on by itself in the morning."),
    "ledger_changed": Reason("Changed their mind just then", "they changed their choices just then", AGAIN),
    "address_changed": Reason("Address changed just then", "their address changed just then", AGAIN),
    "send_again": Reason(
        "To be sent again",
        "two people decided to send it again",
        "It waits its turn; the check before leaving runs again.",
    ),
    "on_hold": Reason("On hold", "everything is on hold", "It goes on when the hold is lifted."),
    "campaign_paused": Reason("Paused", "the campaign is paused", "It goes on when somebody resumes it."),
    "approval_changed": Reason(
        "Approval no longer fits", "what was approved has changed", "Somebody has to approve it again."
    ),
    "campaign_over": Reason("Too late", "the campaign was over", NOTHING),
    "campaign_cancelled": Reason("Stopped", "the campaign was stopped", NOTHING),
    "worker_lost": Reason("A worker was lost while handing over", "a worker was lost while handing over", REPORT),
    "no_final_answer": Reason("No answer to the last word", "the provider’s last answer never came", REPORT),
    "no_receipt": Reason("No answer", "the provider’s answer never came", REPORT),
    "refused_by_provider": Reason("The provider said no", "the provider said no to this address", NOTHING),
    "not_taken": Reason("Not taken yet", "the provider did not take it yet", AGAIN),
    "window_closed": Reason("Its turn was over", "its turn in the batch was over", AGAIN),
    "lock_not_obtained": Reason("Somebody else had them", "another message or act had them in hand", AGAIN),
    "misconfigured": Reason(
        "Our sender is refused", "the provider refuses our sender", "Look at the sender’s settings."
    ),
}

STATES: dict[str, tuple[str, str, str]] = {
    "accepted": ("ok", "Handed to the mail provider", "It took the message. “Delivered” only when it reports so."),
    "handing_over": ("sending", "Being handed over", "Right now, in one batch."),
    "pending": ("pending", "Waiting", "Nothing has happened yet."),
    "withheld": ("out", "Withheld", "The check before leaving said no."),
    "refused_by_provider": ("bad", "Refused by the provider", "It did not take the message."),
    "in_doubt": ("doubt", "In doubt", "The connection broke while handing over. Not repeated."),
    "unconfirmed": ("warn", "Unconfirmed", "In doubt for a day, and no report came."),
    "closed": ("out", "Closed", "Was unconfirmed; a person closed it."),
    "render_failed": ("bad", "Could not be written", "Something the message needs is missing for this person."),
    "expired": ("out", "Too late", "The campaign’s end came first."),
    "cancelled": ("cancelled", "Stopped before leaving", "The campaign was stopped."),
}
"""State of a delivery -> status word, name, one line. In the order in which tables show them."""


def reason(key: str | None) -> Reason:
    """The words for a reason; one that has none yet is shown as it is, never hidden."""
    plain = (key or "no reason was noted").replace("_", " ")
    return REASONS.get(key or "", Reason(plain.capitalize(), plain, ""))
