"""Another issuer behind real HTTP, and clocks that are moved by hand."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc.jwk import ECKey, OKPKey, RSAKey

from tintype import clock

ISSUER = "http://127.0.0.1:54321/auth/v1"
OUTSIDE = "https://login.example.com/"


class OutsideIssuer:
    """Serves a key set. `keys`, `status` and `body` may be changed while it runs."""

    def __init__(self) -> None:
        self.rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig", "alg": "RS256"})
        self.ec = ECKey.generate_key("P-256", {"kid": "ec"})
        self.ed = OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"})
        self.keys: list[Any] = [key.as_dict(private=False) for key in (self.rsa, self.ec, self.ed)]
        self.status = 200
        self.body: bytes | None = None
        self.asked = 0
        self.gate = threading.Event()
        self.gate.set()
        outside = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outside.asked += 1
                outside.gate.wait(30)
                body = outside.body
                if body is None:
                    body = json.dumps({"keys": outside.keys}).encode()
                self.send_response(outside.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


class Clock:
    """The two clocks, moved by hand."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0
        self._unix, self._monotonic = clock.unix_seconds, clock.monotonic_seconds

    def unix_seconds(self) -> float:
        return self._unix() + self.ahead_seconds

    def monotonic_seconds(self) -> float:
        return self._monotonic() + self.ahead_seconds
