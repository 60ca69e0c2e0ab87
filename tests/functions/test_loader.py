"""A folder of files becomes functions, and an edit is seen."""

import os
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tintype.config import FunctionConfig
from tintype.errors import OperatorError
from tintype.functions.function import BODY_BYTES_MAX, METHODS, Function
from tintype.functions.loader import Loader
from tintype.functions.wire.gateway import GatewayError

ANSWER = "async def serve(invocation):\n    return {}\n"


def write(project: Path, path: str, source: str) -> Path:
    file = project / "supabase" / "functions" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dedent(source), "utf-8")
    return file


async def found(loader: Loader, name: str) -> Function:
    function = await loader.find(name)
    assert function is not None
    return function


async def called(loader: Loader, name: str) -> object:
    function = await found(loader, name)
    # These functions look at nothing of their call.
    return await function.serve(None)  # type: ignore[arg-type]


async def reason(loader: Loader, name: str) -> str:
    with pytest.raises(GatewayError) as caught:
        await loader.find(name)
    assert caught.value.code == "BOOT_ERROR"
    return caught.value.detail


def loader_of(project: Path, **settings: FunctionConfig) -> Loader:
    return Loader(project, settings, builtin=None)


async def test_a_file_is_a_function_with_the_name_of_its_folder(tmp_path: Path) -> None:
    write(tmp_path, "make-a_Picture2/index.py", ANSWER)
    function = await found(loader_of(tmp_path), "make-a_Picture2")
    assert function.name == "make-a_Picture2"
    assert (function.verify_jwt, function.body_bytes_max) == (True, BODY_BYTES_MAX)
    assert function.methods == METHODS


async def test_the_file_sets_its_limits_and_the_configuration_wins(tmp_path: Path) -> None:
    source = "body_bytes_max = 100\nmethods = ('POST',)\n" + ANSWER
    write(tmp_path, "small/index.py", source)
    function = await found(loader_of(tmp_path), "small")
    assert (function.body_bytes_max, function.methods) == (100, ("POST",))
    configured = FunctionConfig(verify_jwt=False, body_bytes_max=7)
    function = await found(loader_of(tmp_path, small=configured), "small")
    assert (function.body_bytes_max, function.verify_jwt) == (7, False)


async def test_a_name_that_is_no_slug_is_not_looked_for(tmp_path: Path) -> None:
    write(tmp_path, "fine/index.py", ANSWER)
    write(tmp_path, "../index.py", ANSWER)
    write(tmp_path, "_shared/index.py", ANSWER)
    write(tmp_path, "1st/index.py", ANSWER)
    loader = loader_of(tmp_path)
    for name in ("..", ".", "", "../fine", "fine/", "fine\0", "fine\n", "_shared", "1st", "é"):
        assert await loader.find(name) is None, name
    assert await loader.find("fine") is not None


async def test_a_function_that_is_not_enabled_is_not_there(tmp_path: Path) -> None:
    write(tmp_path, "off/index.py", ANSWER)
    assert await loader_of(tmp_path, off=FunctionConfig(enabled=False)).find("off") is None


async def test_an_edited_file_is_loaded_again_at_the_next_call(tmp_path: Path) -> None:
    file = write(tmp_path, "hello/index.py", "async def serve(invocation): return {'v': 1}")
    loader = loader_of(tmp_path)
    assert await called(loader, "hello") == {"v": 1}
    first = await found(loader, "hello")
    assert await found(loader, "hello") is first
    modules = len(sys.modules)
    # Of the same length, within the same second.
    write(tmp_path, "hello/index.py", "async def serve(invocation): return {'v': 2}")
    stamp = file.stat().st_mtime_ns + 1
    os.utime(file, ns=(stamp, stamp))
    assert await called(loader, "hello") == {"v": 2}
    assert len(sys.modules) == modules


async def test_a_removed_file_is_gone(tmp_path: Path) -> None:
    file = write(tmp_path, "hello/index.py", ANSWER)
    loader = loader_of(tmp_path)
    assert await loader.find("hello") is not None
    file.unlink()
    assert await loader.find("hello") is None


async def test_an_edit_of_a_shared_file_is_seen(tmp_path: Path) -> None:
    source = """
        from _shared import words
        from .names import NAME

        async def serve(invocation):
            return {"text": words.greeting + NAME}
    """
    write(tmp_path, "hello/index.py", source)
    write(tmp_path, "hello/names.py", "NAME = 'Ada'")
    shared = write(tmp_path, "_shared/words.py", "greeting = 'Hello, '")
    loader = loader_of(tmp_path)
    assert await called(loader, "hello") == {"text": "Hello, Ada"}
    shared.write_text("greeting = 'Bonjour, '")
    assert await called(loader, "hello") == {"text": "Bonjour, Ada"}
    write(tmp_path, "hello/names.py", "NAME = 'Grace'")
    assert await called(loader, "hello") == {"text": "Bonjour, Grace"}


async def test_two_projects_do_not_share_their_shared_files(tmp_path: Path) -> None:
    loaders = []
    for project in ("one", "two"):
        source = f"from _shared.name import name\n{ANSWER}".replace("{}", "{'name': name}")
        write(tmp_path / project, "hello/index.py", source)
        write(tmp_path / project, "_shared/name.py", f"name = {project!r}")
        loaders.append(loader_of(tmp_path / project))
    assert await called(loaders[0], "hello") == {"name": "one"}
    assert await called(loaders[1], "hello") == {"name": "two"}
    assert await called(loaders[0], "hello") == {"name": "one"}


async def test_loading_leaves_no_bytecode_and_no_path_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    paths = list(sys.path)
    write(tmp_path, "hello/index.py", "import _shared.words\n" + ANSWER)
    write(tmp_path, "_shared/words.py", "")
    assert await called(loader_of(tmp_path), "hello") == {}
    assert sys.path == paths
    assert not list(tmp_path.rglob("__pycache__"))


async def test_a_broken_file_says_why_and_is_well_again_when_mended(tmp_path: Path) -> None:
    file = write(tmp_path, "broken/index.py", "def serve(:\n")
    loader = loader_of(tmp_path)
    told = await reason(loader, "broken")
    assert "SyntaxError" in told and "index.py" in told
    file.write_text(ANSWER)
    assert await called(loader, "broken") == {}
    file.write_text("raise SystemExit('no key')")
    assert "no key" in await reason(loader, "broken")


async def test_a_file_broken_by_a_shared_one_is_well_again_when_that_is_mended(
    tmp_path: Path,
) -> None:
    write(tmp_path, "hello/index.py", "from _shared.words import greeting\n" + ANSWER)
    loader = loader_of(tmp_path)
    assert "_shared" in await reason(loader, "hello")
    words = write(tmp_path, "_shared/words.py", "greeting =")
    assert "words.py" in await reason(loader, "hello")
    words.write_text("greeting = 1")
    assert await called(loader, "hello") == {}


async def test_a_broken_file_is_run_once_not_at_every_call(tmp_path: Path) -> None:
    count = tmp_path / "count"
    source = f"open({str(count)!r}, 'a').write('x')\nraise ValueError('never')"
    write(tmp_path, "broken/index.py", source)
    loader = loader_of(tmp_path)
    for _ in range(3):
        assert "never" in await reason(loader, "broken")
    assert count.read_text() == "x"


async def test_a_file_without_an_async_serve_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "none/index.py", "x = 1")
    write(tmp_path, "sync/index.py", "def serve(invocation):\n    return {}\n")
    write(tmp_path, "limit/index.py", "body_bytes_max = 'ten'\n" + ANSWER)
    loader = loader_of(tmp_path)
    assert "async def serve" in await reason(loader, "none")
    assert "async def serve" in await reason(loader, "sync")
    assert "Expected `int`" in await reason(loader, "limit")


async def test_an_entrypoint_is_read_from_the_supabase_folder(tmp_path: Path) -> None:
    write(tmp_path, "elsewhere/main.py", ANSWER)
    configured = FunctionConfig(entrypoint="./functions/elsewhere/main.ts")
    loader = loader_of(tmp_path, hello=configured)
    assert (await found(loader, "hello")).name == "hello"
    assert loader.names == ["hello"]


@pytest.mark.parametrize("entrypoint", ["../../outside.py", "/etc/passwd", "./link/index.py"])
async def test_an_entrypoint_outside_the_project_stops_the_start(
    tmp_path: Path, entrypoint: str
) -> None:
    project = tmp_path / "project"
    (project / "supabase").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (project / "supabase" / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(OperatorError) as caught:
        loader_of(project, hello=FunctionConfig(entrypoint=entrypoint))
    assert caught.value.code == "entrypoint_outside_project"


async def test_the_projects_function_replaces_the_builtin_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "packages" / "comes_with_it"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "_private.py").write_text("raise AssertionError('not a function')")
    for name in ("generate_image", "cancel_job"):
        (package / f"{name}.py").write_text("async def serve(invocation): return {'ours': True}")
    monkeypatch.syspath_prepend(str(package.parent))
    loader = Loader(tmp_path, {}, builtin="comes_with_it")
    assert loader.names == ["cancel-job", "generate-image"]
    assert await called(loader, "generate-image") == {"ours": True}
    theirs = write(
        tmp_path, "generate-image/index.py", "async def serve(invocation): return {'ours': False}"
    )
    assert await called(loader, "generate-image") == {"ours": False}
    assert await called(loader, "cancel-job") == {"ours": True}
    theirs.unlink()
    assert await called(loader, "generate-image") == {"ours": True}
