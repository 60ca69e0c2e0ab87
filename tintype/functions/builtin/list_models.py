"""`list-models`: which models can be asked for now, what they can do, and what they cost."""

from datetime import date
from typing import Annotated

import msgspec

from tintype import clock, jobs
from tintype.config import IdentitiesConfig
from tintype.database import named_queries
from tintype.errors import InvalidRequest
from tintype.functions.builtin.generate_image import QUANTITY_MAX
from tintype.functions.builtin.train_identity import JOB_TYPE as TRAINING
from tintype.functions.contract import Contract
from tintype.functions.invocation import Invocation
from tintype.functions.personal import BEGINNINGS_MAX, JOB_TYPE_OF_BASE
from tintype.functions.picturing import PROMPT_CHARACTERS_MAX, SEED_MAX
from tintype.functions.training import STEPS_MAX
from tintype.providers import Catalogue, Model

methods = ("GET",)


class Size(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One size that may be asked for, and the credits of one picture of it."""

    name: str
    credits: int


class Offer(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """One model. The first of `image_sizes` is its default; `retires_at` is the day it ends."""

    id: str
    title: str
    provider: str
    is_default: bool
    aspect_ratios: list[str]
    image_sizes: list[Size]
    references_max: int
    takes_seed: bool
    person_generations: list[str]
    retires_at: date | None
    replaced_by: str | None


class Wearing(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What a picture costs that a worker makes with an adapter that was trained on `base_model`.

    An identity or model that is ready is worn so when no model is named, `is_served` (a worker is
    there) and at most `references_max` pictures come along; else it is the model that is paid.
    """

    base_model: str
    credits: int
    is_served: bool
    references_max: int = BEGINNINGS_MAX


class IdentityTraining(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """What training an identity costs: `credits` for each `steps_each` begun.

    `steps` is how many there are when none are asked for. Not `is_offered` where the operator has
    given no account to publish identities with.
    """

    credits: int
    steps_each: int
    steps: int
    steps_max: int = STEPS_MAX
    is_offered: bool


class Offers(msgspec.Struct, rename="camel", frozen=True, kw_only=True):
    """The answer: the models, the default first, and what holds for all of them."""

    models: list[Offer]
    adapters: list[Wearing]
    training: IdentityTraining
    quantity_max: int = QUANTITY_MAX
    prompt_characters_max: Annotated[int, msgspec.Meta(gt=0)] = PROMPT_CHARACTERS_MAX
    seed_max: int = SEED_MAX - QUANTITY_MAX


contract = Contract(
    summary="List the models that can be asked for now, with abilities, prices and last days.",
    answers=(Offers,),
)


async def serve(invocation: Invocation) -> Offers:
    """Return every model that this server reaches and that has not ended, and what adapters cost.

    Providers are not asked; that workers are there for adapters is read from the database.
    """
    catalogue = invocation.context.providers.catalogue
    default = _default(catalogue)
    rest = [model for model in catalogue.available(clock.now()) if model != default]
    chosen = [] if default is None else [_offer(default, is_default=True)]
    models = chosen + [_offer(model) for model in rest]
    return Offers(
        models=models,
        adapters=await _adapters(invocation),
        training=_training(invocation.context.config.identities),
    )


def _training(chosen: IdentitiesConfig) -> IdentityTraining:
    kind = jobs.job_types()[TRAINING]
    return IdentityTraining(
        credits=kind.price_credits,
        steps_each=kind.steps,
        steps=chosen.steps,
        is_offered=chosen.hub == "storage" or bool(chosen.huggingface_token),
    )


async def _adapters(invocation: Invocation) -> list[Wearing]:
    pool, query = invocation.context.pool, named_queries("functions")["is_queue_served"]
    kinds = {base: jobs.job_types()[name] for base, name in JOB_TYPE_OF_BASE.items()}
    return [
        Wearing(
            base_model=base,
            credits=kind.price_credits,
            is_served=await pool.fetchval(query, kind.queue),
        )
        for base, kind in kinds.items()
    ]


def _default(catalogue: Catalogue) -> Model | None:
    try:
        return catalogue.resolve(None, clock.now())[0]
    except InvalidRequest:
        # The operator's own default has ended or has no key: every request must name a model.
        return None


def _offer(model: Model, *, is_default: bool = False) -> Offer:
    return Offer(
        id=model.id,
        title=model.title,
        provider=model.provider,
        is_default=is_default,
        aspect_ratios=list(model.aspect_ratios),
        image_sizes=[Size(name=name, credits=price) for name, price in model.prices.items()],
        references_max=model.references_max,
        takes_seed=model.seed,
        person_generations=list(model.person_generation),
        retires_at=model.shutdown_at,
        replaced_by=model.replaced_by,
    )
