"""What kind of program asks, by its own account. For the log only: nothing is ever decided by it. Pure."""

from __future__ import annotations

# The first that fits names it. Scanners fetch every link of a mail; mailboxes press one-click for their users.
SIGNS = (
    ("none", ("",)),
    ("mailbox", ("google-lp", "gmail", "googleimageproxy", "yahoomail", "apple-mail", "outlook", "fastmail")),
    (
        "scanner",
        ("safelinks", "proofpoint", "mimecast", "barracuda", "bot", "crawl", "spider", "scan", "preview", "headless"),
    ),
    ("script", ("python", "curl", "wget", "go-http", "java/", "okhttp", "axios", "libwww", "httpclient")),
    ("text browser", ("lynx", "w3m", "links (", "elinks")),
    ("browser", ("mozilla/", "opera/")),
)


def agent_class(user_agent: str | None) -> str:
    """Return none, mailbox, scanner, script, text browser, browser or other."""
    said = (user_agent or "").strip().lower()
    for name, signs in SIGNS:
        if any(said == sign if sign == "" else sign in said for sign in signs):
            return name
    return "other"
