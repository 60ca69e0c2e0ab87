"""From photos of a person to an identity in the editor, as the person sees it."""

import base64
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser, FilePayload, Page, expect

from tests.identities.bodies import picture
from tests.identities.trainer import STEPS, Trainer, sheet, training
from tests.support.product import Product, open_product
from tests.web.visitor import Visitor, sign_up, visiting
from tintype.worker_client import Task

CREDITS = 120
PRICE = 50
SIDE = 640


@pytest.fixture
async def product(built: Path, database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the whole product, which keeps identities in its own storage."""
    async with open_product(
        database_url,
        tmp_path,
        TINTYPE_DEFAULT_MODEL="sandbox",
        TINTYPE_WELCOME_CREDITS="0",
        TINTYPE_IDENTITIES_HUB="storage",
    ) as product:
        yield product


class Painter(Trainer):
    """Shows a sample first, as a worker with a GPU does on its way."""

    async def train(self, task: Task) -> None:
        sample = await task.store(await task.grant("sample", step=1), sheet())
        await task.training_progress(1, step=1, steps=STEPS, loss=1.0, sample=sample)
        await super().train(task)


@pytest.fixture
async def trainer(product: Product) -> AsyncIterator[Trainer]:
    """Return a worker that trains as soon as it may."""
    async with training(product.pool, product.keys, product.url, Painter()) as trainer:
        yield trainer


@pytest.fixture
async def person(visitor: Visitor) -> Visitor:
    """Return somebody who can pay for two trainings."""
    await sign_up(visitor, credits=CREDITS)
    return visitor


def file(name: str, data: bytes, media_type: str = "image/jpeg") -> FilePayload:
    return {"name": name, "mimeType": media_type, "buffer": data}


def photo(seed: int) -> FilePayload:
    return file(f"ana-{seed}.jpg", picture(side=SIDE, seed=seed))


def flat() -> FilePayload:
    """Return a photo without detail, which the server takes and finds blurred."""
    out = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), (150, 120, 90)).save(out, "JPEG")
    return file("ana-flat.jpg", out.getvalue())


async def bring(page: Page, *photos: FilePayload) -> None:
    await page.locator("input[type=file]").set_input_files(list(photos))
    await expect(page.locator("figure .sweep")).to_have_count(0)


async def fill(page: Page, name: str = "Ana") -> None:
    """Bring what a training needs."""
    await bring(page, photo(1), photo(2), photo(3), flat())
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("checkbox").check()


async def begin(visitor: Visitor) -> None:
    """Ask for a training and wait until it goes on."""
    await visitor.go("/identities/new")
    await fill(visitor.page)
    await visitor.page.get_by_role("button", name="Start training").click()
    await expect(visitor.page.get_by_role("heading", level=1, name="Ana")).to_be_visible()


async def test_photos_become_an_identity_and_the_identity_a_choice_in_the_editor(
    person: Visitor, product: Product, trainer: Trainer
) -> None:
    page = person.page
    trainer.may_go.clear()
    await person.go("/identities")
    await expect(page.get_by_text("No identities yet")).to_be_visible()
    await person.picture("identities-empty")
    await page.get_by_role("link", name="New identity").click()
    await fill(page)
    await person.picture("identity-new")
    await person.assert_accessible()
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("it holds 50 credits")).to_be_visible()
    await expect(page.get_by_test_id("credits-available")).to_have_text(str(CREDITS - PRICE))

    await expect(page.get_by_text("Step 2 of 2")).to_be_visible()
    await expect(page.get_by_role("img", name="Chart: loss 0.5 at step 2")).to_be_visible()
    await expect(page.locator("li[aria-current=step]")).to_have_text("Learns")
    await expect(page.get_by_role("img", name="Sample 1")).to_be_visible()
    await expect(page.get_by_role("img", name="Photo 4")).to_be_visible()
    await expect(page.get_by_text("Blurred")).to_be_visible()
    await expect(page.get_by_text("has agreed to a model being trained")).to_be_visible()
    await person.picture("identity-training")
    await person.assert_accessible()

    trainer.may_go.set()
    await expect(page.get_by_text("Ready", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Rename").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Ana Beatriz")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1, name="Ana Beatriz")).to_be_visible()
    await person.picture("identity")
    await page.get_by_role("button", name="Photo 4").click()
    photo_4 = page.get_by_role("dialog", name="Photo 4")
    await expect(photo_4.get_by_role("img", name="Photo 4")).to_be_visible()
    await expect(photo_4.get_by_text("Blurred")).to_be_visible()
    await person.assert_accessible()
    await page.keyboard.press("ArrowLeft")
    await expect(page.get_by_role("dialog", name="Photo 3")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Photo 4")).to_be_focused()
    await page.get_by_role("link", name="All identities").click()
    await expect(page.get_by_role("link", name="Ana Beatriz").locator("img")).to_be_visible()
    await person.picture("identities")
    await person.assert_accessible()
    await page.get_by_role("link", name="Ana Beatriz").click()
    await page.get_by_role("button", name="Use in the editor").click()
    await expect(page.get_by_role("combobox", name="Identity")).to_have_text("Ana Beatriz")
    await expect(page.get_by_test_id("credits-available")).to_have_text(str(CREDITS - PRICE))
    await product.assert_ledger_holds()
    await person.go("/credits")
    await page.get_by_role("link", name="Training of Ana Beatriz").first.click()
    await expect(page.get_by_role("heading", level=1, name="Ana Beatriz")).to_be_visible()


async def test_what_the_server_would_refuse_is_told_before_it_is_sent(person: Visitor) -> None:
    page = person.page
    await person.go("/identities/new")
    small = file("small.png", picture("PNG", side=200), "image/png")
    fake = file("fake.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png")
    broken = file("broken.jpg", picture(side=SIDE)[:400])
    phone = file("phone.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "image/heic")
    await bring(page, photo(1), photo(1), small, fake, broken, phone)
    for told in (
        "Under 256 pixels",
        "Neither JPG nor PNG",
        "Cannot be read",
        "same photo twice",
        "HEIC: save it as JPG",
    ):
        await expect(page.locator("figcaption").filter(has_text=told)).to_have_count(1)
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("Remove the photos that cannot be used.")).to_be_visible()
    await expect(page.get_by_text("A name is needed.")).to_be_visible()
    await expect(page.get_by_text("Without this agreement nothing is sent.")).to_be_visible()
    await expect(page.get_by_role("alert").filter(has_text="Remove the photos")).to_be_focused()
    await person.picture("identity-refused")
    await person.assert_accessible()
    for name in ("small.png", "fake.png", "broken.jpg", "phone.heic"):
        await page.get_by_role("button", name=f"Remove {name}").click()
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("2 more photos are needed.")).to_be_visible()
    # Told in passing, while the photos are looked at.
    await page.locator("input[type=file]").set_input_files([photo(seed) for seed in range(40)])
    await expect(page.get_by_text("At most 40 photos")).to_be_visible()
    await expect(page.get_by_text("40 of 40")).to_be_visible()
    assert await person.product.count("public.jobs") == 0


@pytest.mark.parametrize("way", ["drop", "paste"])
async def test_photos_are_dropped_and_pasted(person: Visitor, way: str) -> None:
    page = person.page
    await person.go("/identities/new")
    await expect(page.get_by_text("0 of 40")).to_be_visible()
    bring_by = """
      ([way, data]) => {
        const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0))
        const brought = new DataTransfer()
        brought.items.add(new File([bytes], 'brought.jpg', { type: 'image/jpeg' }))
        const told = { bubbles: true, cancelable: true }
        if (way === 'drop') {
          const zone = document.querySelector('section[aria-label="Photos"]')
          zone.dispatchEvent(new DragEvent('drop', { ...told, dataTransfer: brought }))
        } else {
          const pasted = { ...told, clipboardData: brought }
          window.dispatchEvent(new ClipboardEvent('paste', pasted))
        }
      }
    """
    data = base64.b64encode(picture(side=SIDE)).decode()
    await page.evaluate(bring_by, [way, data])
    await expect(page.get_by_text("1 of 40")).to_be_visible()
    await expect(page.get_by_role("img", name="Photo 1")).to_be_visible()


async def test_who_cannot_pay_is_told_so_and_keeps_what_was_entered(visitor: Visitor) -> None:
    page = visitor.page
    await sign_up(visitor, credits=PRICE - 1)
    await visitor.go("/identities/new")
    price = page.get_by_role("region", name="Price")
    await expect(price).to_contain_text("50 credits49 availableThese are not enough credits.")
    await page.get_by_text("Settings").click()
    await page.get_by_label("Training steps").fill("1001")
    await expect(price).to_contain_text("100 credits")
    await page.get_by_label("Training steps").fill("")
    await fill(page)
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("This needs 50 credits and 49 are available.")).to_be_visible()
    await expect(page.locator("figure")).to_have_count(4)
    # The browser itself notes the 402.
    assert all("402" in told for told in visitor.troubles)
    visitor.troubles.clear()
    await visitor.grant(1)
    await expect(price).to_contain_text("Held when the training starts")
    await page.get_by_role("button", name="Start training").click()
    await expect(page).to_have_url(re.compile(r"/identities/[0-9a-f-]{36}$"))


async def test_a_training_is_canceled_and_its_credits_come_back(
    person: Visitor, product: Product
) -> None:
    page = person.page
    await begin(person)
    await expect(page.locator("li[aria-current=step]")).to_have_text("Waits for a GPU")
    await page.get_by_role("button", name="Cancel training").click()
    dialog = page.get_by_role("alertdialog")
    await dialog.get_by_role("button", name="Cancel training").click()
    await expect(page.get_by_text("The training was canceled")).to_be_visible()
    await expect(page.get_by_text("Canceled", exact=True)).to_be_visible()
    await expect(page.get_by_test_id("credits-available")).to_have_text(str(CREDITS))
    await person.picture("identity-failed")
    await person.assert_accessible()
    await product.assert_ledger_holds()


async def test_photos_are_sent_anew_when_the_connection_was_lost(
    person: Visitor, product: Product
) -> None:
    page = person.page
    await person.go("/identities/new")
    await fill(page)
    await page.route("**/functions/v1/train-identity", lambda route: route.abort())
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("sending begins anew when it is back")).to_be_visible()
    await page.get_by_role("link", name="Gallery").click()
    ask = page.get_by_role("alertdialog", name="Stop sending the photos?")
    await person.assert_accessible()
    await ask.get_by_role("button", name="Go on sending").click()
    await page.unroute("**/functions/v1/train-identity")
    await expect(page.get_by_role("heading", level=1, name="Ana")).to_be_visible()
    assert await product.count("public.trained_identities") == 1
    # The browser itself complains of what was cut.
    assert all("ERR_FAILED" in told for told in person.troubles)
    person.troubles.clear()


async def test_who_leaves_while_photos_are_sent_starts_no_training(
    person: Visitor, product: Product
) -> None:
    page = person.page
    await person.go("/identities/new")
    await fill(page)
    await page.route("**/functions/v1/train-identity", lambda route: route.abort())
    await page.get_by_role("button", name="Start training").click()
    await expect(page.get_by_text("sending begins anew when it is back")).to_be_visible()
    await page.get_by_role("link", name="Gallery").click()
    await page.get_by_role("button", name="Stop and leave").click()
    await expect(page.get_by_role("heading", name="Gallery")).to_be_visible()
    assert await product.count("public.trained_identities") == 0
    person.troubles.clear()


async def test_a_deleted_identity_is_followed_until_everything_is_gone(
    person: Visitor, product: Product
) -> None:
    page = person.page
    await begin(person)
    await page.get_by_role("button", name="Delete").click()
    dialog = page.get_by_role("alertdialog")
    await expect(dialog).to_contain_text("repository are removed everywhere")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page.get_by_text("No identities yet")).to_be_visible()
    await page.reload()
    await expect(page.get_by_text("Ana: everything is removed")).to_be_visible()
    left = "select count(*) from storage.objects where bucket_id in ('identities', 'training')"
    assert await product.admin.fetchval(left) == 0
    await page.get_by_role("button", name="Dismiss: Ana").click()
    await expect(page.get_by_text("Ana: everything is removed")).to_have_count(0)
    await expect(page.get_by_test_id("credits-available")).to_have_text(str(CREDITS))


async def test_it_reads_well_in_the_dark_and_in_portuguese(
    browser: Browser, product: Product, trainer: Trainer
) -> None:
    async with visiting(browser, product, dark=True, locale="pt-BR") as person:
        page = person.page
        await sign_up(person, credits=CREDITS)
        await person.go("/identities/new")
        await bring(page, photo(1), photo(2), photo(3))
        await page.get_by_label("Nome").fill("Ana")
        await page.get_by_role("checkbox").check()
        await person.assert_accessible()
        await page.get_by_role("button", name="Iniciar treino").click()
        await expect(page.get_by_text("Pronta", exact=True)).to_be_visible()
        await expect(page.get_by_role("img", name="perda 0,5 no passo 2")).to_be_visible()
        await person.picture("identity-dark")
        await person.assert_accessible()
        assert person.troubles == []
