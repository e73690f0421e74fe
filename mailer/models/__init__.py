"""The tables of one person and one message. No rules here: only columns, keys and what each is for.

`people` customers and addresses, `consent` the ledger and its projection, `catalogue` what they bought and wish
for, `mandates` all a delivery may know of a campaign, `deliveries` snapshot, queue and receipt in one row,
`operators` who works here and what they did, `rates` how often was asked. Start with `consent`.
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
from mailer.models.mandates import Installation, Mandate, Revision, SenderIdentity
from mailer.models.operators import Operator, OperatorAct, Role
from mailer.models.people import Address, Customer, CustomerLimit
from mailer.models.rates import RateCount

__all__ = [
    "Address",
    "AudienceExclusion",
    "CampaignAddress",
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
    "Installation",
    "LedgerDigest",
    "Mandate",
    "OpenHandover",
    "Operator",
    "OperatorAct",
    "Order",
    "OrderLine",
    "PolicyChange",
    "PolicyVersion",
    "Product",
    "PurchaseFacet",
    "Purpose",
    "RateCount",
    "Revision",
    "Role",
    "SenderIdentity",
    "StopRequest",
    "Suppression",
    "SuppressionEvent",
    "WishlistFacet",
    "WishlistItem",
    "Wording",
]
