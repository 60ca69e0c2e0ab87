"""Every screen: by keys and by axe, in the dark and in Portuguese."""

import pytest
from playwright.async_api import Browser, Page, Route, ViewportSize, expect

from tests.support.product import Product
from tests.web.conftest import CREDITS
from tests.web.visitor import Visitor, sign_up, visiting

SCREENS = (
    "/",
    "/gallery",
    "/batches",
    "/identities",
    "/identities/new",
    "/credits",
    "/account",
)
TITLES = {
    "/gallery": "Gallery",
    "/batches": "Batches",
    "/identities": "Identities",
    "/identities/new": "New identity",
    "/credits": "Credits",
    "/account": "Account",
}
# A narrow telephone, and a window of 1440 × 900 at 200 %.
SMALL = ({"width": 380, "height": 740}, {"width": 720, "height": 450})


async def quiet(visitor: Visitor) -> None:
    """Return once the screen shows what it has."""
    await expect(visitor.page.get_by_role("main")).to_be_visible()
    await expect(visitor.page.locator("h1").first).to_be_attached()
    await visitor.page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_every_screen_meets_wcag(browser: Browser, product: Product, dark: bool) -> None:
    async with visiting(browser, product, dark=dark) as visitor:
        await visitor.go("/sign-in")
        await quiet(visitor)
        await visitor.assert_accessible()
        await sign_up(visitor, credits=CREDITS)
        for screen in SCREENS:
            await visitor.go(screen)
            await quiet(visitor)
            await visitor.assert_accessible()
        assert visitor.troubles == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
async def test_a_canvas_at_work_meets_wcag(browser: Browser, product: Product, dark: bool) -> None:
    async with visiting(browser, product, dark=dark) as visitor:
        await sign_up(visitor, credits=CREDITS)
        page = visitor.page
        await visitor.go("/")
        await page.get_by_role("button", name="Start with a prompt").click()
        await page.get_by_role("textbox", name="Prompt").fill("A robot [fault:refused:3]")
        await page.get_by_role("button", name="Add").click()
        await page.get_by_role("menuitem", name="References").click()
        await page.get_by_role("button", name="Generate ·").click()
        await expect(page.get_by_role("img", name="A robot")).to_have_count(3)
        await expect(page.get_by_text("1 credit released")).to_be_visible()
        await visitor.assert_accessible()
        await visitor.picture("editor-dark" if dark else "editor-light")
        await page.get_by_role("button", name="Open picture: Picture 1").click()
        dialog = page.get_by_role("dialog", name="Picture 1")
        await expect(dialog.get_by_role("img")).to_be_visible()
        await visitor.assert_accessible()
        await page.keyboard.press("ArrowRight")
        await expect(page.get_by_role("dialog", name="Picture 2")).to_be_visible()
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Templates").click()
        await expect(page.get_by_role("dialog", name="Templates")).to_be_visible()
        await visitor.assert_accessible()
        assert visitor.troubles == []


async def test_a_browser_that_speaks_portuguese_is_spoken_to_so(
    browser: Browser, product: Product
) -> None:
    async with visiting(browser, product, locale="pt-BR") as visitor:
        page = visitor.page
        await visitor.go("/")
        await expect(page.get_by_role("heading", name="Que bom ver você de novo")).to_be_visible()
        await sign_up(visitor, credits=CREDITS)
        await visitor.go("/")
        await page.get_by_role("button", name="Começar com um prompt").click()
        await page.get_by_role("textbox", name="Prompt").fill("Um robô de lata")
        await page.get_by_role("button", name="Gerar ·").click()
        await expect(page.get_by_text("Geração iniciada")).to_be_visible()
        await expect(page.get_by_role("img", name="Um robô")).to_have_count(4)
        await visitor.picture("editor-pt-BR")
        assert await page.locator("html").get_attribute("lang") == "pt-BR"


async def test_a_language_and_a_theme_once_chosen_stay(person: Visitor) -> None:
    page = person.page
    await person.go("/gallery")
    await page.get_by_role("button", name="Account menu").click()
    await page.get_by_role("menuitem", name="Dark").click()
    await page.get_by_role("button", name="Account menu").click()
    await page.get_by_role("menuitem", name="Português").click()
    await expect(page.get_by_role("heading", name="Galeria")).to_be_visible()
    await page.reload()
    await expect(page.get_by_role("heading", name="Galeria")).to_be_visible()
    assert await page.locator("html").get_attribute("data-theme") == "dark"


async def test_a_page_asked_for_is_the_page_after_sign_in(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("/credits")
    await page.get_by_role("button", name="Try without an account").click()
    await expect(page.get_by_role("heading", name="Credits")).to_be_visible()
    await page.get_by_role("button", name="Account menu").click()
    await page.get_by_role("menuitem", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()


async def test_every_page_has_a_title_and_one_place_in_the_navigation(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("/sign-in")
    await expect(page).to_have_title("Sign in · Tintype")
    await page.get_by_role("button", name="Create account").click()
    await expect(page).to_have_title("Create account · Tintype")
    await sign_up(visitor)
    for path, title in TITLES.items():
        await visitor.go(path)
        await expect(page).to_have_title(f"{title} · Tintype")
        here = page.get_by_role("navigation").locator("[aria-current=page]")
        await expect(here).to_have_count(0 if path == "/account" else 1)


@pytest.mark.parametrize("size", SMALL, ids=["telephone", "zoomed"])
async def test_no_screen_is_wider_than_a_small_window(
    browser: Browser, product: Product, size: ViewportSize
) -> None:
    async with visiting(browser, product) as visitor:
        await visitor.page.set_viewport_size(size)
        await sign_up(visitor, credits=CREDITS)
        for screen in SCREENS[1:]:
            await visitor.go(screen)
            await quiet(visitor)
            beyond = "() => document.documentElement.scrollWidth - innerWidth"
            assert await visitor.page.evaluate(beyond) <= 0, screen
            await visitor.assert_accessible()


async def test_the_focus_returns_to_what_opened_a_dialog(person: Visitor) -> None:
    page = person.page
    for path, name, role in (
        ("/batches", "New batch", "dialog"),
        ("/account", "Sign out everywhere", "alertdialog"),
    ):
        await person.go(path)
        opener = page.get_by_role("main").get_by_role("button", name=name)
        await opener.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role(role)).to_be_visible()  # type: ignore[arg-type]
        await page.keyboard.press("Escape")
        await expect(page.get_by_role(role)).to_be_hidden()  # type: ignore[arg-type]
        await expect(opener).to_be_focused()


async def test_a_network_that_is_gone_is_told_in_the_readers_language(
    browser: Browser, product: Product
) -> None:
    async with visiting(browser, product, locale="pt-BR") as visitor:
        await sign_up(visitor)
        await visitor.go("/account")
        await visitor.page.route("**/auth/v1/**", lambda route: route.abort())
        await visitor.page.get_by_role("textbox", name="Nome").fill("Ana")
        await visitor.page.get_by_role("button", name="Salvar").click()
        await expect(visitor.page.get_by_text("O servidor não responde.")).to_be_visible()
        # The browser itself complains of what was cut.
        assert all("ERR_FAILED" in trouble for trouble in visitor.troubles)


async def test_who_cannot_sign_in_is_told_what_to_do(visitor: Visitor) -> None:
    page = visitor.page
    await visitor.go("/sign-in")
    await page.get_by_label("Email").fill(visitor.email)
    await page.get_by_label("Password").fill("not mine at all")
    enter = page.get_by_role("button", name="Sign in", exact=True)
    await enter.click()
    told = page.get_by_role("alert")
    await expect(page.get_by_text("Your session has ended.")).to_have_count(0)
    await expect(told).to_contain_text("Whoever runs this server can set a new password.")
    await visitor.assert_accessible()
    await page.route("**/auth/v1/**", lambda route: route.abort())
    await enter.click()
    await expect(told).to_contain_text("The server cannot be reached. Check your connection")
    # The browser itself complains of what was refused and what was cut.
    visitor.troubles.clear()


async def test_a_server_that_is_away_at_the_start_is_told_of(
    browser: Browser, product: Product
) -> None:
    async with visiting(browser, product, locale="pt-BR") as visitor:
        page = visitor.page
        await page.route("**/config.json", lambda route: route.abort())
        await visitor.go("/gallery")
        await expect(page.get_by_role("alert")).to_contain_text("O servidor não responde.")
        await page.unroute("**/config.json")
        await page.get_by_role("button", name="Tentar de novo").click()
        await expect(page.get_by_role("heading", name="Que bom ver você de novo")).to_be_visible()


async def test_an_address_that_leads_nowhere_says_so(person: Visitor) -> None:
    await person.go("/nowhere")
    await expect(person.page.get_by_text("There is no such page")).to_be_visible()
    await person.go("/p/00000000-0000-4000-8000-000000000000")
    await expect(person.page.get_by_text("This project is gone")).to_be_visible()
    await person.page.get_by_role("link", name="To the editor").click()
    await expect(person.page.get_by_text("An empty canvas")).to_be_visible()


async def test_a_tab_that_was_open_over_an_update_starts_anew_once(person: Visitor) -> None:
    page, asked, loads = person.page, 0, 0
    await person.go("/account")

    async def gone(route: Route) -> None:
        nonlocal asked
        asked += 1
        await (route.fulfill(status=404, body="") if asked == 1 else route.continue_())

    def loaded(_: Page) -> None:
        nonlocal loads
        loads += 1

    await page.route("**/assets/gallery-screen-*.js", gone)
    page.on("load", loaded)
    await page.get_by_role("link", name="Gallery").click()
    await expect(page.get_by_role("heading", name="Gallery")).to_be_visible()
    assert (asked, loads) == (2, 1)
    # The browser itself complains of what was gone.
    person.troubles.clear()
