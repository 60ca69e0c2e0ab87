"""What a page shows stays right, whatever happens to the network, the machine or the session."""

import asyncio
import io
import json
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Locator, Page, Route, expect

from tests.functions.personal_rows import add_identity
from tests.support.product import Person, Product, open_product
from tests.support.wire import Wire
from tests.web.test_editor import begin, ended, generate, open_canvas, settled
from tests.web.visitor import PASSWORD, Visitor, sign_up, visiting
from tintype import jobs
from tintype.workers import outside

CUT_SECONDS = 20
SAVED_SECONDS_MAX = 60
# A dead connection is found out by a heartbeat that nobody answers.
NOTICED_MILLISECONDS_MAX = 60_000
GENERATE = "**/functions/v1/generate-image"
LARGE_BYTES = 100 * 1024 * 1024
# Noise does not get smaller: a picture of two pieces.
NOISE_PIXELS = (1800, 1800)
DROP = """
([bytes, name, type]) => {
  const given = new DataTransfer()
  given.items.add(new File([new Uint8Array(bytes)], name, { type }))
  const pane = document.querySelector('.react-flow__pane')
  for (const kind of ['dragenter', 'dragover', 'drop'])
    pane.dispatchEvent(new DragEvent(kind, {
      dataTransfer: given, bubbles: true, cancelable: true, clientX: 700, clientY: 300,
    }))
}
"""
PASTE = """
async () => {
  const canvas = new OffscreenCanvas(64, 48)
  canvas.getContext('2d').fillRect(0, 0, 64, 48)
  const given = new DataTransfer()
  const picture = await canvas.convertToBlob({ type: 'image/png' })
  given.items.add(new File([picture], 'image.png', { type: 'image/png' }))
  document.body.dispatchEvent(new ClipboardEvent('paste', {
    clipboardData: given, bubbles: true, cancelable: true,
  }))
}
"""
LAPSE = """
() => {
  const session = JSON.parse(localStorage.getItem('tintype.session'))
  session.expires_at = Math.floor(Date.now() / 1000) - 60
  localStorage.setItem('tintype.session', JSON.stringify(session))
}
"""


def output(page: Page) -> Locator:
    return page.get_by_role("region", name="Output")


async def remove(person: Visitor, count: int) -> None:
    """Delete the newest pictures as the gallery does, from somewhere else."""
    newest = "select id::text from public.generations order by created_at desc limit $1"
    ids = [row["id"] for row in await person.product.admin.fetch(newest, count)]
    answer = await person.product.http.post(
        "/functions/v1/delete-generation",
        json={"ids": ids},
        headers={"authorization": f"Bearer {person.token}"},
    )
    assert answer.status_code == 200, answer.text


async def test_what_is_deleted_elsewhere_goes_here(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await generate(page)
    await expect(output(page).get_by_role("img")).to_have_count(4)
    await expect(output(page).get_by_text("4 pictures ready")).to_be_visible()
    # Nothing is under way: nothing polls.
    await remove(person, 1)
    await expect(output(page).get_by_role("img")).to_have_count(3)
    # Of what goes while nobody listens nothing is ever told.
    await person.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await remove(person, 1)
    await person.context.set_offline(False)
    await expect(output(page).get_by_role("img")).to_have_count(2)
    person.troubles.clear()


async def test_a_project_that_is_deleted_elsewhere_is_not_written_to(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await person.product.admin.execute("delete from public.projects")
    await expect(page.get_by_text("This project is gone")).to_be_visible()
    await page.get_by_role("link", name="To the editor").click()
    await expect(page.get_by_text("An empty canvas")).to_be_visible()


@pytest.mark.parametrize("named", [{"operator": True}, {"role": "operator"}])
async def test_an_operator_is_whom_the_server_takes_for_one(
    visitor: Visitor, named: dict[str, object]
) -> None:
    await sign_up(visitor, metadata=named)
    await visitor.go("/")
    await visitor.page.get_by_role("link", name="Console").click()
    await expect(visitor.page.get_by_role("heading", level=1)).to_be_visible()


async def test_the_price_of_an_identity_is_told_before_and_held_after(
    browser: Browser, idle_product: Product
) -> None:
    async with visiting(browser, idle_product) as visitor:
        await sign_up(visitor, credits=60)
        owner = Person(idle_product, UUID(visitor.user_id), visitor.token)
        await add_identity(idle_product, owner)
        kind = jobs.job_types()["flux_image"]
        await outside.add_worker(idle_product.pool, idle_product.keys, "gpu", [kind.queue])
        page = await open_canvas(visitor, "A robot")
        await page.get_by_label("Identity").click()
        await page.get_by_role("option", name="Anna").click()
        worn = 4 * kind.price_credits
        await expect(page.get_by_label("Model")).to_contain_text("Trained model")
        await expect(page.get_by_role("button", name=f"Generate · {worn} credits")).to_be_visible()
        await visitor.picture("editor-identity")
        # A model that is named is shown the photos, at its own price; and there is a way back.
        await page.get_by_label("Model").click()
        await page.get_by_role("option", name=re.compile("^Sandbox")).click()
        await expect(page.get_by_role("button", name="Generate · 4 credits")).to_be_visible()
        await page.get_by_label("Model").click()
        await page.get_by_role("option", name="Trained model").click()
        await generate(page)
        await expect(page.get_by_text(f"{worn} credits held")).to_be_visible()
        await expect(output(page).get_by_text("Next in the queue…")).to_be_visible()
        held = "select held, (select job_type from public.jobs) as kind from public.credit_accounts"
        row = await idle_product.admin.fetchrow(held)
        assert row is not None and dict(row) == {"held": worn, "kind": kind.name}
        assert visitor.troubles == []


@asynccontextmanager
async def wired(
    browser: Browser, database_url: str, folder: Path
) -> AsyncIterator[tuple[Visitor, Wire]]:
    """Yield a visitor whose only way to the product is a wire that can be cut."""
    async with (
        Wire() as wire,
        open_product(
            database_url,
            folder,
            TINTYPE_DEFAULT_MODEL="sandbox",
            TINTYPE_PUBLIC_URL=wire.url,
        ) as product,
    ):
        wire.target = product.url
        async with visiting(browser, product) as visitor:
            yield visitor, wire


async def test_a_connection_that_dies_in_silence_costs_no_picture(
    browser: Browser, database_url: str, built: Path, tmp_path: Path, dry: asyncio.Event
) -> None:
    async with wired(browser, database_url, tmp_path) as (person, wire):
        await sign_up(person, credits=10)
        page = person.page
        await page.goto(wire.url)
        await begin(page, "A robot")
        await settled(page)
        await generate(page)
        await expect(output(page).get_by_text("Generating…").first).to_be_visible()
        wire.cut()
        # The browser takes itself to be online all the while; what it sends is never answered.
        await page.get_by_role("textbox", name="Prompt").fill("A quiet lake")
        await asyncio.sleep(CUT_SECONDS)
        dry.set()
        await ended(person.product)
        wire.mend()
        wait = NOTICED_MILLISECONDS_MAX
        await expect(output(page).get_by_role("img")).to_have_count(4, timeout=wait)
        await expect(output(page).get_by_text("4 pictures ready")).to_be_visible()
        await expect(page.locator("[data-saving=saved]")).to_be_visible(timeout=wait)
        canvas = "select canvas_state::text from public.projects"
        assert "A quiet lake" in await person.product.admin.fetchval(canvas)


async def test_a_page_that_was_frozen_wakes_up_to_the_truth(
    browser: Browser, database_url: str, built: Path, tmp_path: Path, dry: asyncio.Event
) -> None:
    async with wired(browser, database_url, tmp_path) as (person, wire):
        await sign_up(person, credits=10)
        page = person.page
        await page.goto(wire.url)
        await begin(page, "A robot")
        await settled(page)
        await generate(page)
        await expect(output(page).get_by_text("Generating…").first).to_be_visible()
        behind = await person.context.new_cdp_session(page)
        await behind.send("Page.setWebLifecycleState", {"state": "frozen"})
        dry.set()
        await ended(person.product)
        await remove(person, 1)
        await behind.send("Page.setWebLifecycleState", {"state": "active"})
        await expect(output(page).get_by_text("4 pictures ready")).to_be_visible()
        await expect(output(page).get_by_role("img")).to_have_count(3)


async def refuse(page: Page, status: int, body: dict[str, str], **headers: str) -> list[str]:
    """Refuse the next request for pictures; return the keys that requests come with."""
    keys: list[str] = []

    async def answer(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            await route.continue_()
            return
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        told["content-type"] = "application/json"
        await route.fulfill(status=status, body=json.dumps(body), headers=told)

    await page.route(GENERATE, answer)
    return keys


async def test_who_asks_too_often_is_heard_a_little_later(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    body = {"error": "Too many requests.", "code": "rate_limited"}
    keys = await refuse(page, 429, body, retry_after="5")
    await generate(page)
    await expect(output(page).get_by_text("The server is busy.")).to_be_visible()
    await expect(output(page).get_by_role("img")).to_have_count(4)
    assert len(set(keys)) == 1 and await person.product.count("public.jobs") == 1
    person.troubles.clear()


async def test_a_request_that_is_still_being_answered_is_asked_for_again(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    body = {"error": "It is still running.", "code": "idempotency_key_in_use"}
    keys = await refuse(page, 409, body)
    await generate(page)
    await expect(output(page).get_by_role("img")).to_have_count(4)
    await expect(page.get_by_text("This was not started")).to_have_count(0)
    assert len(set(keys)) == 1 and await person.product.count("public.jobs") == 1
    person.troubles.clear()


async def test_what_cannot_be_sent_can_be_given_up(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await person.context.set_offline(True)
    await generate(page)
    await expect(output(page).get_by_text("The network is away.")).to_be_visible()
    await person.picture("editor-offline")
    # Whoever closes the page now is asked first, since the request would be lost.
    async with page.expect_event("dialog") as asked:
        await page.close(run_before_unload=True)
    question = await asked.value
    assert question.type == "beforeunload"
    await question.dismiss()
    await output(page).get_by_role("button", name="Stop sending").click()
    await expect(page.get_by_text("Not sent any more")).to_be_visible()
    await person.context.set_offline(False)
    await settled(page)
    assert await person.product.count("public.jobs") == 0
    person.troubles.clear()


async def test_a_token_that_ended_is_renewed_in_passing(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await page.evaluate(LAPSE)
    await generate(page)
    await expect(output(page).get_by_role("img")).to_have_count(4)


async def test_who_loses_the_session_comes_back_to_what_they_wrote(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    place = page.url
    await person.product.admin.execute("delete from auth.sessions")
    await page.evaluate(LAPSE)
    await page.get_by_role("textbox", name="Prompt").fill("A quiet lake")
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await expect(page.get_by_text("Your session has ended.")).to_be_visible()
    await page.get_by_label("Email").fill(person.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.locator("form").get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("A quiet lake")
    assert page.url == place
    await settled(page)
    # The browser itself notes what was refused meanwhile.
    person.troubles.clear()


async def test_what_was_typed_is_there_after_a_reload_at_once(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await page.get_by_role("textbox", name="Prompt").fill("A robot in the rain")
    await page.reload()
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value("A robot in the rain")
    canvas = "select canvas_state::text from public.projects"
    async with asyncio.timeout(SAVED_SECONDS_MAX):
        while "A robot in the rain" not in await person.product.admin.fetchval(canvas):
            await asyncio.sleep(0.05)
    await settled(page)
    person.troubles.clear()


async def test_two_tabs_that_change_the_same_canvas_at_once_lose_nothing(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    other = await person.tab()
    await other.go("/")
    await expect(other.page.get_by_role("textbox", name="Prompt")).to_have_value("A robot")
    await asyncio.gather(
        page.get_by_role("textbox", name="Prompt").fill("A robot in the rain"),
        other.page.get_by_role("button", name="Fewer").click(),
    )
    for tab in (page, other.page):
        await expect(tab.get_by_role("textbox", name="Prompt")).to_have_value("A robot in the rain")
        await expect(tab.get_by_role("button", name="Generate · 3 credits")).to_be_visible()
        await settled(tab)
    assert other.troubles == []


@pytest.mark.parametrize(
    ("size", "name", "kind"),
    [(LARGE_BYTES, "huge.png", "image/png"), (5, "notes.txt", "text/plain")],
)
async def test_what_is_dropped_and_cannot_be_taken_is_named(
    person: Visitor, size: int, name: str, kind: str
) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    await page.evaluate(DROP, [size, name, kind])
    await expect(page.get_by_text(f"{name}: Pictures are PNG")).to_be_visible()
    await expect(page.get_by_role("region", name="References")).to_have_count(0)
    assert await person.product.count("storage.objects") == 0


async def test_a_pasted_picture_becomes_a_reference(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await page.evaluate(PASTE)
    references = page.get_by_role("region", name="References")
    await expect(references.get_by_role("button", name="Remove picture")).to_have_count(1)
    await settled(page)
    canvas = await person.product.admin.fetchval("select canvas_state::text from public.projects")
    assert "base64" not in canvas and f"{person.user_id}/canvas/" in canvas


async def test_an_upload_that_is_cut_off_goes_on_where_it_was(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    begun, pieces = 0, 0

    async def cut(route: Route) -> None:
        nonlocal begun, pieces
        begun += route.request.method == "POST"
        pieces += route.request.method == "PATCH"
        if route.request.method == "PATCH" and pieces == 1:
            await person.context.set_offline(True)
            await route.abort("internetdisconnected")
            return
        await route.continue_()

    await page.route("**/storage/v1/upload/resumable**", cut)
    await page.get_by_role("button", name="Add").click()
    await page.get_by_role("menuitem", name="References").click()
    references = page.get_by_role("region", name="References")
    noise = Image.frombytes("RGB", NOISE_PIXELS, os.urandom(3 * NOISE_PIXELS[0] * NOISE_PIXELS[1]))
    picture = io.BytesIO()
    noise.save(picture, "PNG")
    large = FilePayload(name="large.png", mimeType="image/png", buffer=picture.getvalue())
    await references.locator("input[type=file]").set_input_files(large)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await expect(references.get_by_role("status")).to_be_visible()
    await asyncio.sleep(1)
    await person.context.set_offline(False)
    await expect(references.get_by_role("button", name="Remove picture")).to_have_count(1)
    assert (begun, pieces) == (1, 2)
    size = "select (metadata ->> 'size')::bigint from storage.objects"
    assert await person.product.admin.fetchval(size) == len(picture.getvalue())
    person.troubles.clear()
