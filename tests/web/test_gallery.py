"""Ten thousand pictures: found, looked at, used once more, and removed."""

import asyncio
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.lanes.outside_worker import video
from tests.support.product import FUNCTIONS, Product
from tests.web.visitor import Visitor, visiting

MANY = 10_000
# Far below what is on the shelf, and enough for a large window.
TILES_MAX = 150
PROMPTS = (
    "A tin robot on a skateboard, early morning light",
    "A lighthouse in a storm, oil on canvas",
    "A lemon tree in a courtyard, 35 mm",
    "Two foxes under a red umbrella",
)
# Copies of the person's own pictures, a minute apart, the oldest last.
SEED = """
insert into public.generations (
  user_id, job_id, position, media_type, status, bucket, path, url, thumbnail_url, prompt, width,
  height, seed, provider, model, metadata, created_at
)
select
  g.user_id, g.job_id, 100 + n, 'image', 'completed', g.bucket, g.path, g.url, g.thumbnail_url,
  g.prompt || ' no. ' || n, g.width, g.height, n, g.provider, g.model, g.metadata,
  g.created_at - n * interval '1 minute'
from generate_series(1, $2) as n
inner join lateral (
  select * from public.generations
  where user_id = $1::uuid and position < 100
  order by id offset n % $3 limit 1
) as g on true
"""


async def make(visitor: Visitor, **asked: Any) -> str:
    """Have pictures made, without the pages; return the job's id."""
    answer = await visitor.product.http.post(
        f"{FUNCTIONS}/generate-image",
        json={"model": "sandbox"} | asked,
        headers={"authorization": f"Bearer {visitor.token}", "prefer": "wait=30"},
    )
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["jobId"]
    assert (await visitor.product.job(job_id)).status == "completed"
    return job_id


async def make_some(visitor: Visitor) -> None:
    for seed, prompt in enumerate(PROMPTS):
        await make(visitor, prompt=prompt, seed=seed, aspectRatio="4:3" if seed % 2 else "3:4")


@pytest.fixture
async def collector(person: Visitor) -> Visitor:
    """Return somebody with ten thousand pictures more than the four that were made."""
    await make_some(person)
    await person.product.admin.execute(SEED, person.user_id, MANY, len(PROMPTS))
    return person


@pytest.fixture
async def painter(person: Visitor) -> Visitor:
    """Return somebody with four pictures."""
    await make_some(person)
    return person


def tiles(page: Page) -> Locator:
    return page.get_by_role("gridcell")


async def drawn(page: Page, count: int) -> None:
    """Return once every picture is there: the browser complains of one that goes on its way."""
    await expect(tiles(page).locator("img")).to_have_count(count)
    await page.wait_for_function("() => [...document.images].every((one) => one.complete)")


def tile(page: Page, name: str) -> Locator:
    return page.locator("[data-index]").and_(page.get_by_role("button", name=name))


async def test_ten_thousand_pictures_are_scrolled_with_few_of_them_there(
    collector: Visitor, browser: Browser, product: Product
) -> None:
    page = collector.page
    await collector.go("/gallery")
    await expect(page.get_by_test_id("gallery-count")).to_have_text("10,004 pictures")
    await expect(tile(page, "Two foxes under a red umbrella").first).to_be_visible()
    await collector.assert_accessible()
    await collector.picture("gallery")
    most = 0
    scroller = page.locator("[data-scroll-root]")
    for part in (0.1, 0.25, 0.5, 0.9, 1):
        await scroller.evaluate("(it, part) => it.scrollTo(0, it.scrollHeight * part)", part)
        await expect(tiles(page).locator("img").first).to_be_visible()
        most = max(most, await tiles(page).count())
    assert most <= TILES_MAX
    # The oldest is there, by way of the end.
    await expect(tile(page, f"no. {MANY}")).to_be_visible()
    # What is far away was let go: the first page is read once more.
    async with page.expect_request(lambda asked: "limit=100" in asked.url):
        await scroller.evaluate("(it) => it.scrollTo(0, 0)")
    await expect(tile(page, "Two foxes under a red umbrella").first).to_be_visible()
    # Going on by a page asks for what comes after a row, not for a number of rows.
    async with page.expect_request(lambda asked: "created_at.lt" in asked.url):
        await scroller.evaluate("(it) => it.scrollTo(0, 4_000)")

    async with visiting(browser, product, dark=True, locale="pt-BR") as other:
        await other.context.add_init_script(await session_of(page))
        await other.go("/gallery")
        await expect(other.page.get_by_role("heading", name="Galeria")).to_be_visible()
        await expect(tiles(other.page).locator("img").first).to_be_visible()
        await other.assert_accessible()
        await other.picture("gallery-dark-pt-BR")
        assert other.troubles == []


async def session_of(page: Page) -> str:
    kept = await page.evaluate("() => localStorage.getItem('tintype.session')")
    return f"localStorage.setItem('tintype.session', {kept!r})"


async def test_keys_alone_choose_open_and_go_on(painter: Visitor) -> None:
    page = painter.page
    await painter.go("/gallery")
    # Before its picture is read, a place is there that has nothing to choose.
    await expect(tiles(page).locator("img")).to_have_count(4)
    newest = page.locator("[data-index='0']")
    await newest.focus()
    await page.keyboard.press("ArrowRight")
    await expect(page.locator("[data-index='1']")).to_be_focused()
    await page.keyboard.press("Space")
    await page.keyboard.press("Shift+ArrowRight")
    await expect(page.get_by_role("region", name="2 selected")).to_be_visible()
    await painter.assert_accessible()
    await painter.picture("gallery-selection")
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("region", name="2 selected")).to_be_hidden()
    await page.keyboard.press("Control+Home")
    await expect(newest).to_be_focused()
    await page.keyboard.press("Enter")
    view = page.get_by_role("dialog")
    await expect(view.get_by_role("img", name=PROMPTS[3])).to_be_visible()
    await page.keyboard.press("ArrowRight")
    await expect(view.get_by_role("img", name=PROMPTS[2])).to_be_visible()
    await page.keyboard.press("+")
    await expect(view.get_by_text("150%")).to_be_visible()
    await page.keyboard.press("0")
    await expect(view.get_by_text("100%")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(view).to_be_hidden()
    # Back where the full view was left, not where it was entered.
    await expect(page.locator("[data-index='1']")).to_be_focused()
    await page.keyboard.press("Delete")
    ask = page.get_by_role("alertdialog", name="Delete this picture?")
    await expect(ask).to_contain_text("It goes for good, with its file.")
    await page.keyboard.press("Escape")
    await expect(page.locator("[data-index='1']")).to_be_focused()


async def test_the_recipe_says_what_a_picture_was_made_from(painter: Visitor) -> None:
    page = painter.page
    await painter.go("/gallery")
    await tile(page, PROMPTS[1]).click()
    view = page.get_by_role("dialog")
    for told in (PROMPTS[1], "sandbox", "4:3", "1 credit"):
        await expect(view.get_by_text(told).first).to_be_visible()
    await painter.assert_accessible()
    await painter.picture("gallery-recipe")
    async with page.expect_download() as coming:
        await view.get_by_role("button", name="Download").click()
    name = (await coming.value).suggested_filename
    assert re.fullmatch(r"a-lighthouse-in-a-storm-oil-on-canvas-1\.(png|jpg|webp)", name), name
    await view.get_by_role("link", name="All of this job").click()
    await expect(page.get_by_test_id("gallery-count")).to_have_text("one picture")


async def test_the_recipe_shows_and_keeps_the_pictures_it_went_by(painter: Visitor) -> None:
    page, product = painter.page, painter.product
    data = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(data, "PNG")
    path = f"uploads/{painter.user_id}/teal.png"
    stored = await product.http.post(
        f"/storage/v1/object/{path}",
        content=data.getvalue(),
        headers={"authorization": f"Bearer {painter.token}", "content-type": "image/png"},
    )
    assert stored.status_code == 200, stored.text
    await make(painter, prompt="A teal kettle", imageUrls=[path])
    await painter.go("/gallery")
    await tile(page, "A teal kettle").click()
    went_by = page.get_by_role("dialog").get_by_role("img", name="Reference picture")
    await expect(went_by).to_have_count(1)
    await page.get_by_role("button", name="Make again with this recipe").click()
    references = page.get_by_role("region", name="References")
    await expect(references.locator("img")).to_have_count(1)


async def test_on_a_telephone_the_full_view_can_always_be_left(painter: Visitor) -> None:
    page = painter.page
    await page.set_viewport_size({"width": 380, "height": 640})
    await painter.go("/gallery")
    await tile(page, PROMPTS[1]).click()
    view = page.get_by_role("dialog")
    await view.get_by_role("button", name="Delete").scroll_into_view_if_needed()
    await expect(view.get_by_role("button", name="Close")).to_be_in_viewport()
    await painter.assert_accessible()
    await view.get_by_role("button", name="Close").click()
    await expect(view).to_be_hidden()


async def test_a_picture_goes_into_the_editor_and_so_does_its_recipe(painter: Visitor) -> None:
    page = painter.page
    await painter.go("/gallery")

    async def come_late(route: Route) -> None:
        await asyncio.sleep(1)
        await route.continue_()

    # The recipe is read after the picture is shown, and waited for.
    await page.route("**/rest/v1/jobs*", come_late)
    await tile(page, PROMPTS[0]).click()
    await page.get_by_role("button", name="Make again with this recipe").click()
    await expect(page.get_by_role("textbox", name="Prompt")).to_have_value(PROMPTS[0])
    await expect(page.get_by_label("Seed")).to_have_value("0")
    await painter.go("/gallery")
    await tile(page, PROMPTS[2]).click()
    await page.get_by_role("button", name="Use as reference").click()
    references = page.get_by_role("region", name="References")
    await expect(references.locator("img")).to_have_count(1)


async def test_filters_narrow_and_stay_in_the_address(painter: Visitor, product: Product) -> None:
    page = painter.page
    await painter.go("/gallery")
    await expect(tiles(page)).to_have_count(4)
    await page.get_by_role("searchbox").fill("fox")
    await expect(tiles(page)).to_have_count(1)
    await expect(page).to_have_url(re.compile(r"text=fox"))
    await page.reload()
    await expect(tiles(page)).to_have_count(1)
    await page.get_by_role("searchbox").fill("100%_*")
    await expect(page.get_by_text("No picture is like that")).to_be_visible()
    await painter.picture("gallery-nothing")
    await page.get_by_role("button", name="Clear filters").click()
    await expect(tiles(page)).to_have_count(4)
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date().isoformat()
    for search, count in (
        ("made=sandbox", 4),
        ("made=provider%3Asandbox", 4),
        ("made=another", 0),
        ("media=video", 0),
        ("media=image", 4),
        ("batch=1", 0),
        (f"from={tomorrow}", 0),
        (f"to={tomorrow}", 4),
    ):
        await painter.go(f"/gallery?{search}")
        await expect(page.get_by_test_id("gallery-count")).to_have_text(f"{count} pictures")
    await painter.go("/gallery")
    await page.get_by_role("button", name="Filters").click()
    await page.get_by_role("combobox", name="Model").click()
    await page.get_by_role("option", name="Everything by sandbox").click()
    await painter.assert_accessible()
    await painter.picture("gallery-filters")
    await expect(page).to_have_url(re.compile("made=provider(:|%3A)sandbox"))
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Remove filter: sandbox").click()
    await expect(page).to_have_url(re.compile(r"/gallery$"))


async def test_deleted_pictures_are_gone_from_the_server(
    painter: Visitor, product: Product
) -> None:
    page = painter.page
    await painter.go("/gallery")
    await drawn(page, 4)
    await tile(page, PROMPTS[0]).click(modifiers=["Control"])
    await tile(page, PROMPTS[2]).click()
    await page.get_by_role("button", name="Delete").click()
    ask = page.get_by_role("alertdialog", name="Delete 2 pictures?")
    await painter.assert_accessible()
    await painter.picture("gallery-delete")
    await ask.get_by_role("button", name="Delete").click()
    await expect(page.get_by_test_id("gallery-count")).to_have_text("2 pictures")
    await expect(tiles(page)).to_have_count(2)
    left = await product.admin.fetch("select prompt from public.generations order by prompt")
    assert [row["prompt"] for row in left] == [PROMPTS[1], PROMPTS[3]]


async def test_a_picture_of_a_job_under_way_stays_and_is_told_of(
    painter: Visitor, product: Product
) -> None:
    page = painter.page
    answer = await product.http.post(
        f"{FUNCTIONS}/generate-image",
        json={"model": "sandbox", "prompt": "A robot [fault:slow]"},
        headers={"authorization": f"Bearer {painter.token}"},
    )
    # As when the first of several is there and the others are not.
    await product.admin.execute(
        "update public.generations set job_id = $1::uuid, position = 99 where prompt = $2",
        answer.json()["jobId"],
        PROMPTS[1],
    )
    await painter.go("/gallery")
    await drawn(page, 4)
    await page.locator("[data-index='0']").focus()
    await page.keyboard.press("Control+a")
    await page.get_by_role("region", name="4 selected").get_by_role("button", name="Delete").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("One stays: its job is still under way.")).to_be_visible()
    await expect(tiles(page)).to_have_count(1)
    await expect(tile(page, PROMPTS[1])).to_be_visible()


async def test_without_a_network_it_says_so_and_goes_on_when_it_is_back(painter: Visitor) -> None:
    page = painter.page
    await painter.go("/gallery")
    await expect(tiles(page)).to_have_count(4)
    await painter.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    await tile(page, PROMPTS[1]).click()
    view = page.get_by_role("dialog")
    await view.get_by_role("button", name="Download").click()
    told = page.get_by_text("The server cannot be reached. Check your connection and try again.")
    await expect(told).to_be_visible()
    await painter.assert_accessible()
    await painter.context.set_offline(False)
    async with page.expect_download():
        await view.get_by_role("button", name="Download").click()
    # The browser itself complains of every request that did not get away.
    assert all("ERR_" in trouble or "WebSocket" in trouble for trouble in painter.troubles)
    painter.troubles.clear()


async def test_on_a_telephone_one_picture_is_chosen_and_used(painter: Visitor) -> None:
    page = painter.page
    await page.set_viewport_size({"width": 380, "height": 740})
    await painter.go("/gallery")
    await page.get_by_role("button", name=f"Select: {PROMPTS[1]}").click(force=True)
    bar = page.get_by_role("region", name="One selected")
    for name in ("Use as reference", "Download", "Delete", "Clear selection"):
        await expect(bar.get_by_role("button", name=name)).to_be_in_viewport(ratio=1)
    await painter.assert_accessible()


async def test_a_new_picture_appears_by_itself_or_is_told_of(collector: Visitor) -> None:
    page = collector.page
    await collector.go("/gallery")
    await expect(page.get_by_test_id("gallery-count")).to_have_text("10,004 pictures")
    await make(collector, prompt="A brass telescope")
    await expect(tile(page, "A brass telescope")).to_be_visible()
    scroller = page.locator("[data-scroll-root]")
    await scroller.evaluate("(it) => it.scrollTo(0, 90_000)")
    await expect(tile(page, "A brass telescope")).to_have_count(0)
    await make(collector, prompt="A copper kettle")
    await page.get_by_role("button", name="One new picture").click()
    await expect(page.get_by_test_id("gallery-count")).to_have_text("10,006 pictures")


# A worker outside the server delivers so: into a private bucket, both files the user's.
FILM = """
insert into public.generations (
  user_id, job_id, position, media_type, status, bucket, path, url, thumbnail_url, prompt, width,
  height, provider, metadata
)
select
  $1::uuid, id, 50, 'video', 'completed', 'video_fast', $2, $3 || $2, $3 || $2 || '.webp',
  'A train in the snow', 64, 48, 'worker:home',
  jsonb_build_object(
    'media_type', 'video/mp4', 'seconds', 3.2, 'thumbnail_path', $2 || '.webp'
  )
from public.jobs where user_id = $1::uuid limit 1
"""


async def test_a_private_video_has_a_poster_and_plays(painter: Visitor, product: Product) -> None:
    page, admin = painter.page, product.admin
    poster = io.BytesIO()
    Image.new("RGB", (64, 48), "navy").save(poster, "WEBP")
    path = f"{painter.user_id}/film/0.mp4"
    await admin.execute(
        "update storage.buckets set allowed_mime_types = null where id = 'video_fast'"
    )
    service = {"authorization": f"Bearer {product.keys.service_role_key}"}
    for name, data, kind in (
        (path, video(), "video/mp4"),
        (f"{path}.webp", poster.getvalue(), "image/webp"),
    ):
        stored = await product.http.post(
            f"/storage/v1/object/video_fast/{name}",
            content=data,
            headers=service | {"content-type": kind},
        )
        assert stored.status_code == 200, stored.text
    await admin.execute(
        "update storage.objects set owner_id = $1 where bucket_id = 'video_fast'", painter.user_id
    )
    url = f"{product.url}/storage/v1/object/authenticated/video_fast/"
    await admin.execute(FILM, painter.user_id, path, url)
    await painter.go("/gallery?media=video")
    await expect(tiles(page).locator("img")).to_have_attribute("src", re.compile("/object/sign/"))
    await expect(page.get_by_text("3 s video")).to_be_visible()
    await tile(page, "A train in the snow").click()
    film = page.locator("video")
    await expect(film).to_have_attribute("poster", re.compile("/object/sign/"))
    await page.wait_for_function("() => document.querySelector('video').readyState >= 2")
    await painter.assert_accessible()
    await painter.picture("gallery-video")
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Download").click()
    saved = await coming.value
    assert saved.suggested_filename.startswith("a-train-in-the-snow")
    assert (await saved.path()).read_bytes() == video()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No picture is like that")).to_be_visible()
    left = "select count(*) from storage.objects where bucket_id = 'video_fast'"
    assert await admin.fetchval(left) == 0


async def test_what_cannot_be_read_says_why_and_is_tried_again(painter: Visitor) -> None:
    page = painter.page
    refusal = {"code": "XX000", "message": "The shelf is being dusted."}
    shut = "**/rest/v1/generations*"
    await page.route(shut, lambda route: route.fulfill(status=400, json=refusal))
    await painter.go("/gallery")
    await expect(page.get_by_role("alert")).to_contain_text("The shelf is being dusted.")
    await painter.assert_accessible()
    await page.unroute(shut)
    await page.get_by_role("button", name="Try again").click()
    await expect(tiles(page)).to_have_count(4)
    # The browser itself complains of every refusal.
    assert all("400" in trouble for trouble in painter.troubles)
    painter.troubles.clear()


async def test_a_tab_that_is_looked_at_again_shows_what_another_deleted(painter: Visitor) -> None:
    await painter.go("/gallery")
    await drawn(painter.page, 4)
    other = await painter.tab()
    await other.go("/gallery")
    await drawn(other.page, 4)
    await tile(other.page, PROMPTS[0]).focus()
    await other.page.keyboard.press("Space")
    await other.page.keyboard.press("Delete")
    await other.page.get_by_role("alertdialog").get_by_role("button", name="Delete").click()
    await expect(tiles(other.page)).to_have_count(3)
    await painter.page.evaluate("() => document.dispatchEvent(new Event('visibilitychange'))")
    await expect(tiles(painter.page)).to_have_count(3)


async def test_an_empty_gallery_says_what_fills_it(person: Visitor) -> None:
    await person.go("/gallery")
    await expect(person.page.get_by_text("No pictures yet")).to_be_visible()
    await person.assert_accessible()
