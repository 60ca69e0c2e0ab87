"""Does a person get pictures from the running server?"""

import signal
from pathlib import Path

import pytest

from tests.cli.terminal import Shell

USER = ("--user", "a@example.com")


@pytest.fixture
def served(shell: Shell) -> Shell:
    shell.serve()
    shell.run("users", "add", "a@example.com", "--credits", "3")
    return shell


def test_files_go_to_standard_output_and_progress_to_standard_error(served: Shell) -> None:
    first = served.run("generate", "A robot!", *USER, "--seed", "7", "--aspect-ratio", "16:9")
    assert first.err.splitlines()[-1] == "completed, 1 of 1"
    assert Path(first.out.strip()).stem == "a-robot-1"
    picture = (served.folder / first.out.strip()).read_bytes()
    second = served.run("generate", "A robot!", *USER, "--json")
    told = second.json()
    assert list(told) == ["job", "files"]
    assert told["job"]["status"] == "completed"
    assert [Path(file).stem for file in told["files"]] == ["a-robot-2"]
    assert (served.folder / first.out.strip()).read_bytes() == picture


def test_what_cannot_be_paid_or_asked_is_a_sentence(served: Shell) -> None:
    poor = served.run("generate", "a robot", *USER, "--quantity", "4", code=1)
    assert "error: This needs 4 credits and 3 are available." in poor.err
    assert "Add credits" in poor.err
    assert poor.out == ""
    odd = served.run("generate", "a robot", *USER, "--aspect-ratio", "7:5", "--json", code=1)
    assert "7:5" in odd.err
    assert odd.out == ""
    nobody = served.run("generate", "a robot", "--user", "b@example.com", code=1)
    assert "There is no user b@example.com." in nobody.err
    assert "tintype users add b@example.com" in nobody.err
    served.write("taken", "")
    blocked = served.run("generate", "a robot", *USER, "--output", "taken", code=1)
    assert "taken: File exists." in blocked.err


def test_ctrl_c_stops_waiting_and_says_how_to_go_on(shell: Shell) -> None:
    shell.serve("--data", "my data", TINTYPE_SANDBOX_SECONDS="60", TINTYPE_DRAIN_SECONDS="0")
    shell.run("users", "add", "a@example.com", "--credits", "3", "--data", "my data")
    process = shell.start("generate", "a robot", *USER, "--data", "my data")
    shell.read_until(process, "0 of 1", stream="stderr")
    ended = shell.end(process, signal.SIGINT)
    assert ended.code == 130
    [goes_on, _, cancel] = ended.err.splitlines()
    assert goes_on.endswith("goes on.")
    shell.paste(cancel.partition(":")[2])
    [job] = shell.run("jobs", "list", "--json", "--data", "my data").json()
    assert job["id"] in goes_on
    assert job["status"] == "canceled"


def test_without_a_server_it_says_how_to_start_one(shell: Shell) -> None:
    result = shell.run("generate", "a robot", *USER, code=1)
    assert "No server runs on" in result.err
    assert "tintype serve" in result.err
