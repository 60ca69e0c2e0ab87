"""Credits told apart and entry by entry; who is signed in, and the way out."""

import asyncio
import csv
import re

from playwright.async_api import Browser, Locator, Page, Route, expect

from tests.support.product import FUNCTIONS, Product
from tests.web.conftest import CREDITS
from tests.web.visitor import PASSWORD, Visitor, visiting

ANOTHER_PASSWORD = "another horse of mine"
PAGE = 50


async def ask(visitor: Visitor, prompt: str, quantity: int, wait_seconds: int = 30) -> str:
    """Ask for pictures, without the pages; return the job's id."""
    answer = await visitor.product.http.post(
        f"{FUNCTIONS}/generate-image",
        json={"model": "sandbox", "prompt": prompt, "quantity": quantity},
        headers={"authorization": f"Bearer {visitor.token}", "prefer": f"wait={wait_seconds}"},
    )
    assert answer.status_code in (200, 202), answer.text
    job_id: str = answer.json()["jobId"]
    return job_id


def lines(page: Page) -> Locator:
    return page.get_by_role("region", name="Statement").get_by_role("table").locator("tbody tr")


async def figures(page: Page, settled: int, held: int, available: int) -> None:
    for name, value in (("settled", settled), ("held", held), ("available", available)):
        await expect(page.get_by_test_id(f"credits-{name}-figure")).to_have_text(str(value))


async def test_the_statement_says_what_each_job_cost(
    person: Visitor, browser: Browser, product: Product
) -> None:
    page = person.page
    await ask(person, "A brass telescope", 3)
    await ask(person, "A robot [fault:refused]", 2)
    await person.go("/credits")
    await figures(page, 37, 0, 37)
    # Added; held and spent; held and released.
    await expect(lines(page)).to_have_count(5)
    await person.assert_accessible()
    await person.picture("credits")
    async with visiting(browser, product, dark=True, locale="pt-BR") as other:
        kept = await page.evaluate("() => localStorage.getItem('tintype.session')")
        await other.context.add_init_script(f"localStorage.setItem('tintype.session', {kept!r})")
        await other.go("/credits")
        await expect(other.page.get_by_role("region", name="Extrato").first).to_be_visible()
        await other.assert_accessible()
        await other.picture("credits-dark-pt-BR")
        assert other.troubles == []
    await page.get_by_role("radio", name="Spent").click()
    await expect(lines(page)).to_have_count(1)
    await expect(lines(page)).to_contain_text("−3")
    await page.reload()
    await expect(lines(page)).to_have_count(1)
    await page.get_by_role("link", name="3 pictures of: A brass telescope").click()
    await expect(page.get_by_test_id("gallery-count")).to_have_text("3 pictures")


async def test_what_is_held_is_explained_while_it_is(person: Visitor) -> None:
    page = person.page
    job_id = await ask(person, "A robot [fault:slow]", 4, wait_seconds=0)
    await person.go("/credits")
    await figures(page, 40, 4, 36)
    held = page.get_by_role("list").filter(has_text="A robot")
    await expect(held).to_contain_text("4 credits")
    await person.assert_accessible()
    await person.picture("credits-held")
    await person.product.http.post(
        f"{FUNCTIONS}/cancel-job",
        json={"jobId": job_id},
        headers={"authorization": f"Bearer {person.token}"},
    )
    await figures(page, 40, 0, 40)
    await expect(held).to_be_hidden()


async def test_the_statement_is_saved_as_a_table(person: Visitor) -> None:
    page = person.page
    await ask(person, '=SUM(A1) "quoted", twice', 2)
    await person.go("/credits")
    async with page.expect_download() as coming:
        await page.get_by_role("button", name="Save as CSV").click()
    saved = await coming.value
    assert re.fullmatch(r"tintype-statement-\d{4}-\d\d-\d\d\.csv", saved.suggested_filename)
    lines = list(csv.DictReader((await saved.path()).read_text("utf-8-sig").splitlines()))
    assert [line["Change of settled"] for line in lines] == ["-2", "0", "40"]
    assert lines[0]["What for"] == '\'=SUM(A1) "quoted", twice'


async def test_on_a_telephone_a_line_of_the_statement_is_whole(person: Visitor) -> None:
    page = person.page
    await page.set_viewport_size({"width": 380, "height": 740})
    await ask(person, "A brass telescope", 1)
    await person.go("/credits")
    await expect(lines(page).first.get_by_text("−1")).to_be_visible()
    box = await lines(page).first.bounding_box()
    assert box and box["x"] + box["width"] <= 380
    await person.assert_accessible()


async def test_a_long_statement_comes_page_by_page(person: Visitor) -> None:
    for _ in range(PAGE):
        await person.grant(1)
    await person.go("/credits")
    await figures(person.page, 90, 0, 90)
    await expect(lines(person.page)).to_have_count(PAGE)
    await person.page.get_by_role("button", name="Show more").click()
    await expect(lines(person.page)).to_have_count(PAGE + 1)
    await expect(person.page.get_by_role("button", name="Show more")).to_be_hidden()


async def test_an_answer_that_comes_late_undoes_no_change(person: Visitor) -> None:
    page, go_on = person.page, asyncio.Event()

    async def come_late(route: Route) -> None:
        answer = await route.fetch()
        await go_on.wait()
        await route.fulfill(response=answer)

    await page.route("**/rest/v1/credit_accounts*", come_late)
    await person.go("/gallery")
    available = page.get_by_test_id("credits-available")
    credits = CREDITS
    # Until changes are told, and the page knows of one before it knows anything.
    while await available.inner_text() == "0":
        await person.grant(1)
        credits += 1
        await page.wait_for_timeout(100)
    await expect(available).to_have_text(str(credits))
    async with page.expect_request_finished(lambda asked: "credit_accounts" in asked.url):
        go_on.set()
    await page.wait_for_timeout(300)
    await expect(available).to_have_text(str(credits))


async def test_a_new_password_is_the_one_that_signs_in(person: Visitor) -> None:
    page = person.page
    await person.go("/account")
    await expect(page.get_by_text(person.email)).to_be_visible()
    await person.assert_accessible()
    await person.picture("account")
    await page.get_by_label("New password", exact=True).fill(PASSWORD)
    await page.get_by_label("New password again").fill("something else")
    await expect(page.get_by_text("These two are not the same.")).to_be_visible()
    await page.get_by_label("New password", exact=True).fill(ANOTHER_PASSWORD)
    await page.get_by_label("New password again").fill(ANOTHER_PASSWORD)
    await page.get_by_role("button", name="Change password").click()
    await expect(page.get_by_text("Your password is changed")).to_be_visible()
    for password, status in ((PASSWORD, 400), (ANOTHER_PASSWORD, 200)):
        answer = await person.product.http.post(
            "/auth/v1/token?grant_type=password",
            json={"email": person.email, "password": password},
            headers={"apikey": person.product.keys.anon_key},
        )
        assert answer.status_code == status, answer.text


async def test_name_and_email_are_changed(person: Visitor, product: Product) -> None:
    page = person.page
    await person.go("/account")
    await page.get_by_label("Name").fill("Ana Beatriz")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Your name is saved")).to_be_visible()
    await page.get_by_role("button", name="Account menu").click()
    await expect(page.get_by_role("menu").get_by_text("Ana Beatriz")).to_be_visible()
    await page.keyboard.press("Escape")
    email = f"another.{person.email}"
    await page.get_by_label("Email").fill(email)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text(f"from now on you sign in as {email}")).to_be_visible()
    answer = await product.http.post(
        "/auth/v1/token?grant_type=password",
        json={"email": email, "password": PASSWORD},
        headers={"apikey": product.keys.anon_key},
    )
    assert answer.json()["user"]["user_metadata"]["full_name"] == "Ana Beatriz"


async def test_a_guest_keeps_the_account_by_an_email(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("/")
    await page.get_by_role("button", name="Try without an account").first.click()
    await expect(page.get_by_text("An empty canvas")).to_be_visible()
    await visitor.go("/account")
    await visitor.picture("account-guest")
    await page.get_by_label("Email").fill(visitor.email)
    await page.get_by_label("New password", exact=True).fill(ANOTHER_PASSWORD)
    await page.get_by_label("New password again").fill(ANOTHER_PASSWORD)
    await page.get_by_role("button", name="Keep this account").click()
    await expect(page.get_by_text(visitor.email)).to_be_visible()


async def test_signing_out_everywhere_ends_every_session(person: Visitor, product: Product) -> None:
    page = person.page
    await person.go("/account")
    await page.get_by_role("button", name="Sign out everywhere").click()
    asked = page.get_by_role("alertdialog", name="Sign out everywhere?")
    await asked.get_by_role("button", name="Sign out everywhere").click()
    await expect(page).to_have_url(re.compile("/sign-in"))
    sessions = "select count(*) from auth.sessions where user_id = $1::uuid"
    assert await product.admin.fetchval(sessions, person.user_id) == 0


async def test_language_and_look_are_chosen_and_kept(person: Visitor) -> None:
    page = person.page
    await person.go("/account")
    await page.get_by_role("radio", name="Dark").click()
    await page.get_by_role("radio", name="Português (Brasil)").click()
    await expect(page.get_by_role("heading", name="Conta", exact=True)).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Conta", exact=True)).to_be_visible()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await person.assert_accessible()
    await person.picture("account-dark-pt-BR")
