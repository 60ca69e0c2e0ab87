"""The example apps run, as they are, against the product; the guides quote them word for word."""

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.support.node import SCRIPTS, Node, find_node
from tests.support.product import Product, open_product

EXAMPLES = Path(__file__).parent.parent.parent / "examples"
GUIDES = EXAMPLES.parent / "docs" / "guides"
RUN_SECONDS_MAX = 250
QUOTED = [
    pytest.param(title, text, id=f"{guide.stem}: {title} {number}")
    for guide in sorted(GUIDES.glob("*.md"))
    for number, (title, text) in enumerate(
        re.findall(r"^```\w+ title=(\S+)\n(.*?)^```", guide.read_text("utf-8"), re.M | re.S)
    )
]


@pytest.fixture
async def node() -> Node:
    return await find_node()


@pytest.fixture
async def product(
    database_url: str, admin: "asyncpg.Connection[asyncpg.Record]", tmp_path: Path
) -> AsyncIterator[Product]:
    """Return the product in the folder of the example app, its migrations applied."""
    shutil.copytree(EXAMPLES / "supabase-js", tmp_path, dirs_exist_ok=True)
    for migration in sorted((tmp_path / "supabase" / "migrations").glob("*.sql")):
        await admin.execute(migration.read_text("utf-8"))
    async with open_product(database_url, tmp_path) as product:
        yield product


async def run(product: Product, folder: Path, *command: str) -> list[str]:
    """Run a program in `folder` with nothing but the URL and the key; return its lines."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "SUPABASE_URL": product.url,
        "SUPABASE_ANON_KEY": product.keys.anon_key,
    }
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(RUN_SECONDS_MAX):
            printed, complained = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complained.decode()
    return printed.decode().splitlines()


async def test_the_supabase_js_example_makes_its_pictures(
    product: Product, node: Node, tmp_path: Path
) -> None:
    wanted = (EXAMPLES / "supabase-js" / "package.json").read_text("utf-8")
    tested = (SCRIPTS / "package.json").read_text("utf-8")
    version = re.search(r'"@supabase/supabase-js": "[\d.]+"', wanted)
    assert version is not None and version[0] in tested
    (tmp_path / "node_modules").symlink_to(SCRIPTS / "node_modules")
    lines = await run(product, tmp_path, node.program, "main.js")
    assert "completed 2 of 2" in lines
    assert lines[-1] == "{ notes: [ 'made 2 pictures' ] }"
    assert sorted(path.stem for path in tmp_path.glob("robot-*")) == ["robot-1", "robot-2"]
    await product.assert_ledger_holds()


async def test_the_supabase_py_example_makes_its_pictures(product: Product, tmp_path: Path) -> None:
    program = EXAMPLES / "supabase-py" / "main.py"
    lines = await run(product, tmp_path, sys.executable, str(program))
    assert "completed 2 of 2" in lines
    assert sorted(path.stem for path in tmp_path.glob("robot-*")) == ["robot-1", "robot-2"]
    await product.assert_ledger_holds()


@pytest.mark.parametrize(("title", "text"), QUOTED)
def test_a_guide_quotes_a_file_as_it_is(title: str, text: str) -> None:
    assert text.strip() in (EXAMPLES.parent / title).read_text("utf-8")


def test_the_guides_quote_the_examples() -> None:
    assert len(QUOTED) >= 6
