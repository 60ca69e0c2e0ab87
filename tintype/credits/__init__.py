"""Money that adds up.

An account is the sum of its entries, and entries are only ever added. A hold sets credits aside
for a number of units at one price, under an opaque id; it resolves once: capture pays for the
units that were delivered and releases the rest in the same statement, release pays for none.

    grant ──▶ balance ──▶ hold ──▶ capture   units delivered × price leave the balance
                            │  └─▶ release   the rest of a capture is available again
                            └────▶ release   nothing was delivered

`balance` is what is settled and does not dip while a hold is open; `available` is balance less
held. Neither can go below zero under any concurrency: constraints in the table say so, and every
verb locks the account first. The verbs are SQL functions in `sql/verbs/credits.sql`; hold,
capture and release are called only from `sql/verbs/settlement.sql`, together with the job.
"""

from tintype.credits.account import (
    Account,
    Entry,
    Hold,
    get,
    grant,
    hold,
    listing,
    open_account,
    set_premium,
    statement,
)
from tintype.credits.ledger import Finding, Verification, verify

__all__ = [
    "Account",
    "Entry",
    "Finding",
    "Hold",
    "Verification",
    "get",
    "grant",
    "hold",
    "listing",
    "open_account",
    "set_premium",
    "statement",
    "verify",
]
