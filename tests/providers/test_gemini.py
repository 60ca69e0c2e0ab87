import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.support.provider_pictures import Pictures
from tests.support.provider_server import ProviderServer
from tintype import providers
from tintype.config import ProvidersConfig
from tintype.errors import ProviderError, Quota, Refused, Transient
from tintype.providers.google import google_quota, seconds_until_midnight_pacific
from tintype.providers.wire import Answer

REQUEST = providers.Request(model="", prompt="a robot")


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as server:
        yield server


async def ask(
    server: ProviderServer, request: providers.Request, model_id: str = "gemini-3-pro-image"
) -> list[providers.Outcome]:
    config = ProvidersConfig(
        gemini_api_key="k", gemini_base_url=server.url, imagen_base_url=f"{server.url}/v1/"
    )
    opened = providers.open_providers(config)
    model, _ = opened.catalogue.resolve(model_id, datetime.now(UTC))
    try:
        return await opened.generate(model, request)
    finally:
        await opened.close()


async def test_everything_asked_for_is_sent_as_gemini_spells_it(server: ProviderServer) -> None:
    data = Pictures().small()
    request = msgspec.structs.replace(
        REQUEST,
        aspect_ratio="16:9",
        image_size="2K",
        seed=2**31 + 4,
        position=3,
        references=(providers.Reference(data, "image/png"),),
    )
    [output] = await ask(server, request)
    [sent] = server.requests
    assert sent["path"] == "/v1beta/models/gemini-3-pro-image:generateContent"
    assert sent["body"]["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
        "seed": 7,
    }
    assert sent["body"]["contents"][0]["parts"] == [
        {"text": "a robot"},
        {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}},
    ]
    assert isinstance(output, providers.Output)
    assert output.seed == 7
    assert output.metadata["response_id"] == "response-1"


async def test_what_is_not_asked_for_is_not_sent(server: ProviderServer) -> None:
    await ask(server, REQUEST)
    assert server.requests[0]["body"]["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"]
    }


async def test_drafts_of_the_thinking_are_not_the_picture(server: ProviderServer) -> None:
    server.script("thought_drafts")
    [output] = await ask(server, REQUEST)
    assert isinstance(output, providers.Output)
    import hashlib

    assert server.calls[0]["pictures"] == [hashlib.sha256(output.data).hexdigest()]


async def test_a_refusal_says_what_the_service_said(server: ProviderServer) -> None:
    server.script("output_refused", "prompt_refused")
    [by_output] = await ask(server, REQUEST)
    assert isinstance(by_output, Refused)
    assert "Support codes" in by_output.message
    assert by_output.details == {"reason": "IMAGE_SAFETY"}
    [by_prompt] = await ask(server, REQUEST)
    assert isinstance(by_prompt, Refused)
    assert "PROHIBITED_CONTENT" in by_prompt.message


async def test_words_instead_of_a_picture_are_told(server: ProviderServer) -> None:
    server.script("text_only")
    [outcome] = await ask(server, REQUEST)
    assert isinstance(outcome, Transient)
    assert "I cannot draw that." in outcome.message


async def test_imagen_is_asked_as_its_page_says(server: ProviderServer) -> None:
    request = msgspec.structs.replace(
        REQUEST, count=4, aspect_ratio="16:9", image_size="2K", person_generation="dont_allow"
    )
    outcomes = await ask(server, request, "imagen-4.0-generate-001")
    assert all(isinstance(outcome, providers.Output) for outcome in outcomes)
    [sent] = server.requests
    assert sent["path"] == "/v1/models/imagen-4.0-generate-001:predict"
    assert sent["body"] == {
        "instances": [{"prompt": "a robot"}],
        "parameters": {
            "sampleCount": 4,
            "includeRaiReason": True,
            "aspectRatio": "16:9",
            "imageSize": "2K",
            "personGeneration": "dont_allow",
        },
    }


async def test_four_filtered_pictures_of_imagen_are_four_refusals(server: ProviderServer) -> None:
    server.script("filtered_all", "output_refused")
    request = msgspec.structs.replace(REQUEST, count=4)
    for _ in range(2):
        outcomes = await ask(server, request, "imagen-4.0-generate-001")
        assert [type(outcome) for outcome in outcomes] == [Refused] * 4


def quota_of(details: list[dict[str, object]], message: str = "Quota exceeded.") -> Quota:
    body = {"error": {"code": 429, "message": message, "details": details}}
    return google_quota(Answer(429, {}, b""), body, message)


def test_a_minute_and_a_day_together_wait_for_the_day() -> None:
    violations = [
        {"quotaId": "GenerateRequestsPerMinutePerProject"},
        {"quotaId": "GenerateRequestsPerDayPerProject"},
    ]
    quota = quota_of([{"violations": violations}, {"retryDelay": "38.2s"}])
    assert quota.daily


def test_a_limit_of_zero_is_not_waited_for_by_the_second() -> None:
    message = "Quota exceeded for metric: free_tier_requests, limit: 0, model: x"
    assert quota_of([{"retryDelay": "38s"}], message).daily
    assert quota_of([{"violations": [{"quotaId": "PerMinute", "quotaValue": "0"}]}]).daily


def test_a_quota_without_details_waits_a_bounded_default() -> None:
    assert quota_of([]).retry_after_seconds == 30
    assert quota_of([{"retryDelay": "99999999s"}]).retry_after_seconds == 24 * 3600
    assert quota_of([{"retryDelay": "0.01s"}]).retry_after_seconds == 1
    assert quota_of([{"retryDelay": "nan"}]).retry_after_seconds == 30


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 11, 20, 7, 0, tzinfo=UTC), 1),
        (datetime(2026, 11, 20, 8, 0, tzinfo=UTC), 24),
        (datetime(2026, 7, 1, 6, 0, tzinfo=UTC), 1),
        (datetime(2026, 11, 1, 7, 0, tzinfo=UTC), 25),
    ],
    ids=["winter", "exactly midnight", "summer", "the day the clocks go back"],
)
def test_a_daily_quota_starts_again_at_midnight_in_california(now: datetime, hours: int) -> None:
    assert seconds_until_midnight_pacific(now) == timedelta(hours=hours).total_seconds()


async def test_errors_wrapped_in_a_list_are_read(server: ProviderServer) -> None:
    from tintype.providers.google import google_error

    body = msgspec.json.encode([{"error": {"code": 400, "message": "bad", "status": "X"}}])
    error = google_error(Answer(400, {}, body), key_setting="K", model_setting="M")
    assert isinstance(error, ProviderError)
    assert "bad" in error.message
