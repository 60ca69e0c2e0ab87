"""How the built app is given to browsers, and what is no page of it."""

import gzip
import json
import re
from pathlib import Path
from uuid import UUID

from playwright.async_api import Browser, expect

from tests.support.product import Person, Product, open_product
from tests.web.visitor import sign_up, visiting
from tintype import __version__

# Everything that the editor's page loads before it can be used, but for React Flow.
FIRST_LOAD_BYTES_MAX = 250_000
EDITOR = "src/editor/editor-screen.tsx"
FLOW = re.compile(r"assets/flow-")


async def test_every_path_of_the_app_answers_its_page_anew_each_time(product: Product) -> None:
    page = await product.http.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["cache-control"] == "no-cache"
    for path in ("/gallery", "/p/some-project", "/console/jobs/1"):
        assert (await product.http.get(path)).content == page.content
    again = await product.http.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_asset_never_changes_and_comes_compressed(product: Product) -> None:
    page = (await product.http.get("/")).text
    script = re.search(r'src="(/assets/[^"]+\.js)"', page)
    assert script is not None
    plain = await product.http.get(script[1], headers={"accept-encoding": "identity"})
    packed = await product.http.get(script[1], headers={"accept-encoding": "gzip"})
    assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert plain.headers["content-type"].startswith("text/javascript")
    assert packed.headers["content-encoding"] == "gzip" and packed.content == plain.content
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.headers["etag"] != plain.headers["etag"]


async def test_the_page_may_load_nothing_from_elsewhere(product: Product) -> None:
    headers = (await product.http.get("/")).headers
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'" and policy["frame-ancestors"] == "'none'"
    assert policy["script-src"] == "'self'"
    socket = product.url.replace("http", "ws")
    assert policy["connect-src"] == f"'self' {product.url} {socket}"
    assert headers["x-content-type-options"] == "nosniff"


async def test_what_no_door_has_is_missing_and_no_page(product: Product) -> None:
    for path in (
        "/auth/v2/user",
        "/storage",
        "/realtime/v1/nothing",
        "/worker/v2",
        "/assets/gone.js",
        "/favicon.ico",
        "/..%2f..%2fpyproject.toml",
        "/%2e%2e/pyproject.toml",
        "/..%2f..%2fMakefile",
        "/%2e%2e%5c%2e%2e%5cMakefile",
        "/assets/..%2f..%2fMakefile",
        "//rest/v1/projects",
        "/REST/v1/projects",
        "/auth%2Fv1%2Fsettings2",
        "/pg-meta/default/tables",
        "/platform/projects",
        "/mcp",
        "/graphql/v1",
        "/.well-known/openid-configuration",
        "/.git/config",
        "/.env",
        "/p/.env",
        "/index%2Ehtml%00",
        "/%ff%fe.js",
        "/assets/",
        "/assets",
        "/index.html.br",
    ):
        answer = await product.http.get(product.url + path)
        assert answer.status_code in (401, 404), path
        assert b"<html" not in answer.content, path
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "TRACE"):
        answer = await product.http.request(method, "/gallery")
        assert answer.status_code in (204, 404, 405), method
        assert b"<html" not in answer.content, method


async def test_a_file_is_asked_after_without_its_bytes_and_comes_whole(product: Product) -> None:
    page = await product.http.get("/gallery")
    script = re.search(r'src="(/assets/[^"]+\.js)"', page.text)
    assert script is not None
    for path in ("/gallery", script[1]):
        whole = await product.http.get(path)
        head = await product.http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "content-type", "etag", "cache-control"):
            assert head.headers[name] == whole.headers[name]
        part = await product.http.get(path, headers={"range": "bytes=0-9"})
        assert (part.status_code, part.content) == (200, whole.content)
        tag = whole.headers["etag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            again = await product.http.get(path, headers={"if-none-match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        changed = await product.http.get(path, headers={"if-none-match": '"other"'})
        assert changed.status_code == 200


async def test_what_a_browser_refuses_is_not_sent_to_it(product: Product) -> None:
    for accepted, sent in (
        ("br;q=0, gzip;q=0.5", "gzip"),
        ("gzip;q=0, br ; q=0.0", None),
        ("abracadabra", None),
        ("GZIP", "gzip"),
        ("identity", None),
        ("gzip, br", "br"),
    ):
        async with product.http.stream("GET", "/", headers={"accept-encoding": accepted}) as answer:
            assert answer.headers.get("content-encoding") == sent, accepted
            assert answer.headers["vary"] == "accept-encoding"


async def test_a_page_behind_another_name_loads_and_talks_to_the_servers_own(
    browser: Browser, database_url: str, tmp_path: Path
) -> None:
    async with open_product(
        database_url, tmp_path, TINTYPE_DEFAULT_MODEL="sandbox", TINTYPE_WELCOME_CREDITS="0"
    ) as product:
        # The page is fetched by one name; pictures, requests and the socket go to the other.
        other = product.url.replace("127.0.0.1", "localhost")
        assert other != product.url
        async with visiting(browser, product) as visitor:
            await sign_up(visitor, credits=4)
            person = Person(product, UUID(visitor.user_id), visitor.token)
            await person.accepted({"prompt": "a robot"}, prefer="wait=30")
            await visitor.page.goto(f"{other}/gallery")
            picture = visitor.page.locator("main img").first
            await expect(picture).to_have_js_property("complete", True)
            assert await picture.evaluate("(img) => img.naturalWidth") > 0
            assert await picture.get_attribute("src") is not None
            assert str(await picture.get_attribute("src")).startswith(product.url)
            refused = await visitor.page.evaluate(
                """async () => {
                  const tried = async (url) => fetch(url).then(() => 'loaded', () => 'refused')
                  return [await tried('https://example.com/'), await tried('/config.json')]
                }"""
            )
            assert refused == ["refused", "loaded"]
            # What was refused is the one thing that the page complained of.
            assert all("example.com" in one for one in visitor.troubles), visitor.troubles


async def test_the_page_is_told_where_the_server_is_and_no_secret(product: Product) -> None:
    told = await product.http.get("/config.json")
    assert told.json() == {
        "url": product.url,
        "anonKey": product.keys.anon_key,
        "version": __version__,
    }


def test_the_editors_first_load_is_small(built: Path) -> None:
    manifest = json.loads((built / ".vite" / "manifest.json").read_text())
    entry = next(name for name, chunk in manifest.items() if chunk.get("isEntry"))
    needed, left = set(), [entry, EDITOR]
    while left:
        chunk = manifest[left.pop()]
        if chunk["file"] not in needed:
            needed.add(chunk["file"])
            left += chunk.get("imports", [])
    own = sorted(name for name in needed if not FLOW.search(name))
    assert len(own) < len(needed), "React Flow has no file of its own"
    sizes = {name: len(gzip.compress((built / name).read_bytes(), 9)) for name in own}
    assert sum(sizes.values()) < FIRST_LOAD_BYTES_MAX, sizes
