"""Is expected trouble told in a sentence, with what to do?"""

import pytest

from tests.cli.terminal import Shell
from tests.support.processes import free_port

ALL = [
    ("serve",),
    ("worker",),
    ("demo",),
    ("users", "list"),
]
USING_FILE = pytest.mark.parametrize("words", ALL, ids=" ".join)


def words_on_a_free_port(words: tuple[str, ...]) -> tuple[str, ...]:
    return (*words, "--port", str(free_port())) if words == ("serve",) else words


@USING_FILE
def test_a_database_that_is_away_is_named_without_its_password(
    words: tuple[str, ...], shell: Shell
) -> None:
    port = free_port()
    url = f"postgresql://me:secret@127.0.0.1:{port}/app"
    result = shell.run(*words_on_a_free_port(words), code=1, DATABASE_URL=url)
    assert f"error: The database at 127.0.0.1:{port}/app does not answer" in result.err
    assert "DATABASE_URL" in result.err
    assert "secret" not in result.out + result.err


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://me@no-such-host.invalid/app", "no-such-host.invalid"),
        ("mysql://me@127.0.0.1/app", "postgresql://user:password@host:5432/name"),
        ("nonsense", "postgresql://user:password@host:5432/name"),
        ("postgresql://me@127.0.0.1:port/app", "postgresql://user:password@host:5432/name"),
    ],
)
def test_an_address_that_is_none_is_told(url: str, said: str, shell: Shell) -> None:
    assert said in shell.run("users", "list", code=1, DATABASE_URL=url).err


def test_a_database_that_does_not_exist_is_told(shell: Shell, postgres_url: str) -> None:
    url = postgres_url.rsplit("/", 1)[0] + "/no_such_database"
    result = shell.run("migrate", code=1, DATABASE_URL=url)
    assert "refuses us" in result.err
    assert "no_such_database" in result.err


@USING_FILE
def test_a_folder_of_another_postgres_is_told(words: tuple[str, ...], shell: Shell) -> None:
    folder = ".tintype/demo/postgres" if words == ("demo",) else ".tintype/postgres"
    shell.write(f"{folder}/PG_VERSION", "16\n")
    result = shell.run(*words_on_a_free_port(words), code=1)
    assert "was made by Postgres 16, and this is Postgres 18." in result.err
    assert "pg_dump" in result.err


@pytest.mark.parametrize("words", [("serve",), ("keys",), ("users", "token", "a@example.com")])
def test_damaged_keys_are_told_and_left_as_they_are(words: tuple[str, ...], shell: Shell) -> None:
    shell.run("users", "add", "a@example.com")
    shell.write(".tintype/keys.json", '{"version": 1}')
    result = shell.run(*words_on_a_free_port(words), code=1)
    assert f"The key file {shell.data / 'keys.json'} is damaged" in result.err
    assert "Put it back from a backup." in result.err
    assert (shell.data / "keys.json").read_text() == '{"version": 1}'
    assert shell.postmasters() == []


@pytest.mark.parametrize("words", [("serve",), ("status",), ("users", "list")], ids=" ".join)
def test_a_misspelt_setting_is_answered_with_the_right_one(
    words: tuple[str, ...], shell: Shell
) -> None:
    shell.write("supabase/config.toml", "[tintype.worker]\nconcurency = 3\n")
    result = shell.run(*words, code=1)
    assert "Unknown configuration key `tintype.worker.concurency`." in result.err
    assert "Did you mean `tintype.worker.concurrency`?" in result.err
    assert not shell.data.exists()


def test_a_file_that_does_not_parse_is_named(shell: Shell) -> None:
    shell.write("supabase/config.toml", "[tintype\n")
    assert "supabase/config.toml does not parse" in shell.run("status", code=1).err


def test_a_data_folder_that_is_a_file_is_told(shell: Shell) -> None:
    shell.write(".tintype", "")
    for words in (("status",), ("users", "list"), ("serve", "--port", str(free_port()))):
        assert str(shell.data) in shell.run(*words, code=1).err
