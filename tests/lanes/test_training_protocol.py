"""Trainings over `/worker/v1`: checkpoints outlive their worker, an adapter counts once."""

import asyncio
import pickle
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from msgspec.structs import replace

from tests.lanes.bench_of_work import Bench
from tests.lanes.outside_worker import OriginalWorker, picture
from tests.lanes.test_worker_protocol import Worker
from tests.lanes.training_bench import TRAINING, begin_training, digest, safetensors, tensors
from tests.support.product import Product, open_product
from tintype import app as server
from tintype import jobs
from tintype.config import LanesConfig
from tintype.errors import InvalidRequest, OperatorError
from tintype.workers import delivery, outside
from tintype.workers.outside import training

QUEUES = ("training", "flux_queue", "sdxl_adapter_queue")
ADAPTER = tensors()


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return a product that leaves what is handed on to it lying."""
    async with open_product(database_url, tmp_path, works=False) as product:
        yield product


@pytest.fixture
async def bench(product: Product) -> Bench:
    return await Bench.open(product, *QUEUES)


@pytest.fixture
async def trainer(bench: Bench) -> "Trainer":
    return Trainer(bench)


class Trainer(Worker):
    """A worker that trains."""

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.bench = bench

    async def take(self) -> dict[str, Any]:
        [job] = (await self.claim(queues=["training"]))["jobs"]
        return dict(job)

    async def begin(self) -> dict[str, Any]:
        await begin_training(self.bench)
        return await self.take()

    async def granted(self, job: dict[str, Any], kind: str, **more: Any) -> dict[str, Any]:
        answer = await self.say(job, "grant", kind=kind, **more)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def store(self, job: dict[str, Any], kind: str, data: bytes, **more: Any) -> str:
        grant = await self.granted(job, kind, **more)
        answer = await self.upload(grant, data)
        assert answer.status_code == 200, answer.text
        return str(grant["path"])

    async def tell(self, job: dict[str, Any], step: float, **more: Any) -> Any:
        told = {"step": step, "steps": 10} | more
        percent = max(0, min(10 * step, 100))
        return await self.say(job, "progress", progress=percent, training=told)

    async def tell_raw(self, job: dict[str, Any], told: str) -> Any:
        """Tell of a training in JSON as it is."""
        return await self.bench.product.http.post(
            f"/worker/v1/jobs/{job['id']}/progress",
            content=f'{{"attempt": {job["attempt"]}, "progress": 1, "training": {told}}}',
            headers={"authorization": f"Bearer {self.bench.credentials.key}"},
        )

    async def made(self, job: dict[str, Any], data: bytes = ADAPTER) -> dict[str, Any]:
        """Store what a training makes, and return how it is reported."""
        assert (await self.upload(job["uploads"][0], picture())).status_code == 200
        path = await self.store(job, "adapter", data)
        return {
            "outputs": [{"path": job["uploads"][0]["path"]}],
            "adapter": {"path": path, "sha256": digest(data)},
            "training": {"steps": 10, "loss": 0.25},
        }


async def the_model(bench: Bench) -> dict[str, Any]:
    row = await bench.product.admin.fetchrow("select * from public.models")
    assert row is not None
    return dict(row)


async def owners(bench: Bench) -> dict[str, str]:
    """Return who owns each object of the bucket, by the first word of its name in the job."""
    rows = await bench.product.admin.fetch(
        "select name, owner_id from storage.objects where bucket_id = 'training'"
    )
    return {row["name"].split("/", 2)[2]: row["owner_id"] for row in rows}


async def test_a_training_tells_what_is_to_be_trained(bench: Bench, trainer: Trainer) -> None:
    path = await bench.product.upload(bench.person, "face.png", picture(3))
    await begin_training(bench, [f"storage:{path}"])
    job = await trainer.take()
    grant_route = f"/worker/v1/jobs/{job['id']}/grant"
    assert job["training"] == TRAINING | {
        "checkpoint": None,
        "grants": dict.fromkeys(("checkpoint", "sample", "adapter", "sheet"), grant_route),
        "adapter_bytes_max": 2 * 1024**3,
    }
    assert (await bench.product.http.get(job["references"][0])).content == picture(3)
    assert job["payload"] == {
        "bucket": "training",
        "stage": "train",
        "references": [f"storage:{path}"],
    }, "who consented is no worker's business"
    assert job["adapters"] == []


async def test_a_training_goes_from_its_claim_to_other_hands(
    bench: Bench, trainer: Trainer
) -> None:
    job_id, _ = await begin_training(bench)
    job = await trainer.take()
    sample = await trainer.store(job, "sample", picture(2), step=5)
    checkpoint = await trainer.store(job, "checkpoint", tensors("weights"), step=5)
    told = await trainer.tell(
        job,
        5,
        loss=0.5,
        learning_rate=4e-4,
        sample=sample,
        checkpoint={"path": checkpoint, "step": 5},
    )
    assert told.json()["status"] == "processing", told.text
    model = await the_model(bench)
    assert (model["step"], model["steps_total"], model["loss"]) == (5, 10, 0.5)
    [url] = model["sample_urls"]
    shown = await bench.product.http.get(url, headers=bench.person.headers)
    assert shown.content == picture(2)
    done = await trainer.say(job, "complete", **await trainer.made(job))
    assert (done.status_code, done.json()["status"]) == (200, "completed"), done.text
    assert done.json()["is_duplicate"] is False

    row = await bench.product.job(job_id)
    assert (row.status, row.queue, row.result_count) == ("queued", "identities", 0)
    assert row.payload["stage"] == "finish"
    model = await the_model(bench)
    assert (model["status"], model["adapter_sha256"]) == ("training", digest(ADAPTER))
    assert (model["adapter_bytes"], model["step"], model["loss"]) == (len(ADAPTER), 10, 0.25)
    stored = await bench.product.http.get(
        f"/storage/v1/object/authenticated/{model['adapter_bucket']}/{model['adapter_path']}",
        headers=bench.product.service().headers,
    )
    assert stored.content == ADAPTER
    assert model["adapter_path"].endswith("/pytorch_lora_weights.safetensors")
    assert set((await owners(bench)).values()) == {str(bench.person.id)}
    assert not any("checkpoint" in name for name in await owners(bench)), "it is needed no more"
    assert await bench.product.count("tintype.leases") == 0
    assert await bench.person.account() == (1000, 50, 950), "paid when it is published"
    output = row.payload["sample"]
    sheet = await bench.product.http.get(output["url"], headers=bench.person.headers)
    assert sheet.content == picture()

    lease = await jobs.claim(
        bench.product.pool, queue="identities", worker="server", limit=1, lease_seconds=60
    )
    assert lease is not None
    async with bench.product.pool.acquire() as connection, connection.transaction():
        assert await jobs.deliver(connection, lease.jobs[0], output)


async def test_a_completion_that_is_repeated_changes_nothing(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    report = await trainer.made(job)
    answers = await asyncio.gather(*(trainer.say(job, "complete", **report) for _ in range(4)))
    answers.append(await trainer.say(job, "complete", **report))
    assert [answer.status_code for answer in answers] == [200] * 5, [a.text for a in answers]
    assert {answer.json()["status"] for answer in answers} == {"completed"}
    assert [answer.json()["is_duplicate"] for answer in answers].count(False) == 1
    assert (await bench.product.job(job["id"])).attempt == job["attempt"] + 1
    late = await trainer.tell(job, 9)
    assert (late.status_code, late.json()["is_duplicate"]) == (200, True)
    assert (await the_model(bench))["step"] == 10
    for verb, body in (("release", {}), ("grant", {"kind": "adapter"})):
        refused = await trainer.say(job, verb, **body)
        assert (refused.status_code, refused.json()["code"]) == (404, "job_not_held")


async def test_whoever_takes_a_lost_training_goes_on_from_its_checkpoint(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    paths = []
    for step in (3, 6):
        data = tensors("weights", step)
        path = await trainer.store(job, "checkpoint", data, step=step)
        told = await trainer.tell(job, step, checkpoint={"path": path, "step": step})
        assert told.status_code == 200, told.text
        paths.append(path)
    kept = [name for name in await owners(bench) if "checkpoint" in name]
    assert [f"{job['user_id']}/{job['id']}/{name}" for name in kept] == paths[1:]
    await bench.expire()
    again = await trainer.take()
    assert (again["id"], again["training"]["checkpoint"]["step"]) == (job["id"], 6)
    going_on = await bench.product.http.get(again["training"]["checkpoint"]["url"])
    assert going_on.content == tensors("weights", 6)
    late = await trainer.say(job, "complete", **await trainer.made(again))
    assert (late.status_code, late.json()["code"]) == (404, "job_not_held")
    for one in (await trainer.tell(job, 7), await trainer.say(job, "grant", kind="adapter")):
        assert (one.status_code, one.json()["code"]) == (404, "job_not_held")
    told = await trainer.say(again, "fail", message="out of memory", retry=True)
    assert told.json()["status"] == "queued"
    assert (await bench.product.job(job["id"])).queue == "training"


async def test_what_is_told_late_or_twice_does_not_turn_a_training_back(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    assert (await trainer.tell(job, 7, loss=0.1)).status_code == 200
    sample = await trainer.store(job, "sample", picture(), step=4)
    for _ in range(2):
        assert (await trainer.tell(job, 4, loss=0.9, sample=sample)).status_code == 200
    model = await the_model(bench)
    assert (model["step"], model["progress"], len(model["sample_urls"])) == (7, 70, 1)
    assert model["loss"] == pytest.approx(0.1)
    rows = await bench.product.admin.fetch("select step, sample_url from training_steps")
    assert {row["step"]: row["sample_url"] is not None for row in rows} == {7: False, 4: True}


async def test_a_checkpoint_that_comes_late_does_not_replace_a_later_one(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    for step in (6, 3):
        path = await trainer.store(job, "checkpoint", tensors("weights", step), step=step)
        told = await trainer.tell(job, step, checkpoint={"path": path, "step": step})
        assert told.status_code == 200, told.text
    [kept] = await owners(bench)
    assert kept.startswith("checkpoint-6-")
    await bench.expire()
    again = await trainer.take()
    path = await trainer.store(again, "checkpoint", tensors("weights", 1), step=1)
    told = await trainer.tell(again, 1, checkpoint={"path": path, "step": 1})
    assert told.status_code == 200, told.text
    [kept] = await owners(bench)
    assert kept.startswith("checkpoint-1-"), "whoever could not go on from it began anew"


async def test_losses_that_are_no_numbers_do_no_harm(bench: Bench, trainer: Trainer) -> None:
    job = await trainer.begin()
    for loss in ("1e300", "-1e300", "1e-300"):
        answer = await trainer.tell_raw(job, f'{{"step": 1, "steps": 10, "loss": {loss}}}')
        assert answer.status_code == 200, answer.text
    for loss, code in (("NaN", "body_not_json"), ('"high"', "field_invalid")):
        answer = await trainer.tell_raw(job, f'{{"step": 1, "steps": 10, "loss": {loss}}}')
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    for step, steps in ((-1, 10), (1, 0), (1_000_001, 10), (1, 1_000_001), (1.5, 10)):
        answer = await trainer.tell(job, step, steps=steps)
        assert (answer.status_code, answer.json()["code"]) == (400, "field_invalid")
    assert [row["loss"] for row in await bench.product.admin.fetch("table training_steps")] == [0]


def tensor(begin: int, end: int, dtype: str = "F32", shape: list[Any] | None = None) -> Any:
    shape = [(end - begin) // 4] if shape is None else shape
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "file_empty"),
        (b"\x05\0", "file_unreadable"),
        (pickle.dumps({"lora": bytes(500)}), "file_unreadable"),
        (picture(), "file_unreadable"),
        ((2**62).to_bytes(8, "little") + b"{}", "file_unreadable"),
        (safetensors(b'{"lora": '), "file_unreadable"),
        (safetensors(b"[" * 100_000), "file_unreadable"),
        (safetensors(b'{"\xff": 1}'), "file_unreadable"),
        (safetensors(b"[]"), "file_unreadable"),
        (safetensors({"lora": {"dtype": "F32"}}, b""), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8) | {"code": "os.system"}}), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8, "OBJECT")}), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8, shape=[3])}), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8, shape=[-2])}), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8)}, bytes(7)), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8)}, bytes(9)), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8), "other": tensor(4, 12)}), "file_unreadable"),
        (safetensors({"lora": tensor(0, 8), "other": tensor(12, 16)}), "file_unreadable"),
        (safetensors({"lora": tensor(4, 8)}), "file_unreadable"),
        (safetensors({"lora": tensor(8, 0, shape=[0])}, bytes(8)), "file_unreadable"),
        (tensors("unet.conv_in.weight"), "adapter_unreadable"),
    ],
)
async def test_what_is_no_adapter_is_refused_and_the_training_goes_on(
    bench: Bench, trainer: Trainer, data: bytes, code: str
) -> None:
    job = await trainer.begin()
    report = await trainer.made(job, data)
    before = await bench.product.everything()
    refused = await trainer.say(job, "complete", **report)
    assert (refused.status_code, refused.json()["code"]) == (400, code), refused.text
    assert await bench.product.everything() == before
    report = report | {
        "adapter": {"path": await trainer.store(job, "adapter", ADAPTER), "sha256": digest(ADAPTER)}
    }
    assert (await trainer.say(job, "complete", **report)).status_code == 200


async def test_an_adapter_that_is_not_what_was_said_is_refused(
    bench: Bench, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await trainer.begin()
    report = await trainer.made(job)
    path = report["adapter"]["path"]
    foreign = path.replace(job["user_id"], str(uuid4()))
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"adapter": None}, "adapter_missing"),
        ({"adapter": {"path": path, "sha256": digest(b"")}}, "sha256_mismatch"),
        ({"adapter": {"path": path, "sha256": "x"}}, "field_invalid"),
        ({"adapter": {"path": path}}, "field_invalid"),
        ({"adapter": {"path": foreign, "sha256": digest(ADAPTER)}}, "path_out_of_scope"),
        ({"adapter": {"path": path + "x", "sha256": digest(ADAPTER)}}, "path_missing"),
        ({"adapter": {"path": "../../x", "sha256": digest(ADAPTER)}}, "path_out_of_scope"),
        ({"outputs": [{"path": path}]}, "file_unreadable"),
        ({"outputs": [*report["outputs"], {"path": path}]}, "too_many_outputs"),
        ({"outputs": []}, "field_invalid"),
        ({"training": {"steps": 0}}, "field_invalid"),
    ]
    before = await bench.product.everything()
    for change, code in wrong:
        refused = await trainer.say(job, "complete", **report | change)
        assert (refused.status_code, refused.json()["code"]) == (400, code), refused.text
    monkeypatch.setattr(training, "ADAPTER_BYTES_MAX", len(ADAPTER) - 1)
    refused = await trainer.say(job, "complete", **report)
    assert (refused.status_code, refused.json()["code"]) == (400, "file_too_large")
    assert await bench.product.everything() == before


@pytest.mark.parametrize(
    ("kind", "data", "code"),
    [
        ("sample", picture()[:120], "file_unreadable"),
        ("checkpoint", pickle.dumps([1]), "file_unreadable"),
        ("checkpoint", b"", "file_empty"),
    ],
)
async def test_a_sample_is_a_picture_and_a_checkpoint_is_tensors(
    bench: Bench, trainer: Trainer, kind: str, data: bytes, code: str
) -> None:
    job = await trainer.begin()
    path = await trainer.store(job, kind, data, step=1)
    foreign = path.replace(job["user_id"], str(uuid4()))
    before = await bench.product.everything()
    for given, expected in ((path, code), (foreign, "path_out_of_scope"), (path + "x", None)):
        told = given if kind == "sample" else {"path": given, "step": 1}
        refused = await trainer.tell(job, 1, **{kind: told})
        assert refused.json()["code"] == (expected or "path_missing"), refused.text
    assert await bench.product.everything() == before
    assert await bench.product.count("training_steps") == 0


async def test_a_grant_is_for_one_file_of_a_job_that_is_held(
    bench: Bench, trainer: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, _ = await begin_training(bench)
    waiting = {"id": str(job_id), "attempt": 2}
    refused = await trainer.say(waiting, "grant", kind="adapter")
    assert (refused.status_code, refused.json()["code"]) == (404, "job_not_held")
    job = await trainer.take()
    grant = await trainer.granted(job, "checkpoint", step=3)
    folder = f"{job['user_id']}/{job['id']}"
    assert grant["path"].startswith(f"{folder}/checkpoint-3-")
    assert (await trainer.upload(grant, tensors())).status_code == 200
    assert (await trainer.upload(grant, tensors(size=9))).status_code != 200, "one PUT"
    elsewhere = grant | {"url": grant["url"].replace("checkpoint-3", "checkpoint-4")}
    assert (await trainer.upload(elsewhere, tensors())).status_code != 200
    for body in ({"kind": "checkpoint"}, {"kind": "sample"}, {"kind": "model"}, {}):
        refused = await trainer.say(job, "grant", **body)
        assert (refused.status_code, refused.json()["code"]) == (400, "field_invalid")
    sheet = await trainer.granted(job, "sheet")
    assert sheet["path"].startswith(f"{folder}/0-")
    monkeypatch.setattr(training, "FILES_PER_JOB_MAX", 2)
    monkeypatch.setattr(training, "RESULTS_PER_JOB_MAX", 1)
    for kind in ("sample", "checkpoint"):
        refused = await trainer.say(job, "grant", kind=kind, step=1)
        assert (refused.status_code, refused.json()["code"]) == (400, "grants_exhausted")
    await trainer.granted(job, "adapter")
    refused = await trainer.say(job, "grant", kind="sheet")
    assert (refused.status_code, refused.json()["code"]) == (400, "grants_exhausted")


async def test_a_checkpoint_may_be_larger_than_what_users_upload(
    database_url: str, tmp_path: Path
) -> None:
    async with open_product(database_url, tmp_path, works=False) as product:
        storage = replace(product.config.storage, object_bytes_max=4096)
        product.config = replace(product.config, storage=storage)
        await product.restart()
        bench = await Bench.open(product, *QUEUES)
        trainer = Trainer(bench)
        job = await trainer.begin()
        large = tensors(size=4096)
        path = await trainer.store(job, "checkpoint", large, step=1)
        told = await trainer.tell(job, 1, checkpoint={"path": path, "step": 1})
        assert told.status_code == 200, told.text
        refused = await trainer.upload(job["uploads"][0], large)
        assert refused.json()["statusCode"] == "413", "an output has the limit that all have"


async def test_a_canceled_training_is_told_so_and_costs_nothing(
    bench: Bench, trainer: Trainer
) -> None:
    job = await trainer.begin()
    path = await trainer.store(job, "checkpoint", tensors(), step=1)
    assert (await trainer.tell(job, 1, checkpoint={"path": path, "step": 1})).status_code == 200
    report = await trainer.made(job)
    canceled = await bench.person.call("cancel-job", {"jobId": job["id"]})
    assert canceled.status_code == 200, canceled.text
    for answer in (await trainer.tell(job, 2), await trainer.say(job, "complete", **report)):
        assert (answer.status_code, answer.json()["code"]) == (404, "job_not_held")
    model = await the_model(bench)
    assert (model["status"], model["adapter_path"]) == ("failed", None)
    assert await bench.person.account() == (1000, 0, 1000)
    for table in ("tintype.checkpoints", "tintype.training_files"):
        assert await bench.product.count(table) == 0


async def test_only_a_training_trains(bench: Bench, trainer: Trainer) -> None:
    await bench.enqueue("flux_image")
    [job] = (await trainer.claim(queues=["flux_queue"]))["jobs"]
    assert job["training"] is None
    for answer in (
        await trainer.say(job, "grant", kind="adapter"),
        await trainer.tell(job, 1),
        await trainer.say(
            job,
            "complete",
            outputs=[{"path": "x"}],
            adapter={"path": "x", "sha256": digest(b"")},
        ),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, "not_a_training")


@pytest.mark.parametrize("prompt", ["at the sea", "a photo of John7F3A at the sea"])
async def test_a_picture_with_an_adapter_comes_with_it(
    bench: Bench, trainer: Trainer, prompt: str
) -> None:
    path = f"{bench.person.id}/{uuid4()}/pytorch_lora_weights.safetensors"
    stored = await bench.product.http.post(
        f"/storage/v1/object/training/{path}",
        content=ADAPTER,
        headers=bench.product.service().headers | {"content-type": "application/octet-stream"},
    )
    assert stored.status_code == 200, stored.text
    adapter = {
        "id": digest(ADAPTER)[:16],
        "sha256": digest(ADAPTER),
        "bytes": len(ADAPTER),
        "weight": 0.8,
        "trigger_word": "john7f3a",
    }
    await bench.enqueue(
        "flux_image",
        prompt=prompt,
        payload={
            "bucket": "flux_image",
            "config": {"width": 512},
            "adapters": [adapter | {"bucket": "training", "path": path}],
            "trigger_word": "john7f3a",
        },
    )
    [job] = (await trainer.claim(queues=["flux_queue"]))["jobs"]
    [given] = job["adapters"]
    assert (await bench.product.http.get(given.pop("url"))).content == ADAPTER
    assert given == adapter
    assert job["prompt"].lower().count("john7f3a") == 1
    assert job["prompt"].endswith("at the sea")
    assert "adapters" not in job["payload"]


async def test_workers_of_the_originals_dialect_get_none_of_this(
    bench: Bench, trainer: Trainer
) -> None:
    await begin_training(bench)
    await bench.enqueue("flux_image")
    headers = {"authorization": f"Bearer {bench.credentials.lane_token}"}
    for queue in QUEUES:
        for command in (
            f"rpop/{queue}",
            f"lpop/{queue}/5",
            f"lrange/{queue}/0/-1",
            f"llen/{queue}",
        ):
            answer = await bench.product.http.get(f"{bench.redis_url}/{command}", headers=headers)
            assert (answer.status_code, answer.json()) == (
                400,
                {"error": "ERR jobs of this queue are taken over /worker/v1 only"},
            )
    original = OriginalWorker(bench)
    for queue, bucket in (("training", "training"), ("flux_queue", "flux_image")):
        [job] = (await trainer.claim(queues=[queue]))["jobs"]
        assert (await trainer.upload(job["uploads"][0], picture())).status_code == 200
        path = f"{bucket}/{job['uploads'][0]['path']}"
        for status in ("processing", "completed", "failed"):
            refused = await original.call_back(
                {"jobId": job["id"], "status": status, "imageUrls": [path]}
            )
            assert (refused.status_code, refused.json()["code"]) == (
                400,
                "native_protocol_required",
            )
        assert (await bench.product.job(job["id"])).status == "processing"


@pytest.mark.parametrize("queue", QUEUES)
async def test_no_redis_carries_a_queue_of_the_native_protocol(bench: Bench, queue: str) -> None:
    lanes = LanesConfig(carried_queues=(queue,), redis_url="redis://127.0.0.1:1")
    config = replace(bench.product.config, lanes=lanes)
    with pytest.raises(OperatorError) as refused:
        outside.open_carriers(config, bench.product.pool, "postgresql://nowhere")
    assert refused.value.code == "queue_not_carried"


async def test_the_servers_own_queue_is_nobody_elses(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await outside.add_worker(
            bench.product.pool, bench.product.keys, "gpu-2", ["training", "identities"]
        )
    assert refused.value.code == "worker_queues_invalid"


async def test_what_a_training_left_is_removed_with_its_job(bench: Bench, trainer: Trainer) -> None:
    job = await trainer.begin()
    sample = await trainer.store(job, "sample", picture(), step=1)
    assert (await trainer.tell(job, 1, sample=sample)).status_code == 200
    path = await trainer.store(job, "checkpoint", tensors(), step=2)
    assert (await trainer.tell(job, 2, checkpoint={"path": path, "step": 2})).status_code == 200
    await trainer.made(job)
    assert (await trainer.say(job, "fail", message="no")).json()["status"] == "failed"
    assert len(await owners(bench)) == 4
    config = bench.product.config
    async with server.open_kernel(config, config.database_url or "") as (kernel, _):
        assert await delivery.sweep(kernel, after_seconds=-1, limit=10, outside_seconds=-1) == 1
    [left] = await owners(bench)
    assert left.startswith("sample-1-"), "it is the user's"
