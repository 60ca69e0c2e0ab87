"""What a studio makes of a recipe, without a server. On a GPU where there is one."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import msgspec
import pytest
from PIL import Image

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.pictures import ROUNDING, apart, make, one, picture, plain
from tintype import events
from tintype.errors import OperatorError
from tintype.gpu import Studio
from tintype.gpu.enhancing import ENHANCED_CHARACTERS_MAX
from tintype.gpu.recipe import Lora, Recipe, recipe_of
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

torch = tiny.torch
ROBOT = Recipe(prompt="a robot", seed=1, width=64, height=64, steps=3)
CLIP = Recipe(prompt="a robot", seed=1, width=32, height=32, steps=3, frames=9, media_type="video")


@pytest.fixture(scope="module")
def sdxl(models: Models) -> Studio:
    return Studio("sdxl_queue", model=str(models.sdxl), loras=models.loras)


@pytest.fixture(scope="module")
def wan(models: Models) -> Studio:
    return Studio("wan_queue", model=str(models.wan), enhancer=str(models.writer))


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Return the events of the test, as they come."""
    heard: list[tuple[str, dict[str, Any]]] = []
    end = events.subscribe(lambda name, fields: heard.append((name, fields)))
    yield heard
    end()


def frames_of(data: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.to_image() for frame in container.decode(video=0)]


def test_the_same_seed_makes_the_same_picture_and_another_does_not(sdxl: Studio) -> None:
    first = one(sdxl, ROBOT)
    assert picture(first).size == (64, 64)
    assert one(sdxl, ROBOT) == first
    assert apart(one(sdxl, ROBOT, seed=2), first) > 8
    assert apart(one(sdxl, ROBOT, prompt="a castle"), first) > 8
    assert apart(one(sdxl, ROBOT, negative_prompt="blurry"), first) > 8


def test_the_pictures_of_a_batch_have_the_seeds_that_follow(sdxl: Studio) -> None:
    made = make(sdxl, ROBOT, quantity=6)
    assert made.seeds == [1, 2, 3, 4, 5, 6]
    assert len(set(made.files)) == 6
    assert apart(made.files[2], one(sdxl, ROBOT, seed=3)) <= ROUNDING


@pytest.mark.parametrize(("at_once", "batches"), [(1, [1, 1, 1]), (2, [2, 1]), (6, [3])])
def test_pictures_made_at_once_are_those_made_one_by_one(
    sdxl: Studio, at_once: int, batches: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [one(sdxl, ROBOT, seed=seed) for seed in (1, 2, 3)]
    monkeypatch.setattr(sdxl.painter, "at_once", at_once)
    sizes: list[int] = []
    unet = sdxl.painter.pipeline.unet
    # Guidance doubles what goes through the network.
    hook = unet.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0]) // 2))
    try:
        together = make(sdxl, ROBOT, quantity=3).files
    finally:
        hook.remove()
    assert sizes == [size for size in batches for _ in range(ROBOT.steps)]
    assert all(apart(*pair) <= ROUNDING for pair in zip(alone, together, strict=True))


def test_a_picture_can_start_from_another(sdxl: Studio) -> None:
    fresh = one(sdxl, ROBOT)
    light, dark = plain("white", (200, 100)), plain("black", (200, 100))
    from_light = one(sdxl, ROBOT, light)
    assert picture(from_light).size == (64, 64)
    assert one(sdxl, ROBOT, light) == from_light
    assert apart(from_light, fresh) > 8
    assert apart(from_light, one(sdxl, ROBOT, dark)) > 8
    assert apart(from_light, one(sdxl, ROBOT, light, strength=1.0)) > 8
    assert one(sdxl, ROBOT) == fresh


def test_a_reference_that_is_no_picture_ends_the_job(sdxl: Studio) -> None:
    for data in (b"", b"not a picture", plain("white")[:-30]):
        with pytest.raises(JobFailed) as caught:
            one(sdxl, ROBOT, data)
        assert not caught.value.retry


def test_a_lora_changes_the_picture_and_leaves_nothing_behind(sdxl: Studio) -> None:
    base = one(sdxl, ROBOT)
    worn = one(sdxl, ROBOT, lora=Lora("one.safetensors"))
    assert apart(worn, base) > 8
    assert one(sdxl, ROBOT, lora=Lora("one.safetensors")) == worn
    assert apart(one(sdxl, ROBOT, lora=Lora("one.safetensors", 0.3)), worn) > 2
    assert one(sdxl, ROBOT, lora=Lora("one.safetensors", 0.0)) == base
    assert apart(one(sdxl, ROBOT, lora=Lora("two.safetensors")), worn) > 2
    assert one(sdxl, ROBOT) == base


@pytest.mark.parametrize("path", ["../secret.safetensors", "none.safetensors", "one.bin", "/x/y z"])
def test_a_lora_that_is_not_there_ends_the_job_and_the_next_is_as_ever(
    sdxl: Studio, models: Models, path: str
) -> None:
    base = one(sdxl, ROBOT)
    tiny.shutil.copy(models.loras / "one.safetensors", models.folder / "secret.safetensors")
    (models.loras / "one.bin").write_bytes(b"")
    with pytest.raises(JobFailed) as caught:
        one(sdxl, ROBOT, lora=Lora(path))
    assert not caught.value.retry
    assert one(sdxl, ROBOT) == base


def test_a_lora_of_another_model_ends_the_job_and_the_next_is_as_ever(
    sdxl: Studio, models: Models
) -> None:
    base = one(sdxl, ROBOT)
    weights = next((models.wan / "transformer").glob("*.safetensors"))
    tiny.shutil.copy(weights, models.loras / "other.safetensors")
    with pytest.raises(JobFailed):
        one(sdxl, ROBOT, lora=Lora("other.safetensors"))
    assert one(sdxl, ROBOT) == base


def test_sdxl_makes_no_video(sdxl: Studio) -> None:
    with pytest.raises(JobFailed):
        one(sdxl, ROBOT, media_type="video", frames=9)


@pytest.mark.parametrize(("frames", "rate"), [(9, 16), (10, 24), (1, 8)])
def test_a_video_has_the_frames_that_were_asked_for(wan: Studio, frames: int, rate: int) -> None:
    file = one(wan, CLIP, frames=frames, frames_per_second=rate)
    with av.open(io.BytesIO(file)) as container:
        [stream] = container.streams
        assert container.format.name.startswith("mov,mp4")
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.frames, stream.average_rate) == (frames, rate)
    shown = frames_of(file)
    assert [frame.size for frame in shown] == [(32, 32)] * frames
    # The index stands before the pictures: a browser begins before it has the whole file.
    assert file.index(b"moov") < file.index(b"mdat")


def test_a_videos_seed_prompt_and_shift_decide_what_it_shows(wan: Studio) -> None:
    first = one(wan, CLIP)
    assert one(wan, CLIP) == first
    for change in ({"seed": 2}, {"prompt": "a castle"}, {"shift": 9.0}):
        assert one(wan, CLIP, **change) != first
    assert one(wan, CLIP) == first


def test_wan_makes_a_picture_too(wan: Studio) -> None:
    shown = picture(one(wan, CLIP, media_type="image", width=50, height=40))
    assert shown.size == (48, 32)


def test_a_prompt_is_rewritten_and_the_same_every_time(wan: Studio) -> None:
    made = make(wan, CLIP, is_enhanced=True)
    assert made.enhanced_prompt is not None
    assert 0 < len(made.enhanced_prompt) <= ENHANCED_CHARACTERS_MAX
    assert made.enhanced_prompt.isprintable()
    assert made.files == make(wan, CLIP, is_enhanced=True).files
    assert made.files == make(wan, CLIP, prompt=made.enhanced_prompt).files
    assert made.files != make(wan, CLIP).files


def test_a_prompt_that_cannot_be_rewritten_is_kept(
    sdxl: Studio, wan: Studio, told: list[tuple[str, dict[str, Any]]]
) -> None:
    model = wan._enhancer._model  # type: ignore[union-attr]

    def break_it(*_: Any) -> None:
        raise RuntimeError("the writer is ill")

    hook = model.register_forward_pre_hook(break_it)
    try:
        made = make(wan, CLIP, is_enhanced=True)
    finally:
        hook.remove()
    assert (made.enhanced_prompt, made.files) == (None, make(wan, CLIP).files)
    assert make(sdxl, ROBOT, is_enhanced=True).enhanced_prompt is None
    assert told == [
        ("PromptKept", {"error": "the writer is ill"}),
        ("PromptKept", {"error": "this worker has no enhancer"}),
    ]


def test_progress_grows_with_every_step(sdxl: Studio, wan: Studio) -> None:
    seen: list[float] = []
    watch = Watch(lambda: seen.append(watch.percent))
    sdxl.make(msgspec.structs.replace(ROBOT, quantity=2), [], watch)
    assert seen == pytest.approx([100 * step / 6 for step in range(1, 7)])
    seen.clear()
    watch = Watch(lambda: seen.append(watch.percent))
    wan.make(msgspec.structs.replace(CLIP, is_enhanced=True), [], watch)
    assert seen == pytest.approx([10, 40, 70, 100])


@pytest.mark.parametrize("reference", [(), (plain("white"),)], ids=["text", "image"])
def test_a_job_that_is_stopped_ends_after_its_step(
    sdxl: Studio, reference: tuple[bytes, ...]
) -> None:
    base = one(sdxl, ROBOT)
    steps: list[float] = []
    watch = Watch(lambda: (steps.append(watch.percent), watch.stop()))
    with pytest.raises(Stopped):
        sdxl.make(msgspec.structs.replace(ROBOT, quantity=6, strength=1.0), reference, watch)
    assert len(steps) == 1
    assert one(sdxl, ROBOT) == base


def test_rewriting_stops_as_well(wan: Studio) -> None:
    watch = Watch()
    words: list[int] = []
    model = wan._enhancer._model  # type: ignore[union-attr]

    def stop(*_: Any) -> None:
        words.append(1)
        watch.stop()

    hook = model.register_forward_pre_hook(stop)
    try:
        with pytest.raises(Stopped):
            wan.make(msgspec.structs.replace(CLIP, is_enhanced=True), [], watch)
    finally:
        hook.remove()
    assert len(words) == 1


def test_too_little_memory_sends_the_job_back_and_makes_less_at_once(
    sdxl: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdxl.painter, "at_once", 6)
    base = one(sdxl, ROBOT)

    def weigh(_: Any, given: tuple[Any, ...]) -> None:
        if len(given[0]) > 2 * 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = sdxl.painter.pipeline.unet.register_forward_pre_hook(weigh)
    try:
        with pytest.raises(JobFailed) as caught:
            make(sdxl, ROBOT, quantity=6)
        assert caught.value.retry
        assert caught.value.__context__ is None
        assert len(make(sdxl, ROBOT, quantity=6).files) == 6
    finally:
        hook.remove()
    assert one(sdxl, ROBOT) == base


def test_a_model_without_numbers_ends_the_job(sdxl: Studio) -> None:
    hook = sdxl.painter.pipeline.unet.register_forward_hook(
        lambda _, __, made: (made[0] * float("nan"),)
    )
    try:
        with pytest.raises(JobFailed) as caught:
            one(sdxl, ROBOT)
        assert not caught.value.retry
    finally:
        hook.remove()


def test_with_little_memory_each_part_works_alone_and_makes_the_same(
    models: Models, sdxl: Studio, wan: Studio
) -> None:
    small = Studio("sdxl_queue", model=str(models.sdxl), memory_gib=0.5, loras=models.loras)
    assert (sdxl.is_offloaded, small.is_offloaded) == (False, True)
    for references, changes in (
        ((), {}),
        ((plain("white"),), {}),
        ((), {"lora": Lora("one.safetensors")}),
        ((plain("white"),), {"lora": Lora("one.safetensors")}),
        ((), {}),
    ):
        made = (one(studio, ROBOT, *references, **changes) for studio in (small, sdxl))
        assert apart(*made) <= ROUNDING
    watch = Watch(lambda: watch.stop())
    with pytest.raises(Stopped):
        small.make(ROBOT, [], watch)
    assert apart(one(small, ROBOT), one(sdxl, ROBOT)) <= ROUNDING
    films = Studio("wan_queue", model=str(models.wan), enhancer=str(models.writer), memory_gib=0.5)
    assert films.is_offloaded
    made, expected = (make(studio, CLIP, is_enhanced=True) for studio in (films, wan))
    assert made.enhanced_prompt == expected.enhanced_prompt
    assert len(frames_of(made.files[0])) == 9


def test_weights_as_pickles_are_refused_unopened(models: Models, tmp_path: Path) -> None:
    proof = tmp_path / "opened"
    bad = tiny.as_pickles(models.sdxl, tmp_path / "bad", proof)
    with pytest.raises(OperatorError) as caught:
        Studio("sdxl_queue", model=str(bad))
    assert caught.value.code == "model_unusable"
    writer = tiny.as_pickles(models.writer, tmp_path / "writer", proof)
    with pytest.raises(OperatorError) as caught:
        Studio("wan_queue", model=str(models.wan), enhancer=str(writer))
    assert caught.value.code == "model_unusable"
    assert not proof.exists()


def test_a_model_of_another_kind_or_none_is_refused(models: Models, tmp_path: Path) -> None:
    for model in (models.wan, tmp_path / "nowhere", models.writer):
        with pytest.raises(OperatorError) as caught:
            Studio("sdxl_queue", model=str(model))
        assert caught.value.code == "model_unusable"
        assert str(model) in caught.value.message
    with pytest.raises(OperatorError) as caught:
        Studio("sdxl_queue", model=str(models.sdxl), device="cuda:99")
    assert caught.value.code == "device_unusable"


def test_a_job_without_a_seed_gets_one() -> None:
    job = {"prompt": "a robot", "quantity": 3, "config": {"width": 64}}
    first, second = recipe_of(job), recipe_of(job)
    assert first.seed != second.seed
    assert first.seeds == [first.seed, first.seed + 1, first.seed + 2]


@pytest.mark.parametrize(
    "config",
    [
        {"width": 0},
        {"height": 100_000},
        {"sample_steps": 0},
        {"sample_steps": "many"},
        {"frame_num": 10_000},
        {"sample_solver": "unheard of"},
        {"content_type": "sound"},
        {"content_type": "video", "fps": 0},
        {"lora": {"path": ""}},
        {"denoise_strength": 0},
    ],
)
def test_what_no_pipeline_can_make_ends_the_job(config: dict[str, Any]) -> None:
    with pytest.raises(JobFailed) as caught:
        recipe_of({"prompt": "a robot", "quantity": 1, "config": config})
    assert not caught.value.retry
