"""The operator's console, as a person sees it: what goes on, what died, and what can be done."""

import asyncio
import re
from uuid import UUID

import pytest
from playwright.async_api import Browser, expect

from tests.support.product import Person, Product
from tests.web.visitor import Visitor, sign_up, visiting
from tintype.providers import Catalogue, Model
from tintype.workers import outside, pauses

OPERATOR = {"operator": True}
MODEL = "gemini-3.1-flash-image"
PROMPT = "A lighthouse made of paper, at dusk"
PARTS = {
    "/console": ("Overview", "Visão geral"),
    "/console/jobs": ("Jobs", "Trabalhos"),
    "/console/failures": ("Dead jobs", "Trabalhos mortos"),
    "/console/providers": ("Providers", "Provedores"),
    "/console/models": ("Models", "Modelos"),
    "/console/workers": ("Workers", "Trabalhadores"),
    "/console/users": ("Users", "Usuários"),
    "/console/ledger": ("Ledger", "Livro-caixa"),
    "/console/storage": ("Storage", "Armazenamento"),
    "/console/logs": ("Function logs", "Registros"),
}


@pytest.fixture
async def operator(visitor: Visitor) -> Visitor:
    """Return an operator at a browser."""
    await sign_up(visitor, credits=5, metadata=OPERATOR)
    return visitor


async def dead(product: Product, person: Person, prompt: str = PROMPT) -> str:
    """Return the id of a job that the provider refused once and would make now."""
    product.provider.script("prompt_refused")
    job = await person.accepted({"prompt": prompt, "model": MODEL}, prefer="wait=30")
    assert (await product.job(job.id)).status == "failed"
    return str(job.id)


async def busy(product: Product) -> Person:
    """Return somebody of whose jobs three are done, one died and one waits for its next attempt."""
    person = await product.person(60)
    for prompt in ("A heron in morning fog", "Four chairs in an empty theatre", PROMPT):
        await person.accepted({"prompt": prompt, "quantity": 3}, prefer="wait=30")
    await dead(product, person)
    product.provider.script(always="unavailable")
    waiting = await person.accepted({"prompt": "A kite over dunes", "model": MODEL})
    async with asyncio.timeout(60):
        while (await product.job(waiting.id)).retries == 0:
            await asyncio.sleep(0.05)
    # It waits for as long as the test takes, and does not die of its last attempt meanwhile.
    await product.admin.execute("update tintype.delayed set run_at = now() + interval '1 hour'")
    return person


async def test_an_operator_requeues_a_job_that_failed(operator: Visitor, product: Product) -> None:
    page = operator.page
    person = await product.person(5)
    job_id = await dead(product, person)
    await operator.go("/console/failures")
    row = page.get_by_role("row").filter(has_text="refused")
    await expect(row).to_contain_text("PROHIBITED_CONTENT")
    await row.get_by_role("link", name="List them").click()
    await expect(page.get_by_role("combobox", name="Status")).to_have_text("Failed")
    await page.get_by_role("link", name=PROMPT).click()
    await expect(page.get_by_text(job_id, exact=True)).to_be_visible()
    await expect(page.get_by_text("Released", exact=True)).to_be_visible()

    await product.admin.execute(
        "insert into tintype.function_logs (at, function, request_id, level, message)"
        " values (now(), 'shop', 'r1', 'info', 'an order for ' || $1)",
        job_id,
    )
    await expect(page.get_by_role("cell", name=f"an order for {job_id}")).to_be_visible()
    await page.get_by_role("button", name="Requeue").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Requeue").click()
    await expect(page.get_by_text("1 done, 0 refused")).to_be_visible()
    await page.get_by_role("link", name="Open the new job").click()
    await expect(page.get_by_text(job_id, exact=True)).to_have_count(0)
    await expect(page.get_by_role("img", name="Output 1")).to_be_visible()
    await expect(page.get_by_text("Spent", exact=True)).to_be_visible()
    await expect(page.locator("ol").get_by_text("Done")).to_be_visible()
    await operator.picture("console-job")
    await operator.assert_accessible()
    assert await person.account() == (4, 0, 4)
    await product.assert_ledger_holds()


async def test_many_jobs_are_acted_upon_and_each_outcome_is_told(
    operator: Visitor, product: Product
) -> None:
    page = operator.page
    person = await busy(product)
    await operator.go(f"/console/jobs?user={person.id}")
    await expect(page.get_by_role("row")).to_have_count(6)
    await page.get_by_role("checkbox", name="Select all").check()
    await operator.picture("console-jobs")
    await operator.assert_accessible()
    await page.get_by_role("button", name="Cancel", exact=True).click()
    dialog = page.get_by_role("alertdialog")
    await expect(dialog).to_contain_text("Cancel 5 jobs?")
    await dialog.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.get_by_text("1 done, 4 refused")).to_be_visible()
    await expect(page.get_by_role("row").filter(has_text="Had ended")).to_contain_text("4")
    await operator.picture("console-outcomes")
    await page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    await page.get_by_role("combobox", name="Status").click()
    await page.get_by_role("option", name="Canceled").click()
    await expect(page).to_have_url(re.compile("status=canceled"))
    await expect(page.get_by_role("link", name="A kite over dunes")).to_be_visible()
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.reload()
    await expect(page.get_by_role("row")).to_have_count(2)


async def test_a_long_list_is_read_a_page_at_a_time(operator: Visitor, product: Product) -> None:
    page = operator.page
    person = await product.person(70)
    await asyncio.gather(*(person.accepted({"prompt": f"Robot {n}"}) for n in range(60)))
    await operator.go("/console/jobs")
    await expect(page.get_by_role("row")).to_have_count(51)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.get_by_role("row")).to_have_count(61)
    await expect(page.get_by_role("button", name="Show more")).to_have_count(0)


async def test_what_was_written_into_a_filter_is_kept_when_another_is_chosen(
    operator: Visitor,
) -> None:
    page = operator.page
    await operator.go("/console/jobs")
    await page.get_by_label("Queue").fill("images")
    await page.get_by_role("combobox", name="Status").click()
    await page.get_by_role("option", name="Failed").click()
    await expect(page).to_have_url(re.compile("queue=images"))
    await expect(page).to_have_url(re.compile("status=failed"))
    await expect(page.get_by_label("Queue")).to_have_value("images")


async def test_older_jobs_are_looked_through_when_none_of_the_newest_fits(
    operator: Visitor, product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tintype.functions.operating.rows.JOBS_SEEN_MAX", 2)
    page = operator.page
    person = await product.person(9)
    await dead(product, person)
    for _ in range(3):
        await person.accepted({"prompt": "Robot"}, prefer="wait=30")
    await operator.go("/console/jobs?status=failed")
    await expect(page.get_by_text("older ones may")).to_be_visible()
    await page.get_by_role("button", name="Show more").click()
    await expect(page.get_by_role("link", name=PROMPT)).to_be_visible()


async def test_a_narrow_window_holds_every_part_and_shows_which_is_open(
    browser: Browser, product: Product
) -> None:
    person = await busy(product)
    await outside.add_worker(product.pool, product.keys, "gpu-berlin", ("training",))
    long = "A very long prompt about " + "boats and " * 30
    await person.accepted({"prompt": long, "model": "sandbox"}, prefer="wait=30")
    async with visiting(browser, product, locale="pt-BR") as operator:
        page = operator.page
        await page.set_viewport_size({"width": 390, "height": 844})
        await sign_up(operator, credits=5, metadata=OPERATOR)
        for path, (_, name) in PARTS.items():
            await operator.go(f"{path}?status=completed" if path.endswith("jobs") else path)
            await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
            await expect(page.locator(".sweep")).to_have_count(0)
            part = page.get_by_role("navigation", name="Console").get_by_role("link", name=name)
            await expect(part.first).to_be_in_viewport(ratio=0.9)
            beyond = await page.evaluate(
                "Math.max(...[...document.querySelectorAll('main, [data-scroll-root]')]"
                ".map((one) => one.scrollWidth - one.clientWidth),"
                " document.documentElement.scrollWidth - innerWidth)"
            )
            assert beyond <= 0, path
            await operator.assert_accessible()
        assert operator.troubles == []


async def test_the_overview_follows_what_goes_on(operator: Visitor, product: Product) -> None:
    page = operator.page
    await operator.go("/console")
    await expect(page.get_by_text("No job in the last hour")).to_be_visible()
    await busy(product)
    delayed = page.locator("dl > div").filter(has_text="wait for their next attempt")
    await expect(delayed.get_by_role("definition").first).to_have_text("1")
    await expect(page.get_by_role("link", name="Done 3")).to_be_visible()
    await expect(
        page.get_by_role("img", name=re.compile("3 jobs done and 1 failed"))
    ).to_be_visible()
    await expect(page.get_by_text("Adds up")).to_be_visible()
    await operator.picture("console")
    await page.get_by_text("The same as a table").click()
    await expect(page.get_by_role("columnheader", name="Half done within")).to_be_visible()
    await operator.assert_accessible()


async def test_credits_are_granted_and_stand_on_the_statement(
    operator: Visitor, product: Product
) -> None:
    page = operator.page
    await operator.go("/console/users")
    await page.get_by_label("Search").fill(operator.email[:8])
    await page.keyboard.press("Enter")
    await page.get_by_role("link", name=operator.email).click()
    await page.get_by_role("button", name="Grant credits").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Credits").fill("0")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_text("A whole number of at least 1.")).to_be_visible()
    await dialog.get_by_label("Credits").fill("25")
    await dialog.get_by_label("Note").fill("for the exhibition")
    await operator.assert_accessible()
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("Granted. Available now: 30")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="for the exhibition")
    await expect(row).to_contain_text("25")
    await operator.picture("console-user")
    assert await Person(product, UUID(operator.user_id), "").account() == (30, 0, 30)


async def test_a_pause_is_ended_and_a_worker_is_shut_out(
    operator: Visitor, product: Product
) -> None:
    page = operator.page
    model = next(one for one in product_models(product) if one.id == MODEL)
    told = "The provider's quota for today is used up."
    await pauses.pause(product.pool, model, cause="quota", detail=told, seconds=900, whole=False)
    await outside.add_worker(product.pool, product.keys, "gpu-berlin", ("training",))
    await operator.go("/console/providers")
    await expect(page.get_by_text("used up")).to_be_visible()
    await operator.picture("console-providers")
    await operator.assert_accessible()
    await page.get_by_role("button", name="Let it go on").click()
    await expect(page.get_by_text("Everything may be called")).to_be_visible()
    assert await pauses.listing(product.pool) == []

    await page.get_by_role("link", name="Workers").click()
    await page.get_by_role("button", name="Shut out: gpu-berlin").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Shut out").click()
    await expect(page.get_by_text("No worker was added")).to_be_visible()
    assert await outside.list_workers(product.pool) == []


def product_models(product: Product) -> list[Model]:
    return Catalogue(product.config.providers).models


async def test_the_service_key_opens_the_console_for_this_tab_alone(
    visitor: Visitor, product: Product
) -> None:
    page = visitor.page
    await sign_up(visitor)
    await visitor.go("/console")
    await expect(page.get_by_text("The console is for operators")).to_be_visible()
    await visitor.assert_accessible()
    await page.get_by_label("Service key").fill(product.keys.service_role_key)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await page.get_by_role("link", name="Users").click()
    await expect(page.get_by_role("link", name=visitor.email)).to_be_visible()
    assert product.keys.service_role_key not in await page.evaluate(
        "JSON.stringify([localStorage, sessionStorage, location.href, document.cookie])"
    )
    await page.reload()
    await expect(page.get_by_text("The console is for operators")).to_be_visible()


@pytest.mark.parametrize("locale", ["en-US", "pt-BR"])
async def test_every_part_reads_well_in_the_dark_and_in_both_languages(
    browser: Browser, product: Product, locale: str
) -> None:
    person = await busy(product)
    await person.generate({"prompt": ""})
    await outside.add_worker(product.pool, product.keys, "gpu-berlin", ("training",))
    is_english = locale == "en-US"
    async with visiting(browser, product, dark=is_english, locale=locale) as operator:
        await sign_up(operator, credits=5, metadata=OPERATOR)
        for path, (english, portuguese) in PARTS.items():
            await operator.go(path)
            page = operator.page
            name = english if is_english else portuguese
            await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
            await expect(page.locator(".sweep")).to_have_count(0)
            if is_english:
                await operator.picture(f"console-{english.lower().replace(' ', '-')}-dark")
            await operator.assert_accessible()
        assert operator.troubles == []
