"""The `tintype` command.

Each command is a function of a module here, imported when it is called: `tintype --help` loads
neither the server nor its libraries.
"""

import os
import sys
from collections.abc import Sequence

from cyclopts import App

from tintype import __version__

__all__ = ["COMMANDS", "main"]

# Name → (where it is, what its docstring or App says first).
COMMANDS = {
    "serve": ("serving:serve", "Serve the API with its database and a worker, until Ctrl-C."),
    "worker": ("serving:worker", "Work on jobs beside a server, on as many machines as wanted."),
    "workers": ("outside:workers", "Let workers on other machines in, list them, shut them out."),
    "gpu-worker": (
        "gpu:gpu_worker",
        "Make pictures and video, and train, on this machine's GPU for a server anywhere.",
    ),
    "status": ("serving:status", "Print the URLs and keys of the running server."),
    "demo": ("demo:demo", "Run one job from the request to the stored pictures, with no keys."),
    "generate": ("generating:generate", "Ask the running server for pictures and download them."),
    "jobs": ("work:work", "Look at jobs, cancel them, run them again."),
    "identities": ("persons:identities", "Look at trained identities, and remove them."),
    "users": ("people:users", "Add and list users, and make tokens for them."),
    "credits": ("money:money", "Look at credits and grant them."),
    "ledger": ("operate:ledger", "Prove that the money adds up."),
    "migrate": ("operate:migrate", "Bring the database to this version's shape."),
    "keys": ("operate:keys", "Print the API keys of a data folder."),
    "openapi": ("operate:openapi", "Print the OpenAPI document of this project's functions."),
    "doctor": ("doctor:doctor", "Check the machine, the database, the providers and the queues."),
}
HELP = """The backend for apps that make images and video and train identity models.

See it work:
  tintype demo
Keep it up, and ask it for pictures:
  tintype serve
  tintype users add you@example.com --credits 20
  tintype generate "a robot holding a skateboard" --user you@example.com

DATABASE_URL replaces the embedded Postgres.
supabase/config.toml holds the settings."""
INTERRUPTED = 130


def main(words: Sequence[str] | None = None) -> None:
    """Run one command; an expected trouble is a sentence and what to do, never a traceback."""
    words = sys.argv[1:] if words is None else words
    try:
        try:
            _app(words)(words)
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        if isinstance(error, OSError):
            _forget_output()
        if isinstance(error, BrokenPipeError):  # whoever read our output has seen enough
            sys.exit(1)
        from tintype.cli.telling import stop
        from tintype.cli.trouble import explain

        told = explain(error)
        if told is None:
            raise
        stop(told.message, hint=told.hint)


def _app(words: Sequence[str]) -> App:
    app = App(
        name="tintype",
        version=__version__,
        help=HELP,
        help_format="plaintext",
        result_action="return_value",
    )
    for order, (name, (place, summary)) in enumerate(COMMANDS.items()):
        # The command that is called tells its own, longer help.
        told = None if name in words else summary
        app.command(f"{__name__}.{place}", name=name, help=told, sort_key=order)
    return app


def _forget_output() -> None:
    """Drop what cannot be written, so that the interpreter does not try again at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
