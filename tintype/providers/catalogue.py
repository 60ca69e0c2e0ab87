"""Which models are there, what can they do, and what do they cost?

The catalogue is data, `models.toml` beside this file. A model that its service has ended is
rerouted to what replaced it, with a warning, so that an app with last year's model name still
gets its pictures.
"""

import tomllib
from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from difflib import get_close_matches
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tintype.config import ProvidersConfig
from tintype.errors import InvalidRequest, OperatorError

RETIREMENT_WARNING_DAYS = 30
PERSON_GENERATIONS = ("dont_allow", "allow_adult", "allow_all")
SANDBOX_MODEL = "sandbox"
GEMINI_MODEL = "gemini-3.1-flash-image"
GATEWAY_MODEL = "google/gemini-3.1-flash-image"
OFFICIAL_HOSTS = {
    "gemini": {"generativelanguage.googleapis.com"},
    "imagen": {"generativelanguage.googleapis.com"},
    "gateway": {"ai.gateway.lovable.dev", "openrouter.ai", "api.openai.com"},
}
KEY_VARIABLES = {
    "gemini": "GEMINI_API_KEY",
    "imagen": "IMAGEN_API_KEY or GEMINI_API_KEY",
    "gateway": "AI_GATEWAY_API_KEY",
}


class Model(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One model: who makes the pictures, what may be asked for, and the price.

    `name` is the provider's own name for it. `prices` maps each image size to whole credits per
    picture, the default size first.
    """

    id: str
    provider: str
    name: str
    title: str
    kind: str
    aspect_ratios: tuple[str, ...]
    prices: dict[str, int]
    references_max: int
    outputs_per_call_max: int
    seed: bool
    person_generation: tuple[str, ...] = ()
    shutdown_at: date | None = None
    replaced_by: str | None = None

    @property
    def image_sizes(self) -> tuple[str, ...]:
        """The sizes that may be asked for, the default first."""
        return tuple(self.prices)

    def price(self, image_size: str | None = None) -> int:
        """Return the credits of one picture. Raises `InvalidRequest` for an unknown size."""
        size = self.image_sizes[0] if image_size is None else image_size
        _check_choice("image_size", size, self.image_sizes, self.id)
        return self.prices[size]

    def validate(
        self,
        *,
        aspect_ratio: str | None = None,
        image_size: str | None = None,
        reference_count: int = 0,
        person_generation: str | None = None,
    ) -> None:
        """Return if this model can be asked for this; None means the model's own default.

        Raises `InvalidRequest` with code `aspect_ratio_unknown`, `image_size_unknown`,
        `references_too_many`, `person_generation_unknown`, or `person_generation_not_supported`
        when nobody would keep "dont_allow"; what it would allow anyway is no error.
        """
        _check_choice("aspect_ratio", aspect_ratio, self.aspect_ratios, self.id)
        _check_choice("image_size", image_size, self.image_sizes, self.id)
        _check_choice("person_generation", person_generation, PERSON_GENERATIONS, self.id)
        if reference_count > self.references_max:
            raise InvalidRequest(
                "references_too_many",
                f"{reference_count} references were given; {self.id} takes "
                f"{self.references_max or 'none'}.",
                hint="Give fewer references or choose another model.",
            )
        if person_generation == "dont_allow" and not self.person_generation:
            raise InvalidRequest(
                "person_generation_not_supported",
                f"{self.id} cannot promise pictures without persons.",
                hint="Leave personGeneration out, or choose a model that supports it.",
            )


class Catalogue:
    """Every model, and which of them this server can reach."""

    def __init__(self, config: ProvidersConfig, models: Iterable[Model] | None = None) -> None:
        self._config = config
        listed = read_models() if models is None else models
        self._models = {model.id: model for model in listed}

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model of the catalogue, retired ones included, in the file's order."""
        return tuple(self._models.values())

    def available(self, now: datetime) -> tuple[Model, ...]:
        """Return the models that can be asked for now without being rerouted."""
        return tuple(
            model
            for model in self.models
            if self._is_reachable(model.provider) and not self._is_retired(model, now)
        )

    def resolve(self, model_id: str | None, now: datetime) -> tuple[Model, list[str]]:
        """Return the model that will make the pictures, and a sentence for each thing to know.

        None is the default: `default_model`, else Gemini if it has a key, else the gateway if it
        has one, else the sandbox. A model past its `shutdown_at` is rerouted along `replaced_by`,
        unless the operator has pointed its base URL at a server of their own; one within
        `RETIREMENT_WARNING_DAYS` of it is warned of.

        Raises `InvalidRequest` with code `model_unknown`, `model_retired` (nothing replaced it) or
        `model_not_available` (its provider has no key here), so nothing is held for it.
        """
        model = self._default() if model_id is None else self._find(model_id)
        model, warnings = self._reroute(model, now)
        if not self._is_reachable(model.provider):
            raise InvalidRequest(
                "model_not_available",
                f"The model {model.id} is not available on this server.",
                hint=f"The operator can set {KEY_VARIABLES[model.provider]}.",
            )
        return model, warnings

    def _default(self) -> Model:
        config = self._config
        if config.default_model is not None:
            return self._find(config.default_model)
        if config.gemini_api_key:
            return self._gemini(config.gemini_model_name or GEMINI_MODEL)
        return self._models[GATEWAY_MODEL if config.ai_gateway_api_key else SANDBOX_MODEL]

    def _gemini(self, name: str) -> Model:
        # The operator may name a model that is newer than this file: it gets the ability of the
        # one we would have chosen.
        name = name.removeprefix("models/")
        known = self._models.get(name)
        if known is not None:
            return known
        return msgspec.structs.replace(self._models[GEMINI_MODEL], id=name, name=name, title=name)

    def _find(self, model_id: str) -> Model:
        plain = model_id.removeprefix("models/")
        model = self._models.get(plain)
        if model is not None:
            return model
        if plain == self._config.gemini_model_name:
            return self._gemini(plain)
        near = get_close_matches(plain, self._models, n=3, cutoff=0.4)
        raise InvalidRequest(
            "model_unknown",
            f"There is no model {plain[:100]!r}.",
            hint=f"Did you mean {' or '.join(near)}?" if near else "Leave model out.",
        )

    def _reroute(self, model: Model, now: datetime) -> tuple[Model, list[str]]:
        asked = model
        while self._is_retired(model, now):
            if model.replaced_by is None:
                raise InvalidRequest(
                    "model_retired",
                    f"The model {asked.id} ended on {asked.shutdown_at}.",
                    hint="Choose another model, or leave model out.",
                )
            model = self._models[model.replaced_by]
        warnings = []
        if model is not asked:
            warnings.append(
                f"The model {asked.id} ended on {asked.shutdown_at}; {model.id} is used instead."
            )
        ends = model.shutdown_at
        if (
            ends is not None
            and not self._is_retired(model, now)
            and not self._is_served_elsewhere(model.provider)
            and ends - now.date() <= timedelta(days=RETIREMENT_WARNING_DAYS)
        ):
            after = f"; {model.replaced_by} will be used then" if model.replaced_by else ""
            warnings.append(f"The model {model.id} ends on {ends}{after}.")
        return model, warnings

    def _is_retired(self, model: Model, now: datetime) -> bool:
        ended = model.shutdown_at is not None and now.date() >= model.shutdown_at
        return ended and not self._is_served_elsewhere(model.provider)

    def _is_served_elsewhere(self, provider: str) -> bool:
        official = OFFICIAL_HOSTS.get(provider)
        return official is not None and urlsplit(self._base_url(provider)).hostname not in official

    def _is_reachable(self, provider: str) -> bool:
        config = self._config
        keys: Mapping[str, str | None] = {
            "sandbox": "none is needed",
            "gemini": config.gemini_api_key,
            "imagen": config.imagen_api_key or config.gemini_api_key,
            "gateway": config.ai_gateway_api_key,
        }
        return bool(keys[provider]) or self._is_served_elsewhere(provider)

    def _base_url(self, provider: str) -> str:
        config = self._config
        return {
            "gemini": config.gemini_base_url,
            "imagen": config.imagen_base_url,
            "gateway": config.ai_gateway_url,
        }[provider]


def read_models(text: str | None = None) -> list[Model]:
    """Return the models of `models.toml`, or of `text` in its form.

    Raises `OperatorError` when a field is wrong, an id is there twice, or a chain of
    `replaced_by` names an unknown model or runs in a circle.
    """
    if text is None:
        text = files("tintype.providers").joinpath("models.toml").read_text("utf-8")
    models: dict[str, Model] = {}
    try:
        for family in tomllib.loads(text)["family"]:
            shared = {name: value for name, value in family.items() if name != "model"}
            for entry in family["model"]:
                model = _model(shared | entry)
                if model.id in models:
                    raise ValueError(f"{model.id} is there twice")
                models[model.id] = model
        for model in models.values():
            _check_replacement(model, models)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, KeyError, ValueError) as error:
        raise OperatorError("models_unreadable", f"models.toml is wrong: {error}") from error
    return list(models.values())


def _model(fields: dict[str, Any]) -> Model:
    return msgspec.convert({"name": fields["id"]} | fields, Model)


def _check_replacement(model: Model, models: Mapping[str, Model]) -> None:
    seen = {model.id}
    while model.replaced_by is not None:
        if model.replaced_by in seen or model.replaced_by not in models:
            raise ValueError(f"{model.id} is replaced by {model.replaced_by}")
        seen.add(model.replaced_by)
        model = models[model.replaced_by]


def _check_choice(field: str, value: str | None, choices: tuple[str, ...], model_id: str) -> None:
    if value is not None and value not in choices:
        raise InvalidRequest(
            f"{field}_unknown",
            f"{model_id} takes no {field} {value[:40]!r}.",
            hint=f"Choose one of {', '.join(choices)}.",
            details={"choices": list(choices)},
        )
