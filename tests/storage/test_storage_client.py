"""What an app does with supabase-py's own client."""

from collections.abc import Awaitable
from pathlib import Path
from uuid import UUID

import pytest
from storage3.exceptions import StorageApiError
from storage_site import JPEG, PNG, Site, token
from supabase import acreate_client

AS_PNG = {"content-type": "image/png"}


async def refusal(call: Awaitable[object]) -> StorageApiError:
    with pytest.raises(StorageApiError) as caught:
        await call
    return caught.value


async def test_an_upload_comes_back_byte_for_byte(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    answer = await files.upload(f"{ada}/cat (one).png", PNG, AS_PNG)
    assert answer.full_path == f"uploads/{ada}/cat (one).png"
    assert await files.download(f"{ada}/cat (one).png") == PNG


async def test_the_whole_supabase_client_uploads_too(site: Site, ada: UUID) -> None:
    client = await acreate_client(site.url, token("anon"))
    client.options.headers["Authorization"] = f"Bearer {token('authenticated', ada)}"
    files = client.storage.from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    assert await files.download(f"{ada}/cat.png") == PNG


async def test_a_second_upload_of_a_name_needs_upsert(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    error = await refusal(files.upload(f"{ada}/cat.png", PNG, AS_PNG))
    assert (error.status, error.code) == ("409", "Duplicate")
    assert error.message == "The resource already exists"
    assert len(site.files()) == 1
    await files.upload(f"{ada}/cat.png", JPEG, {"content-type": "image/jpeg", "upsert": "true"})
    assert await files.download(f"{ada}/cat.png") == JPEG
    assert len(site.files()) == 1


async def test_update_replaces_the_bytes_and_keeps_the_id(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    before = await files.info(f"{ada}/cat.png")
    await files.update(f"{ada}/cat.png", PNG + b"more", AS_PNG)
    after = await files.info(f"{ada}/cat.png")
    assert after["id"] == before["id"]
    assert after["version"] != before["version"]
    assert await files.download(f"{ada}/cat.png") == PNG + b"more"
    assert site.files() == {f"uploads/{ada}/cat.png/{after['version']}"}


async def test_info_tells_size_type_caching_and_the_users_metadata(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    options = {"content-type": "image/png", "cache-control": "60", "metadata": {"mood": "calm ü"}}
    await files.upload(f"{ada}/cat.png", PNG, options)
    info = await files.info(f"{ada}/cat.png")
    assert info["name"] == f"{ada}/cat.png"
    assert info["bucket_id"] == "uploads"
    assert info["size"] == len(PNG)
    assert info["content_type"] == "image/png"
    assert info["cache_control"] == "max-age=60"
    assert info["etag"].startswith('"') and info["etag"].endswith('"')
    assert info["metadata"] == {"mood": "calm ü"}


async def test_exists_is_true_for_what_is_there_and_false_for_what_is_not(
    site: Site, ada: UUID
) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    assert await files.exists(f"{ada}/cat.png")
    assert not await files.exists(f"{ada}/dog.png")


async def test_a_folder_lists_its_folders_and_then_its_files(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    for name in ("b.png", "a.png", "sub/c.png", "sub/d.png", "sub2/deep/e.png"):
        await files.upload(f"{ada}/{name}", PNG, AS_PNG)
    listed = await files.list(str(ada))
    assert [entry["name"] for entry in listed] == ["sub", "sub2", "a.png", "b.png"]
    assert listed[0]["id"] is None and listed[0]["metadata"] is None
    assert listed[2]["metadata"]["size"] == len(PNG)
    assert listed[2]["metadata"]["mimetype"] == "image/png"
    assert [entry["name"] for entry in await files.list(f"{ada}/sub/")] == ["c.png", "d.png"]
    assert [entry["name"] for entry in await files.list()] == [str(ada)]
    assert await files.list(f"{ada}/nothing") == []
    assert await files.list(f"{ada}/../{ada}") == []


async def test_a_listing_is_sorted_searched_and_paged(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    for name in ("cat.png", "Cow.png", "dog.png"):
        await files.upload(f"{ada}/{name}", PNG, AS_PNG)

    async def names(**options: object) -> list[str]:
        return [entry["name"] for entry in await files.list(str(ada), options)]

    assert await names(search="c") == ["Cow.png", "cat.png"]
    assert await names(search="c%") == []
    assert await names(sortBy={"column": "name", "order": "desc"}) == [
        "dog.png",
        "cat.png",
        "Cow.png",
    ]
    assert await names(sortBy={"column": "created_at", "order": "asc"}) == [
        "cat.png",
        "Cow.png",
        "dog.png",
    ]
    assert await names(limit=1, offset=1) == ["cat.png"]


async def test_remove_returns_only_what_it_removed(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    removed = await files.remove([f"{ada}/cat.png", f"{ada}/dog.png", "../x"])
    assert [row["name"] for row in removed] == [f"{ada}/cat.png"]
    assert removed[0]["owner_id"] == str(ada)
    assert site.files() == set()
    assert await site.rows() == set()


async def test_a_signed_url_reads_without_a_token(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat one.png", PNG, AS_PNG)
    signed = await files.create_signed_url(f"{ada}/cat one.png", 60, {"download": "my cat.png"})
    answer = await site.http.get(signed["signedURL"])
    assert answer.content == PNG
    assert "expires" in answer.headers and "cache-control" not in answer.headers
    assert "filename=my%20cat.png" in answer.headers["content-disposition"]


async def test_many_urls_are_signed_and_the_missing_one_is_named(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    there, missing = await files.create_signed_urls([f"{ada}/cat.png", f"{ada}/dog.png"], 60)
    assert there["error"] is None
    assert (await site.http.get(str(there["signedURL"]))).content == PNG
    assert missing["signedURL"] is None
    assert missing["error"] is not None and "does not exist" in missing["error"]


async def test_a_signed_upload_url_uploads_as_the_one_who_asked_for_it(
    site: Site, ada: UUID
) -> None:
    files = site.user(ada).from_("uploads")
    signed = await files.create_signed_upload_url(f"{ada}/cat.png")
    stranger = site.client("anon").from_("uploads")
    await stranger.upload_to_signed_url(f"{ada}/cat.png", signed["token"], PNG, AS_PNG)
    assert await files.download(f"{ada}/cat.png") == PNG
    error = await refusal(
        stranger.upload_to_signed_url(f"{ada}/dog.png", signed["token"], PNG, AS_PNG)
    )
    assert error.code == "InvalidSignature"
    again = await refusal(
        stranger.upload_to_signed_url(f"{ada}/cat.png", signed["token"], PNG, AS_PNG)
    )
    assert again.code == "Duplicate"


async def test_a_signed_upload_is_granted_only_to_who_may_write(
    site: Site, ada: UUID, bob: UUID
) -> None:
    error = await refusal(site.user(bob).from_("uploads").create_signed_upload_url(f"{ada}/x.png"))
    assert (error.status, error.code) == ("403", "Unauthorized")


async def test_move_keeps_the_bytes_and_the_id_under_the_new_name(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, AS_PNG)
    before = await files.info(f"{ada}/cat.png")
    await files.move(f"{ada}/cat.png", f"{ada}/sub/tiger.png")
    assert await files.download(f"{ada}/sub/tiger.png") == PNG
    assert (await files.info(f"{ada}/sub/tiger.png"))["id"] == before["id"]
    assert not await files.exists(f"{ada}/cat.png")
    assert len(site.files()) == 1


async def test_copy_makes_a_second_object(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/cat.png", PNG, {**AS_PNG, "metadata": {"a": 1}})
    copied = await files.copy(f"{ada}/cat.png", f"{ada}/cat2.png")
    assert copied["Key"] == f"uploads/{ada}/cat2.png"
    assert copied["user_metadata"] == {"a": 1}
    await files.remove([f"{ada}/cat.png"])
    assert await files.download(f"{ada}/cat2.png") == PNG


async def test_move_and_copy_onto_what_exists_are_refused(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a.png", PNG, AS_PNG)
    await files.upload(f"{ada}/b.png", JPEG, AS_PNG)
    assert (await refusal(files.move(f"{ada}/a.png", f"{ada}/b.png"))).code == "Duplicate"
    assert (await refusal(files.copy(f"{ada}/a.png", f"{ada}/b.png"))).code == "Duplicate"
    assert await files.download(f"{ada}/b.png") == JPEG
    assert await files.download(f"{ada}/a.png") == PNG
    assert len(site.files()) == 2


async def test_a_public_url_is_read_without_a_token(site: Site, ada: UUID) -> None:
    service = site.service().from_("generations")
    await service.upload(f"{ada}/job/0-x.png", PNG, AS_PNG)
    url = await service.get_public_url(f"{ada}/job/0-x.png")
    assert (await site.http.get(url)).content == PNG


async def test_a_file_from_disk_is_streamed_up(site: Site, ada: UUID, tmp_path: Path) -> None:
    path = tmp_path / "big.png"
    path.write_bytes(PNG + bytes(1_500_000))
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/big.png", path, AS_PNG)
    assert await files.download(f"{ada}/big.png") == path.read_bytes()


async def test_an_object_can_stand_beside_a_folder_of_its_name(site: Site, ada: UUID) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/a", PNG, AS_PNG)
    await files.upload(f"{ada}/a/b", JPEG, AS_PNG)
    assert await files.download(f"{ada}/a") == PNG
    assert await files.download(f"{ada}/a/b") == JPEG
    version = (await files.info(f"{ada}/a"))["version"]
    error = await refusal(files.upload(f"{ada}/a/{version}", PNG, AS_PNG))
    assert (error.status, error.code) == ("400", "InvalidKey")
