"""What every provider keeps, whatever its service does. One suite, every provider over HTTP."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.provider_answers import (
    ANSWER_FAULTS,
    FAULTS,
    Asked,
    answer_chat,
    answer_generate_content,
    answer_images,
    answer_predict,
)
from tests.support.provider_pictures import Pictures
from tests.support.provider_server import ProviderServer
from tintype import events, providers
from tintype.config import ProvidersConfig
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Refused, Transient

MODELS = {
    "gemini": "gemini-3.1-flash-image",
    "imagen": "imagen-4.0-generate-001",
    "chat": "google/gemini-3.1-flash-image",
    "images": "gpt-image-2",
}
KEY = "a-key-that-must-not-be-told"
REQUEST = providers.Request(model="", prompt="a robot holding a skateboard")
DELIVERS = "delivers"
# Fault → what it is, for every provider that can meet it.
MEANING: dict[str, Any] = {
    "wrong_mime": DELIVERS,
    "url_safe_base64": DELIVERS,
    "large": DELIVERS,
    "corrupt_base64": Transient,
    "svg": Transient,
    "html_picture": Transient,
    "zero_bytes": Transient,
    "truncated_picture": Transient,
    "image_bomb": Transient,
    "quota_minute": Quota,
    "quota_day": Quota,
    "no_credit": Misconfigured,
    "server_error": Transient,
    "unavailable": Transient,
    "bad_gateway": Transient,
    "bad_request": Invalid,
    "bad_key": Misconfigured,
    "forbidden": Misconfigured,
    "model_missing": Misconfigured,
    "redirect": Misconfigured,
    "empty": Transient,
    "html": Transient,
    "prompt_refused": Refused,
    "output_refused": Refused,
    "text_only": Transient,
    "no_image": Transient,
    "dropped": Transient,
    "cut_short": Transient,
    "truncated_json": Transient,
    "slow": Transient,
}
OF_ONE_WIRE = {"thought_drafts", "filtered_one", "filtered_all", "error_in_200", "picture_url"}


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with ProviderServer() as server:
        yield server


@pytest.fixture
async def opened(server: ProviderServer) -> AsyncIterator[providers.Providers]:
    opened = providers.open_providers(configuration(server.url))
    yield opened
    await opened.close()


def configuration(url: str, seconds: float = 30) -> ProvidersConfig:
    return ProvidersConfig(
        gemini_api_key=KEY,
        gemini_base_url=url,
        imagen_base_url=url,
        ai_gateway_url=f"{url}/v1",
        ai_gateway_api_key=KEY,
        request_seconds_max=seconds,
    )


async def ask(
    opened: providers.Providers, wire: str, request: providers.Request = REQUEST
) -> list[providers.Outcome]:
    """Return the outcomes; an error of the whole call is the outcome of each picture."""
    model, _ = opened.catalogue.resolve(MODELS[wire], datetime.now(UTC))
    try:
        return await opened.generate(model, request)
    except ProviderError as error:
        return [error] * request.count


def test_every_fault_of_the_scripted_server_has_a_meaning() -> None:
    assert set(MEANING) | OF_ONE_WIRE == set(FAULTS)


@pytest.mark.parametrize("wire", MODELS)
async def test_a_picture_is_delivered_with_the_type_and_size_of_its_bytes(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    [output] = await ask(opened, wire)
    assert isinstance(output, providers.Output)
    assert (output.width, output.height) == (64, 64)
    assert server.calls[0]["pictures"] == [hashlib.sha256(output.data).hexdigest()]
    assert output.media_type == ("image/jpeg" if wire == "gemini" else "image/png")
    assert server.counters()["calls"] == 1


@pytest.mark.parametrize("fault", MEANING)
@pytest.mark.parametrize("wire", MODELS)
async def test_every_fault_has_one_meaning_and_costs_one_call(
    wire: str, fault: str, server: ProviderServer
) -> None:
    config = configuration(server.url, seconds=0.3 if fault == "slow" else 30)
    opened = providers.open_providers(config)
    server.script(always=fault)
    seen: list[dict[str, Any]] = []
    unsubscribe = events.subscribe(lambda name, fields: seen.append({"name": name} | fields))
    try:
        [outcome] = await ask(opened, wire)
    finally:
        unsubscribe()
        await opened.close()
    meaning = MEANING[fault]
    if meaning is DELIVERS:
        assert isinstance(outcome, providers.Output), outcome
        told = "delivered"
    else:
        assert type(outcome) is meaning, outcome
        assert re.fullmatch("[a-z_]+", outcome.code)
        assert outcome.message
        assert KEY not in f"{outcome.message} {outcome.hint} {outcome.details}"
        told = outcome.cause
    assert server.counters()["calls"] == 1
    assert [(event["name"], event["outcome"]) for event in seen] == [("ProviderCalled", told)]


@pytest.mark.parametrize("wire", MODELS)
async def test_the_key_travels_in_a_header_and_never_in_the_url(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    await ask(opened, wire)
    [request] = server.requests
    carried = request["headers"].get("x-goog-api-key") or request["headers"]["authorization"]
    assert carried.removeprefix("Bearer ") == KEY
    assert KEY not in request["path"]


@pytest.mark.parametrize("wire", MODELS)
async def test_a_wait_by_the_minute_is_what_the_provider_says(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    server.script("quota_minute")
    [outcome] = await ask(opened, wire)
    assert isinstance(outcome, Quota)
    assert outcome.retry_after_seconds == 7.5
    assert not outcome.daily


@pytest.mark.parametrize("wire", MODELS)
async def test_a_daily_quota_waits_for_the_day_and_not_for_the_stated_seconds(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    server.script("quota_day")
    [outcome] = await ask(opened, wire)
    assert isinstance(outcome, Quota)
    assert outcome.daily
    assert outcome.retry_after_seconds != 38


@pytest.mark.parametrize(
    ("wire", "setting"),
    [
        ("gemini", "GEMINI_MODEL_NAME"),
        ("imagen", "TINTYPE_DEFAULT_MODEL"),
        ("chat", "TINTYPE_DEFAULT_MODEL"),
        ("images", "TINTYPE_DEFAULT_MODEL"),
    ],
)
async def test_a_missing_model_names_the_setting_to_change(
    wire: str, setting: str, server: ProviderServer, opened: providers.Providers
) -> None:
    server.script("model_missing")
    [outcome] = await ask(opened, wire)
    assert isinstance(outcome, Misconfigured)
    assert setting in (outcome.hint or "")


@pytest.mark.parametrize("wire", ["imagen", "images"])
async def test_of_four_pictures_asked_in_one_call_three_come(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    server.script("filtered_one")
    request = msgspec.structs.replace(REQUEST, count=4)
    outcomes = await ask(opened, wire, request)
    assert [isinstance(outcome, providers.Output) for outcome in outcomes] == [True] * 3 + [False]
    assert server.counters()["calls"] == 1
    made = [hashlib.sha256(out.data).hexdigest() for out in outcomes if hasattr(out, "data")]
    assert made == server.calls[0]["pictures"]


@pytest.mark.parametrize("wire", ["imagen", "images"])
async def test_one_broken_picture_of_four_leaves_the_other_three(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    server.script("truncated_picture")
    outcomes = await ask(opened, wire, msgspec.structs.replace(REQUEST, count=4))
    assert isinstance(outcomes[0], Transient)
    assert all(isinstance(outcome, providers.Output) for outcome in outcomes[1:])


@pytest.mark.parametrize("wire", ["gemini", "chat"])
async def test_more_pictures_than_one_call_makes_is_a_mistake_of_the_caller(
    wire: str, server: ProviderServer, opened: providers.Providers
) -> None:
    with pytest.raises(ValueError, match="1 pictures a call"):
        await ask(opened, wire, msgspec.structs.replace(REQUEST, count=2))
    assert server.counters()["calls"] == 0


@pytest.mark.parametrize("wire", MODELS)
async def test_nobody_listening_is_transient(wire: str) -> None:
    async with ProviderServer() as gone:
        url = gone.url
    opened = providers.open_providers(configuration(url))
    [outcome] = await ask(opened, wire)
    await opened.close()
    assert isinstance(outcome, Transient)


@pytest.mark.parametrize("wire", MODELS)
async def test_a_base_url_that_is_no_url_is_told_to_the_operator(wire: str) -> None:
    opened = providers.open_providers(configuration("generativelanguage"))
    [outcome] = await ask(opened, wire)
    await opened.close()
    assert isinstance(outcome, Misconfigured)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["message", "code", "data", "url"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ANSWERS: dict[str, Callable[..., Any]] = {
    "gemini": answer_generate_content,
    "imagen": answer_predict,
    "chat": answer_chat,
    "images": answer_images,
}


def branches(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every place in parsed JSON, as what holds it and its key."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from branches(value[key])


@pytest.mark.parametrize("wire", MODELS)
@settings(max_examples=60, deadline=None, database=None)
@given(data=st.data())
def test_an_answer_with_anything_at_any_place_has_one_outcome_per_picture(
    wire: str, data: st.DataObject
) -> None:
    fault = data.draw(st.sampled_from([None, None, *sorted(ANSWER_FAULTS)]))
    asked = Asked("/", "", "m", "p", 1, {"modalities": ["image"]})
    reply = ANSWERS[wire](asked, fault, Pictures())
    body = msgspec.json.decode(reply.content()) if isinstance(reply.body, dict) else {"error": {}}
    places = list(branches(body))
    if places:
        holder, key = data.draw(st.sampled_from(places))
        holder[key] = data.draw(ANYTHING)
    [outcome] = answered(wire, reply.status, msgspec.json.encode(body))
    assert isinstance(outcome, providers.Output | ProviderError)


@pytest.mark.parametrize("wire", MODELS)
@pytest.mark.parametrize("body", [b"[" * 100_000, b"\xff\xfe", b"nul", b'"' + b"x" * 9])
def test_what_is_not_json_is_transient(wire: str, body: bytes) -> None:
    [outcome] = answered(wire, 200, body)
    assert isinstance(outcome, Transient)


def answered(wire: str, status: int, body: bytes) -> list[providers.Outcome]:
    """Return the outcomes of one call that is answered with exactly these bytes."""

    async def call() -> list[providers.Outcome]:
        async def answer(reader: Any, writer: Any) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            assert length is not None
            await reader.readexactly(int(length[1]))
            writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            writer.write(body)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        opened = providers.open_providers(configuration(f"http://127.0.0.1:{port}"))
        try:
            return await ask(opened, wire)
        finally:
            await opened.close()
            server.close()

    return anyio.run(call)
