"""Signs up, asks for two pictures, watches the job to its end, saves the pictures."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

from realtime.types import RealtimePostgresChangesListenEvent as Listen
from supabase import AsyncClient, acreate_client

ENDED = ("completed", "failed", "canceled")


async def main() -> None:
    supabase = await acreate_client(os.environ["SUPABASE_URL"], os.environ["SUPABASE_ANON_KEY"])
    email = f"ada-{time.time_ns()}@example.com"
    signed_up = await supabase.auth.sign_up({"email": email, "password": "correct horse"})
    assert signed_up.user is not None and signed_up.session is not None
    await supabase.realtime.set_auth(signed_up.session.access_token)

    # Subscribe first, then ask: nothing that happens to the job is missed.
    changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    subscribed = asyncio.Event()
    channel = supabase.channel("my-jobs").on_postgres_changes(
        Listen.Update,
        changes.put_nowait,
        schema="public",
        table="jobs",
        filter=f"user_id=eq.{signed_up.user.id}",
    )
    await channel.subscribe(lambda state, error: subscribed.set())
    await subscribed.wait()

    await supabase.functions.invoke(
        "generate-image", {"body": {"prompt": "a robot holding a skateboard", "quantity": 2}}
    )
    job = await watched(changes)
    if job["status"] != "completed":
        raise SystemExit(job["error_message"])
    await save(supabase, job["id"])
    await supabase.remove_all_channels()
    await supabase.realtime.close()
    await supabase.auth.sign_out()


async def watched(changes: asyncio.Queue[dict[str, Any]]) -> dict[str, Any]:
    """Print each state of the job and return the last."""
    while True:
        job: dict[str, Any] = (await changes.get())["data"]["record"]
        print(job["status"], f"{job['result_count']} of {job['quantity']}")
        if job["status"] in ENDED:
            return job


async def save(supabase: AsyncClient, job_id: str) -> None:
    """Download the job's pictures into the current folder."""
    query = supabase.table("images").select("path, url, width, height")
    pictures: Any = (await query.eq("job_id", job_id).order("position").execute()).data
    for number, picture in enumerate(pictures, 1):
        data = await supabase.storage.from_("generations").download(picture["path"])
        file = Path(f"robot-{number}{Path(picture['path']).suffix}")
        file.write_bytes(data)
        print("saved", file, f"{picture['width']} x {picture['height']}", picture["url"])


if __name__ == "__main__":
    asyncio.run(main())
