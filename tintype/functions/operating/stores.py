"""Does the money add up, what is stored, and what did functions say?"""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from tintype import clock, credits
from tintype.functions.context import Context
from tintype.functions.operating.asking import Text, Told, View, query, rows_of

LOGS_MAX = 500


class Broken(Told, frozen=True):
    """A row that breaks a rule of the ledger."""

    rule: str
    subject: str
    detail: str


class Ledger(Told, frozen=True):
    """What was looked at, and all that is wrong with it, at most 100 findings."""

    at: datetime
    holds_true: bool
    accounts: int
    holds: int
    open_holds: int
    jobs: int
    findings: list[Broken]


class AskLedger(View, tag="ledger", frozen=True):
    """Does every credit add up? Reads the whole ledger, which takes a while on a large one."""

    async def read(self, context: Context) -> Ledger:
        """Prove every rule of the ledger from one snapshot."""
        found = await credits.verify(context.pool)
        return Ledger(
            at=clock.now(),
            holds_true=found.holds_true,
            accounts=found.accounts,
            holds=found.holds,
            open_holds=found.open_holds,
            jobs=found.jobs,
            findings=[
                Broken(rule=one.rule, subject=one.subject, detail=one.detail)
                for one in found.findings
            ],
        )


class BucketState(Told, frozen=True):
    """One bucket; no `bytes_max` of its own means the server's, no `media_types` means any."""

    bucket: str
    is_public: bool
    bytes_max: int | None
    media_types: list[str] | None
    objects: int
    bytes: int


class Stored(Told, frozen=True):
    """The buckets by name, and the largest object that the server takes."""

    buckets: list[BucketState]
    object_bytes_max: int


class AskStorage(View, tag="storage", frozen=True):
    """What is stored, by bucket?"""

    async def read(self, context: Context) -> Stored:
        """Count objects and bytes of every bucket."""
        rows = await context.pool.fetch(query("storage"))
        return Stored(
            buckets=rows_of(BucketState, rows),
            object_bytes_max=context.config.storage.object_bytes_max,
        )


class LogLine(Told, frozen=True):
    """One line: of a call's end if it has a `status`, else of what was printed or went wrong."""

    id: int
    at: datetime
    function: str
    request_id: str
    level: str
    message: str
    status: int | None
    seconds: float | None


class Logs(Told, frozen=True):
    """Lines, newest first; `next` is the `before` of the page after this."""

    lines: list[LogLine]
    next: int | None


class AskLogs(View, tag="logs", frozen=True):
    """What did functions say?"""

    function: Text | None = None
    level: Literal["info", "warning", "error"] | None = None
    request_id: Text | None = None
    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=LOGS_MAX)] = 100

    async def read(self, context: Context) -> Logs:
        """Return a page of lines; they are there a second or two after they were said."""
        rows = await context.pool.fetch(
            query("logs"), self.before, self.function, self.level, self.request_id, self.limit
        )
        lines = rows_of(LogLine, rows)
        return Logs(lines=lines, next=lines[-1].id if len(lines) == self.limit else None)
