"""Which providers must not be called now?

A quota that is spent, or a key that is wrong, is known to all workers through one small table:
nobody burns an attempt to find out again.
"""

from datetime import timedelta

import msgspec

from tintype import clock, events
from tintype.database import Pool
from tintype.providers import Model

# A wrong key or model setting is tried again this often: the operator may have mended it.
MISCONFIGURED_SECONDS = 60.0
PAUSE_SECONDS_MAX = 26 * 3600.0
DETAIL_CHARACTERS_MAX = 500


class Pause(msgspec.Struct, frozen=True):
    """Why a provider's model rests, and for how many seconds more."""

    provider: str
    model: str
    cause: str
    detail: str
    seconds: float


async def find(pool: Pool, model: Model) -> Pause | None:
    """Return the pause that holds for this model, if there is one."""
    row = await pool.fetchrow(
        "select p.provider, p.model, p.cause, p.detail,"
        " extract(epoch from p.paused_until - tintype.clock())::float8 as seconds"
        " from tintype.provider_pauses as p"
        " where p.provider = $1 and p.model in ($2, '') and p.paused_until > tintype.clock()"
        " order by p.paused_until desc limit 1",
        model.provider,
        model.id,
    )
    return None if row is None else Pause(**dict(row))


async def pause(
    pool: Pool, model: Model, *, cause: str, detail: str, seconds: float, whole: bool
) -> None:
    """Let nobody call this model for `seconds`; a longer pause that holds already stays.

    `whole` pauses every model of the provider: its key is wrong, not one model's name or quota.
    """
    seconds = min(seconds, PAUSE_SECONDS_MAX)
    await pool.execute(
        "insert into tintype.provider_pauses as p (provider, model, cause, detail, paused_until)"
        " values ($1, $2, $3, $4, $5)"
        " on conflict (provider, model) do update set cause = excluded.cause,"
        " detail = excluded.detail,"
        " paused_until = greatest(p.paused_until, excluded.paused_until)",
        model.provider,
        "" if whole else model.id,
        cause,
        detail[:DETAIL_CHARACTERS_MAX],
        clock.now() + timedelta(seconds=seconds),
    )
    events.emit(
        events.ProviderPaused(
            provider=model.provider, cause=cause, seconds=seconds, detail=detail[:200]
        )
    )


async def listing(pool: Pool) -> list[Pause]:
    """Return every pause that holds now, the longest first."""
    rows = await pool.fetch(
        "select p.provider, p.model, p.cause, p.detail,"
        " extract(epoch from p.paused_until - tintype.clock())::float8 as seconds"
        " from tintype.provider_pauses as p"
        " where p.paused_until > tintype.clock() order by p.paused_until desc"
    )
    return [Pause(**dict(row)) for row in rows]


async def resume(pool: Pool) -> int:
    """End every pause; return how many there were."""
    return len(await pool.fetch("delete from tintype.provider_pauses returning provider"))


async def end(pool: Pool, provider: str, model: str) -> bool:
    """End the pause of a model, or of a whole provider where `model` is ""; False without one."""
    row = await pool.fetchrow(
        "delete from tintype.provider_pauses where provider = $1 and model = $2 returning true",
        provider,
        model,
    )
    return row is not None
