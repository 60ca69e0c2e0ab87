import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.support.provider_pictures import Pictures
from tintype.errors import InvalidRequest
from tintype.providers import Fetcher
from tintype.providers.fetch import URL_CHARACTERS_MAX, is_public

PUBLIC = ["1.1.1.1", "8.8.8.8", "151.101.1.140", "2606:4700::1111", "64:ff9b::808:808"]
NOT_PUBLIC = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:808:808::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
async def test_an_address_off_the_internet_is_refused_by_number_and_by_name(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    host = f"[{address}]" if ":" in address else address
    assert await refusal(Fetcher(), f"https://{host}/a.png") == "url_not_allowed"
    assert await refusal(Fetcher(resolve=resolves_to(address)), "https://a.test/") == (
        "url_not_allowed"
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.test/a.png",
        "ftp://pictures.test/a.png",
        "file:///etc/passwd",
        "data:image/png;base64,AAAA",
        "//pictures.test/a.png",
        "pictures.test/a.png",
        "",
        "https://",
        "https:///a.png",
        "https://user@pictures.test/",
        "https://user:secret@pictures.test/",
        "https://pictures.test:8443/",
        "https://pictures.test:22/",
        "https://pictures.test:0/",
        "https://pictures.test:99999/",
        "https://[::1/",
        "https://pictures.test/" + "a" * URL_CHARACTERS_MAX,
        "https://pictures.test/\n",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
async def test_a_url_that_is_not_plain_https_is_refused_without_asking_dns(url: str) -> None:
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["1.1.1.1"]

    assert await refusal(Fetcher(resolve=resolve), url) == "url_not_allowed"
    assert asked == []


@pytest.mark.parametrize(
    "host", ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "0"]
)
async def test_every_spelling_of_this_machine_is_refused_after_the_systems_own_lookup(
    host: str,
) -> None:
    assert await refusal(Fetcher(), f"https://{host}/") == "url_not_allowed"


async def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    fetcher = Fetcher(resolve=resolves_to("1.1.1.1", "10.0.0.1"))
    assert await refusal(fetcher, "https://a.test/") == "url_not_allowed"


async def test_a_public_name_passes_the_check_without_a_connection() -> None:
    await Fetcher(resolve=resolves_to("1.1.1.1", "2606:4700::1111")).check("https://a.test/x?y#z")


async def test_a_name_that_does_not_resolve_is_unreachable() -> None:
    async def resolve(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    assert await refusal(Fetcher(resolve=resolve), "https://a.test/") == "url_unreachable"
    assert await refusal(Fetcher(resolve=resolves_to()), "https://a.test/") == "url_unreachable"


async def test_a_refusal_tells_neither_password_nor_signature() -> None:
    for url in ("https://user:secret@a.test/", "https://127.0.0.1/a?token=secret"):
        with pytest.raises(InvalidRequest) as caught:
            await Fetcher().check(url)
        assert "secret" not in caught.value.message


def resolves_to(*addresses: str) -> Any:
    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


async def refusal(fetcher: Fetcher, url: str) -> str:
    """Return the code with which both `check` and `fetch` refuse."""
    with pytest.raises(InvalidRequest) as checked:
        await fetcher.check(url)
    with pytest.raises(InvalidRequest) as fetched:
        await fetcher.fetch(url)
    assert checked.value.code == fetched.value.code
    return checked.value.code


class PictureServer:
    """A TLS server with a certificate for `pictures.test`, whose paths say how it behaves."""

    def __init__(self, port: int, authority: Path) -> None:
        self.port = port
        self.url = f"https://pictures.test:{port}"
        self.heads: list[str] = []
        self.looked_up: list[str] = []
        self.addresses = {"pictures.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
        self.context = ssl.create_default_context(cafile=str(authority))

    def fetcher(self, **options: Any) -> Fetcher:
        async def resolve(host: str, port: int) -> list[str]:
            self.looked_up.append(host)
            return self.addresses[host]

        options = {"ports": [self.port], "networks_allowed": ["127.0.0.1/32"]} | options
        return Fetcher(context=self.context, resolve=resolve, **options)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PictureServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate(tmp_path, "pictures.test"))
    picture = Pictures().small()
    handlers: set[Any] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            known.heads.append(head)
            path = head.split(" ", 2)[1]
            what, _, rest = path[1:].partition("/")
            if what == "slow":
                await asyncio.sleep(60)
            if what == "endless":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    writer.write(bytes(65536))
                    await writer.drain()
            status, body, headers = "200 OK", picture, ""
            if what == "to":
                status, body, headers = "302 Found", b"", f"Location: {rest}\r\n"
            elif what == "round":
                status, body, headers = "301 Moved", b"", "Location: /round\r\n"
            elif what == "missing":
                status, body = "404 Not Found", b""
            elif what == "gzip":
                headers = "Content-Encoding: gzip\r\n"
            elif what == "cookie":
                status, body = "302 Found", b""
                headers = "Set-Cookie: secret=1\r\nLocation: /ok\r\n"
            start = f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
            writer.write(start.encode() + body)
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    known = PictureServer(listening.sockets[0].getsockname()[1], tmp_path / "authority.pem")
    known.picture = picture  # type: ignore[attr-defined]
    yield known
    listening.close()
    for task in handlers:
        task.cancel()
    await asyncio.gather(*handlers, return_exceptions=True)


def certificate(folder: Path, host: str) -> tuple[Path, Path]:
    """Write an authority and a certificate of it for `host`; return certificate and key."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)

    def signed(subject: x509.Name, public: Any, extension: Any) -> bytes:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
            .add_extension(extension, critical=False)
        )
        made = builder.sign(root_key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    authority = x509.BasicConstraints(ca=True, path_length=None)
    (folder / "authority.pem").write_bytes(signed(root_name, root_key.public_key(), authority))
    names = x509.SubjectAlternativeName([x509.DNSName(host)])
    (folder / "server.pem").write_bytes(signed(name, key.public_key(), names))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return folder / "server.pem", folder / "server.key"


async def failure(fetcher: Fetcher, url: str) -> str:
    with pytest.raises(InvalidRequest) as caught:
        await fetcher.fetch(url)
    return caught.value.code


async def test_a_picture_is_read_from_the_checked_address_under_its_name(
    server: PictureServer,
) -> None:
    data = await server.fetcher().fetch(f"{server.url}/ok?size=1")
    assert data == server.picture  # type: ignore[attr-defined]
    [head] = server.heads
    assert head.startswith("GET /ok?size=1 HTTP/1.1\r\n")
    assert f"\r\nhost: pictures.test:{server.port}\r\n" in head.lower()
    assert server.looked_up == ["pictures.test"]


async def test_a_certificate_for_another_name_is_not_accepted(server: PictureServer) -> None:
    assert await failure(server.fetcher(), f"https://other.test:{server.port}/ok") == (
        "url_unreachable"
    )
    assert server.heads == []


async def test_an_authority_nobody_trusts_is_not_accepted(server: PictureServer) -> None:
    server.context = ssl.create_default_context()
    assert await failure(server.fetcher(), f"{server.url}/ok") == "url_unreachable"


async def test_the_second_address_is_tried_when_the_first_does_not_listen(
    server: PictureServer,
) -> None:
    server.addresses["pictures.test"] = ["127.0.0.2", "127.0.0.1"]
    fetcher = server.fetcher(networks_allowed=["127.0.0.0/30"])
    assert await fetcher.fetch(f"{server.url}/ok")


async def test_a_redirect_is_followed_and_looked_up_again(server: PictureServer) -> None:
    assert await server.fetcher().fetch(f"{server.url}/to//ok")
    assert server.looked_up == ["pictures.test", "pictures.test"]


@pytest.mark.parametrize(
    "target",
    [
        "http://pictures.test/ok",
        "https://127.0.0.3/ok",
        "https://169.254.169.254/latest",
        "https://[::1]/ok",
        "https://inside.test/ok",
        "file:///etc/passwd",
    ],
)
async def test_a_redirect_to_what_is_not_allowed_is_refused(
    target: str, server: PictureServer
) -> None:
    server.addresses["inside.test"] = ["10.0.0.1"]
    fetcher = server.fetcher(ports=[server.port, 443])
    assert await failure(fetcher, f"{server.url}/to/{target}") == "url_not_allowed"
    assert len(server.heads) == 1


async def test_a_name_that_resolves_elsewhere_the_second_time_is_refused(
    server: PictureServer,
) -> None:
    fetcher = server.fetcher()
    await fetcher.check(f"{server.url}/ok")
    server.addresses["pictures.test"] = ["169.254.169.254"]
    assert await failure(fetcher, f"{server.url}/ok") == "url_not_allowed"
    assert server.heads == []


async def test_redirects_have_an_end(server: PictureServer) -> None:
    fetcher = server.fetcher(redirects_max=2)
    assert await failure(fetcher, f"{server.url}/round") == "url_unreachable"
    assert len(server.heads) == 3


async def test_no_cookie_is_carried_to_the_next_visit(server: PictureServer) -> None:
    assert await server.fetcher().fetch(f"{server.url}/cookie")
    assert len(server.heads) == 2
    assert "secret" not in server.heads[1]


async def test_reading_stops_at_the_limit_of_bytes(server: PictureServer) -> None:
    fetcher = server.fetcher(bytes_max=100_000)
    assert await failure(fetcher, f"{server.url}/endless") == "reference_too_large"


async def test_waiting_stops_at_the_limit_of_seconds(server: PictureServer) -> None:
    fetcher = server.fetcher(seconds_max=0.3)
    assert await failure(fetcher, f"{server.url}/slow") == "url_unreachable"


@pytest.mark.parametrize("path", ["missing", "gzip"])
async def test_what_is_not_a_plain_200_is_unreachable(path: str, server: PictureServer) -> None:
    assert await failure(server.fetcher(), f"{server.url}/{path}") == "url_unreachable"


async def test_a_proxy_in_the_environment_is_not_used(
    server: PictureServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await server.fetcher().fetch(f"{server.url}/ok")
