"""Whatever the Hub does, a failure says what to do, and the next try ends in one repository."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.identities.hub_tree import MESSAGE, NAME, REPOSITORY, held, hub_of, make_tree
from tests.support.hub_server import HubServer
from tintype.config import IdentitiesConfig
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Transient
from tintype.identities.hub import open_hub
from tintype.identities.hub.hub import CHILD, child_environment
from tintype.identities.hub.refusals import refusal

ROOT = Path(__file__).parent.parent.parent
STAGES = ("whoami", "create", "info", "tree", "validate_yaml", "preupload", "lfs_put", "commit")
DEADLINE_SECONDS = 20


@pytest.fixture
async def server() -> AsyncIterator[HubServer]:
    async with HubServer() as server:
        yield server


def children(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found}


@pytest.fixture
def homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder that children have their homes in."""
    folder = tmp_path / "homes"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


async def expect(kind: type[ProviderError], code: str, call: Any) -> ProviderError:
    with pytest.raises(kind) as caught:
        await call
    assert caught.value.code == code
    assert "hf_" not in f"{caught.value.message}"
    return caught.value


@pytest.mark.parametrize(
    ("route", "status", "said", "kind", "code"),
    [
        ("create", 403, "You don't have the rights", Misconfigured, "hub_forbidden"),
        ("commit", 403, "Private storage limit reached", Misconfigured, "hub_storage_full"),
        ("create", 402, "Payment required", Misconfigured, "hub_storage_full"),
        ("create", 404, "Not found", Misconfigured, "hub_not_there"),
        ("create", 400, "Invalid name", Invalid, "hub_refused"),
        ("preupload", 413, "Payload too large", Invalid, "hub_refused"),
        ("lfs_put", 403, "storage quota exceeded", Misconfigured, "hub_storage_full"),
        ("whoami", 500, "Internal error", Transient, "hub_unreachable"),
        ("lfs_batch", 422, "Bad object", Invalid, "hub_refused"),
    ],
)  # fmt: skip
async def test_every_status_says_what_to_do(
    server: HubServer,
    tmp_path: Path,
    route: str,
    status: int,
    said: str,
    kind: type[ProviderError],
    code: str,
) -> None:
    server.fault(route, times=9, status=status, error=said)
    error = await expect(
        kind, code, hub_of(server).publish(NAME, make_tree(tmp_path), message=MESSAGE)
    )
    assert said in error.message or route in ("whoami", "create")
    assert sum(len(server.titles(repo)) for repo in server.repositories.by_id) == 0


async def test_a_wrong_token_is_the_operators_to_mend(server: HubServer, tmp_path: Path) -> None:
    hub = hub_of(server, huggingface_token="hf_wrong")
    calls = [
        hub.publish(NAME, make_tree(tmp_path), message=MESSAGE),
        hub.remove(REPOSITORY),
        hub.listing(REPOSITORY),
    ]
    for call in calls:
        error = await expect(Misconfigured, "hub_unauthorized", call)
        assert error.hint is not None and "HUGGINGFACE_TOKEN" in error.hint
    assert server.repositories.by_id == {}


def test_without_a_token_there_is_no_hub() -> None:
    assert open_hub(IdentitiesConfig()) is None


async def test_a_namespace_that_is_not_ours_is_the_operators_to_mend(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    error = await expect(
        Misconfigured,
        "hub_forbidden",
        hub_of(server, namespace="google").publish(NAME, files, message=MESSAGE),
    )
    assert "namespace" in error.message
    await expect(
        Misconfigured,
        "hub_name_invalid",
        hub_of(server, namespace="--no--").publish(NAME, files, message=MESSAGE),
    )


async def test_an_address_that_is_no_hub_is_told_apart_from_a_missing_repository(
    server: HubServer,
) -> None:
    for call in ("delete", "tree"):
        server.fault(call, status=404, error="No such page", times=9)
    hub = hub_of(server)
    await expect(Misconfigured, "hub_not_there", hub.remove(REPOSITORY))
    with pytest.raises(Transient):
        await hub.listing(REPOSITORY)


async def test_a_hub_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    async with HubServer() as server:
        hub = hub_of(server)
    await expect(
        Transient, "hub_unreachable", hub.publish(NAME, make_tree(tmp_path), message=MESSAGE)
    )


async def test_nothing_is_sent_to_a_repository_that_is_public(
    server: HubServer, tmp_path: Path
) -> None:
    server.repositories.create("tester", NAME, private=False)
    await expect(
        Misconfigured,
        "hub_repository_public",
        hub_of(server).publish(NAME, make_tree(tmp_path), message=MESSAGE),
    )
    assert server.titles(REPOSITORY) == []
    assert server.count("preupload") == 0


async def test_a_card_that_the_hub_refuses_is_told_before_anything_is_sent(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    files[-1].local.write_text("---\nlicense: [unclosed\n---\n")
    await expect(Invalid, "hub_refused", hub_of(server).publish(NAME, files, message=MESSAGE))
    assert server.count("lfs_put") == 0


@pytest.mark.parametrize(
    ("route", "status", "headers", "seconds"),
    [
        ("preupload", 429, {"ratelimit": '"api";r=0;t=300'}, 300),
        ("lfs_put", 429, {"retry-after": "3000"}, 3000),
        ("commit", 429, {"retry-after": "5"}, 5),
        ("whoami", 429, {}, 60),
        ("tree", 503, {"retry-after": "120"}, 120),
    ],
)
async def test_a_long_wait_is_handed_to_the_queue(
    server: HubServer,
    tmp_path: Path,
    route: str,
    status: int,
    headers: dict[str, str],
    seconds: float,
) -> None:
    files = make_tree(tmp_path)
    server.fault(route, status=status, headers=headers, times=99)
    hub = hub_of(server)
    error = await expect(Quota, "quota", hub.publish(NAME, files, message=MESSAGE))
    assert isinstance(error, Quota)
    assert error.retry_after_seconds == seconds
    server.reset()
    await hub.publish(NAME, files, message=MESSAGE)
    assert server.titles(REPOSITORY) == [MESSAGE]


async def test_a_short_wait_is_waited(server: HubServer, tmp_path: Path) -> None:
    server.fault("preupload", status=429, headers={"retry-after": "0"})
    server.fault("lfs_put", status=503)
    await hub_of(server).publish(NAME, make_tree(tmp_path), message=MESSAGE)
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.count("preupload") == 2
    assert server.count("lfs_put") == 4


async def test_another_operation_in_progress_is_waited_for_and_given_up(
    server: HubServer, tmp_path: Path
) -> None:
    busy = "Cannot create repo: another conflicting operation is in progress"
    files = make_tree(tmp_path)
    hub = hub_of(server)
    server.fault("create", status=409, error=busy, times=1)
    await hub.publish(NAME, files, message=MESSAGE)
    assert server.count("create") == 2
    server.fault("create", status=409, error=busy, times=99)
    await expect(Transient, "hub_busy", hub.publish(NAME, files, message=MESSAGE))
    assert server.count("create") < 10


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_commit_whose_answer_is_lost_is_made_exactly_once(
    server: HubServer, tmp_path: Path, drop: str
) -> None:
    files = make_tree(tmp_path)
    server.fault("commit", drop=drop)
    published = await hub_of(server).publish(NAME, files, message=MESSAGE)
    assert published.made_commit
    assert published.commit == server.repositories.find(REPOSITORY).head.oid
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.files(REPOSITORY) == held(files)
    assert server.count("commit") == (2 if drop == "before" else 1)


@pytest.mark.parametrize("drop", ["before", "after"])
async def test_a_creation_whose_answer_is_lost_is_repeated(
    server: HubServer, tmp_path: Path, drop: str
) -> None:
    files = make_tree(tmp_path)
    server.fault("create", drop=drop)
    hub = hub_of(server)
    await expect(Transient, "hub_unreachable", hub.publish(NAME, files, message=MESSAGE))
    await hub.publish(NAME, files, message=MESSAGE)
    assert list(server.repositories.by_id) == [REPOSITORY]
    assert server.titles(REPOSITORY) == [MESSAGE]


@pytest.mark.parametrize("stage", STAGES)
async def test_a_publication_that_was_killed_anywhere_is_finished_by_the_next(
    server: HubServer, tmp_path: Path, homes: Path, stage: str
) -> None:
    files = make_tree(tmp_path)
    hub = hub_of(server)
    before = children(os.getpid())
    server.fault(stage, hang=True)
    task = asyncio.create_task(hub.publish(NAME, files, message=MESSAGE))
    await server.came(stage)
    (child,) = children(os.getpid()) - before
    os.kill(child, signal.SIGKILL)
    await expect(Transient, "hub_client_failed", task)
    server.reset()
    await hub.publish(NAME, files, message=MESSAGE)
    assert list(server.repositories.by_id) == [REPOSITORY]
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.files(REPOSITORY) == held(files)
    assert list(homes.iterdir()) == []


async def test_a_commit_that_is_made_after_its_maker_died_is_found_by_the_next(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    hub = hub_of(server)
    server.fault("commit", hold=True)
    task = asyncio.create_task(hub.publish(NAME, files, message=MESSAGE))
    await server.came("commit")
    task.cancel()
    await asyncio.wait([task])
    server.release()
    published = await hub.publish(NAME, files, message=MESSAGE)
    assert not published.made_commit
    assert server.titles(REPOSITORY) == [MESSAGE]


async def test_canceling_ends_the_child_and_leaves_nothing(
    server: HubServer, tmp_path: Path, homes: Path
) -> None:
    before = children(os.getpid())
    server.fault("lfs_batch", hang=True)
    task = asyncio.create_task(hub_of(server).publish(NAME, make_tree(tmp_path), message=MESSAGE))
    await server.came("lfs_batch")
    assert len(children(os.getpid()) - before) == 1
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert children(os.getpid()) <= before
    assert list(homes.iterdir()) == []


async def test_a_hub_that_hangs_is_given_up_in_time(server: HubServer, tmp_path: Path) -> None:
    before = children(os.getpid())
    server.fault("commit", hang=True)
    hub = hub_of(server, publish_seconds_max=2)
    await expect(Transient, "hub_timeout", hub.publish(NAME, make_tree(tmp_path), message=MESSAGE))
    assert children(os.getpid()) <= before


async def test_the_child_ends_with_the_server(server: HubServer, tmp_path: Path) -> None:
    files = [[file.path, str(file.local)] for file in make_tree(tmp_path)]
    script = tmp_path / "publisher.py"
    script.write_text(
        "import asyncio, json, sys\nfrom pathlib import Path\n"
        "from tintype.identities.hub import Hub, RepoFile\n"
        "given = json.loads(sys.argv[1])\n"
        "files = [RepoFile(path, Path(local)) for path, local in given['files']]\n"
        "hub = Hub(token=given['token'], endpoint=given['url'])\n"
        "asyncio.run(hub.publish(given['name'], files, message='m'))\n"
    )
    given = {"url": server.url, "token": server.token, "name": NAME, "files": files}
    server.fault("lfs_batch", hang=True)
    publisher = await asyncio.create_subprocess_exec(
        sys.executable,
        str(script),
        json.dumps(given),
        env={"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    )
    await server.came("lfs_batch")
    (child,) = children(publisher.pid)
    arguments = Path(f"/proc/{child}/cmdline").read_bytes()
    environment = Path(f"/proc/{child}/environ").read_bytes()
    assert server.token.encode() not in arguments + environment
    assert b"HF_HUB_DISABLE_XET=1" in environment
    publisher.kill()
    await publisher.wait()
    async with asyncio.timeout(DEADLINE_SECONDS):
        while Path(f"/proc/{child}/cmdline").exists() and not is_zombie(child):
            await asyncio.sleep(0.02)
        while list(tmp_path.glob("tintype-hub-*")):
            await asyncio.sleep(0.02)


def is_zombie(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    return True


async def ask_child(*options: str, environment: dict[str, str], request: dict[str, Any]) -> Any:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *options,
        str(CHILD),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(json.dumps(request).encode() + b"\n")
    answer = json.loads(await child.stdout.read())
    await child.wait()
    return answer


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, Misconfigured, "hub_unauthorized"),
        (403, Misconfigured, "hub_forbidden"),
        (429, Quota, "quota"),
        (500, Transient, "hub_unreachable"),
    ],
)
async def test_what_xet_says_only_in_words_is_understood(
    server: HubServer, tmp_path: Path, status: int, kind: type[ProviderError], code: str
) -> None:
    environment = child_environment(server.url, tmp_path)
    del environment["HF_HUB_DISABLE_XET"]
    server.fault("xet_token", status=status, times=99)
    request = {
        "verb": "publish",
        "endpoint": server.url,
        "token": server.token,
        "namespace": None,
        "name": NAME,
        "home": str(tmp_path / "home"),
        "files": [[file.path, str(file.local)] for file in make_tree(tmp_path)],
        "message": MESSAGE,
    }
    answer = await ask_child("-P", environment=environment, request=request)
    error = refusal(answer["trouble"])
    assert isinstance(error, kind)
    assert error.code == code
    assert server.titles(REPOSITORY) == []


async def test_a_server_without_the_hubs_client_says_how_to_install_it(tmp_path: Path) -> None:
    answer = await ask_child("-P", "-S", "-E", environment={}, request={})
    error = refusal(answer["trouble"])
    assert isinstance(error, Misconfigured)
    assert error.code == "hub_client_missing"
    assert error.hint is not None and "pip install" in error.hint


async def test_the_child_reads_nothing_of_the_server() -> None:
    listed = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-c",
        f"import sys, runpy; runpy.run_path({str(CHILD)!r}, run_name='child'); "
        "print(any(name.split('.')[0] == 'tintype' for name in sys.modules))",
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
    output, _ = await listed.communicate()
    assert output.strip() == b"False"


async def test_files_that_went_away_are_not_blamed_on_the_hub(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    files[0].local.unlink()
    await expect(
        Transient, "hub_client_failed", hub_of(server).publish(NAME, files, message=MESSAGE)
    )
    assert server.repositories.by_id == {}
