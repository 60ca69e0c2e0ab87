"""What an upload may be, and that a refused one leaves nothing behind."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from storage_site import JPEG, OBJECT_BYTES_MAX, PNG, MakeBucket, Site, bearer

SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script>"
BOUNDARY = "x-boundary"


def form(data: bytes, *, name: str = "", media_type: str = "image/png", extra: str = "") -> bytes:
    return (
        f"--{BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="cacheControl"\r\n\r\n60\r\n'
        f"{extra}"
        f"--{BOUNDARY}\r\n"
        f'Content-Disposition: form-data; name="{name}"; filename="blob"\r\n'
        f"Content-Type: {media_type}\r\n\r\n"
    ).encode() + data


def form_end() -> bytes:
    return f"\r\n--{BOUNDARY}--\r\n".encode()


def as_form(user: UUID) -> dict[str, str]:
    return bearer(user) | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def nothing_is_left(site: Site) -> bool:
    return site.files() == set() and await site.rows() == set()


async def test_a_raw_body_is_the_object_and_its_headers_describe_it(site: Site, ada: UUID) -> None:
    metadata = base64.b64encode(json.dumps({"k": ["v"]}).encode()).decode()
    headers = {
        "Content-Type": "image/png",
        "Cache-Control": "max-age=77",
        "x-metadata": metadata,
    }
    answer = await site.http.post(
        f"/object/uploads/{ada}/a.png", headers=bearer(ada) | headers, content=PNG
    )
    assert answer.status_code == 200
    assert answer.json()["Key"] == f"uploads/{ada}/a.png"
    info = (await site.http.get(f"/object/info/uploads/{ada}/a.png", headers=bearer(ada))).json()
    assert info["id"] == answer.json()["Id"]
    assert info["cache_control"] == "max-age=77"
    assert info["metadata"] == {"k": ["v"]}


@pytest.mark.parametrize("piece_bytes", [1, 7, 1000])
async def test_a_form_in_pieces_without_a_length_is_read_as_it_comes(
    site: Site, ada: UUID, piece_bytes: int
) -> None:
    content = PNG + b"\r\n--x-bound\r\n" + PNG
    body = in_pieces(form(content) + form_end(), piece_bytes)
    answer = await site.http.post(f"/object/uploads/{ada}/a", headers=as_form(ada), content=body)
    assert answer.status_code == 200
    read = await site.http.get(f"/object/uploads/{ada}/a", headers=bearer(ada))
    assert read.content == content
    assert read.headers["cache-control"] == "max-age=60"


async def test_a_raw_body_without_a_length_is_read_as_it_comes(site: Site, ada: UUID) -> None:
    answer = await site.http.post(
        f"/object/uploads/{ada}/a", headers=bearer(ada), content=in_pieces(PNG, 100)
    )
    assert answer.status_code == 200
    assert await site.storage.read("uploads", f"{ada}/a") == PNG


NO_PICTURES = [SVG, HTML, b"", b"\x89PNG", b"plain text"]
RAW_OR_FORM = [True, False]


async def test_what_only_calls_itself_a_png_is_refused(site: Site, ada: UUID) -> None:
    for data in NO_PICTURES:
        for as_raw in RAW_OR_FORM:
            headers = bearer(ada) | {"Content-Type": "image/png"} if as_raw else as_form(ada)
            content = data if as_raw else form(data) + form_end()
            answer = await site.http.post(
                f"/object/uploads/{ada}/a.png", headers=headers, content=content
            )
            assert answer.status_code == 400
            assert answer.json()["statusCode"] == "415"
            assert answer.json()["error"] == "invalid_mime_type"
            assert await nothing_is_left(site)


async def test_an_image_is_stored_as_what_its_bytes_are(site: Site, ada: UUID) -> None:
    headers = bearer(ada) | {"Content-Type": "text/html"}
    await site.http.post(f"/object/uploads/{ada}/a.png", headers=headers, content=JPEG)
    stored = await site.storage.stat("uploads", f"{ada}/a.png")
    assert stored is not None and stored.media_type == "image/jpeg"


async def test_a_bucket_of_text_goes_by_the_declared_type(
    site: Site, make_bucket: MakeBucket
) -> None:
    await make_bucket("papers", types=["text/plain", "image/*"])
    files = site.service().from_("papers")
    await files.upload("a.txt", b"hello", {"content-type": "text/plain;charset=UTF-8"})
    await files.upload("a.png", PNG, {"content-type": "image/png"})
    for media_type, data in (("text/html", HTML), ("image/png", HTML)):
        with pytest.raises(Exception, match=f"mime type {media_type} is not supported"):
            await files.upload("b", data, {"content-type": media_type})
    assert len(site.files()) == 2


async def test_the_largest_object_fits_and_one_byte_more_does_not(
    site: Site, make_bucket: MakeBucket
) -> None:
    await make_bucket("any")
    files = site.service().from_("any")
    await files.upload("fits", bytes(OBJECT_BYTES_MAX))
    with pytest.raises(Exception, match="exceeded the maximum allowed size"):
        await files.upload("over", bytes(OBJECT_BYTES_MAX + 1))
    assert await site.rows() == {("any", "fits")}
    assert len(site.files()) == 1


async def test_a_bucket_has_a_limit_of_its_own(site: Site, make_bucket: MakeBucket) -> None:
    await make_bucket("small")
    await site.storage.pool.execute("update storage.buckets set file_size_limit = 10")
    files = site.service().from_("small")
    await files.upload("ten", bytes(10))
    with pytest.raises(Exception, match="exceeded the maximum allowed size"):
        await files.upload("eleven", bytes(11))


@pytest.mark.parametrize("as_raw", [True, False])
async def test_an_endless_body_is_cut_off_at_the_limit(site: Site, ada: UUID, as_raw: bool) -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        yield PNG if as_raw else form(PNG)
        while sent < 20 * OBJECT_BYTES_MAX:
            sent += 65536
            yield bytes(65536)

    headers = bearer(ada) if as_raw else as_form(ada)
    answer = await site.http.post(f"/object/uploads/{ada}/a", headers=headers, content=endless())
    assert answer.json()["statusCode"] == "413"
    assert answer.json()["error"] == "Payload too large"
    assert await nothing_is_left(site)


async def test_a_length_over_the_limit_is_refused_before_the_body_is_sent(
    site: Site, ada: UUID
) -> None:
    answer = await raw_exchange(
        site, f"/object/uploads/{ada}/a", bearer(ada) | {"Content-Length": "300000000"}, PNG
    )
    assert b'"statusCode":"413"' in answer
    assert await nothing_is_left(site)


@pytest.mark.parametrize("as_raw", [True, False])
async def test_a_connection_that_breaks_in_the_middle_leaves_nothing(
    site: Site, ada: UUID, as_raw: bool
) -> None:
    headers = bearer(ada) if as_raw else as_form(ada)
    body = (PNG if as_raw else form(PNG)) + bytes(1_800_000)
    headers |= {"Content-Length": str(len(body) + 1000)}
    writer = (await connect(site, f"/object/uploads/{ada}/a", headers, body))[1]
    while not site.files():
        await asyncio.sleep(0.005)
    writer.close()
    while site.files():
        await asyncio.sleep(0.005)
    assert await nothing_is_left(site)


async def test_a_form_that_ends_before_its_file_does_leaves_nothing(site: Site, ada: UUID) -> None:
    answer = await site.http.post(
        f"/object/uploads/{ada}/a", headers=as_form(ada), content=form(PNG)
    )
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == "400"
    assert await nothing_is_left(site)


MALFORMED = [
    ("multipart/form-data", b"x"),
    (f"multipart/form-data; boundary={'b' * 300}", b"x"),
    (f"multipart/form-data; boundary={BOUNDARY}", b"not a form at all"),
    (f"multipart/form-data; boundary={BOUNDARY}", f"--{BOUNDARY}--\r\n".encode()),
    ("no type", PNG),
    ("image/png/png", PNG),
]


async def test_a_malformed_body_is_a_bad_request(site: Site, ada: UUID) -> None:
    for content_type, content in MALFORMED:
        headers = bearer(ada) | {"Content-Type": content_type}
        answer = await site.http.post(f"/object/uploads/{ada}/a", headers=headers, content=content)
        assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
        assert await nothing_is_left(site)


async def test_fields_before_the_file_are_bounded(site: Site, ada: UUID) -> None:
    field = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n'
    content = form(PNG, extra=field + "x" * 200_000 + "\r\n") + form_end()
    answer = await site.http.post(f"/object/uploads/{ada}/a", headers=as_form(ada), content=content)
    assert answer.json()["statusCode"] == "413"


MALFORMED_METADATA = ["{", "[1]", '{"a":"\\u0000"}', '{"a":"\\ud800"}']


async def test_malformed_metadata_is_a_bad_request(site: Site, ada: UUID) -> None:
    for metadata in MALFORMED_METADATA:
        encoded = base64.b64encode(metadata.encode()).decode()
        answer = await site.http.post(
            f"/object/uploads/{ada}/a", headers=bearer(ada) | {"x-metadata": encoded}, content=PNG
        )
        assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
        assert await nothing_is_left(site)


async def test_a_header_cannot_be_smuggled_in_through_the_cache_control(
    site: Site, ada: UUID
) -> None:
    field = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="cacheControl"\r\n\r\n'
        "no-cache\r\nSet-Cookie: a=b\r\n"
    )
    answer = await site.http.post(
        f"/object/uploads/{ada}/a",
        headers=as_form(ada),
        content=form(PNG, extra=field) + form_end(),
    )
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")
    assert await nothing_is_left(site)


NO_KEYS = [
    "..%2f..%2fetc%2fpasswd",
    "{user}/..%2f..%2f..%2fa.png",
    "{user}/%2e%2e/a.png",
    "{user}/%2e/a.png",
    "{user}//a.png",
    "{user}/a.png%00",
    "{user}/a%23b.png",
    "{user}/a%5cb.png",
    "{user}/%c3%bc.png",
    "{user}/",
    "{user}/" + "a" * 256,
    "{user}/" + "a/" * 600 + "b",
]


async def test_a_name_that_is_no_key_is_refused(site: Site, ada: UUID) -> None:
    for path in NO_KEYS:
        answer = await raw_exchange(
            site,
            "/object/uploads/" + path.replace("{user}", str(ada)),
            bearer(ada) | {"Content-Length": str(len(PNG))},
            PNG,
        )
        assert b'"error":"InvalidKey"' in answer
        assert await nothing_is_left(site)


async def test_an_unknown_bucket_is_not_found(site: Site, ada: UUID) -> None:
    for bucket in ("nothing", "%00", "..", ".staging"):
        answer = await raw_exchange(
            site,
            f"/object/{bucket}/a.png",
            bearer(ada) | {"Content-Length": str(len(PNG))},
            PNG,
        )
        assert b'"code":"NoSuchBucket"' in answer
    assert await nothing_is_left(site)


async def test_a_name_with_a_line_break_is_no_route(site: Site, ada: UUID) -> None:
    headers = bearer(ada) | {"Content-Length": str(len(PNG))}
    answer = await raw_exchange(site, f"/object/uploads/{ada}/a%0d%0ab.png", headers, PNG)
    assert answer.startswith(b"HTTP/1.1 404")
    assert await nothing_is_left(site)


async def raw_exchange(site: Site, path: str, headers: dict[str, str], body: bytes) -> bytes:
    """Send a request as it stands, which a client's own URL handling would mend."""
    reader, writer = await connect(site, path, headers, body)
    answer = await reader.read()
    writer.close()
    return answer


async def connect(
    site: Site, path: str, headers: dict[str, str], body: bytes
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    lines = [f"POST /storage/v1{path} HTTP/1.1", "Host: localhost", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    return reader, writer
