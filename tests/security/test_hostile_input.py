"""SQL in every parameter, and names that lead elsewhere, sent byte for byte."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from security_site import CHUNK, TUS, Caller, Scene, metadata, open_scene
from walk import IMAGE, PNG

from tests.support.product import Product

SLEEP_SECONDS = 30
SQL = (
    "' or '1'='1",
    "' or true --",
    f"'; select pg_sleep({SLEEP_SECONDS}); --",
    f"1; select pg_sleep({SLEEP_SECONDS})",
    f"'||(select pg_sleep({SLEEP_SECONDS}))||'",
    "x'; drop table public.jobs cascade; --",
    "x'); delete from storage.objects; --",
    "') union select encrypted_password from auth.users --",
    "$$; set role postgres; $$",
    '"; reset role; --',
    "\\'; drop schema tintype cascade; --",
    "%' or name like '%",
    "{}",
    "null",
    "-1",
    "9" * 40,
    "1e400",
    "\u0000",
    "\ud83d\ude00" * 3,
    "a" * 3000,
)


class Place(NamedTuple):
    """Where a request takes a parameter, written `$`; a hole is filled from the scene."""

    method: str
    url: str
    body: Any = None
    headers: dict[str, str] | None = None


def auth() -> list[Place]:
    at = "/auth/v1"
    grant, admin = f"{at}/token?grant_type", f"{at}/admin/users"
    password = {"email": "{email}", "password": "$"}
    return [
        Place("GET", f"{at}/user?apikey=$"),
        Place("GET", f"{at}/settings", headers={"apikey": "$"}),
        Place("GET", f"{at}/settings", headers={"x-supabase-api-version": "$"}),
        Place("POST", f"{at}/signup", {"email": "$", "password": "correct horse"}),
        Place("POST", f"{at}/signup", {"email": "$@example.com", "password": "$"}),
        Place("POST", f"{grant}=$", password),
        Place("POST", f"{grant}=password", {"email": "$", "password": "$"}),
        Place("POST", f"{grant}=password", password, {"user-agent": "$"}),
        Place("POST", f"{grant}=refresh_token", {"refresh_token": "$"}),
        Place("PUT", f"{at}/user", {"email": "$"}),
        Place("PUT", f"{at}/user", {"data": {"$": "$"}}),
        Place("POST", f"{at}/logout?scope=$"),
        Place("GET", f"{admin}?page=$&per_page=1"),
        Place("GET", f"{admin}?page=1&per_page=$"),
        Place("GET", f"{admin}/$"),
        Place("PUT", f"{admin}/$", {"email": "$"}),
        Place("PUT", f"{admin}/{{stranger}}", {"ban_duration": "$"}),
        Place("PUT", f"{admin}/{{stranger}}", {"role": "$"}),
        Place("PUT", f"{admin}/{{stranger}}", {"app_metadata": {"$": "$"}}),
        Place("DELETE", f"{admin}/$", {"should_soft_delete": False}),
        Place("POST", admin, {"email": "$"}),
        Place("POST", admin, {"email": "x@example.com", "id": "$"}),
        Place("POST", admin, {"email": "x@example.com", "password_hash": "$"}),
        Place("GET", f"{at}/authorize?provider=$&redirect_to=$"),
        Place("GET", f"{at}/verify?token=$&type=$&redirect_to=$"),
        Place("DELETE", f"{at}/user/identities/$"),
    ]


def storage() -> list[Place]:
    at = "/storage/v1"
    named = f"{at}/object/uploads/{{owner}}"
    sort = {"column": "name", "order": "$"}
    both = {"bucketId": "uploads", "sourceKey": "$", "destinationKey": "$"}
    upload = {"upload-length": "10", "upload-metadata": "{metadata}"}
    return [
        *(
            Place(method, f"{at}/{route}/$")
            for method in ("GET", "HEAD")
            for route in (
                "object/uploads",
                "object/public/generations",
                "object/authenticated/uploads",
                "object/info/uploads",
                "object/sign/uploads",
                "render/image/public/generations",
                "render/image/authenticated/uploads",
                "bucket",
            )
        ),
        Place("GET", f"{at}/object/$/a.png"),
        Place("GET", f"{at}/object/sign/uploads/a.png?token=$"),
        Place("GET", f"{named}/photo.png?download=$"),
        Place("GET", f"{named}/photo.png", headers={"range": "$"}),
        Place("GET", f"{named}/photo.png", headers={"if-none-match": "$"}),
        *(
            Place("GET", f"{at}/render/image/authenticated/{{photo}}?{name}=$")
            for name in ("width", "height", "resize", "quality", "format")
        ),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "$"}),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "", "search": "$"}),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "", "limit": "$"}),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "", "offset": "$"}),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "", "sortBy": sort}),
        Place("POST", f"{at}/object/list/uploads", {"prefix": "", "sortBy": {"column": "$"}}),
        Place("POST", f"{at}/object/list/$", {"prefix": ""}),
        Place("POST", f"{at}/object/list-v2/uploads", {"prefix": "$", "cursor": "$"}),
        Place("POST", f"{at}/object/list-v2/uploads", {"sortBy": {"column": "$", "order": "$"}}),
        Place("POST", f"{at}/object/sign/uploads", {"expiresIn": 60, "paths": ["$"]}),
        Place("POST", f"{at}/object/sign/uploads/$", {"expiresIn": 60}),
        Place("POST", f"{at}/object/sign/{{photo}}", {"expiresIn": "$"}),
        Place(
            "POST",
            f"{at}/object/sign/{{photo}}",
            {"expiresIn": 60, "transform": {"format": "$", "width": "$"}},
        ),
        Place("POST", f"{at}/object/upload/sign/uploads/$", {}),
        Place("PUT", f"{at}/object/upload/sign/uploads/a.png?token=$", PNG, IMAGE),
        Place("POST", f"{at}/object/uploads/$", PNG, IMAGE),
        Place("POST", f"{at}/object/uploads/{{stranger}}/sql.png", PNG, {"content-type": "$"}),
        Place(
            "POST", f"{at}/object/uploads/{{stranger}}/sql.png", PNG, IMAGE | {"cache-control": "$"}
        ),
        Place(
            "POST", f"{at}/object/uploads/{{stranger}}/sql.png", PNG, IMAGE | {"x-metadata": "$"}
        ),
        Place("POST", f"{at}/object/uploads/{{stranger}}/sql.png", PNG, IMAGE | {"x-upsert": "$"}),
        Place("POST", f"{at}/object/move", both),
        Place("POST", f"{at}/object/copy", both),
        Place("POST", f"{at}/object/copy", both | {"destinationBucket": "$"}),
        Place("DELETE", f"{at}/object/uploads", {"prefixes": ["$"]}),
        Place("DELETE", f"{at}/object/uploads/$"),
        Place("GET", f"{at}/bucket?limit=$&offset=$&search=$&sortColumn=$&sortOrder=$"),
        Place("POST", f"{at}/bucket", {"id": "$", "name": "$"}),
        Place("POST", f"{at}/bucket", {"id": "b", "name": "b", "file_size_limit": "$"}),
        Place("POST", f"{at}/bucket", {"id": "c", "name": "c", "allowed_mime_types": ["$"]}),
        Place("PUT", f"{at}/bucket/$", {"public": True}),
        Place("DELETE", f"{at}/bucket/$"),
        Place("POST", f"{at}/bucket/$/empty"),
        Place("POST", f"{at}/upload/resumable", None, TUS | upload | {"upload-length": "$"}),
        Place("POST", f"{at}/upload/resumable", None, TUS | upload | {"upload-metadata": "$"}),
        Place("POST", f"{at}/upload/resumable", None, TUS | upload | {"x-signature": "$"}),
        Place("HEAD", f"{at}/upload/resumable/$", None, TUS),
        Place("PATCH", f"{at}/upload/resumable/$", b"x", CHUNK),
        Place("PATCH", f"{at}/upload/resumable/{{upload}}", b"x", CHUNK | {"upload-offset": "$"}),
        Place("DELETE", f"{at}/upload/resumable/$", None, TUS),
    ]


def functions() -> list[Place]:
    at = "/functions/v1"
    make = {"prompt": "a robot", "model": "sandbox"}
    fields = ("aspectRatio", "quantity", "imageUrls", "projectId", "templateId", "model")
    return [
        Place("POST", f"{at}/$", {}),
        *(
            Place("POST", f"{at}/generate-image", make | {field: "$"})
            for field in (*fields, "imageSize", "seed", "personGeneration")
        ),
        Place("POST", f"{at}/generate-image", make | {"imageUrls": ["$"]}),
        Place("POST", f"{at}/generate-image", make | {"prompt": "$"}, {"idempotency-key": "$"}),
        Place("POST", f"{at}/generate-image", make | {"quantity": 9}, {"prefer": "wait=$"}),
        Place("POST", f"{at}/generate-image", make | {"quantity": 9}, {"x-request-id": "$"}),
        Place("POST", f"{at}/cancel-job", {"jobId": "$"}),
        Place("POST", f"{at}/image-worker", {"jobId": "$"}),
    ]


def realtime() -> list[Place]:
    at = "/realtime/v1/api/broadcast"
    return [
        Place("POST", at, {"messages": [{"topic": "$", "event": "$", "payload": {"$": "$"}}]}),
        Place("POST", f"{at}/$/events/$", {}),
        Place("POST", f"{at}/room/events/news?private=$", {}),
    ]


PLACES = {
    f"{index} {place.method} {place.url}": place
    for index, place in enumerate([*auth(), *storage(), *functions(), *realtime()])
}


@pytest.fixture(scope="module")
async def scene(product: Product) -> AsyncIterator[Scene]:
    """Return a scene that nothing in this module may change."""
    scene = await open_scene(product)
    before = await scene.dump()
    yield scene
    assert await scene.dump() == before


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
async def test_sql_in_a_parameter_is_a_value_and_nothing_else(scene: Scene, place: Place) -> None:
    for who in ("anon", "stranger", "service"):
        caller = scene.callers[who]
        for text in SQL:
            # Whoever waits for a lock or a sleep is not answered in time.
            async with asyncio.timeout(SLEEP_SECONDS / 2):
                status, answer = await sent(scene, caller, place, text)
            assert status < 500, (who, text[:60], answer[:500])
            if who != "service":
                assert scene.secret.encode() not in answer, (who, text)
    assert await scene.product.count("public.jobs") >= 2


async def sent(scene: Scene, caller: Caller, place: Place, text: str) -> tuple[int, bytes]:
    """Send one request as it is written, and return status, headers and body."""
    names = scene.names
    url = filled(place.url, names, quote(text, safe="", errors="surrogatepass"))
    headers = {
        name: filled(value, names, header_text(text))
        for name, value in (caller.headers | (place.headers or {})).items()
    }
    content = place.body
    if content is not None and not isinstance(content, bytes):
        content = json.dumps(in_json(content, names, text)).encode()
        headers.setdefault("content-type", "application/json")
    answer = await scene.product.http.request(
        place.method,
        url,
        content=content,
        headers=[(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    )
    return answer.status_code, str(answer.headers).encode() + answer.content


def filled(value: str, names: dict[str, str], text: str) -> str:
    for name, word in names.items():
        value = value.replace(f"{{{name}}}", word)
    return value.replace("$", text)


def in_json(value: Any, names: dict[str, str], text: str) -> Any:
    if isinstance(value, str):
        return filled(value, names, text)
    if isinstance(value, dict):
        return {in_json(key, names, text): in_json(v, names, text) for key, v in value.items()}
    if isinstance(value, list):
        return [in_json(inner, names, text) for inner in value]
    return value


def header_text(text: str) -> str:
    """Return what of a text can be in a header at all."""
    return text.encode("latin-1", "replace").decode("latin-1").replace("\0", "")


NAMES = (
    b"../keys.json",
    b"../../keys.json",
    b"../../../../../../etc/passwd",
    b"./../../keys.json",
    b"a/../../../keys.json",
    b"a/..",
    b"..",
    b".",
    b"%2e%2e/%2e%2e/keys.json",
    b"%2e%2e%2f%2e%2e%2fkeys.json",
    b"..%2f..%2fkeys.json",
    b"%252e%252e%252fkeys.json",
    b"..%5c..%5ckeys.json",
    b"..\\..\\keys.json",
    b"%c0%ae%c0%ae/keys.json",
    b"%ef%bc%8e%ef%bc%8e/keys.json",
    b"%u002e%u002e/keys.json",
    b"..;/..;/keys.json",
    b"/etc/passwd",
    b"//etc/passwd",
    b"%2fetc%2fpasswd",
    b"file:///etc/passwd",
    b"a%00.png",
    b"%00",
    b"a%0d%0aX-Evil:%201",
    b"a%0aX-Evil:%201",
    b"%e2%80%ae.png",
    b"%ed%a0%80.png",
    b"%ff%fe.png",
    b"%",
    b"%zz",
    b"%2",
    b"a" * 1025,
    b"a/" * 600 + b"a",
    b"%61" * 2000,
    b"CON",
    b".staging/x",
    b"~/.ssh/id_rsa",
    b"a b",
    b"<script>",
)
# Where a name stands in a path, for each of the doors.
PATHS = (
    b"GET /storage/v1/object/uploads/$",
    b"GET /storage/v1/object/public/generations/$",
    b"GET /storage/v1/object/public/$/a.png",
    b"GET /storage/v1/object/authenticated/uploads/$",
    b"GET /storage/v1/object/info/uploads/$",
    b"GET /storage/v1/render/image/authenticated/uploads/$?width=5",
    b"GET /storage/v1/$",
    b"HEAD /storage/v1/upload/resumable/$",
    b"POST /storage/v1/object/uploads/$",
    b"PUT /storage/v1/object/uploads/$",
    b"DELETE /storage/v1/object/uploads/$",
    b"POST /storage/v1/object/sign/uploads/$",
    b"POST /functions/v1/$",
    b"POST /functions/v1/generate-image/$",
    b"GET /rest/v1/$",
    b"GET /rest/v1/rpc/$",
    b"GET /auth/v1/admin/users/$",
    b"GET /auth/v1/$",
    b"POST /realtime/v1/api/broadcast/$/events/x",
    b"GET /$",
)
# What is in the files that a way out would lead to.
SPOILS = (b"jwt_secret", b"signing_key", b"root:x:0:0", b"PRIVATE KEY")


@pytest.mark.parametrize("path", PATHS, ids=bytes.decode)
async def test_no_path_leads_out_of_its_door(scene: Scene, path: bytes) -> None:
    before = scene.product.files()
    for who in ("anon", "service"):
        caller = scene.callers[who]
        for name in NAMES:
            status, answer = await said(scene, caller, path.replace(b"$", name))
            assert status is None or status < 500, (who, name[:60], answer[:300])
            assert not any(spoil in answer for spoil in SPOILS), (who, name)
            assert b"x-evil" not in answer.partition(b"\r\n\r\n")[0].lower(), (who, name)
    left = {file for file in scene.product.files() - before if not file.startswith("objects/")}
    assert left == set()


async def said(scene: Scene, caller: Caller, line: bytes) -> tuple[int | None, bytes]:
    """Send a request line byte for byte; return the status, None where the server hung up."""
    host, _, port = scene.product.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    headers = b"".join(
        f"{name}: {value}\r\n".encode() for name, value in (caller.headers | TUS).items()
    )
    body = b"{}"
    writer.write(
        line
        + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: image/png\r\n"
        + b"Content-Length: %d\r\n" % len(body)
        + headers
        + b"\r\n"
        + body
    )
    async with asyncio.timeout(SLEEP_SECONDS):
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b""
    writer.close()
    return int(answer.split(b" ", 2)[1]) if answer else None, answer


@pytest.mark.parametrize("word", ["cacheControl", "contentType", "metadata", "objectName"])
async def test_what_an_uploader_says_of_an_object_ends_no_header(scene: Scene, word: str) -> None:
    product, ada = scene.product, scene.owner
    for number, text in enumerate(("a\r\nX-Evil: 1", "a\nX-Evil: 1", "a\0", "ä\u2028", "\x7f")):
        said = {"bucketName": "uploads", "objectName": f"{ada.id}/{word}{number}.png"}
        said |= {"contentType": "image/png"} | {word: text}
        begun = await product.http.post(
            "/storage/v1/upload/resumable",
            content=PNG,
            headers=ada.headers
            | CHUNK
            | {"upload-length": str(len(PNG)), "upload-metadata": metadata(**said)},
        )
        assert begun.status_code < 500, (text, begun.text)
        if begun.status_code == 201:
            path = f"uploads/{ada.id}/{word}{number}.png"
            got = await product.http.get(f"/storage/v1/object/{path}", headers=ada.headers)
            assert got.status_code in (200, 400), (text, got.text)
            assert "x-evil" not in got.headers
            gone = await product.http.delete(f"/storage/v1/object/{path}", headers=ada.headers)
            assert gone.status_code == 200
