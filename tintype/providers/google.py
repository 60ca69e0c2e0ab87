"""What does an error of Google's API mean?

One reading for `generateContent` and `:predict`, after
https://ai.google.dev/gemini-api/docs/troubleshooting. Two things are not what they seem: an
invalid key answers 400, and a spent daily quota carries a delay of seconds that does not help.
"""

from datetime import datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tintype import clock
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Refused
from tintype.providers.wire import (
    Answer,
    pick,
    pick_list,
    pick_text,
    quota,
    retry_after_seconds,
    seconds_or_none,
    server_error,
)

KEY_REASONS = {"API_KEY_INVALID", "API_KEY_EXPIRED", "API_KEY_SERVICE_BLOCKED"}


def google_error(answer: Answer, *, key_setting: str, model_setting: str) -> ProviderError:
    """Return what an answer that is not 200 means; the settings are named where they are wrong."""
    body = answer.json_or_none()
    if isinstance(body, list):  # streaming endpoints wrap the error in a list
        body = pick(body, 0)
    message = pick_text(body, "error", "message") or "It gave no reason."
    status = pick_text(body, "error", "status")
    reasons = {pick_text(detail, "reason") for detail in pick_list(body, "error", "details")}
    if answer.status == 429 or status == "RESOURCE_EXHAUSTED":
        return google_quota(answer, body, message)
    if answer.status >= 500 or answer.status in (408, 409, 499):
        return server_error(answer.status, message)
    if reasons & KEY_REASONS or answer.status in (401, 403) or "API key" in message:
        return Misconfigured(
            "provider_key_refused",
            f"The provider does not accept the key: {message}",
            hint=f"Set {key_setting} to a key that may use this model.",
        )
    if answer.status == 402 or status == "FAILED_PRECONDITION":
        return Misconfigured(
            "provider_account_refused",
            f"The provider will not serve this account: {message}",
            hint=f"Turn billing on for the project of {key_setting}.",
        )
    if answer.status == 404:
        return Misconfigured(
            "provider_model_missing",
            f"The provider does not know the model: {message}",
            hint=f"Choose a model that exists with {model_setting}.",
        )
    if answer.status < 400:
        return Misconfigured(
            "base_url_redirects",
            f"The provider's base URL answered {answer.status}.",
            hint="Set the base URL to the address that it redirects to.",
        )
    if "support code" in message.lower():
        return Refused("prompt_refused", message)
    return Invalid("request_invalid", f"The provider refuses the request: {message}")


def google_quota(answer: Answer, body: Any, message: str) -> Quota:
    """Return the wait that a 429 asks for: the stated delay, or midnight for a daily quota.

    One answer may name a minute's and a day's quota together; the day's decides. `limit: 0`
    (no free tier for this model) never ends, and is looked at again once a day.
    """
    delay: float | None = None
    daily = "limit: 0" in message
    for detail in pick_list(body, "error", "details"):
        stated = pick_text(detail, "retryDelay").removesuffix("s")
        delay = seconds_or_none(stated) or delay
        for violation in pick_list(detail, "violations"):
            daily = daily or "PerDay" in pick_text(violation, "quotaId")
            daily = daily or pick_text(violation, "quotaValue") == "0"
    if daily:
        return quota(message, seconds_until_midnight_pacific(clock.now()), daily=True)
    return quota(message, delay or retry_after_seconds(answer.headers))


def seconds_until_midnight_pacific(now: datetime) -> float:
    """Return the seconds from `now` (aware) until Google's daily quotas start again."""
    try:
        pacific: ZoneInfo | timezone = ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a machine without tzdata: at most an hour too late
        pacific = timezone(timedelta(hours=-8))
    local = now.astimezone(pacific)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight.astimezone(now.tzinfo) - now).total_seconds()
