"""Do workers beside a server do its jobs?"""

import pytest

from tests.cli.terminal import Shell

OUTSIDE = "[tintype.worker]\ninside_serve = false\n"


@pytest.mark.parametrize("is_embedded", [True, False], ids=["beside --data", "by DATABASE_URL"])
async def test_a_worker_of_its_own_does_the_jobs_and_drains(
    is_embedded: bool, shell: Shell, database_url: str
) -> None:
    shell.write("supabase/config.toml", OUTSIDE)
    environment = {} if is_embedded else {"DATABASE_URL": database_url}
    served = shell.serve(**environment)
    shell.run("users", "add", "a@example.com", "--credits", "4", **environment)
    watching = shell.start("generate", "a robot", "--user", "a@example.com", **environment)
    shell.read_until(watching, "queued", stream="stderr")
    worker = shell.start("worker", **environment)
    shell.read_until(worker, "is ready", stream="stderr")
    out, err = watching.communicate(timeout=200)
    assert watching.returncode == 0, err
    assert (shell.folder / out.strip()).read_bytes()
    ended = shell.end(worker)
    assert ended.code == 0
    assert "WorkerDrained" in ended.err
    [job] = shell.run("jobs", "list", "--json", **environment).json()
    assert job["status"] == "completed"
    assert job["result_urls"][0].startswith(served.url)
    assert shell.end(served.process).code == 0
