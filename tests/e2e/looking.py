"""A page is looked at: nothing for axe, nothing sideways, in every width, in light and in dark."""

from __future__ import annotations

from collections.abc import Callable

from axe_playwright_python.base import AXE_SCRIPT, AxeResults
from playwright.sync_api import Page

WIDTHS = (320, 375, 768, 1280)
RULES = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
COLOURS = {"type": "rule", "values": ["color-contrast"]}
ONE_HEADING = "[...document.querySelectorAll('h1')].filter(one => one.checkVisibility()).length"


def look(page: Page, also: Callable[[], object] = list) -> None:
    """Nothing scrolls sideways, axe finds nothing, and `also` finds nothing; everything that folds is unfolded first.

    Axe is slow: it looks at everything once, narrow and in light, and in dark at the colours, which are all that
    changes there.
    """
    page.wait_for_load_state()  # a click may just have led here
    page.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true })")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")  # else axe measures half-way colours
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{page.url} {width}"
        assert also() == [], f"{page.url} {width}"
        if width == WIDTHS[0]:
            page.evaluate(AXE_SCRIPT)
            nothing_for_axe(page, RULES)
    page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    nothing_for_axe(page, COLOURS)
    assert page.evaluate(ONE_HEADING) == 1


def nothing_for_axe(page: Page, rules: object) -> None:
    """Axe finds nothing; it isn't asked what was well, which is most of what it would say."""
    options = {"runOnly": rules, "resultTypes": ["violations"]}
    found = AxeResults(page.evaluate("options => axe.run(options)", options))
    assert found.response["passes"], "it looked at something"
    assert found.violations_count == 0, f"{page.url}: {found.generate_report()}"
