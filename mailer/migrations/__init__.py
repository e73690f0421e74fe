"""Alembic migrations, shipped inside the wheel. `mailer.db.migrate` runs them; nothing else changes the schema.

Functions and triggers live beside the version that makes them (`sql/`), as plain SQL.
"""
