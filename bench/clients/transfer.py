"""One client that sends or fetches one large file, in a process of its own.

Reads `{"port", "method", "path", "headers", "file", "before", "after", "hashed", "times"}` from
standard input. With `file` its bytes are the body, between the texts `before` and `after`. Prints
`{"seconds", "status", "bytes", "sha256"}` for each of the `times`: from the first byte of the
request to the last of the answer, and the bytes of the answer's body. Blocking sockets, the
kernel's own `sendfile`, nothing looked at unless `hashed`.
"""

import hashlib
import json
import re
import socket
import sys
import time
from pathlib import Path
from typing import Any

from bench.process import HOST

BUFFER_BYTES = 1024 * 1024
SECONDS_MAX = 120
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


def transfer(spec: dict[str, Any]) -> dict[str, Any]:
    """Send the request with its file, and read the answer to its end."""
    before, after = spec["before"].encode(), spec["after"].encode()
    file = Path(spec["file"]) if spec["file"] else None
    size = file.stat().st_size if file is not None else 0
    headers = {"host": f"{HOST}:{spec['port']}", "connection": "close"} | spec["headers"]
    if file is not None:
        headers["content-length"] = str(len(before) + size + len(after))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"{spec['method']} {spec['path']} HTTP/1.1\r\n{lines}\r\n".encode()
    with socket.create_connection((HOST, spec["port"]), timeout=SECONDS_MAX) as connection:
        began = time.perf_counter()
        connection.sendall(head + before)
        if file is not None:
            with file.open("rb") as opened:
                connection.sendfile(opened)
        connection.sendall(after)
        answer = _read(connection, hashlib.sha256() if spec["hashed"] else None)
        return {"seconds": time.perf_counter() - began} | answer


def _read(connection: socket.socket, digest: Any) -> dict[str, Any]:
    """Read the head and then as many bytes as it announces."""
    head = b""
    while b"\r\n\r\n" not in head:
        data = connection.recv(65536)
        if not data:
            raise ConnectionError(f"the answer ended in its head: {head[:500]!r}")
        head += data
    head, _, body = head.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    length = LENGTH.search(head)
    wanted = int(length[1]) if length is not None else 0
    buffer = memoryview(bytearray(BUFFER_BYTES))
    got = len(body)
    if digest is not None:
        digest.update(body)
    while got < wanted:
        count = connection.recv_into(buffer)
        if count == 0:
            raise ConnectionError(f"{got} of {wanted} bytes came")
        if digest is not None:
            digest.update(buffer[:count])
        got += count
    sha256 = digest.hexdigest() if digest is not None else None
    return {"status": status, "bytes": got, "sha256": sha256}


def main() -> None:
    """Transfer as standard input says."""
    spec = json.load(sys.stdin)
    json.dump([transfer(spec) for _ in range(spec["times"])], sys.stdout)


if __name__ == "__main__":
    main()
