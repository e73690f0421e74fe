"""The tables of one person and one message. No rules here: only columns, keys and what each is for.

`people` customers and addresses, `consent` the ledger and its projection, `catalogue` what they bought and wish
for, `mandates` all a delivery may know of a campaign, `deliveries` snapshot, queue and receipt in one row,
`operators` who works here and what they did, `rates` how often was asked, `doubts` who
wants to send again what nobody knows of, `providers` what carriers must know, `senders` how
carriers and recipient domains are doing. Start with `consent`.
"""

from mailer.models.catalogue import (
    CustomerTotals,
    Order,
    OrderLine,
    Product,
    PurchaseFacet,
    WishlistFacet,
    WishlistItem,
)
from mailer.models.clicks import Click, LinkDestination
from mailer.models.consent import (
    ConsentEvent,
    ConsentEvidence,
    ConsentHead,
    ConsentState,
    LedgerDigest,
    PolicyChange,
    PolicyVersion,
    Purpose,
    StopRequest,
    Suppression,
    SuppressionEvent,
    Wording,
)
from mailer.models.deliveries import (
    AudienceExclusion,
    CampaignAddress,
    ComeBack,
    Delivery,
    DeliveryAttempt,
    OpenHandover,
)
from mailer.models.doubts import ResendRequest, ResendRow
from mailer.models.feedback import Alert, KeptMail, ProviderEvent, SoftBounce
from mailer.models.guards import GuardCount, GuardLimit, Heartbeat, JournalApplied, JournalEntry
from mailer.models.mandates import Installation, Mandate, Revision, SenderIdentity
from mailer.models.operators import Operator, OperatorAct, Role
from mailer.models.people import Address, Customer, CustomerLimit
from mailer.models.providers import ListComparison, ListedAddress, ListKeeper, ProviderNotice, ProviderRest
from mailer.models.rates import RateCount
from mailer.models.senders import DomainState, ProviderCircuit

__all__ = [
    "Address",
    "Alert",
    "AudienceExclusion",
    "CampaignAddress",
    "Click",
    "ComeBack",
    "ConsentEvent",
    "ConsentEvidence",
    "ConsentHead",
    "ConsentState",
    "Customer",
    "CustomerLimit",
    "CustomerTotals",
    "Delivery",
    "DeliveryAttempt",
    "DomainState",
    "GuardCount",
    "GuardLimit",
    "Heartbeat",
    "Installation",
    "JournalApplied",
    "JournalEntry",
    "KeptMail",
    "LedgerDigest",
    "LinkDestination",
    "ListComparison",
    "ListKeeper",
    "ListedAddress",
    "Mandate",
    "OpenHandover",
    "Operator",
    "OperatorAct",
    "Order",
    "OrderLine",
    "PolicyChange",
    "PolicyVersion",
    "Product",
    "ProviderCircuit",
    "ProviderEvent",
    "ProviderNotice",
    "ProviderRest",
    "PurchaseFacet",
    "Purpose",
    "RateCount",
    "ResendRequest",
    "ResendRow",
    "Revision",
    "Role",
    "SenderIdentity",
    "SoftBounce",
    "StopRequest",
    "Suppression",
    "SuppressionEvent",
    "WishlistFacet",
    "WishlistItem",
    "Wording",
]
