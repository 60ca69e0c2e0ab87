"""How does an OpenAI-compatible gateway make pictures?

Two wires to one base URL: chat completions that answer with `message.images`, as Lovable's
gateway and OpenRouter speak them, and OpenAI's `/images/generations` and `/images/edits`. The
catalogue says which of the two a model wants. https://docs.lovable.dev/features/ai,
https://openrouter.ai/docs/features/multimodal/image-generation and
https://platform.openai.com/docs/api-reference/images
"""

import base64
import math
import re
from typing import Any

from tintype.config import ProvidersConfig
from tintype.errors import InvalidRequest, ProviderError, Refused, Transient
from tintype.providers.fetch import Fetcher
from tintype.providers.gateway_errors import REFUSAL_WORDS, embedded_error, gateway_error
from tintype.providers.judge import judge_output
from tintype.providers.provider import Outcome, Reference, Request
from tintype.providers.wire import Wire, pick, pick_list, pick_text

# https://platform.openai.com/docs/api-reference/images/create: the sizes every model takes.
FIXED_SIZES = {"1:1": "1024x1024", "3:2": "1536x1024", "2:3": "1024x1536"}
PIXELS_BY_SIZE = {"1K": 1024 * 1024, "2K": 2048 * 2048, "4K": 3840 * 2160}
SIDE_STEP_PIXELS = 16
SIDE_PIXELS_MAX = 3840


class GatewayChat:
    """A gateway's chat completions: one picture a call."""

    name = "gateway"

    def __init__(self, config: ProvidersConfig, fetcher: Fetcher) -> None:
        self._wire = Wire(config)
        self._fetcher = fetcher
        self._url = f"{config.ai_gateway_url.rstrip('/')}/chat/completions"
        self._headers = gateway_headers(config)

    async def generate(self, request: Request) -> list[Outcome]:
        """Make one picture. See `Provider.generate`."""
        answer = await self._wire.post(self._url, headers=self._headers, json=_chat_body(request))
        if answer.status != 200:
            raise gateway_error(answer)
        body = answer.json()
        error = embedded_error(body)
        if error is not None:
            raise error
        return [await self._outcome(body)]

    async def close(self) -> None:
        """Close connections."""
        await self._wire.close()

    async def _outcome(self, body: Any) -> Outcome:
        message = pick(body, "choices", 0, "message")
        for image in pick_list(message, "images"):
            url = pick(image, "image_url", "url")
            if isinstance(url, str) and url:
                return await _picture(self._fetcher, url, {"response_id": pick_text(body, "id")})
        choice = pick(body, "choices", 0)
        reasons = (
            f"{pick_text(choice, 'finish_reason')} {pick_text(choice, 'native_finish_reason')}"
        )
        refusal = pick_text(message, "refusal")
        if refusal or REFUSAL_WORDS.search(reasons):
            said = refusal or f"The provider withheld the picture ({reasons.strip()})."
            return Refused("output_refused", said, hint="Change the prompt.")
        words = pick_text(message, "content")
        said = f"words instead of a picture: {words}" if words else "no picture"
        return Transient("answer_without_picture", f"The provider answered with {said}")


class GatewayImages:
    """A gateway's image endpoints: up to `request.count` pictures a call."""

    name = "gateway"

    def __init__(self, config: ProvidersConfig, fetcher: Fetcher) -> None:
        self._wire = Wire(config)
        self._fetcher = fetcher
        self._url = f"{config.ai_gateway_url.rstrip('/')}/images"
        self._headers = gateway_headers(config)

    async def generate(self, request: Request) -> list[Outcome]:
        """Make `request.count` pictures, by `/edits` if there are references."""
        fields = _image_fields(request)
        if request.references:
            answer = await self._wire.post(
                f"{self._url}/edits",
                headers=self._headers,
                fields={name: str(value) for name, value in fields.items()},
                files=_files(request.references),
            )
        else:
            answer = await self._wire.post(
                f"{self._url}/generations", headers=self._headers, json=fields
            )
        if answer.status != 200:
            raise gateway_error(answer)
        body = answer.json()
        error = embedded_error(body)
        if error is not None:
            raise error
        entries = pick_list(body, "data")
        return [await self._outcome(pick(entries, index)) for index in range(request.count)]

    async def close(self) -> None:
        """Close connections."""
        await self._wire.close()

    async def _outcome(self, entry: Any) -> Outcome:
        data, url = pick(entry, "b64_json"), pick(entry, "url")
        if isinstance(data, str) and data:
            return await _picture(self._fetcher, f"data:;base64,{data}", {})
        if isinstance(url, str) and url:
            return await _picture(self._fetcher, url, {})
        return Transient("answer_without_picture", "The provider sent fewer pictures than asked.")


def gateway_headers(config: ProvidersConfig) -> dict[str, str]:
    """Return the headers that carry the key; none for a server of one's own that wants none."""
    key = config.ai_gateway_api_key
    return {"Authorization": f"Bearer {key.strip()}"} if key else {}


async def _picture(fetcher: Fetcher, url: str, metadata: dict[str, Any]) -> Outcome:
    try:
        if url[:5].lower() == "data:":
            return await judge_output(url.partition(",")[2], metadata=metadata)
        return await judge_output(await fetcher.fetch(url), metadata=metadata)
    except ProviderError as error:
        return error
    except InvalidRequest as error:
        return Transient("picture_unreachable", f"The provider's picture: {error.message}")


def _chat_body(request: Request) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": request.prompt}]
    for reference in request.references:
        data = base64.b64encode(reference.data).decode("ascii")
        url = f"data:{reference.media_type};base64,{data}"
        content.append({"type": "image_url", "image_url": {"url": url}})
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [{"role": "user", "content": content}],
        "modalities": ["image", "text"],
    }
    picture = {"aspect_ratio": request.aspect_ratio, "image_size": request.image_size}
    picture = {name: value for name, value in picture.items() if value is not None}
    if picture:
        body["image_config"] = picture
    if request.seed is not None:
        body["seed"] = request.seed + request.position
    return body


def _image_fields(request: Request) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": request.model, "prompt": request.prompt, "n": request.count}
    if request.aspect_ratio is not None or request.image_size is not None:
        fields["size"] = pixel_size(request.aspect_ratio or "1:1", request.image_size or "1K")
    return fields


def pixel_size(aspect_ratio: str, image_size: str) -> str:
    """Return "WxH" for OpenAI's `size`: sides divisible by 16, none over `SIDE_PIXELS_MAX`."""
    if image_size == "1K" and aspect_ratio in FIXED_SIZES:
        return FIXED_SIZES[aspect_ratio]
    across, down = (int(side) for side in aspect_ratio.split(":"))
    height = math.sqrt(PIXELS_BY_SIZE[image_size] * down / across)
    width = height * across / down
    shrink = min(1.0, SIDE_PIXELS_MAX / max(width, height))
    sides = (int(side * shrink) // SIDE_STEP_PIXELS * SIDE_STEP_PIXELS for side in (width, height))
    return "x".join(str(side) for side in sides)


def _files(references: tuple[Reference, ...]) -> list[tuple[str, tuple[str, bytes, str]]]:
    field = "image" if len(references) == 1 else "image[]"
    files = []
    for index, reference in enumerate(references):
        extension = re.sub("[^a-z]", "", reference.media_type.partition("/")[2])
        name = f"reference-{index}.{extension}"
        files.append((field, (name, reference.data, reference.media_type)))
    return files
