"""Does the money add up?"""

import msgspec

from tintype.database import Pool, named_queries

FINDINGS_MAX = 100


class Finding(msgspec.Struct, frozen=True):
    """A row that breaks a rule of the ledger."""

    rule: str
    subject: str
    detail: str


class Verification(msgspec.Struct, frozen=True):
    """What was looked at, and everything that was wrong with it (at most `FINDINGS_MAX` rows)."""

    accounts: int
    holds: int
    open_holds: int
    jobs: int
    findings: list[Finding]

    @property
    def holds_true(self) -> bool:
        """Whether no rule is broken."""
        return not self.findings


async def verify(pool: Pool) -> Verification:
    """Prove the ledger by query, from one snapshot, while jobs run.

    The rules: a balance is its grants less its captures; what is held is the sum of open holds;
    a hold resolves once, and captured + released = held; a job has one hold, resolved exactly
    when it has ended, for exactly what was delivered. Reads only; takes no lock that a job waits
    for.
    """
    queries = named_queries("credits")
    async with (
        pool.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        counts = await connection.fetchrow(queries["verify_counts"], timeout=600)
        rows = await connection.fetch(queries["verify"], FINDINGS_MAX, timeout=600)
    return Verification(**dict(counts), findings=[Finding(**dict(row)) for row in rows])
