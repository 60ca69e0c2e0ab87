"""How does Gemini make a picture?

`generateContent` by plain REST, one picture a call. A refusal is HTTP 200, and its reason stands
only in `finishMessage`, which Google's own SDK drops.
https://ai.google.dev/gemini-api/docs/image-generation
"""

import base64
import re
from typing import Any

from tintype.config import ProvidersConfig
from tintype.errors import ProviderError, Refused, Transient
from tintype.providers.google import google_error
from tintype.providers.judge import judge_output
from tintype.providers.provider import Outcome, Request
from tintype.providers.wire import Wire, pick, pick_list, pick_text

API_VERSION = "v1beta"
SEED_BITS = 0x7FFF_FFFF
# finishReason and blockReason have some thirty values and grow; these words mean a decision that
# another try will not change. NO_IMAGE, OTHER, MAX_TOKENS and the rest are worth one.
REFUSAL_WORDS = re.compile(
    "SAFETY|PROHIBITED|RECITATION|BLOCKLIST|SPII|LANGUAGE|MODEL_ARMOR|JAILBREAK"
)


class Gemini:
    """Google's Gemini image models."""

    name = "gemini"

    def __init__(self, config: ProvidersConfig) -> None:
        self._wire = Wire(config)
        self._base_url = google_base_url(config.gemini_base_url)
        self._headers = google_headers(config.gemini_api_key)

    async def generate(self, request: Request) -> list[Outcome]:
        """Make one picture. See `Provider.generate`."""
        seed = None if request.seed is None else (request.seed + request.position) & SEED_BITS
        answer = await self._wire.post(
            f"{self._base_url}/models/{request.model}:generateContent",
            headers=self._headers,
            json=_body(request, seed),
        )
        if answer.status != 200:
            raise google_error(
                answer, key_setting="GEMINI_API_KEY", model_setting="GEMINI_MODEL_NAME"
            )
        return [await _outcome(answer.json(), seed)]

    async def close(self) -> None:
        """Close connections."""
        await self._wire.close()


def google_base_url(url: str) -> str:
    """Return `url` with an API version at its end, the operator's own if there is one."""
    url = url.rstrip("/")
    return url if re.search(r"/v\d+[a-z0-9]*$", url) else f"{url}/{API_VERSION}"


def google_headers(key: str | None) -> dict[str, str]:
    """Return the headers that carry `key`; none for a server of one's own that wants none."""
    return {"x-goog-api-key": key.strip()} if key else {}


def _body(request: Request, seed: int | None) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": request.prompt}]
    for reference in request.references:
        data = base64.b64encode(reference.data).decode("ascii")
        parts.append({"inlineData": {"mimeType": reference.media_type, "data": data}})
    picture: dict[str, str] = {}
    if request.aspect_ratio is not None:
        picture["aspectRatio"] = request.aspect_ratio
    if request.image_size is not None:
        picture["imageSize"] = request.image_size
    settings: dict[str, Any] = {"responseModalities": ["TEXT", "IMAGE"]}
    if picture:
        settings["imageConfig"] = picture
    if seed is not None:
        settings["seed"] = seed
    return {"contents": [{"role": "user", "parts": parts}], "generationConfig": settings}


async def _outcome(body: Any, seed: int | None) -> Outcome:
    candidate = pick(body, "candidates", 0)
    data, words = None, ""
    for part in pick_list(candidate, "content", "parts"):
        if pick(part, "thought") is True:  # a draft of the model's thinking
            continue
        data = pick(part, "inlineData", "data") or data
        words = pick_text(part, "text") or words
    if not isinstance(data, str):
        return _without_picture(body, candidate, words)
    try:
        return await judge_output(data, seed=seed, metadata=_metadata(body))
    except ProviderError as error:
        return error


def _without_picture(body: Any, candidate: Any, words: str) -> ProviderError:
    blocked = pick_text(body, "promptFeedback", "blockReason")
    if blocked:
        said = pick_text(body, "promptFeedback", "blockReasonMessage")
        return Refused(
            "prompt_refused",
            said or f"The provider refuses this prompt ({blocked}).",
            hint="Change the prompt.",
            details={"reason": blocked},
        )
    reason = pick_text(candidate, "finishReason")
    said = pick_text(candidate, "finishMessage")
    if REFUSAL_WORDS.search(reason):
        return Refused(
            "output_refused",
            said or f"The provider withheld the picture ({reason}).",
            hint="Change the prompt.",
            details={"reason": reason},
        )
    if words:
        said = f"The provider answered with words instead of a picture: {words}"
    said = said or f"The provider's answer holds no picture ({reason or 'no reason given'})."
    return Transient("answer_without_picture", said)


def _metadata(body: Any) -> dict[str, Any]:
    metadata = {
        "response_id": pick_text(body, "responseId"),
        "model_version": pick_text(body, "modelVersion"),
        "tokens": pick(body, "usageMetadata", "totalTokenCount"),
    }
    return {name: value for name, value in metadata.items() if value}
