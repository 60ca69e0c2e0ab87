"""Whatever a decoder does to its process, the server decodes on."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.identities.bodies import picture
from tintype.errors import InvalidRequest, Unavailable
from tintype.identities.receiving import Received
from tintype.identities.validating import child, image_set, validate
from tintype.identities.validating.child import CHILDREN_MAX, Child, Desk, Lost

DECODER = Path(child.decoding.__file__)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "received_001"
    path.write_bytes(picture())
    return path


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let children run this instead of the decoder; `mark` is a file they may leave behind."""
    path = folder / "program.py"
    head = "import os, sys, time\nfrom pathlib import Path\n"
    path.write_text(head + f"mark = Path({str(folder / 'mark')!r})\n" + dedent(text))
    monkeypatch.setattr(child.decoding, "__file__", str(path))


def question(source: Path) -> dict[str, str]:
    return {"source": str(source), "folder": str(source.parent), "stem": "image_001"}


def test_a_child_that_dies_is_replaced_and_the_picture_decoded(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"""
        if not mark.exists():
            sys.stdin.readline()
            mark.touch()
            os.abort()
        exec(compile(Path({str(DECODER)!r}).read_text(), "decoder", "exec"))
    """
    program(tmp_path, monkeypatch, text)
    answer = Desk().decode(source, tmp_path, "image_001").result()
    assert answer["width"] == 256 and (tmp_path / "mark").exists()


def test_a_picture_that_kills_every_child_is_given_up(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "sys.stdin.readline()\nos.abort()")
    with pytest.raises(Lost):
        Desk().decode(source, tmp_path, "image_001").result()


def test_a_child_that_takes_too_long_is_killed(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path, monkeypatch, "time.sleep(600)")
    children = []

    class Watched(Child):
        def __init__(self) -> None:
            super().__init__()
            children.append(self)

    monkeypatch.setattr(child, "Child", Watched)
    with pytest.raises(Lost):
        Desk(seconds_max=0.5).decode(source, tmp_path, "image_001").result()
    assert len(children) == 2
    assert not any(one.is_alive for one in children)


@pytest.mark.parametrize(
    "text", ["print('no JSON')", "print('x' * 10**6)", "print(7, end='')", "print(7)"]
)
def test_a_child_that_talks_nonsense_is_given_up(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    program(tmp_path, monkeypatch, f"sys.stdin.readline()\n{text}")
    with pytest.raises(Lost):
        Desk().decode(source, tmp_path, "image_001").result()


async def test_a_picture_that_no_child_survives_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = stored(tmp_path)
    monkeypatch.setattr(image_set, "_desk", Desk())
    program(tmp_path, monkeypatch, "sys.stdin.readline()\nos.abort()")
    with pytest.raises(InvalidRequest) as caught:
        await validate(files, tmp_path)
    assert caught.value.code == "image_unreadable"
    assert caught.value.message == "0.jpg (image 1) cannot be decoded."


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"image_{number:03}.jpg").symlink_to("/dev/full")
    with pytest.raises(Unavailable) as caught:
        await validate(stored(tmp_path), tmp_path)
    assert caught.value.code == "disk_full"


def stored(folder: Path) -> list[Received]:
    files = []
    for number in range(3):
        path = folder / f"received_{number}"
        path.write_bytes(picture(seed=number))
        files.append(Received(f"{number}.jpg", path, path.stat().st_size))
    return files


def test_a_child_is_used_again_and_two_are_the_most(source: Path, tmp_path: Path) -> None:
    desk = Desk()
    answers = [desk.decode(source, tmp_path, f"image_{number}") for number in range(8)]
    assert len({answer.result()["sha256"] for answer in answers}) == 1
    assert 1 <= desk._idle.qsize() <= CHILDREN_MAX
    while not desk._idle.empty():
        desk._idle.get().end()


def test_a_child_that_went_to_sleep_for_good_is_not_asked(source: Path, tmp_path: Path) -> None:
    desk = Desk()
    first = desk.decode(source, tmp_path, "image_001").result()
    resting = desk._idle.get()
    os.kill(resting._process.pid, signal.SIGKILL)
    resting._process.wait()
    desk._idle.put(resting)
    assert desk.decode(source, tmp_path, "image_001").result() == first


def test_a_child_ends_when_nobody_asks(tmp_path: Path, source: Path) -> None:
    text = DECODER.read_text().replace("IDLE_SECONDS_MAX = 60.0", "IDLE_SECONDS_MAX = 1.0")
    quick = tmp_path / "quick.py"
    quick.write_text(text)
    asked = json.dumps(question(source)) + "\n"
    with subprocess.Popen(
        [sys.executable, "-I", str(quick)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(asked)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["width"] == 256
        # Its input stays open.
        assert process.wait(20) == 0


def test_a_child_has_nothing_of_the_server_and_little_of_the_machine(source: Path) -> None:
    os.environ["SECRET_OF_THE_SERVER"] = "x"
    one = Child()
    try:
        one.ask(question(source), 20)
        told = Path(f"/proc/{one._process.pid}")
        assert b"SECRET" not in (told / "environ").read_bytes()
        limits = {
            line[:25].strip(): line[26:].split()[0]
            for line in (told / "limits").read_text().splitlines()
        }
        assert limits["Max address space"] == str(1024**3)
        assert limits["Max file size"] == str(64 * 1024**2)
        assert (told / "oom_score_adj").read_text() == "1000\n"
        assert (limits["Max core file size"], limits["Max open files"]) == ("0", "64")
        assert not [path for path in (told / "fd").iterdir() if "socket" in str(path.readlink())]
    finally:
        one.end()
        del os.environ["SECRET_OF_THE_SERVER"]


def test_no_child_outlives_a_server_that_is_killed(source: Path) -> None:
    server = """
        import sys, time
        from tintype.identities.validating.child import Child
        child = Child()
        child.ask({"source": sys.argv[1], "folder": sys.argv[2], "stem": "image"}, 20)
        print(child._process.pid, flush=True)
        time.sleep(600)
    """
    command = [sys.executable, "-c", dedent(server), str(source), str(source.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        number = int(process.stdout.readline())
        ended = os.pidfd_open(number)
        process.kill()
        process.wait()
    try:
        assert select.select([ended], [], [], 20)[0]
    finally:
        os.close(ended)
