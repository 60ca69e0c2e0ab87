"""What is there, told as OpenAPI and by OPTIONS, to each role what it may use."""

from typing import Any

import asyncpg
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator
from rest_site import Site, bearer, refusal

from tintype.rest import freshness

Admin = asyncpg.Connection


async def document(site: Site, role: str = "anon") -> dict[str, Any]:
    headers = {} if role == "anon" else bearer(role=role)
    answer = await site.http.get("/", headers=headers)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/openapi+json; charset=utf-8"
    told: dict[str, Any] = answer.json()
    return told


async def test_the_document_is_valid_for_every_role(shelf: Site) -> None:
    for role in ("anon", "authenticated", "service_role"):
        told = await document(shelf, role)
        assert [error.message for error in OpenAPIV2SpecValidator(told).iter_errors()] == []
        assert (told["swagger"], told["basePath"]) == ("2.0", "/rest/v1")


async def test_a_table_is_told_with_its_columns_keys_and_methods(shelf: Site) -> None:
    told = await document(shelf)
    assert told["definitions"]["genres"] == {
        "description": "What a book is about\n\nGenres form a tree.",
        "required": ["id", "name"],
        "properties": {
            "id": {
                "description": "Note:\nThis is a Primary Key.<pk/>",
                "format": "integer",
                "type": "integer",
            },
            "name": {"description": "As readers say it", "format": "text", "type": "string"},
            "parent_id": {
                "description": "Note:\nThis is a Foreign Key to `genres.id`."
                "<fk table='genres' column='id'/>",
                "format": "integer",
                "type": "integer",
            },
        },
        "type": "object",
    }
    path = told["paths"]["/genres"]
    assert path.keys() == {"get", "post", "patch", "delete"}
    assert path["get"]["summary"] == "What a book is about"
    assert path["get"]["description"] == "Genres form a tree."
    assert {"$ref": "#/parameters/rowFilter.genres.parent_id"} in path["get"]["parameters"]
    assert path["get"]["responses"]["200"]["schema"]["items"] == {"$ref": "#/definitions/genres"}

    book = told["definitions"]["books"]["properties"]
    assert book["mood"] == {
        "default": "calm",
        "enum": ["calm", "tense"],
        "format": "public.mood",
        "type": "string",
    }
    assert book["isbn"] == {"format": "character varying", "maxLength": 5, "type": "string"}
    assert book["tags"]["items"] == {"type": "string"}
    assert book["facts"] == {"format": "jsonb"}
    view = told["definitions"]["long_books"]["properties"]
    assert "<pk/>" in view["id"]["description"]
    assert "<fk table='authors' column='id'/>" in view["writer_id"]["description"]


async def test_a_function_is_told_with_its_arguments(shelf: Site) -> None:
    told = await document(shelf)
    path = told["paths"]["/rpc/add"]
    assert path["post"]["summary"] == "Adds two numbers"
    assert path["post"]["parameters"][0]["schema"] == {
        "required": ["a"],
        "properties": {
            "a": {"format": "integer", "type": "integer"},
            "b": {"format": "integer", "type": "integer"},
        },
        "type": "object",
        "description": "Adds two numbers",
    }
    assert [one["name"] for one in path["get"]["parameters"]] == ["a", "b"]
    assert told["paths"]["/rpc/nothing"].keys() == {"post"}
    # What only computes a column of a row cannot be called.
    assert "/rpc/headline" not in told["paths"]


async def test_only_what_the_role_may_use_is_told(
    site: Site, admin: Admin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(freshness, "MISS_SECONDS_MIN", 0.0)
    await admin.execute(
        "create table secrets (id int primary key, word text);"
        "grant select (id) on secrets to authenticated;"
        "create function whisper() returns int language sql as 'select 1';"
        "revoke execute on function whisper from public, anon, authenticated;"
        "grant execute on function whisper to service_role"
    )
    assert "/secrets" not in (await document(site, "authenticated"))["paths"]
    refusal(await site.http.get("/secrets"), 401, "42501")
    anon, user, service = [
        await document(site, role) for role in ("anon", "authenticated", "service_role")
    ]
    assert "/secrets" not in anon["paths"] and "secrets" not in anon["definitions"]
    assert anon["paths"]["/letterbox"].keys() == {"post"}
    assert user["paths"]["/secrets"].keys() == {"get"}
    assert user["definitions"]["secrets"]["properties"].keys() == {"id"}
    assert user["paths"]["/jobs"].keys() == {"get"} and "/jobs" not in anon["paths"]
    assert "/rpc/whisper" in service["paths"] and "/rpc/whisper" not in user["paths"]
    assert "/rpc/claim_next_job" in service["paths"]
    assert "/rpc/claim_next_job" not in user["paths"]


async def test_the_root_has_two_media_types_and_no_other_method(shelf: Site) -> None:
    answer = await shelf.get("/", accept="application/json")
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    answer = await shelf.http.head("/")
    assert (answer.status_code, answer.content) == (200, b"")
    await shelf.refused("/", 406, "PGRST107", accept="text/csv")
    await shelf.refused("/", 406, "PGRST106", accept_profile="tintype")
    refusal(await shelf.http.post("/", json={}), 405, "PGRST117")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/", "OPTIONS,GET,HEAD"),
        ("/books", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
        ("/loose", "OPTIONS,GET,HEAD,POST,PATCH,DELETE"),
        ("/long_books", "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"),
        ("/rpc/add", "OPTIONS,GET,HEAD,POST"),
        ("/rpc/nothing", "OPTIONS,POST"),
    ],
)
async def test_options_says_which_methods_there_are(shelf: Site, path: str, methods: str) -> None:
    answer = await shelf.http.options(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["allow"] == methods


async def test_options_on_what_is_not_there_is_404(shelf: Site) -> None:
    refusal(await shelf.http.options("/nope"), 404, "PGRST205")
    refusal(await shelf.http.options("/rpc/nope"), 404, "PGRST202")
    refusal(await shelf.http.options("/a/b/c"), 404, "PGRST125")
