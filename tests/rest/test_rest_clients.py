"""The real supabase-py client, and our own tables as their owner, another user, anon, service."""

from uuid import UUID, uuid4

import asyncpg
import pytest
from postgrest import CountMethod, ReturnMethod
from postgrest.exceptions import APIError
from rest_site import Site, bearer, refusal
from supabase import AsyncClientOptions, acreate_client

from support import kernel
from support.serve import serving
from tintype.rest import Rest

# supabase-py hands its own options to its parts in a way that these call old.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")

Admin = asyncpg.Connection
ANNA, BERT = kernel.user(1), kernel.user(2)


async def test_supabase_py_reads(shelf: Site) -> None:
    app = shelf.client()
    books = app.from_("books")
    found = await books.select("id, title", count=CountMethod.exact).eq("id", 1).execute()
    assert (found.data, found.count) == ([{"id": 1, "title": "Engines"}], 1)
    found = await books.select("*", count=CountMethod.exact, head=True).execute()
    assert (found.data, found.count) == ([], 4)
    found = await (
        books.select("id, authors!author_id!inner(name)")
        .in_("id", [1, 2, 3])
        .eq("authors.name", "Bea")
        .order("id", desc=True)
        .limit(1)
        .execute()
    )
    assert found.data == [{"id": 3, "authors": {"name": "Bea"}}]
    found = await books.select("id").in_("title", ["Birds", "Cats, (not big)"]).execute()
    assert found.data == [{"id": 2}]
    found = await books.select("id").contains("tags", ["old"]).order("id").execute()
    assert found.data == [{"id": 1}, {"id": 3}]
    found = await books.select("id").contains("facts", {"lang": "en"}).execute()
    assert found.data == [{"id": 1}]
    found = await books.select("id").or_("id.eq.1,and(id.gt.2,pages.is.null)").order("id").execute()
    assert found.data == [{"id": 1}, {"id": 4}]
    found = await books.select("id").not_.is_("pages", "null").order("id").range(1, 2).execute()
    assert found.data == [{"id": 2}, {"id": 3}]
    found = await books.select("id").text_search("blurb", "engine").execute()
    assert found.data == [{"id": 1}]
    one = await books.select("title").eq("id", 2).single().execute()
    assert one.data == {"title": "Birds"}
    assert await books.select("title").eq("id", 99).maybe_single().execute() is None
    with pytest.raises(APIError) as caught:
        await books.select("title").single().execute()
    assert caught.value.code == "PGRST116"
    text = await books.select("id").eq("id", 1).csv().execute()
    assert text.data == "id\n1"


async def test_supabase_py_writes(site: Site) -> None:
    app = site.client()
    publishers = app.from_("publishers")
    made = await publishers.insert([{"id": 5, "name": "A"}, {"id": 6, "name": "B"}]).execute()
    assert made.data == [{"id": 5, "name": "A"}, {"id": 6, "name": "B"}]
    made = await publishers.upsert({"id": 5, "name": "C"}).execute()
    assert made.data == [{"id": 5, "name": "C"}]
    made = await publishers.upsert(
        {"id": 77, "name": "C"}, on_conflict="name", ignore_duplicates=True
    ).execute()
    assert made.data == []
    made = await publishers.update({"name": "D"}).eq("id", 6).execute()
    assert made.data == [{"id": 6, "name": "D"}]
    made = await publishers.delete(returning=ReturnMethod.minimal).in_("id", [5, 6]).execute()
    assert made.data == []
    made = await publishers.select("id", count=CountMethod.exact).execute()
    assert made.count == 2
    with pytest.raises(APIError) as caught:
        await publishers.insert({"id": 1, "name": "again"}).execute()
    assert caught.value.code == "23505"
    with pytest.raises(APIError) as caught:
        await publishers.delete().execute()
    assert caught.value.code == "21000"


async def test_supabase_py_calls(site: Site) -> None:
    app = site.client()
    assert (await app.rpc("add", {"a": 1, "b": 2}).execute()).data == 3
    assert (await app.rpc("add", {"a": 1, "b": 2}, get=True).execute()).data == 3
    found = await app.rpc("books_longer_than", {"pages_min": 200}).select("id").execute()
    assert found.data == [{"id": 1}, {"id": 3}]
    with pytest.raises(APIError) as caught:
        await app.rpc("nope", {}).execute()
    assert caught.value.code == "PGRST202"


async def test_the_whole_supabase_client_finds_it_under_its_prefix(site: Site) -> None:
    headers = bearer(uuid4())
    options = AsyncClientOptions(headers=headers)
    app = await acreate_client(site.url, "a.b.c", options)
    assert (await app.table("publishers").select("id").eq("id", 1).execute()).data == [{"id": 1}]


async def test_our_tables_show_each_user_its_own(site: Site, admin: Admin) -> None:
    for user in (ANNA, BERT):
        await kernel.grant(admin, user, 10)
    (job,) = await kernel.accepted(admin, kernel.submission(ANNA, quantity=2, price=1))
    (claimed,) = await kernel.claim(admin)
    await kernel.deliver(admin, job, claimed["attempt"], 0)

    anna = site.client("authenticated", ANNA)
    rows = (
        await anna.from_("jobs").select("id, quantity, generations(position, url)").execute()
    ).data
    assert [(row["id"], row["quantity"]) for row in rows] == [(str(job), 2)]
    assert [one["position"] for one in rows[0]["generations"]] == [0]
    seen = (await anna.from_("generation_jobs").select("status").single().execute()).data
    assert seen["status"] in ("pending", "generating")
    found = await anna.from_("images").select("position, jobs(prompt)").execute()
    assert found.data == [{"position": 0, "jobs": {"prompt": "a robot holding a skateboard"}}]
    accounts = await anna.from_("credit_accounts").select("user_id, available").execute()
    assert accounts.data == [{"user_id": str(ANNA), "available": 8}]

    bert = site.client("authenticated", BERT)
    for table in ("jobs", "generations", "generation_jobs", "images"):
        assert (await bert.from_(table).select("*").execute()).data == []
        with pytest.raises(APIError) as caught:
            await site.client("anon").from_(table).select("*").execute()
        assert caught.value.code == "42501"
    assert len((await site.client("service_role").from_("jobs").select("id").execute()).data) == 1


async def test_nobody_changes_a_job_or_credits_by_rest(site: Site, admin: Admin) -> None:
    await kernel.grant(admin, ANNA, 10)
    (job,) = await kernel.accepted(admin, kernel.submission(ANNA))
    for role, user in (("authenticated", ANNA), ("anon", None), ("service_role", None)):
        headers = bearer(user, role)
        status = 401 if role == "anon" else 403
        for table, change in (("jobs", {"status": "failed"}), ("credit_accounts", {"balance": 99})):
            path = f"/{table}?user_id=eq.{ANNA}"
            refusal(await site.http.patch(path, json=change, headers=headers), status, "42501")
            refusal(await site.http.delete(path, headers=headers), status, "42501")
            answer = await site.http.post(f"/{table}", json={"user_id": str(ANNA)}, headers=headers)
            refusal(answer, status, "42501")
    for role, user in (("authenticated", ANNA), ("anon", None)):
        answer = await site.http.post("/rpc/claim_next_job", json={}, headers=bearer(user, role))
        assert answer.status_code in (401, 403, 404), answer.text
    assert await admin.fetchval("select status from jobs where id = $1", job) == "queued"


async def test_a_project_belongs_to_who_made_it(site: Site) -> None:
    anna, bert = site.client("authenticated", ANNA), site.client("authenticated", BERT)
    row = {"user_id": str(ANNA), "name": "Robots", "canvas_state": {"zoom": 1}}
    made = (await anna.from_("projects").insert(row).execute()).data[0]
    with pytest.raises(APIError) as caught:
        await bert.from_("projects").insert(row).execute()
    assert caught.value.code == "42501"
    changed = await bert.from_("projects").update({"name": "Mine"}).eq("id", made["id"]).execute()
    assert changed.data == []
    assert (await bert.from_("projects").delete().eq("id", made["id"]).execute()).data == []
    changed = await anna.from_("projects").update({"name": "Bots"}).eq("id", made["id"]).execute()
    assert changed.data[0]["name"] == "Bots"
    assert UUID(changed.data[0]["id"])


async def test_a_policy_sees_the_claims(site: Site) -> None:
    anna, bert = site.client("authenticated", ANNA), site.client("authenticated", BERT)
    await anna.from_("notes").insert({"body": "mine"}).execute()
    assert (await anna.from_("notes").select("user_id, body").execute()).data == [
        {"user_id": str(ANNA), "body": "mine"}
    ]
    assert (await bert.from_("notes").select("*").execute()).data == []
    with pytest.raises(APIError) as caught:
        await bert.from_("notes").insert({"body": "x", "user_id": str(ANNA)}).execute()
    assert caught.value.code == "42501"


async def test_it_can_be_called_without_being_mounted(site: Site) -> None:
    rest: Rest = site.rest
    async with serving(rest) as url:
        answer = await site.http.get(f"{url}/rest/v1/publishers?select=id&id=eq.1")
    assert answer.json() == [{"id": 1}]
