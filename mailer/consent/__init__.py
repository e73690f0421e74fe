"""What a person agreed to, and how it is proved.

`policy` is the rule, pure: fold a person's events, decide about one message. `ledger` is where events are written
(append-only, under the person's lock) and holds the same rule as one SQL expression for audiences. `links` are the
signed links by which a person acts without signing in. Suppressions are about addresses and live elsewhere.
"""
