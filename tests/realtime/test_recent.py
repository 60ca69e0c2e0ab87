"""Does `.stream()` of supabase_flutter miss nothing between its select and its join?"""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from realtime_site import Site, add_project, every, is_quiet

from support import kernel
from tintype import database

Admin = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture(autouse=True)
async def watched(site: Site) -> None:
    """Wait until it is known which transactions are recent."""
    async with asyncio.timeout(60):
        while not site.realtime._changes.recent._samples:
            await asyncio.sleep(0.01)


async def test_what_changed_before_the_join_is_told_once_as_it_is_now(
    site: Site, admin: Any, ada: UUID, bob: UUID
) -> None:
    project = await add_project(admin, ada, "selected")
    await admin.execute("update public.projects set name = 'missed' where id = $1", project)
    await add_project(admin, bob, "his")
    talker, other = await site.connect(), await site.connect()
    mine = every("projects", filter=f"user_id=eq.{ada}")
    await talker.subscribe(mine, name="public:projects:1", token=site.token(ada))
    await other.subscribe(mine, name="public:projects:1", token=site.token(bob))
    data = await talker.change()
    assert (data["type"], data["record"]["name"]) == ("UPDATE", "missed")
    assert data["old_record"] == {"id": str(project)}
    await add_project(admin, ada, "new")
    assert (await talker.change())["record"]["name"] == "new"
    assert await is_quiet(talker) and await is_quiet(other)


async def test_a_view_is_told_of_as_it_shows_the_row(
    site: Site, pool: database.Pool, ada: UUID
) -> None:
    await kernel.grant(pool, ada, 5)
    [job] = await kernel.accepted(pool, kernel.submission(ada))
    talker = await site.connect()
    wanted = every("generation_jobs", filter=f"id=eq.{job}")
    await talker.subscribe(wanted, name="public:generation_jobs:7", token=site.token(ada))
    data = await talker.change()
    assert (data["record"]["id"], data["record"]["status"]) == (str(job), "pending")
    assert await is_quiet(talker)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("room", {}),
        ("public:projects:1", {"event": "UPDATE"}),
        ("public:projects:1", {"filter": "name=neq.x"}),
        ("public:projects:1", {"filter": "name=eq.other"}),
        ("public:jobs:1", {}),
    ],
)
async def test_nobody_else_is_told_of_what_was_before(
    site: Site, admin: Any, ada: UUID, name: str, options: dict[str, Any]
) -> None:
    await add_project(admin, ada)
    talker = await site.connect()
    binding = every("projects", filter=f"user_id=eq.{ada}") | options
    await talker.subscribe(binding, name=name, token=site.token(ada))
    assert await is_quiet(talker)


async def test_what_changed_long_ago_is_not_told(
    site: Site, admin: Any, ada: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await add_project(admin, ada)
    recent = site.realtime._changes.recent
    recent._samples.clear()
    xid = await admin.fetchval("select pg_snapshot_xmin(pg_current_snapshot())::text")
    recent._samples.append((0.0, xid))
    talker = await site.connect()
    mine = every("projects", filter=f"user_id=eq.{ada}")
    await talker.subscribe(mine, name="public:projects:1", token=site.token(ada))
    assert await is_quiet(talker)
