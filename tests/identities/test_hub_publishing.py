"""An identity's files lie in one private repository on the Hub, byte for byte, in one commit."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from tests.identities.hub_tree import MESSAGE, NAME, REPOSITORY, held, hub_of, make_tree
from tests.support.hub_server import HubServer
from tintype.identities.hub import Hub, RepoFile, card


@pytest.fixture
async def server() -> AsyncIterator[HubServer]:
    async with HubServer(organizations=("studio",)) as server:
        yield server


async def test_a_tree_is_published_privately_in_one_commit(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    published = await hub_of(server).publish(NAME, files, message=MESSAGE)
    repository = server.repositories.find(REPOSITORY)
    assert published.repo_id == REPOSITORY
    assert published.url == f"{server.url}/{REPOSITORY}"
    assert published.commit == repository.head.oid
    assert published.made_commit
    assert repository.private
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.files(REPOSITORY) == held(files)
    large = {path for path, file in repository.head.files.items() if file.large}
    assert large == {f"images/image_{number:03d}.jpg" for number in (1, 2, 3)}


async def test_what_is_published_is_read_back_by_the_hubs_own_client(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    await hub_of(server).publish(NAME, files, message=MESSAGE)
    api = HfApi(endpoint=server.url, token=server.token)
    fetched = await asyncio.to_thread(
        api.hf_hub_download, REPOSITORY, "images/image_002.jpg", cache_dir=tmp_path / "cache"
    )
    assert Path(fetched).read_bytes() == held(files)["images/image_002.jpg"]


async def test_publishing_again_commits_nothing(server: HubServer, tmp_path: Path) -> None:
    files = make_tree(tmp_path)
    hub = hub_of(server)
    first = await hub.publish(NAME, files, message=MESSAGE)
    again = await hub.publish(NAME, files, message=MESSAGE)
    assert not again.made_commit
    assert again.commit == first.commit
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.count("whoami") == 1


async def test_the_adapter_joins_the_pictures_in_a_commit_of_its_own(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    hub = hub_of(server)
    await hub.publish(NAME, files, message=MESSAGE)
    adapter, readme = tmp_path / "adapter.safetensors", tmp_path / "README.md"
    adapter.write_bytes(os.urandom(50_000))
    readme.write_text(
        card(
            identity_name="John",
            repo_name=REPOSITORY,
            trigger_word="john7f3a",
            base="flux",
            images_count=3,
            params={"steps": 1000, "learning_rate": 0.0004, "resolution": 512},
            adapter=True,
        )
    )
    more = [
        RepoFile("pytorch_lora_weights.safetensors", adapter),
        RepoFile("README.md", readme),
    ]
    published = await hub.publish(REPOSITORY, more, message="Add the trained adapter")
    assert published.made_commit
    assert server.titles(REPOSITORY) == [MESSAGE, "Add the trained adapter"]
    assert server.files(REPOSITORY) == held(files) | held(more)
    assert server.repositories.find(REPOSITORY).head.files[more[0].path].large


async def test_large_files_go_up_in_parts(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter.safetensors"
    adapter.write_bytes(os.urandom(250_000))
    files = [*make_tree(tmp_path), RepoFile("pytorch_lora_weights.safetensors", adapter)]
    async with HubServer(part_bytes=100_000) as server:
        await hub_of(server).publish(NAME, files, message=MESSAGE)
        assert server.files(REPOSITORY) == held(files)
        assert server.count("lfs_part") == 3


async def test_an_organization_may_own_the_repository(server: HubServer, tmp_path: Path) -> None:
    hub = hub_of(server, namespace="studio")
    published = await hub.publish(NAME, make_tree(tmp_path), message=MESSAGE)
    assert published.repo_id == f"studio/{NAME}"
    assert server.count("whoami") == 0


async def test_two_publishers_at_once_make_one_commit(server: HubServer, tmp_path: Path) -> None:
    files = make_tree(tmp_path)
    hubs: list[Hub] = [hub_of(server), hub_of(server)]
    published = await asyncio.gather(*(hub.publish(NAME, files, message=MESSAGE) for hub in hubs))
    assert sorted(one.made_commit for one in published) == [False, True]
    assert {one.commit for one in published} == {server.repositories.find(REPOSITORY).head.oid}
    assert server.titles(REPOSITORY) == [MESSAGE]
    assert server.files(REPOSITORY) == held(files)
    assert list(server.repositories.by_id) == [REPOSITORY]


async def test_the_later_of_two_publishers_is_refused_by_the_head_and_looks_again(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    server.fault("commit", hold=True)
    later = asyncio.create_task(hub_of(server).publish(NAME, files, message="later"))
    await server.came("commit")
    sooner = await hub_of(server).publish(NAME, files, message="sooner")
    server.release()
    published = await later
    assert published.commit == sooner.commit
    assert not published.made_commit
    statuses = [request["status"] for request in server.requests if request["route"] == "commit"]
    assert statuses == [412, 200]
    assert server.titles(REPOSITORY) == ["sooner"]


async def test_a_repository_is_removed_once_and_again(server: HubServer, tmp_path: Path) -> None:
    hub = hub_of(server)
    await hub.publish(NAME, make_tree(tmp_path), message=MESSAGE)
    await hub.remove(NAME)
    assert server.repositories.by_id == {}
    await hub.remove(NAME)
    await hub.remove(REPOSITORY)


async def test_a_listing_names_every_file_or_says_that_there_is_none(
    server: HubServer, tmp_path: Path
) -> None:
    files = make_tree(tmp_path)
    hub = hub_of(server)
    assert await hub.listing(NAME) is None
    await hub.publish(NAME, files, message=MESSAGE)
    assert await hub.listing(NAME) == sorted(file.path for file in files)
