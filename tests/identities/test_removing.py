"""Deleting an identity, a model or a user removes everything, and a listing proves it."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.identities.asking import ended, identity, removed, trained
from tests.identities.bodies import base64_of, picture
from tests.identities.trainer import Trainer, training_for
from tests.support.hub_server import HubServer
from tests.support.product import Person, Product, open_product
from tintype import storage
from tintype.identities import Remover, open_hub
from tintype.storage import BackendFailed, FolderBackend
from tintype.workers import Kernel

PRICE = 50


async def delete(person: Person, table: str, identity_id: Any) -> None:
    """Delete a row as an app does."""
    answer = await person.product.http.delete(
        f"/rest/v1/{table}?id=eq.{identity_id}",
        headers=person.headers | {"apikey": person.product.keys.anon_key},
    )
    assert answer.status_code == 204, answer.text


def files_of(product: Product, user_id: UUID) -> list[str]:
    """Return what lies under a user's name among the objects."""
    return sorted(name for name in product.files() if str(user_id) in name)


async def proof(product: Product, removal_id: Any) -> dict[str, Any]:
    row = await product.admin.fetchrow(
        "select done_at, proof, last_error from tintype.removals where id = $1",
        UUID(str(removal_id)),
    )
    assert row is not None and row["done_at"] is not None and row["last_error"] is None
    found: dict[str, Any] = json.loads(row["proof"])
    return found


async def test_an_identity_that_is_deleted_is_gone_everywhere(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    body = await trained(person)
    await ended(product, body["identityId"])
    assert files_of(product, person.id) != []
    await delete(person, "trained_identities", body["identityId"])
    await removed(product)

    assert files_of(product, person.id) == []
    for table in ("public.jobs", "public.generations", "public.training_steps", "storage.objects"):
        assert await product.count(table) == 0
    found = await proof(product, body["identityId"])
    assert {place["bucket"] for place in found["folders"]} == {"identities", "training"}
    assert all(
        (place["objects"], place["files"], place["uploads"]) == (0, 0, 0)
        for place in found["folders"]
    )
    assert set(found["rows"].values()) == {0}
    # What was paid was paid for work that was done.
    assert await person.account() == (0, 0, 0)
    await product.assert_ledger_holds()


async def test_the_repository_of_a_deleted_identity_goes_with_it(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    async with training_for(hub_product):
        body = await trained(person)
        row = await ended(hub_product, body["identityId"])
    await delete(person, "trained_identities", body["identityId"])
    await removed(hub_product)
    assert hub.repositories.by_id == {}
    found = await proof(hub_product, body["identityId"])
    assert found["repository"] == {"name": row["repository"], "files": None}


async def test_an_identity_that_is_deleted_while_it_is_trained_gives_the_credits_back(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    trainer.may_go.clear()
    body = await trained(person)
    await trainer.came.wait()
    await delete(person, "trained_identities", body["identityId"])
    await removed(product)
    trainer.may_go.set()
    assert files_of(product, person.id) == []
    assert await person.account() == (PRICE, 0, PRICE)
    await product.assert_ledger_holds()


async def test_what_others_have_stays(product: Product, trainer: Trainer) -> None:
    anna, otto = await product.person(PRICE), await product.person(PRICE)
    [one, other] = [await trained(anna), await trained(otto)]
    for body in (one, other):
        await ended(product, body["identityId"])
    before = files_of(product, otto.id)
    await delete(otto, "trained_identities", one["identityId"])
    await delete(anna, "trained_identities", one["identityId"])
    await removed(product)
    assert files_of(product, anna.id) == []
    assert files_of(product, otto.id) == before
    assert (await identity(product, other["identityId"]))["status"] == "ready"


async def test_a_throttled_hub_delays_the_removal_and_loses_nothing(
    hub_product: Product, hub: HubServer
) -> None:
    person = await hub_product.person(PRICE)
    body = await trained(person)
    hub.fault("delete", status=429, headers={"retry-after": "300"})
    await delete(person, "trained_identities", body["identityId"])
    await hub.came("delete")
    await removed(hub_product)
    assert hub.repositories.by_id == {}
    assert hub.count("delete") == 2


async def test_a_repository_waits_for_a_token_and_says_so(
    hub_product: Product, hub: HubServer, database_url: str, tmp_path: Path
) -> None:
    person = await hub_product.person(PRICE)
    body = await trained(person)
    await hub_product.stop()
    await hub_product.admin.execute("delete from public.trained_identities")
    async with open_product(database_url, tmp_path, TINTYPE_IDENTITIES_HUB="storage") as without:
        while (
            not (error := await without.admin.fetchval("select last_error from tintype.removals"))
            or "canceled" in error
        ):
            await without.admin.execute("update tintype.removals set not_before = now()")
    assert "HUGGINGFACE_TOKEN is not set" in error
    await hub_product.start()
    await removed(hub_product)
    assert hub.repositories.by_id == {}
    assert (await proof(hub_product, body["identityId"]))["repository"]["files"] is None


class Failing(FolderBackend):
    """A folder in which only so many files may be deleted at once."""

    deletes = 0

    async def delete(self, key: str) -> None:
        if self.deletes == 0:
            raise BackendFailed("It is broken because the test says so.")
        self.deletes -= 1
        await super().delete(key)


async def test_a_removal_that_is_broken_off_at_any_point_goes_on(
    product: Product, trainer: Trainer
) -> None:
    person = await product.person(PRICE)
    body = await trained(person)
    await ended(product, body["identityId"])
    await product.restart()
    await product.stop()
    await product.admin.execute("delete from public.trained_identities")
    objects = storage.open_storage(product.config, product.pool, product.keys.url_secret)
    backend = Failing(product.config.data / "objects")
    objects.backend = backend
    remover = Remover(
        Kernel(product.config, product.pool, objects, None),  # type: ignore[arg-type]
        open_hub(product.config.identities),
    )
    attempts = 0
    while True:
        backend.deletes = 1
        await product.admin.execute("update tintype.removals set not_before = now()")
        assert await remover.remove_due() == 1
        row = await product.admin.fetchrow("select done_at, last_error from tintype.removals")
        assert row is not None
        if row["done_at"] is not None:
            break
        attempts += 1
        assert "the test says so" in row["last_error"]
    assert attempts > 5
    assert files_of(product, person.id) == []


async def user(product: Product, email: str) -> Person:
    """Sign somebody up who has credits."""
    answer = await product.http.post(
        "/auth/v1/signup",
        json={"email": email, "password": "correct horse"},
        headers={"apikey": product.keys.anon_key},
    )
    session = answer.json()
    person = Person(product, UUID(session["user"]["id"]), session["access_token"])
    await product.admin.execute("select tintype.grant_credits($1, $2)", person.id, 2 * PRICE)
    return person


async def test_a_user_who_is_deleted_leaves_the_ledger_and_nothing_else(
    product: Product, trainer: Trainer
) -> None:
    anna = await user(product, "anna@example.com")
    otto = await user(product, "otto@example.com")
    body = await trained(anna)
    await ended(product, body["identityId"])
    theirs = await trained(otto)
    await ended(product, theirs["identityId"])
    await product.upload(anna, "photo.jpg", picture(), "image/jpeg")
    assert (await anna.generate({"model": "sandbox"}, prefer="wait=20")).status_code == 200
    await begin_upload(anna)
    await product.admin.execute(
        "insert into public.projects (user_id, name) values ($1, 'mine')", anna.id
    )

    service = product.service()
    answer = await product.http.delete(
        f"/auth/v1/admin/users/{anna.id}", headers=service.headers | {"apikey": service.token}
    )
    assert answer.status_code == 200, answer.text
    await removed(product)

    assert files_of(product, anna.id) == []
    assert files_of(product, otto.id) != []
    found = await proof(product, anna.id)
    assert set(found["rows"].values()) == {0}
    assert {place["prefix"] for place in found["folders"]} == {f"{anna.id}/"}
    assert await product.admin.fetchval("select count(*) from tintype.uploads") == 0
    for table in ("jobs", "generations", "trained_identities", "projects"):
        owners = await product.admin.fetch(f"select distinct user_id from public.{table}")
        assert anna.id not in {row["user_id"] for row in owners}
    assert await product.admin.fetchval(
        "select count(*) from public.credit_entries where user_id = $1", anna.id
    )
    await product.assert_ledger_holds()


async def begin_upload(person: Person) -> None:
    """Leave an upload in pieces half done."""
    named = {"bucketName": "uploads", "objectName": f"{person.id}/large.png"}
    told = ",".join(f"{key} {base64_of(value.encode())}" for key, value in named.items())
    answer = await person.product.http.post(
        "/storage/v1/upload/resumable",
        headers=person.headers
        | {"tus-resumable": "1.0.0", "upload-length": "1000", "upload-metadata": told},
    )
    assert answer.status_code == 201, answer.text
    sent = await person.product.http.patch(
        answer.headers["location"],
        content=b"a" * 100,
        headers=person.headers
        | {
            "tus-resumable": "1.0.0",
            "upload-offset": "0",
            "content-type": "application/offset+octet-stream",
        },
    )
    assert sent.status_code == 204, sent.text
