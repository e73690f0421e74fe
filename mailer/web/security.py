"""What every answer carries and every form must bring: headers, content policies, CSRF, where a form came from.

Operators' forms need a session's CSRF token and must come from our own pages. Customers' pages have no session at
all, not even for an operator who opens one: what they may do hangs on the signed link alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Request, Response, abort, request
from flask.sessions import SecureCookieSession, SecureCookieSessionInterface, SessionMixin
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from config.settings import Settings
from mailer.web.public.blueprint import public
from mailer.web.shop import shop

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

SESSIONLESS = ("/u/", "/p/", "/w/", "/c/", "/inbox/", "/static/", "/hooks/")
SESSIONLESS_EXACT = frozenset({"/stop", "/stop/", "/healthz", "/metrics", "/favicon.ico"})
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LARGEST_BODY = 1_000_000
YEAR = 31_536_000

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; "
        "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    ),
}
CUSTOMERS = {
    # The address holds the link's power: it goes to nobody (ASVS 5.0 14.2.1).
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
}
MAIL_PICTURES = {"Cross-Origin-Resource-Policy": "cross-origin"}


def guard(app: Flask, settings: Settings) -> CSRFProtect:
    """Protect the whole application; return the CSRF guard, so that doors of programs can be exempted by name."""
    app.config["MAX_CONTENT_LENGTH"] = LARGEST_BODY
    app.config["WTF_CSRF_TIME_LIMIT"] = None  # as long as the session, which ends by itself
    app.config["WTF_CSRF_SSL_STRICT"] = False  # where a form came from is checked below, without the Referer
    app.session_interface = OperatorsSessions()
    app.before_request(refuse_foreign_forms)
    csrf = CSRFProtect(app)
    csrf.exempt(public)
    app.after_request(add_headers)
    app.wsgi_app = Below(app.wsgi_app, urlsplit(settings.public_url).path)  # type: ignore[method-assign]
    if settings.trusted_proxies:
        n = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=n, x_proto=n, x_host=n)  # type: ignore[method-assign]
    return csrf


class Below:
    """The application below a path of the public address, whether or not the proxy takes that path away."""

    def __init__(self, app: WSGIApplication, path: str) -> None:
        self._app, self._path = app, path.rstrip("/")

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        asked = environ.get("PATH_INFO", "")
        if self._path:
            environ["SCRIPT_NAME"] = self._path
            if asked.startswith(f"{self._path}/"):
                environ["PATH_INFO"] = asked.removeprefix(self._path)
        return self._app(environ, start_response)


class OperatorsSessions(SecureCookieSessionInterface):
    """Signed cookies for operators. Elsewhere there is no session: none is read, and no cookie is ever set."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        if is_sessionless(request):
            return SecureCookieSession()
        return super().open_session(app, request)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        if not is_sessionless(request):
            super().save_session(app, session, response)


def is_sessionless(asked: Request) -> bool:
    """Whether what is asked for has nothing to do with who is signed in."""
    return asked.path.startswith(SESSIONLESS) or asked.path in SESSIONLESS_EXACT


def refuse_foreign_forms() -> None:
    """Refuse an operator's form that another site sent. Browsers say so in a header that no page can set."""
    if request.method not in UNSAFE or request.blueprint == public.name:
        return
    fetched = request.headers.get("Sec-Fetch-Site")
    if fetched is not None and fetched not in {"same-origin", "none"}:
        abort(403)
    origin = request.headers.get("Origin")
    if origin is not None and origin not in own_origins():
        abort(403)


def own_origins() -> set[str]:
    """Where our own pages are: at the address that was asked, and at the public one."""
    public_url = urlsplit(shop().settings.public_url)
    return {request.host_url.rstrip("/"), f"{public_url.scheme}://{public_url.netloc}"}


def add_headers(response: Response) -> Response:
    """Add what the answer doesn't carry already: a view may be stricter or, for a reason of its own, different."""
    for name, value in (EVERYWHERE | special_headers()).items():
        response.headers.setdefault(name, value)
    if request.is_secure:
        response.headers.setdefault("Strict-Transport-Security", f"max-age={YEAR}")
    if request.endpoint != "static":
        response.headers["Cache-Control"] = "no-store"
    elif "v" in request.args and response.status_code in {200, 304}:
        response.headers["Cache-Control"] = f"public, max-age={YEAR}, immutable"  # the address has its content in it
    return response


def special_headers() -> dict[str, str]:
    """What differs for customers' pages and for pictures that mailboxes show."""
    if request.path.startswith("/static/mail/"):
        return MAIL_PICTURES
    return CUSTOMERS if is_sessionless(request) else {}
