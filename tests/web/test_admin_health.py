"""Health, stop-all and the published figures: each part by itself, and nobody sees or does more than their own."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from mailer import condition, metrics, optout
from tests import factories
from tests.desks import HOST


@pytest.fixture
def boss(desk):
    return desk.visitor("asha", "admin")


def acts(desk):
    with desk.committed() as session:
        found = session.execute(text("SELECT act, document->>'reason' FROM operator_acts ORDER BY seq"))
        return [tuple(row) for row in found]


def is_held(desk):
    with desk.committed() as session:
        return session.scalar(text("SELECT hold FROM installation"))


def run(desk, statement, **values):
    with desk.committed.owner.begin() as connection:
        connection.execute(text(statement), values)


# -- stop all ------------------------------------------------------------------------------------


def test_an_administrator_stops_everything_and_lets_it_go_on_and_both_are_acts(desk, boss):
    assert "Stop all sending" in boss.get("/").text
    assert boss.post("/hold", on="/hold", reason="a wrong price").status_code == 303
    assert is_held(desk)
    page = boss.get("/hold").text
    assert "Everything is on hold" in page
    assert "a wrong price" in page
    assert "Stop all sending" not in boss.get("/").text
    assert boss.post("/hold/release", on="/hold", reason="the price is right").status_code == 303
    assert not is_held(desk)
    assert acts(desk) == [("hold_set", "a wrong price"), ("hold_released", "the price is right")]


@pytest.mark.parametrize("path", ["/hold", "/hold/release"])
def test_neither_goes_without_a_reason(desk, boss, path):
    if path == "/hold/release":
        boss.post("/hold", on="/hold", reason="a wrong price")
    before = is_held(desk)
    answer = boss.post(path, on="/hold", reason="  ")
    assert (answer.status_code, is_held(desk)) == (422, before)
    assert "It is kept with your name." in answer.text


@pytest.mark.parametrize("path", ["/hold", "/alerts/seen"])
def test_what_no_column_holds_is_refused_in_words_and_changes_nothing(desk, boss, path):
    answer = boss.post(path, on="/hold", reason="a\x00b", cause="a\x00b")
    assert answer.status_code == 422
    assert "Change it, and send it again" in answer.text
    assert not is_held(desk)


def test_others_see_how_it_is_and_have_no_button(desk, boss):
    anita = desk.visitor("anita", "author", "approver", "helpline")
    assert "An administrator can do this" in anita.get("/hold").text
    assert "af-stop" not in anita.get("/").text
    boss.post("/hold", on="/hold", reason="a wrong price")
    assert "An administrator lets it go on" in anita.get("/hold").text


def test_the_page_says_what_is_in_flight_until_nothing_is(desk, boss):
    run(desk, "UPDATE installation SET hold = true, hold_reason = 'x', hold_since = clock_timestamp() + interval '1 h'")
    page = boss.get("/hold").text
    assert "Within a second nothing more is begun" in page
    assert 'hx-trigger="every 2s"' in page
    run(desk, "UPDATE installation SET hold_since = clock_timestamp() - interval '0.9 s'")
    run(
        desk,
        """INSERT INTO open_handovers (customer_id, delivery_id, attempt_id, campaign_id, deadline, worker)
           VALUES (1, gen_random_uuid(), gen_random_uuid(), 1, clock_timestamp() + interval '9 s', 'w')""",
    )
    assert "1 still in the provider’s hands" in boss.get("/hold").text
    run(desk, "DELETE FROM open_handovers")
    page = boss.get("/hold").text
    assert "Nothing is on its way" in page
    assert 'hx-trigger="every 2s"' not in page


def test_a_wrong_root_key_is_not_waved_through_on_a_page(desk, boss):
    run(desk, "UPDATE installation SET hold = true, hold_reason = 'key', root_key_fingerprint = 'another'")
    answer = boss.post("/hold/release", on="/hold", reason="it is fine")
    assert (answer.status_code, is_held(desk)) == (409, True)


def test_a_restored_database_says_what_to_do_first(desk, boss):
    run(desk, "UPDATE installation SET hold = true, hold_reason = 'This looks like an old copy', doubted_witness = 'w'")
    page = boss.get("/hold").text
    assert "askfirst journal apply" in page
    assert "This looks like an old copy" in page
    stale = boss.post("/hold/release", on="/hold", reason="the provider is back")
    assert stale.status_code == 409, "from a page that was open before the copy was noticed"
    assert "Read why everything is on hold" in stale.text
    assert is_held(desk)
    assert 'name="doubted" value="w"' in page
    boss.post("/hold/release", on="/hold", reason="the journal is in", doubted="w")
    with desk.committed() as session:
        assert session.scalar(text("SELECT accepted_witness FROM installation")) == "w"


# -- health --------------------------------------------------------------------------------------


def lines(desk):
    with desk.committed() as session:
        return {line.key: line for line in condition.lines(session)}


def test_every_part_has_a_line(desk, boss):
    page = boss.get("/health").text
    for name, _ in condition.PARTS.values():
        assert f"<dt>{name}</dt>" in page
    assert "<dt>In doubt</dt>" in page


def test_without_a_clock_its_silence_is_said_and_what_only_it_sees_is_unknown(desk):
    found = lines(desk)
    assert (found["clock"].level, found["queue"].level, found["journal"].level) == ("bad", "unknown", "unknown")
    run(desk, """INSERT INTO heartbeats (part, document) VALUES ('clock', '{"queue": 3, "journal": "written"}')""")
    found = lines(desk)
    assert [found[key].level for key in ("clock", "queue", "journal")] == ["ok", "ok", "ok"]
    assert "3 calls" in found["queue"].words
    run(desk, """UPDATE heartbeats SET document = '{"queue": null, "journal": "failed"}'""")
    found = lines(desk)
    assert (found["queue"].level, found["journal"].level) == ("warn", "bad")
    assert "JOURNAL_COPY" in found["journal"].words
    run(desk, "UPDATE heartbeats SET at = clock_timestamp() - interval '3 hours'")
    assert "3 hours ago" in lines(desk)["clock"].words


SPOILED = {
    "handovers": """INSERT INTO open_handovers (customer_id, delivery_id, attempt_id, campaign_id, deadline, worker)
                    VALUES (1, gen_random_uuid(), gen_random_uuid(), 1, clock_timestamp() - interval '9 s', 'w')""",
    "stops": """INSERT INTO stop_requests (customer_id, scope, source, requested_at)
                VALUES (1, 'all', 'page', clock_timestamp() - interval '5 min')""",
    "feedback": """INSERT INTO provider_events (source, dedupe_key, body, received_at)
                   VALUES ('mail', 'k', '{}', clock_timestamp() - interval '1 h')""",
    "notices": """INSERT INTO provider_notices (provider, kind, customer_id, address, tries, problem)
                  VALUES ('sendgrid', 'erasure', 1, 'a@example.com', 2, '503')""",
    "providers": """INSERT INTO provider_rests (provider, until, reason)
                    VALUES ('sendgrid', clock_timestamp() + interval '1 min', '429')""",
    "digest": "SELECT 1",
    "workers": "SELECT 1",
}


@pytest.mark.parametrize("part", SPOILED)
def test_what_is_not_well_is_said_on_its_own_line(desk, part):
    run(desk, SPOILED[part])
    assert lines(desk)[part].level == "warn"


def test_a_part_that_can_not_be_asked_hides_none_of_the_others(desk, boss):
    run(desk, "DROP TABLE provider_notices CASCADE")
    found = lines(desk)
    assert found["notices"].level == "unknown"
    assert found["digest"].level == "warn"
    answer = boss.get("/health")
    assert (answer.status_code, "did not answer this" in answer.text) == (200, True)


# -- figures -------------------------------------------------------------------------------------


def mailed(desk):
    """Somebody whom a campaign has just mailed."""
    with desk.committed() as session, session.begin():
        person = factories.agreeing(session, desk.keys)
        factories.sending(session, [person])
        session.execute(
            text("""UPDATE deliveries d SET state = 'accepted', intended_at = clock_timestamp(), consent_event_id =
                      (SELECT event_id FROM consent_state s WHERE s.customer_id = d.customer_id)""")
        )
        return person.id


def opted_out(desk, hours=24):
    with desk.committed() as session:
        return metrics.in_all(session, hours)


def test_the_answer_to_an_opt_out_is_timed_and_nothing_came_after_it(desk):
    person = mailed(desk)
    optout.stop_person(desk.committed.engine, customer_id=person, scope="all", source="one_click")
    found = opted_out(desk)
    assert (found.asked, found.open, found.late) == (1, 0, 0)
    assert 0 < found.p50 <= found.slowest < 60_000
    assert found.nearest < 0


def test_a_message_begun_after_the_answer_would_show(desk):
    """It can't happen; planted here, it is counted."""
    person = mailed(desk)
    optout.stop_person(desk.committed.engine, customer_id=person, scope="festive", source="one_click")
    run(desk, "UPDATE deliveries SET intended_at = clock_timestamp() + interval '2 s'")
    found = opted_out(desk)
    assert found.late == 1
    assert found.nearest > 0


@pytest.mark.parametrize(
    "innocent",
    [
        "UPDATE deliveries SET state = 'withheld'",
        "UPDATE deliveries SET purpose = 'offer'",
        "UPDATE deliveries SET consent_event_id = 999999",
    ],
)
def test_what_was_withheld_of_another_topic_or_after_a_new_yes_is_not_late(desk, innocent):
    person = mailed(desk)
    optout.stop_person(desk.committed.engine, customer_id=person, scope="festive", source="one_click")
    run(desk, "UPDATE deliveries SET intended_at = clock_timestamp() + interval '2 s'")
    run(desk, innocent)
    assert opted_out(desk).late == 0


def test_a_stop_by_address_counts_for_everybody_who_has_it(desk):
    mailed(desk)
    with desk.committed() as session:
        address = session.scalar(text("SELECT address FROM addresses"))
    optout.stop_address(desk.committed.engine, desk.keys, address=address, source="typed")
    run(desk, "UPDATE deliveries SET intended_at = clock_timestamp() + interval '2 s'")
    assert opted_out(desk).late == 1


def test_the_page_shows_them_by_day(desk, boss):
    assert "Nobody opted out in the last seven days." in boss.get("/health").text
    person = mailed(desk)
    optout.stop_person(desk.committed.engine, customer_id=person, scope="all", source="one_click")
    assert "Nothing was handed over after an answer" in boss.get("/health").text
    run(desk, "UPDATE deliveries SET intended_at = clock_timestamp() + interval '2 s'")
    assert "1 handed over after the answer" in boss.get("/health").text


def test_the_figures_are_for_this_machine_only(desk):
    client = desk.app.test_client()
    here = client.get("/metrics", base_url="http://127.0.0.1:8000", environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert here.status_code == 200
    assert here.content_type.startswith("text/plain")
    assert "askfirst_opt_outs_late 0.0" in here.text
    assert 'askfirst_part{part="clock"} 0.0' in here.text
    assert "Set-Cookie" not in here.headers
    elsewhere = client.get("/metrics", base_url=HOST, environ_base={"REMOTE_ADDR": "192.0.2.7"})
    passed_on = client.get(
        "/metrics", base_url=HOST, environ_base={"REMOTE_ADDR": "127.0.0.1"}, headers={"X-Forwarded-For": "192.0.2.7"}
    )
    assert (elsewhere.status_code, passed_on.status_code) == (404, 404)
    silent_proxy = client.get("/metrics", base_url=HOST, environ_base={"REMOTE_ADDR": "127.0.0.1"})
    assert silent_proxy.status_code == 404, "asked for by our public name: somebody from outside"


def test_with_a_token_only_its_bearer_sees_them(desk):
    shop = desk.app.extensions["askfirst"]
    token = "a long enough token"
    settings = shop.settings.replace(metrics_token=token)
    desk.app.extensions["askfirst"] = type(shop)(settings, shop.keys, shop.engine, shop.sessions, shop.links)
    client = desk.app.test_client()
    for shown, status in ((token, 200), ("another token", 404), ("", 404)):
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        assert client.get("/metrics", base_url=HOST, headers=headers).status_code == status, shown
