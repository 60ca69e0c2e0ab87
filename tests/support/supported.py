"""What is supported of Supabase's wire, as `docs/reference/supabase.toml` says, and a world in
which each row can be asked of a running server."""

import base64
import io
import re
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import msgspec
from PIL import Image

from tests.support.product import Product

SOURCE = Path(__file__).parent.parent.parent / "docs" / "reference" / "supabase.toml"
AREAS = {
    "gateway": "The front door",
    "auth": "Sign-in: `/auth/v1`",
    "rest": "Tables: `/rest/v1`",
    "storage": "Objects: `/storage/v1`",
    "functions": "Functions: `/functions/v1`",
    "realtime": "Changes, broadcast, presence: `/realtime/v1`",
}
STATES = ("supported", "not enabled", "not yet", "unknown")
PASSWORD = "correct horse"
_NAME = re.compile(r"\{([a-z_]+)\}")


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"caller": "as"}):
    """One line of the table, and how to see that it is true; the file tells the fields."""

    feature: str
    on: str
    state: str = "supported"
    note: str = ""
    caller: str = "anon"
    ask: str = ""
    headers: dict[str, str] = {}
    body: Any = None
    content: str = ""
    status: int = 200
    code: str = ""
    has: Any = None
    rows: Any = None
    send: list[tuple[str, str, dict[str, Any]]] = []
    hears: dict[str, Any] = {}

    @property
    def answer(self) -> str:
        """What comes back, in short."""
        if self.send:
            told = self.hears.get("payload", {}).get("status", "")
            return f"`{self.hears['event']}` {told}".rstrip()
        return f"{self.status} `{self.code}`" if self.code else str(self.status)


def rows() -> dict[str, list[Row]]:
    """Return the rows of each area, in the order of the file."""
    document = tomllib.loads(SOURCE.read_text("utf-8"))
    return {area: msgspec.convert(document[area], list[Row]) for area in AREAS}


class World:
    """A product with tables, people, objects and functions: what the names in rows stand for."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.user = self.email = self.token = ""
        self._made: dict[str, str] = {}

    async def furnish(self) -> None:
        """Make what every row may find, beside the tables: functions, a user who is signed in."""
        functions = self.product.config.project / "supabase" / "functions"
        for path, text in FUNCTIONS.items():
            (functions / path).parent.mkdir(parents=True, exist_ok=True)
            (functions / path).write_text(text, "utf-8")
        self.email = f"{uuid4().hex}@example.com"
        made = {"email": self.email, "password": PASSWORD, "email_confirm": True}
        self.user = (await self.as_service("POST", "/auth/v1/admin/users", made)).json()["id"]
        self.token = (await self._sign_in())["access_token"]

    async def as_service(
        self, method: str, path: str, body: Any = None, **options: Any
    ) -> httpx2.Response:
        headers = self.headers("service") | options.pop("headers", {})
        answer = await self.product.http.request(
            method, path, json=body, headers=headers, **options
        )
        answer.raise_for_status()
        return answer

    async def as_user(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = self.headers("user") | options.pop("headers", {})
        answer = await self.product.http.request(method, path, headers=headers, **options)
        answer.raise_for_status()
        return answer

    def headers(self, caller: str, token: str = "") -> dict[str, str]:
        """Return what a caller sends; a user's token goes with the anon key."""
        keys = self.product.keys
        key = {
            "nobody": "",
            "service": keys.service_role_key,
            "both": keys.service_role_key,
            "publishable": keys.publishable_key,
            "secret": keys.secret_key,
        }.get(caller, keys.anon_key)
        if caller in ("user", "both"):
            token = self.token
        return {"apikey": key, "authorization": f"Bearer {token or key}"} if key else {}

    async def ask(self, row: Row) -> tuple[httpx2.Response, Row]:
        """Send what a row asks; return the answer and the row with its names filled in."""
        self._made = {}
        filled = msgspec.convert(await self._filled(msgspec.to_builtins(row)), Row)
        token = ""
        if row.caller == "guest":
            token = (await self._sign_in())["access_token"]
        elif row.caller == "rich":
            person = await self.product.person(20)
            token = person.token
        headers = self.headers(row.caller, token) | filled.headers
        if filled.code:
            headers["X-Supabase-Api-Version"] = "2024-01-01"
        sent: dict[str, Any] = {} if filled.body is None else {"json": filled.body}
        if filled.content:
            sent = {"content": CONTENT[filled.content]}
            headers = {"content-type": "image/png"} | {k.lower(): v for k, v in headers.items()}
        method, _, path = (filled.ask or filled.on).partition(" ")
        answer = await self.product.http.request(method, path, headers=headers, **sent)
        return answer, filled

    async def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            for name in _NAME.findall(value):
                if name in self._makers:
                    value = value.replace(f"{{{name}}}", await self._make(name))
            return value
        if isinstance(value, dict):
            # What is only shown stays as it is.
            return {
                key: one if key in ("on", "note") and value.get("ask") else await self._filled(one)
                for key, one in value.items()
            }
        if isinstance(value, list | tuple):
            return [await self._filled(one) for one in value]
        return value

    async def _make(self, name: str) -> str:
        if name not in self._made:
            self._made[name] = await self._makers[name]()
        return self._made[name]

    @property
    def _makers(self) -> dict[str, Callable[[], Awaitable[str]]]:
        return {
            "user": self._given(self.user),
            "email": self._given(self.email),
            "address": self._given(f"{uuid4().hex}@example.com"),
            "new_bucket": self._given(f"bucket-{uuid4().hex}"),
            "path": self._given(f"{self.user}/{uuid4().hex}.png"),
            "refresh_token": self._refresh_token,
            "someone": self._someone,
            "bucket": self._bucket,
            "object": self._object,
            "stored": self._stored,
            "published": self._published,
            "signed": lambda: self._signed({}),
            "signed_transform": lambda: self._signed({"transform": {"width": 4}}),
            "upload_url": self._upload_url,
            "upload_token": self._upload_token,
            "described": self._described,
            "upload": self._upload,
        }

    @staticmethod
    def _given(value: str) -> Callable[[], Awaitable[str]]:
        async def give() -> str:
            return value

        return give

    async def _sign_in(self) -> dict[str, Any]:
        answer = await self.product.http.post(
            "/auth/v1/token?grant_type=password",
            json={"email": self.email, "password": PASSWORD},
            headers=self.headers("anon"),
        )
        session: dict[str, Any] = answer.json()
        return session

    async def _refresh_token(self) -> str:
        return str((await self._sign_in())["refresh_token"])

    async def _someone(self) -> str:
        body = {"email": f"{uuid4().hex}@example.com", "email_confirm": True}
        return str((await self.as_service("POST", "/auth/v1/admin/users", body)).json()["id"])

    async def _bucket(self) -> str:
        name = f"bucket-{uuid4().hex}"
        await self.as_service("POST", "/storage/v1/bucket", {"id": name, "name": name})
        return name

    async def _stored(self) -> str:
        path = f"{self.user}/{uuid4().hex}.png"
        await self.as_user(
            "POST",
            f"/storage/v1/object/uploads/{path}",
            content=CONTENT["png"],
            headers={"content-type": "image/png"},
        )
        return path

    async def _object(self) -> str:
        return f"uploads/{await self._stored()}"

    async def _published(self) -> str:
        path = f"generations/{uuid4().hex}.png"
        await self.as_service(
            "POST",
            f"/storage/v1/object/{path}",
            headers={"content-type": "image/png"},
            content=CONTENT["png"],
        )
        return path

    async def _signed(self, more: dict[str, Any]) -> str:
        path = f"/storage/v1/object/sign/{await self._make('object')}"
        answer = await self.as_user("POST", path, json={"expiresIn": 60} | more)
        return str(answer.json()["signedURL"])

    async def _upload_url(self) -> str:
        path = f"/storage/v1/object/upload/sign/uploads/{await self._make('path')}"
        return str((await self.as_user("POST", path, json={})).json()["url"])

    async def _upload_token(self) -> str:
        return (await self._make("upload_url")).partition("?token=")[2]

    async def _described(self) -> str:
        pairs = {
            "bucketName": "uploads",
            "objectName": await self._make("path"),
            "contentType": "image/png",
        }
        return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in pairs.items())

    async def _upload(self) -> str:
        answer = await self.as_user(
            "POST",
            "/storage/v1/upload/resumable",
            headers={
                "Tus-Resumable": "1.0.0",
                "Upload-Length": "10",
                "Upload-Metadata": await self._make("described"),
            },
        )
        return answer.headers["location"].rpartition("/")[2]


def _png() -> bytes:
    image = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(image, "PNG")
    return image.getvalue()


CONTENT = {"png": _png(), "half": b"12345"}
FUNCTIONS = {
    "hello/index.py": (
        "import msgspec\n"
        "class Hello(msgspec.Struct):\n"
        "    name: str\n"
        "async def serve(invocation):\n"
        "    body = await invocation.json(Hello)\n"
        "    return {'message': f'Hello, {body.name}!'}\n"
    ),
    "where/index.py": (
        "async def serve(invocation):\n"
        "    return {'path': invocation.path, 'query': invocation.request.url.query}\n"
    ),
    "typed/index.ts": "Deno.serve(() => new Response('typed'))\n",
}
TABLES = """
create table public.authors (id integer primary key, name text not null);
create table public.books (
  id integer primary key, author_id integer references public.authors, title text not null,
  tags text[] not null default '{}', detail jsonb, span int4range
);
insert into public.authors values (1, 'Jane'), (2, 'Mary');
insert into public.books values
(1, 1, 'Emma', '{a,b}', '{"size": 3}', '[1,5)'),
(2, 1, 'Persuasion', '{b}', '{"size": 4}', '[30,40)'),
(3, 2, 'Frankenstein', '{}', null, '[15,30)');
create table public.shelves (id integer generated by default as identity (start 100) primary key,
  name text not null);
insert into public.shelves values (1, 'first'), (2, 'second'), (3, 'third');
create function public.add(a integer, b integer) returns integer language sql immutable
as $$ select a + b $$;
grant select on public.authors, public.books to anon, authenticated, service_role;
grant select, insert, update, delete on public.shelves to authenticated, service_role;
create policy "everyone hears the secret" on realtime.messages for select to authenticated
using (realtime.topic() = 'secret');
"""
