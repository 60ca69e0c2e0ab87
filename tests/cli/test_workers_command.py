"""Does an operator let workers in, see them, and shut them out?"""

import msgspec

from tests.cli.terminal import Shell
from tests.cli.test_serving import get

VARIABLES = [
    "SUPABASE_URL",
    "SUPABASE_SERVICE_KEY",
    "UPSTASH_REDIS_REST_URL",
    "UPSTASH_REDIS_REST_TOKEN",
]
POP = 'curl -s -H "Authorization: Bearer $UPSTASH_REDIS_REST_TOKEN" $UPSTASH_REDIS_REST_URL'


def test_what_is_printed_is_what_a_workers_machine_needs(shell: Shell) -> None:
    served = shell.serve()
    added = shell.run("workers", "add", "gpu-1", "--queue", "sdxl_queue", "-o", "env")
    assert list(added.values()) == VARIABLES
    assert added.values()["SUPABASE_URL"] == served.url
    shell.write("gpu-1.env", added.out)
    script = f"set -a; . ./gpu-1.env; {POP}/llen/sdxl_queue; {POP}/rpop/sdxl_queue; {POP}/get/x"
    answers = shell.paste(script).out
    assert answers.startswith('{"result":0}{"result":null}{"error":"ERR')
    claim = (
        'curl -s -H "Authorization: Bearer $SUPABASE_SERVICE_KEY" --json "{}"'
        " $SUPABASE_URL/worker/v1/claim"
    )
    assert '"jobs":[]' in shell.paste(f"set -a; . ./gpu-1.env; {claim}").out
    [listed] = shell.run("workers", "list", "--json").json()
    assert (listed["name"], listed["queues"], listed["jobs_held"]) == ("gpu-1", "sdxl_queue", 0)
    assert listed["seen_seconds_ago"] is not None
    assert "gpu-1" in shell.run("workers", "list").out


def test_a_worker_that_is_added_again_has_new_secrets_and_one_row(shell: Shell) -> None:
    shell.serve()
    first = shell.run("workers", "add", "gpu", "-q", "sdxl_queue", "-o", "json").json()
    words = ("workers", "add", "gpu", "-q", "sdxl_queue", "-q", "wan_queue", "--callback-secret")
    second = shell.run(*words, "-o", "json").json()
    assert list(second) == [*VARIABLES, "CALLBACK_SECRET"]
    assert second["CALLBACK_SECRET"].startswith("whsec_")
    assert {first[name] == second[name] for name in (VARIABLES[1], VARIABLES[3])} == {False}
    [listed] = shell.run("workers", "list", "--json").json()
    assert listed["queues"] == "sdxl_queue, wan_queue"
    assert shell.paste(POP + "/ping", **first).json() == {"error": "Unauthorized"}
    assert shell.paste(POP + "/ping", **second).json() == {"result": "PONG"}


def test_a_worker_may_train_but_not_do_the_servers_own_part(shell: Shell) -> None:
    shell.serve()
    queues = ("-q", "training", "-q", "flux_queue", "-q", "sdxl_adapter_queue")
    assert "note:" not in shell.run("workers", "add", "gpu", *queues).err
    refused = shell.run("workers", "add", "other", "-q", "identities", code=1)
    assert "worked on by the server itself" in refused.err


def test_who_is_shut_out_opens_nothing_any_more(shell: Shell) -> None:
    shell.serve()
    added = shell.run("workers", "add", "gpu", "--queue", "sdxl_queue", "-o", "json").json()
    assert "gpu is shut out" in shell.run("workers", "revoke", "gpu").out
    assert shell.paste(POP + "/ping", **added).json() == {"error": "Unauthorized"}
    gone = shell.run("workers", "revoke", "gpu", code=1)
    assert "There is no worker gpu" in gone.err and "tintype workers list" in gone.err
    empty = shell.run("workers", "list")
    assert (empty.out, "tintype workers add" in empty.err) == ("", True)
    shell.run("workers", "add", "gpu", "--queue", "sdxl_queue")
    assert shell.run("workers", "revoke", "gpu", "--json").json() == {
        "name": "gpu",
        "revoked": True,
    }


def test_a_name_or_queue_that_does_not_fit_is_said_in_a_sentence(shell: Shell) -> None:
    shell.serve()
    assert "1 to 63" in shell.run("workers", "add", "GPU", "--queue", "sdxl_queue", code=1).err
    assert "queues" in shell.run("workers", "add", "gpu", "--queue", "a queue", code=1).err
    assert shell.run("workers", "add", "gpu", code=None).code != 0
    noted = shell.run("workers", "add", "gpu", "--queue", "sdx_queue")
    assert "note: no job type uses the queue sdx_queue" in noted.err
    assert "wan_queue" in noted.err


def test_development_mode_says_so_at_start_and_is_off_unless_asked_for(shell: Shell) -> None:
    served = shell.serve(TINTYPE_DEVELOPMENT="1")
    call = (
        f"curl -s {served.url}/functions/v1/generate-admin-image"
        """ --json '{"prompt": "a robot"}'"""
    )
    made = shell.paste(call).json()
    assert made["success"]
    assert get(made["image"]["url"]).status_code == 200
    assert "warning: development mode" in shell.end(served.process).err
    served = shell.serve(port=int(served.url.rpartition(":")[2]))
    assert msgspec.json.decode(shell.paste(call).out)["code"] == "service_role_required"
    assert "development" not in shell.end(served.process).err
