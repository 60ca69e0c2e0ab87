"""The whole product as it is served, and a scene in it: Ada, what is hers, and the others."""

import asyncio
import base64
import hashlib
import io
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2
import websockets
from PIL import Image, PngImagePlugin
from websockets.asyncio.client import ClientConnection

from tests.support.product import Product
from tintype import credits

CREDITS = 20
PASSWORD = "correct horse"
ANSWER_SECONDS_MAX = 60
CALLERS = ("nobody", "anon", "stranger", "owner", "service")
TUS = {"tus-resumable": "1.0.0"}
CHUNK = TUS | {"content-type": "application/offset+octet-stream", "upload-offset": "0"}
# Every row of every table that says one of these words.
TABLES = """
select format('%I.%I', n.nspname, c.relname)
from pg_class as c
join pg_namespace as n on c.relnamespace = n.oid
where c.relkind in ('r', 'p') and n.nspname in ('auth', 'public', 'storage', 'tintype')
order by 1
"""
MENTIONING = """
select to_jsonb(t)::text as told from {table} as t
where to_jsonb(t)::text ~ $1 order by 1
"""
# A queued job that no nudge of a worker takes: its next try is an hour away.
POSTPONE = """
with due as (delete from tintype.ready where job_id = $1 returning *)
insert into tintype.delayed (queue, run_at, job_id, attempt, rank)
select queue, now() + interval '1 hour', job_id, attempt, rank from due
"""
# An identity that is trained, and how far it is.
IDENTITY = """
with made as (
  insert into public.trained_identities (
    user_id, identity_name, model_id, trigger_word, num_training_images
  )
  values ($1, $2, gen_random_uuid(), 'ada1', 3)
  returning id, user_id
),

told as (
  insert into public.training_steps (job_id, step, user_id, steps_total, sample_url)
  select gen_random_uuid(), 1, m.user_id, 100, $2 from made as m
)

select id::text from made
"""
# A film of the same job, as a video model will have made it.
FILM = """
insert into public.generations
select
  (
    jsonb_populate_record(
      g, jsonb_build_object('id', gen_random_uuid(), 'media_type', 'video', 'position', 7)
    )
  ).*
from public.generations as g where g.job_id = $1
"""


@dataclass(frozen=True)
class Caller:
    """Someone at the doors, with the headers that say who."""

    headers: dict[str, str]
    id: str = ""
    session: str = ""
    refresh: str = ""
    email: str = ""

    @property
    def token(self) -> str:
        return self.headers["authorization"].removeprefix("Bearer ")


@dataclass(frozen=True)
class Scene:
    """What Ada has, one of everything. `secret` is in all of it, and nobody else may read it."""

    product: Product
    secret: str
    callers: dict[str, Caller]
    # What the walk puts into its URLs and bodies.
    names: dict[str, str]

    @property
    def owner(self) -> Caller:
        return self.callers["owner"]

    async def dump(self) -> dict[str, list[str]]:
        """Return every row and every file that has to do with Ada."""
        words = ("owner", "email", "job", "ended", "project", "session", "version")
        pattern = "|".join(self.names[word] for word in words)
        tables = [row[0] for row in await self.product.admin.fetch(TABLES)]
        found = {
            table: [
                row["told"]
                for row in await self.product.admin.fetch(MENTIONING.format(table=table), pattern)
            ]
            for table in tables
        }
        folder = self.product.config.data
        found["files"] = [
            f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in sorted(folder.rglob("*"))
            if path.is_file() and self.names["owner"] in str(path)
        ]
        return {name: told for name, told in found.items() if told}


def picture(secret: str) -> bytes:
    """Return a PNG that says the secret where only whoever has the bytes can read it."""
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", secret)
    file = io.BytesIO()
    Image.new("RGB", (16, 16), "red").save(file, "PNG", pnginfo=info)
    return file.getvalue()


def metadata(**values: str) -> str:
    """Return an `Upload-Metadata` header."""
    return ",".join(
        f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in values.items()
    )


async def sign_up(product: Product, email: str, secret: str) -> Caller:
    """Return a new user who came in through the door, with a session."""
    answer = await product.http.post(
        "/auth/v1/signup",
        json={"email": email, "password": PASSWORD, "data": {"diary": secret}},
        headers={"apikey": product.keys.anon_key},
    )
    assert answer.status_code == 200, answer.text
    session = answer.json()
    token = session["access_token"]
    return Caller(
        {"apikey": product.keys.anon_key, "authorization": f"Bearer {token}"},
        session["user"]["id"],
        product.keys.verify(token).claims["session_id"],
        session["refresh_token"],
        email,
    )


async def open_scene(product: Product) -> Scene:
    """Set a new scene: Ada with one of everything, a stranger with nothing, and the others."""
    mark = uuid4().hex[:12]
    secret = f"secret-{uuid4().hex}"
    anon, service = product.keys.anon_key, product.keys.service_role_key
    ada = await sign_up(product, f"ada-{mark}@example.com", secret)
    callers = {
        "nobody": Caller({}),
        "anon": Caller({"apikey": anon, "authorization": f"Bearer {anon}"}),
        "stranger": await sign_up(product, f"eve-{mark}@example.com", "nothing"),
        "owner": ada,
        "service": Caller({"apikey": service, "authorization": f"Bearer {service}"}),
    }
    scene = Scene(product, secret, callers, {"owner": ada.id, "email": ada.email, "new": mark})
    scene.names.update(session=ada.session, refresh=ada.refresh, secret=secret)
    scene.names.update(stranger=callers["stranger"].id, vault=f"vault-{mark}")
    await _furnish(scene)
    return scene


async def _furnish(scene: Scene) -> None:
    product, ada = scene.product, scene.owner
    await credits.grant(product.pool, ada.id, CREDITS)
    kept = {"prefer": "return=representation"}
    for table, row in (
        ("projects", {"user_id": ada.id, "name": scene.secret}),
        ("templates", {"user_id": ada.id, "name": "t", "prompt": scene.secret}),
    ):
        [made] = await _asked(scene, f"/rest/v1/{table}", row, **kept)
        scene.names[table.removesuffix("s")] = made["id"]
    for name, table, row in (
        ("batch", "batches", {"prompt": scene.secret}),
        ("draft", "batches", {"prompt": scene.secret}),
        ("model", "models", {"name": scene.secret}),
        ("cup", "models", {"name": scene.secret}),
    ):
        [made] = await _asked(scene, f"/rest/v1/{table}", {"user_id": ada.id} | row, **kept)
        scene.names[name] = str(made["id"])
    scene.names["likeness"] = await product.admin.fetchval(IDENTITY, ada.id, scene.secret)
    for name in ("ended", "job"):
        body = {"prompt": scene.secret, "model": "sandbox", "projectId": scene.names["project"]}
        key = {"idempotency-key": f"{name} {scene.secret}"}
        made = await _asked(scene, "/functions/v1/generate-image", body, **key)
        scene.names[name] = made["jobId"]
        if name == "ended":
            done = await _asked(scene, "/functions/v1/image-worker", {})
            assert done["imagesGenerated"] == 1, done
    await product.admin.execute(POSTPONE, scene.names["job"])
    await product.admin.execute(FILM, scene.names["ended"])
    scene.names["generation"] = await product.admin.fetchval(
        "select id::text from public.generations where job_id = $1 limit 1", scene.names["ended"]
    )
    for name in ("photo", "first", "second"):
        await _put(scene, f"uploads/{ada.id}/{name}.png", ada)
    vault = {"id": scene.names["vault"], "name": scene.names["vault"]}
    service = scene.callers["service"]
    await product.http.post("/storage/v1/bucket", json=vault, headers=service.headers)
    await _put(scene, f"{vault['id']}/{ada.id}/kept.png", service)
    begun = await product.http.post(
        "/storage/v1/upload/resumable",
        headers=ada.headers
        | TUS
        | {
            "upload-length": "100",
            "upload-metadata": metadata(
                bucketName="uploads",
                objectName=f"{ada.id}/begun.png",
                contentType="image/png",
                metadata=json.dumps({"note": scene.secret}),
            ),
        },
    )
    assert begun.status_code == 201, begun.text
    upload = begun.headers["location"].rpartition("/")[2]
    signed = await _asked(scene, f"/storage/v1/object/upload/sign/uploads/{ada.id}/signed.png", {})
    scene.names.update(
        photo=f"uploads/{ada.id}/photo.png",
        metadata=metadata(
            bucketName="uploads", objectName=f"{ada.id}/tus.png", contentType="image/png"
        ),
        upload=upload,
        version=base64.urlsafe_b64decode(upload + "==").decode().rpartition("/")[2],
        # Opens one place to write to, and neither what is there nor any other.
        ticket=signed["url"].partition("?token=")[2],
    )


async def _put(scene: Scene, path: str, caller: Caller) -> None:
    sent = await scene.product.http.post(
        f"/storage/v1/object/{path}",
        content=picture(scene.secret),
        headers=caller.headers | {"content-type": "image/png"},
    )
    assert sent.status_code == 200, sent.text


async def _asked(scene: Scene, path: str, body: Any, **headers: str) -> Any:
    answer = await scene.product.http.post(path, json=body, headers=scene.owner.headers | headers)
    assert answer.is_success, answer.text
    return answer.json()


def told(answer: httpx2.Response) -> str:
    """Return an answer in short: its status, its code where it has one, `[]` for no rows."""
    try:
        body = answer.json()
    except (ValueError, UnicodeDecodeError):
        kind = answer.headers.get("content-type", "")
        is_text = kind.startswith("text/plain") and not answer.is_success
        return f"{answer.status_code} {answer.text.strip() if is_text else ''}".strip()
    if isinstance(body, dict) and set(body) >= {"objects", "folders"}:
        body = body["objects"] + body["folders"]
    if body == []:
        return f"{answer.status_code} []"
    if isinstance(body, list) and all(isinstance(one, dict) and one.get("error") for one in body):
        return f"{answer.status_code} [refused]"
    if not isinstance(body, dict) or answer.is_success:
        return str(answer.status_code)
    words = ("error_code", "code", "message", "error")
    code = next((body[word] for word in words if body.get(word)), None)
    return f"{answer.status_code} {code}"


class Talker:
    """One websocket that says frames of version 1.0.0 and reads what comes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._count = 0

    async def say(self, topic: str, event: str, payload: Any) -> str:
        self._count += 1
        ref = str(self._count)
        frame = {"topic": topic, "event": event, "payload": payload, "ref": ref}
        await self.connection.send(json.dumps(frame))
        return ref

    async def hear(self, event: str, *, ref: str | None = None) -> dict[str, Any]:
        """Return the payload of the next such frame."""
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            while True:
                frame = json.loads(await self.connection.recv())
                if frame["event"] == event and (ref is None or frame["ref"] == ref):
                    payload: dict[str, Any] = frame["payload"]
                    return payload

    async def join(self, topic: str, token: str | None = None, **config: Any) -> dict[str, Any]:
        """Join `realtime:<topic>` and return the reply."""
        payload = {"config": config} | ({"access_token": token} if token else {})
        return await self.hear(
            "phx_reply", ref=await self.say(f"realtime:{topic}", "phx_join", payload)
        )

    async def follow(self, tables: Iterable[str], token: str | None = None) -> None:
        """Be told of every change of these tables that this caller may see."""
        wanted = [{"event": "*", "schema": "public", "table": table} for table in tables]
        answer = await self.join("changes", token, postgres_changes=wanted)
        assert answer["status"] == "ok", answer
        assert (await self.hear("system"))["status"] == "ok"


@asynccontextmanager
async def talking(product: Product, headers: dict[str, str]) -> AsyncIterator[Talker]:
    """Connect as a client does: its key in the query, and no other header."""
    address = product.url.replace("http", "ws", 1) + "/realtime/v1/websocket?vsn=1.0.0"
    if "apikey" in headers:
        address += f"&apikey={headers['apikey']}"
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(
            websockets.connect(address, compression=None, max_size=None)
        )
        yield Talker(connection)
