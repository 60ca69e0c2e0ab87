"""Every route that takes a name, with names and tokens that are not what they should be."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from uuid import UUID, uuid4

import asyncpg
from storage_site import PNG, SECRET, Site, bearer, token
from tus import Tus

from tintype import events
from tintype.storage.backends.folder import STAGING
from tintype.storage.signatures import Signer

# Method, path, JSON; `{at}` is bucket and name, `{token}` a signature for just that.
ROUTES = (
    ("GET", "/object/{at}", None),
    ("HEAD", "/object/{at}", None),
    ("GET", "/object/authenticated/{at}", None),
    ("GET", "/object/public/{at}", None),
    ("GET", "/object/info/{at}", None),
    ("GET", "/object/info/authenticated/{at}", None),
    ("GET", "/object/info/public/{at}", None),
    ("GET", "/object/sign/{at}?token={token}", None),
    ("GET", "/render/image/public/{at}?width=10", None),
    ("GET", "/render/image/authenticated/{at}?width=10", None),
    ("GET", "/render/image/sign/{at}?token={token}", None),
    ("POST", "/object/sign/{at}", {"expiresIn": 60}),
    ("POST", "/object/sign/{at}", {"expiresIn": 60, "transform": {"width": 10}}),
    ("POST", "/object/upload/sign/{at}", {}),
    ("PUT", "/object/upload/sign/{at}?token={upload}", {}),
    ("POST", "/object/{at}", {}),
    ("PUT", "/object/{at}", {}),
    ("DELETE", "/object/{at}", None),
)
# As they stand in a URL.
NAMES = (
    "../../keys.json",
    "../../../../../../../../etc/passwd",
    "a/../../../keys.json",
    "..%2f..%2fkeys.json",
    "%2e%2e%2f%2e%2e%2fkeys.json",
    "%2e%2e/%2e%2e/keys.json",
    "%252e%252e%252fkeys.json",
    "%25252e%25252e%25252fkeys.json",
    "./a.png",
    "a//b.png",
    "a/",
    "..",
    "..%5c..%5ckeys.json",
    "C:%5ckeys.json",
    "%2fetc%2fpasswd",
    "//etc/passwd",
    "file:%2f%2f%2fetc%2fpasswd",
    "..%c0%afkeys.json",
    "%c0%ae%c0%ae%c0%afkeys.json",
    "%ff%fe.png",
    "%ef%bc%8e%ef%bc%8e%ef%bc%8fkeys.json",
    "%e2%80%a5%e2%88%95keys.json",
    "%e2%80%ae.png",
    "%c3%bc.png",
    "a%00.png",
    "%00",
    "a%2500.png",
    "a%0d%0aSet-Cookie:x=y",
    "a%7f.png",
    "a%22b.png",
    "a" * 256,
    "a" * 1025,
    "a/" * 512 + "a",
    "a" * 30_000,
)
NOT_FOUND = {"NoSuchBucket", "NoSuchKey", "NoSuchRoute"}


async def exchange(site: Site, method: str, path: str, body: object, authorization: str) -> bytes:
    """Send a request as it stands, which a client's own URL handling would mend."""
    host = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} /storage/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Authorization: {authorization}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    answer = await reader.read()
    writer.close()
    return answer


async def test_no_name_leads_out_of_its_bucket(site: Site, ada: UUID) -> None:
    secret = site.storage.config.data / "keys.json"
    secret.write_text("top secret")
    service = f"Bearer {token('service_role')}"
    signer = Signer(SECRET)
    for bucket in ("uploads", "generations"):
        for name in NAMES:
            known = unquote(name, errors="replace")
            signed = {
                "token": signer.download(bucket, known, 60),
                "upload": signer.upload(bucket, known, owner=None, upsert=True),
            }
            for method, route, body in ROUTES:
                if len(name) > 5000 and "token" in route:
                    continue
                path = route.format(at=f"{bucket}/{name}", **signed)
                answer = await exchange(site, method, path, body, service)
                status, _, content = answer.partition(b"\r\n\r\n")
                what = (method, path[:100], answer[-300:])
                assert status.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), what
                if content.startswith(b"{"):
                    assert json.loads(content)["code"] in {"InvalidKey"} | NOT_FOUND, what
                assert b"top secret" not in content and b"root:" not in content
    assert secret.read_text() == "top secret"
    assert site.files() == set() and await site.rows() == set()


BODY_NAMES = (
    "../a",
    "%2e%2e/a",
    "a\0",
    "a\\b",
    "x" * 1025,
    "ü",
    "",
    "a//b",
    "/etc/a",
    "a\n",
    "．．/a",
)


async def test_no_name_in_a_body_leads_out_either(site: Site, ada: UUID) -> None:
    await site.user(ada).from_("uploads").upload(f"{ada}/a.png", PNG)
    service = {"Authorization": f"Bearer {token('service_role')}"}
    tus = Tus(site.http, service)

    async def post(path: str, body: object, method: str = "POST") -> object:
        answer = await site.http.request(method, path, headers=service, json=body)
        return answer.json() if answer.status_code == 200 else answer.json()["code"]

    for name in BODY_NAMES:
        for verb in ("move", "copy"):
            for source, target in ((f"{ada}/a.png", name), (name, f"{ada}/b.png")):
                body = {"bucketId": "uploads", "sourceKey": source, "destinationKey": target}
                assert await post(f"/object/{verb}", body) in ("InvalidKey", "NoSuchKey")
                body = {"bucketId": name, "sourceKey": source, "destinationKey": target}
                assert await post(f"/object/{verb}", body) in ("InvalidKey", "NoSuchKey")
            body = {"bucketId": "uploads", "sourceKey": f"{ada}/a.png", "destinationKey": "b.png"}
            if name:
                told = await post(f"/object/{verb}", body | {"destinationBucket": name})
                assert told == "NoSuchBucket"
        [signed] = await post("/object/sign/uploads", {"expiresIn": 60, "paths": [name]})  # type: ignore[misc]
        assert signed["signedURL"] is None
        assert await post("/object/uploads", {"prefixes": [name]}, "DELETE") == []
        if name:
            assert await post("/object/list/uploads", {"prefix": name}) == []
            assert await post("/object/list/uploads", {"prefix": "", "search": name}) == []
            page = await post("/object/list-v2/uploads", {"prefix": name})
            assert page == {"hasNext": False, "folders": [], "objects": []}
            assert (await tus.create("uploads", name, 10)).status_code == 400
            assert (await tus.create(name, "a.png", 10)).status_code == 404
        text = base64.urlsafe_b64encode(f"uploads/{name}/{uuid4()}".encode()).decode().rstrip("=")
        assert (await tus.head(f"/upload/resumable/{text}")).status_code == 404
    assert await site.rows() == {("uploads", f"{ada}/a.png")}
    assert len(site.files()) == 1


async def test_an_odd_name_stays_below_its_folder_and_comes_back(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    for name in ("...", "a.", "a..", "..a", ".a", "a b ", "-", "CON", "a&b=c", "a+b", "'"):
        await files.upload(f"{ada}/{name}", PNG, {"content-type": "image/png"})
        assert await files.download(f"{ada}/{name}") == PNG
        [url] = await files.create_signed_urls([f"{ada}/{name}"], 60)
        assert (await site.http.get(str(url["signedURL"]))).content == PNG
    assert all(path.startswith(f"uploads/{ada}/") for path in site.files())


async def test_no_bucket_is_a_folder_of_the_server(site: Site) -> None:
    service = {"Authorization": f"Bearer {token('service_role')}"}
    for bucket in ("..", ".", ".uploads", ".staging", "%2e%2e", "%00", "a\n", "ü", "a" * 101, " "):
        body = {"id": bucket, "name": bucket}
        made = await site.http.post("/bucket", headers=service, json=body)
        assert (made.status_code, made.json()["code"]) == (400, "InvalidKey")
        segment = bucket if bucket.startswith("%") else quote(bucket)
        signed = {"token": "x", "upload": "x"}
        for method, route, content in (
            *ROUTES,
            ("GET", "/bucket/{at}", None),
            ("PUT", "/bucket/{at}", {"public": True}),
            ("DELETE", "/bucket/{at}", {}),
            ("POST", "/bucket/{at}/empty", {}),
            ("POST", "/object/list/{at}", {}),
            ("POST", "/object/list-v2/{at}", {}),
        ):
            is_object = (method, route, content) in ROUTES
            path = route.format(at=f"{segment}/a.png" if is_object else segment, **signed)
            answer = await exchange(site, method, path, content, service["Authorization"])
            assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404")), (method, path)
    assert site.files() == set()


async def test_a_token_that_does_not_verify_opens_no_route(site: Site, ada: UUID) -> None:
    await site.user(ada).from_("uploads").upload(f"{ada}/a.png", PNG)
    unsigned = "eyJhbGciOiJub25lIn0.eyJyb2xlIjoic2VydmljZV9yb2xlIn0."
    for given in (unsigned, token("service_role", secret=b"x" * 32), "sb_secret_made_up"):
        headers = {"Authorization": f"Bearer {given}"}
        for method, url in (
            ("GET", f"/object/uploads/{ada}/a.png"),
            ("GET", f"/object/info/uploads/{ada}/a.png"),
            ("GET", f"/render/image/authenticated/uploads/{ada}/a.png"),
            ("POST", f"/object/sign/uploads/{ada}/a.png"),
            ("POST", "/object/list/uploads"),
            ("POST", "/object/list-v2/uploads"),
            ("POST", f"/object/upload/sign/uploads/{ada}/b.png"),
            ("POST", f"/object/uploads/{ada}/b.png"),
            ("DELETE", f"/object/uploads/{ada}/a.png"),
            ("GET", "/bucket"),
        ):
            answer = await site.http.request(method, url, headers=headers)
            assert (answer.status_code, answer.json()["statusCode"]) == (400, "403")
    assert await site.storage.read("uploads", f"{ada}/a.png") == PNG


async def test_what_is_no_route_says_so_in_storages_words(site: Site, ada: UUID) -> None:
    for method, path in (
        ("POST", "/vector/CreateVectorBucket"),
        ("GET", "/iceberg/bucket"),
        ("PATCH", f"/object/uploads/{ada}/a.png"),
        ("GET", ""),
        ("GET", "/object"),
    ):
        answer = await site.http.request(method, path, headers=bearer(ada))
        assert answer.status_code == 404
        assert answer.json() == {
            "statusCode": "404",
            "error": "Not Found",
            "message": f"Route {method}:{path or '/'} not found",
            "code": "NoSuchRoute",
        }


async def test_what_goes_wrong_here_is_told_to_the_operator_and_not_to_the_caller(
    site: Site, ada: UUID, admin: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    told: list[dict[str, Any]] = []
    stop = events.subscribe(lambda name, fields: told.append({"event": name} | fields))
    await admin.execute("alter table storage.objects rename to elsewhere")
    try:
        answer = await site.http.get(f"/object/uploads/{ada}/a.png", headers=bearer(ada))
        resumable = await Tus(site.http, bearer(ada)).create("uploads", f"{ada}/a.png", 1)
    finally:
        stop()
    assert (answer.status_code, answer.json()) == (
        500,
        {
            "statusCode": "500",
            "error": "internal",
            "message": "Internal Server Error",
            "code": "InternalError",
        },
    )
    assert (resumable.status_code, resumable.text) == (500, "Internal Server Error")
    failures = [one for one in told if one["event"] == "FunctionFailed"]
    assert ["storage.objects" in one["error"] for one in failures] == [True, True]


async def test_a_disk_that_takes_nothing_is_unavailable_and_nothing_is_recorded(
    site: Site, ada: UUID
) -> None:
    staging = site.storage.config.data / "objects" / STAGING
    staging.parent.mkdir(parents=True, exist_ok=True)
    staging.write_bytes(b"in the way")
    answer = await site.http.post(f"/object/uploads/{ada}/a.png", headers=bearer(ada), content=PNG)
    assert (answer.status_code, answer.json()["statusCode"]) == (503, "503")
    tus = await Tus(site.http, bearer(ada)).create("uploads", f"{ada}/a.png", len(PNG), PNG)
    assert tus.status_code == 503
    assert await site.rows() == set() and site.files() == {STAGING}
