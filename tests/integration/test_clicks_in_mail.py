"""What stands in the mails of a campaign whose links are counted, and of one whose links are not."""

import email
import re
from dataclasses import replace
from email import policy
from uuid import uuid4

import pytest
from sqlalchemy import text

from campaigns.approval import approval_hash
from mailer import clicks, destinations, pick
from mailer.click_links import ClickLinks
from mailer.compose import Composer
from mailer.consent.links import Links
from mailer.merge_fields import everything
from mailer.render import ContentProblems, Renderer, compile_source
from mailer.starters import starting_source
from tests.desks import Staff

BASE = "https://mail.example.com"
BUTTON = "https://www.anaar.example/diwali"


class Shop(Staff):
    def __init__(self, committed):
        super().__init__(committed)
        self.owner = committed.owner
        self.operator("anita", "author"), self.operator("farhan", "approver"), self.operator("meera", "admin")
        self.composer = Composer(Links(self.keys, BASE), click_links=ClickLinks(self.keys, BASE))

    def count_clicks(self, on=True):
        with self.committed() as session, session.begin():
            return clicks.switch(session, "festive", self.id_of("meera"), on=on)

    def run(self, statement):
        with self.owner.begin() as connection:
            return connection.execute(text(statement))

    def mails(self, campaign_id, composer=None):
        """The finished messages, by person."""
        with self.committed() as session:
            job = pick.read_job(session, campaign_id)
            due = pick.due(session, campaign_id, after=0)
            made = (composer or self.composer).compose(session, job, due, uuid4())
        return {one.candidate.customer_id: email.message_from_bytes(one.content, policy=policy.SMTP) for one in made}

    def hrefs(self, campaign_id, person, composer=None):
        html = self.mails(campaign_id, composer)[person].get_body(("html",)).get_content()
        return re.findall(r'href="([^"]+)"', html)


@pytest.fixture
def shop(committed):
    return Shop(committed)


def ours(hrefs):
    return [href for href in hrefs if href.startswith(f"{BASE}/c/")]


def test_off_means_no_link_of_ours_at_all(shop):
    """The default: nothing in the mail leads through us but the links that stop it and show the proof."""
    [person] = shop.people(1)
    message = shop.mails(shop.sending("anita", "farhan"))[person]
    for part in ("html", "plain"):
        body = message.get_body((part,)).get_content()
        assert f"{BASE}/c/" not in body
        assert BUTTON in body
    assert shop.run("SELECT count(*) FROM link_destinations").scalar() == 0


def test_on_means_the_campaigns_link_and_no_other(shop):
    """Never on unsubscribe, preference and proof links; never in the text part; no opens, ever."""
    [person] = shop.people(1)
    shop.count_clicks()
    campaign = shop.sending("anita", "farhan")
    hrefs = shop.hrefs(campaign, person)
    [link] = ours(hrefs)
    said = ClickLinks(shop.keys, BASE).verify(link.rpartition("/")[2])
    delivery = shop.run("SELECT id, revision_id FROM deliveries").one()
    assert (said.delivery_id, said.number) == (delivery.id, 1)
    assert shop.run("SELECT url FROM link_destinations").scalars().all() == [BUTTON]
    for path in ("u", "p", "w"):
        assert any(href.startswith(f"{BASE}/{path}/v1.") for href in hrefs)
    message = shop.mails(campaign)[person]
    assert f"{BASE}/c/" not in message.get_body(("plain",)).get_content()
    assert f"{BASE}/c/" not in message["List-Unsubscribe"]
    pictures = re.findall(r'<img[^>]*src="([^"]+)"', message.get_body(("html",)).get_content())
    assert pictures
    assert not [src for src in pictures if "v1." in src or delivery.id.hex in src]


PLAIN = {
    "their choice": "INSERT INTO customer_limits (customer_id, clicks_uncounted) SELECT min(id), true FROM customers",
    "under 18": "UPDATE customers SET birth_date = current_date - 6000 WHERE id = (SELECT min(id) FROM customers)",
    "age unknown": "UPDATE customers SET declared_adult_at = NULL WHERE id = (SELECT min(id) FROM customers)",
}


@pytest.mark.parametrize("why", PLAIN)
def test_whoever_is_not_counted_gets_the_plain_address(shop, why):
    person, other = shop.people(2)
    shop.count_clicks()
    campaign = shop.sending("anita", "farhan")
    shop.run(PLAIN[why])
    assert (ours(shop.hrefs(campaign, person)), len(ours(shop.hrefs(campaign, other)))) == ([], 1)
    assert BUTTON in shop.hrefs(campaign, person)


def test_turned_off_it_is_off_for_what_is_being_sent(shop):
    [person] = shop.people(1)
    shop.count_clicks()
    campaign = shop.sending("anita", "farhan")
    assert ours(shop.hrefs(campaign, person))
    assert shop.count_clicks(on=False)
    assert not ours(shop.hrefs(campaign, person))


def test_turned_on_it_is_on_for_what_is_approved_from_then_on(shop):
    """Part of what was approved (step 0): a campaign that was approved without stays without, and goes on."""
    [person] = shop.people(1)
    campaign = shop.sending("anita", "farhan")
    with shop.committed() as session:
        approved = approval_hash(session, campaign)
    shop.count_clicks()
    with shop.committed() as session:
        assert approval_hash(session, campaign) == approved
    assert not ours(shop.hrefs(campaign, person))


def test_turning_it_on_while_an_approver_reads_voids_what_was_read(shop):
    campaign = shop.waiting("anita")
    with shop.committed() as session:
        seen = approval_hash(session, campaign)
    shop.count_clicks()
    with shop.committed() as session:
        assert approval_hash(session, campaign) != seen


def test_a_worker_without_the_key_counts_nothing(shop):
    [person] = shop.people(1)
    shop.count_clicks()
    composer = Composer(Links(shop.keys, BASE))
    assert not ours(shop.hrefs(shop.sending("anita", "farhan"), person, composer))


def test_every_way_of_writing_a_mail_writes_the_same_links(shop):
    """By a plan and as a letter for a provider that fills in: the same addresses (`encode`, `letter`)."""
    [person] = shop.people(1)
    shop.count_clicks()
    campaign = shop.sending("anita", "farhan")
    letters = Composer(Links(shop.keys, BASE), click_links=ClickLinks(shop.keys, BASE), letters=True)
    with shop.committed() as session:
        job, due = pick.read_job(session, campaign), pick.due(session, campaign, after=0)
        [made] = letters.compose(session, job, due, uuid4())
    html = made.content.shared.html
    for mark, value in made.content.values.items():
        html = html.replace(mark, value)
    assert len(found := ours(re.findall(r'href="([^"]+)"', html))) == 1
    assert found == ours(shop.hrefs(campaign, person))


def test_a_mail_with_counted_links_is_written_as_fast_as_any(shop):
    """The links are holes in what was encoded beforehand, as the unsubscribe link is; the same bytes as Jinja's."""
    source = starting_source("festive")
    ready = compile_source(source)
    wanted = destinations.destinations(ready.html, source.values)
    names = frozenset(destinations.name(one.number) for one in wanted)
    renderer = Renderer(replace(ready, html=destinations.counted(ready.html, wanted), counted=names))
    fields = everything(source.values) | {"clicks": {"n1": f"{BASE}/c/v1.01.sample"}}
    planned, plain = renderer.planned(fields), renderer.plain(fields)
    assert (planned.subject, planned.html, planned.text) == (plain.subject, plain.html, plain.text)
    assert f"{BASE}/c/v1.01.sample" in renderer.render(fields).html


def test_no_author_can_write_a_counted_link(shop):
    source = starting_source("festive")
    with pytest.raises(ContentProblems, match="clicks"):
        compile_source(replace(source, mjml=source.mjml.replace("campaign.button_url", "clicks.n1")))


def test_turning_it_on_and_off_is_recorded_and_saying_it_twice_is_not(shop):
    assert [shop.count_clicks(), shop.count_clicks(), shop.count_clicks(on=False)] == [True, False, True]
    acts = shop.run("SELECT act, subject FROM operator_acts WHERE act LIKE 'click%' ORDER BY seq").all()
    assert acts == [("click_tracking_on", "purpose:festive"), ("click_tracking_off", "purpose:festive")]
