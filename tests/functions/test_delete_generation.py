"""Removing finished pictures, with everything that is stored of them."""

import json
from typing import Any
from uuid import uuid4

import pytest

from tests.support.product import Person, Product
from tintype.jobs import Job


async def made(product: Product, person: Person, quantity: int = 2) -> tuple[Job, list[Any]]:
    """Return a finished job of the person and the rows of its pictures."""
    answer = await person.generate({"quantity": quantity, "model": "sandbox"}, prefer="wait=20")
    assert answer.status_code == 200, answer.text
    job = await product.job(answer.json()["jobId"])
    assert job.status == "completed"
    rows = await product.admin.fetch(
        "select * from public.generations where job_id = $1 order by position", job.id
    )
    return job, rows


async def test_a_removed_picture_leaves_no_row_object_or_file(product: Product) -> None:
    person = await product.person()
    before = (product.files(), await product.count("storage.objects"))
    job, [first, second] = await made(product, person)
    answer = await person.call("delete-generation", {"ids": [str(first["id"])]})
    assert answer.json() == {"success": True, "deleted": [str(first["id"])], "underWay": []}
    for url in (first["url"], first["thumbnail_url"]):
        assert (await product.http.get(url)).status_code == 400
    for url in (second["url"], second["thumbnail_url"]):
        assert (await product.http.get(url)).status_code == 200
    assert await product.count("public.generations") == 1
    rest = {"ids": [str(first["id"]), str(second["id"])]}
    assert (await person.call("delete-generation", rest)).json()["deleted"] == [str(second["id"])]
    assert (product.files(), await product.count("storage.objects")) == before
    # What was made is paid for.
    assert await person.account() == (18, 0, 18)
    assert (await product.job(job.id)).result_count == 2
    again = await person.call("delete-generation", rest)
    assert (again.status_code, again.json()["code"]) == (404, "generation_not_found")


async def test_a_strangers_picture_stays(product: Product) -> None:
    owner, stranger = await product.person(), await product.person()
    _, theirs = await made(product, owner, 1)
    _, own = await made(product, stranger, 1)
    ids = [str(row["id"]) for row in (*theirs, *own)]
    async with product.unchanged():
        alone = await stranger.call("delete-generation", {"ids": ids[:1]})
        assert (alone.status_code, alone.json()["code"]) == (404, "generation_not_found")
    mixed = await stranger.call("delete-generation", {"ids": ids})
    assert mixed.json()["deleted"] == ids[1:]
    assert (await product.http.get(theirs[0]["url"])).status_code == 200
    assert (await product.service().call("delete-generation", {"ids": ids})).json()["deleted"] == (
        ids[:1]
    )


@pytest.mark.parametrize("way", ["{}", "{mine}/../{}"])
async def test_a_row_whose_metadata_names_anothers_object_does_not_reach_it(
    product: Product, way: str
) -> None:
    owner, stranger = await product.person(), await product.person()
    _, [theirs] = await made(product, owner, 1)
    _, [own] = await made(product, stranger, 1)
    # A row that is inserted by its owner and then filled by a job keeps the owner's metadata.
    await product.admin.execute(
        "update public.generations set metadata = metadata || $2 where id = $1",
        own["id"],
        json.dumps({"thumbnail_path": way.format(theirs["path"], mine=stranger.id)}),
    )
    answer = await stranger.call("delete-generation", {"ids": [str(own["id"])]})
    assert answer.json()["deleted"] == [str(own["id"])]
    assert (await product.http.get(theirs["url"])).status_code == 200


async def test_a_picture_of_a_job_under_way_stays_until_it_ends(product: Product) -> None:
    person = await product.person()
    job, [row] = await made(product, person, 1)
    change = "update public.jobs set status = $2, completed_at = $3 where id = $1"
    body = {"ids": [str(row["id"])]}
    await product.admin.execute(change, job.id, "processing", None)
    async with product.unchanged():
        answer = await person.call("delete-generation", body)
        assert answer.json() == {"success": True, "deleted": [], "underWay": body["ids"]}
    await product.admin.execute(change, job.id, "completed", job.completed_at)
    assert (await person.call("delete-generation", body)).json()["deleted"] == body["ids"]


async def test_no_ids_or_too_many_are_refused(product: Product) -> None:
    person = await product.person()
    for ids in ([], [str(uuid4()) for _ in range(101)], ["not an id"]):
        answer = await person.call("delete-generation", {"ids": ids})
        assert (answer.status_code, answer.json()["code"]) == (400, "field_invalid")
