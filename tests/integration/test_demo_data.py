"""The world of the demonstration: the real purchase history with made-up people, at a small scale."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from config.keys import Keys
from mailer import activity
from mailer.consent.eligible import first_refusal
from mailer.consent.ledger import events_of
from mailer.consent.policy import fold
from mailer.models import (
    Address,
    ConsentEvent,
    ConsentEvidence,
    ConsentState,
    Customer,
    Order,
    OrderLine,
    Product,
    PurchaseFacet,
    StopRequest,
    WishlistItem,
)
from tests.conftest import Committed, Engines
from workers.demo import people, world
from workers.demo.history import History, HistoryMissing, Household, installed_at

NOW = datetime.now(UTC)
HOUSEHOLDS = 300
ZONE = ZoneInfo("Asia/Kolkata")


@pytest.fixture(scope="module")
def made(engines: Engines, keys: Keys) -> Iterator[tuple[Committed, world.World]]:
    with engines.database() as name:
        database = Committed(engines.app.format(name), engines.owner.format(name))
        history = History(world.until(NOW), HOUSEHOLDS)
        yield database, world.make(database.engine, keys, history, NOW)
        history.close()
        database.close()


@pytest.fixture
def demo(made: tuple[Committed, world.World]) -> Iterator[Session]:
    with made[0]() as session:
        yield session


def test_the_whole_history_is_there() -> None:
    history = History(date(2026, 11, 7))
    assert len(history.households()) == 2_469
    count = history.counts()
    assert (count.lines, count.orders, count.products) == (1_469_307, 155_848, 92_331)
    history.close()


def test_history_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    with pytest.raises(HistoryMissing, match="make setup"):
        installed_at()


def test_the_last_order_was_yesterday_and_none_is_in_the_future(demo: Session) -> None:
    first, last = demo.execute(select(func.min(Order.placed_at), func.max(Order.placed_at))).one()
    assert last.astimezone(ZONE).date() == NOW.astimezone(ZONE).date() - timedelta(days=1)
    assert (last - first).days in (363, 364)


def test_an_order_is_the_sum_of_its_lines(demo: Session) -> None:
    differing = demo.execute(
        text("""SELECT count(*) FROM orders o JOIN (SELECT customer_id, order_id, sum(amount_paise) AS paise
                  FROM order_lines GROUP BY 1, 2) l ON (l.customer_id, l.order_id) = (o.customer_id, o.id)
                 WHERE l.paise <> o.total_paise""")
    ).scalar()
    assert differing == 0
    assert demo.scalar(select(func.count()).select_from(Order)) > HOUSEHOLDS


def test_the_dirt_of_the_history_stays(demo: Session) -> None:
    nothing = demo.scalar(select(func.count()).where(OrderLine.quantity <= 0))
    free = demo.scalar(select(func.count()).where(OrderLine.amount_paise == 0))
    unknown = demo.scalar(
        select(func.count())
        .select_from(OrderLine)
        .where(~select(Product.id).where(Product.id == OrderLine.product_id).exists())
    )
    assert nothing > 0
    assert free > 0
    assert unknown > 0


def test_projections_are_what_their_sources_come_to(demo: Session) -> None:
    assert activity.verify(demo) == []
    groceries = select(func.count()).where(PurchaseFacet.dimension == "department", PurchaseFacet.value == "Grocery")
    assert demo.scalar(groceries) > HOUSEHOLDS * 0.9


def test_rows_that_come_later_get_free_numbers(demo: Session, keys: Keys) -> None:
    demo.add(Customer(ref=b"r" * 16))
    activity.add_products(
        demo,
        [{"external_ref": "new", "name": "N", "department": "D", "category": "C", "brand": None, "price_paise": 1}],
    )
    demo.flush()
    demo.rollback()


def test_every_address_is_at_example_com_and_some_share_one(demo: Session) -> None:
    written = demo.scalars(select(Address.address)).all()
    assert all(address.endswith("@example.com") for address in written)
    assert len(set(written)) < len(written) < HOUSEHOLDS
    assert all(phone.startswith("+91 00") for phone in demo.scalars(select(Customer.phone)))


def test_every_part_of_the_spread_is_there_at_full_scale() -> None:
    crowd = people.invent([Household(number, None) for number in range(1, 2_470)], world.SEED, NOW.date())
    assert {person.locale for person in crowd} == {"en-IN", "hi-IN"}
    assert {person.account for person in crowd} == {"active", "deactivated"}
    assert {person.adult for person in crowd} == {True, False}
    assert len({person.state for person in crowd}) > 10
    assert len({person.ref for person in crowd}) == len(crowd)


def test_the_same_seed_gives_the_same_people() -> None:
    some = [Household(number, "25-34") for number in range(1, 50)]
    assert people.invent(some, 7, NOW.date()) == people.invent(some, 7, NOW.date())
    assert people.invent(some, 7, NOW.date()) != people.invent(some, 8, NOW.date())


def test_the_reasons_against_festive_mail_are_those_of_the_spread(
    made: tuple[Committed, world.World], demo: Session
) -> None:
    why = first_refusal("festive", NOW).label("why")
    reasons = select(why, Customer.id).subquery()
    found = Counter(dict(demo.execute(select(reasons.c.why, func.count()).group_by(reasons.c.why)).all()))
    assert found[None] > HOUSEHOLDS * 0.4
    assert {"never_asked", "withdrawn", "policy_changed", "minor", "no_address"} <= set(found)
    spread = Counter(made[1].kinds.values())
    assert found["policy_changed"] <= spread["older notice, changed since"]
    assert found["minor"] <= spread["found to be a minor"]


def test_every_yes_has_its_words_and_its_evidence_and_was_given_by_an_adult(demo: Session) -> None:
    grants = demo.scalars(select(ConsentEvent).where(ConsentEvent.action == "grant")).all()
    proofs = {(proof.customer_id, proof.seq): proof.document for proof in demo.scalars(select(ConsentEvidence))}
    assert all(proofs[grant.customer_id, grant.seq]["form"] for grant in grants)
    never_told = select(Customer.id).where(Customer.birth_date.is_(None), Customer.declared_adult_at.is_(None))
    assert not {grant.customer_id for grant in grants} & set(demo.scalars(never_told))


def test_a_new_yes_counts_and_an_old_one_that_came_late_does_not(
    made: tuple[Committed, world.World], demo: Session
) -> None:
    crowd: dict[str, set[int]] = defaultdict(set)
    for person, kind in made[1].kinds.items():
        crowd[kind].add(person)
    festive = select(ConsentState).where(ConsentState.purpose == "festive")
    standing = {state.customer_id: state.granted for state in demo.scalars(festive)}
    assert crowd["said no, then yes again"]
    assert all(standing[person] for person in crowd["said no, then yes again"])
    assert not any(standing[person] for person in crowd["old yes arrived late"] | crowd["said no to festivals"])


def test_the_ledger_folds_to_its_projection(demo: Session) -> None:
    kept = {(state.customer_id, state.purpose): state.granted for state in demo.scalars(select(ConsentState))}
    for person in demo.scalars(select(ConsentEvent.customer_id).distinct().limit(100)).all():
        for purpose, standing in fold(events_of(demo, person)).purposes.items():
            assert kept[person, purpose] is standing.granted


def test_typed_stops_are_folded_and_stop_strangers_too(demo: Session) -> None:
    stops = demo.scalars(select(StopRequest)).all()
    assert len(stops) > 1
    assert all(stop.folded_at for stop in stops)


def test_wishes_are_of_kinds_that_the_person_buys(demo: Session) -> None:
    strange = demo.scalar(
        select(func.count())
        .select_from(WishlistItem)
        .join(Product, Product.id == WishlistItem.product_id)
        .where(
            ~select(PurchaseFacet.lines)
            .where(
                PurchaseFacet.customer_id == WishlistItem.customer_id,
                PurchaseFacet.dimension == "category",
                PurchaseFacet.value == Product.category,
            )
            .exists()
        )
    )
    assert strange == 0
    assert demo.scalar(select(func.count()).where(WishlistItem.removed_at.is_(None))) > HOUSEHOLDS


def test_made_up_people_are_never_added_to_real_ones(made: tuple[Committed, world.World], keys: Keys) -> None:
    history = History(world.until(NOW), 3)
    with pytest.raises(world.NotEmpty):
        world.make(made[0].engine, keys, history, NOW)
    history.close()
