"""What does an error of an OpenAI-compatible gateway mean?

OpenAI wraps errors in `error` and names them by words, OpenRouter by the HTTP status as a number
and sometimes inside an HTTP 200, Lovable answers flat. One reading for all of them.
"""

import re
from typing import Any

from tintype import clock
from tintype.errors import Invalid, Misconfigured, ProviderError, Refused
from tintype.providers.wire import (
    Answer,
    pick,
    pick_text,
    quota,
    retry_after_seconds,
    seconds_or_none,
    server_error,
)

SPENT_CODES = {"insufficient_quota", "billing_hard_limit_reached", "payment_required"}
REFUSAL_WORDS = re.compile(
    "moderation|content_filter|content_policy|content policy|safety|flagged|prohibited"
    "|image_generation_user_error|blocklist|recitation",
    re.IGNORECASE,
)
MODEL_WORDS = re.compile(
    "model_not_found|not a valid model|model .*(does not exist|not found)|unknown model",
    re.IGNORECASE,
)


def gateway_error(answer: Answer) -> ProviderError:
    """Return what an answer that is not 200 means."""
    return _meaning(answer.status, answer.json_or_none(), answer)


def embedded_error(body: Any) -> ProviderError | None:
    """Return the error that an HTTP 200 carries, None when it carries none.

    OpenRouter has sent its status by the time its upstream fails, and puts the real one in
    `error.code`, or in the choice: https://openrouter.ai/docs/api/reference/errors
    """
    for holder in (body, pick(body, "choices", 0)):
        error = pick(holder, "error")
        if error:
            code = seconds_or_none(pick(error, "code"))
            status = int(code) if code is not None and 400 <= code <= 599 else 502
            return _meaning(status, holder, None)
    return None


def _meaning(status: int, body: Any, answer: Answer | None) -> ProviderError:
    error = pick(body, "error")
    error = error if isinstance(error, dict) else body
    message = pick_text(error, "message") or pick_text(body, "error") or "It gave no reason."
    words = f"{pick_text(error, 'code')} {pick_text(error, 'type')}"
    if status == 402 or SPENT_CODES & set(words.split()):
        return Misconfigured(
            "provider_no_credit",
            f"The account at the gateway has no credit left: {message}",
            hint="Add credit at the gateway, or set AI_GATEWAY_API_KEY to another account's key.",
        )
    if status == 429:
        return _quota(error, message, answer)
    if status >= 500 or status in (408, 409, 425):
        return server_error(status, message)
    if status in (400, 403, 422) and _is_refusal(error, f"{words} {message}"):
        return Refused("prompt_refused", message, hint="Change the prompt.")
    if status == 404 or MODEL_WORDS.search(f"{words} {message}"):
        return Misconfigured(
            "provider_model_missing",
            f"The gateway does not know the model: {message}",
            hint="Choose a model that it offers with TINTYPE_DEFAULT_MODEL, or another "
            "AI_GATEWAY_URL.",
        )
    if status in (401, 403):
        return Misconfigured(
            "provider_key_refused",
            f"The gateway does not accept the key: {message}",
            hint="Set AI_GATEWAY_API_KEY to a key that may use this model.",
        )
    if status < 400:
        return Misconfigured(
            "base_url_redirects",
            f"The gateway answered {status}.",
            hint="Set AI_GATEWAY_URL to the address that it redirects to.",
        )
    return Invalid("request_invalid", f"The gateway refuses the request: {message}")


def _is_refusal(error: Any, text: str) -> bool:
    # OpenRouter's moderation answers 403 with these two: what was flagged, and why.
    flagged = pick(error, "metadata", "flagged_input") or pick(error, "metadata", "reasons")
    return bool(flagged) or REFUSAL_WORDS.search(text) is not None


def _quota(error: Any, message: str, answer: Answer | None) -> ProviderError:
    headers: dict[str, str] = {}
    for source in (pick(error, "metadata", "headers"), answer and dict(answer.headers)):
        if isinstance(source, dict):
            headers |= {str(name).lower(): str(value) for name, value in source.items()}
    wait = retry_after_seconds(headers)
    reset_milliseconds = seconds_or_none(headers.get("x-ratelimit-reset"))
    if wait is None and reset_milliseconds is not None and reset_milliseconds > 1e12:
        wait = reset_milliseconds / 1000 - clock.unix_seconds()
    return quota(message, wait, daily="per-day" in message)
