"""A folder becomes a running Postgres, whatever happened to it before."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from tintype import events
from tintype.database import embedded, launch
from tintype.database import log as log_file
from tintype.database.embedded import EmbeddedPostgres, find_embedded, start_embedded
from tintype.errors import OperatorError

ROOT = os.geteuid() == 0
NOBODY = 65534
# fsync only matters when the machine itself dies, which no test can do.
FAST = {"fsync": "off"}
Start = Callable[..., EmbeddedPostgres]

STARTS_AND_WAITS = """
import sys, time
from pathlib import Path
from tintype.database.embedded import start_embedded
print(start_embedded(Path(sys.argv[1]), settings={"fsync": "off"}).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "data" / "postgres"
    yield folder
    running = launch.read_postmaster(folder)
    if running is not None:
        os.kill(running.pid, signal.SIGQUIT)
        wait_until(lambda: launch.read_postmaster(folder) is None)
    for pid in launch.orphans(folder):
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    started: list[EmbeddedPostgres] = []

    def start(**options: object) -> EmbeddedPostgres:
        settings = FAST | options.pop("settings", {})  # type: ignore[operator]
        started.append(start_embedded(folder, settings=settings, **options))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for server in started:
        server.stop()


def wait_until(condition: Callable[[], bool], seconds_max: float = 30) -> None:
    deadline = time.monotonic() + seconds_max
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


async def execute(server: EmbeddedPostgres, *statements: str) -> None:
    connection = await asyncpg.connect(server.url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def value(server: EmbeddedPostgres, query: str) -> object:
    connection = await asyncpg.connect(server.url)
    answer = await connection.fetchval(query)
    await connection.close()
    return answer


def child(folder: Path, *prefix: str) -> "subprocess.Popen[str]":
    """Start a process that starts the server, in a process group of its own."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", STARTS_AND_WAITS, str(folder)],
        env={"PATH": os.defpath, "PYTHONPATH": str(Path(embedded.__file__).parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd="/",
    )


async def test_an_empty_place_becomes_a_running_postgres_18(start: Start, folder: Path) -> None:
    seen: list[tuple[str, dict[str, object]]] = []
    unsubscribe = events.subscribe(lambda name, fields: seen.append((name, fields)))
    try:
        server = start()
    finally:
        unsubscribe()
    assert server.owned and not server.recovered and server.version.startswith("18.")
    assert await value(server, "show server_encoding") == "UTF8"
    assert await value(server, "show wal_level") == "logical"
    assert await value(server, "select upper('ä')") == "Ä"
    assert seen == [
        (
            "DatabaseStarted",
            {"version": server.version, "port": server.port, "recovered": False},
        )
    ]


async def test_only_loopback_and_only_the_password_open_it(start: Start, folder: Path) -> None:
    server = start()
    assert await value(server, "show listen_addresses") == "127.0.0.1"
    assert await value(server, "show unix_socket_directories") == ""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres")
    assert "postgresql" not in repr(server)
    assert stat.S_IMODE((folder / "tintype.password").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_stopped_server_keeps_its_rows_password_and_port(start: Start) -> None:
    first = start()
    await execute(first, "create table kept (n int)", "insert into kept values (7)")
    first.stop()
    first.stop()
    assert not first.owned and find_embedded(first.folder) is None
    second = start()
    assert (second.url, second.recovered) == (first.url, False)
    assert await value(second, "select n from kept") == 7


async def test_a_setting_made_with_alter_system_wins_over_ours(start: Start) -> None:
    server = start(settings={"work_mem": "5MB"})
    assert await value(server, "show work_mem") == "5MB"
    await execute(server, "alter system set work_mem = '6MB'")
    server.stop()
    assert await value(start(settings={"work_mem": "5MB"}), "show work_mem") == "6MB"


def test_a_taken_port_is_left_alone_and_the_new_one_is_kept(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = start(port=port)
        assert server.port != port
        server.stop()
        assert start().port == server.port


def test_a_port_taken_between_the_look_and_the_start_is_no_failure(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(embedded, "_port_wanted", lambda folder, port: port)
        assert start(port=port).port != port


@pytest.mark.parametrize("left", ["9999999", "ours", "", "not a number"])
def test_a_stale_pid_file_does_not_stop_the_start(start: Start, folder: Path, left: str) -> None:
    start().stop()
    left = str(os.getpid()) if left == "ours" else left
    (folder / "postmaster.pid").write_text(f"{left}\n{folder}\n1700000000\n54322\n\n\n\n")
    if not left.isdigit():
        (folder / "postmaster.pid").write_text(left)
    assert start().owned


async def test_a_killed_postmaster_comes_back_with_every_committed_row(start: Start) -> None:
    server = start()
    await execute(server, "create table kept (n int)", "insert into kept values (7)")
    before = (server.pid, server.url)
    assert not server.revive()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.running)
    assert server.revive()
    assert server.recovered and server.pid != before[0] and server.url == before[1]
    assert await value(server, "select n from kept") == 7


@pytest.mark.skipif(sys.platform != "linux", reason="orphans are found through /proc")
async def test_a_busy_backend_that_outlived_its_postmaster_is_ended(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "ORPHAN_SECONDS_MAX", 0.1)
    server = start()
    await execute(server, "create table kept (n int)", "insert into kept values (7)")
    connection = await asyncpg.connect(server.url)
    busy = subprocess.Popen(
        [launch.programs() / "psql", "-c", "do $$ begin loop end loop; end $$", server.url],
        stderr=subprocess.DEVNULL,
    )
    query = "select pid from pg_stat_activity where query like 'do %' and state = 'active'"
    while (backend := await connection.fetchval(query)) is None:
        pass
    os.kill(server.pid, signal.SIGKILL)
    connection.terminate()
    wait_until(lambda: not server.running)
    assert backend in launch.orphans(folder)
    assert server.revive()
    busy.wait()
    assert not launch.alive(backend)
    assert await value(server, "select n from kept") == 7


async def test_everything_killed_at_once_loses_nothing(start: Start, folder: Path) -> None:
    owner = child(folder)
    assert owner.stdout is not None
    pids = [owner.pid, int(owner.stdout.readline())]
    first = find_embedded(folder)
    assert first is not None
    connection = await asyncpg.connect(first.url)
    await connection.execute("create table kept (n int); insert into kept values (7)")
    pids += [row["pid"] for row in await connection.fetch("select pid from pg_stat_activity")]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    connection.terminate()
    owner.communicate()
    second = start()
    assert second.recovered and second.owned
    assert await value(second, "select n from kept") == 7


async def test_an_owner_killed_while_it_starts_leaves_nothing_in_the_way(
    start: Start, folder: Path
) -> None:
    start().stop()
    for _ in range(3):
        owner = child(folder)
        wait_until(lambda: launch.read_postmaster(folder) is not None)
        owner.kill()
        owner.communicate()
        server = start()
        assert server.owned
        assert await value(server, "select 1") == 1
        server.stop()


def test_a_server_that_outlived_its_owner_is_taken_over(start: Start, folder: Path) -> None:
    owner = child(folder)
    assert owner.stdout is not None
    pid = int(owner.stdout.readline())
    assert not start_embedded(folder).owned
    owner.kill()
    owner.communicate()
    server = start()
    assert (server.pid, server.owned, server.recovered) == (pid, True, False)
    server.stop()
    assert launch.read_postmaster(folder) is None


async def test_a_second_user_of_a_live_server_cannot_stop_it(start: Start) -> None:
    first, second = start(), start()
    found = find_embedded(first.folder)
    assert found is not None
    assert (first.owned, second.owned, found.owned) == (True, False, False)
    second.stop()
    found.stop()
    assert await value(first, "select 1") == 1


def test_two_processes_that_start_at_once_share_one_server(folder: Path) -> None:
    both = [child(folder), child(folder)]
    pids = {int(process.stdout.readline()) for process in both if process.stdout}
    assert len(pids) == 1
    for process in both:
        process.kill()
        process.communicate()


def test_an_initdb_killed_half_way_is_made_again(start: Start, folder: Path) -> None:
    process = child(folder)
    wait_until(lambda: any(folder.parent.glob(".postgres.new-*/cluster/PG_VERSION")))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not folder.exists()
    assert start().owned
    assert sorted(path.name for path in folder.parent.iterdir()) == ["postgres", "postgres.lock"]


@pytest.mark.parametrize("major", ["17", "19"])
def test_another_major_version_is_refused_by_name(folder: Path, major: str) -> None:
    folder.mkdir(parents=True)
    (folder / "PG_VERSION").write_text(f"{major}\n")
    with pytest.raises(OperatorError, match=f"Postgres {major}, and this is Postgres 18") as caught:
        start_embedded(folder)
    assert caught.value.code == "postgres_folder_major"
    assert [path.name for path in folder.iterdir()] == ["PG_VERSION"]


def test_a_folder_of_another_user_is_refused_untouched(folder: Path) -> None:
    if ROOT:
        folder.mkdir(parents=True)
        os.chown(folder, NOBODY, NOBODY)
    else:
        folder = Path("/usr")
    for attempt in (start_embedded, find_embedded):
        with pytest.raises(OperatorError) as caught:
            attempt(folder)
        assert caught.value.code == "postgres_folder_owner"
        assert caught.value.hint is not None and "chown" in caught.value.hint


def test_a_folder_with_other_files_is_refused_untouched(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(OperatorError) as caught:
        start_embedded(folder)
    assert caught.value.code == "postgres_folder_foreign"
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_what_the_server_said_is_shown_and_the_folder_stays_usable(
    start: Start, folder: Path
) -> None:
    with pytest.raises(OperatorError, match="invalid value for parameter") as caught:
        start(settings={"shared_buffers": "a lot"})
    assert caught.value.code == "postgres_start_failed"
    assert start().owned


def test_a_full_disk_is_called_by_its_name(folder: Path) -> None:
    folder.parent.mkdir(parents=True)
    mounted = (
        ROOT
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=8m", "tintype-test", folder.parent],
            capture_output=True,
        ).returncode
    )
    if not mounted:
        pytest.skip("a small file system can only be mounted by root")
    try:
        with pytest.raises(OperatorError) as caught:
            start_embedded(folder)
        assert caught.value.code == "postgres_disk_full"
        assert [path.name for path in folder.parent.iterdir()] == ["postgres.lock"]
    finally:
        subprocess.run(["umount", folder.parent], check=True)


def test_the_log_is_cut_while_the_server_goes_on_writing(
    start: Start, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start()
    log = folder / "tintype.log"
    monkeypatch.setattr(log_file, "BYTES_MAX", 10_000)
    with log.open("ab") as file:
        file.write(b"x" * 50_000 + b"the newest line\n")
    server.trim_log()
    assert log.stat().st_size <= 10_000
    assert log.read_bytes().endswith(b"the newest line\n")
    server.stop()
    assert b"\0" not in log.read_bytes()
    assert b"database system is shut down" in log.read_bytes()


def test_it_works_below_a_folder_that_only_its_owner_may_enter(start: Start, folder: Path) -> None:
    folder.parent.mkdir(mode=0o700, parents=True)
    assert start().owned
    assert folder.stat().st_uid == os.geteuid()


@pytest.mark.skipif(not ROOT, reason="only root is refused by Postgres")
def test_root_without_user_namespaces_is_told_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.parent.mkdir(mode=0o700, parents=True)
    monkeypatch.setattr(launch, "_works", lambda account: not account.prefix)
    with pytest.raises(OperatorError, match="may not pass through") as caught:
        start_embedded(folder)
    assert caught.value.code == "postgres_root_refused"
    assert not folder.exists()


@pytest.mark.skipif(not ROOT, reason="the other tests run as an ordinary user already")
def test_an_ordinary_user_needs_nothing_special() -> None:
    setpriv = shutil.which("setpriv")
    prefix = [str(setpriv), f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    place = Path(tempfile.mkdtemp(prefix="tintype-"))
    os.chown(place, NOBODY, NOBODY)
    try:
        probe = [*prefix, sys.executable, "-c", "import tintype.database"]
        environment = {"PYTHONPATH": str(Path(embedded.__file__).parents[2])}
        if setpriv is None or subprocess.run(probe, env=environment, cwd="/").returncode:
            pytest.skip("another user may not enter the virtual environment")
        process = child(place / "postgres", *prefix)
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        assert (place / "postgres").stat().st_uid == NOBODY
        os.kill(pid, signal.SIGINT)
        process.kill()
        process.communicate()
        wait_until(lambda: launch.read_postmaster(place / "postgres") is None)
    finally:
        shutil.rmtree(place)
