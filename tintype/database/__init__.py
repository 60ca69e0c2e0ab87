"""The ground: one Postgres, embedded or anyone's.

`start_embedded` keeps a Postgres in a folder; `connect` opens a pool on any; `transaction` runs
statements as the kernel or as a caller; `migrate` brings the shape up to date. `Gatherer` makes
one transaction of many concurrent writes, `persist` outlasts a database that is away.
"""

from tintype.database.embedded import EmbeddedPostgres, find_embedded, start_embedded
from tintype.database.gather import Gatherer, Overloaded
from tintype.database.migrate import migrate
from tintype.database.pool import CALLER_ROLES, Connection, Pool, connect, transaction
from tintype.database.queries import named_queries, sql_folder
from tintype.database.trouble import STATEMENT_ERRORS, is_passing, persist

__all__ = [
    "CALLER_ROLES",
    "STATEMENT_ERRORS",
    "Connection",
    "EmbeddedPostgres",
    "Gatherer",
    "Overloaded",
    "Pool",
    "connect",
    "find_embedded",
    "is_passing",
    "migrate",
    "named_queries",
    "persist",
    "sql_folder",
    "start_embedded",
    "transaction",
]
