"""Nobody reads, overwrites, lists or deletes what belongs to someone else."""

from collections.abc import Awaitable
from uuid import UUID

import pytest
from storage3._async.file_api import AsyncBucketProxy
from storage3.exceptions import StorageApiError
from storage_site import JPEG, PNG, Site, token

AS_PNG = {"content-type": "image/png"}


@pytest.fixture(params=["another user", "anon"])
def stranger(request: pytest.FixtureRequest, site: Site, bob: UUID) -> AsyncBucketProxy:
    client = site.user(bob) if request.param == "another user" else site.client("anon")
    return client.from_("uploads")


@pytest.fixture
async def picture(site: Site, ada: UUID) -> str:
    await site.user(ada).from_("uploads").upload(f"{ada}/cat.png", PNG, AS_PNG)
    return f"{ada}/cat.png"


async def code_of(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(StorageApiError) as caught:
        await call
    return str(caught.value.status), caught.value.code


async def test_a_stranger_cannot_read_it(stranger: AsyncBucketProxy, picture: str) -> None:
    assert await code_of(stranger.download(picture)) == ("404", "not_found")
    assert await code_of(stranger.info(picture)) == ("404", "not_found")
    assert await code_of(stranger.create_signed_url(picture, 60)) == ("404", "not_found")
    [signed] = await stranger.create_signed_urls([picture], 60)
    assert signed["signedURL"] is None
    assert not await stranger.exists(picture)


async def test_a_stranger_cannot_list_it(
    stranger: AsyncBucketProxy, ada: UUID, picture: str
) -> None:
    assert await stranger.list(str(ada)) == []
    assert await stranger.list() == []


async def test_a_stranger_cannot_overwrite_it(
    stranger: AsyncBucketProxy, site: Site, ada: UUID, picture: str
) -> None:
    denied = ("403", "Unauthorized")
    upsert = {**AS_PNG, "upsert": "true"}
    assert await code_of(stranger.upload(picture, JPEG, AS_PNG)) == denied
    assert await code_of(stranger.upload(picture, JPEG, upsert)) == denied
    assert await code_of(stranger.update(picture, JPEG, AS_PNG)) == denied
    assert await code_of(stranger.upload(f"{ada}/new.png", JPEG, AS_PNG)) == denied
    assert await site.user(ada).from_("uploads").download(picture) == PNG
    assert len(site.files()) == 1


async def test_a_stranger_cannot_remove_or_move_it(
    stranger: AsyncBucketProxy, site: Site, ada: UUID, bob: UUID, picture: str
) -> None:
    assert await stranger.remove([picture]) == []
    assert await code_of(stranger.move(picture, f"{bob}/mine.png")) == ("404", "not_found")
    assert await code_of(stranger.copy(picture, f"{bob}/mine.png")) == ("404", "not_found")
    assert await site.user(ada).from_("uploads").download(picture) == PNG


async def test_a_user_cannot_move_a_picture_into_another_users_folder(
    site: Site, ada: UUID, bob: UUID, picture: str
) -> None:
    files = site.user(ada).from_("uploads")
    assert await code_of(files.move(picture, f"{bob}/cat.png")) == ("403", "Unauthorized")
    assert await code_of(files.copy(picture, f"{bob}/cat.png")) == ("403", "Unauthorized")
    assert await files.download(picture) == PNG
    assert len(site.files()) == 1


async def test_a_user_reads_the_own_generations_and_writes_none(
    site: Site, ada: UUID, bob: UUID
) -> None:
    await site.service().from_("generations").upload(f"{ada}/job/0-x.png", PNG, AS_PNG)
    own = site.user(ada).from_("generations")
    assert [entry["name"] for entry in await own.list(f"{ada}/job")] == ["0-x.png"]
    assert await own.remove([f"{ada}/job/0-x.png"]) == []
    denied = ("403", "Unauthorized")
    assert await code_of(own.upload(f"{ada}/job/1-x.png", PNG, AS_PNG)) == denied
    assert await code_of(own.update(f"{ada}/job/0-x.png", PNG, AS_PNG)) == denied
    assert await site.user(bob).from_("generations").list(f"{ada}/job") == []


async def test_a_private_object_without_a_token_looks_as_if_its_bucket_did_not_exist(
    site: Site, picture: str
) -> None:
    for path in (f"/object/uploads/{picture}", f"/object/public/uploads/{picture}"):
        answer = await site.http.get(path)
        assert answer.status_code == 400
        assert answer.json() == {
            "statusCode": "404",
            "error": "Bucket not found",
            "message": "Bucket not found",
            "code": "NoSuchBucket",
        }


async def test_writing_without_a_token_is_an_invalid_request(site: Site, ada: UUID) -> None:
    answer = await site.http.post(f"/object/uploads/{ada}/cat.png", content=PNG)
    assert answer.status_code == 400
    assert answer.json()["message"] == "headers must have required property 'authorization'"
    assert answer.json()["statusCode"] == "400"


async def test_a_forged_or_expired_token_is_refused_in_storages_words(
    site: Site, ada: UUID, picture: str
) -> None:
    forged = token("service_role", secret=b"another-secret-of-thirty-two-bytes!!")
    expired = token("authenticated", ada, seconds=-10)
    for bad in (forged, expired, "nonsense"):
        answer = await site.http.get(
            f"/object/uploads/{picture}", headers={"Authorization": f"Bearer {bad}"}
        )
        assert answer.status_code == 400
        assert answer.json()["statusCode"] == "403"
        assert answer.json()["error"] == "Unauthorized"


async def test_a_download_token_of_one_object_opens_no_other(
    site: Site, ada: UUID, picture: str
) -> None:
    files = site.user(ada).from_("uploads")
    await files.upload(f"{ada}/dog.png", JPEG, AS_PNG)
    path = site.storage.signed_path("uploads", picture, 60)
    answer = await site.http.get(path.replace("cat.png", "dog.png"))
    assert answer.json()["error"] == "InvalidSignature"
    upload = await site.http.put(
        path.replace("/object/sign/", "/object/upload/sign/"), content=JPEG
    )
    assert upload.json()["error"] == "InvalidSignature"


async def test_an_access_token_is_no_signature_and_a_signature_no_access_token(
    site: Site, ada: UUID, picture: str
) -> None:
    access = token("authenticated", ada)
    answer = await site.http.get(f"/object/sign/uploads/{picture}", params={"token": access})
    assert answer.json()["error"] == "InvalidSignature"
    forged = await site.http.get(f"/object/sign/uploads/{picture}", params={"token": "a.b.c"})
    assert forged.json()["error"] == "InvalidJWT"
    nothing = await site.http.get(f"/object/sign/uploads/{picture}")
    assert nothing.json()["error"] == "InvalidJWT"
