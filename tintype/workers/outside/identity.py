"""Who is a worker that runs outside the server, and what proves it?

A row of `tintype.workers` with three secrets, none of which is kept in the clear: a key (a token
that names the worker and its `key_id`), a token for its lanes (kept as a hash), and a secret that
signs its callbacks (derived from the server's own and the `key_id`).
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec

from tintype import clock, jobs
from tintype.auth import KeySet, Principal
from tintype.database import Pool, named_queries
from tintype.errors import InvalidRequest

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
QUEUES_MAX = 16
# A worker that polls is noted as seen no more often; `tintype.see_worker` counts so too.
SEEN_SECONDS = 10
LANE_TOKEN_BYTES = 32
LANE_TOKEN_PREFIX = "ttl_"  # noqa: S105
# A Standard Webhooks secret: the prefix, then base64 of 24 to 64 bytes.
CALLBACK_SECRET_PREFIX = "whsec_"  # noqa: S105


class OutsideWorker(msgspec.Struct, frozen=True):
    """One worker that is allowed in. `key_id` changes with every new set of secrets.

    `idle_queues`, of a worker that was found by its lane token, are those that had nothing due
    then: whoever polls has its answer with that one look.
    """

    id: UUID
    name: str
    queues: tuple[str, ...]
    key_id: UUID
    created_at: datetime
    seen_at: datetime | None
    idle_queues: tuple[str, ...] = ()

    @property
    def holder(self) -> str:
        """The name under which this worker's own leases stand."""
        return f"worker:{self.id}"

    @property
    def holders(self) -> list[str]:
        """Whose leases this worker speaks for: its own, and those of the carriers of its queues."""
        return [self.holder, *(f"carrier:{queue}" for queue in self.queues)]


class Credentials(msgspec.Struct, frozen=True):
    """The secrets of one worker, shown once."""

    worker_id: UUID
    key: str
    lane_token: str
    callback_secret: str


async def add_worker(pool: Pool, keys: KeySet, name: str, queues: Sequence[str]) -> Credentials:
    """Let a worker in, or give the one of that name other queues and new secrets.

    What it had before stops working with the commit. Raises `InvalidRequest`
    `worker_name_invalid` or `worker_queues_invalid`.
    """
    if not NAME.fullmatch(name):
        raise InvalidRequest(
            "worker_name_invalid",
            "A worker's name is 1 to 63 of a-z, 0-9, - and _, and begins with a letter or digit.",
        )
    if not 1 <= len(set(queues)) <= QUEUES_MAX or not all(NAME.fullmatch(one) for one in queues):
        raise InvalidRequest(
            "worker_queues_invalid", f"A worker has 1 to {QUEUES_MAX} queues, named like workers."
        )
    if jobs.IDENTITIES_QUEUE in queues:
        raise InvalidRequest(
            "worker_queues_invalid",
            f"{jobs.IDENTITIES_QUEUE} is worked on by the server itself.",
            hint=f"Trainings are on the queue {jobs.TRAINING_QUEUE}.",
        )
    key_id = uuid4()
    lane_token = LANE_TOKEN_PREFIX + secrets.token_urlsafe(LANE_TOKEN_BYTES)
    worker_id = await pool.fetchval(
        "select tintype.add_worker($1, $2, $3, $4)",
        name,
        sorted(set(queues)),
        key_id,
        _digest(lane_token),
    )
    return Credentials(
        worker_id,
        keys.mint_worker(worker_id, key_id),
        lane_token,
        callback_secret(keys, key_id),
    )


async def revoke_worker(pool: Pool, name: str) -> bool:
    """End a worker's secrets now and let its jobs go back to their queues; False if unknown."""
    return bool(await pool.fetchval("select tintype.revoke_worker($1)", name))


async def list_workers(pool: Pool) -> list[OutsideWorker]:
    """Return the workers that are let in, by name."""
    return [_worker(row) for row in await pool.fetch(named_queries("outside")["list"])]


async def worker_of_token(pool: Pool, lane_token: str) -> OutsideWorker | None:
    """Return the worker whose lane token this is, and note that it was seen."""
    row = await pool.fetchrow(named_queries("outside")["by_token"], _digest(lane_token))
    return await _seen(pool, row)


async def worker_of_principal(pool: Pool, principal: Principal) -> OutsideWorker | None:
    """Return the worker whose current key the caller showed; None for an old or revoked one."""
    if principal.worker_id is None:
        return None
    row = await pool.fetchrow(
        named_queries("outside")["by_key"], principal.worker_id, UUID(principal.claims["key_id"])
    )
    return await _seen(pool, row)


async def worker_of_id(pool: Pool, worker_id: UUID) -> OutsideWorker | None:
    """Return the worker with this id, if it is let in."""
    row = await pool.fetchrow(named_queries("outside")["by_id"], worker_id)
    return None if row is None else _worker(row)


async def signers_of(pool: Pool, job_id: UUID) -> list[OutsideWorker]:
    """Return the workers that may sign a callback of this job: who has it, or reported it last.

    With a queue that is carried by Redis these are all workers of the queue, at most 20.
    """
    rows = await pool.fetch(named_queries("outside")["signers"], job_id)
    return [_worker(row) for row in rows]


def callback_secret(keys: KeySet, key_id: UUID) -> str:
    """Return the secret that signs the callbacks of the worker with this key."""
    digest = hmac.digest(keys.url_secret, b"tintype callback " + key_id.bytes, "sha256")
    return CALLBACK_SECRET_PREFIX + base64.b64encode(digest).decode()


async def _seen(pool: Pool, row: Mapping[str, Any] | None) -> OutsideWorker | None:
    if row is None:
        return None
    seen_at = row["seen_at"]
    if seen_at is None or (clock.now() - seen_at).total_seconds() > SEEN_SECONDS:
        await pool.execute("select tintype.see_worker($1)", row["id"])
    return _worker(row)


def _worker(row: Mapping[str, Any]) -> OutsideWorker:
    return OutsideWorker(
        row["id"],
        row["name"],
        tuple(row["queues"]),
        row["key_id"],
        row["created_at"],
        row["seen_at"],
        tuple(row.get("idle_queues", ())),
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
