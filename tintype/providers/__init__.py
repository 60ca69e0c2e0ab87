"""Providers: the services that make pictures, behind one protocol.

Nouns: a **Model** is one line of the catalogue (abilities, price, end of life); a **Request** is
one call for a few pictures of one prompt; an **Outcome** is an **Output** (a picture, decoded
whole) or the `ProviderError` that says why there is none.

Verbs: `Catalogue.resolve` finds the model for a name, `Model.validate` and `Model.price` judge a
request before anything is held for it, `Providers.generate` makes exactly one call.
`inspect_reference`, `read_data_url` and `Fetcher` prove that what a caller gave as an example is a
picture and lies where it may be read.

What is promised:

- One call to the service for one `generate`, never a retry: the queue owns retries.
- Every failure is a `ProviderError` whose class says what to do: `Refused` and `Invalid` end the
  picture, `Quota` waits, `Transient` tries again, `Misconfigured` calls the operator. No exception
  of an HTTP or image library leaves this room, and no message holds a key.
- A picture's type and size come from its bytes. What does not decode is not an `Output`.
- Time, answer bytes, picture bytes, pixels, redirects and concurrent decodes are bounded by named
  constants in `wire`, `judge` and `fetch`.

Providers know neither queue nor user nor credits held.
"""

import asyncio

import msgspec

from tintype import clock, events, spans
from tintype.config import ProvidersConfig
from tintype.errors import ProviderError
from tintype.providers.catalogue import Catalogue, Model
from tintype.providers.fetch import Fetcher
from tintype.providers.gateway import GatewayChat, GatewayImages
from tintype.providers.gemini import Gemini
from tintype.providers.imagen import Imagen
from tintype.providers.judge import (
    REFERENCE_BYTES_MAX,
    REFERENCE_PIXELS_MAX,
    Picture,
    inspect_reference,
    judge_output,
    name_of_other,
    read_data_url,
)
from tintype.providers.provider import Outcome, Output, Provider, Reference, Request
from tintype.providers.sandbox import Sandbox

__all__ = [
    "REFERENCE_BYTES_MAX",
    "REFERENCE_PIXELS_MAX",
    "Catalogue",
    "Fetcher",
    "Model",
    "Outcome",
    "Output",
    "Picture",
    "Provider",
    "Providers",
    "Reference",
    "Request",
    "inspect_reference",
    "judge_output",
    "name_of_other",
    "open_providers",
    "read_data_url",
]


class Providers:
    """Every provider this server can reach, opened. Close it when the server stops."""

    def __init__(
        self, catalogue: Catalogue, fetcher: Fetcher, by_kind: dict[str, Provider]
    ) -> None:
        self.catalogue = catalogue
        self.fetcher = fetcher
        self._by_kind = by_kind

    async def generate(self, model: Model, request: Request) -> list[Outcome]:
        """Make one call to `model`'s provider and return `request.count` outcomes, in order.

        The model's own name and its ability to take a seed are filled in. Raises a
        `ProviderError` when the call as a whole failed. Emits `ProviderCalled` in every case, a
        cancellation included. Raises `ValueError` for more pictures than one call can make.
        """
        if not 1 <= request.count <= model.outputs_per_call_max:
            raise ValueError(f"{model.id} makes {model.outputs_per_call_max} pictures a call")
        request = msgspec.structs.replace(
            request, model=model.name, seed=request.seed if model.seed else None
        )
        started = clock.monotonic_seconds()
        outcome = "crashed"
        try:
            with spans.span("provider call", provider=model.provider, model=model.id) as span:
                outcomes = await self._by_kind[model.kind].generate(request)
                outcome = _summary(outcomes)
                span.note(outcome=outcome)
        except ProviderError as error:
            outcome = error.cause
            raise
        except asyncio.CancelledError:
            outcome = "canceled"
            raise
        finally:
            events.emit(
                events.ProviderCalled(
                    provider=model.provider,
                    model=model.id,
                    outcome=outcome,
                    milliseconds=round((clock.monotonic_seconds() - started) * 1000),
                )
            )
        return outcomes

    async def close(self) -> None:
        """Close every connection."""
        for provider in self._by_kind.values():
            await provider.close()


def open_providers(config: ProvidersConfig, *, fetcher: Fetcher | None = None) -> Providers:
    """Return the providers for `config`; no connection is made before the first call."""
    fetcher = fetcher or Fetcher()
    by_kind: dict[str, Provider] = {
        "draw": Sandbox(config),
        "generate_content": Gemini(config),
        "predict": Imagen(config),
        "chat": GatewayChat(config, fetcher),
        "images": GatewayImages(config, fetcher),
    }
    return Providers(Catalogue(config), fetcher, by_kind)


def _summary(outcomes: list[Outcome]) -> str:
    errors = [outcome for outcome in outcomes if isinstance(outcome, ProviderError)]
    if not errors:
        return "delivered"
    return errors[0].cause if len(errors) == len(outcomes) else "partly_delivered"
