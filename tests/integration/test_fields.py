"""Merge fields of a batch: complete for everybody, nobody else's, in a fixed number of statements."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import activity
from mailer.cards import rupees, shortened
from mailer.consent import ledger
from mailer.consent.links import Kind, Links
from mailer.fields import EVERYTHING, FRESH_SECONDS, STATEMENTS, FieldReader, complete, fields_for
from mailer.merge_fields import FIELDS, Link, Several, Text
from mailer.models import Customer, Product, Revision, SenderIdentity
from mailer.pick import Candidate, Job
from mailer.render import Renderer, RenderFailed, compile_source
from mailer.starters import starting_source
from tests.factories import agreeing, person, sending, wording
from tests.statements import asked

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
THINGS = {
    "lamp": ("Brass lamp", "Home", "Lamps", 169_900),
    "tea": ("Assam tea, 500 g", "Grocery", "Coffee and tea", 45_000),
    "bread": ("Sourdough", "Grocery", "Baked bread/buns/rolls", 12_000),
    "mango": ("Alphonso mango", "Produce", "Tropical fruit", 90_000),
    "milk": ("Milk, one litre", "Grocery", "Fluid milk products", 6_000),
    "beer": ("Lager", "Grocery", "Beers/ales", 20_000),
    "pills": ("Headache pills", "Health and household", "Analgesics", 8_000),
    "purifier": ("Neer 7 litre water purifier", "Home", "Water purifiers", 1_299_000),
}


@pytest.fixture
def links(keys: Keys) -> Links:
    return Links(keys, "https://mail.anaar.example")


@pytest.fixture
def things(session: Session) -> dict[str, int]:
    activity.add_products(
        session,
        [
            {"external_ref": ref, "name": name, "department": department, "category": category, "brand": None,
             "price_paise": price}
            for ref, (name, department, category, price) in THINGS.items()
        ],
    )  # fmt: skip
    return {row.external_ref: row.id for row in session.execute(select(Product.external_ref, Product.id))}


def buy(session: Session, who: Customer, number: int, products: list[int], at: datetime = NOON, quantity: int = 1):
    head = {"customer_id": who.id, "id": number, "external_ref": f"o{who.id}-{number}", "placed_at": at,
            "total_paise": 100 * len(products), "store": "7"}  # fmt: skip
    lines = [
        {"customer_id": who.id, "order_id": number, "line": line, "product_id": product, "quantity": quantity,
         "amount_paise": 100 + line, "discount_paise": 0, "placed_at": at}
        for line, product in enumerate(products, 1)
    ]  # fmt: skip
    activity.add_orders(session, [head], lines)


def batch(session: Session, people: list[Customer], kind: str = "festive", **values) -> tuple[Job, list[Candidate]]:
    mandate = sending(session, people, kind)
    revision = session.get_one(Revision, mandate.revision_id)
    own = {**starting_source(kind).values, **values}
    again = Revision(
        campaign_id=revision.campaign_id, number=2, kind=kind, subject="-", preheader="-", mjml="-", text="-",
        values=own, compiled_html="-", compiled_text="-", content_hash=b"c" * 32, author_id=revision.author_id,
    )  # fmt: skip
    session.add(again)
    session.flush()
    job = Job(mandate.campaign_id, kind, "marketing", again.id, mandate.sender_id, b"h" * 32, "mail.example.com")
    return job, [candidate(one) for one in people]


def candidate(who: Customer) -> Candidate:
    return Candidate(uuid4(), who.id, "a@example.com", b"x" * 32, "example.com", 1, 1, 1)


def one(session: Session, links: Links, who: Customer, kind: str = "festive", **values):
    job, candidates = batch(session, [who], kind, **values)
    return fields_for(session, job, candidates, links)[candidates[0].delivery_id]


@pytest.mark.parametrize("size", [1, 40])
def test_the_number_of_statements_does_not_grow_with_the_batch(session, keys, links, things, size):
    people = [agreeing(session, keys) for _ in range(size)]
    for who in people:
        activity.wish(session, who.id, [things["lamp"]], NOON)
        buy(session, who, 1, [things["tea"]])
    job, candidates = batch(session, people)
    session.flush()
    reader = FieldReader(links)
    with asked(session) as first:
        found = reader.read(session, job, candidates)
    with asked(session) as again:
        assert reader.read(session, job, candidates) == found
    assert len(found) == size
    assert (len(first), len(again)) == (STATEMENTS, 1)


def test_every_field_is_there_for_somebody_of_whom_nothing_is_known(session, keys, links):
    """Strict about what is missing: so nothing may be."""
    found = one(session, links, agreeing(session, keys, given_name=None))
    same_shape(found, FIELDS)
    assert found["wishlist"] == found["bought"]["often"] == []
    assert found["wishlist_words"] == found["bought"]["words"] == found["bought"]["last_name"] == ""
    assert found["person"] == {"first_name": "", "city": ""}


def same_shape(found, fields):
    for name, field in fields.items():
        if isinstance(field, Several):
            assert all(set(row) == set(field.each) for row in found[name])
        elif isinstance(field, Text | Link):
            assert isinstance(found[name], str), name
            assert not isinstance(field, Link) or found[name].startswith("https://"), name
        else:
            same_shape(found[name], field)


@pytest.mark.parametrize("kind", ["festive", "launch", "offer", "service"])
@pytest.mark.parametrize("rich", [True, False])
def test_the_mail_that_comes_along_can_be_rendered_for_everybody(session, keys, links, things, kind, rich):
    who = agreeing(session, keys, kind, given_name="Priya" if rich else None, city="Pune" if rich else None)
    if rich:
        activity.wish(session, who.id, [things["lamp"], things["mango"]], NOON)
        buy(session, who, 1, [things["tea"], things["purifier"]])
    rendered = Renderer(compile_source(starting_source(kind))).render(one(session, links, who, kind))
    assert rendered.subject
    if rich and kind in ("festive", "offer"):
        assert "Brass lamp" in rendered.html
    if rich and kind == "service":
        assert "Neer 7 litre water purifier" in rendered.text


@pytest.mark.parametrize("kind", ["festive", "launch", "offer", "service"])
def test_what_a_content_does_not_read_is_left_out_and_it_renders_the_same(session, keys, links, things, kind):
    everybody = [agreeing(session, keys, kind, given_name="Priya") for _ in range(2)]
    activity.wish(session, everybody[0].id, [things["lamp"], things["beer"]], NOON)
    buy(session, everybody[0], 1, [things["tea"], things["purifier"]])
    job, candidates = batch(session, everybody, kind)
    renderer = Renderer(compile_source(starting_source(kind)))
    whole = fields_for(session, job, candidates, links)
    found = fields_for(session, job, candidates, links, reads=renderer.reads)
    for delivery, fields in found.items():
        assert renderer.render(fields) == renderer.render(whole[delivery])
        assert all(whole[delivery][name] == value for name, value in fields.items() if name not in ("links", "bought"))
        assert fields["links"].items() <= whole[delivery]["links"].items()
        assert fields["bought"].items() <= whole[delivery]["bought"].items()


def test_every_name_that_is_read_is_there_and_as_it_is_among_all(session, keys, links, things):
    who = agreeing(session, keys, given_name="Priya", city="Pune")
    activity.wish(session, who.id, [things["lamp"]], NOON)
    buy(session, who, 1, [things["tea"]])
    job, candidates = batch(session, [who])
    (whole,) = fields_for(session, job, candidates, links).values()
    for name in EVERYTHING:
        (found,) = fields_for(session, job, candidates, links, reads=[name]).values()
        expected = whole
        for step in name.split("."):
            expected, found = expected[step], found[step]
        assert found == expected, name
        assert found or name == "bought.last_place"


def test_a_mail_that_reads_what_was_left_out_is_none(session, keys, links, things):
    """Not a mail with a hole in it."""
    who = agreeing(session, keys)
    activity.wish(session, who.id, [things["lamp"]], NOON)
    job, candidates = batch(session, [who])
    renderer = Renderer(compile_source(starting_source("festive")))
    (fields,) = fields_for(session, job, candidates, links, reads=renderer.reads - {"wishlist"}).values()
    with pytest.raises(RenderFailed):
        renderer.encode(fields)


def test_the_link_to_stop_is_there_whatever_a_content_reads(session, keys, links):
    """The header needs it."""
    job, candidates = batch(session, [agreeing(session, keys)])
    (fields,) = fields_for(session, job, candidates, links, reads=()).values()
    assert set(fields["links"]) == {"unsubscribe", "shop", "wishlist"}


def test_what_many_mails_have_in_common_is_read_anew_soon(session, keys, links, things):
    """A price, a sender's telephone number: seconds old at most. What a person wishes for is always read."""
    who, clock = agreeing(session, keys), Clock()
    activity.wish(session, who.id, [things["lamp"]], NOON)
    job, candidates = batch(session, [who])
    reader = FieldReader(links, clock=clock)
    wished = [reader.read(session, job, candidates)[candidates[0].delivery_id]["wishlist"]]
    session.execute(update(Product).where(Product.id == things["lamp"]).values(price_paise=99_900))
    session.execute(update(SenderIdentity).values(care_phone="1800 111 2222"))
    activity.wish(session, who.id, [things["tea"]], NOON + timedelta(days=1))
    for seconds in (0, FRESH_SECONDS):
        clock.now += seconds
        fields = reader.read(session, job, candidates)[candidates[0].delivery_id]
        wished.append(fields["wishlist"])
    assert [[row["price"] for row in found] for found in wished] == [
        ["₹1,699"],
        ["₹450", "₹1,699"],
        ["₹450", "₹999"],
    ]
    assert fields["sender"]["care_phone"] == "1800 111 2222"
    session.execute(update(SenderIdentity).values(care_phone="1800 333 4444"))
    approved_anew = replace(job, approved_hash=b"another")
    fields = reader.read(session, approved_anew, candidates)[candidates[0].delivery_id]
    assert fields["sender"]["care_phone"] == "1800 333 4444"


def test_what_many_people_wish_for_is_read_anew_at_once(session, keys, links, things):
    people, clock = [agreeing(session, keys) for _ in range(4)], Clock()
    for who, thing in zip(people, ("lamp", "tea", "bread", "mango"), strict=True):
        activity.wish(session, who.id, [things[thing]], NOON)
    job, candidates = batch(session, people)
    reader = FieldReader(links, clock=clock)
    before = reader.read(session, job, candidates)
    clock.now += FRESH_SECONDS
    with asked(session) as times:
        again = [reader.read(session, job, [one])[one.delivery_id]["wishlist"] for one in candidates]
    assert again == [before[one.delivery_id]["wishlist"] for one in candidates]
    assert len(times) == 1 + 1 + len(candidates)


def test_what_is_known_for_one_campaign_is_not_said_in_another(session, keys, links, things):
    who = agreeing(session, keys, "offer")
    activity.wish(session, who.id, [things["lamp"]], NOON)
    reader = FieldReader(links)
    prices = []
    for percent in ("15", "50"):
        job, candidates = batch(session, [who], "offer", percent_off=percent)
        prices.append(reader.read(session, job, candidates)[candidates[0].delivery_id]["wishlist"][0]["offer_price"])
    assert prices == ["₹1,444", "₹849"]


class Clock:
    """Tells the time that a test says it is."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_why_tells_the_yes_relied_on(session, keys, links):
    """Check 104: its date in the shop's zone, and where it was given."""
    who = person(session, keys)
    ledger.grant(
        session, who.id, wording(session).id, source="store", evidence={},
        occurred_at=datetime(2025, 10, 1, 20, tzinfo=UTC),
    )  # fmt: skip
    found = one(session, links, who)
    assert found["grant"] == {"date": "2 October 2025", "place": "in our shop"}
    assert found["purpose"]["name"] == "festivals and seasons"


def test_an_unknown_source_is_told_without_inventing_a_place(session, keys, links):
    who = person(session, keys)
    ledger.grant(session, who.id, wording(session).id, source="carrier_pigeon", evidence={})
    assert one(session, links, who)["grant"]["place"] == "as our records show"


def test_who_took_the_yes_back_gets_no_fields(session, keys, links):
    """There is nothing to say when they agreed; the gate gives the reason."""
    stays, leaves = agreeing(session, keys), agreeing(session, keys)
    job, candidates = batch(session, [stays, leaves])
    ledger.withdraw(session, leaves.id, "festive", source="helpline", evidence={})
    assert set(fields_for(session, job, candidates, links)) == {candidates[0].delivery_id}


def test_a_yes_to_another_purpose_is_none(session, keys, links):
    who = agreeing(session, keys, "offer")
    job, candidates = batch(session, [who], "festive")
    assert fields_for(session, job, candidates, links) == {}


def test_the_links_are_this_persons_own_and_the_tokens_say_so(session, keys, links):
    """Checks 13 and 20."""
    who = agreeing(session, keys)
    job, candidates = batch(session, [who])
    found = fields_for(session, job, candidates, links)[candidates[0].delivery_id]["links"]
    now = datetime.now(UTC)
    for name, kind in (("unsubscribe", Kind.UNSUBSCRIBE), ("preferences", Kind.PREFERENCES), ("why", Kind.WHY)):
        claim = links.verify(found[name].rpartition("/")[2], kind, now=now)
        assert claim is not None
        assert (claim.customer_ref, claim.delivery_id, claim.purpose) == (who.ref, candidates[0].delivery_id, "festive")
    hindi = links.verify(found["unsubscribe_hi"].rpartition("/")[2], Kind.UNSUBSCRIBE, now=now)
    assert hindi is not None
    assert hindi.language == "hi"


def test_the_wishlist_is_the_newest_that_still_stands_up_to_four(session, keys, links, things):
    who = agreeing(session, keys)
    for day, ref in enumerate(("lamp", "tea", "bread", "mango", "milk"), 1):
        activity.wish(session, who.id, [things[ref]], NOON.replace(day=day))
    activity.unwish(session, who.id, [things["milk"]], NOON.replace(day=9))
    found = one(session, links, who)
    assert [row["name"] for row in found["wishlist"]] == [
        "Alphonso mango",
        "Sourdough",
        "Assam tea, 500 g",
        "Brass lamp",
    ]
    assert found["wishlist_words"] == "Four things"
    assert found["wishlist"][3]["price"] == "₹1,699"
    assert found["wishlist"][3]["picture"] == "https://mail.anaar.example/static/mail/t-lamp.png"
    assert found["wishlist"][3]["url"] == "https://www.anaar.example/p/lamp"


def test_what_is_nobodys_business_is_never_in_a_mail(session, keys, links, things):
    """Somebody may stand beside them when they open it."""
    who = agreeing(session, keys, "service")
    activity.wish(session, who.id, [things["beer"], things["pills"], things["lamp"]], NOON)
    for number in range(1, 4):
        buy(session, who, number, [things["beer"], things["pills"]], NOON.replace(day=number))
    buy(session, who, 9, [things["bread"]])
    found = one(session, links, who, "service", category="")
    assert [row["name"] for row in found["wishlist"]] == ["Brass lamp"]
    assert found["bought"]["words"] == "bread"
    assert "Lager" not in str(found)
    assert "pills" not in str(found)


def test_what_they_often_buy_comes_by_how_often_shelf_by_shelf(session, keys, links, things):
    who = agreeing(session, keys)
    for number, refs in enumerate((["milk", "bread"], ["milk", "bread"], ["milk", "mango"], ["tea"]), 1):
        buy(session, who, number, [things[ref] for ref in refs], NOON.replace(day=number))
    bought = one(session, links, who)["bought"]
    assert bought["words"] == "dairy, bread and tea"
    assert [row["title"] for row in bought["often"]] == ["Dairy", "Bread", "Tea"]


def test_what_was_brought_back_was_not_bought(session, keys, links, things):
    who = agreeing(session, keys, "service")
    buy(session, who, 1, [things["purifier"]], quantity=-1)
    assert one(session, links, who, "service")["bought"]["last_name"] == ""
    # At one go with something that they kept.
    buy(session, who, 2, [things["tea"], things["purifier"]], NOON.replace(day=2), quantity=-1)
    buy(session, who, 3, [things["lamp"]], NOON.replace(day=2))
    assert one(session, links, who, "service", category="")["bought"]["last_name"] == "Brass lamp"


def test_the_last_thing_of_the_campaigns_category(session, keys, links, things):
    who = agreeing(session, keys, "service")
    buy(session, who, 1, [things["purifier"], things["tea"]], NOON)
    buy(session, who, 2, [things["bread"]], NOON.replace(day=5))
    found = one(session, links, who, "service", category="Water purifiers")["bought"]
    assert (found["last_name"], found["last_date"]) == ("Neer 7 litre water purifier", "1 June 2026")
    assert one(session, links, agreeing(session, keys, "service"), "service")["bought"]["last_name"] == ""


def test_the_lower_price_is_rounded_to_the_customers_good(session, keys, links, things):
    who = agreeing(session, keys, "offer")
    activity.wish(session, who.id, [things["lamp"]], NOON)
    (row,) = one(session, links, who, "offer", percent_off="15")["wishlist"]
    assert (row["price"], row["offer_price"]) == ("₹1,699", "₹1,444")
    (row,) = one(session, links, who, "offer", percent_off="0")["wishlist"]
    assert row["offer_price"] == ""


def test_nobody_gets_what_is_somebody_elses(session, keys, links, things):
    first, second = agreeing(session, keys, given_name="Asha"), agreeing(session, keys, given_name="Ravi")
    activity.wish(session, first.id, [things["lamp"]], NOON)
    activity.wish(session, second.id, [things["tea"]], NOON)
    job, candidates = batch(session, [first, second])
    found = fields_for(session, job, list(reversed(candidates)), links)
    for mine, name, thing in zip(candidates, ("Asha", "Ravi"), ("Brass lamp", "Assam tea, 500 g"), strict=True):
        fields = found[mine.delivery_id]
        assert fields["person"]["first_name"] == name
        assert [row["name"] for row in fields["wishlist"]] == [thing]


def test_two_deliveries_of_one_person_have_links_of_their_own(session, keys, links):
    who = agreeing(session, keys)
    job, (first,) = batch(session, [who])
    second = replace(first, delivery_id=uuid4())
    found = fields_for(session, job, [first, second], links)
    assert found[first.delivery_id]["links"]["unsubscribe"] != found[second.delivery_id]["links"]["unsubscribe"]


@pytest.mark.parametrize(
    "paise, words",
    [(0, "₹0"), (50, "₹0.50"), (99_900, "₹999"), (169_900, "₹1,699"), (12_990_000, "₹1,29,900"),
     (1_234_567_800, "₹1,23,45,678")],
)  # fmt: skip
def test_money_is_written_as_in_india(paise, words):
    assert rupees(paise) == words


def test_a_long_name_is_cut_at_a_word():
    assert shortened("Cup") == "Cup"
    long = shortened("Cushion cover in madder red with hand-knotted tassels and piping, washed and dried twice, soft")
    assert len(long) <= 80
    assert long.endswith("washed and…")


def test_values_that_an_author_left_out_are_empty():
    assert complete("festive", {"title": "x"})["tip"] == ""
    assert complete("launch", {"facts": None})["facts"] == []
