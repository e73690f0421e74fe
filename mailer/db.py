"""The database: declarative base, engine, sessions and migrations. PostgreSQL is the only one.

Every connection carries the time-outs that the send protocol relies on: a worker that was stopped loses its
locks after `IDLE_IN_TRANSACTION`, and W + D must stay below it (checked by `workers.startup`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from alembic import command
from alembic.config import Config
from sqlalchemy import DateTime, Engine, MetaData, create_engine, func, make_url, select, text
from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

from mailer import patience

IDLE_IN_TRANSACTION = 15.0
"""Seconds after which PostgreSQL ends a session that sits in a transaction and so frees its locks."""

APPEND_ONLY = (
    "consent_events",
    "delivery_attempts",
    "operator_acts",
    "suppression_events",
    "ledger_digests",
    "journal",
)
"""Tables that the application's role may add to and read, and nothing else."""

NEVER_REMOVED = (
    "suppressions",
    "stop_requests",
    "revisions",
    "wordings",
    "approvals",
    "resend_requests",
    "resend_rows",
    "link_destinations",
)
"""Tables of which the application's role may remove nothing: a no is not undone by taking its row away."""

KEPT_BY_TRIGGER = ("consent_state", "consent_heads")
"""Tables that nobody writes: the ledger's trigger derives them, as the role that owns it."""

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    """Base of every model. Times are stored in UTC with zone."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True)}


SessionFactory = Callable[[], Session]


def normalise(url: str) -> str:
    """Return `url` with the psycopg 3 driver, whatever driver or short scheme it names."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


# A worker looks up some people by key, over and over. It plans each statement once, and always by key: fresh or missing
# statistics must not turn it into a scan of everybody, and planning anew costs more than running it.
LOOK_UPS = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off"


def create_engine_from(url: str, *, name: str = "askfirst", look_ups: bool = False, **options: Any) -> Engine:
    """Return an engine whose sessions are READ COMMITTED, in UTC and lose their locks when they fall asleep.

    `name` shows in pg_stat_activity, so that an operator sees which process holds what. With `look_ups` every
    statement is planned once, for few rows by key.
    """
    # Solid state: an index costs hardly more than reading on. Compiling a query costs more than running ours.
    settings = (
        f"-c idle_in_transaction_session_timeout={int(IDLE_IN_TRANSACTION * 1000)}"
        " -c TimeZone=UTC -c jit=off -c random_page_cost=1.1"
    )
    # A server that went away without a word is noticed within about ten seconds, not after the kernel's two hours.
    connect = {
        "options": settings + (LOOK_UPS if look_ups else ""),
        "application_name": name[:60],
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    if "connect_args" in options:
        connect |= options.pop("connect_args")
    engine = create_engine(
        normalise(url),
        connect_args=connect,
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,  # they hold people's addresses, and errors are logged
        **options,
    )
    patience.install(engine)
    return engine


def session_factory(engine: Engine) -> sessionmaker[Session]:
    """Return a factory of sessions that keep their objects readable after a commit."""
    return sessionmaker(engine, expire_on_commit=False)


def database_time(session: Session) -> datetime:
    """Return the database's clock, now. One clock for all processes, whatever theirs say."""
    now: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return now


def alembic_config(url: str) -> Config:
    """Return the Alembic configuration of the migrations that ship inside this package."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["url"] = normalise(url)
    return config


def migrate(url: str, *, app_role: str | None = None) -> None:
    """Bring the database at `url` to the newest schema; give `app_role`, if named, no more than it needs.

    The role that migrates owns the tables; the role that runs may not change or remove what is append-only.
    """
    command.upgrade(alembic_config(url), "head")
    if app_role is not None:
        grant_to(url, app_role)


def grant_to(url: str, app_role: str) -> None:
    """Let `app_role` use the schema without owning it: append-only tables take INSERT and SELECT only."""
    engine = create_engine_from(url)
    with engine.begin() as connection:
        role = engine.dialect.identifier_preparer.quote(app_role)
        for statement in (
            f"GRANT USAGE ON SCHEMA public TO {role}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}",
            f"REVOKE UPDATE, DELETE, TRUNCATE ON {', '.join(APPEND_ONLY)} FROM {role}",
            f"REVOKE DELETE, TRUNCATE ON {', '.join(NEVER_REMOVED)} FROM {role}",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON {', '.join(KEPT_BY_TRIGGER)} FROM {role}",
            f"REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON alembic_version FROM {role}",
        ):
            connection.execute(text(statement))
    engine.dispose()
