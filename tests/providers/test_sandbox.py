import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
import pytest
from PIL import Image, ImageStat

from tests.support.provider_pictures import Pictures
from tintype import providers
from tintype.config import ProvidersConfig
from tintype.errors import Invalid, Misconfigured, ProviderError, Quota, Refused, Transient

REQUEST = providers.Request(model="sandbox", prompt="a robot holding a skateboard")


@pytest.fixture
async def opened() -> AsyncIterator[providers.Providers]:
    opened = providers.open_providers(ProvidersConfig(sandbox_seconds=0))
    yield opened
    await opened.close()


async def draw(opened: providers.Providers, **asked: object) -> providers.Output:
    model, _ = opened.catalogue.resolve("sandbox", datetime.now(UTC))
    [outcome] = await opened.generate(model, msgspec.structs.replace(REQUEST, **asked))
    if isinstance(outcome, ProviderError):
        raise outcome
    return outcome


async def test_the_same_request_gives_the_same_bytes(opened: providers.Providers) -> None:
    first, second = await draw(opened, seed=7), await draw(opened, seed=7)
    assert first == second
    assert (await draw(opened)).data == (await draw(opened)).data


async def test_prompt_seed_position_and_references_change_the_picture(
    opened: providers.Providers,
) -> None:
    reference = providers.Reference(Pictures().small(), "image/png")
    seen = {
        (await draw(opened, **asked)).data
        for asked in (
            {},
            {"seed": 1},
            {"seed": 2},
            {"position": 1},
            {"prompt": "another robot"},
            {"references": (reference,)},
        )
    }
    assert len(seen) == 6


async def test_the_seed_that_was_used_is_told_and_gives_the_picture_again(
    opened: providers.Providers,
) -> None:
    third = await draw(opened, position=2)
    again = await draw(opened, seed=third.seed)
    assert again.data == third.data
    assert (await draw(opened, seed=40, position=2)).seed == 42


async def test_every_aspect_ratio_has_its_size_and_is_a_real_picture(
    opened: providers.Providers,
) -> None:
    model, _ = opened.catalogue.resolve("sandbox", datetime.now(UTC))
    for ratio in model.aspect_ratios:
        output = await draw(opened, aspect_ratio=ratio)
        across, down = (int(side) for side in ratio.split(":"))
        assert max(output.width, output.height) == 1024
        assert abs(output.width * down - output.height * across) <= max(across, down)
        judged = await providers.judge_output(output.data)
        assert (judged.width, judged.height) == (output.width, output.height)
        deviation = ImageStat.Stat(Image.open(io.BytesIO(output.data))).stddev
        assert max(deviation) > 5


@pytest.mark.parametrize(("size", "side"), [("512", 512), ("1K", 1024), ("2K", 2048), ("4K", 4096)])
async def test_every_image_size_is_drawn(size: str, side: int, opened: providers.Providers) -> None:
    output = await draw(opened, image_size=size, aspect_ratio="8:1")
    assert (output.width, output.height) == (side, side // 8)
    assert (await providers.judge_output(output.data)).width == side


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("refused", Refused),
        ("invalid", Invalid),
        ("transient", Transient),
        ("quota", Quota),
        ("misconfigured", Misconfigured),
    ],
)
async def test_a_fault_can_be_asked_for_by_the_prompt(
    fault: str, kind: type[ProviderError], opened: providers.Providers
) -> None:
    with pytest.raises(kind):
        await draw(opened, prompt=f"a robot [fault:{fault}]")


async def test_a_fault_can_be_asked_for_at_one_position(opened: providers.Providers) -> None:
    prompt = "a robot [fault:transient:2]"
    for position in (0, 1, 3):
        assert (await draw(opened, prompt=prompt, position=position)).data
    with pytest.raises(Transient):
        await draw(opened, prompt=prompt, position=2)


async def test_the_mark_of_a_fault_does_not_change_the_other_pictures(
    opened: providers.Providers,
) -> None:
    marked = await draw(opened, prompt=f"{REQUEST.prompt} [fault:refused:2]")
    assert marked.data == (await draw(opened)).data
