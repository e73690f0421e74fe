"""What operators do with a campaign. Writing one is in `campaigns.drafts`, what the clock does in `campaigns.tending`.

Every operation locks the campaign, changes its state and its mandate's together, and leaves an event and an act in
the chain, all in the caller's transaction. Doing it again changes nothing and says so. Start with `approving`.
"""

from campaigns.drafts import create_campaign, edit, submit, write_content
from campaigns.operations.approving import approve, return_
from campaigns.operations.deciding import ask_to_send_again, close, send_again, turn_down
from campaigns.operations.running import AudienceGrew, Start, TestSender, cancel, pause, resume, send_test, start

__all__ = [
    "AudienceGrew",
    "Start",
    "TestSender",
    "approve",
    "ask_to_send_again",
    "cancel",
    "close",
    "create_campaign",
    "edit",
    "pause",
    "resume",
    "return_",
    "send_again",
    "send_test",
    "start",
    "submit",
    "turn_down",
    "write_content",
]
