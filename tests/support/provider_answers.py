"""What the providers' APIs answer, well and badly, as their users have recorded it."""

import base64
import dataclasses
import json
from collections.abc import Callable
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from tests.support.provider_pictures import SVG, Pictures, png_bomb

# What the bytes of the first picture become.
PICTURE_FAULTS = {
    "wrong_mime": "a JPEG that is called PNG, or the reverse",
    "url_safe_base64": "the URL-safe alphabet without padding",
    "corrupt_base64": "characters that are not base64",
    "svg": "an SVG that is called PNG",
    "html_picture": "a page that is called PNG",
    "zero_bytes": "no bytes at all",
    "truncated_picture": "the first half of a picture",
    "large": "a whole picture of 12 MB",
    "image_bomb": "a picture whose header promises 900 million pixels",
}
# What becomes of the answer as a whole.
ANSWER_FAULTS = {
    "quota_minute": "429 with a delay of 7.5 s",
    "quota_day": "429 until the day is over",
    "no_credit": "the account cannot pay",
    "server_error": "500",
    "unavailable": "503",
    "bad_gateway": "502 with a page",
    "bad_request": "400",
    "bad_key": "the key is wrong",
    "forbidden": "the key may not",
    "model_missing": "404",
    "redirect": "301 to somewhere else",
    "empty": "200 with no body",
    "html": "200 with a page",
    "prompt_refused": "a refusal by prompt",
    "output_refused": "a refusal by output",
    "text_only": "words instead of a picture",
    "no_image": "neither words nor a picture",
    "thought_drafts": "drafts before and after the picture (Gemini)",
    "filtered_one": "one picture fewer than asked",
    "filtered_all": "no picture of those asked",
    "error_in_200": "200 with an error inside (gateways)",
    "picture_url": "an https URL instead of a picture (gateways)",
}
CONNECTION_FAULTS = {
    "dropped": "closed without an answer",
    "cut_short": "closed in the middle of the answer",
    "truncated_json": "half of the JSON, as a whole answer",
    "slow": "does not answer in a minute",
}
FAULTS = PICTURE_FAULTS | ANSWER_FAULTS | CONNECTION_FAULTS
PICTURE_URL = "https://pictures.invalid/1.png"
PAGE = b"<!DOCTYPE html><html><body>Bad gateway</body></html>"
REFUSAL = "Unable to show the generated image. You will not be charged. Support codes: 42237218"


@dataclasses.dataclass
class Asked:
    """A request to a provider, as far as the answer depends on it."""

    path: str
    endpoint: str
    model: str
    prompt: str
    count: int
    body: Any

    @classmethod
    def read(cls, path: str, headers: dict[str, str], data: bytes, model: str | None) -> "Asked":
        if headers.get("content-type", "").startswith("multipart/"):
            body = _multipart(headers["content-type"], data)
        else:
            body = json.loads(data)
        prompt = body.get("prompt", "")
        if "contents" in body:
            prompt = body["contents"][0]["parts"][0]["text"]
        elif "messages" in body:
            prompt = body["messages"][0]["content"][0]["text"]
        elif "instances" in body:
            prompt = body["instances"][0]["prompt"]
        count = body.get("n") or body.get("parameters", {}).get("sampleCount") or 1
        name = path.rpartition(":")[2] if ":" in path else path.rpartition("/")[2]
        return cls(path, name, model or body.get("model", ""), prompt, int(count), body)


@dataclasses.dataclass
class Reply:
    """An HTTP answer; `body` is JSON unless it is bytes. `pictures` are those inside it."""

    status: int
    body: Any
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    pictures: list[bytes] = dataclasses.field(default_factory=list)

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answer = Callable[[Asked, str | None, Pictures], Reply]


def answer_generate_content(asked: Asked, fault: str | None, pictures: Pictures) -> Reply:
    problem = _google_problem(fault) or _unknown_settings(asked.body)
    if problem is not None:
        return problem
    candidate: dict[str, Any] = {"finishReason": "STOP", "index": 0}
    body: dict[str, Any] = {
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 1129},
        "modelVersion": asked.model,
        "responseId": "response-1",
    }
    if fault == "prompt_refused":
        feedback = {"blockReason": "PROHIBITED_CONTENT"}
        return Reply(200, {"promptFeedback": feedback, "modelVersion": asked.model})
    if fault == "output_refused":
        candidate |= {"content": {}, "finishReason": "IMAGE_SAFETY", "finishMessage": REFUSAL}
        return Reply(200, body)
    if fault in ("no_image", "filtered_all", "filtered_one"):
        candidate |= {"content": {"parts": None}, "finishReason": "NO_IMAGE"}
        return Reply(200, body)
    if fault == "text_only":
        candidate["content"] = {"role": "model", "parts": [{"text": "I cannot draw that."}]}
        return Reply(200, body)
    data, text, media_type = _first_picture(fault, pictures, "JPEG")
    part = {"inlineData": {"mimeType": media_type, "data": text}, "thoughtSignature": "c2ln"}
    parts: list[dict[str, Any]] = [{"text": "Here it is."}, part]
    if fault == "thought_drafts":
        draft = {"mimeType": "image/jpeg", "data": _encoded(pictures.small("JPEG"))}
        parts.insert(0, {"inlineData": draft, "thought": True})
        parts.append({"inlineData": draft, "thought": True})
    candidate["content"] = {"role": "model", "parts": parts}
    return Reply(200, body, pictures=[data])


def answer_predict(asked: Asked, fault: str | None, pictures: Pictures) -> Reply:
    problem = _google_problem(fault)
    if problem is not None:
        return problem
    if fault == "prompt_refused":
        return _google(400, "INVALID_ARGUMENT", f"The prompt was blocked. {REFUSAL}")
    if fault == "filtered_all":
        return Reply(200, {})
    if fault == "output_refused":
        return Reply(200, {"predictions": [{"raiFilteredReason": REFUSAL}] * asked.count})
    if fault in ("no_image", "text_only"):
        return Reply(200, {"predictions": [{"mimeType": "image/png"}] * asked.count})
    made = [_first_picture(fault, pictures, "PNG")]
    while len(made) < asked.count - (fault == "filtered_one"):
        made.append(_first_picture(None, pictures, "PNG"))
    entries = [{"mimeType": media, "bytesBase64Encoded": text} for _, text, media in made]
    return Reply(200, {"predictions": entries}, pictures=[data for data, _, _ in made])


def answer_chat(asked: Asked, fault: str | None, pictures: Pictures) -> Reply:
    problem = _gateway_problem(fault)
    if problem is not None:
        return problem
    message: dict[str, Any] = {"role": "assistant", "content": "Here it is."}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    body = {"id": "gen-1", "object": "chat.completion", "choices": [choice]}
    if fault == "output_refused":
        choice |= {"finish_reason": "content_filter", "native_finish_reason": "IMAGE_SAFETY"}
        return Reply(200, body)
    if fault in ("no_image", "filtered_one", "filtered_all"):
        message["content"] = None
        return Reply(200, body)
    if fault == "text_only" or "image" not in asked.body.get("modalities", []):
        message["content"] = "I cannot draw that."
        return Reply(200, body)
    data, text, media_type = _first_picture(fault, pictures, "PNG")
    url = PICTURE_URL if fault == "picture_url" else f"data:{media_type};base64,{text}"
    message["images"] = [{"type": "image_url", "image_url": {"url": url}}]
    return Reply(200, body, pictures=[data])


def answer_images(asked: Asked, fault: str | None, pictures: Pictures) -> Reply:
    problem = _gateway_problem(fault)
    if problem is not None:
        return problem
    if "response_format" in asked.body:
        return _openai(400, "Unknown parameter: 'response_format'.", code="unknown_parameter")
    if fault == "output_refused":
        error = {
            "message": "Your request was rejected by the safety system.",
            "type": "image_generation_user_error",
            "code": "moderation_blocked",
            "moderation_details": {"moderation_stage": "output"},
        }
        return Reply(400, {"error": error})
    if fault in ("no_image", "filtered_all"):
        return Reply(200, {"created": 1, "data": []})
    if fault == "text_only":
        return Reply(200, {"created": 1, "data": [{"revised_prompt": "No."}] * asked.count})
    made = [_first_picture(fault, pictures, "PNG")]
    while len(made) < asked.count - (fault == "filtered_one"):
        made.append(_first_picture(None, pictures, "PNG"))
    entries = [{"b64_json": text} for _, text, _ in made]
    if fault == "picture_url":
        entries[0] = {"url": PICTURE_URL}
    body = {"created": 1, "output_format": "png", "data": entries}
    return Reply(200, body, pictures=[data for data, _, _ in made])


def _first_picture(fault: str | None, pictures: Pictures, usual: str) -> tuple[bytes, str, str]:
    """Return the bytes, their base64 and what they are called."""
    media_type = f"image/{usual.lower()}"
    if fault == "wrong_mime":
        data = pictures.small("JPEG" if usual == "PNG" else "PNG")
    elif fault == "svg":
        data = SVG
    elif fault == "html_picture":
        data = PAGE
    elif fault == "zero_bytes":
        data = b""
    elif fault == "large":
        data = pictures.large()
    elif fault == "image_bomb":
        data = png_bomb()
    else:
        data = pictures.small(usual)
    if fault == "truncated_picture":
        data = data[: len(data) // 2]
    text = _encoded(data)
    if fault == "url_safe_base64":
        text = base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")
    if fault == "corrupt_base64":
        text = text[:40] + "*!*" + text[40:]
    return data, text, media_type


def _google_problem(fault: str | None) -> Reply | None:
    if fault == "quota_minute":
        return _google_quota("GenerateRequestsPerMinutePerProjectPerModel", "7.5s", "10")
    if fault == "quota_day":
        return _google_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "38s", "100")
    if fault == "bad_key":
        info = {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
        }
        message = "API key not valid. Please pass a valid API key."
        return _google(400, "INVALID_ARGUMENT", message, [info])
    table = {
        "no_credit": (400, "FAILED_PRECONDITION", "Please enable billing on the project."),
        "server_error": (500, "INTERNAL", "An internal error has occurred."),
        "unavailable": (503, "UNAVAILABLE", "The model is overloaded."),
        "bad_request": (400, "INVALID_ARGUMENT", "Provided image is not valid."),
        "forbidden": (403, "PERMISSION_DENIED", "Method doesn't allow unregistered callers."),
        "model_missing": (404, "NOT_FOUND", "models/x is not found for API version v1beta."),
    }
    return _google(*table[fault]) if fault in table else _plain_problem(fault)


def _gateway_problem(fault: str | None) -> Reply | None:
    if fault == "quota_minute":
        return _openai(
            429, "Rate limit reached.", code="rate_limit_exceeded", headers={"Retry-After": "7.5"}
        )
    if fault == "quota_day":
        message = "Rate limit exceeded: free-models-per-day"
        return Reply(429, {"error": {"code": 429, "message": message}}, {"Retry-After": "40000"})
    if fault == "no_credit":
        return Reply(402, {"type": "payment_required", "message": "Not enough credits"})
    if fault == "prompt_refused":
        metadata = {"reasons": ["violence"], "flagged_input": "…"}
        error = {"code": 403, "message": "Input was flagged", "metadata": metadata}
        return Reply(403, {"error": error})
    if fault == "error_in_200":
        error = {"code": 502, "message": "Provider returned error"}
        return Reply(200, {"id": "gen-1", "error": error})
    table = {
        "server_error": (500, "The server had an error.", "server_error"),
        "unavailable": (503, "Overloaded.", "overloaded"),
        "bad_request": (400, "Invalid size.", "invalid_value"),
        "bad_key": (401, "Incorrect API key provided.", "invalid_api_key"),
        "forbidden": (403, "Your organization must be verified.", "not_verified"),
        "model_missing": (404, "The model does not exist.", "model_not_found"),
    }
    if fault in table:
        status, message, code = table[fault]
        return _openai(status, message, code=code)
    return _plain_problem(fault)


def _plain_problem(fault: str | None) -> Reply | None:
    page = {"Content-Type": "text/html"}
    if fault == "bad_gateway":
        return Reply(502, PAGE, page)
    if fault == "html":
        return Reply(200, PAGE, page)
    if fault == "empty":
        return Reply(200, b"")
    if fault == "redirect":
        return Reply(301, b"", {"Location": "https://elsewhere.invalid/"})
    return None


def _google_quota(quota_id: str, delay: str, value: str) -> Reply:
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": quota_id, "quotaValue": value}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
    ]
    return _google(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", details)


def _google(
    status: int, name: str, message: str, details: list[dict[str, Any]] | None = None
) -> Reply:
    error = {"code": status, "message": message, "status": name, "details": details or []}
    return Reply(status, {"error": error})


def _openai(
    status: int, message: str, *, code: str, headers: dict[str, str] | None = None
) -> Reply:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return Reply(status, {"error": error}, headers or {})


def _unknown_settings(body: Any) -> Reply | None:
    settings = body.get("generationConfig", {})
    picture = settings.get("imageConfig", {})
    unknown = set(settings) - {"responseModalities", "imageConfig", "seed", "candidateCount"}
    unknown |= set(picture) - {"aspectRatio", "imageSize"}
    if unknown or settings.get("candidateCount", 1) != 1:
        message = f"Invalid JSON payload received. Unknown name {sorted(unknown)}"
        return _google(400, "INVALID_ARGUMENT", message)
    if picture.get("imageSize", "1K") not in ("512", "1K", "2K", "4K"):
        return _google(400, "INVALID_ARGUMENT", "imageSize must be one of 512, 1K, 2K, 4K.")
    return None


def _multipart(content_type: str, data: bytes) -> dict[str, Any]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + data
    )
    fields: dict[str, Any] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        assert isinstance(name, str)
        assert isinstance(payload, bytes)
        if part.get_filename():
            fields.setdefault(name, []).append(
                {"type": part.get_content_type(), "data": _encoded(payload)}
            )
        else:
            fields[name] = payload.decode()
    return fields


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
