"""What does trouble with the Hub mean for the job that met it?"""

import re
from collections.abc import Mapping
from typing import Any

from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Transient

THROTTLED_SECONDS_DEFAULT = 60.0
THROTTLED_SECONDS_MIN = 1.0
THROTTLED_SECONDS_MAX = 3600.0
ACCESS_HINT = (
    "Make a token with write access at https://huggingface.co/settings/tokens and set it as "
    "HUGGINGFACE_TOKEN."
)

NO_ROOM = re.compile(r"storage.*(limit|quota|exceed|full)|(limit|quota|exceed).*storage", re.I)


def refusal(trouble: Mapping[str, Any]) -> ProviderError:
    """Return the error for the `trouble` that the child process told.

    `Misconfigured`: `hub_unauthorized`, `hub_forbidden`, `hub_storage_full`, `hub_not_there`,
    `hub_name_invalid`, `hub_repository_public`, `hub_client_missing`. `Quota`: throttled.
    `Invalid`: `hub_refused`. `Transient`: `hub_busy`, `hub_unreachable`, `hub_repository_gone`,
    `hub_client_failed`.
    """
    message = str(trouble["message"])
    match trouble["kind"]:
        case "status":
            return _by_status(trouble, int(trouble["status"]), message)
        case "unreachable":
            return Transient("hub_unreachable", f"The Hub cannot be reached: {message}")
        case "name_invalid":
            return Misconfigured(
                "hub_name_invalid",
                f"The Hub allows no such repository: {message}",
                hint="Set `namespace` in [tintype.identities] to a user or an organization there.",
            )
        case "public":
            return Misconfigured(
                "hub_repository_public",
                f"Nothing was sent to the Hub: {message}",
                hint="Make the repository private in its settings on the Hub.",
            )
        case "client_missing":
            return Misconfigured(
                "hub_client_missing",
                f"The Hub cannot be used: {message}",
                hint="Install it: pip install 'huggingface_hub>=2.4,<3'.",
            )
        case _:
            return Transient("hub_client_failed", f"The Hub's client failed: {message}")


def _by_status(trouble: Mapping[str, Any], status: int, message: str) -> ProviderError:
    stage = trouble.get("stage")
    stated = trouble.get("retry_after")
    if status == 429 or (status == 503 and stated is not None):
        wait = THROTTLED_SECONDS_DEFAULT if stated is None else float(stated)
        wait = min(max(wait, THROTTLED_SECONDS_MIN), THROTTLED_SECONDS_MAX)
        return Quota(f"The Hub asks to wait: {message}", retry_after_seconds=wait)
    if status == 401:
        return Misconfigured(
            "hub_unauthorized", f"The Hub does not accept the token: {message}", hint=ACCESS_HINT
        )
    if status == 402 or (status in (400, 403, 413) and NO_ROOM.search(message)):
        return Misconfigured(
            "hub_storage_full",
            f"The account at the Hub has no room left: {message}",
            hint="Delete repositories there, add storage, or set HUGGINGFACE_TOKEN to another "
            "account's token.",
        )
    if status == 403:
        return Misconfigured(
            "hub_forbidden", f"The token may not do this at the Hub: {message}", hint=ACCESS_HINT
        )
    if status in (404, 405) and stage in ("whoami", "create", "delete"):
        return Misconfigured(
            "hub_not_there",
            f"The Hub's address answers as no Hub does: {message}",
            hint="Set HF_ENDPOINT to the Hub's address, or leave it out for huggingface.co.",
        )
    if status == 404:
        return Transient("hub_repository_gone", f"The repository went away meanwhile: {message}")
    if status in (409, 412):
        return Transient("hub_busy", f"The Hub is busy with the same repository: {message}")
    if status >= 500 or status in (408, 425):
        return Transient("hub_unreachable", f"The Hub answered {status}: {message}")
    return Invalid("hub_refused", f"The Hub refuses what was sent ({status}): {message}")
