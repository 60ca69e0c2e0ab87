"""Can an operator see and mend everything from a terminal?"""

import base64
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec

from tests.cli.terminal import Shell

EMAIL = "a@example.com"
NOBODY = "0198d2f0-0000-7000-8000-000000000000"


def test_users_are_added_listed_and_given_tokens_with_their_address(shell: Shell) -> None:
    shell.serve()
    empty = shell.run("users", "list")
    assert (empty.out, "tintype users add" in empty.err) == ("", True)
    added = shell.run("users", "add", EMAIL, "--credits", "5", "--json").json()
    assert added["account"]["available"] == 5
    again = shell.run("users", "add", EMAIL, "--json").json()
    assert again == added
    [listed] = shell.run("users", "list", "--json").json()
    assert (listed["id"], listed["email"]) == (added["id"], EMAIL)
    for who in (EMAIL, added["id"]):
        token = shell.run("users", "token", who).out.strip()
        claims = msgspec.json.decode(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        assert (claims["sub"], claims["email"]) == (added["id"], EMAIL)
    assert "There is no user" in shell.run("users", "token", NOBODY, code=1).err
    assert "invalid format" in shell.run("users", "add", "nonsense", code=1).err


def test_credits_are_granted_once_per_reference_and_told_line_by_line(shell: Shell) -> None:
    shell.serve()
    shell.run("users", "add", EMAIL)
    granted = [
        shell.run("credits", "grant", EMAIL, "7", "--reference", "invoice-1", "--json").json()
        for _ in range(2)
    ]
    assert [one["granted"] for one in granted] == [True, False]
    [account] = shell.run("credits", "show", EMAIL, "--json").json()
    assert (account["balance"], account["held"], account["available"]) == (7, 0, 7)
    assert "7" in shell.run("credits", "show").out.splitlines()[1]
    [entry] = shell.run("credits", "statement", EMAIL, "--json").json()
    assert (entry["kind"], entry["amount"]) == ("grant", 7)
    assert shell.run("credits", "premium", EMAIL, "--json").json()["is_premium"]
    assert not shell.run("credits", "premium", EMAIL, "--off", "--json").json()["is_premium"]
    for amount in ("0", "-3"):
        assert "A grant is 1 to" in shell.run("credits", "grant", EMAIL, amount, code=1).err
    assert "There is no user" in shell.run("credits", "grant", NOBODY, "1", code=1).err


def test_jobs_are_listed_shown_canceled_and_run_again_for_the_same_price(shell: Shell) -> None:
    served = shell.serve(TINTYPE_SANDBOX_SECONDS="60", TINTYPE_DRAIN_SECONDS="0")
    shell.run("users", "add", EMAIL, "--credits", "9")
    token = shell.run("users", "token", EMAIL).out.strip()
    ids = []
    for prompt in ("a robot", "red \x1b[31m [bold]\nrobot " + "x" * 200):
        body = msgspec.json.encode({"prompt": prompt, "quantity": 2}).decode()
        shell.write("body.json", body)
        answer = shell.paste(
            f'curl -sf -H "Authorization: Bearer {token}" --json @body.json '
            f"{served.url}/functions/v1/generate-image"
        )
        ids.append(answer.json()["jobId"])
    listed = shell.run("jobs", "list", "--user", EMAIL)
    assert "\x1b" not in listed.out
    assert "[bold] robot" in listed.out
    assert len(listed.out.splitlines()) == 3
    assert shell.run("jobs", "show", ids[0], "--json").json()["hold"]["amount"] == 2
    assert "held 2, captured 0, released 0" in shell.run("jobs", "show", ids[0]).out

    canceled = shell.run("jobs", "cancel", *ids, NOBODY, "--json", code=1).json()
    assert [one.get("status") for one in canceled] == ["canceled", "canceled", None]
    assert canceled[2]["code"] == "job_not_found"
    assert len(shell.run("jobs", "list", "--status", "canceled", "--json").json()) == 2
    assert shell.run("jobs", "list", "--status", "failed").out == ""

    first = shell.run("jobs", "requeue", ids[0], "--json").json()
    assert shell.run("jobs", "requeue", ids[0], "--json").json() == first
    shown = shell.run("jobs", "show", first[0]["new_id"], "--json").json()
    assert shown["job"]["metadata"] == {"requeued_from": ids[0]}
    assert shown["hold"]["amount"] == 2
    refused = shell.run("jobs", "requeue", first[0]["new_id"], NOBODY, code=1)
    assert refused.out == ""
    assert "does not run again" in refused.err
    assert "There is no job" in refused.err
    assert "There is no job" in shell.run("jobs", "show", NOBODY, code=1).err


def test_migrate_says_what_it_applied_and_that_there_is_nothing_more(shell: Shell) -> None:
    first = shell.run("migrate").out.splitlines()
    assert first[0] == "applied migrations/0001_ground.sql"
    assert first[-1] == "applied verbs"
    second = shell.run("migrate").out
    assert second.startswith("nothing to apply; up to date since ")
    told = shell.run("migrate", "--json").json()
    assert told["applied"] == []
    assert [f"applied {row['name']}" for row in told["migrations"]] == first


def test_keys_are_the_same_with_and_without_a_server(shell: Shell) -> None:
    before = shell.run("keys", "-o", "json").json()
    assert list(before) == ["ANON_KEY", "SERVICE_ROLE_KEY", "PUBLISHABLE_KEY", "SECRET_KEY"]
    assert shell.run("keys").values() == before
    assert shell.postmasters() == []


def test_the_doctor_says_what_is_well_and_what_mends_the_rest(shell: Shell) -> None:
    shell.run("migrate")
    well = shell.run("doctor")
    assert "warn server: not running" in well.out
    assert "tintype serve" in well.out
    assert "ok   database: Postgres" in well.out
    (shell.data / "keys.json").write_text("{}")
    ill = shell.run("doctor", "--json", code=1).json()
    assert all(list(one) == ["name", "level", "detail", "hint"] for one in ill)
    levels = {one["name"]: one["level"] for one in ill}
    assert (levels["keys"], levels["database"]) == ("error", "ok")
    away = shell.run("doctor", code=1, DATABASE_URL="postgresql://me@127.0.0.1:1/x")
    assert "bad  database: The database at 127.0.0.1:1/x does not answer" in away.out


async def test_the_doctor_says_what_realtime_reads_and_what_would_fill_the_disk(
    shell: Shell,
) -> None:
    shell.serve()
    url = shell.run("status").values()["DB_URL"]
    assert "ok   changes: read from the write-ahead log" in shell.run("doctor").out
    assert "replication slots" not in shell.run("doctor").out
    admin = await asyncpg.connect(url)
    await admin.execute("alter system set max_slot_wal_keep_size = -1")
    await admin.execute("select pg_reload_conf()")
    while await admin.fetchval("show max_slot_wal_keep_size") != "-1":
        await admin.execute("select pg_sleep(0.01)")
    told = shell.run("doctor")
    assert "warn replication slots: max_slot_wal_keep_size is -1" in told.out
    assert "alter system set max_slot_wal_keep_size" in told.out
    await admin.execute(
        "create role app login password 'app' noreplication in role postgres, service_role"
    )
    await admin.close()
    parts = urlsplit(url)
    as_app = urlunsplit(parts._replace(netloc=f"app:app@{parts.netloc.rpartition('@')[2]}"))
    told = shell.run("doctor", "--json", DATABASE_URL=as_app)
    limited = {one["name"]: one for one in told.json()}
    assert limited["changes"]["level"] == "warning"
    assert limited["changes"]["hint"] == "alter role app replication;"
    assert "replication slots" not in limited


def test_the_functions_are_described_without_a_server(shell: Shell) -> None:
    named = "from tintype.functions import Reply\nasync def serve(invocation):\n    return {}\n"
    shell.write("supabase/functions/hello/index.py", named)
    told = shell.run("openapi").json()
    assert told["openapi"].startswith("3.1")
    assert {"/hello", "/generate-image", "/cancel-job"} <= told["paths"].keys()
    served = shell.serve()
    answer = shell.paste(f"curl -sf {served.url}/functions/v1/openapi.json").json()
    assert answer["paths"] == shell.run("openapi").json()["paths"]


async def test_a_balance_that_somebody_changed_is_found(shell: Shell) -> None:
    shell.serve()
    shell.run("users", "add", EMAIL, "--credits", "5")
    shell.run("generate", "a robot", "--user", EMAIL)
    assert "every rule holds" in shell.run("ledger", "verify").out
    admin = await asyncpg.connect(shell.run("status").values()["DB_URL"])
    await admin.execute("update public.credit_accounts set balance = balance + 1")
    await admin.close()
    told = shell.run("ledger", "verify", code=1)
    assert "findings" in told.out
    found = shell.run("ledger", "verify", "--json", code=1).json()
    assert found["accounts"] == 1
    assert found["findings"][0].keys() == {"rule", "subject", "detail"}
    assert found["findings"][0]["rule"] in told.out


def test_a_reader_that_has_seen_enough_is_no_trouble(shell: Shell) -> None:
    result = shell.paste(
        "tintype keys | true; tintype keys | head -c 1; tintype keys >/dev/full", code=None
    )
    assert result.err.count("error") == 1
