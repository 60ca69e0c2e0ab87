"""Can an operator see identities, remove one, and see that nothing is left?"""

import asyncio
from uuid import UUID, uuid4

import asyncpg

from tests.cli.terminal import Shell

NOBODY = "0198d2f0-0000-7000-8000-000000000000"


def _insert(database_url: str, user_id: str) -> str:
    async def insert() -> UUID:
        connection = await asyncpg.connect(database_url)
        try:
            identity_id: UUID = await connection.fetchval(
                "insert into public.trained_identities (user_id, identity_name, model_id,"
                " trigger_word, num_training_images, consent)"
                " values ($1, 'John \x1b[2J', 'identity-john-1', 'john', 3, '{\"given\": true}')"
                " returning id",
                UUID(user_id),
            )
            return identity_id
        finally:
            await connection.close()

    return str(asyncio.run(insert()))


def test_identities_are_listed_shown_and_removed_to_the_last(shell: Shell) -> None:
    shell.serve()
    empty = shell.run("identities", "list")
    assert (empty.out, "no such identities" in empty.err) == ("", True)
    user_id = str(uuid4())
    identity_id = _insert(shell.run("status", "-o", "json").json()["DB_URL"], user_id)
    [listed] = shell.run("identities", "list", "--json").json()
    assert (listed["id"], listed["user_id"]) == (identity_id, user_id)
    told = shell.run("identities", "show", identity_id).out
    assert "consent  given" in told and "\x1b" not in told
    assert shell.run("identities", "show", identity_id, "--json").json()["images"] == 3

    assert "is being removed" in shell.run("identities", "remove", identity_id).out
    gone = shell.run("identities", "remove", identity_id, code=1)
    assert "There is no identity" in gone.err and "tintype identities list" in gone.err
    assert "There is no identity" in shell.run("identities", "show", NOBODY, code=1).err
    while (removal := shell.run("identities", "removals", "--json").json()[0])["done_at"] is None:
        pass
    assert removal["id"] == identity_id
    assert removal["proof"]["folders"][0]["objects"] == 0
