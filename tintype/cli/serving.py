"""Commands that keep running: serve, worker; and status, which finds them."""

import asyncio
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Annotated, TypeAlias

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from tintype import app as server
from tintype import config
from tintype.cli import presence
from tintype.cli.logs import tell
from tintype.cli.reach import Data, configured, database_url, run, server_url, where
from tintype.cli.telling import Output, err, out, print_values
from tintype.cli.trouble import told_of
from tintype.config import Config
from tintype.errors import OperatorError

Verbose: TypeAlias = Annotated[
    bool, Parameter(help="Tell of every job too.", negative="", show_default=False)
]
Port: TypeAlias = Annotated[
    int | None,
    Parameter(help="Port to listen on (default 54321).", validator=Number(gte=1, lte=65535)),
]


def serve(
    *,
    data: Data = None,
    port: Port = None,
    host: Annotated[str | None, Parameter(help="Address to listen on (default 127.0.0.1).")] = None,
    verbose: Verbose = False,
) -> None:
    """Serve the API with its database and a worker, until Ctrl-C.

    Prints the URL, the API keys and a call that works. Ctrl-C or SIGTERM drains:
    running jobs get time to end, the rest go back to the queue and are taken up
    at the next start.

    For example:
      tintype serve
      tintype serve --data /var/lib/tintype --host 0.0.0.0 --port 8000
    """
    chosen = config.load(data=data, port=port, host=host)
    tell(verbose=verbose)
    if chosen.is_development:
        err.print(
            "warning: development mode: whoever reaches this machine's loopback may make pictures"
            " without a key (generate-admin-image)"
        )
    run(keep_up(chosen, lambda url: _greet(chosen, url)))


async def keep_up(chosen: Config, ready: Callable[[str], None]) -> None:
    """Serve as the only server of the data folder; commands find it while it lives.

    Raises `OperatorError` `server_runs` when there is one already.
    """
    folder = chosen.data

    def announce(url: str) -> None:
        presence.announce(folder, url)
        ready(url)

    async with presence.alone(folder, patient=False) as other:
        if other is not None:
            raise OperatorError(
                "server_runs",
                f"A server runs on {folder} already: {other.url or 'it is starting'}"
                f" (process {other.pid}).",
                hint=f"Stop it with `kill {other.pid}`, or choose another folder with --data.",
            )
        with presence.announced(folder), told_of(chosen):
            await server.serve(chosen, ready=announce)


def worker(*, data: Data = None, verbose: Verbose = False) -> None:
    """Work on jobs beside a server, on as many machines as wanted.

    With DATABASE_URL it works for any server of that database, else for the one
    that runs on --data. Ctrl-C or SIGTERM drains, as in `tintype serve`.
    """
    chosen = configured(data)
    tell(verbose=verbose)

    async def work() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        with told_of(chosen):
            async with server.open_worker(chosen) as one:
                for number in (signal.SIGTERM, signal.SIGINT):
                    loop.add_signal_handler(number, stopping.set)
                err.print(f"worker {one.name} is ready")
                await one.run_until(stopping)

    run(work())


def status(*, data: Data = None, output: Output = "env") -> None:
    """Print the URLs and keys of the running server.

    They are named as the Supabase CLI names them. Exits 1 when no server runs.

    For example:
      eval "$(tintype status)" && curl "$API_URL/auth/v1/health"
      tintype status -o json
    """
    chosen = configured(data)
    url = server_url(chosen)
    values = {
        "API_URL": url,
        "DB_URL": database_url(chosen),
        **key_values(chosen),
        "JWKS_URL": f"{url}/auth/v1/.well-known/jwks.json",
    }
    print_values(values, output)


def key_values(chosen: Config) -> dict[str, str]:
    """Return the API keys of a data folder, named as the Supabase CLI names them."""
    found = server.open_keys(chosen)
    return {
        "ANON_KEY": found.anon_key,
        "SERVICE_ROLE_KEY": found.service_role_key,
        "PUBLISHABLE_KEY": found.publishable_key,
        "SECRET_KEY": found.secret_key,
    }


def _greet(chosen: Config, url: str) -> None:
    out.print(Text(f"Tintype is ready on {url}", style="bold"))
    out.print()
    for name, value in key_values(chosen).items():
        out.print(f"  {name.lower().replace('_', ' '):<17} {value}")
    here = where(chosen)
    out.print("\nAsk for pictures, as a user with credits:\n")
    # From a checkout the command is not on the PATH; the sample has to work as it is pasted.
    program = "tintype" if shutil.which("tintype") else shlex.quote(sys.argv[0])
    out.print(f"  {program} users add you@example.com --credits 20{here}")
    out.print(f"  TOKEN=$({program} users token you@example.com{here})")
    out.print(f"  curl {url}/functions/v1/generate-image \\")
    out.print('    -H "Authorization: Bearer $TOKEN" -H "Prefer: wait=30" --json \\')
    out.print("""    '{"prompt": "a robot holding a skateboard", "quantity": 4}'\n""")
