"""Does the demonstration show what it promises?"""

import os
import pty
import re
import subprocess
from pathlib import Path

from tests.cli.terminal import Shell

FILES = [f"demo-output/a-robot-holding-a-skateboard-{number}" for number in (1, 2, 3, 4)]


def test_the_demo_shows_the_way_of_a_job_in_plain_lines_when_it_is_piped(shell: Shell) -> None:
    first = shell.run("demo")
    lines = first.out.splitlines()
    assert "\x1b" not in first.out
    assert "\r" not in first.out
    assert "Credits before: 20 settled, 0 held, 20 available" in lines
    assert "completed, 4 of 4" in lines
    assert "Credits after: 16 settled, 0 held, 16 available" in lines
    assert "ledger verify: 1 accounts, 1 holds (0 open), 1 jobs: every rule holds" in lines
    assert [line.strip().rsplit(".", 1)[0] for line in lines if "demo-output" in line] == FILES
    assert len(list((shell.folder / "demo-output").iterdir())) == 4
    assert shell.postmasters() == []
    second = shell.run("demo", "a [bold] :robot:", "--quantity", "1", "--output", "again")
    assert '"a [bold] :robot:", 1 picture: job' in second.out
    assert [file.stem for file in (shell.folder / "again").iterdir()] == ["a-bold-robot-1"]


def test_on_a_terminal_the_progress_is_one_line_that_grows(shell: Shell, tmp_path: Path) -> None:
    shown = on_a_terminal(shell, "demo", "--quantity", "2")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    lines = re.split(r"[\r\n]+", text)
    [ended] = [line for line in lines if "completed" in line and line[0] not in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"]
    assert ended.endswith("→ completed, 2 of 2")
    assert lines[lines.index(ended) + 1].startswith("  demo-output/")


def test_a_request_that_is_refused_ends_the_demo_with_the_servers_sentence(shell: Shell) -> None:
    result = shell.run("demo", "--quantity", "9", code=1)
    assert "error: quantity is 1 to 4" in result.err
    assert shell.postmasters() == []


def test_the_demo_works_where_jobs_are_done_outside_the_server(shell: Shell) -> None:
    shell.write("supabase/config.toml", "[tintype.worker]\ninside_serve = false\n")
    assert "completed, 1 of 1" in shell.run("demo", "--quantity", "1").out


def test_ctrl_c_ends_the_demo_and_what_it_started(shell: Shell) -> None:
    process = shell.start("demo", TINTYPE_SANDBOX_SECONDS="60", TINTYPE_DRAIN_SECONDS="0")
    shell.read_until(process, "0 of 4")
    ended = shell.end(process, 2)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    assert shell.postmasters() == []


def on_a_terminal(shell: Shell, *words: str) -> str:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["tintype", *words],
        cwd=shell.folder,
        env=shell.environment | {"TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 65536):
            shown += chunk
    except OSError:  # what Linux says at the end of a terminal
        pass
    os.close(ours)
    assert process.wait(60) == 0, shown
    return shown.decode()
