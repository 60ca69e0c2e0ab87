"""What does a function find in its environment?

The names that Supabase gives its functions (supabase.com/docs/guides/functions/secrets).
"""

import json

from tintype.auth import KeySet
from tintype.config import Config


def environment(config: Config, keys: KeySet, database_url: str) -> dict[str, str]:
    """Return the variables of a function: URL, keys and the database, as Supabase names them."""
    return {
        "SUPABASE_URL": config.public_url,
        "SUPABASE_ANON_KEY": keys.anon_key,
        "SUPABASE_SERVICE_ROLE_KEY": keys.service_role_key,
        "SUPABASE_DB_URL": database_url,
        "SUPABASE_JWKS": json.dumps(keys.jwks()),
        "SUPABASE_PUBLISHABLE_KEYS": json.dumps({"default": keys.publishable_key}),
        "SUPABASE_SECRET_KEYS": json.dumps({"default": keys.secret_key}),
    }
