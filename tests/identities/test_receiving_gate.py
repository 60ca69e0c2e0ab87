"""So many requests with pictures are received at once; the others wait, for a while."""

import asyncio
from collections import namedtuple
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tintype.errors import Unavailable
from tintype.identities.receiving import Gate, gate

Usage = namedtuple("Usage", "total used free")


async def entered(stack: AsyncExitStack, door: Gate, caller: str, folder: Path) -> None:
    await stack.enter_async_context(door.entered(caller, folder))


async def test_one_more_than_there_is_room_for_waits_until_one_leaves(tmp_path: Path) -> None:
    door = Gate(receiving_max=2)
    async with AsyncExitStack() as first, AsyncExitStack() as second, AsyncExitStack() as third:
        await entered(first, door, "a", tmp_path)
        await entered(second, door, "b", tmp_path)
        waiting = asyncio.create_task(entered(third, door, "c", tmp_path))
        await asyncio.sleep(0)
        assert not waiting.done()
        await first.aclose()
        async with asyncio.timeout(60):
            await waiting


async def test_one_that_waited_long_enough_is_told_when_to_come_back(tmp_path: Path) -> None:
    door = Gate(receiving_max=1, wait_seconds_max=0.02)
    async with door.entered("a", tmp_path):
        with pytest.raises(Unavailable) as caught:
            async with door.entered("b", tmp_path):
                raise AssertionError("there was no room")
    assert (caught.value.status, caught.value.code) == (503, "busy")
    assert caught.value.retry_after_seconds == 30
    async with door.entered("b", tmp_path):
        pass


async def test_one_caller_does_not_keep_the_others_out(tmp_path: Path) -> None:
    door = Gate(receiving_max=3, per_caller_max=2, wait_seconds_max=0.02)
    async with AsyncExitStack() as stack:
        await entered(stack, door, "a", tmp_path)
        await entered(stack, door, "a", tmp_path)
        with pytest.raises(Unavailable):
            await entered(stack, door, "a", tmp_path)
        await entered(stack, door, "b", tmp_path)


async def test_a_place_is_free_again_after_an_error_and_after_giving_up(tmp_path: Path) -> None:
    door = Gate(receiving_max=1, wait_seconds_max=0.02)
    with pytest.raises(ValueError, match="broken"):
        async with door.entered("a", tmp_path):
            raise ValueError("broken")

    async def staying() -> None:
        async with door.entered("a", tmp_path):
            await asyncio.Event().wait()

    for _ in range(2):
        inside, waiting = asyncio.create_task(staying()), asyncio.create_task(staying())
        await asyncio.sleep(0)
        waiting.cancel()
        inside.cancel()
        await asyncio.gather(inside, waiting, return_exceptions=True)
    async with door.entered("a", tmp_path):
        pass
    assert not door._waiting and not door._inside


async def test_so_many_wait_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "WAITING_MAX", 3)
    door = Gate(receiving_max=1)
    async with AsyncExitStack() as stack:
        await entered(stack, door, "a", tmp_path)
        tasks = [asyncio.create_task(entered(stack, door, "b", tmp_path)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await entered(stack, door, "c", tmp_path)
        assert caught.value.code == "busy"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_the_last_bytes_of_the_disk_are_left_to_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 300 * 1024 * 1024
    monkeypatch.setattr(gate, "disk_usage", lambda folder: Usage(10**12, 10**12 - free, free))
    async with Gate().entered("a", tmp_path, announced_bytes=40_000_000):
        pass
    for announced in (0, 50_000_000):
        with pytest.raises(Unavailable) as caught:
            async with Gate().entered("a", tmp_path, announced_bytes=announced):
                raise AssertionError("there was no room")
        assert caught.value.code == "disk_full"
