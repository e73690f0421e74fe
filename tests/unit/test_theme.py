"""Contrast of the look, computed from the tokens in theme.css (WCAG 2.2: 1.4.3 text 4.5, 1.4.11 shapes 3)."""

import re
from pathlib import Path

import pytest

THEME = (Path(__file__).parents[2] / "templates/static/theme.css").read_text()
GROUNDS = ("bg", "surface")


def tokens(block: str) -> dict[str, str]:
    return dict(re.findall(r"--af-([a-z-]+): (#[0-9a-f]{6})", block))


def looks() -> dict[str, dict[str, str]]:
    light = tokens(THEME[THEME.index(":root {") : THEME.index("@media (prefers-color-scheme: dark)")])
    dark_from = THEME.index("@media (prefers-color-scheme: dark)")
    dark = tokens(THEME[dark_from : THEME.index("\n}\n", dark_from)])
    return {"light": light, "dark": dark}


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


PAIRS = [
    *[(ink, ground, 4.5) for ink in ("ink", "soft", "accent", "ok", "warn", "bad") for ground in GROUNDS],
    *[("ink", ground, 4.5) for ground in ("sunk", "tint", "ok-tint", "warn-tint", "bad-tint")],
    *[(word, f"{word}-tint", 4.5) for word in ("ok", "warn", "bad")],
    ("soft", "sunk", 4.5),
    ("accent", "tint", 4.5),
    ("on-accent", "accent", 4.5),
    *[("edge", ground, 3.0) for ground in GROUNDS],
    ("bar", "surface", 3.0),
    ("bar", "bar-off", 3.0),
    ("accent", "bar-off", 3.0),
    *[(f"k-{topic}", "surface", 3.0) for topic in ("festive", "launch", "offer", "service")],
]


@pytest.mark.parametrize("look", ["light", "dark"])
@pytest.mark.parametrize("front,back,least", PAIRS)
def test_what_has_to_be_read_stands_out_enough(look, front, back, least):
    colours = looks()[look]
    assert contrast(colours[front], colours[back]) >= least


@pytest.mark.parametrize("look", ["light", "dark"])
def test_white_words_on_the_stop_button_stand_out_enough(look):
    assert contrast("#ffffff", looks()[look]["stop"]) >= 4.5


def test_both_looks_have_the_same_tokens():
    assert looks()["light"].keys() == looks()["dark"].keys()


def test_the_look_knows_no_place_but_its_own_folder():
    """The admin's content policy allows its own host only: an address in the style sheet would be refused."""
    assert re.findall(r"url\((?!chevron\.svg\))[^)]*\)|@import", THEME) == []
