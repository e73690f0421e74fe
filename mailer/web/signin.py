"""Who works here and who is asking: Flask-Security on our own tables, with sign-in pages in our own look.

There is no registration; operators are made on the command line. A session ends 30 minutes after the last act of a
person (a page that refreshes itself doesn't count) and 12 hours after sign-in (OWASP ASVS 5.0, 7.3). Unknown and
known addresses get the same answer (6.3.8), and guessing is slowed per network and per account (6.3.1).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast

from flask import Flask, abort, make_response, request, session
from flask_login import user_logged_in
from flask_security import (
    LoginForm,
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    auth_required,
    current_user,
    hash_password,
    logout_user,
    roles_accepted,
)
from flask_security.decorators import default_unauthn_handler
from sqlalchemy import select
from sqlalchemy.orm import relationship, scoped_session
from werkzeug.local import LocalProxy

from config.keys import Keys
from mailer.db import Base
from mailer.errors import InputProblem
from mailer.models.operators import Operator, Role, operators_roles
from mailer.web.edge import db, is_poll, now, transaction
from mailer.web.rates import bucket, count, network_of
from mailer.web.shop import shop

View = TypeVar("View", bound=Callable[..., Any])

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
NOTED_EVERY = timedelta(seconds=30)
"""How exactly the last act is remembered. Each note is a cookie, and one in an answer that comes late (a picture of a
page, a frame) would take the place of what sign-in or sign-out has set meanwhile: so most answers carry none."""
SINCE, SEEN = "signed_in_at", "seen_at"
WINDOW = timedelta(minutes=10)
TRIES_OF_NETWORK, TRIES_OF_ACCOUNT = 100, 20
"""Answers to sign-in that a network, or anybody for one account, gets in a window."""


class Duty(Base, RoleMixin):
    """`mailer.models.Role` with what Flask-Security asks of a role."""

    __table__ = Role.__table__

    if TYPE_CHECKING:
        name: str


class Account(Base, UserMixin):
    """`mailer.models.Operator` with what Flask-Security asks of a user. Same table, own mapper: models stay plain."""

    __table__ = Operator.__table__

    roles = relationship(Duty, secondary=operators_roles, lazy="selectin", overlaps="roles")

    if TYPE_CHECKING:
        id: int
        name: str
        email: str


class SignInForm(LoginForm):
    """Address and password. Nothing is remembered beyond the session."""

    remember = None


def sign_operators_in(app: Flask, keys: Keys) -> None:
    """Add sign-in and sign-out to the application."""
    app.config.from_mapping(cookies() | pages() | secrets_from(keys))
    security = Security(app, accounts(), login_form=SignInForm)
    security.unauthz_handler(lambda _function, _params: abort(403))
    security.unauthn_handler(ask_to_sign_in)
    app.before_request(slow_guessing_down)
    app.before_request(end_stale_session)
    user_logged_in.connect(note_sign_in, app)


def accounts() -> SQLAlchemySessionUserDatastore:
    """The operators, read and written in the session of the request."""
    return SQLAlchemySessionUserDatastore(cast("scoped_session[Any]", LocalProxy(db)), Account, Duty)


def needs(*roles: str) -> Callable[[View], View]:
    """Let in operators who have one of `roles`; with no role named, every operator. No role implies another."""

    def guard(view: View) -> View:
        inner = roles_accepted(*roles)(view) if roles else view
        return cast("View", auth_required("session")(inner))

    return guard


def operator_id() -> int:
    """Who is asking. Only behind `needs`."""
    return cast("int", current_user.id)


def make_operator(email: str, name: str, roles: Iterable[str], password: str | None = None) -> str:
    """Add an operator and return the password, made here unless given. Needs an application context.

    Raises InputProblem for a role that doesn't exist or an address that is taken. The edge commits.
    """
    store, password = accounts(), password or secrets.token_urlsafe(15)
    if store.find_user(case_insensitive=True, email=email):
        raise InputProblem(f"{email} works here already.")
    duties = [role_named(store, role) for role in roles]
    store.create_user(email=email.lower(), name=name, password=hash_password(password), roles=duties)
    return password


def role_named(store: SQLAlchemySessionUserDatastore, name: str) -> Duty:
    role = store.find_role(name)
    if role is None:
        raise InputProblem(f"There is no role {name}. Roles are: {', '.join(db().scalars(select(Role.name)))}.")
    return cast("Duty", role)


def cookies() -> dict[str, object]:
    """`__Host-`: only over TLS (or this machine), only this host, every path (RFC 6265bis, 4.1.3.2)."""
    return {
        "SESSION_COOKIE_NAME": "__Host-askfirst",
        "SESSION_COOKIE_SECURE": True,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_PATH": "/",
        "PERMANENT_SESSION_LIFETIME": IDLE,
        "SESSION_REFRESH_EACH_REQUEST": False,
    }


def pages() -> dict[str, object]:
    """Flask-Security with all but sign-in and sign-out turned off."""
    return {
        "SECURITY_LOGIN_URL": "/sign-in",
        "SECURITY_LOGOUT_URL": "/sign-out",
        "SECURITY_LOGOUT_METHODS": ["POST"],
        "SECURITY_LOGOUT_CSRF": True,
        "SECURITY_POST_LOGIN_VIEW": "/",
        "SECURITY_POST_LOGOUT_VIEW": "/sign-in",
        "SECURITY_LOGIN_USER_TEMPLATE": "admin/sign-in.html",
        "SECURITY_API_ENABLED_METHODS": ["session"],
        "SECURITY_RETURN_GENERIC_RESPONSES": True,
        "SECURITY_FLASH_MESSAGES": False,
        "SECURITY_TRACKABLE": True,
        "SECURITY_EMAIL_VALIDATOR_ARGS": {"check_deliverability": False},
        "SECURITY_MSG_GENERIC_AUTHN_FAILED": ("That address and password don't go together. Try again.", "error"),
    }


def secrets_from(keys: Keys) -> dict[str, object]:
    """Argon2id over an HMAC: a stolen table alone can't be guessed against."""
    return {
        "SECRET_KEY": keys.derive("sessions").hex(),
        "SECURITY_PASSWORD_HASH": "argon2",
        "SECURITY_PASSWORD_SALT": keys.derive("operator passwords").hex(),
    }


def ask_to_sign_in(mechanisms: list[str], headers: dict[str, str] | None = None) -> Any:
    """To the sign-in page; a part of a page that refreshes itself makes the whole page go there."""
    if is_poll():
        return make_response("", 401, {"HX-Refresh": "true"})
    return default_unauthn_handler(mechanisms, headers)  # type: ignore[no-untyped-call]


def end_stale_session() -> None:
    """Sign out whoever was away for too long, or signed in too long ago."""
    if SINCE not in session or request.endpoint == "static":
        return
    moment = now().timestamp()
    if moment - session[SEEN] > IDLE.total_seconds() or moment - session[SINCE] > ABSOLUTE.total_seconds():
        logout_user()
        session.clear()
    elif not is_poll() and moment - session[SEEN] > NOTED_EVERY.total_seconds():
        session[SEEN] = moment


def note_sign_in(_app: Flask, **_: object) -> None:
    session[SINCE] = session[SEEN] = now().timestamp()


def slow_guessing_down() -> None:
    """Refuse to look at more answers than a person gives. Counted in the database, for all web processes together."""
    if request.endpoint != "security.login" or request.method != "POST":
        return
    account = request.form.get("email", "").strip().lower()
    with transaction() as session:
        of_network = count(session, bucket(shop().keys, "sign_in", network_of(request.remote_addr)), WINDOW)
        of_account = count(session, bucket(shop().keys, "sign_in_as", account), WINDOW)
    if of_network > TRIES_OF_NETWORK or of_account > TRIES_OF_ACCOUNT:
        abort(429)
