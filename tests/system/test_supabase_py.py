"""What an app does with supabase-py: the whole client on the whole product, async and blocking."""

import asyncio
import io
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from PIL import Image
from postgrest import CountMethod
from postgrest.exceptions import APIError
from realtime.types import RealtimePostgresChangesListenEvent as Listen
from storage3.exceptions import StorageApiError, VectorBucketException
from supabase import Client, ClientOptions, create_client
from supabase_auth.errors import (
    AuthApiError,
    AuthError,
    AuthSessionMissingError,
    AuthWeakPasswordError,
)
from supabase_functions.errors import FunctionsHttpError
from supabase_functions.utils import FunctionRegion

from tests.support.product import Product
from tests.system.supabase_py_site import PASSWORD, SUBSCRIBED, App, Apps, Ear

# supabase-py hands its own options to its parts in a way that these call old.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")

ECHO = """
async def serve(invocation):
    body = await invocation.json(dict)
    name = invocation.request.query_params["name"]
    return {"said": body, "who": invocation.principal.role, "name": name}
"""


def blocking(product: Product, key: str | None = None) -> Client:
    """Return the client of a script that knows no event loop."""
    options = ClientOptions(auto_refresh_token=False)
    return create_client(product.url, key or product.keys.anon_key, options)


def refused(kind: type[Any], call: Callable[[], object]) -> Any:
    """Return the error of a blocking call."""
    with pytest.raises(kind) as caught:
        call()
    return caught.value


def picture(width: int = 60, height: int = 40) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, "PNG")
    return buffer.getvalue()


async def test_a_session_opens_every_door_and_its_end_closes_them(apps: Apps) -> None:
    app = await apps.open()
    client = app.client

    async def doors() -> list[str]:
        """Return the codes of the refusals at each door, and what came of the open ones."""
        codes = []
        for call, kind in (
            (client.table("credit_accounts").select("*").execute(), APIError),
            (client.storage.from_("uploads").create_signed_upload_url(path), StorageApiError),
            (client.functions.invoke("generate-image", {"body": {}}), FunctionsHttpError),
        ):
            try:
                await call
            except kind as error:
                codes.append(str(getattr(error, "code", None) or error.message))
        return codes

    path = "nobody/a.png"
    assert await doors() == ["42501", "Unauthorized", "This needs a signed-in user."]
    made = await client.auth.sign_up({"email": "door@example.com", "password": PASSWORD})
    path = f"{made.user.id}/a.png" if made.user else ""
    [last] = await doors()
    assert "prompt" in last
    await client.auth.sign_out()
    assert await client.auth.get_session() is None and await client.auth.get_user() is None
    assert await doors() == ["42501", "Unauthorized", "This needs a signed-in user."]


async def test_an_anonymous_user_works_and_keeps_the_work_when_it_signs_up(apps: Apps) -> None:
    app = await apps.open()
    await app.client.auth.sign_in_anonymously()
    project = await app.project("Mine")
    before = await app.user_id()
    await app.client.auth.update_user({"email": "grown@example.com", "password": PASSWORD})
    again = await apps.open()
    await again.client.auth.sign_in_with_password(
        {"email": "grown@example.com", "password": PASSWORD}
    )
    assert await again.user_id() == before
    found = await again.client.table("projects").select("id, name").execute()
    assert found.data == [{"id": project, "name": "Mine"}]


async def test_the_blocking_client_keeps_a_session(product: Product) -> None:
    def script() -> None:
        auth = blocking(product).auth
        login = {"email": "Script@example.com", "password": PASSWORD}
        made = auth.sign_up({**login, "options": {"data": {"name": "Ada"}}})
        assert made.user.email == "script@example.com" and made.session.expires_in == 3600
        assert auth.get_user().user == made.user
        [identity] = auth.get_user_identities().identities
        assert (identity.provider, identity.user_id) == ("email", made.user.id)
        claims = auth.get_claims()
        assert claims["claims"]["sub"] == made.user.id and claims["headers"]["alg"] == "ES256"
        changed = auth.update_user({"data": {"name": None, "theme": "dark"}}).user
        assert changed.user_metadata["theme"] == "dark" and "name" not in changed.user_metadata

        first = auth.get_session()
        second = auth.refresh_session().session
        assert second.refresh_token != first.refresh_token
        carried = blocking(product).auth
        assert carried.set_session(second.access_token, second.refresh_token).user.id

        again = refused(AuthApiError, lambda: blocking(product).auth.sign_up(login))
        assert (again.status, again.code) == (422, "user_already_exists")
        wrong = {**login, "password": "wrong"}
        error = refused(AuthApiError, lambda: auth.sign_in_with_password(wrong))
        assert (error.status, error.code) == (400, "invalid_credentials")
        weak = {"email": "weak@example.com", "password": "1"}
        assert refused(AuthWeakPasswordError, lambda: auth.sign_up(weak)).reasons == ["length"]
        assert refused(AuthError, lambda: auth.get_user("a.b.c")).code == "bad_jwt"
        refused(AuthSessionMissingError, blocking(product).auth.refresh_session)

    await asyncio.to_thread(script)


async def test_the_blocking_client_signs_out_what_it_says(product: Product) -> None:
    def script() -> None:
        login = {"email": "scopes@example.com", "password": PASSWORD}
        blocking(product).auth.sign_up(login)
        for scope, ended in (("others", [1, 2]), ("local", [0]), ("global", [0, 1, 2])):
            clients = [blocking(product).auth for _ in range(3)]
            tokens = [one.sign_in_with_password(login).session.access_token for one in clients]
            clients[0].sign_out({"scope": scope})
            for number, token in enumerate(tokens):
                reader = blocking(product).auth
                if number in ended:
                    error = refused(AuthError, lambda r=reader, t=token: r.get_user(t))
                    assert error.code == "session_not_found"
                else:
                    assert reader.get_user(token).user.email == login["email"]

    await asyncio.to_thread(script)


async def test_the_blocking_client_keeps_users(product: Product) -> None:
    def script() -> None:
        for key in (product.keys.service_role_key, product.keys.secret_key):
            admin = blocking(product, key).auth.admin
            before = len(admin.list_users(per_page=1000))
            email = f"{uuid4().hex[:8]}@example.com"
            new = {"email": email, "password": PASSWORD, "email_confirm": True}
            made = admin.create_user({**new, "app_metadata": {"plan": "pro"}}).user
            again = refused(AuthApiError, lambda a=admin, n=new: a.create_user(n))
            assert (again.status, again.code) == (422, "email_exists")
            assert len(admin.list_users(per_page=1000)) == before + 1
            assert len(admin.list_users(page=1, per_page=1)) == 1
            assert admin.list_users(page=1000, per_page=10) == []
            admin.update_user_by_id(made.id, {"ban_duration": "1h"})
            login = {"email": email, "password": PASSWORD}
            banned = refused(
                AuthApiError, lambda w=login: blocking(product).auth.sign_in_with_password(w)
            )
            assert banned.code == "user_banned"
            assert admin.get_user_by_id(made.id).user.app_metadata["plan"] == "pro"
            admin.delete_user(made.id)
            gone = refused(AuthApiError, lambda a=admin, m=made: a.get_user_by_id(m.id))
            assert (gone.status, gone.code) == (404, "user_not_found")
        for key in (product.keys.anon_key, product.keys.publishable_key):
            error = refused(AuthApiError, blocking(product, key).auth.admin.list_users)
            assert (error.status, error.code) == (403, "not_admin")

    await asyncio.to_thread(script)


async def test_the_blocking_client_reads_and_writes_tables(product: Product) -> None:
    def script() -> None:
        client = blocking(product)
        user = client.auth.sign_in_anonymously().user.id
        projects = client.table("projects")
        rows = [{"user_id": user, "name": n, "canvas_state": {"zoom": len(n)}} for n in NAMES]
        made = client.table("projects").insert(rows).execute().data
        assert [row["name"] for row in made] == NAMES
        first = made[0]["id"]

        def names(query: Any) -> list[str]:
            return [row["name"] for row in query.order("name").execute().data]

        counted = projects.select("*", count=CountMethod.exact, head=True).execute()
        assert (counted.data, counted.count) == ([], len(NAMES))
        assert names(projects.select("name").in_("name", NAMES[:2])) == sorted(NAMES[:2])
        assert names(projects.select("name").ilike("name", "%CAT%")) == ["a cat, sleeping", "cats"]
        assert names(projects.select("name").eq("canvas_state->>zoom", "4")) == ["cats"]
        assert names(projects.select("name").contains("canvas_state", {"zoom": 4})) == ["cats"]
        assert names(projects.select("name").or_('name.eq.cats,name.eq."a cat, sleeping"')) == [
            "a cat, sleeping",
            "cats",
        ]
        assert names(projects.select("name").not_.like("name", "%cat%")) == ["robots"]
        paged = projects.select("name", count=CountMethod.exact).order("name").range(1, 1).execute()
        assert (paged.data, paged.count) == ([{"name": "cats"}], 3)
        renamed = projects.update({"name": "dogs"}).eq("id", first).execute().data
        assert [row["name"] for row in renamed] == ["dogs"]
        upserted = projects.upsert({**made[0], "name": "birds"}).execute().data
        assert upserted[0]["id"] == first and upserted[0]["name"] == "birds"
        assert projects.select("name").eq("id", first).single().execute().data == {"name": "birds"}
        assert projects.select("name").eq("id", str(uuid4())).maybe_single().execute() is None
        assert "birds" in projects.select("name").csv().execute().data
        assert len(projects.delete().eq("id", first).execute().data) == 1

        for call, code in (
            (projects.select("name").eq("id", first).single(), "PGRST116"),
            (projects.select("nothing"), "42703"),
            (projects.select("name").eq("id", "no uuid"), "22P02"),
            (projects.insert({"user_id": str(uuid4()), "name": "x"}), "42501"),
            (projects.insert({"user_id": user, "nothing": 1}), "PGRST204"),
            (client.table("nothing").select("*"), "PGRST205"),
            (client.schema("tintype").table("ready").select("*"), "PGRST106"),
            (client.table("jobs").update({"status": "completed"}).eq("id", first), "42501"),
            (projects.delete(), "21000"),
        ):
            assert refused(APIError, call.execute).code == code

    await asyncio.to_thread(script)


NAMES = ["robots", "a cat, sleeping", "cats"]


async def test_what_belongs_to_the_worker_is_called_by_the_service_alone(
    apps: Apps, product: Product
) -> None:
    app, service = await apps.sign_up(), await apps.service()
    for one in (app, await apps.open()):
        with pytest.raises(APIError) as caught:
            await one.client.rpc("claim_next_job").execute()
        assert caught.value.code in ("42501", "PGRST202")
    assert (await service.client.rpc("claim_next_job").execute()).data in ([], None)
    users = await service.client.table("credit_accounts").select("user_id").execute()
    assert await app.user_id() in {row["user_id"] for row in users.data}


async def test_the_blocking_client_keeps_files(product: Product) -> None:
    def script() -> None:
        client = blocking(product)
        user = client.auth.sign_in_anonymously().user.id
        files = client.storage.from_("uploads")
        path, data = f"{user}/day one/a (1).png", picture()
        for source in (data, io.BufferedReader(io.BytesIO(data))):
            options = {"content-type": "image/png", "upsert": "true", "metadata": {"mood": "calm"}}
            assert files.upload(path, source, options).full_path == f"uploads/{path}"
        assert files.download(path) == data and files.exists(path)
        assert not files.exists(f"{path}x")
        assert files.info(path)["metadata"] == {"mood": "calm"}
        small = files.download(path, {"transform": {"width": 30, "height": 20, "quality": 50}})
        assert Image.open(io.BytesIO(small)).size == (30, 20)
        [entry] = files.list(f"{user}/day one", {"search": "A", "sortBy": {"column": "created_at"}})
        assert entry["name"] == "a (1).png"
        page = files.list_v2({"prefix": f"{user}/", "with_delimiter": True, "limit": 1})
        assert [folder.name for folder in page.folders] == [f"{user}/day one/"] and not page.hasNext

        files.move(path, f"{user}/b.png")
        files.copy(f"{user}/b.png", f"{user}/c.png")
        assert [entry["name"] for entry in files.list(user)] == ["b.png", "c.png"]
        names = [f"{user}/b.png", f"{user}/nothing.png"]
        there, missing = files.create_signed_urls(names, 60, {"download": True})
        for url in (there["signedURL"], files.create_signed_url(names[0], 60)["signedURL"]):
            assert httpx2.get(url, trust_env=False).content == data
        assert missing["signedURL"] is None and missing["error"]
        wanted = {"transform": {"width": 10, "height": 10}}
        shrunk = httpx2.get(files.create_signed_url(names[0], 60, wanted)["signedURL"])
        assert Image.open(io.BytesIO(shrunk.content)).size == (10, 10)
        signed = files.create_signed_upload_url(f"{user}/d.png")
        blocking(product).storage.from_("uploads").upload_to_signed_url(
            f"{user}/d.png", signed["token"], data, {"content-type": "image/png"}
        )
        removed = files.remove([f"{user}/{name}.png" for name in "bcdx"])
        assert sorted(row["name"] for row in removed) == [f"{user}/{name}.png" for name in "bcd"]

        for call, status, code in (
            (lambda: files.upload(f"{uuid4()}/a.png", data), "403", "Unauthorized"),
            (lambda: files.upload(f"{user}/a.png", b"<svg/>"), "415", "invalid_mime_type"),
            (lambda: files.upload(f"{user}/a\\b.png", data), "400", "InvalidKey"),
            (lambda: files.download(names[1]), "404", "not_found"),
            (lambda: client.storage.create_bucket("mine"), "403", "Unauthorized"),
            (lambda: client.storage.from_("none").list(), "404", "Bucket not found"),
        ):
            error = refused(StorageApiError, call)
            assert (str(error.status), error.code) == (status, code)

    await asyncio.to_thread(script)


async def test_no_user_sees_anothers_files(apps: Apps) -> None:
    app, stranger = await apps.sign_up(), await apps.sign_up()
    folder = await app.user_id()
    await app.client.storage.from_("uploads").upload(f"{folder}/a.png", picture())
    theirs = stranger.client.storage.from_("uploads")
    assert await theirs.list(folder) == [] and await theirs.remove([f"{folder}/a.png"]) == []
    assert not await theirs.exists(f"{folder}/a.png")
    for call in (theirs.download, theirs.info, theirs.create_signed_upload_url):
        with pytest.raises(StorageApiError):
            await call(f"{folder}/a.png")
    assert await app.client.storage.from_("uploads").exists(f"{folder}/a.png")


async def test_the_operators_script_keeps_buckets(product: Product) -> None:
    def script() -> None:
        storage = blocking(product, product.keys.secret_key).storage
        storage.create_bucket("shared", options={"public": True, "file_size_limit": 1000})
        files = storage.from_("shared")
        files.upload("a/b.txt", b"hello", {"content-type": "text/plain", "cache-control": "60"})
        url = files.get_public_url("a/b.txt", {"download": "greeting.txt"})
        answer = httpx2.get(url, trust_env=False)
        assert (answer.text, answer.headers["cache-control"]) == ("hello", "max-age=60")
        assert "greeting.txt" in answer.headers["content-disposition"]
        large = refused(StorageApiError, lambda: files.upload("a/c.txt", bytes(1001)))
        assert (large.status, large.code) == ("413", "Payload too large")
        assert "shared" in [bucket.id for bucket in storage.list_buckets()]
        full = refused(StorageApiError, lambda: storage.delete_bucket("shared"))
        assert (full.status, full.code) == ("409", "InvalidRequest")
        storage.empty_bucket("shared")
        storage.delete_bucket("shared")
        for call in (
            lambda: storage.vectors().create_bucket("v"),
            lambda: storage.analytics().create("a"),
        ):
            missing = refused((StorageApiError, VectorBucketException), call)
            assert "not found" in missing.message

    await asyncio.to_thread(script)


async def test_functions_answer_and_refuse_as_the_client_expects(
    apps: Apps, product: Product
) -> None:
    folder = product.config.project / "supabase" / "functions" / "echo"
    folder.mkdir(parents=True)
    (folder / "index.py").write_text(ECHO)
    app = await apps.sign_up()
    options = {
        "body": {"a": [1, "ü"]},
        "headers": {"x-trace": "1"},
        "region": FunctionRegion("us-east-1"),
        "responseType": "json",
    }
    answer = await app.client.functions.invoke("echo?name=bob", options)
    assert answer["said"] == {"a": [1, "ü"]} and answer["who"] == "authenticated"
    assert answer["name"] == "bob"
    plain = await app.client.functions.invoke("echo?name=", {"body": {}})
    assert isinstance(plain, bytes) and b'"said"' in plain
    for name, body, status, words in (
        ("nothing", {}, 404, None),
        ("generate-image", {"prompt": "x", "quantity": 0}, 400, "quantity is 1 to 4."),
        ("generate-image", {"prompt": "x", "model": "none"}, 400, "none"),
        ("cancel-job", {"jobId": str(uuid4())}, 404, "There is no such job."),
    ):
        with pytest.raises(FunctionsHttpError) as caught:
            await app.client.functions.invoke(name, {"body": body})
        assert caught.value.status == status
        assert words is None or words in caught.value.message

    def script() -> None:
        client = blocking(product)
        client.auth.sign_in_anonymously()
        broke = refused(
            FunctionsHttpError,
            lambda: client.functions.invoke("generate-image", {"body": {"prompt": "x"}}),
        )
        assert broke.status == 402

    await asyncio.to_thread(script)


async def test_a_repeated_request_is_one_job_and_one_picture(apps: Apps) -> None:
    app = await apps.sign_up()
    options = {
        "body": {"prompt": "a robot", "model": "sandbox", "imageSize": "512"},
        "headers": {"Prefer": "wait=30", "Idempotency-Key": uuid4().hex},
        "responseType": "json",
    }
    answers = [await app.client.functions.invoke("generate-image", options) for _ in range(2)]
    assert {(one["jobId"], one["status"]) for one in answers} == {
        (answers[0]["jobId"], "completed")
    }
    assert await app.credits() == (19, 19)

    path = answers[0]["resultUrls"][0].partition("/object/public/generations/")[2]
    bucket = app.client.storage.from_("generations")
    assert await bucket.get_public_url(path) == answers[0]["resultUrls"][0]
    with Image.open(io.BytesIO(await bucket.download(path))) as made:
        assert (made.format, made.size) == ("PNG", (512, 512))
    # The picture and its thumbnail.
    assert len(await bucket.list(path.rpartition("/")[0])) == 2


async def test_the_changes_of_an_app_are_told_as_its_filters_say(
    apps: Apps, product: Product
) -> None:
    app = await apps.sign_up()
    one, two, three = [await app.project(name) for name in ("one", "two", "three")]
    some = await app.watch("projects", filter=f"id=in.({one},{two})", select=["id", "name"])
    gone = await app.watch("projects", Listen.Delete)
    several = await app.watch("projects", filter="name=like.t%,name=neq.two")
    for project, name in ((three, "tree"), (one, "ten"), (two, "two")):
        await app.client.table("projects").update({"name": name}).eq("id", project).execute()
    # A row that is gone when it would be told of is not told of.
    await some.until_one(id=two, name="two")
    await app.client.table("projects").delete().eq("id", one).execute()
    [deletion] = await gone.until(len)
    assert deletion["data"]["old_record"] == {"id": one}
    assert some.records[:2] == [{"id": one, "name": "ten"}, {"id": two, "name": "two"}]
    assert [record["name"] for record in several.records] == ["tree", "ten"]


async def test_after_signing_out_nothing_more_is_told(apps: Apps, product: Product) -> None:
    app, other = await apps.sign_up(), await apps.sign_up()
    project, sentinel = await app.project(), await other.project()
    user = await app.user_id()
    changes, told = await app.watch("projects"), await other.watch("projects")
    await app.client.table("projects").update({"name": "seen"}).eq("id", project).execute()
    await changes.until_one(name="seen")
    await app.client.auth.sign_out({"scope": "local"})
    # The client tells its channels in the background; the server says nothing to that.
    await app.client.realtime.set_auth(product.keys.anon_key)
    reader = await apps.open()
    channel, echoed = reader.client.channel("after"), Ear()
    channel.on_broadcast("after", echoed)
    await channel.subscribe()
    behind = app.client.channel("after")
    await behind.subscribe()
    await behind.send_broadcast("after", {})
    await echoed.until(len)
    for owner, name in ((user, "unseen"), (await other.user_id(), "sentinel")):
        await product.admin.execute(
            "update public.projects set name = $2 where user_id = $1", UUID(owner), name
        )
    await told.until_one(id=sentinel, name="sentinel")
    assert [record["name"] for record in changes.records] == ["seen"]


async def test_people_meet_in_a_room(apps: Apps) -> None:
    ada, bob = await apps.sign_up(), await apps.open()
    heard, synced = Ear(), Ear()

    def room(app: App, key: str) -> Any:
        config = {"config": {"presence": {"key": key, "enabled": True}, "broadcast": {"ack": True}}}
        return app.client.channel("studio", config)  # type: ignore[arg-type]

    hers, his = room(ada, "ada"), room(bob, "bob")
    his.on_broadcast("brush", heard).on_presence_sync(lambda: synced(sorted(his.presence_state())))
    for channel in (hers, his):
        states = Ear()
        await channel.subscribe(states)
        assert states.heard == [(SUBSCRIBED, None)]
        await channel.track({"at": "canvas"})
    await synced.until(lambda seen: ["ada", "bob"] in seen)
    await hers.send_broadcast("brush", {"x": 1})
    await hers.http_send("brush", {"x": 2})
    assert [one["payload"] for one in await heard.until(lambda all_: len(all_) == 2)] == [
        {"x": 1},
        {"x": 2},
    ]
    await ada.client.remove_all_channels()
    await synced.until(lambda seen: seen[-1] == ["bob"])
