"""What a trainer makes of pictures, without a server. On a GPU where there is one."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PIL import Image

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.training_set import (
    CHECKPOINT_EVERY,
    FOUR_PROMPTS,
    STEPS,
    are_same,
    order,
    pictures,
    safetensors,
    train,
)
from tintype.gpu import tensors
from tintype.gpu.training import Trainer
from tintype.gpu.training.course import TRAINED_PERCENT, Kept, Step
from tintype.gpu.training.learning import Learner
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

torch = tiny.torch
ROOT = Path(__file__).parents[2]
PIPELINES = {"flux": "FluxPipeline", "sdxl": "StableDiffusionXLPipeline"}

both = pytest.mark.parametrize("base", ["flux", "sdxl"])


@pytest.fixture(scope="module")
def trainer(models: Models) -> Trainer:
    return Trainer(flux=str(models.flux), sdxl=str(models.sdxl))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def unbroken(
    trainer: Trainer, images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """Return the adapter that each base's training leads to when nothing comes in between."""
    folder = tmp_path_factory.mktemp("unbroken")
    return {base: train(trainer, order(base), images, folder / base).adapter for base in PIPELINES}


def learner_of(trainer: Trainer, base: Any) -> Learner:
    return trainer._load(base).learner


def weights_of(learner: Learner) -> dict[str, Any]:
    return {name: one.clone() for name, one in learner.denoiser.state_dict().items()}


class Painter:
    """A pipeline of its own, as an app would load it."""

    def __init__(self, base: str, model: Path) -> None:
        self.pipeline = getattr(tiny.diffusers, PIPELINES[base]).from_pretrained(model)
        self.pipeline.set_progress_bar_config(disable=True)

    def paint(self) -> Any:
        made = self.pipeline(
            "a photo of zed",
            num_inference_steps=4,
            width=64,
            height=64,
            generator=torch.Generator("cpu").manual_seed(1),
        )
        return torch.frombuffer(bytearray(made.images[0].tobytes()), dtype=torch.uint8).int()


@both
def test_the_loss_falls(base: str, trainer: Trainer, images: list[Path], tmp_path: Path) -> None:
    told: dict[float, list[Step]] = {2e-2: [], 1e-6: []}
    for rate, steps in told.items():
        asked = order(base, steps=60, learning_rate=rate, checkpoint_every=1000)
        trained = train(trainer, asked, images, tmp_path / str(rate), report=steps.append)
        assert [step.step for step in steps] == list(range(1, 61))
        # The rate grows to what was asked for, and stays.
        assert steps[0].learning_rate < steps[-1].learning_rate == rate
    learning, standing = ([step.loss for step in steps] for steps in told.values())
    assert sum(learning[-20:]) < 0.99 * sum(learning[:20])
    # The same pictures, noise and moments, to a base that has hardly learned anything yet.
    assert sum(learning[-20:]) < 0.99 * sum(standing[-20:])
    assert learning[0] == pytest.approx(standing[0])
    assert trained.loss > 0


@both
def test_an_adapter_loads_changes_the_picture_and_leaves_the_base_behind(
    base: str, models: Models, unbroken: dict[str, Path]
) -> None:
    painter = Painter(base, getattr(models, base))
    before = painter.paint()
    assert unbroken[base].name == "pytorch_lora_weights.safetensors"
    painter.pipeline.load_lora_weights(unbroken[base].parent, use_safetensors=True)
    assert abs(painter.paint() - before).max() > 8
    painter.pipeline.unload_lora_weights()
    assert (painter.paint() == before).all()


@both
def test_an_adapter_says_how_it_is_to_be_worn(base: str, unbroken: dict[str, Path]) -> None:
    with safetensors.safe_open(unbroken[base], framework="pt") as file:
        about = json.loads(file.metadata()["lora_adapter_metadata"])
    part = "transformer" if base == "flux" else "unet"
    assert (about[f"{part}.r"], about[f"{part}.lora_alpha"]) == (4, 4)
    assert all(name.startswith(f"{part}.") for name in safetensors.load_file(unbroken[base]))


@both
def test_an_adapter_is_one_that_the_workers_who_paint_take(
    base: str, models: Models, unbroken: dict[str, Path]
) -> None:
    layers = tensors.layers_of(Painter(base, getattr(models, base)).pipeline)
    tensors.check_file(unbroken[base])
    taken, scale = tensors.read_fitting(unbroken[base], layers)
    assert len(taken) == len(safetensors.load_file(unbroken[base]))
    assert scale == 1


@both
def test_the_same_order_makes_the_same_adapter_and_the_base_stays_as_it_was(
    base: str,
    trainer: Trainer,
    images: list[Path],
    unbroken: dict[str, Path],
    tmp_path: Path,
) -> None:
    learner = learner_of(trainer, base)
    before = weights_of(learner)
    assert are_same(train(trainer, order(base), images, tmp_path / "a").adapter, unbroken[base])
    other = train(trainer, order(base, seed=4), images, tmp_path / "b").adapter
    assert not are_same(other, unbroken[base])
    assert not learner.denoiser.is_gradient_checkpointing
    after = weights_of(learner)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@both
def test_a_training_that_was_killed_goes_on_to_the_same_adapter(
    base: str,
    trainer: Trainer,
    models: Models,
    images: list[Path],
    unbroken: dict[str, Path],
    tmp_path: Path,
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.training_set", base, getattr(models, base), tmp_path],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().split() for _ in range(2)]
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert [int(step) for step, _ in said] == [CHECKPOINT_EVERY, 2 * CHECKPOINT_EVERY]
    steps: list[int] = []
    trained = train(
        trainer,
        order(base),
        images,
        tmp_path / "resumed",
        checkpoint=Path(said[1][1]),
        report=lambda step: steps.append(step.step),
    )
    assert steps == list(range(2 * CHECKPOINT_EVERY + 1, STEPS + 1))
    assert trained.resumed_from == 2 * CHECKPOINT_EVERY
    assert are_same(trained.adapter, unbroken[base])


@both
def test_a_training_that_is_stopped_keeps_what_is_needed_to_go_on(
    base: str,
    trainer: Trainer,
    images: list[Path],
    unbroken: dict[str, Path],
    tmp_path: Path,
) -> None:
    watch, kept = Watch(), list[Kept]()
    with pytest.raises(Stopped):
        train(
            trainer,
            order(base),
            images,
            tmp_path / "a",
            watch=watch,
            report=lambda step: watch.stop() if step.step == 5 else None,
            keep=kept.append,
        )
    assert [one.of.step for one in kept if one.checkpoint is not None] == [3, 5]
    trained = train(trainer, order(base), images, tmp_path / "b", checkpoint=kept[-1].checkpoint)
    assert trained.resumed_from == 5
    assert are_same(trained.adapter, unbroken[base])


def test_a_training_that_is_stopped_before_its_first_step_keeps_nothing(
    trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    watch, kept = Watch(), list[Kept]()
    watch.stop()
    with pytest.raises(Stopped):
        train(trainer, order("flux"), images, tmp_path, watch=watch, keep=kept.append)
    assert kept == []


def test_a_training_that_is_stopped_over_its_last_pictures_need_not_be_done_again(
    trainer: Trainer, images: list[Path], unbroken: dict[str, Path], tmp_path: Path
) -> None:
    kept: list[Kept] = []
    watch = Watch(lambda: watch.stop() if watch.percent >= TRAINED_PERCENT else None)
    with pytest.raises(Stopped):
        train(trainer, order("flux"), images, tmp_path / "a", watch=watch, keep=kept.append)
    steps: list[Step] = []
    trained = train(
        trainer,
        order("flux"),
        images,
        tmp_path / "b",
        checkpoint=kept[-1].checkpoint,
        report=steps.append,
    )
    assert (trained.resumed_from, steps) == (STEPS, [])
    assert are_same(trained.adapter, unbroken["flux"])


@both
def test_samples_show_how_far_it_is_and_four_prompts_end_on_one_sheet(
    base: str, trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    kept: list[Kept] = []
    trained = train(
        trainer,
        order(base, steps=7, sample_prompts=FOUR_PROMPTS),
        images,
        tmp_path,
        keep=kept.append,
    )
    assert [(one.of.step, one.sample is not None) for one in kept] == [
        (3, False),
        (3, True),
        (6, False),
        (6, True),
    ]
    shown = [Image.open(one.sample) for one in kept if one.sample is not None]
    assert [picture.size for picture in shown] == [(64, 64)] * 2
    assert shown[0].tobytes() != shown[1].tobytes()
    sheet = Image.open(trained.sheet)
    assert (sheet.format, sheet.size) == ("PNG", (128, 128))
    corners = [sheet.crop((x, y, x + 64, y + 64)).tobytes() for x in (0, 64) for y in (0, 64)]
    assert len(set(corners)) == 4


def test_progress_grows_from_the_first_picture_to_the_last_step(
    trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    seen: list[float] = []
    watch = Watch(lambda: seen.append(watch.percent))
    train(trainer, order("flux"), images, tmp_path, watch=watch)
    assert len(seen) == len(images) + STEPS
    assert seen == sorted(seen)
    assert seen[-1] == TRAINED_PERCENT


def test_every_picture_is_looked_at_as_often_as_the_others(
    trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    learner = learner_of(trainer, "sdxl")
    seen: list[tuple[int, ...]] = []

    def look(_: Any, __: Any, given: dict[str, Any]) -> None:
        told = given["added_cond_kwargs"]["time_ids"].int().tolist()
        # A sample is made with guidance, which takes two at once.
        if len(told) == 1:
            seen.append(tuple(told[0]))

    hook = learner.denoiser.register_forward_pre_hook(look, with_kwargs=True)
    try:
        train(trainer, order("sdxl", steps=2 * len(images)), images, tmp_path)
    finally:
        hook.remove()
    # How large it was, where it was cut, how large it is: heights before widths.
    each = {
        (60, 90, 2, 0, 48, 80),
        (90, 60, 0, 2, 80, 48),
        (64, 64, 0, 0, 64, 64),
        (200, 200, 0, 0, 64, 64),
    }
    assert set(seen[:4]) == set(seen[4:]) == each


def test_captions_are_read_once_each_and_hold_the_trigger_word(
    trainer: Trainer, images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(trainer, "flux")
    read: list[str] = []
    words_of = learner.words_of
    monkeypatch.setattr(
        learner, "words_of", lambda prompt: (read.append(prompt), words_of(prompt))[1]
    )
    captions = ["zed smiles", "a man at the sea", "zed smiles", "zed"]
    asked = order("flux", steps=1, captions=captions, sample_prompts=["zed", "a dog"])
    train(trainer, asked, images, tmp_path)
    assert read == ["zed", "a dog", "zed smiles", "zed, a man at the sea"]
    assert order("flux").captions_of(2) == ["a photo of zed", "a photo of zed"]


def test_captions_and_pictures_decide_what_is_learned(
    trainer: Trainer, images: list[Path], unbroken: dict[str, Path], tmp_path: Path
) -> None:
    captions = [f"zed number {number}" for number in range(4)]
    for folder, asked, shown in (
        ("a", order("flux", captions=captions), images),
        ("b", order("flux"), [*images[1:], images[0]]),
    ):
        made = train(trainer, asked, shown, tmp_path / folder).adapter
        assert not are_same(made, unbroken["flux"])


def broken(checkpoint: Path, file: Path, **changes: Any) -> Path:
    """Copy a checkpoint to `file` with other words in its header, or other values."""
    values = safetensors.load_file(checkpoint)
    with safetensors.safe_open(checkpoint, framework="pt") as opened:
        about = opened.metadata()
    for name, value in changes.items():
        if name == "value":
            next(iter(values.values())).fill_(value)
        elif name == "missing":
            del values[next(iter(values))]
        else:
            about[name] = value
    safetensors.save_file(values, file, metadata=about)
    return file


@pytest.fixture(scope="module")
def checkpoint(
    trainer: Trainer, images: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Return the checkpoint of the first three steps of the FLUX training."""
    kept: list[Kept] = []
    folder = tmp_path_factory.mktemp("checkpoint")
    train(trainer, order("flux"), images, folder, keep=kept.append)
    assert kept[0].checkpoint is not None
    return kept[0].checkpoint


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (b"", "it cannot be read"),
        (b"not safetensors at all", "it cannot be read"),
        (1000, "it cannot be read"),
        ({"format": "another-1"}, "it is no checkpoint of a training"),
        ({"step": "x"}, "it cannot be read"),
        ({"step": "0"}, "its step is none of this training"),
        ({"step": "100"}, "its step is none of this training"),
        ({"loss": "nan"}, "its step is none of this training"),
        ({"value": float("nan")}, "it has values that are no numbers"),
        ({"missing": True}, "it has other weights"),
        ({"fingerprint": "0" * 64}, "it belongs to another training"),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_ignored(
    change: Any,
    why: str,
    trainer: Trainer,
    images: list[Path],
    checkpoint: Path,
    unbroken: dict[str, Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "broken.safetensors"
    if isinstance(change, dict):
        broken(checkpoint, file, **change)
    else:
        file.write_bytes(checkpoint.read_bytes()[:change] if change == 1000 else change)
    trained = train(trainer, order("flux"), images, tmp_path / "a", checkpoint=file)
    assert trained.resumed_from == 0
    assert caplog.messages == [f"job b2f0: its checkpoint is ignored and it begins anew: {why}"]
    assert are_same(trained.adapter, unbroken["flux"])


@pytest.mark.parametrize(
    "changes",
    [
        {"base": "sdxl"},
        {"rank": 2},
        {"seed": 4},
        {"steps": 8},
        {"learning_rate": 1e-3},
        {"resolution": 48},
        {"captions": ["zed", "zed", "zed", "zed"]},
        {"job": "another"},
        {"images": "another"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_checkpoint_of_another_training_is_ignored(
    changes: dict[str, Any],
    trainer: Trainer,
    images: list[Path],
    checkpoint: Path,
    tmp_path: Path,
) -> None:
    asked = msgspec.structs.replace(
        order("flux", captions=None),
        **{name: one for name, one in changes.items() if name != "images"},
    )
    shown = images[:3] + images[:1] if "images" in changes else images
    made = train(trainer, asked, shown, tmp_path, checkpoint=checkpoint)
    assert made.resumed_from == 0


def test_other_sample_prompts_do_not_make_another_training(
    trainer: Trainer, images: list[Path], checkpoint: Path, tmp_path: Path
) -> None:
    asked = order("flux", sample_prompts=["zed"], checkpoint_every=5)
    assert train(trainer, asked, images, tmp_path, checkpoint=checkpoint).resumed_from == 3


@both
def test_a_training_that_runs_out_of_bounds_ends_and_the_next_is_as_ever(
    base: str,
    trainer: Trainer,
    images: list[Path],
    unbroken: dict[str, Path],
    tmp_path: Path,
) -> None:
    learner = learner_of(trainer, base)
    hook = learner.denoiser.register_forward_hook(
        lambda _, __, made: (made[0] * float("nan"), *made[1:])
    )
    try:
        with pytest.raises(JobFailed, match="out of bounds at step 1") as caught:
            train(trainer, order(base), images, tmp_path / "a")
    finally:
        hook.remove()
    assert not caught.value.retry
    assert are_same(train(trainer, order(base), images, tmp_path / "b").adapter, unbroken[base])


def test_too_little_memory_sends_the_job_back_and_the_next_is_as_ever(
    trainer: Trainer, images: list[Path], unbroken: dict[str, Path], tmp_path: Path
) -> None:
    def weigh(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    learner_of(trainer, "flux").denoiser.register_forward_pre_hook(weigh)
    with pytest.raises(JobFailed) as caught:
        train(trainer, order("flux"), images, tmp_path / "a")
    assert caught.value.retry
    assert caught.value.__context__ is None
    made = train(trainer, order("flux"), images, tmp_path / "b").adapter
    assert are_same(made, unbroken["flux"])


@both
def test_with_little_memory_each_part_works_alone_and_makes_the_same(
    base: str, models: Models, images: list[Path], unbroken: dict[str, Path], tmp_path: Path
) -> None:
    small = Trainer(**{base: str(getattr(models, base))}, memory_gib=0.5)
    assert not small._load(base).stage.is_roomy  # type: ignore[arg-type]
    made = train(small, order(base), images, tmp_path)
    assert are_same(made.adapter, unbroken[base])


def test_a_base_of_velocities_is_trained_for_velocities(
    models: Models, images: list[Path], unbroken: dict[str, Path], tmp_path: Path
) -> None:
    def trained(kind: str) -> Path:
        model = tiny.shutil.copytree(models.sdxl, tmp_path / kind)
        file = model / "scheduler" / "scheduler_config.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"prediction_type": kind}))
        return train(
            Trainer(sdxl=str(model)), order("sdxl"), images, tmp_path / f"{kind}-made"
        ).adapter

    assert are_same(trained("epsilon"), unbroken["sdxl"])
    assert not are_same(trained("v_prediction"), unbroken["sdxl"])
    with pytest.raises(JobFailed, match="predicts sample"):
        trained("sample")


def test_a_base_that_cannot_be_loaded_sends_the_job_to_another_worker(
    models: Models, images: list[Path], tmp_path: Path
) -> None:
    proof = tmp_path / "opened"
    pickles = tiny.as_pickles(models.flux, tmp_path / "pickles", proof)
    for number, model in enumerate((tmp_path / "nowhere", models.sdxl, pickles)):
        with pytest.raises(JobFailed, match="cannot train flux") as caught:
            train(Trainer(flux=str(model)), order("flux"), images, tmp_path / str(number))
        assert caught.value.retry
    assert not proof.exists()


def test_an_adapter_that_is_too_large_ends_the_job(
    trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    with pytest.raises(JobFailed, match="larger than the server takes"):
        train(trainer, order("flux", steps=1, adapter_bytes_max=1000), images, tmp_path)


@pytest.mark.parametrize("data", [b"", b"no picture", b"half"])
def test_a_picture_that_cannot_be_read_ends_the_job(
    data: bytes, trainer: Trainer, images: list[Path], tmp_path: Path
) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(images[0].read_bytes()[:-30] if data == b"half" else data)
    with pytest.raises(JobFailed, match="Training picture 3 cannot be read") as caught:
        train(trainer, order("flux"), [*images[:2], path, images[3]], tmp_path / "a")
    assert not caught.value.retry
