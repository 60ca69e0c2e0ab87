"""Rows of identities, models and batches, as they are there before anybody asks for a picture."""

from typing import Any
from uuid import UUID, uuid4

from tests.support.product import Person, Product
from tests.support.provider_pictures import Pictures

SHA256 = "ab" * 32
_ADAPTER = (
    "adapter_bucket = 'training', adapter_path = user_id || '/' || id || '/adapter.safetensors',"
    " adapter_bytes = 1000, adapter_sha256 = $2, status = 'ready'"
)


async def add_pictures(product: Product, person: Person, count: int) -> list[str]:
    """Store training pictures where an identity has them, and return their places."""
    folder = f"identities/{person.id}/identity-anna-{uuid4().hex[:8]}/images"
    paths = [f"{folder}/image_{number:03}.png" for number in range(1, count + 1)]
    pictures = Pictures()
    for path in paths:
        answer = await product.http.post(
            f"/storage/v1/object/{path}",
            content=pictures.small(),
            headers=product.service().headers | {"content-type": "image/png"},
        )
        assert answer.status_code == 200, answer.text
    return paths


async def add_identity(
    product: Product,
    person: Person,
    *,
    status: str = "ready",
    base: str = "flux",
    pictures: int = 3,
) -> UUID:
    """Add an identity with the trigger word `anna7f3a`, its pictures stored."""
    identity_id = uuid4()
    await product.admin.execute(
        "insert into public.trained_identities (id, user_id, identity_name, model_id, base_model,"
        " trigger_word, num_training_images, status, image_paths)"
        " values ($1, $2, 'Anna', $1::uuid || '-repository', $3, 'anna7f3a', 3, 'training', $4)",
        identity_id,
        person.id,
        base,
        await add_pictures(product, person, pictures),
    )
    await _end(product, "trained_identities", identity_id, status)
    return identity_id


async def add_model(
    product: Product, person: Person, *, status: str = "ready", base: str = "flux"
) -> int:
    """Add a model with the trigger word `cup1`, without pictures."""
    model_id: int = await product.admin.fetchval(
        "insert into public.models (user_id, name, base_model, trigger_word)"
        " values ($1, 'My cup', $2, 'cup1') returning id",
        person.id,
        base,
    )
    await _end(product, "models", model_id, status)
    return model_id


async def _end(product: Product, table: str, row_id: UUID | int, status: str) -> None:
    if status == "ready":
        await product.admin.execute(
            f"update public.{table} set {_ADAPTER} where id = $1", row_id, SHA256
        )
    else:
        await product.admin.execute(
            f"update public.{table} set status = $2 where id = $1", row_id, status
        )


async def begin_row(person: Person, table: str, **columns: Any) -> int:
    """Add a row as an app does, with the user's own token, and return its id."""
    answer = await person.product.http.post(
        f"/rest/v1/{table}",
        json={"user_id": str(person.id)} | columns,
        headers=person.headers | {"prefer": "return=representation"},
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json()[0]["id"])


async def begin_batch(person: Person, **columns: Any) -> int:
    """Add a batch as text-book apps do: its status is "processing" before it is asked for."""
    return await begin_row(person, "batches", status="processing", **columns)


async def row_of(person: Person, table: str, row_id: int | UUID) -> dict[str, Any]:
    """Return a row as its owner sees it."""
    answer = await person.product.http.get(
        f"/rest/v1/{table}?id=eq.{row_id}", headers=person.headers
    )
    [row] = answer.json()
    return dict(row)
