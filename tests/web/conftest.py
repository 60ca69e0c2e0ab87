"""A browser, the built app, and the product behind it. Skipped where there is no Chromium."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.support.product import Product, open_product
from tests.web.visitor import ROOT, Visitor, sign_up, visiting
from tintype.providers import sandbox
from tintype.providers.provider import Outcome, Request

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
BUILD_SECONDS_MAX = 280
CREDITS = 40
SLOW_CREDITS = 10


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the path of the machine's Chromium. CI promises one; elsewhere the test is skipped."""
    for name in CHROMIUMS:
        path = shutil.which(name)
        if path is not None:
            return path
    reason = "there is no Chromium here; on Debian: apt-get install chromium"
    return str((pytest.fail if os.environ.get("CI") else pytest.skip)(reason))


@pytest.fixture(scope="session")
def built(chromium: str) -> Path:
    """Return the folder of the built app, built from the sources as they are."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "web" / "build.py"), "build"],
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS_MAX,
        check=False,
    )
    if "There is no Node" in done.stderr and not os.environ.get("CI"):
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "tintype" / "web" / "dist"


@pytest.fixture(scope="session")
async def browser(chromium: str, built: Path) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        # In a container there is no user namespace to lock pages into; the pages are ours.
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def product(built: Path, database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return the whole product at work, drawing its pictures by itself."""
    async with open_product(
        database_url, tmp_path, TINTYPE_DEFAULT_MODEL="sandbox", TINTYPE_WELCOME_CREDITS="0"
    ) as product:
        yield product


@pytest.fixture(autouse=True)
def endless(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a picture with `[fault:slow]` take longer than any machine needs for a test."""
    monkeypatch.setattr(sandbox, "SLOW_SECONDS", 3600.0)


@pytest.fixture
def dry(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Return what a slow product's pictures wait for."""
    event, draw = asyncio.Event(), sandbox.Sandbox.generate

    async def generate(maker: sandbox.Sandbox, request: Request) -> list[Outcome]:
        outcomes = await draw(maker, request)
        await event.wait()
        return outcomes

    monkeypatch.setattr(sandbox.Sandbox, "generate", generate)
    return event


@pytest.fixture
async def slow_product(
    built: Path, database_url: str, tmp_path: Path, dry: asyncio.Event
) -> AsyncIterator[Product]:
    """Return a product whose pictures come when `dry` is set, so that a person is in the middle."""
    async with open_product(database_url, tmp_path, TINTYPE_DEFAULT_MODEL="sandbox") as product:
        yield product


@pytest.fixture
async def idle_product(built: Path, database_url: str, tmp_path: Path) -> AsyncIterator[Product]:
    """Return a product whose worker is asleep: what is asked for waits in its line."""
    async with open_product(
        database_url, tmp_path, works=False, TINTYPE_DEFAULT_MODEL="sandbox"
    ) as product:
        yield product


@pytest.fixture
async def visitor(browser: Browser, product: Product) -> AsyncIterator[Visitor]:
    """Return somebody who has just come."""
    async with visiting(browser, product) as visitor:
        yield visitor
        # What the last act of a test set off may complain a moment later.
        await asyncio.sleep(0)
        assert visitor.troubles == []


@pytest.fixture
async def person(visitor: Visitor) -> Visitor:
    """Return somebody who is signed in and has credits."""
    await sign_up(visitor, credits=CREDITS)
    return visitor


@pytest.fixture
async def slow_person(browser: Browser, slow_product: Product) -> AsyncIterator[Visitor]:
    """Return somebody who is signed in, has credits and asks a slow product."""
    async with visiting(browser, slow_product) as visitor:
        await sign_up(visitor, credits=SLOW_CREDITS)
        yield visitor
