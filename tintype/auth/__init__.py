"""Who is calling, and how do we know?

A `KeySet` holds the keys of one server, made at first start: it mints access tokens for users
and verifies what a request brings, as a JWT (HS256, RS256, ES256, EdDSA) or an opaque `sb_` key.
The outcome is a `Principal`: a database role, a user's id where there is one, and the claims
that row-level security reads. `authenticate` picks the credential that counts.

Promised: the algorithm comes from the key and never from the token; an unknown key fails closed;
another issuer's keys (`jwks_url`) only verify users, never the service role, and an issuer that
is down blocks no token whose key is known. Keys are made once, race-safe, readable by their owner
alone, and a damaged file is never replaced in silence.

`routes` serves `/auth/v1` as GoTrue does: sign up, sign in, refresh, sign out, the user's own row,
and the operator's list of users, under the choices of `Settings`. A session is a row; an access
token of a session that ended is refused here at once, elsewhere when it expires. One refresh token
of a session is active; using an older one again ends the family, save for a lost answer's sake.
Passwords are kept as Argon2id. Guessing is limited per address and per account. Removing a user
removes identities and sessions; jobs, outputs and the ledger stay for the books.
"""

from tintype.auth.door import routes
from tintype.auth.gateway import authenticate
from tintype.auth.keys import KeySet, open_keys
from tintype.auth.principal import ANONYMOUS, Principal
from tintype.auth.settings import Settings
from tintype.auth.users import User, app_metadata_now, create_user, find_user, list_users

__all__ = [
    "ANONYMOUS",
    "KeySet",
    "Principal",
    "Settings",
    "User",
    "app_metadata_now",
    "authenticate",
    "create_user",
    "find_user",
    "list_users",
    "open_keys",
    "routes",
]
