"""`/healthz`: the database, the schema, and HOLD, which is told and is no illness."""

from __future__ import annotations

from sqlalchemy import text


def test_a_well_application_says_so(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json == {"ok": True, "database": "ok", "migrations": "at head", "hold": False}


def test_on_hold_the_pages_stay_reachable(client, committed):
    """A load balancer that took the application away would take every opt-out with it."""
    with committed() as session, session.begin():
        session.execute(text("UPDATE installation SET hold = true, hold_reason = 'restored'"))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json["hold"]) == (200, True)


def test_another_schema_than_ours_is_an_illness(client, committed):
    with committed.owner.begin() as owner:
        owner.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json["migrations"]) == (503, "not at head")
