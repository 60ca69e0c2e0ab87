"""May this URL be read, and what is behind it?

A caller's URL makes the server open a connection, so it is where an attacker reaches for the
machine's own network. The fetcher resolves the name itself, refuses the whole name if any of its
addresses is not on the public internet, and connects to the very address that it checked, with
the name in `Host` and in TLS: there is no second lookup that could answer differently. Redirects
are followed by hand, each one checked like the first. Bytes and time are bounded.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

import httpx2

from tintype.errors import InvalidRequest
from tintype.providers.judge import REFERENCE_BYTES_MAX, reference_too_large
from tintype.providers.wire import trusted

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve: TypeAlias = Callable[[str, int], Awaitable[list[str]]]

URL_CHARACTERS_MAX = 4096
URL_CHARACTERS_SHOWN_MAX = 200
FETCHES_AT_ONCE_MAX = 16
FETCH_SECONDS_MAX = 20.0
CONNECT_SECONDS_MAX = 5.0
RESOLVE_SECONDS_MAX = 5.0
REDIRECTS_MAX = 3
ADDRESSES_TRIED_MAX = 3
RESOLVES_AT_ONCE_MAX = 8
HTTPS_PORT = 443
REDIRECT_STATUSES = {301, 302, 303, 307, 308}

# What `ipaddress.is_global` lets through and is not the public internet: tunnels that carry an
# IPv4 address inside, documentation, and a cloud's own wire server.
REFUSED_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.0.0.0/24",
        "192.88.99.0/24",
        "168.63.129.16/32",
        "2001::/23",
        "2002::/16",
        "3fff::/20",
    )
)
IPV6_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# https://www.rfc-editor.org/rfc/rfc6052: an IPv6-only machine sees every IPv4 host through it.
NAT64 = ipaddress.ip_network("64:ff9b::/96")

_resolvers = ThreadPoolExecutor(RESOLVES_AT_ONCE_MAX, thread_name_prefix="resolve")


def is_public(address: Address) -> bool:
    """Return whether `address` is one host on the public internet."""
    if address in NAT64:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    if isinstance(address, ipaddress.IPv6Address) and address not in IPV6_GLOBAL_UNICAST:
        return False
    if address.is_multicast or address.is_reserved or not address.is_global:
        return False
    return not any(address in network for network in REFUSED_NETWORKS)


class Fetcher:
    """Reads pictures from https URLs that a caller or a provider named.

    `ports` and `networks_allowed` widen what is refused, `context` and `resolve` replace TLS trust
    and DNS: for a server of one's own, and for tests.
    """

    def __init__(
        self,
        *,
        seconds_max: float = FETCH_SECONDS_MAX,
        bytes_max: int = REFERENCE_BYTES_MAX,
        redirects_max: int = REDIRECTS_MAX,
        ports: Iterable[int] = (HTTPS_PORT,),
        networks_allowed: Iterable[str] = (),
        context: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
    ) -> None:
        self._seconds_max = seconds_max
        self._bytes_max = bytes_max
        self._redirects_max = redirects_max
        self._ports = frozenset(ports)
        self._networks: tuple[Network, ...] = tuple(map(ipaddress.ip_network, networks_allowed))
        self._context = context
        self._resolve = resolve or resolve_host
        self._places = asyncio.Semaphore(FETCHES_AT_ONCE_MAX)

    async def check(self, url: str) -> None:
        """Return if `url` may be fetched now; no connection is made.

        Raises `InvalidRequest` with code `url_not_allowed` (not https, another port, a user name,
        an address that is not public) or `url_unreachable` (the name does not resolve). What it
        says may change until `fetch`, which checks again.
        """
        await self._addresses(self._parse(url))

    async def fetch(self, url: str) -> bytes:
        """Return the bytes behind `url`, unjudged.

        Raises what `check` raises, for `url` and for each redirect; `url_unreachable` also when
        the server does not answer 200 in `seconds_max`; and `reference_too_large` once more than
        `bytes_max` bytes came.
        """
        try:
            async with asyncio.timeout(self._seconds_max), self._places:
                target = self._parse(url)
                for _ in range(self._redirects_max + 1):
                    found = await self._visit(target)
                    if isinstance(found, bytes):
                        return found
                    target = self._parse(str(found))
        except TimeoutError:
            raise _unreachable(url, f"took more than {self._seconds_max:g} s") from None
        raise _unreachable(url, f"redirects more than {self._redirects_max} times")

    def _parse(self, url: str) -> httpx2.URL:
        if len(url) > URL_CHARACTERS_MAX:
            raise _refused(url, f"is longer than {URL_CHARACTERS_MAX} characters")
        try:
            parsed = httpx2.URL(url)
        except (httpx2.InvalidURL, ValueError):
            raise _refused(url, "is not a URL") from None
        if parsed.scheme != "https":
            raise _refused(url, "is not https")
        if parsed.userinfo:
            raise _refused(url, "carries a user name or password")
        if not parsed.host:
            raise _refused(url, "names no host")
        if _port(parsed) not in self._ports:
            raise _refused(url, f"uses port {parsed.port}")
        return parsed

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        host = url.raw_host.decode("ascii")
        try:
            found = [ipaddress.ip_address(host.strip("[]"))]
        except ValueError:
            try:
                async with asyncio.timeout(RESOLVE_SECONDS_MAX):
                    texts = await self._resolve(host, _port(url))
            except (OSError, UnicodeError):  # TimeoutError is an OSError
                raise _unreachable(str(url), "names a host that does not resolve") from None
            found = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        if not found:
            raise _unreachable(str(url), "names a host that has no address")
        if not all(self._is_allowed(address) for address in found):
            raise _refused(str(url), "leads to an address that is not on the public internet")
        return [str(address) for address in found[:ADDRESSES_TRIED_MAX]]

    def _is_allowed(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._networks)

    async def _visit(self, url: httpx2.URL) -> bytes | httpx2.URL:
        """Return the bytes, or where the server redirects to."""
        addresses = await self._addresses(url)
        # One client for one visit: no cookie and no connection, whose certificate was checked for
        # another name, is carried to the next.
        async with httpx2.AsyncClient(
            verify=self._context or trusted(),
            trust_env=False,
            follow_redirects=False,
            timeout=httpx2.Timeout(self._seconds_max, connect=CONNECT_SECONDS_MAX),
        ) as client:
            for address in addresses:
                try:
                    return await self._read(client, url, address)
                except (httpx2.ConnectError, httpx2.ConnectTimeout):
                    continue
                except httpx2.HTTPError as error:
                    raise _unreachable(str(url), f"failed ({type(error).__name__})") from None
        raise _unreachable(str(url), "does not accept a verified connection")

    async def _read(
        self, client: httpx2.AsyncClient, url: httpx2.URL, address: str
    ) -> bytes | httpx2.URL:
        async with client.stream(
            "GET",
            url.copy_with(host=address),
            headers={
                "Host": url.netloc.decode("ascii"),
                "Accept": "image/png, image/jpeg, image/webp",
                "Accept-Encoding": "identity",
                "User-Agent": "tintype",
            },
            extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
        ) as response:
            if response.status_code in REDIRECT_STATUSES:
                return _location(url, response)
            if response.status_code != 200:
                raise _unreachable(str(url), f"answered {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _unreachable(str(url), "answered with a compressed body, unasked")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._bytes_max:
                    raise reference_too_large(self._bytes_max)
            return bytes(body)


async def resolve_host(host: str, port: int) -> list[str]:
    """Return every address of `host` as the system resolves it, in its order of preference."""
    loop = asyncio.get_running_loop()
    found = await loop.run_in_executor(
        _resolvers, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _location(url: httpx2.URL, response: httpx2.Response) -> httpx2.URL:
    try:
        return url.join(response.headers.get("location", ""))
    except (httpx2.InvalidURL, ValueError):
        raise _unreachable(str(url), "redirects to something that is not a URL") from None


def _port(url: httpx2.URL) -> int:
    return HTTPS_PORT if url.port is None else url.port


def _refused(url: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        "url_not_allowed",
        f"The URL {_shown(url)} {reason}.",
        hint="Give an https URL on the public internet, or upload the picture.",
    )


def _unreachable(url: str, reason: str) -> InvalidRequest:
    return InvalidRequest(
        "url_unreachable",
        f"The URL {_shown(url)} {reason}.",
        hint="Check that it opens without signing in, or upload the picture.",
    )


def _shown(url: str) -> str:
    # A signature in the query or a password before the host must not reach a log.
    without_query = re.split("[?#]", url, maxsplit=1)[0]
    return re.sub("//[^/]*@", "//…@", without_query)[:URL_CHARACTERS_SHOWN_MAX]
