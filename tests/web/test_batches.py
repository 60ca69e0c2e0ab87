"""Many pictures of one prompt: asked for, followed, canceled."""

import io
import re

from PIL import Image
from playwright.async_api import Browser, Page, expect

from tests.support.product import Product
from tests.web.visitor import Visitor, sign_up, visiting

PROMPT = "A brass telescope on a windowsill"


async def ask(page: Page, prompt: str, total: int) -> None:
    """Fill in the dialog of a new batch and send it."""
    await page.get_by_role("button", name="New batch").click()
    dialog = page.get_by_role("dialog", name="New batch")
    await dialog.get_by_label("Prompt").fill(prompt)
    await dialog.get_by_label("Number of pictures").fill(str(total))
    await dialog.get_by_role("button", name=f"Generate · {total} credits").click()


async def opened(page: Page) -> None:
    """Return once the batch is shown: until then the list is, which says the same of it."""
    await expect(page.get_by_role("list", name="Pictures of this batch")).to_be_attached()


async def test_a_batch_is_asked_for_and_its_pictures_come(person: Visitor) -> None:
    page = person.page
    await person.go("/batches")
    await expect(page.get_by_text("No batches yet")).to_be_visible()
    await person.assert_accessible()
    await page.get_by_role("button", name="New batch").click()
    dialog = page.get_by_role("dialog", name="New batch")
    await dialog.get_by_label("Prompt").fill(PROMPT)
    await dialog.get_by_label("Number of pictures").fill("41")
    await expect(dialog.get_by_role("button", name="New batch")).to_be_disabled()
    await dialog.get_by_label("Number of pictures").fill("40")
    await page.mouse.click(5, 450)
    await dialog.get_by_label("Prompt").fill("")
    await dialog.get_by_role("button", name="Generate · 40 credits").click()
    await expect(dialog.get_by_text("Say what the pictures show.")).to_be_visible()
    await dialog.get_by_label("Prompt").fill(PROMPT)
    await dialog.get_by_label("Number of pictures").fill("6")
    reference = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(reference, "PNG")
    await dialog.locator("input[type=file]").set_input_files(
        {"name": "teal.png", "mimeType": "image/png", "buffer": reference.getvalue()}
    )
    await expect(dialog.get_by_role("img", name="Reference picture")).to_be_visible()
    await person.assert_accessible()
    await person.picture("batches-new")
    await dialog.get_by_role("button", name="Generate · 6 credits").click()

    await expect(page).to_have_url(re.compile(r"/batches/\d+$"))
    await opened(page)
    await expect(page.get_by_text("6 of 6")).to_be_visible()
    await expect(page.get_by_text("Done", exact=True)).to_be_visible()
    await expect(page.get_by_text("6 credits")).to_be_visible()
    pictures = page.get_by_role("list", name="Pictures of this batch")
    await expect(pictures.get_by_role("button")).to_have_count(6)
    await person.assert_accessible()
    await person.picture("batch")
    await pictures.get_by_role("button").first.click()
    await page.keyboard.press("ArrowRight")
    await expect(page.get_by_role("dialog", name="Picture 2")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("link", name="Show in the gallery").click()
    await expect(page.get_by_test_id("gallery-count")).to_have_text("6 pictures")


async def test_the_list_follows_every_batch_to_its_end(
    person: Visitor, browser: Browser, product: Product
) -> None:
    page = person.page
    for prompt, total in ((PROMPT, 3), ("A robot [fault:refused]", 2)):
        await person.go("/batches")
        await ask(page, prompt, total)
        await expect(page).to_have_url(re.compile(r"/batches/\d+$"))
    await expect(page.get_by_role("alert")).to_be_visible()
    await expect(page.get_by_text("Failed", exact=True)).to_be_visible()
    await person.picture("batch-failed")
    await person.go("/batches")
    table = page.get_by_role("region", name="Batches")
    await expect(table.get_by_text("Failed", exact=True)).to_be_visible()
    await expect(table.get_by_text("Done", exact=True)).to_be_visible()
    await person.assert_accessible()
    await person.picture("batches")
    kept = await page.evaluate("() => localStorage.getItem('tintype.session')")
    async with visiting(browser, product, dark=True, locale="pt-BR") as other:
        await other.context.add_init_script(f"localStorage.setItem('tintype.session', {kept!r})")
        await other.go("/batches")
        await expect(other.page.get_by_role("region", name="Lotes")).to_be_visible()
        await other.assert_accessible()
        await other.picture("batches-dark-pt-BR")
        assert other.troubles == []


async def test_a_batch_under_way_is_canceled_and_its_credits_are_back(visitor: Visitor) -> None:
    await sign_up(visitor, credits=10)
    page = visitor.page
    await visitor.go("/batches")
    await ask(page, "A robot [fault:slow]", 8)
    await opened(page)
    await expect(page.get_by_text("8 held")).to_be_visible()
    await visitor.picture("batch-under-way")
    await page.get_by_role("button", name="Cancel batch").click()
    await expect(page.get_by_text("Canceled", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Cancel batch")).to_be_hidden()
    await expect(page.get_by_test_id("credits-available")).to_have_text("10")


async def test_what_a_batch_lacks_is_paid_back_and_asked_for_again(person: Visitor) -> None:
    page = person.page
    await person.go("/batches")
    await ask(page, "A robot [fault:refused:1]", 4)
    lacking = page.get_by_role("region", name="One picture was not made")
    await expect(lacking).to_contain_text("1 credit came back.")
    await expect(page.get_by_text("Partly done")).to_be_visible()
    await expect(page.get_by_test_id("credits-available")).to_have_text("37")
    await person.assert_accessible()
    await person.picture("batch-partly")
    await lacking.get_by_role("button", name="Make the missing one · 1 credit").click()
    await expect(page.get_by_role("heading", name="Batch 2")).to_be_visible()
    await expect(page.get_by_text("A robot [fault:refused:1]")).to_be_visible()
    asked = await person.product.admin.fetchval(
        "select total_images from public.batches where id=2"
    )
    assert asked == 1


async def test_who_has_too_few_credits_is_told_before_asking(visitor: Visitor) -> None:
    await sign_up(visitor, credits=3)
    page = visitor.page
    await visitor.go("/batches")
    await page.get_by_role("button", name="New batch").click()
    dialog = page.get_by_role("dialog", name="New batch")
    await expect(dialog.get_by_role("status")).to_contain_text("3 credits are available.")
    await dialog.get_by_label("Number of pictures").fill("3")
    await expect(dialog.get_by_role("status")).to_be_hidden()


async def test_batches_that_could_not_be_read_are_read_at_the_next_try(person: Visitor) -> None:
    page = person.page
    refusal = {"code": "XX000", "message": "The shelf is being dusted."}
    shut = "**/rest/v1/batches*"
    await page.route(shut, lambda route: route.fulfill(status=400, json=refusal))
    await person.go("/batches")
    await expect(page.get_by_role("alert")).to_contain_text("The shelf is being dusted.")
    await page.unroute(shut)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_text("No batches yet")).to_be_visible()
    assert all("400" in trouble for trouble in person.troubles)
    person.troubles.clear()


async def test_the_prompt_of_a_batch_can_be_read_on_a_telephone(person: Visitor) -> None:
    page = person.page
    await person.go("/batches")
    await ask(page, PROMPT, 2)
    await opened(page)
    await expect(page.get_by_text("2 of 2")).to_be_visible()
    await page.set_viewport_size({"width": 380, "height": 740})
    await person.go("/batches")
    prompt, badge = page.get_by_text(PROMPT), page.get_by_text("Done", exact=True)
    await expect(prompt).to_be_in_viewport(ratio=1)
    await expect(badge).to_be_in_viewport(ratio=1)
    left, right = await prompt.bounding_box(), await badge.bounding_box()
    assert left and right and left["x"] + left["width"] <= right["x"]
    await person.assert_accessible()


async def test_batches_beyond_the_newest_are_shown_when_asked_for(person: Visitor) -> None:
    page = person.page
    await person.product.admin.execute(
        "insert into public.batches (user_id, prompt, total_images, status, seq, created_at)"
        " select $1::uuid, 'Old batch ' || n, 1, 'completed', n * 1000000,"
        " now() - (400 - n) * interval '1 h'"
        " from generate_series(1, 310) as n",
        person.user_id,
    )
    await person.go("/batches")
    rows = page.get_by_role("region", name="Batches").locator("tbody tr")
    more = page.get_by_role("button", name="Show more")
    for count in (200, 300):
        await expect(rows).to_have_count(count)
        await more.click()
    await expect(rows).to_have_count(310)
    await expect(rows.last).to_contain_text("Old batch 1")
    await expect(more).to_be_hidden()


async def test_a_batch_of_nobody_is_said_to_be_missing(person: Visitor) -> None:
    for name in ("987654", "keys"):
        await person.go(f"/batches/{name}")
        await expect(person.page.get_by_text("There is no such batch")).to_be_visible()
