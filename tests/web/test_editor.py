"""From an empty browser to pictures on a canvas, as a person sees it."""

import asyncio
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.support.product import Product, open_product
from tests.web.visitor import PASSWORD, Visitor, sign_up, visiting


async def begin(page: Page, prompt: str) -> None:
    """Put a prompt and its settings on the empty canvas."""
    await page.get_by_role("button", name="Start with a prompt").click()
    await page.get_by_role("textbox", name="Prompt").fill(prompt)


async def generate(page: Page) -> None:
    await page.get_by_role("button", name=re.compile("^Generate ·")).click()


async def test_a_new_person_signs_up_and_gets_four_pictures(
    visitor: Visitor, product: Product
) -> None:
    page = visitor.page
    await visitor.go("/")
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await visitor.picture("welcome")
    await page.get_by_role("button", name="Create account").first.click()
    await page.get_by_label("Email").fill(visitor.email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.locator("form").get_by_role("button", name="Create account").click()
    await expect(page.get_by_text("An empty canvas")).to_be_visible()
    await visitor.picture("editor-empty")
    user = "select id::text from auth.users where email = $1"
    visitor.user_id = await product.admin.fetchval(user, visitor.email)
    await visitor.grant(20)
    await expect(page.get_by_test_id("credits-available")).to_have_text("20")

    await begin(page, "A tin robot on a skateboard, early morning light")
    await generate(page)
    await expect(page.get_by_text("Generation started")).to_be_visible()
    await expect(page.get_by_role("img", name="A tin robot")).to_have_count(4)
    await expect(page.get_by_text("4 pictures ready").first).to_be_visible()
    await expect(page.get_by_test_id("credits-available")).to_have_text("16")
    await visitor.picture("editor")


async def open_canvas(person: Visitor, prompt: str) -> Page:
    await person.go("/")
    await begin(person.page, prompt)
    return person.page


async def test_a_failure_is_shown_with_its_reason_and_what_came_back(person: Visitor) -> None:
    page = await open_canvas(person, "A robot [fault:refused]")
    await generate(page)
    output = page.get_by_role("region", name="Output")
    await expect(output.get_by_text("Generation failed")).to_be_visible()
    await expect(output.get_by_text("4 credits released")).to_be_visible()
    await expect(page.get_by_test_id("credits-available")).to_have_text("40")
    await person.picture("editor-failed")
    # What is run again is the job's own recipe, whatever the canvas says by now.
    await page.get_by_role("textbox", name="Prompt").fill("A quiet lake")
    await output.get_by_role("button", name="Run again").click()
    await expect(output.get_by_text("Generation failed")).to_have_count(2)


@pytest.mark.parametrize(
    ("locale", "button", "said"),
    [
        ("en-US", "Generate", "The model refuses this. Change the prompt and run it again."),
        ("pt-BR", "Gerar", "O modelo recusa isto. Mude o prompt e gere de novo."),
    ],
)
async def test_why_a_model_refuses_is_told_in_the_readers_language(
    browser: Browser,
    database_url: str,
    built: Path,
    tmp_path: Path,
    locale: str,
    button: str,
    said: str,
) -> None:
    model = "gemini-3-pro-image"
    async with (
        open_product(database_url, tmp_path, TINTYPE_DEFAULT_MODEL=model) as product,
        visiting(browser, product, locale=locale) as person,
    ):
        await sign_up(person, credits=40)
        product.provider.script(always="prompt_refused")
        await person.go("/")
        page = person.page
        await page.get_by_role("button", name=re.compile("^(Start with|Começar com)")).click()
        await page.get_by_role("textbox", name="Prompt").fill("A robot")
        await page.get_by_role("button", name=re.compile(f"^{button} ·")).click()
        await expect(page.get_by_role("article").get_by_text(said)).to_be_visible()
        await expect(page.locator("[data-sonner-toast]").get_by_text(said)).to_be_visible()
        await person.picture(f"editor-refused-{locale}")
        assert person.troubles == []


async def test_news_that_overtakes_the_answer_to_its_request_is_told(person: Visitor) -> None:
    page = await open_canvas(person, "A robot [fault:refused]")
    failed = page.get_by_role("region", name="Output").get_by_text("Generation failed")
    answered = asyncio.Event()

    async def answer_late(route: Route) -> None:
        answer = await route.fetch()
        # The output of a canvas shows a job whose answer is still on its way.
        await expect(failed).to_be_visible()
        await route.fulfill(response=answer)
        answered.set()

    await page.route("**/functions/v1/generate-image", answer_late)
    await generate(page)
    told = page.locator("[data-sonner-toast]").get_by_text("Generation failed")
    await expect(told).to_be_visible()
    await answered.wait()


async def test_what_could_be_made_is_kept_and_the_rest_is_released(person: Visitor) -> None:
    page = await open_canvas(person, "A robot [fault:refused:1]")
    await generate(page)
    output = page.get_by_role("region", name="Output")
    await expect(output.get_by_text("3 of 4 pictures ready")).to_be_visible()
    await expect(output.get_by_text("1 credit released")).to_be_visible()
    await expect(output.get_by_role("img")).to_have_count(3)
    await expect(page.get_by_test_id("credits-available")).to_have_text("37")


async def test_too_few_credits_are_told_before_anything_starts(visitor: Visitor) -> None:
    await sign_up(visitor, credits=1)
    page = await open_canvas(visitor, "A robot")
    await generate(page)
    await expect(page.get_by_text("It costs 4 credits; you have 1.")).to_be_visible()
    assert await visitor.product.count("public.jobs") == 0
    # The browser itself notes an answer of 402.
    visitor.troubles.clear()


async def settled(page: Page) -> None:
    """Return once the canvas is saved."""
    await expect(page.locator("[data-saving=saved]")).to_be_visible()


async def test_a_tab_closed_in_the_middle_finds_its_job_again(
    slow_person: Visitor, dry: asyncio.Event
) -> None:
    page = await open_canvas(slow_person, "A robot")
    await generate(page)
    await expect(page.get_by_text("Generating…").first).to_be_visible()
    await slow_person.picture("editor-generating")
    again = await slow_person.tab()
    await page.close()
    await again.go("/")
    output = again.page.get_by_role("region", name="Output")
    await expect(output.get_by_role("status").first).to_contain_text("Generating…")
    dry.set()
    await expect(output.get_by_role("img")).to_have_count(4)
    await expect(output.get_by_text("4 pictures ready")).to_be_visible()
    assert slow_person.troubles + again.troubles == []


async def test_a_network_that_was_away_costs_no_news(
    slow_person: Visitor, dry: asyncio.Event
) -> None:
    page = await open_canvas(slow_person, "A robot")
    await settled(page)
    await generate(page)
    await expect(page.get_by_text("Generating…").first).to_be_visible()
    await slow_person.context.set_offline(True)
    await expect(page.get_by_text("You are offline.")).to_be_visible()
    dry.set()
    await ended(slow_person.product)
    # What is written meanwhile is kept here, and saved when there is somebody to save it.
    await page.get_by_role("textbox", name="Prompt").fill("A quiet lake")
    await expect(page.locator("[data-saving=failed]")).to_be_visible()
    await slow_person.context.set_offline(False)
    output = page.get_by_role("region", name="Output")
    await expect(output.get_by_role("img")).to_have_count(4)
    await expect(output.get_by_text("4 pictures ready")).to_be_visible()
    await settled(page)
    canvas = "select canvas_state::text from public.projects"
    assert "A quiet lake" in await slow_person.product.admin.fetchval(canvas)


async def test_a_request_that_no_answer_came_to_becomes_one_job(
    slow_person: Visitor, dry: asyncio.Event
) -> None:
    page = await open_canvas(slow_person, "A robot")
    await settled(page)
    lost = 0

    async def lose_the_answer(route: Route) -> None:
        nonlocal lost
        lost += 1
        if lost > 2:
            dry.set()
            await route.continue_()
            return
        await route.fetch()
        await route.abort()

    await page.route("**/functions/v1/generate-image", lose_the_answer)
    await generate(page)
    await expect(page.get_by_role("img", name="A robot")).to_have_count(4)
    await expect(page.get_by_text("The network is away")).to_have_count(0)
    assert lost == 3
    assert await slow_person.product.count("public.jobs") == 1


async def test_two_tabs_agree(person: Visitor) -> None:
    page = await open_canvas(person, "A robot")
    await settled(page)
    other = await person.tab()
    await other.go("/")
    prompt = other.page.get_by_role("textbox", name="Prompt")
    await expect(prompt).to_have_value("A robot")
    await page.get_by_role("textbox", name="Prompt").fill("A robot in the rain")
    await expect(prompt).to_have_value("A robot in the rain")
    await other.page.get_by_role("button", name="Fewer").click()
    await expect(page.get_by_role("button", name="Generate · 3 credits")).to_be_visible()
    await generate(page)
    await expect(other.page.get_by_role("img", name="A robot in the rain")).to_have_count(3)
    assert other.troubles == []


async def test_a_job_is_canceled_from_its_output(slow_person: Visitor) -> None:
    page = await open_canvas(slow_person, "A robot")
    await generate(page)
    output = page.get_by_role("region", name="Output")
    await output.get_by_role("button", name="Cancel job").click()
    await expect(output.get_by_text("Canceled")).to_be_visible()
    await expect(output.get_by_text("released")).to_be_visible()
    assert slow_person.troubles == []


async def ended(product: Product) -> None:
    """Return once every job has ended."""
    open_ones = "select count(*) from public.jobs where completed_at is null"
    while await product.admin.fetchval(open_ones):
        await asyncio.sleep(0.05)


async def test_a_server_that_was_started_anew_is_caught_up_with(
    slow_person: Visitor, dry: asyncio.Event
) -> None:
    page = await open_canvas(slow_person, "A robot")
    await settled(page)
    await generate(page)
    output = page.get_by_role("region", name="Output")
    await expect(output.get_by_text("Generating…")).to_be_visible()
    await slow_person.product.restart()
    dry.set()
    await expect(output.get_by_role("img")).to_have_count(4)
    await expect(output.get_by_text("4 pictures ready")).to_be_visible()


async def test_a_place_in_the_line_is_shown(browser: Browser, idle_product: Product) -> None:
    async with visiting(browser, idle_product) as person:
        await sign_up(person, credits=10)
        page = await open_canvas(person, "A robot")
        await generate(page)
        output = page.get_by_role("region", name="Output")
        await expect(output.get_by_text("Next in the queue…")).to_be_visible()
        await generate(page)
        await expect(output.get_by_text("In the queue… (2)")).to_be_visible()
        await expect(output.get_by_text("2 jobs under way")).to_be_visible()
        await person.picture("editor-queue")
        assert person.troubles == []
