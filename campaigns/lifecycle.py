"""PURE: the life of a campaign, as a table. What is not in it can't happen."""

from __future__ import annotations

from mailer.errors import WrongState

STATES = ("draft", "waiting", "approved", "sending", "paused", "sent", "cancelled")
EVENTS = ("submit", "return", "approve", "edit", "start", "pause", "resume", "cancel", "finish", "resend")

TABLE: dict[tuple[str, str], str] = {
    ("draft", "edit"): "draft",
    ("draft", "submit"): "waiting",
    ("draft", "cancel"): "cancelled",
    ("waiting", "approve"): "approved",
    ("waiting", "return"): "draft",
    # Whoever edits takes it back: what an approver reads must be what they approve.
    ("waiting", "edit"): "draft",
    ("waiting", "cancel"): "cancelled",
    ("approved", "start"): "sending",
    # An edit voids the approval, and so does an approver with second thoughts.
    ("approved", "edit"): "draft",
    ("approved", "return"): "draft",
    ("approved", "cancel"): "cancelled",
    ("sending", "pause"): "paused",
    ("sending", "cancel"): "cancelled",
    ("sending", "finish"): "sent",
    ("paused", "resume"): "sending",
    ("paused", "cancel"): "cancelled",
    # Two people may want a second message to those of whom nobody knows whether they got the first.
    ("sending", "resend"): "sending",
    ("paused", "resend"): "paused",
    ("sent", "resend"): "sending",
    # Nothing else leads out of sent, and nothing out of cancelled: a stop stays a stop.
}

MANDATES = {
    "approved": "approved",
    "sending": "sending",
    "paused": "paused",
    "cancelled": "cancelled",
    "sent": "finished",
}
"""State of the mandate for each state of a campaign that has one; draft and waiting have none."""

_WHY = {
    "draft": "it is a draft",
    "waiting": "it waits for approval",
    "approved": "it is approved and not started",
    "sending": "it is being sent",
    "paused": "it is paused",
    "sent": "it was sent",
    "cancelled": "it was cancelled",
}


def after(state: str, event: str) -> str:
    """Return the state after `event`, or raise `WrongState` that says what can be done instead."""
    try:
        return TABLE[state, event]
    except KeyError:
        can = possible(state)
        instead = f" What can be done now: {', '.join(can)}." if can else " Nothing more can be done with it."
        raise WrongState(f"This campaign can't be changed by “{event}”: {_WHY.get(state, state)}.{instead}") from None


def possible(state: str) -> tuple[str, ...]:
    """Return the events that may happen in `state`, in the order of a campaign's life."""
    return tuple(event for event in EVENTS if (state, event) in TABLE)
