"""The scripted provider by itself, as crash tests run it."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path

import httpx2

from tests.support.serve import ANSWER_SECONDS_MAX


async def test_it_runs_as_a_process_and_is_told_over_http(repository: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.provider_server",
        "--port",
        "0",
        stdout=asyncio.subprocess.PIPE,
        cwd=repository,
    )
    assert process.stdout is not None
    try:
        url = json.loads(await process.stdout.readline())["url"]
        async with httpx2.AsyncClient(
            base_url=url, trust_env=False, timeout=ANSWER_SECONDS_MAX
        ) as client:
            script = {"sequence": ["unavailable", None, "dropped"], "weights": {"empty": 0.5}}
            assert (await client.post("/control/script", json=script)).status_code == 200
            body = {"contents": [{"parts": [{"text": "a robot"}]}]}
            statuses: list[int] = []
            for _ in range(23):
                with contextlib.suppress(httpx2.HTTPError):
                    reply = await client.post("/v1beta/models/m:generateContent", json=body)
                    statuses.append(reply.status_code)
            assert statuses[:2] == [503, 200]
            counters = (await client.get("/control/counters")).json()
            assert counters["calls"] == 23
            assert counters["by_endpoint"] == {"generateContent": 23}
            assert counters["by_fault"]["dropped"] == 1
            assert 0 < counters["by_fault"]["empty"] < 20
            assert counters["delivered"] == counters["by_fault"]["none"]
            calls = (await client.get("/control/calls")).json()
            made = [picture for call in calls for picture in call["pictures"]]
            assert len(set(made)) == len(made) == counters["delivered"]
            assert calls[0]["prompt"] == "a robot"
            refused = await client.post("/control/script", json={"always": "no such fault"})
            assert refused.status_code == 400
            await client.post("/control/reset")
            assert (await client.get("/control/counters")).json()["calls"] == 0
    finally:
        process.terminate()
        await process.wait()
