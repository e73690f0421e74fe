from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.exc import DBAPIError

from campaigns import operations
from campaigns.approval import approval_hash
from campaigns.audience import expand
from campaigns.models import Approval, Campaign, CampaignEvent
from campaigns.options import Options
from campaigns.preflight import PreflightProblems
from campaigns.rules import Bought, LivesIn
from mailer.errors import InputProblem, NotAllowed, Refused, WrongState
from mailer.models import Delivery, Mandate, OperatorAct, Product, Revision, SenderIdentity
from tests import campaigns_ready, factories

PUNE = LivesIn(cities=("Pune",))


def state(session, campaign):
    """States of the campaign and of its mandate, as they are in the database."""
    row = session.execute(
        select(Campaign.state, Mandate.state)
        .outerjoin(Mandate, Mandate.campaign_id == Campaign.id)
        .where(Campaign.id == campaign.id)
    ).one()
    return tuple(row)


def acts(session, campaign):
    subject = f"campaign:{campaign.id}"
    return list(
        session.scalars(select(OperatorAct.act).where(OperatorAct.subject == subject).order_by(OperatorAct.seq))
    )


def events(session, campaign):
    of_it = CampaignEvent.campaign_id == campaign.id
    return list(session.scalars(select(CampaignEvent.what).where(of_it).order_by(CampaignEvent.id)))


# -- writing -------------------------------------------------------------------------------------


def test_a_campaign_is_bound_to_the_purpose_of_its_kind(session):
    campaign = campaigns_ready.draft(session, kind="service")
    assert campaign.purpose == "service"
    operations.edit(session, campaign.id, campaign.author_id, kind="offer")
    assert (campaign.kind, campaign.purpose) == ("offer", "offer")


@pytest.mark.parametrize(
    "facts",
    [
        {"name": "  "},
        {"kind": "newsletter"},
        {"sender_id": 999999},
        {"scheduled_at": datetime(2026, 11, 5, 9, 0)},
    ],
)
def test_what_can_not_be_used_is_refused_and_nothing_is_written(session, facts):
    with pytest.raises(InputProblem):
        campaigns_ready.draft(session, **facts)
    assert session.scalar(select(func.count()).select_from(Campaign)) == 0


def test_only_its_author_edits_a_campaign(session):
    campaign = campaigns_ready.draft(session)
    with pytest.raises(NotAllowed, match="Only its author"):
        operations.edit(session, campaign.id, factories.operator(session).id, name="Mine now")


def test_somebody_who_left_can_do_nothing(session):
    campaign = campaigns_ready.draft(session)
    session.execute(text("UPDATE operators SET active = false WHERE id = :id"), {"id": campaign.author_id})
    session.expire_all()
    with pytest.raises(NotAllowed):
        operations.submit(session, campaign.id, campaign.author_id)


def test_an_edit_takes_a_campaign_back_to_draft_and_voids_its_approval(session):
    campaign = campaigns_ready.approved(session)
    assert state(session, campaign) == ("approved", "approved")
    operations.edit(session, campaign.id, campaign.author_id, rule=PUNE)
    assert state(session, campaign) == ("draft", None)
    assert campaign.approved_hash is None


# -- submitting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["postal_address", "legal_name"])
def test_a_sender_without_postal_address_or_legal_name_can_not_be_submitted(session, field):
    campaign = campaigns_ready.draft(session)
    setattr(session.get(SenderIdentity, campaign.sender_id), field, "  ")
    session.flush()
    with pytest.raises(PreflightProblems) as refused:
        operations.submit(session, campaign.id, campaign.author_id)
    assert [problem.where for problem in refused.value.problems] == ["from"]
    assert "nter it at the sender" in str(refused.value)
    assert state(session, campaign) == ("draft", None)


def test_everything_that_must_be_fixed_is_told_at_once(session):
    campaign = campaigns_ready.draft(session, options=Options(ends_at=datetime(2020, 1, 1, tzinfo=UTC)))
    sender = session.get(SenderIdentity, campaign.sender_id)
    sender.postal_address = sender.officer = ""
    campaign.rule = {"type": "lives_at"}
    revision = session.get(Revision, campaign.revision_id)
    bare = Revision(
        **{c.key: getattr(revision, c.key) for c in Revision.__table__.columns if c.key not in ("id", "number")},
        number=77,
    )
    bare.compiled_html, bare.subject, bare.kind = "<p>Hello</p>" + "x" * 103_000, " ", "offer"
    session.add(bare)
    session.flush()
    campaign.revision_id = bare.id
    with pytest.raises(PreflightProblems) as refused:
        operations.submit(session, campaign.id, campaign.author_id)
    assert [problem.where for problem in refused.value.problems] == ["who", *["what"] * 4, "from", "from", "when"]


def test_a_campaign_without_content_can_not_be_submitted(session):
    campaign = campaigns_ready.draft(session)
    campaign.revision_id = None
    with pytest.raises(PreflightProblems, match="Write the message first"):
        operations.submit(session, campaign.id, campaign.author_id)


def test_submitting_twice_changes_nothing(session):
    campaign = campaigns_ready.waiting(session)
    before = approval_hash(session, campaign.id)
    assert operations.submit(session, campaign.id, campaign.author_id) is False
    assert approval_hash(session, campaign.id) == before


# -- approving -----------------------------------------------------------------------------------


def test_the_author_can_not_approve(session):
    campaign = campaigns_ready.waiting(session)
    author = session.get(type(campaigns_ready.approver(session)), campaign.author_id)
    author.roles.extend(campaigns_ready.approver(session).roles)
    session.flush()
    with pytest.raises(NotAllowed, match="your own work"):
        operations.approve(session, campaign.id, campaign.author_id, seen=approval_hash(session, campaign.id))
    assert state(session, campaign) == ("waiting", None)


def test_the_author_of_the_content_can_not_approve(session):
    campaign = campaigns_ready.waiting(session)
    writer = campaigns_ready.approver(session)
    campaigns_ready.content(session, campaign, writer.id)
    with pytest.raises(NotAllowed, match="your own work"):
        operations.approve(session, campaign.id, writer.id, seen=approval_hash(session, campaign.id))


def test_only_an_approver_approves(session):
    campaign = campaigns_ready.waiting(session)
    with pytest.raises(NotAllowed, match="Only an approver"):
        operations.approve(
            session, campaign.id, factories.operator(session).id, seen=approval_hash(session, campaign.id)
        )


def test_the_database_itself_refuses_an_approval_by_the_author(session):
    campaign = campaigns_ready.waiting(session)
    for author in (campaign.author_id, campaigns_ready.approver(session).id):
        with pytest.raises(DBAPIError, match="other than its author"), session.begin_nested():
            session.execute(
                text("""INSERT INTO approvals (campaign_id, author_id, approver_id, approved_hash, audience)
                        VALUES (:campaign, :author, :approver, 'x', 1)"""),
                {"campaign": campaign.id, "author": author, "approver": campaign.author_id},
            )


def test_the_database_itself_refuses_a_mandate_that_nobody_approved(session):
    campaign = campaigns_ready.approved(session)
    with pytest.raises(DBAPIError, match="no approval of exactly this"), session.begin_nested():
        session.execute(update(Mandate).values(approved_hash=b"z" * 32))
    other = session.get(Mandate, campaign.id)
    with pytest.raises(DBAPIError, match="not changed under its approval"), session.begin_nested():
        session.execute(update(Mandate).where(Mandate.campaign_id == other.campaign_id).values(purpose="offer"))


def test_an_approval_is_for_what_was_seen(session):
    campaign = campaigns_ready.waiting(session)
    seen = approval_hash(session, campaign.id)
    session.get(SenderIdentity, campaign.sender_id).from_name = "Anaar Sweets"
    session.flush()
    with pytest.raises(Refused, match="changed since you opened it"):
        operations.approve(session, campaign.id, campaigns_ready.approver(session).id, seen=seen)
    assert state(session, campaign) == ("waiting", None)


def test_the_hash_covers_everything_that_is_approved(session):
    campaign = campaigns_ready.waiting(session)
    sender = session.get(SenderIdentity, campaign.sender_id)
    hashes = [approval_hash(session, campaign.id)]

    def changed(record, field, value):
        setattr(record, field, value)
        session.flush()
        hashes.append(approval_hash(session, campaign.id))

    changed(campaign, "rule", {"type": "lives_in", "cities": ["Pune"]})
    changed(campaign, "options", {"cap_messages": 3, "cap_days": 7})
    changed(campaign, "scheduled_at", datetime(2026, 11, 8, tzinfo=UTC))
    changed(campaign, "sender_id", factories.sender(session).id)
    changed(campaign, "sender_id", sender.id)
    assert hashes.pop() == hashes[-2], "the same again has the same hash"
    for field in ("from_name", "from_address", "reply_to", "legal_name", "postal_address", "list_domain"):
        changed(sender, field, "changed@example.com")
    campaign.kind = "offer"
    changed(campaign, "purpose", "offer")
    campaigns_ready.content(session, campaign, campaign.author_id)
    hashes.append(approval_hash(session, campaign.id))
    assert len(set(hashes)) == len(hashes)


def test_an_approval_writes_the_mandate_with_all_it_covers(session):
    session.add(
        Product(external_ref="P1", name="Brass diya", department="HOME", category="Lamps", brand=None, price_paise=1)
    )
    options = Options(
        rate_per_second=5.0,
        cap_messages=3,
        cap_days=7,
        quiet_from=time(21),
        quiet_until=time(9),
        ends_at=datetime(2099, 1, 1, tzinfo=UTC),
    )
    rule = Bought(dimension="product", values=("P1",), within_days=30)
    campaign = campaigns_ready.approved(session, rule, options=options)
    mandate = session.get(Mandate, campaign.id, populate_existing=True)
    assert {name: getattr(mandate, name) for name in Options.__slots__} == {
        name: getattr(options, name) for name in Options.__slots__
    }
    assert mandate.audience_sentence == "bought Brass diya in the last 30 days"
    assert (mandate.purpose, mandate.message_class, mandate.state) == ("festive", "marketing", "approved")
    assert mandate.approved_hash == campaign.approved_hash == approval_hash(session, campaign.id)


def test_approving_twice_changes_nothing(session):
    campaign = campaigns_ready.approved(session)
    said = acts(session, campaign)
    again = campaigns_ready.approver(session)
    assert operations.approve(session, campaign.id, again.id, seen=campaign.approved_hash) is False
    assert acts(session, campaign) == said


def test_what_was_approved_once_must_be_approved_again_after_a_return(session):
    campaign = campaigns_ready.approved(session)
    first = campaign.approved_hash
    operations.return_(session, campaign.id, campaigns_ready.approver(session).id, "wrong week")
    assert state(session, campaign) == ("draft", None)
    operations.submit(session, campaign.id, campaign.author_id)
    assert approval_hash(session, campaign.id) != first, "a yes to an earlier submission is spent"
    approver = campaigns_ready.approver(session)
    operations.approve(session, campaign.id, approver.id, seen=approval_hash(session, campaign.id))
    assert session.scalar(select(func.count()).select_from(Approval)) == 2


# -- starting ------------------------------------------------------------------------------------


def test_a_start_clicked_twice_starts_once_and_says_so(session):
    campaign = campaigns_ready.approved(session)
    first = operations.start(session, campaign.id, campaign.author_id)
    as_of = session.get(Mandate, campaign.id, populate_existing=True).as_of
    said = acts(session, campaign)
    second = operations.start(session, campaign.id, campaign.author_id)
    assert (first.started, second.started) == (True, False)
    assert second.words == "It was started already: sending."
    assert session.get(Mandate, campaign.id, populate_existing=True).as_of == as_of
    assert acts(session, campaign) == said


def test_of_fifty_parallel_starts_one_wins(committed):
    with committed() as session, session.begin():
        campaign = campaigns_ready.approved(session)

    def click(_):
        with committed() as session, session.begin():
            return operations.start(session, campaign.id, campaign.author_id).started

    with ThreadPoolExecutor(25) as pool:
        answers = list(pool.map(click, range(50)))
    assert answers.count(True) == 1
    with committed() as session:
        assert acts(session, campaign).count("campaign_started") == 1
        assert events(session, campaign).count("Started") == 1
        assert state(session, campaign) == ("sending", "sending")


@pytest.mark.parametrize("make", [campaigns_ready.draft, campaigns_ready.waiting])
def test_what_nobody_approved_does_not_start(session, make):
    campaign = make(session)
    before = state(session, campaign)
    with pytest.raises(WrongState):
        operations.start(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == before


def test_what_changed_since_its_approval_does_not_start(session):
    campaign = campaigns_ready.approved(session)
    session.get(SenderIdentity, campaign.sender_id).from_address = "other@mail.example.com"
    session.flush()
    with pytest.raises(Refused, match="not what was approved"):
        operations.start(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("approved", "approved")


def test_an_audience_that_grew_over_a_fifth_asks_again(session, keys):
    for _ in range(5):
        factories.agreeing(session, keys)
    campaign = campaigns_ready.approved(session)
    assert campaign.approved_audience == 5
    factories.agreeing(session, keys)
    another = factories.agreeing(session, keys)
    with pytest.raises(operations.AudienceGrew, match="from 5 to 7 people"):
        operations.start(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("approved", "approved")
    assert "campaign_started" not in acts(session, campaign)
    session.execute(text("UPDATE customers SET account = 'deactivated' WHERE id = :id"), {"id": another.id})
    assert operations.start(session, campaign.id, campaign.author_id).started, "six of five is a fifth, no more"


def test_what_leaves_later_does_not_leave_now(session):
    campaign = campaigns_ready.approved(session, scheduled_at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(WrongState, match="not before"):
        operations.start(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("approved", "approved")


# -- pause, resume, cancel -----------------------------------------------------------------------


def test_a_pause_and_a_resume_move_campaign_and_mandate_together(session):
    campaign = campaigns_ready.started(session)
    assert operations.pause(session, campaign.id, campaign.author_id, "a wrong price")
    assert state(session, campaign) == ("paused", "paused")
    assert session.get(Mandate, campaign.id, populate_existing=True).state_reason == "a wrong price"
    assert operations.pause(session, campaign.id, campaign.author_id, "again") is False
    assert operations.resume(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("sending", "sending")
    assert session.get(Mandate, campaign.id, populate_existing=True).state_reason is None
    assert operations.resume(session, campaign.id, campaign.author_id) is False


def test_what_was_changed_while_it_was_paused_does_not_resume(session):
    campaign = campaigns_ready.started(session)
    operations.pause(session, campaign.id, campaign.author_id, "-")
    session.get(SenderIdentity, campaign.sender_id).postal_address = "Elsewhere"
    session.flush()
    with pytest.raises(Refused, match="not what was approved"):
        operations.resume(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("paused", "paused")


@pytest.mark.parametrize(
    ("make", "mandate"),
    [
        (campaigns_ready.draft, None),
        (campaigns_ready.waiting, None),
        (campaigns_ready.approved, "cancelled"),
        (campaigns_ready.started, "cancelled"),
    ],
)
def test_a_cancelled_campaign_stays_cancelled(session, make, mandate):
    campaign = make(session)
    assert operations.cancel(session, campaign.id, campaign.author_id)
    assert state(session, campaign) == ("cancelled", mandate)
    assert operations.cancel(session, campaign.id, campaign.author_id) is False
    for again in (
        lambda: operations.start(session, campaign.id, campaign.author_id),
        lambda: operations.resume(session, campaign.id, campaign.author_id),
        lambda: operations.edit(session, campaign.id, campaign.author_id, name="Up again"),
    ):
        with pytest.raises(WrongState):
            again()


def test_pause_and_cancel_touch_no_delivery(session, keys):
    factories.agreeing(session, keys)
    campaign = campaigns_ready.started(session)
    expand(session, campaign.id)
    operations.pause(session, campaign.id, campaign.author_id, "-")
    operations.cancel(session, campaign.id, campaign.author_id)
    assert list(session.scalars(select(Delivery.state))) == ["pending"]


# -- what is left behind -------------------------------------------------------------------------


def test_every_operation_leaves_an_act_in_the_chain_and_an_event(session):
    campaign = campaigns_ready.started(session)
    operations.pause(session, campaign.id, campaign.author_id, "a wrong price")
    operations.resume(session, campaign.id, campaign.author_id)
    operations.cancel(session, campaign.id, campaign.author_id)
    assert acts(session, campaign) == [
        "campaign_created",
        "campaign_submitted",
        "campaign_approved",
        "campaign_started",
        "campaign_paused",
        "campaign_resumed",
        "campaign_cancelled",
    ]
    assert events(session, campaign) == [
        "Written",
        "Waits for approval",
        "Approved for 0 people",
        "Started",
        "Paused: a wrong price",
        "Resumed",
        "Cancelled",
    ]


def test_the_acts_form_one_chain(session):
    campaigns_ready.started(session)
    chain = session.execute(
        text("""SELECT hash = operator_act_link(operator_acts) AS whole,
                       prev_hash = lag(hash) OVER (ORDER BY seq) AS linked FROM operator_acts ORDER BY seq""")
    ).all()
    assert len(chain) >= 4
    assert all(row.whole for row in chain)
    assert all(row.linked for row in chain[1:])


def test_a_test_mail_goes_to_the_operator_alone_and_enqueues_nothing(session, keys):
    factories.agreeing(session, keys)
    campaign = campaigns_ready.draft(session)
    sent = []

    def send(session, campaign, revision, operator):
        sent.append((revision.id, operator.id))

    operations.send_test(session, campaign.id, campaign.author_id, send)
    assert sent == [(campaign.revision_id, campaign.author_id)]
    assert session.scalar(select(func.count()).select_from(Delivery)) == 0
    assert acts(session, campaign)[-1] == "campaign_test_sent"


def test_what_does_not_exist_is_said_so(session):
    for call in (
        lambda: operations.start(session, 10**9, None),
        lambda: operations.pause(session, 10**9, None, "-"),
        lambda: approval_hash(session, 10**9),
    ):
        with pytest.raises(InputProblem, match="There is no campaign"):
            call()
