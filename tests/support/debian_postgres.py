"""Run a command against Debian's own Postgres instead of the embedded one.

    python -m tests.support.debian_postgres [--major 15] -- python -m pytest tests/sql

Starts a throw-away cluster on 127.0.0.1, sets `TINTYPE_TEST_DATABASE_URL`, runs the command, stops
the cluster and exits as the command did.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.processes import free_port
from tintype.database.launch import account_for

READY_SECONDS_MAX = 60
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "wal_level": "logical",
    "fsync": "off",
    "max_connections": "200",
    "jit": "off",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--major", type=int, default=15)
    parser.add_argument("command", nargs="+")
    chosen = parser.parse_args()
    programs = Path(f"/usr/lib/postgresql/{chosen.major}/bin")
    if not (programs / "initdb").exists():
        print(f"{programs} is missing: apt-get install postgresql-{chosen.major}")
        return 1
    with tempfile.TemporaryDirectory(prefix="tintype-postgres-") as name:
        folder = Path(name) / "data"
        account = account_for(folder)
        run = [*account.prefix, str(programs / "initdb")]
        subprocess.run(
            [*run, "-D", str(folder), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            check=True,
            capture_output=True,
            **account.options,
        )
        port = free_port()
        words = [f"-c{key}={value}" for key, value in SETTINGS.items()]
        server = subprocess.Popen(
            [
                *account.prefix,
                str(programs / "postgres"),
                "-D",
                str(folder),
                "-p",
                str(port),
                *words,
            ],
            stderr=subprocess.DEVNULL,
            **account.options,
        )
        try:
            _wait([str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)])
            url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            return subprocess.run(
                chosen.command, env={**os.environ, "TINTYPE_TEST_DATABASE_URL": url}
            ).returncode
        finally:
            os.kill(int((folder / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
            server.wait(READY_SECONDS_MAX)


def _wait(is_ready: list[str]) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    while time.monotonic() < deadline:
        # It listens before it lets anybody in.
        if subprocess.run(is_ready, stdout=subprocess.DEVNULL).returncode == 0:
            return
        time.sleep(0.1)
    raise SystemExit("Debian's Postgres did not start")


if __name__ == "__main__":
    sys.exit(main())
