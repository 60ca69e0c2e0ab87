"""Does the server come, tell what it is, and go?"""

import os
import signal
import socket
import time
from pathlib import Path

import httpx2
import pytest

from tests.cli.terminal import Shell
from tests.support.processes import free_port
from tintype.cli import presence

NAMES = [
    "API_URL",
    "DB_URL",
    "ANON_KEY",
    "SERVICE_ROLE_KEY",
    "PUBLISHABLE_KEY",
    "SECRET_KEY",
    "JWKS_URL",
]


def get(url: str) -> httpx2.Response:
    return httpx2.get(url, trust_env=False, timeout=30)


def test_the_call_that_serve_prints_works_when_it_is_pasted(shell: Shell) -> None:
    served = shell.serve("--data", "a folder")
    assert served.greeting[0] == f"Tintype is ready on {served.url}"
    assert get(f"{served.url}/auth/v1/health").status_code == 200
    first = next(n for n, line in enumerate(served.greeting) if "users add" in line)
    answer = shell.paste("\n".join(line[2:] for line in served.greeting[first:]))
    user, _, body = answer.out.partition("\n")
    assert user.startswith("you@example.com")
    assert '"status":"completed"' in body
    assert body.count(f"{served.url}/storage/v1/object/public/generations/") >= 4
    keys = shell.run("keys", "--data", "a folder").values()
    assert [line.split()[-1] for line in served.greeting[2:6]] == list(keys.values())


def test_status_can_be_evaluated_by_a_shell_and_names_what_supabase_names(shell: Shell) -> None:
    served = shell.serve()
    found = shell.run("status", "-o", "json").json()
    assert list(found) == NAMES
    assert found["API_URL"] == served.url
    assert get(found["JWKS_URL"]).json()["keys"]
    script = 'eval "$(tintype status)"\n' + "".join(f'printf "%s\\n" "${name}"\n' for name in NAMES)
    assert shell.paste(script).out.splitlines() == list(found.values())


async def test_status_escapes_what_a_shell_would_expand(shell: Shell, database_url: str) -> None:
    shell.serve(DATABASE_URL=database_url)
    odd = 'postgresql://me:a$HOME`id`"b\\c@127.0.0.1:1/x'
    result = shell.paste('eval "$(tintype status)"; printf "%s" "$DB_URL"', DATABASE_URL=odd)
    assert result.out == odd


def test_without_a_server_status_says_how_to_start_one(shell: Shell) -> None:
    result = shell.run("status", code=1)
    assert f"No server runs on {shell.data}" in result.err
    assert "tintype serve" in result.err
    assert result.out == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_gives_unfinished_jobs_back_and_leaves_nothing_running(
    number: signal.Signals, shell: Shell
) -> None:
    served = shell.serve(TINTYPE_SANDBOX_SECONDS="60", TINTYPE_DRAIN_SECONDS="1")
    shell.run("users", "add", "a@example.com", "--credits", "4")
    watching = shell.start("generate", "a robot", "--user", "a@example.com")
    shell.read_until(watching, "0 of 1", stream="stderr")
    ended = shell.end(served.process, number)
    assert ended.code == 0, ended
    assert "Traceback" not in ended.err
    assert shell.postmasters() == []
    assert not (shell.data / "server.json").exists()
    [job] = shell.run("jobs", "list", "--json").json()
    assert (job["status"], job["retries"]) == ("queued", 0)
    assert shell.postmasters() == []


def test_a_signal_while_postgres_starts_leaves_nothing_running(shell: Shell) -> None:
    process = shell.start("serve", "--port", str(free_port()))
    while not (shell.data / "postgres.lock").exists() and process.poll() is None:
        time.sleep(0.01)
    assert shell.end(process).code == 143
    assert shell.postmasters() == []
    assert not (shell.data / "server.json").exists()


def test_a_killed_server_is_not_believed_and_the_next_one_starts_at_once(shell: Shell) -> None:
    served = shell.serve()
    shell.run("users", "add", "a@example.com")
    assert shell.end(served.process, signal.SIGKILL).code == -signal.SIGKILL
    assert (shell.data / "server.json").exists()
    shell.run("status", code=1)
    again = shell.serve()
    assert shell.run("status").values()["API_URL"] == again.url
    assert [user["email"] for user in shell.run("users", "list", "--json").json()] == [
        "a@example.com"
    ]


def test_a_note_with_the_number_of_a_stranger_is_not_believed(shell: Shell) -> None:
    shell.write(".tintype/server.lock", "")
    shell.write(".tintype/server.json", f'{{"url": "http://127.0.0.1:1", "pid": {os.getpid()}}}')
    assert presence.find(shell.data) is None
    shell.run("status", code=1)


def test_a_second_server_on_the_same_folder_is_refused_by_name(shell: Shell) -> None:
    served = shell.serve()
    result = shell.run("serve", "--port", str(free_port()), code=1)
    assert f"A server runs on {shell.data} already: {served.url}" in result.err
    assert f"kill {served.process.pid}" in result.err
    assert get(f"{served.url}/auth/v1/health").status_code == 200
    assert shell.run("status").values()["API_URL"] == served.url


def test_a_port_in_use_stops_the_start_before_anything_runs(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = shell.run("serve", "--port", str(port), code=1)
    assert f"Port {port} of 127.0.0.1 cannot be listened on" in result.err
    assert "--port" in result.err
    assert result.err.count("error") == 1
    assert shell.postmasters() == []
    assert not (shell.data / "server.json").exists()


def test_a_host_that_is_not_ours_is_an_error_of_one_sentence(shell: Shell) -> None:
    result = shell.run("serve", "--host", "192.0.2.1", "--port", str(free_port()), code=1)
    assert "of 192.0.2.1 cannot be listened on" in result.err


def test_a_command_beside_a_server_that_is_just_starting_takes_nothing_from_it(
    shell: Shell,
) -> None:
    port = free_port()
    adding = [shell.start("users", "add", f"{name}@example.com") for name in ("a", "b")]
    served = shell.serve(port=port)
    for process in adding:
        out, err = process.communicate(timeout=200)
        assert process.returncode == 0, err
        assert "@example.com" in out
    assert len(shell.run("users", "list", "--json").json()) == 2
    assert len(shell.postmasters()) == 1
    assert shell.end(served.process).code == 0


def test_a_worker_that_started_postgres_may_leave_and_the_server_goes_on(shell: Shell) -> None:
    worker = shell.start("worker")
    shell.read_until(worker, "is ready", stream="stderr")
    served = shell.serve()
    assert shell.end(worker).code == 0
    pasted = [line[2:] for line in served.greeting if "users add" in line or "TOKEN=" in line]
    assert "you@example.com" in shell.paste("\n".join(pasted)).out
    shell.run("generate", "a robot", "--user", "you@example.com")
    ended = shell.end(served.process)
    assert ended.code == 0, ended.err
    assert shell.postmasters() == []


def test_the_lock_of_a_folder_never_seen_makes_nothing(tmp_path: Path) -> None:
    assert presence.find(tmp_path / "new") is None
    assert not (tmp_path / "new").exists()
