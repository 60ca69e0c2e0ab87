"""Which bytes and headers does a browser get for a path?

The built files are read once, at the first request, and only what was found then is ever served: no
path of a request reaches the file system.
"""

import asyncio
import hashlib
import mimetypes
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tintype import __version__
from tintype.auth import KeySet
from tintype.config import Config

PAGE = "index.html"
ASSETS = "assets/"
# First parts of a path that belong to a door or hold files: what is not there is missing, and no
# page of the app. Those of Supabase that are not here, as well.
DOORS = frozenset(
    {
        "analytics",
        "api",
        "assets",
        "auth",
        "customer",
        "functions",
        "graphql",
        "mcp",
        "metrics",
        "pg",
        "pg-meta",
        "platform",
        "pooler",
        "project",
        "realtime",
        "redis",
        "rest",
        "saml",
        "sso",
        "storage",
        "worker",
    }
)
# What the build leaves beside a file, and how a browser asks for it; the smaller one first.
ENCODINGS = {"br": ".br", "gzip": ".gz"}
FOREVER = "public, max-age=31536000, immutable"
CHECKED = "no-cache"
UNBUILT = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Tintype</title>
<body>
<h1>Tintype is running</h1>
<p>Its web app has not been built here. In the source checkout run <code>make web</code>, which
needs nothing but Python, and start the server again.</p>
</body>
</html>
"""


class File(msgspec.Struct, frozen=True):
    """One file as it is sent; `encoded` holds its compressed forms by their name on the wire."""

    body: bytes
    media_type: str
    etag: str
    encoded: dict[str, bytes]


def routes(config: Config, keys: KeySet) -> list[BaseRoute]:
    """Return `/config.json` and a last route for every path that no other route has taken."""
    told = {"url": config.public_url, "anonKey": keys.anon_key, "version": __version__}
    headers = {
        "content-security-policy": _policy(config.public_url),
        "referrer-policy": "strict-origin-when-cross-origin",
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",
    }

    async def tell(request: Request) -> Response:
        return JSONResponse(told, headers={"cache-control": CHECKED})

    async def show(request: Request) -> Response:
        site = await asyncio.to_thread(_built)
        if site is None:
            site = {PAGE: _file(PAGE, UNBUILT.encode(), {})}
        return _answer(site, request, headers)

    async def miss(request: Request) -> Response:
        return _missing()

    return [
        Route("/config.json", tell, methods=["GET"]),
        Route("/{path:path}", show, methods=["GET"]),
        Route("/{path:path}", miss, methods=["POST", "PUT", "PATCH", "DELETE", "OPTIONS"]),
    ]


def _answer(site: dict[str, File], request: Request, headers: dict[str, str]) -> Response:
    path = request.path_params["path"]
    file = site.get(path)
    if file is None:
        if not _is_page(path):
            return _missing()
        file = site[PAGE]
    lasting = FOREVER if path.startswith(ASSETS) else CHECKED
    body, encoding = file.body, None
    accepted = _accepted(request.headers.get("accept-encoding", ""))
    for name, smaller in file.encoded.items():
        if name in accepted:
            body, encoding = smaller, name
            break
    # A compressed form is another representation, and has a tag of its own.
    etag = f'"{file.etag}-{encoding}"' if encoding else f'"{file.etag}"'
    sent = headers | {"cache-control": lasting, "etag": etag, "vary": "accept-encoding"}
    if encoding:
        sent["content-encoding"] = encoding
    known = request.headers.get("if-none-match", "")
    if etag in known or known.strip() == "*":
        return Response(status_code=304, headers=sent)
    return Response(body, media_type=file.media_type, headers=sent)


def _is_page(path: str) -> bool:
    """Return whether a path may be one that the app shows: a door's is not, nor is a file's or a
    hidden one (`.well-known/…`), however many slashes, dots or capitals it comes with."""
    parts = [part for part in path.split("/") if part]
    is_hidden = any(part.startswith(".") for part in parts)
    is_file = bool(parts) and "." in parts[-1]
    is_door = bool(parts) and parts[0].lower() in DOORS
    return not (is_hidden or is_file or is_door)


def _missing() -> Response:
    headers = {"cache-control": CHECKED, "x-content-type-options": "nosniff"}
    return Response("Not Found", 404, headers=headers, media_type="text/plain")


def _accepted(header: str) -> frozenset[str]:
    """Return the encodings that an `Accept-Encoding` names and does not refuse."""
    names = set()
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        digits = weight.replace(" ", "").removeprefix("q=")
        if digits.strip("0.") or not digits:
            names.add(name.strip())
    return frozenset(names)


def _built() -> dict[str, File] | None:
    """Return every built file by its path; None in a checkout without a build."""
    return _files() if _dist().joinpath(PAGE).is_file() else None


def _dist() -> Traversable:
    return files("tintype.web").joinpath("dist")


@lru_cache(maxsize=1)
def _files() -> dict[str, File]:
    raw = dict(_read(_dist(), ""))
    compressed = tuple(ENCODINGS.values())
    return {
        name: _file(name, body, raw) for name, body in raw.items() if not name.endswith(compressed)
    }


def _read(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            found += _read(entry, f"{prefix}{entry.name}/")
        else:
            found.append((prefix + entry.name, entry.read_bytes()))
    return found


def _file(name: str, body: bytes, raw: dict[str, bytes]) -> File:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    encoded = {
        encoding: raw[name + suffix]
        for encoding, suffix in ENCODINGS.items()
        if name + suffix in raw
    }
    return File(body, kind, hashlib.sha256(body).hexdigest()[:32], encoded)


def _policy(public_url: str) -> str:
    """Return what the page may load: itself, the server under its public name, and its socket."""
    parts = urlsplit(public_url)
    server = f"{parts.scheme}://{parts.netloc}"
    socket = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}"
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            # Positions and sizes of nodes, menus and toasts are set as styles while they move.
            "style-src 'self' 'unsafe-inline'",
            f"img-src 'self' data: blob: {server}",
            f"media-src 'self' blob: {server}",
            "font-src 'self'",
            "manifest-src 'self'",
            "worker-src 'self' blob:",
            f"connect-src 'self' {server} {socket}",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )
