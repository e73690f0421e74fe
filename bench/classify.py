"""What the rules make of mails that somebody has labelled: one JSON line about a folder, no database, no sending.

FOLDER has a folder for each label, with mails (`*.eml`) at any depth, or single answers of mail servers (`*.txt`, one a
line): `hard` (the address is gone), `soft` (anything else that failed or is late), `complaint` (in a folder named after
its type, `complaint/abuse`, the type must be right as well), `reply` (what robots answer), `broken` (what nobody can
read). The last two suppress and count nobody. What was told wrong is named, so that a person can read it.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mailer.bounces.causes import Act, cause_of
from mailer.bounces.complaints import Meaning
from mailer.bounces.reports import status_in
from mailer.bounces.sorting import Kind, Sorted, sort

SIZES: tuple[int, ...] = ()
"""It does not grow: it reads what it's given."""
MOST_NAMED = 100


def run(folder: Path) -> dict[str, object]:
    """Return how many of each label there are, how many were told right or wrong, and which were told wrong."""
    told: Counter[str] = Counter()
    wrong: list[str] = []
    for file in sorted(folder.rglob("*.eml")):
        label, *below = file.relative_to(folder).parts[:-1] or ("",)
        if not _mail(told, label, sort(file.read_bytes()), below[0] if below else ""):
            wrong.append(str(file.relative_to(folder)))
    for file in sorted(folder.rglob("*.txt")):
        label = file.relative_to(folder).parts[0]
        for number, said in enumerate(filter(None, file.read_text(errors="replace").splitlines()), 1):
            gone = cause_of(said, status_in(said, "45")).act is Act.SUPPRESS
            if not _bounce(told, label, gone):
                wrong.append(f"{file.relative_to(folder)}:{number}")
    names = ("hard", "found", "soft", "suppressed", "complaints", "right", "replies", "counted", "broken", "kept")
    return {"bench": "classify", **{name: told[name] for name in names}, "wrong": wrong[:MOST_NAMED]}


def _mail(told: Counter[str], label: str, mail: Sorted, kind: str) -> bool:
    failed = [finding.cause.act for finding in mail.findings if finding.action == "failed"]
    if label == "complaint":
        told["complaints"] += 1
        known = [one for one in mail.complaints if not kind or one.type == kind]
        right = bool(known) and (bool(kind) or any(one.meaning is Meaning.COMPLAINT for one in known))
        told["right"] += right
        return right
    if label in ("reply", "broken"):
        acts = mail.kind in (Kind.COMPLAINT, Kind.OPT_OUT) or Act.SUPPRESS in failed or Act.COUNT in failed
        told["replies" if label == "reply" else "broken"] += 1
        told["counted"] += acts
        told["kept"] += label == "broken" and mail.kind in (Kind.UNREADABLE, Kind.LETTER)
        return not acts
    return _bounce(told, label, Act.SUPPRESS in failed)


def _bounce(told: Counter[str], label: str, gone: bool) -> bool:
    told[label] += 1
    told["found" if label == "hard" else "suppressed"] += gone and label in ("hard", "soft")
    return gone == (label == "hard")
