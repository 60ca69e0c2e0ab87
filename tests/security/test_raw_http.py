"""`tintype serve` against bytes that no client library sends, and more of them than it should."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import websockets
from websockets.exceptions import ConnectionClosed

from tests.support.processes import Process, answering, free_port, tintype
from tintype.auth import KeySet, open_keys

ANSWER_SECONDS_MAX = 60
MEGABYTE = 1024 * 1024
# What one client may make the server hold, whatever it sends.
GROWTH_BYTES_MAX = 48 * MEGABYTE
POST = b"POST /auth/v1/otp HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /auth/v1/health HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /auth/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
# Each is refused whole: where the first request ends is a matter of opinion.
AMBIGUOUS = {
    "two ways to tell the length": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "the other way round": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde" + SMUGGLED,
    "one length twice": POST + b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd" + SMUGGLED,
    "a list of lengths": POST + b"Content-Length: 4, 5\r\n\r\nabcde" + SMUGGLED,
    "a signed length": POST + b"Content-Length: +4\r\n\r\nabcd" + SMUGGLED,
    "a negative length": POST + b"Content-Length: -4\r\n\r\n" + SMUGGLED,
    "a length in hex": POST + b"Content-Length: 0x4\r\n\r\nabcd" + SMUGGLED,
    "a length beyond all numbers": POST + b"Content-Length: %d\r\n\r\nabcd" % 10**30,
    "a blank before the colon": POST + b"Content-Length : 4\r\n\r\nabcd" + SMUGGLED,
    "a folded header": GET + b"X: a\r\n Content-Length: 4\r\n\r\n" + SMUGGLED,
    "an unknown encoding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked, not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "two encodings": POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "a chunk with no size": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    "a chunk beyond all numbers": POST
    + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "a line that ends in LF": b"GET /auth/v1/health HTTP/1.1\nHost: x\n\n" + SMUGGLED,
    "a line that ends in CR": GET + b"X: a\rY: b\r\n\r\n" + SMUGGLED,
    "NUL in a header": GET + b"X: a\0b\r\n\r\n" + SMUGGLED,
    "bytes in a path": b"GET /auth/v1/\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "no path": b"GET auth HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "a tunnel": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "an unknown method": b"FOO /auth/v1/health HTTP/1.1\r\nHost: x\r\n\r\n" + SMUGGLED,
    "HTTP/2 by surprise": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}
UPGRADE = (
    b"Host: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
)
SOCKET = b"GET /realtime/v1/websocket?vsn=2.0.0&apikey="
HANDSHAKES = {
    "a long URL": SOCKET + b"y" * 10_000 + b" HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "a long header": SOCKET + b"x HTTP/1.1\r\n" + UPGRADE + b"X: " + b"y" * 10_000 + b"\r\n\r\n",
    "many headers": SOCKET + b"x HTTP/1.1\r\n" + UPGRADE + b"X: y\r\n" * 300 + b"\r\n",
    "no key": SOCKET
    + b"x HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "an old version": SOCKET + b"x HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"8") + b"\r\n",
    "another path": b"GET /rest/v1/jobs HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "a function": b"GET /functions/v1/image-worker HTTP/1.1\r\n" + UPGRADE + b"\r\n",
    "an upgrade by POST": b"POST /realtime/v1/websocket HTTP/1.1\r\n" + UPGRADE + b"\r\n",
}
# Who takes a body, and how much of it; none of it is ever held beyond a chunk or the limit.
BODIES = {
    "auth": "/auth/v1/signup",
    "functions": "/functions/v1/generate-image",
    "rest": "/rest/v1/projects",
    "storage": "/storage/v1/object/move",
    "upload": "/storage/v1/object/uploads/nobody/a.png",
    "realtime": "/realtime/v1/api/broadcast",
}


class Served:
    """A `tintype serve` in a process of its own."""

    def __init__(self, process: Process, port: int, keys: KeySet) -> None:
        self.process = process
        self.port = port
        self.keys = keys

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def memory_bytes(self) -> int:
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    async def answer(self, *parts: bytes) -> bytes:
        """Send bytes; return what comes back until the server ends the connection, and it does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                return await reader.read()
        except ConnectionError:
            return b"reset"
        finally:
            writer.close()

    async def is_well(self) -> bool:
        async with httpx2.AsyncClient(
            base_url=self.url, trust_env=False, timeout=ANSWER_SECONDS_MAX
        ) as http:
            answer = await http.get("/rest/v1/jobs", headers={"apikey": self.keys.service_role_key})
            return answer.status_code == 200


@pytest.fixture(scope="module")
async def served(
    served_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    folder, port = tmp_path_factory.mktemp("served"), free_port()
    process = tintype("serve", "--port", str(port), folder=folder, DATABASE_URL=served_url)
    process.start()
    try:
        await answering(f"http://127.0.0.1:{port}")
        keys = open_keys(folder / ".tintype" / "keys.json", issuer="")
        yield Served(process, port, keys)
    finally:
        process.stop()


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_whole(
    served: Served, name: str
) -> None:
    answer = await served.answer(AMBIGUOUS[name])
    assert answer.count(b"HTTP/1.1 ") == 1, answer
    assert answer.startswith(b"HTTP/1.1 400 "), answer


async def test_the_length_of_an_http_1_0_body_leaves_no_second_request(served: Served) -> None:
    """Chunks are unknown there: what follows is body or nothing, and the connection ends."""
    head = POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    answer = await served.answer(head + SMUGGLED)
    assert answer.count(b"HTTP/1.1 ") == 1, answer


async def test_an_upgrade_to_what_is_not_spoken_here_is_an_ordinary_request(
    served: Served,
) -> None:
    h2c = b"Connection: Upgrade, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
    answer = await served.answer(GET + h2c)
    assert answer.startswith(b"HTTP/1.1 200 "), answer


@pytest.mark.parametrize("line", [b"X: " + b"x" * MEGABYTE, b"X: y\r\n" * 100_000])
async def test_the_head_of_a_request_is_bounded(served: Served, line: bytes) -> None:
    before = served.memory_bytes()
    answer = await served.answer(GET, *[line] * 64)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 4"), answer[:100]
    assert served.memory_bytes() - before < GROWTH_BYTES_MAX


@pytest.mark.parametrize("name", HANDSHAKES)
async def test_every_handshake_is_answered(served: Served, name: str) -> None:
    answer = await served.answer(HANDSHAKES[name])
    assert answer.startswith((b"HTTP/1.1 40", b"HTTP/1.1 426")), answer
    assert answer.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("door", BODIES)
async def test_a_body_without_end_is_refused_without_growth(
    served: Served, door: str, announced: bool
) -> None:
    before = served.memory_bytes()
    length = b"Content-Length: 20000000000" if announced else b"Transfer-Encoding: chunked"
    head = f"POST {BODIES[door]} HTTP/1.1\r\nHost: x\r\n".encode()
    head += b"Content-Type: application/json\r\nConnection: close\r\n"
    head += f"Authorization: Bearer {served.keys.service_role_key}\r\n".encode()
    head += f"apikey: {served.keys.service_role_key}\r\n".encode() + length + b"\r\n\r\n"
    piece = b" " * MEGABYTE
    if not announced:
        piece = b"%x\r\n" % len(piece) + piece + b"\r\n"
    answer = await served.answer(head, *[piece] * 80)
    assert answer == b"reset" or answer.startswith(b"HTTP/1.1 4"), answer[:300]
    assert served.memory_bytes() - before < GROWTH_BYTES_MAX
    assert await served.is_well()


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:54321"])
async def test_no_page_is_ever_given_a_users_credentials(served: Served, origin: str) -> None:
    """Any page may ask; none may send cookies, and no origin is echoed, so nothing is cached so."""
    headers = {"origin": origin, "cookie": "sb-access-token=x"}
    asking = {"access-control-request-method": "POST", "access-control-request-headers": "x-a"}
    async with httpx2.AsyncClient(
        base_url=served.url, trust_env=False, timeout=ANSWER_SECONDS_MAX
    ) as http:
        for path in ("/auth/v1/user", "/nothing", *BODIES.values()):
            for answer in (
                await http.get(path, headers=headers),
                await http.post(path, headers=headers, content=b"{"),
                await http.options(path, headers=headers | asking),
            ):
                assert answer.headers.get_list("access-control-allow-origin") == ["*"], path
                assert "access-control-allow-credentials" not in answer.headers
                assert "set-cookie" not in answer.headers


async def test_a_preflight_echoes_no_line_of_its_own(served: Served) -> None:
    asked = b"Access-Control-Request-Method: GET\r\nConnection: close\r\n"
    asked += b"Access-Control-Request-Headers: x-a\tx-b\r\n\r\n"
    answer = await served.answer(b"OPTIONS /rest/v1/jobs HTTP/1.1\r\nHost: x\r\n" + asked)
    assert answer.startswith(b"HTTP/1.1 204 ") and b"x-a\tx-b" not in answer


async def test_a_frame_of_10_megabytes_and_10000_topics_leave_the_others_in_peace(
    served: Served,
) -> None:
    before = served.memory_bytes()
    address = f"ws://127.0.0.1:{served.port}/realtime/v1/websocket?vsn=2.0.0"
    address += f"&apikey={served.keys.anon_key}"
    async with websockets.connect(address, max_size=None) as bystander:
        for flood in (large_frame, many_topics):
            async with websockets.connect(address, max_size=None) as flooder:
                with pytest.raises(ConnectionClosed) as caught:
                    await flood(flooder)
                assert caught.value.rcvd is None or caught.value.rcvd.code in (1008, 1009)
        await bystander.send(json.dumps([None, "1", "phoenix", "heartbeat", {}]))
        async with asyncio.timeout(ANSWER_SECONDS_MAX):
            assert json.loads(await bystander.recv())[3] == "phx_reply"
    assert served.memory_bytes() - before < GROWTH_BYTES_MAX
    assert await served.is_well()


async def large_frame(flooder: websockets.ClientConnection) -> None:
    await flooder.send("x" * 10 * MEGABYTE)
    await flooder.recv()


async def many_topics(flooder: websockets.ClientConnection) -> None:
    for number in range(10_000):
        topic = f"realtime:{number}"
        await flooder.send(json.dumps(["1", str(number), topic, "phx_join", {"config": {}}]))
    while True:
        await flooder.recv()
