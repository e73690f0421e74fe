"""Alembic's entry: one connection, one transaction, the URL from `mailer.db.alembic_config`."""

from __future__ import annotations

from alembic import context

from mailer.db import Base, create_engine_from

config = context.config
target_metadata = config.attributes.get("metadata", Base.metadata)

engine = create_engine_from(config.attributes["url"], name="askfirst-migrate")
with engine.connect() as connection:
    # Two installations' supervisors may start at once against one database: the second waits, then finds it done.
    connection.exec_driver_sql("SELECT pg_advisory_lock(7220641)")
    connection.commit()
    context.configure(connection=connection, target_metadata=target_metadata, compare_type=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
engine.dispose()
