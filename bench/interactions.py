"""How long does the editor take to answer a person, with 200 nodes on the canvas?

`tintype serve` with the web app as it is built, Debian's Chromium with a window of its own, and a
person who types, selects, zooms, drags, deletes, takes back and pastes (`bench.clients.interact`).
What counts is the browser's own figure, from which it makes "interaction to next paint": from the
moment a key or a button goes down until what it did is painted. Without a Chromium, Playwright or a
build of the app nothing is measured, and the report says so.
"""

import json
import shutil
from importlib.util import find_spec
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx2

from bench.process import HOST, ROOT, MeasurementFailed, ask
from bench.rounds import Run
from bench.served import Served, serving

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
PAGE = ROOT / "tintype" / "web" / "dist" / "index.html"
NODES = 200
KINDS = ("prompt", "references", "settings", "output")
# Nodes stand in twenty columns, each group of four from left to right.
COLUMNS = 20
ACROSS, DOWN = 420, 520


async def measure(run: Run) -> None:
    """Add `interaction_*_ms` of each act and `interaction_worst_ms`, or remark why not."""
    chromium = next(filter(None, map(shutil.which, CHROMIUMS)), None)
    missing = _missing(chromium)
    if missing:
        run.remark(f"interactions: not measured, {missing}.")
        return
    async with serving(run) as served:
        for turn in range(run.sizes.repeats):
            run.say(f"interactions, round {turn + 1} of {run.sizes.repeats}")
            session = await _sign_up(served)
            project = await _project(served, UUID(session["user"]["id"]))
            found: dict[str, list[float]] = await ask(
                "bench.clients.interact",
                {
                    "chromium": chromium,
                    "url": f"http://{HOST}:{served.port}",
                    "session": json.dumps(session),
                    "project": str(project),
                    "nodes": NODES,
                    "takes": run.sizes.interaction_takes,
                },
            )
            _note(run, found)


def _missing(chromium: str | None) -> str | None:
    if chromium is None:
        return "there is no Chromium here (on Debian: apt-get install chromium)"
    if find_spec("playwright") is None:
        return "playwright is not installed (the extra bench)"
    return None if PAGE.exists() else "the web app is not built (make web)"


def _note(run: Run, found: dict[str, list[float]]) -> None:
    for act, takes in found.items():
        for milliseconds in takes:
            run.note(
                f"interaction_{act}_ms",
                milliseconds,
                unit="ms",
                what=f"until the next paint, {NODES} nodes on the canvas",
            )
    run.note(
        "interaction_worst_ms",
        max(map(max, found.values())),
        unit="ms",
        what="the slowest of all in a round, each of which is a visit with an empty browser",
    )


async def _sign_up(served: Served) -> dict[str, Any]:
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{served.port}") as http:
        answer = await http.post(
            "/auth/v1/signup",
            json={"email": f"{uuid4()}@example.com", "password": "correct horse"},
            headers={"apikey": served.keys.anon_key},
        )
    if answer.status_code != 200:
        raise MeasurementFailed(f"signup answered {answer.text[:1000]}")
    session: dict[str, Any] = answer.json()
    return session


async def _project(served: Served, user: UUID) -> UUID:
    """Make a project of `NODES` nodes of all kinds, in groups of four that lead into each other."""
    nodes = [
        {
            "id": f"n{number}",
            "kind": KINDS[number % len(KINDS)],
            "x": number % COLUMNS * ACROSS,
            "y": number // COLUMNS * DOWN,
            "text": f"number {number}",
        }
        for number in range(NODES)
    ]
    edges = [
        {"id": f"e{first}-{step}", "from": f"n{first + before}", "to": f"n{first + after}"}
        for first in range(0, NODES, len(KINDS))
        for step, (before, after) in enumerate(((0, 2), (1, 2), (2, 3)))
    ]
    canvas = {"version": 1, "nodes": nodes, "edges": edges}
    connection = await asyncpg.connect(served.database_url)
    try:
        project: UUID = await connection.fetchval(
            "insert into public.projects (user_id, name, canvas_state)"
            " values ($1, 'Two hundred', $2::jsonb) returning id",
            user,
            json.dumps(canvas),
        )
    finally:
        await connection.close()
    return project
