"""Where a worker is caught: exactly at a step, with nothing in the code that knows of it.

At steps of the mail conversation the post office stands still. At those of the database the harness holds what the
worker needs next: a table that only the gate reads, or a turnstile that a trigger of the owner's waits at.
"""

from __future__ import annotations

from contextlib import contextmanager

from sqlalchemy import text

from tests.faults import post_office

TURNSTILE = """
    CREATE FUNCTION turnstile() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
    BEGIN
      WHILE EXISTS (SELECT 1 FROM turnstiles WHERE place = TG_NAME AND closed) LOOP PERFORM pg_sleep(0.003); END LOOP;
      RETURN NULL;
    END $$;
    CREATE TABLE turnstiles (place text PRIMARY KEY, closed boolean NOT NULL);
    CREATE TRIGGER intent_written AFTER INSERT ON open_handovers FOR EACH STATEMENT EXECUTE FUNCTION turnstile();
    CREATE CONSTRAINT TRIGGER intent_commits AFTER INSERT ON open_handovers DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION turnstile();
    CREATE TRIGGER outcome_written AFTER DELETE ON open_handovers FOR EACH STATEMENT EXECUTE FUNCTION turnstile();
    CREATE CONSTRAINT TRIGGER outcome_commits AFTER DELETE ON open_handovers DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW EXECUTE FUNCTION turnstile();
    INSERT INTO turnstiles SELECT unnest(ARRAY['intent_written','intent_commits','outcome_written','outcome_commits']),
      false;
"""
TURNSTILES = ("intent_written", "intent_commits", "outcome_written", "outcome_commits")
TABLES = {"locks_wanted": "customers", "at_the_gate": "suppressions"}
CONVERSATION = post_office.STEPS
ALL = (*TURNSTILES, *TABLES, *CONVERSATION)

_STANDING = text("""
    SELECT application_name AS name FROM pg_stat_activity
     WHERE application_name LIKE 'askfirst worker %'
       AND (wait_event = 'PgSleep' OR (wait_event_type = 'Lock' AND wait_event = 'relation')) LIMIT 1
""")


def build(installation) -> None:
    """Put the turnstiles up, open."""
    with installation.owner.begin() as connection:
        connection.exec_driver_sql(TURNSTILE)


@contextmanager
def caught(installation, step: str, after: int, seconds: float):
    """Gives the process of the worker that stands at `step`, or None if none comes there in time; then lets all go."""
    if step in CONVERSATION:
        installation.post.behave(stop_at=step, stop_after=after)
        try:
            yield _at_the_post(installation, seconds)
        finally:
            installation.post.behave()
    elif step in TABLES:
        with installation.owner.connect() as connection, connection.begin():
            connection.execute(text(f"LOCK TABLE {TABLES[step]} IN ACCESS EXCLUSIVE MODE"))
            yield _at_the_database(installation, seconds)
    else:
        turn(installation, step, closed=True)
        try:
            yield _at_the_database(installation, seconds)
        finally:
            turn(installation, step, closed=False)


def turn(installation, place: str, *, closed: bool) -> None:
    installation.run("UPDATE turnstiles SET closed = :closed WHERE place = :place", closed=closed, place=place)


def _at_the_post(installation, seconds: float) -> int | None:
    found: list[str] = []
    if installation.wait_until(lambda: found.extend(filter(None, [installation.post.said("at")])) or found, seconds):
        return installation.worker_of(found[0])
    return None


def _at_the_database(installation, seconds: float) -> int | None:
    found: list[int] = []

    def look() -> list[int]:
        with installation.owner.connect() as connection:
            name = connection.execute(_STANDING).scalar()
        if name is not None:
            found.append(int(name.rpartition(" ")[2]))
        return found

    return found[0] if installation.wait_until(look, seconds) else None
