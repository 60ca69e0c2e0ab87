from datetime import UTC, datetime

import pytest

from tintype import providers
from tintype.config import ProvidersConfig
from tintype.errors import InvalidRequest, OperatorError
from tintype.providers.catalogue import read_models

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ALL_KEYS = ProvidersConfig(gemini_api_key="g", ai_gateway_api_key="a")


def catalogue(config: ProvidersConfig = ALL_KEYS) -> providers.Catalogue:
    return providers.Catalogue(config)


def default(config: ProvidersConfig) -> str:
    return catalogue(config).resolve(None, NOW)[0].id


def test_the_default_follows_the_keys_there_are() -> None:
    assert default(ProvidersConfig()) == "sandbox"
    assert default(ProvidersConfig(ai_gateway_api_key="a")) == "google/gemini-3.1-flash-image"
    assert default(ALL_KEYS) == "gemini-3.1-flash-image"


def test_settings_override_the_default() -> None:
    named = ProvidersConfig(gemini_api_key="g", gemini_model_name="gemini-3-pro-image")
    assert default(named) == "gemini-3-pro-image"
    chosen = ProvidersConfig(gemini_api_key="g", default_model="sandbox")
    assert default(chosen) == "sandbox"


def test_a_gemini_model_newer_than_the_catalogue_can_be_set() -> None:
    config = ProvidersConfig(gemini_api_key="g", gemini_model_name="gemini-9-image")
    for asked in (None, "gemini-9-image", "models/gemini-9-image"):
        model, warnings = catalogue(config).resolve(asked, NOW)
        assert (model.id, model.name, model.provider) == ("gemini-9-image",) * 2 + ("gemini",)
        assert warnings == []


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("imagen-4.0-generate-001", "gemini-nano-banana-2.1"),
        ("imagen-4.0-fast-generate-001", "gemini-nano-banana-2.1"),
        ("imagen-4.0-ultra-generate-001", "gemini-3-pro-image"),
        ("gemini-2.5-flash-image", "gemini-3.1-flash-image"),
        ("gemini-2.5-flash-image-preview", "gemini-3.1-flash-image"),
        ("gemini-3-pro-image-preview", "gemini-3-pro-image"),
        ("google/gemini-3-pro-image-preview", "google/gemini-3-pro-image"),
        ("gpt-image-1", "gpt-image-2"),
        ("openai/gpt-image-1", "openai/gpt-image-2"),
    ],
)
def test_a_retired_model_is_rerouted_with_a_warning(asked: str, given: str) -> None:
    model, warnings = catalogue().resolve(asked, NOW)
    assert model.id == given
    assert len(warnings) == 1
    assert asked in warnings[0]
    assert given in warnings[0]


def test_a_retired_model_that_somebody_serves_is_not_rerouted() -> None:
    config = ProvidersConfig(imagen_base_url="http://127.0.0.1:9", imagen_api_key="k")
    model, warnings = catalogue(config).resolve("imagen-4.0-generate-001", NOW)
    assert (model.id, warnings) == ("imagen-4.0-generate-001", [])
    config = ProvidersConfig(gemini_base_url="https://relay.example", gemini_api_key="k")
    assert catalogue(config).resolve("gemini-2.5-flash-image", NOW)[0].name == (
        "gemini-2.5-flash-image"
    )


def test_a_model_that_ends_within_30_days_is_warned_of_and_used() -> None:
    model, warnings = catalogue().resolve(
        "gemini-2.5-flash-image", datetime(2026, 9, 10, tzinfo=UTC)
    )
    assert model.id == "gemini-2.5-flash-image"
    assert warnings == [
        "The model gemini-2.5-flash-image ends on 2026-10-02; "
        "gemini-3.1-flash-image will be used then."
    ]
    early = catalogue().resolve("gemini-2.5-flash-image", datetime(2026, 8, 1, tzinfo=UTC))
    assert early[1] == []
    last_day = datetime(2026, 10, 1, 23, 59, tzinfo=UTC)
    assert catalogue().resolve("gemini-2.5-flash-image", last_day)[0].id == model.id
    first_day = datetime(2026, 10, 2, tzinfo=UTC)
    assert catalogue().resolve("gemini-2.5-flash-image", first_day)[0].id != model.id


def test_an_unknown_model_names_near_ones() -> None:
    with pytest.raises(InvalidRequest) as caught:
        catalogue().resolve("gemini-3.1-flash-imag", NOW)
    assert caught.value.code == "model_unknown"
    assert "gemini-3.1-flash-image" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("gemini-3-pro-image", "GEMINI_API_KEY"),
        ("imagen-4.0-generate-001", "GEMINI_API_KEY"),
        ("gpt-image-2", "AI_GATEWAY_API_KEY"),
    ],
)
def test_a_model_without_a_key_names_the_variable_to_set(model: str, variable: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        catalogue(ProvidersConfig()).resolve(model, NOW)
    assert caught.value.code == "model_not_available"
    assert variable in (caught.value.hint or "")


def test_only_what_can_be_reached_is_available() -> None:
    assert [model.id for model in catalogue(ProvidersConfig()).available(NOW)] == ["sandbox"]
    ids = {model.id for model in catalogue().available(NOW)}
    assert {"sandbox", "gemini-3.1-flash-image", "gpt-image-2"} <= ids
    assert not ids & {"gemini-2.5-flash-image", "imagen-4.0-generate-001"}


def test_a_price_is_whole_credits_by_size() -> None:
    model, _ = catalogue().resolve("gemini-3.1-flash-image", NOW)
    assert [model.price(size) for size in (None, "512", "1K", "2K", "4K")] == [1, 1, 1, 2, 4]
    with pytest.raises(InvalidRequest) as caught:
        model.price("8K")
    assert caught.value.code == "image_size_unknown"


def test_every_model_has_a_price_for_every_size_and_a_live_end() -> None:
    known = catalogue()
    for model in known.models:
        assert all(credits > 0 for credits in model.prices.values())
        assert model.outputs_per_call_max in range(1, 5)
        live, _ = known.resolve(model.id, NOW)
        assert live.shutdown_at is None or live.shutdown_at > NOW.date()


@pytest.mark.parametrize(
    ("model", "asked", "code"),
    [
        ("sandbox", {"aspect_ratio": "2:1"}, "aspect_ratio_unknown"),
        ("sandbox", {"image_size": "1k"}, "image_size_unknown"),
        ("gemini-nano-banana-2.1", {"image_size": "512"}, "image_size_unknown"),
        ("gemini-3-pro-image", {"aspect_ratio": "8:1"}, "aspect_ratio_unknown"),
        ("gemini-3-pro-image", {"reference_count": 15}, "references_too_many"),
        ("sandbox", {"person_generation": "some"}, "person_generation_unknown"),
        ("sandbox", {"person_generation": "dont_allow"}, "person_generation_not_supported"),
        ("gpt-image-1-mini", {"aspect_ratio": "16:9"}, "aspect_ratio_unknown"),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_the_choices(
    model: str, asked: dict[str, object], code: str
) -> None:
    chosen, _ = catalogue().resolve(model, NOW)
    with pytest.raises(InvalidRequest) as caught:
        chosen.validate(**asked)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.hint


def test_what_a_model_can_do_is_accepted() -> None:
    for model in catalogue().available(NOW):
        model.validate()
        for ratio in model.aspect_ratios:
            for size in model.image_sizes:
                model.validate(
                    aspect_ratio=ratio,
                    image_size=size,
                    reference_count=model.references_max,
                    person_generation="allow_adult",
                )


FAMILY = """
[[family]]
provider = "sandbox"
kind = "draw"
aspect_ratios = ["1:1"]
prices = { 1K = 1 }
references_max = 0
outputs_per_call_max = 1
seed = true
[[family.model]]
id = "a"
title = "A"
"""


@pytest.mark.parametrize(
    "text",
    [
        FAMILY + 'replaced_by = "nobody"',
        FAMILY + 'replaced_by = "a"',
        FAMILY + "colour = 1",
        FAMILY + '[[family.model]]\nid = "a"\ntitle = "Again"',
        "[[family",
        "x = 1",
    ],
)
def test_a_catalogue_that_makes_no_sense_stops_the_start(text: str) -> None:
    with pytest.raises(OperatorError):
        read_models(text)


def test_a_retired_model_that_nothing_replaces_is_an_error() -> None:
    models = read_models(FAMILY + "shutdown_at = 2026-01-01")
    with pytest.raises(InvalidRequest) as caught:
        providers.Catalogue(ProvidersConfig(), models).resolve("a", NOW)
    assert caught.value.code == "model_retired"
