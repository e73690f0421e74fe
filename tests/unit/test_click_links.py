"""Counted links: what they hold, and which links of a mail can become one. Pure."""

from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.keys import Keys
from mailer.click_links import LENGTH, ClickLinks
from mailer.consent.links import Kind, Links
from mailer.destinations import counted, destinations
from mailer.render import compile_source
from mailer.starters import starting_source
from tests.conftest import ROOT_KEY

KEYS, BASE = Keys(ROOT_KEY), "https://mail.example.com"
LINKS = ClickLinks(KEYS, BASE)


def token(url):
    return url.removeprefix(f"{BASE}/c/")


@given(st.uuids(), st.integers(1, 99))
def test_a_link_says_which_mail_and_which_of_its_links_and_is_always_as_long(delivery, number):
    url = LINKS.url(delivery, number)
    said = LINKS.verify(token(url))
    assert (said.delivery_id, said.number, len(token(url))) == (delivery, number, LENGTH)


@given(st.integers(0, LENGTH - 1), st.sampled_from("Az09-_."))
def test_a_link_with_another_letter_anywhere_is_not_ours(place, letter):
    good = token(LINKS.url(UUID(int=7), 3))
    changed = good[:place] + letter + good[place + 1 :]
    assert changed == good or LINKS.verify(changed) is None


@pytest.mark.parametrize("bad", ["", "v1", "v1.01..", "x" * LENGTH, "v1.01." + "A" * 49, "https://evil.example"])
def test_what_is_no_link_is_no_link(bad):
    assert LINKS.verify(bad) is None


def test_no_other_kind_of_link_opens_this_door_nor_this_one_another():
    others, now = Links(KEYS, BASE), None
    assert LINKS.verify(others.unsubscribe(b"r" * 16, "offer", uuid4()).rpartition("/")[2]) is None
    for kind in Kind:
        assert others.verify(token(LINKS.url(uuid4(), 1)), kind, now) is None
    assert ClickLinks(Keys(b"o" * 32), BASE).verify(token(LINKS.url(uuid4(), 1))) is None


def test_a_link_of_an_older_key_is_still_ours():
    assert LINKS.verify(token(ClickLinks(KEYS, BASE, key_id=7).url(UUID(int=1), 2))).number == 2


def of(*hrefs, **values):
    html = "".join(f'<a class="x" href="{href}">-</a>' for href in hrefs)
    return [(one.number, one.url) for one in destinations(html, values)]


def test_what_is_counted_is_an_address_of_the_content_or_of_the_campaign():
    assert of(
        "https://shop.example.com/a?b=1&amp;c=2", "{{ campaign.button_url }}", button_url="https://example.org"
    ) == [
        (1, "https://shop.example.com/a?b=1&c=2"),
        (2, "https://example.org"),
    ]


def test_the_same_address_is_one_link():
    assert len(of("https://example.com/a", "https://example.com/a", "https://example.com/b")) == 2


@pytest.mark.parametrize(
    "href",
    [
        "{{ links.unsubscribe }}",
        "{{ links.unsubscribe_hi }}",
        "{{ links.preferences }}",
        "{{ links.why }}",
        "{{ links.wishlist }}",
        "{{ p.url }}",
        "mailto:care@example.com",
        "tel:1800",
        "http://example.com",
        "javascript:alert(1)",
        "https://example.com\\@evil.example",
        "https://example.com@evil.example",
        "https://example.com/ x",
        "https://example.com/{{ person.city|urlencode }}",
        "{{ campaign.missing }}",
        "",
    ],
)
def test_never_what_stops_mail_shows_the_proof_or_tells_of_one_person(href):
    """Nor what a browser would read as something else than what was approved."""
    assert of(href) == []


@pytest.mark.parametrize("kind", ["festive", "launch", "offer", "service"])
def test_in_our_own_mails_only_the_campaigns_links_are_replaced(kind):
    source = starting_source(kind)
    html = compile_source(source).html
    found = destinations(html, source.values)
    assert [one.url for one in found] == [source.values["button_url"]]
    ours = counted(html, found)
    assert ours.replace("{{ clicks.n1 }}", "{{ campaign.button_url }}") == html
    for kept in ("links.unsubscribe", "links.preferences", "links.why"):
        assert f'href="{{{{ {kept} }}}}"' in ours


def test_without_destinations_the_mail_is_the_same_to_the_byte():
    html = compile_source(starting_source("offer")).html
    assert counted(html, []) == html
