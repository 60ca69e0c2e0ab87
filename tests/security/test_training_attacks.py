"""Trainings, batches and identities in hostile hands: of a user, of a worker, of bad luck."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.functions.personal_rows import add_identity, add_model, add_pictures, begin_row
from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import picture
from tests.lanes.test_training_protocol import ADAPTER, Trainer, the_model
from tests.lanes.training_bench import digest, tensors
from tests.support.product import Person, Product, open_product
from tintype import storage
from tintype.identities import Remover
from tintype.workers import Kernel, delivery


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return a product that leaves what is handed on to it lying."""
    async with open_product(
        database_url, tmp_path, works=False, TINTYPE_IDENTITIES_HUB="storage"
    ) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    return await Bench.open(product, "training", "flux_queue", "sdxl_adapter_queue")


@pytest.fixture
async def trainer(bench: Bench) -> Trainer:
    return Trainer(bench)


async def rest(person: Person, method: str, path: str, **more: Any) -> Any:
    """Call the REST door as an app does."""
    return await person.product.http.request(
        method,
        f"/rest/v1/{path}",
        headers=person.headers
        | {"apikey": person.product.keys.anon_key, "prefer": "return=representation"},
        **more,
    )


async def users(product: Product, method: str, path: str, **body: Any) -> Any:
    """Call the door of users as their administrator."""
    service = product.service()
    account = {"email": f"{uuid4().hex}@example.com", "password": "correct horse"} | body
    return await product.http.request(
        method,
        f"/auth/v1/admin/users{path}",
        json=account if method == "POST" else None,
        headers=service.headers | {"apikey": service.token},
    )


async def added(product: Product, user_id: UUID) -> Person:
    answer = await users(product, "POST", "", id=str(user_id))
    assert answer.status_code == 200, answer.text
    return Person(product, user_id, product.keys.mint(user_id))


async def dropped(product: Product, user_id: UUID) -> None:
    assert (await users(product, "DELETE", f"/{user_id}")).status_code == 200


def kernel(product: Product) -> Kernel:
    objects = storage.open_storage(product.config, product.pool, product.keys.url_secret)
    return Kernel(product.config, product.pool, objects, None)  # type: ignore[arg-type]


async def remove(product: Product) -> None:
    """Remove what is due until nothing is, as if all its time had come."""
    for _ in range(5):
        await product.admin.execute(
            "update tintype.removals set not_before = now() where done_at is null"
        )
        await Remover(kernel(product), None).remove_due()
    left = await product.admin.fetch(
        "select kind, last_error from tintype.removals where done_at is null"
    )
    assert left == []


def files_of(product: Product, user_id: UUID) -> list[str]:
    return sorted(name for name in product.files() if str(user_id) in name)


@pytest.mark.parametrize(
    "written",
    [
        "storage:{path}",
        "STORAGE:{path}",
        " storage:{path}",
        "storage://{path}",
        "{path}",
        "/{path}",
        "/storage/v1/object/public/{path}",
        "{url}/storage/v1/object/sign/{path}?token=x",
        "{url}/storage/v1/object/authenticated/{own}/..%2f..%2f{path}",
        "uploads/{me}/../../{path}",
        "{path}%00",
        "uploads/{me}/%00",
        "/storage/v1/object/uploads/{me}/%00",
        "/storage/v1/object/uploads/%ff%fe",
        "file:///etc/passwd",
        "http://127.0.0.1/x",
        "https://127.0.0.1/x",
        "https://[::1",
        "data:image/png;base64,AAAA",
        "",
        "/",
    ],
)
async def test_nobody_trains_on_the_pictures_of_another(product: Product, written: str) -> None:
    victim, thief = await product.person(), await product.person(1000)
    [path] = await add_pictures(product, victim, 1)
    model_id = await begin_row(thief, "models", name="Cup")
    url = written.format(path=path, url=product.url, me=thief.id, own=f"uploads/{thief.id}")
    async with product.unchanged():
        answer = await thief.call("train-model", {"modelId": model_id, "trainingImageUrls": [url]})
        assert answer.status_code in (400, 404), answer.text
        answer = await thief.call(
            "generate-images", {"prompt": "a face", "referenceImageUrls": [url], "totalImages": 1}
        )
        assert answer.status_code in (400, 404), answer.text


async def test_an_adapter_is_read_when_it_is_paid(bench: Bench, trainer: Trainer) -> None:
    job = await trainer.begin()
    answer = await trainer.say(job, "complete", **await trainer.made(job))
    assert answer.status_code == 200, answer.text
    path = (await the_model(bench))["adapter_path"]
    http, headers = bench.product.http, bench.person.headers
    read = f"/storage/v1/object/authenticated/training/{path}"
    sign = f"/storage/v1/object/sign/training/{path}"
    assert (await http.get(read, headers=headers)).status_code == 400
    assert (await http.post(sign, json={"expiresIn": 60}, headers=headers)).status_code == 400
    answer = await bench.person.call("cancel-job", {"jobId": job["id"]})
    assert answer.status_code == 200, answer.text
    assert await bench.person.account() == (1000, 0, 1000)
    assert (await http.get(read, headers=headers)).status_code == 400
    await bench.product.admin.execute(
        "update public.jobs set result_count = 1 where id = $1", UUID(job["id"])
    )
    assert (await http.get(read, headers=headers)).content == ADAPTER


async def test_a_training_that_is_completed_many_times_at_once_counts_once(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    made = await trainer.made(job)
    answers = await asyncio.gather(*(trainer.say(job, "complete", **made) for _ in range(6)))
    assert {answer.status_code for answer in answers} <= {200, 404, 409}
    assert 200 in {answer.status_code for answer in answers}
    admin, job_id = bench.product.admin, UUID(job["id"])
    row = await admin.fetchrow("select * from public.jobs where id = $1", job_id)
    assert row is not None
    assert (row["queue"], row["status"]) == ("identities", "queued")
    assert row["attempt"] == job["attempt"] + 1
    assert await bench.product.count("tintype.ready") == 1
    names = await admin.fetch(
        "select name from storage.objects where owner_id = $1", str(bench.person.id)
    )
    assert len(names) == 3, "adapter, sheet and its thumbnail"
    for name in names:
        answer = await bench.product.http.get(
            f"/storage/v1/object/authenticated/training/{name['name']}",
            headers=bench.product.service().headers,
        )
        assert answer.status_code == 200, name


async def test_an_adapter_that_is_swapped_while_it_is_looked_at_is_not_recorded(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    made = await trainer.made(job)
    place = f"/storage/v1/object/training/{made['adapter']['path']}"
    key = {"authorization": f"Bearer {bench.credentials.key}"}
    kind = {"content-type": "application/octet-stream", "x-upsert": "true"}

    async def swap() -> None:
        for _ in range(10):
            await bench.product.http.post(place, content=tensors("lora_x"), headers=key | kind)

    answer, _ = await asyncio.gather(trainer.say(job, "complete", **made), swap())
    model = await the_model(bench)
    if answer.status_code == 200:
        service = bench.product.service().headers
        there = await bench.product.http.get(place, headers=service)
        assert digest(there.content) == model["adapter_sha256"]
    else:
        assert model["adapter_path"] is None


@pytest.mark.parametrize(
    "written",
    [
        "uploads/{victim}/face.png",
        "../uploads/{victim}/face.png",
        "training/../uploads/{victim}/face.png",
        "{url}/storage/v1/object/uploads/{victim}/face.png",
        "{me}/{job}/../../{victim}/face.png",
        "{victim}/{job}/face.png",
        "/",
        "\x00",
        "a" * 5000,
    ],
)
async def test_a_worker_reports_no_file_of_another(
    bench: Bench, trainer: Trainer, written: str
) -> None:
    victim = await bench.product.person()
    await bench.product.upload(victim, "face.png", picture())
    job = await trainer.begin()
    made = await trainer.made(job)
    path = written.format(
        victim=victim.id, me=bench.person.id, job=job["id"], url=bench.product.url
    )
    for answer in (
        await trainer.tell(job, 1, sample=path),
        await trainer.tell(job, 1, checkpoint={"path": path, "step": 1}),
        await trainer.say(job, "complete", **made | {"outputs": [{"path": path}]}),
        await trainer.say(
            job, "complete", **made | {"adapter": {"path": path, "sha256": "0" * 64}}
        ),
    ):
        assert answer.status_code == 400, answer.text
    owner = await bench.product.admin.fetchval(
        "select owner_id from storage.objects where bucket_id = 'uploads'"
    )
    assert owner == str(victim.id)


async def test_what_a_worker_brings_after_a_removal_is_not_kept(
    bench: Bench, trainer: Trainer
) -> None:
    product = bench.product
    job = await trainer.begin()
    grants = [await trainer.granted(job, "checkpoint", step=1), job["uploads"][0]]
    key = {"authorization": f"Bearer {bench.credentials.key}"}
    # In the scope of the job, and not in its folder.
    beside = f"/storage/v1/object/training/{bench.person.id}/{uuid4()}/{job['id']}.png"
    answer = await product.http.post(
        beside, content=picture(), headers=key | {"content-type": "image/png"}
    )
    assert answer.status_code == 200, answer.text
    await rest(bench.person, "DELETE", "models?id=gt.0")
    await remove(product)
    for grant, data in zip(grants, (tensors("w"), picture()), strict=True):
        assert (await trainer.upload(grant, data)).status_code in (400, 403)
    await product.admin.execute("update tintype.leftovers set ended_at = now() - interval '1 day'")
    await delivery.sweep(kernel(product), after_seconds=1, outside_seconds=1, limit=10)
    assert files_of(product, bench.person.id) == []
    await product.assert_ledger_holds()


async def test_bytes_of_a_job_that_was_erased_are_swept(bench: Bench, trainer: Trainer) -> None:
    job = await trainer.begin()
    await rest(bench.person, "DELETE", "models?id=gt.0")
    await remove(bench.product)
    # As a process leaves them that is killed between bytes and row.
    name = f"{bench.person.id}/{job['id']}/late.bin"
    kept = kernel(bench.product)
    await kept.storage.write("training", name, b"late", media_type="image/png")
    await bench.product.admin.execute(
        "update tintype.leftovers set ended_at = now() - interval '1 day'"
    )
    await delivery.sweep(kept, after_seconds=1, outside_seconds=1, limit=10)
    assert files_of(bench.product, bench.person.id) == []


async def test_a_user_who_comes_back_is_removed_as_the_first_time(product: Product) -> None:
    user_id = uuid4()
    for _ in range(2):
        person = await added(product, user_id)
        await product.upload(person, "face.png", picture())
        await dropped(product, user_id)
        assert (await users(product, "POST", "", id=str(user_id))).status_code == 422, (
            "the new one's rows would be removed with the old one's"
        )
        await remove(product)
        assert files_of(product, user_id) == []
    await added(product, user_id)


@pytest.mark.parametrize("attempt", [2**31, 2**63, -1])
async def test_an_attempt_out_of_the_world_is_refused(
    bench: Bench, trainer: Trainer, attempt: int
) -> None:
    job = await trainer.begin() | {"attempt": attempt}
    for route, body in (
        ("progress", {"progress": 1}),
        ("grant", {"kind": "sample", "step": 1}),
        ("complete", {"outputs": [{"path": "x"}]}),
        ("fail", {"message": "no"}),
        ("release", {}),
    ):
        answer = await trainer.say(job, route, **body)
        assert answer.status_code in (400, 404), (route, answer.text)


async def test_only_the_owner_sees_what_is_trained(product: Product) -> None:
    owner, other = await product.person(1000), await product.person(1000)
    identity_id, model_id = await add_identity(product, owner), await add_model(product, owner)
    batch_id = await begin_row(owner, "batches", prompt="x")
    for table in ("trained_identities", "models", "batches", "training_steps"):
        assert (await rest(other, "GET", table)).json() == []
        await rest(other, "DELETE", f"{table}?user_id=eq.{owner.id}")
    async with product.unchanged():
        for name, body, status in (
            ("delete-identity", {"identityId": str(identity_id)}, 404),
            ("delete-identity", {"modelId": model_id}, 404),
            ("generate-images", {"prompt": "x", "identityId": str(identity_id)}, 404),
            ("generate-images", {"prompt": "x", "modelId": model_id}, 404),
            ("generate-images", {"prompt": "x", "batchId": batch_id, "model": "sandbox"}, 404),
            ("generate-images", {"prompt": "x", "userId": str(owner.id)}, 403),
            ("train-model", {"modelId": model_id, "trainingImageUrls": ["https://x/y"]}, 404),
            (
                "train-model",
                {"modelId": 1, "userId": str(owner.id), "trainingImageUrls": ["https://x/y"]},
                403,
            ),
        ):
            answer = await other.call(name, body)
            assert answer.status_code == status, (name, body, answer.text)
    assert await product.count("public.trained_identities") == 1
    assert await product.count("public.models") == 1
    assert await product.count("public.batches") == 1


async def test_nobody_plants_a_file_where_the_server_believes_it(product: Product) -> None:
    person = await product.person()
    for bucket in ("training", "identities", "flux_image", "sdxl_adapter_image"):
        path = f"/storage/v1/object/{bucket}/{person.id}/x/adapter.safetensors"
        for method in ("POST", "PUT"):
            answer = await product.http.request(
                method, path, content=ADAPTER, headers=person.headers | {"x-upsert": "true"}
            )
            assert answer.status_code in (400, 403, 404), (bucket, method, answer.text)
    assert await product.count("storage.objects") == 0


async def test_a_row_says_nothing_of_a_course_that_the_verbs_did_not_write(
    product: Product,
) -> None:
    person = await product.person()
    identity_id, model_id = await add_identity(product, person), await add_model(product, person)
    for table, key, more in (
        ("models", model_id, {"adapter_path": "x"}),
        ("models", model_id, {"status": "ready"}),
        ("models", model_id, {"image_paths": ["identities/other/x.jpg"]}),
        ("models", model_id, {"job_id": str(identity_id)}),
        ("models", model_id, {"user_id": str(identity_id)}),
        ("trained_identities", identity_id, {"model_id": "x"}),
        ("trained_identities", identity_id, {"repository": "owner/x"}),
        ("trained_identities", identity_id, {"image_paths": []}),
        ("trained_identities", identity_id, {"consent": {}}),
    ):
        answer = await rest(person, "PATCH", f"{table}?id=eq.{key}", json=more)
        assert answer.status_code in (401, 403), (table, more, answer.text)
    for table, row in (
        ("models", {"name": "x", "status": "ready"}),
        ("models", {"name": "x", "adapter_path": "x"}),
        ("models", {"name": "x", "id": 7}),
        ("batches", {"job_id": str(identity_id)}),
        ("batches", {"status": "completed"}),
        ("batches", {"id": 7}),
        ("trained_identities", {"identity_name": "x"}),
        ("training_steps", {"job_id": str(identity_id), "step": 1, "steps_total": 1}),
    ):
        answer = await rest(person, "POST", table, json=row | {"user_id": str(person.id)})
        assert answer.status_code in (401, 403), (table, row, answer.text)
