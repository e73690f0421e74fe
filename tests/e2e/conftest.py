"""A real browser in front of a real server. A page that complains, or that asks anybody but us, fails its test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlalchemy.orm import Session, sessionmaker

from config.settings import Settings
from mailer.db import create_engine_from, session_factory
from tests.conftest import ROOT_KEY
from tests.mailed import BASE, Mailed, mailed
from tests.serving import serving

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """The Chromium of this machine; without one, Playwright's own."""
    return {"args": list(QUIET)} | ({"executable_path": CHROMIUM} if CHROMIUM else {})


@pytest.fixture(scope="session")
def browser_context_args() -> dict[str, object]:
    """Nothing but the defaults: addresses come from `served`."""
    return {}


PATIENCE_MS = 90_000
"""A page may take long on a busy machine; what it shows is what is tested."""


@pytest.fixture(autouse=True)
def patient(request) -> None:
    """Wait as long as a busy machine needs, for pages and for what is expected on them."""
    expect.set_options(timeout=30_000)
    if "context" in request.fixturenames or "page" in request.fixturenames:
        request.getfixturevalue("context").set_default_timeout(PATIENCE_MS)


@dataclass(frozen=True)
class Served:
    """A server of this test process, and the database behind it."""

    url: str
    sessions: sessionmaker[Session]
    keys: object
    inbox: Path

    def mail(self, *args, **facts) -> Mailed:
        return mailed(self.sessions, self.keys, *args, **facts)


@pytest.fixture(scope="session")
def served(engines, keys, tmp_path_factory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("served")
    (data / "inbox").mkdir()
    with engines.database() as name:
        settings = Settings.from_env(
            {
                "DATABASE_URL": engines.app.format(name),
                "SMTP_URL": "smtp+plain://127.0.0.1:1",
                "ASKFIRST_ROOT_KEY": ROOT_KEY.hex(),
                "ASKFIRST_DATA": str(data),
                "PUBLIC_URL": BASE,
            }
        )
        engine = create_engine_from(settings.database_url)
        with serving(settings) as url:
            yield Served(url, session_factory(engine), keys, data / "inbox")
        engine.dispose()


class Watch:
    """What went wrong in the pages of one context, by the browser's own account."""

    def __init__(self, context: BrowserContext) -> None:
        self.complaints: list[str] = []
        self.expected: tuple[str, ...] = ()
        context.on("console", self._said)
        context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        context.on("request", self._asked)

    def expect(self, *texts: str) -> None:
        """Complaints with one of these texts belong to the story: a 400 is one, in a browser's eyes."""
        self.expected += texts

    def _said(self, message) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _asked(self, request) -> None:
        host = urlsplit(request.url).hostname
        if request.url.startswith("http") and host not in {"127.0.0.1", "localhost"}:
            self.complaints.append(f"asked {request.url}")

    def settle(self) -> None:
        left = [text for text in self.complaints if not any(part in text for part in self.expected)]
        assert left == []


@pytest.fixture
def watch(context: BrowserContext) -> Iterator[Watch]:
    """Listens to `context`; at the end of the test nothing unexpected may have been said."""
    watch = Watch(context)
    yield watch
    watch.settle()


@pytest.fixture
def page(context: BrowserContext, watch: Watch) -> Page:
    return context.new_page()


@pytest.fixture
def plain_page(browser: Browser) -> Iterator[Page]:
    """A browser whose JavaScript is turned off."""
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    watch = Watch(context)
    yield context.new_page()
    context.close()
    watch.settle()


@pytest.fixture(scope="session", autouse=True)
def runtime_folder() -> None:
    """Playwright looks for one and warns where there is none."""
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")
