"""The web application on a database of the test's own, and its customers."""

from __future__ import annotations

import pytest

import wsgi
from tests.desks import Desk
from tests.mailed import mailed


@pytest.fixture
def app(committed, settings):
    app = wsgi.create_app(settings.replace(database_url=committed.url))
    yield app
    app.extensions["askfirst"].engine.dispose()


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def cold(settings):
    """Visits to an application that never saw its database: for what needs none, and for how that is said."""
    app = wsgi.create_app(settings.replace(database_url="postgresql://nobody@127.0.0.1:1/none"))
    yield app.test_client()
    app.extensions["askfirst"].engine.dispose()


@pytest.fixture
def mail(committed, keys):
    """Mail somebody: `mail("offer", also=("festive",))`."""

    def mail(*args, **facts):
        return mailed(committed.sessions, keys, *args, **facts)

    return mail


@pytest.fixture
def desk(committed):
    """The operators' side: their application, and who works there."""
    desk = Desk(committed)
    yield desk
    desk.close()
