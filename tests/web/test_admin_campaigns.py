"""Campaigns as operators see and steer them. No JavaScript anywhere here: every button is a form."""

import re
from html import unescape

import pytest
from sqlalchemy import select, text

from campaigns.models import Approval, Campaign
from campaigns.web.acts import TEST_SENDER
from mailer.models import Revision


@pytest.fixture
def anita(desk):
    return desk.visitor("anita", "author")


@pytest.fixture
def farhan(desk):
    return desk.visitor("farhan", "approver")


def form_of(html):
    """What a browser would send back: every field of the last form that has a rule in it."""
    fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', html))
    fields |= dict(re.findall(r'<textarea[^>]*name="([^"]+)"[^>]*>(.*?)</textarea>', html, re.DOTALL))
    fields.pop("csrf_token", None)
    fields.pop("q", None)
    return {name.replace("value-", "value__"): unescape(text) for name, text in fields.items()}


def written(desk, visitor, **changes):
    form = form_of(visitor.get("/campaigns/new?kind=festive").text)
    return form | {"name": "Diwali wishes", "sender_id": str(desk.sender_id)} | changes


def seen_by(visitor, campaign_id):
    return re.search(r'name="seen" value="([0-9a-f]*)"', visitor.get(f"/campaigns/{campaign_id}").text)[1]


def sums(html):
    """Every table of reasons: (sum of its rows, its total)."""
    found = []
    for table in re.findall(r'<table class="table af-why">.*?</table>', html, re.DOTALL):
        numbers = [
            int(re.sub(r"<span.*?</span>|<[^>]+>|,", "", cell))
            for cell in re.findall(r'<td class="n">(.*?)</td>', table)
        ]
        found.append((sum(numbers[:-1]), numbers[-1]))
    return found


def test_a_campaign_goes_from_the_form_to_the_end(desk, anita, farhan):
    """Create, hand in, approve by somebody else, start, pause, resume: each a button, each answered with 303."""
    desk.people(3)
    answer = anita.post("/campaigns", **written(desk, anita))
    assert answer.status_code == 303
    page = answer.location
    assert "Ask for approval to mail 3 people" in anita.get(page).text
    assert anita.post(f"{page}/submission").status_code == 303
    assert "You wrote this, so someone else approves it." in anita.get(page).text
    campaign_id = int(page.rsplit("/", 1)[1])
    assert farhan.post(f"{page}/approval", seen=seen_by(farhan, campaign_id), comment="Good").status_code == 303
    assert "Send to 3 people" in anita.get(page).text
    assert anita.post(f"{page}/start").status_code == 303
    assert desk.state(campaign_id) == "sending"
    desk.look_up(campaign_id)
    assert farhan.post(f"{page}/pause").status_code == 303
    assert "Resume for 3 people" in anita.get(page).text
    assert anita.post(f"{page}/resumption").status_code == 303
    assert "Stop for 3 people" in anita.get(page).text
    assert anita.post(f"{page}/cancellation").status_code == 303
    assert desk.state(campaign_id) == "cancelled"


def test_nobody_approves_their_own_work(desk):
    both = desk.visitor("kavya", "author", "approver")
    campaign_id = desk.waiting("kavya")
    page = both.get(f"/campaigns/{campaign_id}").text
    assert "You wrote this, so someone else approves it." in page
    assert 'name="seen"' not in page
    answer = both.post(f"/campaigns/{campaign_id}/approval", seen="00")
    assert answer.status_code == 403
    assert "You can&#39;t approve your own work" in answer.text
    with desk.committed() as session:
        assert session.scalars(select(Approval)).all() == []


def test_a_yes_to_something_else_than_was_seen_is_no_yes(desk, anita, farhan):
    campaign_id = desk.waiting("anita")
    answer = farhan.post(f"/campaigns/{campaign_id}/approval", seen="ab" * 32)
    assert answer.status_code == 409
    assert "It was changed since you opened it" in answer.text
    assert desk.state(campaign_id) == "waiting"


def test_a_yes_without_what_was_seen_is_no_yes(desk, anita, farhan):
    campaign_id = desk.waiting("anita")
    for seen in ("", "no hex"):
        assert farhan.post(f"/campaigns/{campaign_id}/approval", seen=seen).status_code == 409
    assert desk.state(campaign_id) == "waiting"


def test_an_edit_voids_the_approval(desk, anita, farhan):
    campaign_id = desk.approved("anita", "farhan")
    form = form_of(anita.get(f"/campaigns/{campaign_id}/edit").text) | {"name": "Another name"}
    form["sender_id"] = str(desk.sender_id)
    assert anita.post(f"/campaigns/{campaign_id}/draft", **form).status_code == 303
    assert desk.state(campaign_id) == "draft"
    assert anita.post(f"/campaigns/{campaign_id}/start").status_code == 409


def test_only_its_author_edits_a_campaign(desk, anita):
    campaign_id = desk.draft("anita")
    other = desk.visitor("kavya", "author")
    form = form_of(other.get(f"/campaigns/{campaign_id}/edit").text) | {"sender_id": str(desk.sender_id)}
    answer = other.post(f"/campaigns/{campaign_id}/draft", **form)
    assert answer.status_code == 409
    assert "Only its author can change this campaign" in answer.text


def test_returning_needs_a_word_to_the_author(desk, anita, farhan):
    campaign_id = desk.waiting("anita")
    answer = farhan.post(f"/campaigns/{campaign_id}/return", comment="  ")
    assert answer.status_code == 422
    assert "Say what has to change." in answer.text
    assert farhan.post(f"/campaigns/{campaign_id}/return", comment="Wrong price").status_code == 303
    assert "Returned: Wrong price" in anita.get(f"/campaigns/{campaign_id}").text


def test_starting_twice_starts_once(desk, anita, farhan):
    campaign_id = desk.approved("anita", "farhan")
    assert anita.post(f"/campaigns/{campaign_id}/start").status_code == 303
    again = anita.post(f"/campaigns/{campaign_id}/start")
    assert (again.status_code, "It was started already" in again.text) == (409, True)
    assert anita.get(f"/campaigns/{campaign_id}").text.count("Started · ") == 1


def test_what_is_not_there_cannot_be_steered(desk, anita):
    for act in ("submission", "start", "pause", "cancellation"):
        assert anita.post(f"/campaigns/999/{act}").status_code == 404


UNUSABLE = [
    ("rule", "{", "The rule is not JSON. Line 1"),
    ("rule", '{"type": "shoe_size"}', "shoe_size"),
    ("rule", '{"type": "age", "from_age": 12}', "from_age"),
    ("sender_id", "", "Choose who the message is from."),
    ("sender_id", "999", "There is no sender 999"),
    ("name", " ", "A campaign needs a name."),
    ("rate", "fast", "whole number of messages a minute"),
    ("rate", "0", "whole number of messages a minute"),
    ("subject", "{{ person.shoe_size }}", "shoe_size"),
    ("subject", "Hello\u0085Bcc: x@example.com", "one line"),
    ("text", "No way to stop in here", "unsubscribe"),
    ("mjml", "<mjml><mj-body>", "MJML"),
    ("value__button_url", "http://plain.example", "https://"),
]


def test_what_can_not_be_used_is_said_beside_what_was_typed_and_nothing_is_saved(desk, anita):
    form = written(desk, anita)
    for field, typed, said in UNUSABLE:
        answer = anita.post("/campaigns", **form | {field: typed})
        assert answer.status_code == 422, field
        page = unescape(answer.text)
        assert said in page, field
        assert "Nothing was saved." in page
        assert field == "sender_id" or form_of(answer.text)[field].strip() == typed.strip()
    with desk.committed() as session:
        assert session.scalars(select(Campaign)).all() == []
        assert session.scalars(select(Revision)).all() == []


def test_every_problem_has_a_link_to_its_field(desk, anita):
    page = anita.post("/campaigns", **written(desk, anita, rule="{", name="")).text
    for target in re.findall(r'<li><a href="#([^"]+)">', page):
        assert f'id="{target}"' in page


def test_a_kind_that_does_not_exist_is_refused(desk, anita):
    assert "What is it about?" in anita.get("/campaigns/new?kind=gossip").text
    assert anita.post("/campaigns", **written(desk, anita, kind="gossip")).status_code in {404, 422}


def test_counting_saves_nothing_and_loses_nothing(desk, anita):
    desk.people(2)
    desk.others(1)
    answer = anita.post("/campaigns/trial", **written(desk, anita, name="Half written", do="count"))
    assert answer.status_code == 200
    assert "may be mailed about festivals and seasons" in answer.text
    assert sums(answer.text) == [(1, 1)]
    assert 'value="Half written"' in answer.text
    with desk.committed() as session:
        assert session.scalars(select(Campaign)).all() == []


def test_a_ready_made_segment_fills_the_rule(desk, anita):
    answer = anita.post("/campaigns/trial", **written(desk, anita, do="preset", preset="quiet"))
    assert "not_within_days" in form_of(answer.text)["rule"]


def test_every_ready_made_segment_can_be_read(desk, anita):
    from campaigns import rules
    from campaigns.web.presets import PRESETS

    assert [rules.parse(preset.rule) for preset in PRESETS.values()]


def test_the_form_shows_a_campaign_as_it_is(desk, anita):
    campaign_id = desk.draft("anita", name="Lamps & lights", rate=5)
    page = anita.get(f"/campaigns/{campaign_id}/edit").text
    form = form_of(page)
    assert (form["name"], form["rate"]) == ("Lamps & lights", "300")
    assert 'aria-current="page"' in page


def test_the_numbers_add_up(desk, anita, farhan):
    """matched = left out + audience; the audience is the sum of its states; each table of reasons its total."""
    desk.people(9)
    desk.others(4)
    campaign_id = desk.sending("anita", "farhan")
    desk.settle(campaign_id, "accepted", 4)
    desk.settle(campaign_id, "withheld", 2, "withdrawn")
    desk.settle(campaign_id, "withheld", 1, "capped")
    desk.settle(campaign_id, "in_doubt", 1, "worker_lost")
    page = anita.get(f"/campaigns/{campaign_id}").text
    assert sorted(sums(page)) == [(3, 3), (4, 4)]
    assert "Matched the segment (13) and were not taken into the audience (9)." in page
    assert '8 <span class="af-key-of">of 9 people dealt with' in page
    states = re.search(r"Where the 9 are.*?</table>", page, re.DOTALL)[0]
    assert sum(int(n) for n in re.findall(r'id="of-[a-z_]+"[^>]*>(\d+)<', states)) == 9


def test_every_number_leads_to_its_people(desk, anita, farhan):
    desk.people(5)
    desk.others(2)
    campaign_id = desk.sending("anita", "farhan")
    desk.settle(campaign_id, "accepted", 2)
    desk.settle(campaign_id, "withheld", 1, "withdrawn")
    page = anita.get(f"/campaigns/{campaign_id}").text
    links = re.findall(r'href="(/campaigns/\d+/people[^"]*)"[^>]*>(\d+)<', page)
    assert len(links) == 5
    for link, count in links:
        rows = anita.get(unescape(link)).text
        assert rows.count('role="rowheader"') == int(count), link
        assert "@example.com" not in re.sub(r"•••\w?@example\.com", "", rows)


def test_a_poll_gets_the_numbers_and_nothing_around_them(desk, anita, farhan):
    desk.people(2)
    campaign_id = desk.sending("anita", "farhan")
    answer = anita.get(f"/campaigns/{campaign_id}?as=sending", **{"HX-Request": "true"})
    assert answer.status_code == 200
    assert "<html" not in answer.text
    assert "of 2 people dealt with" in answer.text


def test_a_poll_of_another_state_makes_the_page_load_anew(desk, anita, farhan):
    campaign_id = desk.sending("anita", "farhan")
    anita.post(f"/campaigns/{campaign_id}/pause")
    answer = anita.get(f"/campaigns/{campaign_id}?as=sending", **{"HX-Request": "true"})
    assert (answer.headers.get("HX-Refresh"), answer.text) == ("true", "")


def test_the_list_is_filtered_by_its_address(desk, anita, farhan):
    desk.draft("anita", name="Lamps")
    desk.waiting("anita", name="Quilts", kind="launch")
    assert names(anita.get("/campaigns")) == {"Lamps", "Quilts"}
    assert names(anita.get("/campaigns?state=waiting")) == {"Quilts"}
    assert names(anita.get("/campaigns?purpose=festive")) == {"Lamps"}
    assert names(anita.get("/campaigns?q=LAM")) == {"Lamps"}
    assert names(anita.get("/campaigns?q=%25%25")) == set()
    assert "No campaign fits" in anita.get("/campaigns?state=sent").text
    assert anita.get("/campaigns?page=x&author=y").status_code == 200


def names(answer):
    return set(re.findall(r'<a class="af-strong" href="/campaigns/\d+">([^<]+)</a>', answer.text))


def test_with_nothing_there_the_first_step_is_shown(desk, anita):
    assert "Write your first message" in anita.get("/campaigns").text
    assert "Nothing needs you" in anita.get("/").text


def test_today_shows_what_waits_for_me_and_not_what_i_wrote(desk, anita, farhan):
    desk.waiting("anita", name="Quilts")
    both = desk.visitor("kavya", "author", "approver")
    desk.waiting("kavya", name="Lamps")
    assert "Quilts" in farhan.get("/").text
    page = both.get("/").text
    assert "Quilts" in page
    assert "Lamps" not in page


def test_today_shows_what_is_in_doubt(desk, anita, farhan):
    desk.people(2)
    campaign_id = desk.sending("anita", "farhan")
    desk.settle(campaign_id, "in_doubt", 1, "worker_lost")
    assert "1 message in doubt" in anita.get("/").text


def test_the_hold_is_on_every_page(desk, anita):
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE installation SET hold = true, hold_reason = 'By Anita', hold_since = now()"))
    for path in ("/", "/campaigns", "/people/"):
        assert "Everything is on hold" in anita.get(path).text


def test_while_everything_is_on_hold_no_page_says_that_something_is_being_sent(desk, anita, farhan):
    desk.people(2)
    desk.settle(desk.sending("anita", "farhan"), "accepted", 1)
    live = 'class="af-status af-live"'
    assert live in anita.get("/people/").text
    with desk.committed() as session, session.begin():
        session.execute(text("UPDATE installation SET hold = true, hold_reason = 'By Anita', hold_since = now()"))
    assert live not in anita.get("/people/").text


def test_the_preview_is_closed_off(desk, anita):
    """No script, no form, no picture from elsewhere: what an author writes can do nothing to whoever looks at it."""
    campaign_id = desk.draft("anita")
    for path in ("preview", "preview?as=nothing", "preview.txt"):
        answer = anita.get(f"/campaigns/{campaign_id}/{path}")
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert re.search(r"(^|; )sandbox($|;)", policy)
        assert "script" not in policy
    assert 'sandbox src="' in anita.get(f"/campaigns/{campaign_id}").text


def test_a_test_goes_to_whoever_asks_and_to_nobody_else(desk, anita):
    campaign_id, sent = desk.draft("anita"), []
    assert anita.post(f"/campaigns/{campaign_id}/test").status_code == 409
    desk.app.extensions[TEST_SENDER] = lambda _session, _campaign, revision, operator: sent.append(
        (revision.campaign_id, operator.email)
    )
    answer = anita.post(f"/campaigns/{campaign_id}/test")
    assert answer.status_code == 303
    assert sent == [(campaign_id, "anita@example.com")]
    assert "A test is on its way to you." in anita.get(answer.location).text


def test_what_is_typed_is_shown_as_text(desk, anita):
    campaign_id = desk.draft("anita", name="<script>alert(1)</script>")
    for path in (f"/campaigns/{campaign_id}", "/campaigns", f"/campaigns/{campaign_id}/edit"):
        assert "<script>alert" not in anita.get(path).text
