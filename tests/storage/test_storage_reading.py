"""How objects are served: ranges, validators, downloads, and pages that are not shown as pages."""

import hashlib
from urllib.parse import quote
from uuid import UUID

import httpx2
import pytest
from storage_site import PNG, SECRET, MakeBucket, Site, bearer

from tintype.storage.signatures import Signer

TEN = b"0123456789"


@pytest.fixture
async def ten(site: Site, make_bucket: MakeBucket) -> str:
    """Return the route of a public object of ten bytes."""
    await make_bucket("open", public=True)
    options = {"content-type": "text/plain", "cache-control": "60"}
    await site.service().from_("open").upload("ten.txt", TEN, options)
    return "/object/public/open/ten.txt"


async def get(site: Site, path: str, **headers: str) -> httpx2.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await site.http.get(path, headers=named)


async def test_a_read_tells_what_supabase_tells(site: Site, ten: str) -> None:
    answer = await get(site, ten)
    assert (answer.status_code, answer.content) == (200, TEN)
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["etag"] == f'"{hashlib.md5(TEN).hexdigest()}"'
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-robots-tag"] == "none"
    assert answer.headers["last-modified"].endswith("GMT")
    assert answer.headers["content-length"] == "10"


PARTS = [
    ("bytes=2-4", b"234", "bytes 2-4/10"),
    ("bytes=7-", b"789", "bytes 7-9/10"),
    ("bytes=-3", b"789", "bytes 7-9/10"),
    ("bytes=8-99", b"89", "bytes 8-9/10"),
]


async def test_a_range_is_a_part(site: Site, ten: str) -> None:
    for wanted, content, content_range in PARTS:
        answer = await get(site, ten, range=wanted)
        assert (answer.status_code, answer.content) == (206, content)
        assert answer.headers["content-range"] == content_range
        assert answer.headers["content-length"] == str(len(content))


NO_RANGES = ["bytes=4-2", "bytes=0-1,3-4", "bytes=-", "bytes=a-b", "lines=1-2", "bytes=-99"]


async def test_a_range_that_says_nothing_gives_the_whole(site: Site, ten: str) -> None:
    for wanted in NO_RANGES:
        answer = await get(site, ten, range=wanted)
        assert (answer.status_code, answer.content) == (200, TEN)


OUTSIDE = ["bytes=10-", "bytes=10-20", "bytes=-0"]


async def test_a_range_outside_is_not_satisfiable(site: Site, ten: str) -> None:
    for wanted in OUTSIDE:
        answer = await get(site, ten, range=wanted)
        assert answer.status_code == 416
        assert answer.headers["content-range"] == "bytes */10"


async def test_a_reader_who_has_it_gets_304(site: Site, ten: str) -> None:
    etag = (await get(site, ten)).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        answer = await get(site, ten, if_none_match=known)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert (await get(site, ten, if_none_match='"other"')).status_code == 200


async def test_a_range_of_an_older_version_gives_the_whole(site: Site, ten: str) -> None:
    etag = (await get(site, ten)).headers["etag"]
    assert (await get(site, ten, range="bytes=0-1", if_range=etag)).status_code == 206
    assert (await get(site, ten, range="bytes=0-1", if_range='"old"')).content == TEN


async def test_head_tells_the_same_without_the_bytes(site: Site, ten: str) -> None:
    answer = await site.http.head(ten)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == "10"
    missing = await site.http.head("/object/public/open/nothing")
    assert missing.status_code == 400


async def test_download_names_the_file(site: Site, ten: str) -> None:
    plain = await site.http.get(ten, params={"download": ""})
    assert plain.headers["content-disposition"] == "attachment;"
    named = await site.http.get(ten, params={"download": 'a "b"\r\nü.txt'})
    encoded = "a%20%22b%22%0D%0A%C3%BC.txt"
    assert named.headers["content-disposition"] == (
        f"attachment; filename={encoded}; filename*=UTF-8''{encoded};"
    )


async def test_a_page_is_served_as_text(site: Site, make_bucket: MakeBucket) -> None:
    await make_bucket("open", public=True)
    files = site.service().from_("open")
    await files.upload("a.html", b"<script>1</script>", {"content-type": "text/html;charset=UTF-8"})
    answer = await get(site, "/object/public/open/a.html")
    assert answer.headers["content-type"] == "text/plain;charset=UTF-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_markup_that_can_hold_scripts_is_sandboxed(
    site: Site, make_bucket: MakeBucket
) -> None:
    await make_bucket("open", public=True)
    await site.service().from_("open").upload("a.svg", b"<svg/>", {"content-type": "image/svg+xml"})
    answer = await get(site, "/object/public/open/a.svg")
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_an_empty_object_is_read(site: Site, make_bucket: MakeBucket) -> None:
    await make_bucket("open", public=True)
    await site.service().from_("open").upload("empty", b"", {"content-type": "text/plain"})
    answer = await get(site, "/object/public/open/empty")
    assert (answer.status_code, answer.content) == (200, b"")
    assert (await get(site, "/object/public/open/empty", range="bytes=0-")).status_code == 416


async def test_a_public_object_is_read_with_a_strangers_token_too(
    site: Site, ten: str, bob: UUID
) -> None:
    answer = await site.http.get(ten.replace("/public/", "/"), headers=bearer(bob))
    assert answer.content == TEN
    info = await site.http.get("/object/info/public/open/ten.txt")
    assert info.json()["size"] == 10


async def test_the_url_made_by_the_server_is_the_one_it_serves(site: Site, ada: UUID) -> None:
    await site.service().from_("generations").upload(f"{ada}/a b.png", PNG)
    public = site.storage.public_url("generations", f"{ada}/a b.png")
    assert public == (
        f"https://pictures.example/storage/v1/object/public/generations/{ada}/a%20b.png"
    )
    signed = site.storage.sign("generations", f"{ada}/a b.png", 60)
    for url in (public, signed):
        local = url.replace("https://pictures.example", site.url)
        assert (await site.http.get(local)).content == PNG


async def test_a_signed_url_survives_how_each_client_quotes_it(site: Site, ada: UUID) -> None:
    """supabase-js quotes what it is told once more, supabase-py leaves alone what is quoted."""
    for name in ("a (1) & b.png", "what?.png", "a+b=c,d;e@f:g.png"):
        at = f"uploads/{ada}/{name}"
        route = f"/object/{quote(at)}"
        assert (await site.http.post(route, headers=bearer(ada), content=PNG)).status_code == 200
        told = await site.http.post(
            f"/object/sign/{quote(at)}", headers=bearer(ada), json={"expiresIn": 60}
        )
        url = told.json()["signedURL"]
        path, _, query = url.partition("?")
        assert path == f"/object/sign/{at}".replace("?", "%3F")
        body = {"expiresIn": 60, "paths": [f"{ada}/{name}"]}
        [one] = (
            await site.http.post("/object/sign/uploads", headers=bearer(ada), json=body)
        ).json()
        assert one["signedURL"].partition("?")[0] == path
        for quoted in (quote(path, safe="/%"), quote(path, safe="!#$&'()*+,/:;=?@-._~")):
            answer = await site.http.get(f"{quoted}?{query}")
            assert (answer.status_code, answer.content) == (200, PNG), quoted
        whole = site.storage.sign("uploads", f"{ada}/{name}", 60)
        assert (await site.http.get(whole.replace("https://pictures.example", site.url))).is_success


async def test_a_signature_ends(site: Site, ten: str) -> None:
    expired = Signer(SECRET).download("open", "ten.txt", -1)
    answer = await site.http.get("/object/sign/open/ten.txt", params={"token": expired})
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == "400"
    assert answer.json()["message"] == '"exp" claim timestamp check failed'


OUT_OF_BOUNDS_SECONDS = [0, -1, 7 * 24 * 3600 + 1]


async def test_a_signature_lasts_within_bounds(site: Site, ada: UUID) -> None:
    for seconds in OUT_OF_BOUNDS_SECONDS:
        answer = await site.http.post(
            f"/object/sign/uploads/{ada}/a", headers=bearer(ada), json={"expiresIn": seconds}
        )
        assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


MALFORMED = [b"", b"[]", b"{", b'{"expiresIn":"soon"}', b"x" * 1_100_000]


async def test_a_malformed_body_is_refused(site: Site, ada: UUID) -> None:
    for body in MALFORMED:
        answer = await site.http.post(
            f"/object/sign/uploads/{ada}/a", headers=bearer(ada), content=body
        )
        assert answer.status_code == 400
        assert answer.json()["statusCode"] in ("400", "413")
