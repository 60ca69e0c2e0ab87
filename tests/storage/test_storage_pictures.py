"""Pictures in another size: who gets them, in which format, and what is refused."""

import asyncio
import struct
import zlib
from io import BytesIO
from typing import Any
from uuid import UUID

import httpx2
import pytest
from PIL import Image
from storage_site import PNG, SECRET, MakeBucket, Site, bearer

from tintype.errors import InvalidRequest, TooLarge, Unavailable, UnsupportedMedia
from tintype.storage import Storage, StoredObject
from tintype.storage.signatures import Signer
from tintype.storage.transforms import CACHE_BYTES_MAX, Options, Rendered, Renderer, parse
from tintype.storage.transforms import renderer as renderer_module
from tintype.storage.transforms.pictures import render
from tintype.storage.transforms.renderer import Cache

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"


def picture(
    width: int = 300, height: int = 200, kind: str = "PNG", mode: str = "RGB", **settings: Any
) -> bytes:
    image = Image.radial_gradient("L").resize((width, height)).convert(mode)
    buffer = BytesIO()
    image.save(buffer, kind, **settings)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    pixels = zlib.compress(bytes(1_000_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


@pytest.fixture
async def shown(site: Site, make_bucket: MakeBucket) -> str:
    await make_bucket("open", public=True)
    await site.service().from_("open").upload("a.png", picture(), {"content-type": "image/png"})
    return "/render/image/public/open/a.png"


async def size_of(site: Site, url: str, **query: object) -> tuple[int, int]:
    answer = await site.http.get(url, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return opened(answer.content).size


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ({"width": 30, "height": 30}, (30, 30)),
        ({"width": 30, "height": 30, "resize": "cover"}, (30, 30)),
        ({"width": 30, "height": 30, "resize": "contain"}, (30, 20)),
        ({"width": 30, "height": 30, "resize": "fill"}, (30, 30)),
        ({"width": 30}, (30, 20)),
        ({"height": 20}, (30, 20)),
        ({"width": 600, "height": 600}, (600, 600)),
        ({"width": 600, "height": 600, "resize": "contain"}, (300, 200)),
        ({"width": 600}, (300, 200)),
        ({}, (300, 200)),
    ],
)
async def test_a_picture_takes_the_size_that_is_asked_for(
    site: Site, shown: str, query: dict[str, object], size: tuple[int, int]
) -> None:
    assert await size_of(site, shown, **query) == size


async def test_cover_keeps_the_middle_and_fill_distorts() -> None:
    stripes = Image.new("RGB", (300, 100), "red")
    stripes.paste((0, 255, 0), (100, 0, 200, 100))
    buffer = BytesIO()
    stripes.save(buffer, "PNG")

    def corner(resize: str) -> tuple[int, ...]:
        options = parse({"width": 50, "height": 50, "resize": resize})
        pixel = opened(render(buffer.getvalue(), options, "origin").data).getpixel((0, 25))
        assert isinstance(pixel, tuple)
        return tuple(pixel)

    assert corner("cover")[1] > 200 and corner("fill")[0] > 200


@pytest.mark.parametrize(
    ("accept", "query", "media_type"),
    [
        ("*/*", {}, "image/png"),
        ("image/webp,*/*", {}, "image/webp"),
        ("image/avif,image/webp,*/*", {}, "image/webp"),
        ("image/avif", {}, "image/avif"),
        ("image/webp;q=0, */*", {}, "image/png"),
        ("image/webp", {"format": "origin"}, "image/png"),
        ("*/*", {"format": "avif"}, "image/avif"),
        ("*/*", {"format": "webp"}, "image/webp"),
    ],
)
async def test_the_format_is_the_one_asked_for_or_one_that_is_accepted(
    site: Site, shown: str, accept: str, query: dict[str, str], media_type: str
) -> None:
    answer = await site.http.get(shown, params=query, headers={"Accept": accept})
    assert answer.headers["content-type"] == media_type
    assert answer.headers["vary"] == "Accept"
    assert opened(answer.content).format == media_type.removeprefix("image/").upper()


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "L"),
        ("PNG", "LA"),
        ("PNG", "1"),
        ("PNG", "I;16"),
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("WEBP", "RGBA"),
        ("GIF", "P"),
        ("AVIF", "RGB"),
    ],
)
@pytest.mark.parametrize("output", ["origin", "webp", "avif"])
def test_every_kind_of_picture_comes_out_in_every_format(kind: str, mode: str, output: Any) -> None:
    made = render(picture(kind=kind, mode=mode), parse({"width": 60, "height": 40}), output)
    image = opened(made.data)
    assert image.size == (60, 40)
    assert image.format == (kind if output == "origin" else output.upper())


def test_a_lower_quality_is_smaller() -> None:
    source = picture(800, 800, "JPEG", quality=95)
    sizes = [
        len(render(source, parse({"quality": quality}), "origin").data) for quality in (20, 80, 100)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2]


def test_a_turned_photo_stands_upright_and_tells_nothing_of_its_camera() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    source = picture(300, 200, "JPEG", exif=exif, comment=b"SecretComment")
    made = opened(render(source, parse({"width": 100}), "origin").data)
    assert made.size == (100, 150)
    assert len(made.getexif()) == 0
    assert b"Secret" not in render(source, parse({"width": 100}), "origin").data


@pytest.mark.parametrize(
    "query",
    [
        {"width": 0},
        {"width": 2001},
        {"height": -1},
        {"width": "ten"},
        {"quality": 19},
        {"quality": 101},
        {"resize": "zoom"},
        {"format": "svg"},
    ],
)
async def test_a_transform_out_of_range_is_refused(
    site: Site, shown: str, query: dict[str, object]
) -> None:
    answer = await site.http.get(shown, params={name: str(value) for name, value in query.items()})
    assert (answer.status_code, answer.json()["statusCode"]) == (400, "400")


async def test_only_its_readers_get_a_private_picture(site: Site, ada: UUID, bob: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a.png", picture(), {"content-type": "image/png"})
    small = await files.download(f"{ada}/a.png", {"transform": {"width": 30, "height": 30}})
    assert opened(small).size == (30, 30)
    path = f"/render/image/authenticated/uploads/{ada}/a.png"
    for url, headers in (
        (path, bearer(bob)),
        (path, {}),
        (path.replace("authenticated", "public"), bearer(ada)),
        (path.replace("authenticated", "sign"), bearer(ada)),
    ):
        answer = await site.http.get(url, headers=headers, params={"width": "30", "height": "30"})
        assert answer.status_code == 400


async def test_a_signed_render_gives_what_was_signed_and_nothing_more(
    site: Site, ada: UUID
) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a.png", picture(), {"content-type": "image/png"})
    signed = await files.create_signed_url(
        f"{ada}/a.png", 60, {"transform": {"width": 30, "height": 30, "resize": "contain"}}
    )
    url = signed["signedURL"]
    assert "/render/image/sign/" in url
    answer = await site.http.get(url)
    assert opened(answer.content).size == (30, 20)
    assert "expires" in answer.headers
    assert opened((await site.http.get(f"{url}&width=300&resize=fill")).content).size == (30, 20)
    original = await site.http.get(url.replace("/render/image/sign/", "/object/sign/"))
    assert original.json()["code"] == "InvalidSignature"


async def test_a_forged_or_foreign_signature_renders_nothing(site: Site, shown: str) -> None:
    url = shown.replace("/public/", "/sign/")
    for token, code in (
        ("", "InvalidJWT"),
        (Signer(b"x" * 32).download("open", "a.png", 60), "InvalidJWT"),
        (Signer(SECRET).download("open", "a.png", -5), "InvalidJWT"),
        (Signer(SECRET).download("open", "b.png", 60), "InvalidSignature"),
        (Signer(SECRET).upload("open", "a.png", owner=None, upsert=True), "InvalidSignature"),
    ):
        assert (await site.http.get(url, params={"token": token})).json()["code"] == code


async def test_an_svg_is_neither_rendered_nor_run(site: Site, make_bucket: MakeBucket) -> None:
    await make_bucket("open", public=True)
    files = site.service().from_("open")
    for name, kind in (("a.svg", "image/svg+xml"), ("b.png", "image/png"), ("c.xml", "text/xml")):
        await files.upload(name, SVG, {"content-type": kind})
        answer = await site.http.get(f"/render/image/public/open/{name}", params={"width": "30"})
        assert answer.json()["statusCode"] == "415"
        plain = await site.http.get(f"/object/public/open/{name}")
        assert plain.headers["x-content-type-options"] == "nosniff"
        if kind != "image/png":
            assert plain.headers["content-disposition"] == "attachment;"
            assert "sandbox" in plain.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (png_that_claims(60_000, 60_000), "413"),
        (png_that_claims(12_000, 12_000), "413"),
        (b"RIFF\x1e\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00"
         b"\xfe\x3f\x00\xfe\x3f\x00" + bytes(8), "413 415"),
        (picture()[:200], "400"),
        (PNG, "400 415"),
        (b"GIF89a" + b"\xff" * 500, "400 413 415"),
        (b"not a picture", "415"),
        (b"", "415"),
    ],
)  # fmt: skip
async def test_a_bomb_or_a_wreck_is_refused(
    site: Site, make_bucket: MakeBucket, data: bytes, status: str
) -> None:
    await make_bucket("open", public=True)
    await site.service().from_("open").upload("a.png", data, {"content-type": "image/png"})
    answer = await site.http.get("/render/image/public/open/a.png", params={"width": "30"})
    assert answer.status_code == 400
    assert answer.json()["statusCode"] in status.split()


async def test_a_known_render_is_not_sent_again(site: Site, shown: str) -> None:
    answer = await site.http.get(shown, params={"width": "30"})
    etag = answer.headers["etag"]
    headers = {"If-None-Match": etag}
    assert (await site.http.get(shown, params={"width": "30"}, headers=headers)).status_code == 304
    other = await site.http.get(shown, params={"width": "31"}, headers=headers)
    assert other.status_code == 200 and other.headers["etag"] != etag
    await site.service().from_("open").update("a.png", picture(90, 90))
    replaced = await site.http.get(shown, params={"width": "30"}, headers=headers)
    assert opened(replaced.content).size == (30, 30)


async def test_a_render_is_named_and_cached_as_its_object_is(site: Site, shown: str) -> None:
    answer = await site.http.head(shown, params={"width": "30", "download": "small.png"})
    assert (answer.status_code, answer.content) == (200, b"")
    assert "filename=small.png" in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "max-age=3600"


async def stored(storage: Storage, data: bytes) -> StoredObject:
    made = await storage.write("generations", "a/b", data, media_type="image/png")
    async with storage.pool.acquire() as connection:
        await storage.record(connection, made, owner=None)
    return made


async def test_however_many_ask_a_render_is_made_once(storage: Storage) -> None:
    renderer = Renderer(storage)
    source = await stored(storage, picture())
    options = parse({"width": "30"})
    made = await asyncio.gather(*(renderer.render(source, options, "webp") for _ in range(8)))
    assert renderer.renders == 1 and len(set(map(id, made))) == 1
    await renderer.render(source, options, "webp")
    assert renderer.renders == 1
    await renderer.render(source, parse({"width": "31"}), "webp")
    assert renderer.renders == 2


async def test_who_leaves_does_not_spoil_the_render_for_others(storage: Storage) -> None:
    renderer = Renderer(storage)
    source = await stored(storage, picture())
    first = asyncio.create_task(renderer.render(source, Options(), "webp"))
    second = asyncio.create_task(renderer.render(source, Options(), "webp"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).media_type == "image/webp"
    assert renderer.renders == 1


async def test_a_refusal_is_not_remembered_as_a_render(storage: Storage) -> None:
    renderer = Renderer(storage)
    source = await stored(storage, b"no picture")
    for _ in range(2):
        with pytest.raises(UnsupportedMedia):
            await renderer.render(source, Options(), "webp")
    assert renderer.renders == 2


async def test_a_source_over_the_limit_is_not_read(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = await stored(storage, picture())
    monkeypatch.setattr(renderer_module, "SOURCE_BYTES_MAX", source.size - 1)
    renderer = Renderer(storage)
    with pytest.raises(TooLarge):
        await renderer.render(source, Options(), "webp")
    assert renderer.renders == 0


async def test_a_crowd_of_renders_is_bounded(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer_module, "RENDERS_WAITING_MAX", 3)
    renderer = Renderer(storage)
    source = await stored(storage, picture())
    results = await asyncio.gather(
        *(renderer.render(source, parse({"width": n + 10}), "webp") for n in range(8)),
        return_exceptions=True,
    )
    assert sum(isinstance(result, Rendered) for result in results) == 3
    assert sum(isinstance(result, Unavailable) for result in results) == 5


def test_the_cache_drops_the_least_used_and_keeps_nothing_huge() -> None:
    cache = Cache(bytes_max=80)

    def key(number: int) -> Any:
        return ("b", "n", str(number), Options(), "webp")

    for number in range(8):
        cache.put(key(number), Rendered(bytes(10), "image/webp"))
    assert cache.get(key(0)) is not None
    cache.put(key(8), Rendered(bytes(10), "image/webp"))
    assert cache.size == 80
    assert cache.get(key(1)) is None and cache.get(key(0)) is not None
    cache.put(key(9), Rendered(bytes(11), "image/webp"))
    assert cache.get(key(9)) is None
    assert CACHE_BYTES_MAX == 64 * 1024 * 1024


def test_a_broken_file_is_the_requests_fault_and_not_the_servers() -> None:
    whole = picture(600, 600, "JPEG")
    for cut in range(1, len(whole), 997):
        with pytest.raises((InvalidRequest, UnsupportedMedia)):
            render(whole[:cut], parse({"width": 30, "height": 30}), "webp")


async def test_a_busy_server_says_so_with_a_true_status(
    site: Site, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renderer_module, "RENDERS_WAITING_MAX", 0)
    answer: httpx2.Response = await site.http.get(shown, params={"width": "30"})
    assert (answer.status_code, answer.json()["statusCode"]) == (503, "503")
