"""Is a person told what `tintype gpu-worker` needs? What it does is in `tests/gpu`."""

import pytest

from tests.cli.terminal import Shell

ACCESS = {"SUPABASE_URL": "http://127.0.0.1:9", "SUPABASE_SERVICE_KEY": "key"}
QUEUE = ("gpu-worker", "--queue", "sdxl_queue")


def test_without_the_extra_it_says_what_to_install(shell: Shell) -> None:
    # A machine with the extra is one without it as soon as torch cannot be found.
    shell.write("away/torch.py", "raise ModuleNotFoundError('no torch', name='torch')")
    shell.write("away/diffusers.py", "import torch")
    path = f"{shell.folder / 'away'}:{shell.environment['PYTHONPATH']}"
    result = shell.run(*QUEUE, code=1, PYTHONPATH=path, **ACCESS)
    assert "needs torch" in result.err
    assert "pip install 'tintype[gpu]'" in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        ((), {}, "The server's URL is not known"),
        ((), {"SUPABASE_URL": "http://127.0.0.1:9"}, "The server's key is not known"),
        (("--url", "http://127.0.0.1:9"), {}, "The server's key is not known"),
        (("--url", "tintype.example.com"), ACCESS, "is no URL of a server"),
        (("--key-file", "nowhere"), ACCESS, "nowhere: No such file"),
        (("--key-file", "empty"), ACCESS, "The server's key is not known"),
    ],
)
def test_without_a_server_or_key_it_says_what_to_set(
    shell: Shell, words: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    shell.write("empty", "\n")
    result = shell.run(*QUEUE, *words, code=1, **environment)
    assert said in result.err
    assert result.out == ""


def test_a_queue_that_no_gpu_serves_is_answered_with_those_that_are(shell: Shell) -> None:
    result = shell.run("gpu-worker", "--queue", "images", code=2)
    assert "sdxl_queue" in result.err
    assert "wan_queue" in result.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("--queue", "training", "--loras", "folder"), "--loras"),
        (("--queue", "training", "--model", "folder"), "--model"),
        (("--queue", "flux_queue", "--flux", "folder"), "--flux"),
    ],
)
def test_an_option_that_the_queue_does_not_heed_is_refused(
    shell: Shell, words: tuple[str, ...], option: str
) -> None:
    result = shell.run("gpu-worker", *words, code=1, **ACCESS)
    assert f"has no use for {option}" in result.err
    assert result.out == ""


def test_adapters_among_the_files_that_jobs_may_name_are_refused(shell: Shell) -> None:
    result = shell.run(*QUEUE, "--loras", "all", "--adapters", "all/faces", code=1, **ACCESS)
    assert "files that any job may name" in result.err
    assert result.out == ""
