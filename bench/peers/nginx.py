"""The peer in storage: nginx, which serves a file with the kernel's `sendfile`.

One worker process, no log of accesses, and where its module is there, PUT into the same folder. It
syncs nothing. A process of our own in a folder of our own; where nginx is not installed, the bench
goes without it and says so.
"""

import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.process import HOST, free_port, running, until_it_listens

PLACES = "/usr/sbin:/usr/local/sbin:/opt/homebrew/bin"
CONFIG = """
daemon off;
worker_processes 1;
pid {own}/pid;
error_log stderr;
{user}
events {{ worker_connections 64; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  default_type application/octet-stream;
  client_max_body_size 0;
  client_body_temp_path {root}/.incoming;
  proxy_temp_path {own}/proxy;
  fastcgi_temp_path {own}/fastcgi;
  uwsgi_temp_path {own}/uwsgi;
  scgi_temp_path {own}/scgi;
  server {{
    listen {host}:{port};
    root {root};
    {put}
  }}
}}
"""


@dataclass(frozen=True)
class Nginx:
    """A program that was found: where, which version, and whether it takes PUT."""

    program: str
    version: str
    takes_put: bool


def find() -> Nginx | None:
    """Return the nginx of this machine, or None."""
    program = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:{PLACES}")
    if program is None:
        return None
    told = subprocess.run([program, "-V"], capture_output=True, text=True, timeout=30).stderr
    version = re.search(r"nginx/(\S+)", told)
    return Nginx(program, version[1] if version else "?", "http_dav_module" in told)


@asynccontextmanager
async def serving(found: Nginx, own: Path, root: Path) -> AsyncIterator[int]:
    """Yield the port at which it serves the folder `root`; what it keeps for itself is in `own`."""
    own.mkdir()
    port = free_port()
    config = own / "nginx.conf"
    config.write_text(
        CONFIG.format(
            own=own,
            root=root,
            host=HOST,
            port=port,
            # Started as root it would give its workers away to a user who may not read `root`.
            user="user root;" if os.geteuid() == 0 else "",
            put="dav_methods PUT;" if found.takes_put else "",
        )
    )
    command = (found.program, "-p", str(own), "-c", str(config), "-e", "stderr")
    async with running(*command) as process:
        await until_it_listens(process, port)
        yield port
