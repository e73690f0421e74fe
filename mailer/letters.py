"""PURE: a mail as what it shares with all others and what, in each marked place, it has for itself.

A provider that puts values into a content by itself (SendGrid's substitutions) gets the content once for up to
1,000 people. People whose mail has the same pieces of the template in the same order (as many products, a name or
none) share a frame; whatever lies between two of those pieces is one value, made here and escaped here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

MOST_MARKS = 140
"""SendGrid takes 150 a person."""
KEPT = 512
"""Frames that are remembered. One that is forgotten is made again; only then nobody shares with those before."""
SHORTEST = 40
"""Characters of a piece worth sharing: a shorter one costs less inside the value beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """The bodies that many messages have in common, with a mark at each place where one differs. Known by identity."""

    text: str = field(repr=False)
    html: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as what it shares with others and what, in each marked place, it has for itself."""

    shared: Shared
    values: Mapping[str, str] = field(repr=False)
    """By mark, for every mark in `shared`. Already escaped for the place it goes to."""
    head: bytes = field(default=b"", repr=False)
    """The message's headers, each person's own."""


class Frames:
    """The frames of one content: one for each order in which its `constants` come out. Few, for few things vary."""

    def __init__(self, constants: Iterable[str]) -> None:
        self._constants = {piece for piece in constants if len(piece) >= SHORTEST}
        self._frames: dict[tuple[str, ...], Frame] = {}

    def letter(self, pieces: Sequence[str], text: str) -> Letter | None:
        """Return one person's rendered `pieces` as a letter; None where they can't be one: then it is sent whole."""
        shape = tuple(piece for piece in pieces if piece in self._constants)
        if shape not in self._frames:
            if len(self._frames) >= KEPT:
                self._frames.pop(next(iter(self._frames)))
            self._frames[shape] = Frame(shape)
        return self._frames[shape].letter(pieces, text)


class Frame:
    """What people of one shape have in common: the `pieces` that come out for all of them, in their order."""

    def __init__(self, pieces: Sequence[str]) -> None:
        worth = sorted((piece for piece in pieces if len(piece) >= SHORTEST), key=len, reverse=True)
        least = len(worth[MOST_MARKS - 3]) + 1 if len(worth) > MOST_MARKS - 2 else SHORTEST
        self._fixed = [piece for piece in pieces if len(piece) >= least]
        # Of the content itself, so that it can't be in it by chance, and no sender of data can foresee it.
        self._sign = f"-af{sha256(repr(pieces).encode()).hexdigest()[:24]}"
        self._marks = [self._mark(place) for place in range(len(self._fixed) + 1)]
        between = (part for pair in zip(self._marks, [*self._fixed, ""], strict=True) for part in pair)
        self.shared = Shared(self._mark("text"), "".join(between))

    def letter(self, pieces: Iterable[str], text: str) -> Letter | None:
        """Return one person's rendered `pieces` as a letter; None where they don't fit: then it is sent whole."""
        values, slot, place = {self._mark("text"): text}, list[str](), 0
        for piece in pieces:
            if place < len(self._fixed) and piece == self._fixed[place]:
                values[self._marks[place]] = "".join(slot)
                slot, place = [], place + 1
            else:
                slot.append(piece)
        values[self._marks[place]] = "".join(slot)
        if place < len(self._fixed) or any(self._sign in value for value in values.values()):
            return None
        return Letter(self.shared, values)

    def _mark(self, place: int | str) -> str:
        return f"{self._sign}-{place}-"
