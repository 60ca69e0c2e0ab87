"""What a studio makes with FLUX, without a server. On a GPU where there is one."""

from pathlib import Path

import msgspec
import pytest

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.pictures import ROUNDING, apart, make, one, picture, plain
from tintype.errors import OperatorError
from tintype.gpu import Studio
from tintype.gpu.recipe import Lora, Recipe
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

safetensors = pytest.importorskip("safetensors.torch", reason="pip install 'tintype[gpu]'")
ROBOT = Recipe(prompt="a robot", seed=1, width=64, height=64, steps=3)


@pytest.fixture(scope="module")
def faces(models: Models) -> Path:
    """Return a folder with a LoRA that jobs may name."""
    folder = models.folder / "faces"
    tiny.adapter(models.flux, folder / "face.safetensors")
    return folder


@pytest.fixture(scope="module")
def flux(models: Models, faces: Path) -> Studio:
    return Studio("flux_queue", model=str(models.flux), loras=faces)


def test_the_same_seed_makes_the_same_picture_and_another_does_not(flux: Studio) -> None:
    first = one(flux, ROBOT)
    assert picture(first).size == (64, 64)
    assert one(flux, ROBOT) == first
    assert apart(one(flux, ROBOT, seed=2), first) > 8
    assert one(flux, ROBOT, prompt="a castle") != first


def test_guidance_counts_and_without_one_it_is_flux_own(flux: Studio) -> None:
    first = one(flux, ROBOT)
    assert one(flux, ROBOT, guidance=3.5) == first
    assert one(flux, ROBOT, guidance=20.0) != first


def test_a_negative_prompt_is_not_heeded(flux: Studio) -> None:
    assert one(flux, ROBOT, negative_prompt="blurry") == one(flux, ROBOT)


def test_a_size_is_brought_to_one_that_the_model_makes(flux: Studio) -> None:
    # The tiny autoencoder halves once, and FLUX packs two by two; the real one makes it sixteen.
    for references in ((), (plain("white", (67, 42)),)):
        made = one(flux, ROBOT, *references, width=67, height=42)
        assert picture(made).size == (64, 40)


@pytest.mark.parametrize(("at_once", "batches"), [(1, [1, 1, 1]), (2, [2, 1])])
def test_pictures_made_at_once_are_those_made_one_by_one(
    flux: Studio, at_once: int, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [one(flux, ROBOT, seed=seed) for seed in (1, 2, 3)]
    monkeypatch.setattr(flux.painter, "at_once", at_once)
    sizes: list[int] = []
    hook = flux.painter.pipeline.transformer.register_forward_pre_hook(
        lambda _, __, given: sizes.append(len(given["hidden_states"])), with_kwargs=True
    )
    try:
        made = make(flux, ROBOT, quantity=3)
    finally:
        hook.remove()
    assert made.seeds == [1, 2, 3]
    assert sizes == [size for size in batches for _ in range(ROBOT.steps)]
    assert all(apart(*pair) <= ROUNDING for pair in zip(alone, made.files, strict=True))


def test_a_picture_can_start_from_another(flux: Studio) -> None:
    fresh = one(flux, ROBOT)
    light, dark = plain("white", (200, 100)), plain("black", (200, 100))
    from_light = one(flux, ROBOT, light)
    assert picture(from_light).size == (64, 64)
    assert one(flux, ROBOT, light) == from_light
    assert apart(from_light, one(flux, ROBOT, dark)) > 8
    assert one(flux, ROBOT, light, steps=1, strength=0.05) != from_light
    assert one(flux, ROBOT) == fresh


def test_progress_grows_with_every_step(flux: Studio) -> None:
    seen: list[float] = []
    watch = Watch(lambda: seen.append(watch.percent))
    flux.make(msgspec.structs.replace(ROBOT, quantity=2), [], watch)
    assert seen == pytest.approx([100 * step / 6 for step in range(1, 7)])


@pytest.mark.parametrize("reference", [(), (plain("white"),)], ids=["text", "image"])
def test_a_job_that_is_stopped_ends_after_its_step(
    flux: Studio, reference: tuple[bytes, ...]
) -> None:
    base = one(flux, ROBOT)
    steps: list[float] = []
    watch = Watch(lambda: (steps.append(watch.percent), watch.stop()))
    with pytest.raises(Stopped):
        flux.make(msgspec.structs.replace(ROBOT, quantity=6, strength=1.0), reference, watch)
    assert len(steps) == 1
    assert one(flux, ROBOT) == base


def test_flux_makes_no_video(flux: Studio) -> None:
    with pytest.raises(JobFailed):
        one(flux, ROBOT, media_type="video", frames=9)


def test_a_file_that_replaces_weights_of_the_model_is_taken_out_again(
    flux: Studio, faces: Path
) -> None:
    base = one(flux, ROBOT)
    tensors = safetensors.load_file(faces / "face.safetensors")
    norm = "transformer.transformer_blocks.0.attn.norm_q.weight"
    tensors[norm] = tiny.torch.full((16,), 9.0)
    safetensors.save_file(tensors, faces / "control.safetensors")
    with pytest.raises(JobFailed) as caught:
        one(flux, ROBOT, lora=Lora("control.safetensors"))
    assert not caught.value.retry
    assert one(flux, ROBOT) == base


def test_with_little_memory_each_part_works_alone_and_makes_the_same(
    models: Models, flux: Studio
) -> None:
    small = Studio(
        "flux_queue", model=str(models.flux), memory_gib=0.5, loras=models.folder / "faces"
    )
    assert (flux.is_offloaded, small.is_offloaded) == (False, True)
    for references, changes in (
        ((), {}),
        ((plain("white"),), {"lora": Lora("face.safetensors")}),
        ((), {"lora": Lora("face.safetensors")}),
        ((), {}),
    ):
        made = (one(studio, ROBOT, *references, **changes) for studio in (small, flux))
        assert apart(*made) <= ROUNDING


def test_a_gpu_that_not_even_one_part_fits_into_ends_it_at_the_start(models: Models) -> None:
    with pytest.raises(OperatorError) as caught:
        Studio("flux_queue", model=str(models.flux), memory_gib=0.0001)
    assert caught.value.code == "gpu_too_small"
