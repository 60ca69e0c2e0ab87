"""Does the URL that is printed work where it is pasted?"""

import re
from pathlib import Path

import pytest

from tests.cli.terminal import Shell
from tintype import config


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:54321"),
        ("0.0.0.0", "http://127.0.0.1:54321"),
        ("pictures.local", "http://pictures.local:54321"),
        ("::1", "http://[::1]:54321"),
        ("::", "http://[::1]:54321"),
        ("2001:db8::7", "http://[2001:db8::7]:54321"),
    ],
)
def test_an_ipv6_host_is_in_brackets(tmp_path: Path, host: str, url: str) -> None:
    assert config.load(project=tmp_path, host=host, environment={}).public_url == url


def test_the_url_that_the_operator_chose_is_left_as_it_is(tmp_path: Path) -> None:
    chosen = {"TINTYPE_PUBLIC_URL": "https://pictures.example/api/"}
    found = config.load(project=tmp_path, host="::1", environment=chosen)
    assert found.public_url == "https://pictures.example/api"


def test_a_server_on_an_ipv6_address_is_reached_by_the_url_it_tells(shell: Shell) -> None:
    greeting = "\n".join(shell.serve("--host", "::1").greeting)
    told = re.search(r"http://\[::1\]:\d+", greeting)
    assert told is not None, greeting
    assert "GoTrue" in shell.paste(f"curl -sf '{told[0]}/auth/v1/health'").out
