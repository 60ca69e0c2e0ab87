"""The schema changes under a running server."""

import asyncio

import asyncpg
import pytest
from rest_site import Site, refusal

from tintype.rest import freshness

Admin = asyncpg.Connection
READ_SECONDS_MAX = 60


async def test_a_new_table_is_found_when_it_is_asked_for(
    site: Site, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MISS_SECONDS_MIN", 0.0)
    await admin.execute("create table fresh (id integer); grant select on fresh to anon")
    assert await site.rows("/fresh") == []
    await admin.execute("alter table fresh add column word text")
    assert await site.rows("/fresh?select=word") == []
    await admin.execute("alter table fresh rename column word to name")
    body = await site.refused("/fresh?select=word", 400, "42703")
    assert "word" in body["message"]
    assert await site.rows("/fresh?select=*,name&name=is.null") == []
    await admin.execute("drop table fresh")
    await site.refused("/fresh", 404, "PGRST205")


async def test_misses_do_not_make_the_server_read_all_the_time(
    site: Site, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MISS_SECONDS_MIN", 3600.0)
    before = site.rest.catalogue
    await asyncio.gather(*(site.refused("/nope", 404, "PGRST205") for _ in range(20)))
    assert site.rest.catalogue is before


async def test_a_notification_makes_it_read(
    site: Site, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MISS_SECONDS_MIN", 3600.0)
    await admin.execute("create table fresh (id integer); grant select on fresh to anon")
    refusal(await site.get("/fresh"), 404, "PGRST205")
    async with asyncio.timeout(READ_SECONDS_MAX):
        while (await site.get("/fresh")).status_code != 200:
            await admin.execute("notify pgrst, 'reload schema'")
            await asyncio.sleep(0.05)


async def test_the_listener_comes_back_when_its_connection_was_cut(
    site: Site, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MISS_SECONDS_MIN", 3600.0)
    monkeypatch.setattr(freshness, "RECONNECT_SECONDS", 0.01)
    listening = "select pg_terminate_backend(pid) from pg_stat_activity where query ilike 'listen%'"
    async with asyncio.timeout(READ_SECONDS_MAX):
        while not await admin.fetch(f"{listening} and datname = current_database()"):
            await asyncio.sleep(0.02)
    await admin.execute("create table fresh (id integer); grant select on fresh to anon")
    async with asyncio.timeout(READ_SECONDS_MAX):
        while (await site.get("/fresh")).status_code != 200:
            await asyncio.sleep(0.02)
