import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import msgspec
import pytest

from tests.support.provider_pictures import Pictures
from tests.support.provider_server import ProviderServer
from tintype import clock, providers
from tintype.config import ProvidersConfig
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Refused, Transient
from tintype.providers.gateway import pixel_size
from tintype.providers.gateway_errors import embedded_error, gateway_error
from tintype.providers.wire import Answer, retry_after_seconds

REQUEST = providers.Request(model="", prompt="a robot", aspect_ratio="16:9", image_size="2K")
CHAT = "google/gemini-3-pro-image"


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as server:
        yield server


async def ask(
    server: ProviderServer, request: providers.Request, model_id: str
) -> list[providers.Outcome]:
    config = ProvidersConfig(ai_gateway_url=f"{server.url}/v1/", ai_gateway_api_key="k")
    opened = providers.open_providers(config)
    model, _ = opened.catalogue.resolve(model_id, datetime.now(UTC))
    try:
        return await opened.generate(model, request)
    finally:
        await opened.close()


async def test_a_chat_asks_for_a_picture_and_shows_the_references(server: ProviderServer) -> None:
    data = Pictures().small()
    references = (providers.Reference(data, "image/png"),)
    await ask(server, msgspec.structs.replace(REQUEST, references=references, seed=4), CHAT)
    [sent] = server.requests
    url = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    assert sent["path"] == "/v1/chat/completions"
    assert sent["body"] == {
        "model": CHAT,
        "modalities": ["image", "text"],
        "image_config": {"aspect_ratio": "16:9", "image_size": "2K"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "a robot"},
                    {"type": "image_url", "image_url": {"url": url}},
                ],
            }
        ],
    }


async def test_pictures_are_asked_for_without_a_response_format(server: ProviderServer) -> None:
    outcomes = await ask(server, msgspec.structs.replace(REQUEST, count=3), "gpt-image-2")
    assert all(isinstance(outcome, providers.Output) for outcome in outcomes)
    [sent] = server.requests
    assert sent["path"] == "/v1/images/generations"
    assert sent["body"] == {
        "model": "gpt-image-2",
        "prompt": "a robot",
        "n": 3,
        "size": "2720x1536",
    }


@pytest.mark.parametrize(("count", "field"), [(1, "image"), (2, "image[]")])
async def test_references_go_to_edits_as_files(
    count: int, field: str, server: ProviderServer
) -> None:
    made = [Pictures().small("WEBP") for _ in range(count)]
    references = tuple(providers.Reference(data, "image/webp") for data in made)
    request = msgspec.structs.replace(REQUEST, references=references, prompt="größer 🛹")
    [outcome] = await ask(server, request, "openai/gpt-image-2")
    assert isinstance(outcome, providers.Output)
    [sent] = server.requests
    assert sent["path"] == "/v1/images/edits"
    assert sent["body"]["prompt"] == "größer 🛹"
    assert sent["body"]["n"] == "1"
    assert sent["body"][field] == [
        {"type": "image/webp", "data": base64.b64encode(data).decode()} for data in made
    ]


@pytest.mark.parametrize("model", [CHAT, "gpt-image-2"])
async def test_a_picture_behind_a_url_goes_through_the_guarded_fetcher(
    model: str, server: ProviderServer
) -> None:
    server.script("picture_url")
    [outcome] = await ask(server, REQUEST, model)
    assert isinstance(outcome, Transient)
    assert outcome.code == "picture_unreachable"


@pytest.mark.parametrize("model", [CHAT, "gpt-image-2"])
async def test_an_error_inside_a_200_is_an_error(model: str, server: ProviderServer) -> None:
    server.script("error_in_200")
    with pytest.raises(Transient):
        await ask(server, REQUEST, model)


async def test_of_several_pictures_in_a_chat_the_first_is_taken(server: ProviderServer) -> None:
    [outcome] = await ask(server, REQUEST, CHAT)
    assert isinstance(outcome, providers.Output)
    assert server.calls[0]["pictures"] == [hashlib.sha256(outcome.data).hexdigest()]


def meaning(status: int, body: Any, headers: dict[str, str] | None = None) -> ProviderError:
    return gateway_error(Answer(status, headers or {}, msgspec.json.encode(body)))


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (402, {"type": "payment_required", "message": "Not enough credits"}, Misconfigured),
        (402, {"error": {"code": 402, "message": "Insufficient credits"}}, Misconfigured),
        (429, {"type": "rate_limited", "message": "Rate limits exceeded"}, Quota),
        (429, {"error": {"code": "insufficient_quota", "message": "spent"}}, Misconfigured),
        (429, {"error": {"type": "insufficient_quota", "message": "spent"}}, Misconfigured),
        (403, {"error": {"code": 403, "message": "Input was flagged"}}, Refused),
        (403, {"type": "forbidden", "message": "Workspace policy"}, Misconfigured),
        (400, {"type": "x", "message": "Blocked by content moderation"}, Refused),
        (400, {"error": {"code": "moderation_blocked", "message": "no"}}, Refused),
        (400, {"error": {"code": 400, "message": "x is not a valid model ID"}}, Misconfigured),
        (400, {"error": {"code": 400, "message": "bad size"}}, Invalid),
        (400, {"error": "bad size"}, Invalid),
        (401, {"error": {"code": "invalid_api_key", "message": "no"}}, Misconfigured),
        (408, {"error": {"code": 408, "message": "timed out"}}, Transient),
        (502, {"error": {"code": 502, "message": "down"}}, Transient),
        (503, "nothing", Transient),
    ],
)
def test_each_gateways_own_words_are_understood(
    status: int, body: Any, kind: type[ProviderError]
) -> None:
    assert type(meaning(status, body)) is kind


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 429, "message": "slow down"}}, Quota),
        ({"error": {"code": 402, "message": "no credit"}}, Misconfigured),
        ({"error": {"code": "server_error", "message": "broke"}}, Transient),
        ({"error": "broke"}, Transient),
        ({"choices": [{"error": {"code": 502, "message": "broke"}}]}, Transient),
    ],
)
def test_an_embedded_error_keeps_its_meaning(body: Any, kind: type[ProviderError]) -> None:
    assert type(embedded_error(body)) is kind


def test_a_body_without_an_error_carries_none() -> None:
    for body in ({"choices": [{"message": {}}]}, {"error": None}, [], None, "x"):
        assert embedded_error(body) is None


def test_a_wait_is_read_from_each_header_that_gateways_use() -> None:
    reset = str(int((clock.unix_seconds() + 90) * 1000))
    body = {"error": {"code": 429, "message": "m", "metadata": {"headers": {}}}}
    body["error"]["metadata"]["headers"]["X-RateLimit-Reset"] = reset  # type: ignore[index]
    for error in (
        meaning(429, {}, {"retry-after": "90"}),
        meaning(429, {}, {"retry-after-ms": "90000"}),
        meaning(429, {}, {"retry-after": format_datetime(clock.now() + timedelta(seconds=90))}),
        meaning(429, body),
    ):
        assert isinstance(error, Quota)
        assert 80 < error.retry_after_seconds <= 90


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "²", "Wed, 99 Foo 2026"])
def test_a_wait_that_is_no_wait_is_ignored(value: str) -> None:
    assert retry_after_seconds({"retry-after": value, "retry-after-ms": value}) is None


def test_sizes_are_divisible_by_16_within_the_limit_and_near_the_ratio() -> None:
    assert pixel_size("1:1", "1K") == "1024x1024"
    assert pixel_size("3:2", "1K") == "1536x1024"
    model, _ = providers.Catalogue(ProvidersConfig(ai_gateway_api_key="k")).resolve(
        "gpt-image-2", datetime.now(UTC)
    )
    for ratio in model.aspect_ratios:
        across, down = (int(side) for side in ratio.split(":"))
        for size in model.image_sizes:
            width, height = (int(side) for side in pixel_size(ratio, size).split("x"))
            assert width % 16 == height % 16 == 0
            assert max(width, height) <= 3840
            assert width * height <= 3840 * 2160
            assert abs(width / height / (across / down) - 1) < 0.04
