"""Everything that can go wrong on purpose, as one tree.

AskfirstError
├── InputProblem            what a person gave us can't be used; says what to do
│   ├── BadAddress          not an address that mail can be sent to
│   ├── BadHeader           what would not be the header it seems (`mailer.message`)
│   ├── ContentProblems     content that can't be used, with every reason (`mailer.render`)
│   ├── RenderFailed        one person's mail that can't be rendered (`mailer.render`)
│   ├── Underage            a grant or sign-up by somebody under 18 (DPDP s.9)
│   └── UnknownPurpose      no such purpose
├── Refused                 a rule of the house says no; nothing was changed
│   ├── NotAllowed          this operator may not do that (own approval, missing role)
│   └── WrongState          the campaign is not in a state in which this can be done
├── LockMissing             a ledger write without `lock_customers`: a bug, found by the first test
├── AddressMoved            the address changed hands while its locks were awaited: try again
└── Unavailable             the database can't be reached: nothing is sent meanwhile

"May not send" is not here: that is a value (`mailer.consent.policy.Refusal`), stored and counted.
"""

from __future__ import annotations


class AskfirstError(Exception):
    """Base of every error that we raise on purpose. `str()` of it may be shown to a person."""


class InputProblem(AskfirstError):
    """What was given can't be used. The message says what to do."""


class BadAddress(InputProblem):
    """This is not an address that mail can be sent to."""


class Underage(InputProblem):
    """Nobody under 18 may subscribe (DPDP Act 2023 s.9)."""


class UnknownPurpose(InputProblem):
    """There is no purpose of this name."""


class Refused(AskfirstError):
    """A rule of the house says no. Nothing was changed."""


class NotAllowed(Refused):
    """This operator may not do that."""


class WrongState(Refused):
    """The campaign is not in a state in which this can be done."""


class LockMissing(AskfirstError):
    """A write to the ledger without `lock_customers` in the same transaction."""


class AddressMoved(AskfirstError):
    """The address changed hands while its locks were awaited. Start again."""


class Unavailable(AskfirstError):
    """The database can't be reached. Nothing is sent meanwhile."""
