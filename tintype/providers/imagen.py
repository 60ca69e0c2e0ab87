"""How does Imagen make pictures?

`:predict`, up to four pictures a call. Google ended it for API keys on 17 August 2026; whoever
serves the same shape is reached through `IMAGEN_BASE_URL`. Filtered pictures are missing from the
answer, which is HTTP 200 all the same. https://ai.google.dev/gemini-api/docs/imagen
"""

from typing import Any

from tintype.config import ProvidersConfig
from tintype.errors import ProviderError, Refused, Transient
from tintype.providers.gemini import google_base_url, google_headers
from tintype.providers.google import google_error
from tintype.providers.judge import judge_output
from tintype.providers.provider import Outcome, Request
from tintype.providers.wire import Wire, pick, pick_list, pick_text


class Imagen:
    """Google's Imagen models, or a server that speaks like them."""

    name = "imagen"

    def __init__(self, config: ProvidersConfig) -> None:
        self._wire = Wire(config)
        self._base_url = google_base_url(config.imagen_base_url)
        self._headers = google_headers(config.imagen_api_key or config.gemini_api_key)

    async def generate(self, request: Request) -> list[Outcome]:
        """Make `request.count` pictures in one call. See `Provider.generate`."""
        answer = await self._wire.post(
            f"{self._base_url}/models/{request.model}:predict",
            headers=self._headers,
            json=_body(request),
        )
        if answer.status != 200:
            raise google_error(
                answer, key_setting="IMAGEN_API_KEY", model_setting="TINTYPE_DEFAULT_MODEL"
            )
        body = answer.json()
        if not isinstance(body, dict) or (body and "predictions" not in body):
            raise Transient("answer_without_picture", "The provider's answer has no predictions.")
        return await _outcomes(body, request.count)

    async def close(self) -> None:
        """Close connections."""
        await self._wire.close()


def _body(request: Request) -> dict[str, Any]:
    parameters: dict[str, Any] = {"sampleCount": request.count, "includeRaiReason": True}
    if request.aspect_ratio is not None:
        parameters["aspectRatio"] = request.aspect_ratio
    if request.image_size is not None:
        parameters["imageSize"] = request.image_size
    if request.person_generation is not None:
        parameters["personGeneration"] = request.person_generation
    return {"instances": [{"prompt": request.prompt}], "parameters": parameters}


async def _outcomes(body: dict[str, Any], count: int) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for prediction in pick_list(body, "predictions")[:count]:
        outcomes.append(await _outcome(prediction))
    # Which of the pictures was filtered is not said: the missing ones are put last.
    missing = count - len(outcomes)
    return outcomes + [
        Refused("output_refused", "The provider filtered this picture out.") for _ in range(missing)
    ]


async def _outcome(prediction: Any) -> Outcome:
    data = pick(prediction, "bytesBase64Encoded")
    if isinstance(data, str) and data:
        try:
            return await judge_output(data)
        except ProviderError as error:
            return error
    reason = pick_text(prediction, "raiFilteredReason")
    if reason:
        return Refused("output_refused", reason, hint="Change the prompt.")
    return Transient("answer_without_picture", "The provider's prediction holds no picture.")
