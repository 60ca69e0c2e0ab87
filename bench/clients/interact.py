"""One visit to the editor, in a process and a browser of its own.

Reads `{"chromium", "url", "session", "project", "nodes", "takes"}` from standard input and prints
how many milliseconds each act took, take by take: `{"type": [24.0, …], …}`. The browser tells them
in steps of eight, and nothing of what it answered in less than sixteen: that counts as sixteen.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import Page, ViewportSize, async_playwright

SCREEN = ViewportSize(width=1440, height=900)
# So long after an act nothing of it is under way any more, neither painting nor saving.
SETTLED_SECONDS = 1.5
WAIT_MILLISECONDS_MAX = 30_000
LEAST_MILLISECONDS = 16.0
WATCH = """
(least) => {
  window.interactions = []
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries())
      if (entry.interactionId) window.interactions.push(entry.duration)
  }).observe({ type: 'event', durationThreshold: least })
}
"""
TAKE = "() => window.interactions.splice(0)"
# The map shows every node, in sight or not, once it is drawn and measured.
ON_MAP = "(count) => document.querySelectorAll('.react-flow__minimap-node').length === count"


class Visit:
    """A person before the open project."""

    def __init__(self, page: Page, nodes: int) -> None:
        self._page = page
        self._nodes = nodes
        self.found: dict[str, list[float]] = {}

    async def round(self) -> None:
        """Do everything once; the canvas is at the end what it was at the beginning."""
        press = self._page.keyboard.press
        for name, act in {
            "type": self._type,
            "select_all": self._select_all,
            "zoom_in": lambda: self._button("Zoom in"),
            "zoom_out": lambda: self._button("Zoom out"),
            "drag": self._drag,
        }.items():
            await self._measure(name, act)
        await self._select_all()
        await self._measure("delete_all", lambda: press("Delete"), nodes=0)
        await self._measure("undo", lambda: press("Control+z"), nodes=self._nodes)
        await self._measure("redo", lambda: press("Control+Shift+z"), nodes=0)
        await self._measure("undo", lambda: press("Control+z"), nodes=self._nodes)
        await self._select_all()
        await self._measure("copy", lambda: press("Control+c"))
        await self._measure("delete_all", lambda: press("Delete"), nodes=0)
        await self._measure("paste", lambda: press("Control+v"), nodes=self._nodes)
        # Back to the nodes of the beginning, with the names that they had.
        await press("Control+z")
        await press("Control+z")
        await self._settle(self._nodes)

    async def _measure(
        self, name: str, act: Callable[[], Awaitable[None]], *, nodes: int | None = None
    ) -> None:
        await self._page.evaluate(TAKE)
        await act()
        await self._settle(nodes)
        told = await self._page.evaluate(TAKE)
        self.found.setdefault(name, []).append(max([LEAST_MILLISECONDS, *told]))

    async def _settle(self, nodes: int | None) -> None:
        if nodes is not None:
            await self._page.wait_for_function(ON_MAP, arg=nodes)
        await asyncio.sleep(SETTLED_SECONDS)

    async def _type(self) -> None:
        await self._page.locator("[data-id=n0] textarea").click()
        await self._page.keyboard.type("abc", delay=60)

    async def _select_all(self) -> None:
        await self._page.locator(".react-flow__pane").click(position={"x": 20, "y": 20})
        await self._page.keyboard.press("Control+a")

    async def _button(self, name: str) -> None:
        await self._page.get_by_role("button", name=name).click()

    async def _drag(self) -> None:
        await self._page.locator(".react-flow__pane").click(position={"x": 20, "y": 20})
        for way in (1, -1):
            title = await self._page.locator("[data-id=n0] header").bounding_box()
            assert title is not None
            x, y = title["x"] + title["width"] / 2, title["y"] + title["height"] / 2
            await self._page.mouse.move(x, y)
            await self._page.mouse.down()
            await self._page.mouse.move(x + way * 60, y + way * 30, steps=8)
            await self._page.mouse.up()


async def measure(spec: dict[str, Any]) -> dict[str, list[float]]:
    """Open the project in a new browser and do everything `takes` times."""
    async with async_playwright() as playwright:
        # In a container there is no user namespace to lock pages into; the pages are ours.
        browser = await playwright.chromium.launch(
            executable_path=spec["chromium"], args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            context = await browser.new_context(viewport=SCREEN, locale="en-US")
            context.set_default_timeout(WAIT_MILLISECONDS_MAX)
            await context.grant_permissions(["clipboard-read", "clipboard-write"])
            await context.add_init_script(
                f"localStorage.setItem('tintype.session', {json.dumps(spec['session'])})"
            )
            page = await context.new_page()
            await page.goto(f"{spec['url']}/p/{spec['project']}")
            await page.wait_for_function(ON_MAP, arg=spec["nodes"])
            await asyncio.sleep(SETTLED_SECONDS)
            await page.evaluate(WATCH, LEAST_MILLISECONDS)
            visit = Visit(page, spec["nodes"])
            for _ in range(spec["takes"]):
                await visit.round()
            return visit.found
        finally:
            await browser.close()


if __name__ == "__main__":
    json.dump(asyncio.run(measure(json.load(sys.stdin))), sys.stdout)
