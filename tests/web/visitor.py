"""A person at a browser, in front of the whole product: the app as built, the server as it runs."""

import io
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
from PIL import Image
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from tests.support.product import Product

ROOT = Path(__file__).parent.parent.parent
AXE = ROOT / "web" / "node_modules" / "axe-core" / "axe.min.js"
PASSWORD = "correct horse"
SCREEN = {"width": 1440, "height": 900}
WAIT_MILLISECONDS_MAX = 60_000
# Whoever refreshes the pages' pictures names the folder; a test that only tests leaves them be.
PICTURES = os.environ.get("TINTYPE_WEB_PICTURES")
PICTURE_QUALITY = 88
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa")

expect.set_options(timeout=WAIT_MILLISECONDS_MAX)


class Visitor(msgspec.Struct):
    """Someone with a browser of their own. `troubles` is what the pages complained of."""

    product: Product
    context: BrowserContext
    page: Page
    email: str
    user_id: str = ""
    token: str = ""
    troubles: list[str] = []

    async def go(self, path: str) -> None:
        await self.page.goto(self.product.url + path)

    async def tab(self) -> "Visitor":
        """Open another tab of the same browser."""
        page = await self.context.new_page()
        visitor = msgspec.structs.replace(self, page=page)
        watch(visitor)
        return visitor

    async def grant(self, amount: int) -> None:
        """Give credits, as an operator does."""
        await self.product.admin.execute(
            "select tintype.grant_credits($1::uuid, $2)", self.user_id, amount
        )

    async def picture(self, name: str) -> None:
        """Keep a picture of the page, if pictures are wanted."""
        if PICTURES is None:
            return
        folder = ROOT / PICTURES
        folder.mkdir(parents=True, exist_ok=True)
        shot = Image.open(io.BytesIO(await self.page.screenshot(animations="disabled")))
        shot.save(folder / f"{name}.webp", quality=PICTURE_QUALITY, method=6)

    async def assert_accessible(self) -> None:
        """Hold the page to WCAG 2.2 AA, as far as axe can tell."""
        # Evaluated, not added to the page: its policy lets no other script in.
        await self.page.evaluate(AXE.read_text("utf-8"))
        found = await self.page.evaluate(
            "(rules) => axe.run({runOnly: {type: 'tag', values: rules}})", list(RULES)
        )
        told = [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"]
        ]
        assert told == [], "\n".join(told)


def watch(visitor: Visitor) -> None:
    """Note everything that a page complains of: errors, and what its policy refused."""
    page = visitor.page
    page.on("pageerror", lambda error: visitor.troubles.append(str(error)))

    def hear(said: ConsoleMessage) -> None:
        if said.type == "error":
            visitor.troubles.append(f"{said.text} {said.location['url']}")

    page.on("console", hear)


@asynccontextmanager
async def visiting(
    browser: Browser, product: Product, *, dark: bool = False, locale: str = "en-US"
) -> AsyncIterator[Visitor]:
    """Yield somebody who has just come, with an empty browser."""
    context = await browser.new_context(
        viewport=SCREEN,
        locale=locale,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    context.set_default_timeout(WAIT_MILLISECONDS_MAX)
    page = await context.new_page()
    visitor = Visitor(product, context, page, f"{uuid4().hex[:12]}@example.com")
    watch(visitor)
    try:
        yield visitor
    finally:
        # What the last test held back is no trouble of the next one.
        for page in context.pages:
            await page.unroute_all(behavior="ignoreErrors")
        await context.close()


async def sign_up(visitor: Visitor, *, credits: int = 0, metadata: Any = None) -> None:
    """Give the visitor an account and its session, without the pages."""
    product = visitor.product
    headers = {"apikey": product.keys.anon_key}
    body = {"email": visitor.email, "password": PASSWORD}
    if metadata is not None:
        admin = {"authorization": f"Bearer {product.keys.service_role_key}"}
        made = await product.http.post(
            "/auth/v1/admin/users",
            json=body | {"email_confirm": True, "app_metadata": metadata},
            headers=headers | admin,
        )
        assert made.status_code == 200, made.text
        answer = await product.http.post(
            "/auth/v1/token?grant_type=password", json=body, headers=headers
        )
    else:
        answer = await product.http.post("/auth/v1/signup", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    session = answer.json()
    visitor.user_id, visitor.token = session["user"]["id"], session["access_token"]
    if credits:
        await visitor.grant(credits)
    kept = json.dumps(session)
    await visitor.context.add_init_script(
        f"localStorage.getItem('tintype.session') ?? "
        f"localStorage.setItem('tintype.session', {json.dumps(kept)})"
    )
