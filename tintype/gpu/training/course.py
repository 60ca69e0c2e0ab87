"""How does one training go, from its pictures to its adapter?

What happens in a step depends on the order, the step's number and the weights alone: which picture
is looked at, which noise and moment are drawn. So a training that goes on from a checkpoint ends
with the same adapter as one that was never broken off, on the same kind of machine.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch
from PIL import Image

from tintype.gpu.training import checkpoints
from tintype.gpu.training.adapter import Adapter, source_of
from tintype.gpu.training.buckets import buckets_of, framed
from tintype.gpu.training.learning import Example, Learner, Words, latents_of
from tintype.gpu.training.order import Order
from tintype.gpu.training.staging import Stage
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

# The parts of a job's progress that come before and after its steps.
PREPARED_PERCENT = 3.0
TRAINED_PERCENT = 96.0
WARMUP_STEPS_MAX = 50
# The part of a training's steps, at most, in which the learning rate grows to what was asked for.
WARMUP_SHARE = 0.05
GRADIENT_NORM_MAX = 1.0
# Of the loss that is told at the end: how much of it is older than the last step.
LOSS_KEPT = 0.95
SHEET_COLUMNS = 2

logger = logging.getLogger("tintype.gpu.training")


class Step(msgspec.Struct, frozen=True):
    """What is told of a step when it is done."""

    step: int
    steps: int
    loss: float
    learning_rate: float


class Kept(msgspec.Struct, frozen=True):
    """A file that was written after a step: the state of the training, or a sample of it."""

    of: Step
    checkpoint: Path | None = None
    sample: Path | None = None


class Trained(msgspec.Struct, frozen=True):
    """What came of a training: the adapter, and pictures made with it on one sheet.

    `loss` is that of the last steps, smoothed; `resumed_from` the step of the checkpoint that it
    went on from, 0 without one.
    """

    adapter: Path
    sheet: Path
    steps: int
    loss: float
    resumed_from: int


class Course:
    """One training with a base. Files are written into `folder`, and are the caller's then.

    `report` hears of every step, `keep` of every file that is not the result. Both are called in
    this thread, and the steps wait for them.
    """

    def __init__(
        self,
        learner: Learner,
        stage: Stage,
        order: Order,
        watch: Watch,
        *,
        folder: Path,
        report: Callable[[Step], object],
        keep: Callable[[Kept], object],
    ) -> None:
        self._learner = learner
        self._stage = stage
        self._order = order
        self._watch = watch
        self._folder = folder
        self._report = report
        self._keep = keep
        self._last = Step(0, order.steps, 0.0, 0.0)
        self._smoothed = 0.0
        self._checkpointed_step = 0

    def run(self, images: Sequence[Path], checkpoint: Path | None) -> Trained:
        """Train. Raises `Stopped` when the watch says so, with a checkpoint of the last step kept;
        `JobFailed` for what cannot be trained.
        """
        order, learner = self._order, self._learner
        mark = checkpoints.fingerprint(order, images)
        samples, examples = self._prepared(images)
        with self._stage.on(learner.denoiser):
            adapter = Adapter(learner, rank=order.rank, seed=order.seed)
            try:
                begin = self._resume(adapter, checkpoint, mark)
                return self._train(adapter, mark, begin, examples, samples)
            finally:
                adapter.take_off()

    def _prepared(self, images: Sequence[Path]) -> tuple[list[Words], list[Example]]:
        """Return the words of the sample prompts, and the pictures with the words of theirs."""
        order, learner = self._order, self._learner
        captions = order.captions_of(len(images))
        with self._stage.on(*learner.encoders):
            words = {}
            for prompt in dict.fromkeys([*order.sample_prompts, *captions]):
                words[prompt] = learner.words_of(prompt)
                self._watch.at(0.0)
        buckets = buckets_of(order.resolution)
        examples = []
        with self._stage.on(learner.autoencoder):
            for number, (path, caption) in enumerate(zip(images, captions, strict=True), 1):
                frame = framed(path, buckets, number=number)
                latents = latents_of(learner.autoencoder, frame)
                # The picture itself is not needed any more.
                frame = msgspec.structs.replace(frame, pixels=None)
                examples.append(Example(latents, words[caption], frame))
                self._watch.at(PREPARED_PERCENT * number / len(images))
        return [words[prompt] for prompt in order.sample_prompts], examples

    def _resume(self, adapter: Adapter, checkpoint: Path | None, mark: str) -> int:
        """Return the last step that is done."""
        if checkpoint is None:
            return 0
        try:
            state = checkpoints.read(checkpoint, mark, adapter.shapes, self._order.steps)
        except checkpoints.CheckpointUnusable as error:
            logger.warning(
                "job %s: its checkpoint is ignored and it begins anew: %s", self._order.job, error
            )
            return 0
        adapter.restore(state.step, state.tensors)
        self._smoothed = state.loss
        return state.step

    def _train(
        self,
        adapter: Adapter,
        mark: str,
        begin: int,
        examples: Sequence[Example],
        samples: Sequence[Words],
    ) -> Trained:
        order = self._order
        try:
            for step in range(begin + 1, order.steps + 1):
                self._step(adapter, step, examples)
                if step % order.checkpoint_every == 0 and step < order.steps:
                    self._checkpoint(adapter, mark)
                    sample = self._folder / f"sample-{step:06}.png"
                    self._sample(samples[0]).save(sample)
                    self._keep(Kept(self._last, sample=sample))
            sheet = self._folder / "sheet.png"
            _sheet([self._sample(words) for words in samples]).save(sheet)
        except Stopped:
            if self._last.step > self._checkpointed_step:
                self._checkpoint(adapter, mark)
            raise
        file = adapter.save(self._folder)
        if file.stat().st_size > order.adapter_bytes_max:
            raise JobFailed("The adapter is larger than the server takes; ask for a lower rank.")
        return Trained(file, sheet, order.steps, self._smoothed, begin)

    def _step(self, adapter: Adapter, step: int, examples: Sequence[Example]) -> None:
        order = self._order
        source = source_of(order.seed, "step", step)
        example = examples[_turn(order.seed, step, len(examples))]
        noise = torch.randn(example.latents.shape, generator=source).to(self._stage.device)
        rate = order.learning_rate * min(1.0, step / _warmup_steps(order.steps))
        for group in adapter.optimizer.param_groups:
            group["lr"] = rate
        loss = self._learner.loss(example, noise, source)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(adapter.weights.values(), GRADIENT_NORM_MAX)
        told = float(loss.detach())
        if not (math.isfinite(told) and math.isfinite(float(norm))):
            raise JobFailed(
                f"The training ran out of bounds at step {step}; ask for a lower learning rate."
            )
        adapter.optimizer.step()
        adapter.optimizer.zero_grad()
        self._smoothed = told if step == 1 else LOSS_KEPT * self._smoothed + (1 - LOSS_KEPT) * told
        self._last = Step(step, order.steps, told, rate)
        self._report(self._last)
        done = step / order.steps
        self._watch.at(PREPARED_PERCENT + (TRAINED_PERCENT - PREPARED_PERCENT) * done)

    def _checkpoint(self, adapter: Adapter, mark: str) -> None:
        step = self._last.step
        path = self._folder / f"checkpoint-{step:06}.safetensors"
        checkpoints.write(path, checkpoints.State(step, self._smoothed, adapter.tensors()), mark)
        self._checkpointed_step = step
        self._keep(Kept(self._last, checkpoint=path))

    def _sample(self, words: Words) -> Image.Image:
        def on_step(_pipeline: Any, _step: int, _time: Any, tensors: dict[str, Any]) -> Any:
            self._watch.at(0.0)
            return tensors

        side = buckets_of(self._order.resolution)
        square = min(side, key=lambda size: (abs(size[0] - size[1]), -size[0]))
        with self._stage.on(self._learner.autoencoder):
            return self._learner.sample(words, square, self._order.seed, on_step)


def _turn(seed: int, step: int, count: int) -> int:
    """Return which of `count` pictures a step looks at: each once, in an order of its own."""
    turn, place = divmod(step - 1, count)
    return int(torch.randperm(count, generator=source_of(seed, "turn", turn))[place])


def _warmup_steps(steps: int) -> int:
    return max(1, min(WARMUP_STEPS_MAX, int(steps * WARMUP_SHARE)))


def _sheet(pictures: Sequence[Image.Image]) -> Image.Image:
    """Return pictures of one size side by side, two in a row."""
    width, height = pictures[0].size
    columns = min(SHEET_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % columns * width, number // columns * height))
    return sheet
