"""Under which name does the Hub keep an identity?

The Hub takes ASCII letters and digits with single `-`, `_` and `.` between them, 96 characters at
most: https://huggingface.co/docs/huggingface_hub/package_reference/utilities, `validate_repo_id`.
"""

import re
import unicodedata
from datetime import datetime

SLUG_CHARACTERS_MAX = 50
SLUG_OF_NOTHING = "person"


def slug_of(identity_name: str) -> str:
    """Return `identity_name` in lower-case letters, digits and single inner hyphens.

    Accents are taken off and every other character becomes a hyphen; at most
    `SLUG_CHARACTERS_MAX` characters are kept. A name of which nothing is left is `person`.
    """
    plain = unicodedata.normalize("NFKD", identity_name)
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    slug = re.sub(r"[^a-z0-9]+", "-", plain.lower())
    return slug.strip("-")[:SLUG_CHARACTERS_MAX].rstrip("-") or SLUG_OF_NOTHING


def repository_name(identity_name: str, now: datetime) -> str:
    """Return `identity-{slug}-{milliseconds}` for an identity made at `now` (aware)."""
    return f"identity-{slug_of(identity_name)}-{int(now.timestamp() * 1000)}"
