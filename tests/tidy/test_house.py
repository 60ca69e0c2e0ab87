"""The rules of the house that a machine can keep. STYLE.md names each."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "tintype"
MODULES = sorted(PACKAGE.rglob("*.py"))
SOURCES = [
    *MODULES,
    *sorted((ROOT / "tests").rglob("*.py")),
    *sorted((ROOT / "bench").rglob("*.py")),
]
SQL = sorted((PACKAGE / "sql").rglob("*.sql"))

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
LINE_CHARACTERS_MAX = 100
SQL_FUNCTION_LINES_MAX = 80
ROOT_ENTRIES_MAX = 20
DRAWERS = {
    "utils",
    "util",
    "common",
    "helpers",
    "core",
    "base",
    "lib",
    "services",
    "models",
    "misc",
}
STATUSES = {"queued", "processing", "completed", "failed", "canceled"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_small_and_says_what_it_answers(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= MODULE_LINES_MAX
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "a module opens with its docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < FUNCTION_LINES_MAX, node.name


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_public_functions_and_classes_state_their_promise(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            is_event = path.name == "events.py" and isinstance(node, ast.ClassDef)
            if not node.name.startswith("_") and not is_event:
                assert ast.get_docstring(node), f"{node.name} has no docstring"


def test_only_the_configuration_reads_the_environment() -> None:
    for path in MODULES:
        if path.name != "config.py":
            assert not re.search(r"os\.environ|os\.getenv", path.read_text()), path


def test_only_the_clock_tells_the_time() -> None:
    calls = re.compile(r"datetime\.now\(|datetime\.utcnow|\btime\.time\(\)|time\.monotonic\(\)")
    for path in MODULES:
        if path.name != "clock.py":
            assert not calls.search(path.read_text()), path


def test_nothing_is_named_for_a_drawer() -> None:
    for path in SOURCES:
        parts = {Path(part).stem for part in path.relative_to(ROOT).parts}
        assert not parts & DRAWERS, path


def test_nothing_is_left_to_do() -> None:
    for path in [*SOURCES, *SQL]:
        if path != Path(__file__):
            assert not re.search(r"\b(TODO|FIXME|XXX)\b", path.read_text()), path


def test_the_states_are_spelled_the_same_everywhere() -> None:
    job = (PACKAGE / "jobs" / "job.py").read_text()
    assert set(re.findall(r'^    "(\w+)",  #', job, re.M)) == STATUSES
    migration = (PACKAGE / "sql" / "migrations" / "0002_jobs.sql").read_text()
    constraint = re.search(r"constraint status_is_known\s+check \(status in \(([^)]*)\)", migration)
    assert constraint is not None
    assert set(re.findall(r"'(\w+)'", constraint[1])) == STATUSES
    page = (ROOT / "docs" / "concepts" / "jobs.md").read_text()
    assert all(f"`{status}`" in page for status in STATUSES)


@pytest.mark.parametrize("path", SQL, ids=name_of)
def test_sql_functions_are_short_told_and_closed(path: Path) -> None:
    text = path.read_text()
    assert all(len(line) <= LINE_CHARACTERS_MAX for line in text.splitlines())
    if path.parent.name != "verbs":
        return
    for match in re.finditer(r"create or replace function (\S+)\(.*?\n\$\$;", text, re.S):
        body, name = match[0], match[1]
        assert body.count("\n") < SQL_FUNCTION_LINES_MAX, name
        before = text[: match.start()].rstrip("\n").splitlines()
        assert before and before[-1].startswith("--"), f"{name} has no comment"
        if "security definer" in body:
            assert "set search_path = ''" in body, name


def test_every_error_code_is_stable_snake_case() -> None:
    raised = re.compile(
        r"(?:InvalidRequest|NotFound|Conflict|Forbidden|Unauthenticated|TooLarge|UnsupportedMedia|"
        r"Unprocessable|Unavailable|TooManyRequests|OperatorError)\(\s*\"([^\"]*)\""
    )
    for path in MODULES:
        for code in raised.findall(path.read_text()):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", code), f"{path}: {code}"


def test_the_root_stays_short() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert len({line.split("/")[0] for line in tracked}) <= ROOT_ENTRIES_MAX
