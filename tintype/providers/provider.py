"""What is asked of a provider, and what comes back?

The protocol every provider keeps, and the nouns that cross it. A provider knows neither queue
nor user nor price.
"""

from typing import Any, Protocol, TypeAlias

import msgspec

from tintype.errors import ProviderError


class Reference(msgspec.Struct, frozen=True):
    """A picture the caller gave as an example, already decoded once to prove that it is one."""

    data: bytes
    media_type: str


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call: `count` pictures (1 … the model's `outputs_per_call_max`) of one prompt.

    `model` is the provider's own name for it. `position` is the place of the first picture in
    its job, 0-based: a provider that takes a seed uses `seed` + index of the picture.
    """

    model: str
    prompt: str
    count: int = 1
    position: int = 0
    aspect_ratio: str | None = None
    image_size: str | None = None
    seed: int | None = None
    person_generation: str | None = None
    references: tuple[Reference, ...] = ()


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """One picture that has been decoded whole. Type and size come from its bytes."""

    data: bytes
    media_type: str
    extension: str
    width: int
    height: int
    seed: int | None = None
    metadata: dict[str, Any] = {}


Outcome: TypeAlias = Output | ProviderError


class Provider(Protocol):
    """A service that makes pictures."""

    name: str

    async def generate(self, request: Request) -> list[Outcome]:
        """Make `request.count` pictures and return one outcome for each, in order.

        Makes exactly one call to the service and never retries: the queue owns retries. Raises
        a `ProviderError` when the call as a whole failed; each picture that alone was refused
        or came back broken is an error in the list.
        """
        ...

    async def close(self) -> None:
        """Close connections."""
        ...
