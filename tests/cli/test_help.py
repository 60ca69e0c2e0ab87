"""Can a person find out how to use it?"""

import importlib
import subprocess
import sys
from typing import Any

import pytest
from cyclopts import App

from tests.cli.terminal import Shell
from tintype.cli import COMMANDS, main

GROUPED = [
    *(("jobs", name) for name in ("list", "show", "cancel", "requeue")),
    *(("users", name) for name in ("add", "list", "token")),
    *(("credits", name) for name in ("show", "grant", "statement", "premium")),
    *(("workers", name) for name in ("add", "list", "revoke")),
    *(("identities", name) for name in ("list", "show", "remove", "removals")),
    ("ledger", "verify"),
]
LISTS = [
    ("jobs", "list"),
    ("users", "list"),
    ("workers", "list"),
    ("identities", "list"),
    ("identities", "removals"),
    ("credits", "show"),
    ("credits", "statement"),
    ("doctor",),
    ("migrate",),
]


def help_of(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    main([*words, "--help"])
    return capsys.readouterr().out


def test_the_help_names_every_command_and_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    text = help_of((), capsys)
    assert "tintype demo" in text
    assert "DATABASE_URL" in text
    for name, (_, summary) in COMMANDS.items():
        assert name in text
        assert summary.split()[0] in text


@pytest.mark.parametrize("name", COMMANDS)
def test_a_commands_line_in_the_help_is_its_own_first_sentence(name: str) -> None:
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(":")
    command: Any = getattr(importlib.import_module(f"tintype.cli.{module}"), attribute)
    told = command.help if isinstance(command, App) else command.__doc__
    assert told.splitlines()[0] == summary


@pytest.mark.parametrize("words", [*((name,) for name in COMMANDS), *GROUPED], ids=" ".join)
def test_every_command_explains_itself_and_its_options(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    text = help_of(words, capsys)
    assert text.startswith(f"Usage: tintype {' '.join(words)}")
    is_group = len(words) == 1 and words in {group[:1] for group in GROUPED}
    assert is_group or "--data" in text
    for line in text.splitlines():
        assert len(line) <= 100
        option = line.strip("│ ").split("  ", 1)
        if option[0].startswith("--"):
            assert len(option) == 2, f"{option[0]} is not explained"


@pytest.mark.parametrize("words", LISTS, ids=" ".join)
def test_every_list_can_be_had_as_json(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "--json" in help_of(words, capsys)


def test_the_help_loads_neither_the_server_nor_its_libraries(shell: Shell) -> None:
    source = (
        "import sys; from tintype.cli import main; main(['--help'])\n"
        "heavy = {'uvicorn', 'PIL', 'obstore', 'asyncpg', 'httpx2', 'tintype.app'}\n"
        "print('loaded', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", source],
        env=shell.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "loaded []"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("srve",), 'Did you mean "serve"'),
        (("serve", "--prot", "1"), "Did you mean --port"),
        (("serve", "--port", "0"), "--port"),
        (("serve", "--port", "65536"), "--port"),
        (("status", "-o", "xml"), 'Choose from: "env", "json"'),
        (("generate", "a robot"), "--user"),
        (("generate", "--user", "you@example.com"), "PROMPT"),
        (("users", "add"), "EMAIL"),
        (("jobs", "show", "7"), "UUID"),
        (("jobs", "cancel"), "JOB_IDS"),
        (("jobs", "list", "--status", "done"), "completed"),
        (("jobs", "list", "--limit", "0"), "--limit"),
        (("users", "token", "you@example.com", "--seconds", "0"), "--seconds"),
        (("credits", "grant", "you@example.com", "many"), "AMOUNT"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_word_is_answered_with_the_right_one(
    words: tuple[str, ...], said: str, shell: Shell
) -> None:
    result = shell.run(*words, code=2)
    assert said in " ".join(result.err.split())
    assert result.out == ""
    assert not shell.data.exists()
