"""`generate-admin-image`: a picture without a user, for operators and for trying things out.

Mock by default: the sandbox draws it at once, and nothing is charged. With `mode` "real" the
default model makes it. Only the service role may ask, or anyone where the server runs in
development mode, which it only does on loopback.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import uuid4

import msgspec

from tintype import clock
from tintype.errors import Forbidden, InvalidRequest, ProviderError, Unavailable
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.submission import database_trouble_told
from tintype.providers import Model, Output, Request
from tintype.workers import delivery

methods = ("POST",)
body_bytes_max = 64 * 1024

PROMPT_CHARACTERS_MAX = 5000
METADATA_BYTES_MAX = 16 * 1024
MOCK_MODEL = "sandbox"


class GenerateAdminImage(msgspec.Struct, frozen=True, kw_only=True):
    """The body. `mode` "mock" draws a picture here, "real" asks the default model."""

    prompt: Annotated[
        str,
        msgspec.Meta(
            extra_json_schema={
                "minLength": 1,
                "maxLength": PROMPT_CHARACTERS_MAX,
                "pattern": r"\S",
            }
        ),
    ]
    mode: Literal["mock", "real"] = "mock"
    metadata: dict[str, Any] = {}


class AdminImage(msgspec.Struct, frozen=True, kw_only=True):
    """The picture."""

    id: str
    url: str
    thumbnail_url: str
    prompt: str
    mode: str
    timestamp: datetime
    metadata: dict[str, Any]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    success: bool = True
    image: AdminImage


contract = Contract(
    summary="A picture without a user, for operators and for trying things out.",
    request=GenerateAdminImage,
    answers=(Made,),
    refusals={
        "metadata_too_large": 400,
        "prompt_empty": 400,
        "prompt_too_long": 400,
        "service_role_required": 403,
        "database_unavailable": 503,
        "provider_failed": 503,
    },
)


async def serve(invocation: Invocation) -> Made:
    """Make one picture, store it among the generated ones and answer with its URLs.

    403 `service_role_required` for anyone but the service role, save in development mode. A
    provider that fails is a 503 `provider_failed`; nothing is stored then.
    """
    config = invocation.context.config
    if not invocation.principal.is_service and not config.is_development:
        raise Forbidden(
            "service_role_required",
            "Only the service role may make pictures without a user.",
            hint="Send the service key, or start a local server with TINTYPE_DEVELOPMENT=1.",
        )
    body = await invocation.json(GenerateAdminImage)
    if not body.prompt.strip():
        raise InvalidRequest("prompt_empty", "The prompt is empty.")
    if len(body.prompt) > PROMPT_CHARACTERS_MAX:
        raise InvalidRequest(
            "prompt_too_long", f"A prompt has at most {PROMPT_CHARACTERS_MAX} characters."
        )
    if len(msgspec.json.encode(body.metadata)) > METADATA_BYTES_MAX:
        raise InvalidRequest(
            "metadata_too_large", f"metadata has at most {METADATA_BYTES_MAX} bytes as JSON."
        )
    model, _ = invocation.context.providers.catalogue.resolve(
        MOCK_MODEL if body.mode == "mock" else None, clock.now()
    )
    output = await _made(invocation, model, body.prompt)
    identity = f"admin-{uuid4()}"
    with database_trouble_told():
        url, thumbnail_url = await delivery.keep_apart(invocation.context.kernel, identity, output)
    return Made(
        image=AdminImage(
            id=identity,
            url=url,
            thumbnail_url=thumbnail_url,
            prompt=body.prompt,
            mode=body.mode,
            timestamp=clock.now(),
            metadata=body.metadata,
        )
    )


async def _made(invocation: Invocation, model: Model, prompt: str) -> Output:
    try:
        [outcome] = await invocation.context.providers.generate(
            model, Request(model=model.name, prompt=prompt)
        )
    except ProviderError as error:
        outcome = error
    if isinstance(outcome, Output):
        return outcome
    raise Unavailable("provider_failed", f"{model.name} made no picture: {outcome.message}")
