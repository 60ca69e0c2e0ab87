"""Which trained adapters a pipeline wears, without a server. On a GPU where there is one."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.gpu import tiny
from tests.gpu.conftest import Models
from tests.gpu.pictures import ROUNDING, apart
from tintype.gpu import Studio
from tintype.gpu.adapters import ADAPTERS_WARM_MAX, Trained
from tintype.gpu.recipe import Lora, Recipe
from tintype.gpu.watch import Stopped, Watch
from tintype.worker_client import JobFailed

torch = tiny.torch
safetensors = pytest.importorskip("safetensors.torch", reason="pip install 'tintype[gpu]'")
ROBOT = Recipe(prompt="a robot", seed=1, width=64, height=64, steps=3)


class Wardrobe:
    """A studio, adapters for it, and how often one was loaded into its pipeline."""

    def __init__(self, queue: Any, base: Path, folder: Path, **settings: Any) -> None:
        self.base = base
        self.folder = folder
        self.studio = Studio(queue, model=str(base), loras=folder, **settings)
        self.pipeline = self.studio.painter.pipeline
        self.loads = 0
        load = self.pipeline.load_lora_weights

        def counted(*words: Any, **settings: Any) -> None:
            self.loads += 1
            load(*words, **settings)

        self.pipeline.load_lora_weights = counted

    def adapter(self, seed: int, **changes: Any) -> Trained:
        file = self.folder / f"{seed}.safetensors"
        return as_trained(tiny.adapter(self.base, file, seed=seed, **changes))

    def paint(self, *adapters: Trained, lora: Lora | None = None) -> bytes:
        recipe = msgspec.structs.replace(ROBOT, lora=lora)
        [file] = self.studio.make(recipe, [], Watch(), adapters).files
        return file


def as_trained(file: Path, weight: float = 1.0) -> Trained:
    return Trained(hashlib.sha256(file.read_bytes()).hexdigest(), file, weight)


@pytest.fixture(params=["flux_queue", "sdxl_adapter_queue"])
def wardrobe(request: pytest.FixtureRequest, models: Models, tmp_path: Path) -> Wardrobe:
    base = models.flux if request.param == "flux_queue" else models.sdxl
    return Wardrobe(request.param, base, tmp_path)


@pytest.fixture
def flux(models: Models, tmp_path: Path) -> Iterator[Wardrobe]:
    yield Wardrobe("flux_queue", models.flux, tmp_path)


def test_adapters_by_turns_make_their_own_pictures_and_none_makes_the_models_own(
    wardrobe: Wardrobe,
) -> None:
    base = wardrobe.paint()
    one, two = wardrobe.adapter(1), wardrobe.adapter(2)
    first, second = wardrobe.paint(one), wardrobe.paint(two)
    assert min(apart(first, base), apart(second, base), apart(first, second)) > 2
    assert wardrobe.paint() == base
    for _ in range(2):
        assert wardrobe.paint(one) == first
        assert wardrobe.paint(two) == second
        assert wardrobe.paint() == base
    # Each was loaded once, and stayed.
    assert wardrobe.loads == 2


def test_an_adapter_counts_by_its_weight_and_its_alpha(wardrobe: Wardrobe) -> None:
    base = wardrobe.paint()
    adapter = wardrobe.adapter(1, alpha=2)
    worn = wardrobe.paint(adapter)
    # What diffusers makes of the same file, which reads alpha itself.
    assert wardrobe.paint(lora=Lora("1.safetensors")) == worn
    half = as_trained(adapter.file, 0.5)
    assert wardrobe.paint(half) == wardrobe.paint(lora=Lora("1.safetensors", 0.5)) != worn
    assert wardrobe.paint(as_trained(adapter.file, 0.0)) == base
    assert wardrobe.paint(adapter) == worn
    other = wardrobe.adapter(1, alpha=8)
    assert wardrobe.paint(other) != worn
    assert wardrobe.paint() == base


def test_several_are_worn_at_once_beside_one_that_is_named(flux: Wardrobe) -> None:
    base, one, two = flux.paint(), flux.adapter(1), flux.adapter(2)
    both = flux.paint(one, two)
    assert len({base, both, flux.paint(one), flux.paint(two)}) == 4
    assert flux.paint(one, two) == both
    assert apart(flux.paint(one, lora=Lora("2.safetensors")), both) <= ROUNDING
    assert flux.paint() == base


def test_the_least_recently_worn_is_let_go(flux: Wardrobe) -> None:
    base = flux.paint()
    adapters = [flux.adapter(seed) for seed in range(ADAPTERS_WARM_MAX)]
    pictures = [flux.paint(adapter) for adapter in adapters]
    assert flux.paint(adapters[0]) == pictures[0]
    assert flux.loads == ADAPTERS_WARM_MAX
    flux.paint(flux.adapter(100))
    # The second has waited longest now.
    assert flux.paint(adapters[0]) == pictures[0]
    assert flux.loads == ADAPTERS_WARM_MAX + 1
    assert flux.paint(adapters[1]) == pictures[1]
    assert flux.loads == ADAPTERS_WARM_MAX + 2
    assert len(flux.pipeline.get_list_adapters()["transformer"]) == ADAPTERS_WARM_MAX
    assert flux.paint() == base


def test_a_job_that_is_stopped_leaves_the_next_as_it_should_be(wardrobe: Wardrobe) -> None:
    base, adapter = wardrobe.paint(), wardrobe.adapter(1)
    worn = wardrobe.paint(adapter)
    watch = Watch(lambda: watch.stop())
    with pytest.raises(Stopped):
        wardrobe.studio.make(ROBOT, [], watch, [adapter])
    assert wardrobe.paint() == base
    assert wardrobe.paint(adapter) == worn


def test_too_little_memory_lets_all_adapters_go(flux: Wardrobe) -> None:
    base, adapter = flux.paint(), flux.adapter(1)
    worn = flux.paint(adapter)

    def burst(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    hook = flux.pipeline.transformer.register_forward_pre_hook(burst)
    with pytest.raises(JobFailed) as caught:
        flux.paint(adapter)
    hook.remove()
    assert caught.value.retry
    assert flux.pipeline.get_list_adapters() == {}
    assert flux.paint() == base
    assert flux.paint(adapter) == worn


def test_memory_that_ends_while_an_adapter_is_loaded_sends_the_job_back(flux: Wardrobe) -> None:
    base, adapter = flux.paint(), flux.adapter(1)
    load = flux.pipeline.load_lora_weights

    def burst(*words: Any, **settings: Any) -> None:
        load(*words, **settings)
        raise torch.OutOfMemoryError("CUDA out of memory")

    flux.pipeline.load_lora_weights = burst
    with pytest.raises(JobFailed) as caught:
        flux.paint(adapter)
    flux.pipeline.load_lora_weights = load
    assert caught.value.retry
    assert flux.paint() == base
    assert flux.paint(adapter) != base


def test_with_little_memory_adapters_are_worn_all_the_same(models: Models, tmp_path: Path) -> None:
    large = Wardrobe("flux_queue", models.flux, tmp_path / "large")
    small = Wardrobe("flux_queue", models.flux, tmp_path / "small", memory_gib=0.5)
    assert (large.studio.is_offloaded, small.studio.is_offloaded) == (False, True)
    adapters = [large.adapter(1), large.adapter(2)]
    for worn in ([], adapters[:1], adapters[1:], adapters[:1], [], adapters):
        assert apart(small.paint(*worn), large.paint(*worn)) <= ROUNDING
    assert small.loads == 2


def changed(file: Path, **changes: Any) -> Trained:
    """Write a file like `file` with other tensors (None: without) or another alpha."""
    tensors = safetensors.load_file(file)
    metadata = changes.pop("metadata", None)
    for name, tensor in changes.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor.contiguous()
    out = file.with_name("changed.safetensors")
    safetensors.save_file(tensors, out, metadata)
    return as_trained(out)


LAYER = "transformer.transformer_blocks.0.attn.to_q"
DOWN, UP = f"{LAYER}.lora_A.weight", f"{LAYER}.lora_B.weight"


@pytest.mark.parametrize(
    "changes",
    [
        {DOWN: None},
        {UP: torch.zeros(4, 32)},
        {UP: torch.zeros(33, 4)},
        {DOWN: torch.zeros(4, 33)},
        {DOWN: torch.zeros(4, 32, dtype=torch.int8)},
        {DOWN: torch.zeros(3, 32), UP: torch.zeros(32, 3)},
        {DOWN: torch.zeros(0, 32), UP: torch.zeros(32, 0)},
        {f"{LAYER}.base_layer.lora_A.weight": torch.zeros(4, 32)},
        {"transformer.nowhere.lora_A.weight": torch.zeros(4, 32)},
        {"transformer.transformer_blocks.0.attn.norm_q.weight": torch.ones(16)},
        {f"{LAYER}.dora_scale": torch.ones(32)},
        {f"{LAYER}.alpha": torch.tensor(4.0)},
        {"text_encoder.layer.lora_A.weight": torch.zeros(4, 32)},
        {"metadata": {"lora_adapter_metadata": "no json"}},
        {"metadata": {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": "4"})}},
        {"metadata": {"lora_adapter_metadata": json.dumps({"transformer.lora_alpha": 1e9})}},
        {"metadata": {"lora_adapter_metadata": json.dumps({"transformer.use_dora": True})}},
        {"metadata": {"lora_adapter_metadata": json.dumps({"alpha_pattern": {"to_q": 9}})}},
    ],
    ids=lambda changes: " ".join(f"{name}" for name in changes)[-40:],
)
def test_what_is_not_an_adapter_of_this_model_ends_the_job_and_the_next_is_as_ever(
    flux: Wardrobe, changes: dict[str, Any]
) -> None:
    base, good = flux.paint(), flux.adapter(1)
    worn = flux.paint(good)
    bad = changed(good.file, **changes)
    with pytest.raises(JobFailed) as caught:
        flux.paint(bad)
    assert not caught.value.retry
    # Nothing was taken from the file, and nothing had to be loaded again.
    assert (flux.paint(), flux.paint(good)) == (base, worn)
    assert flux.loads == 1


def test_an_adapter_of_another_model_ends_the_job_and_the_next_is_as_ever(
    wardrobe: Wardrobe, models: Models, tmp_path: Path
) -> None:
    base = wardrobe.paint()
    other = models.flux if wardrobe.base == models.sdxl else models.sdxl
    foreign = as_trained(tiny.adapter(other, tmp_path / "foreign.safetensors"))
    with pytest.raises(JobFailed) as caught:
        wardrobe.paint(foreign)
    assert "cannot be used with this model" in str(caught.value)
    assert not caught.value.retry
    assert wardrobe.paint() == base
    assert wardrobe.loads == 0


def test_an_adapter_that_fits_beside_one_that_does_not_is_not_worn_by_the_next(
    flux: Wardrobe, models: Models, tmp_path: Path
) -> None:
    one, two = flux.adapter(1), flux.adapter(2)
    worn = flux.paint(one)
    foreign = as_trained(tiny.adapter(models.sdxl, tmp_path / "foreign.safetensors"))
    with pytest.raises(JobFailed):
        flux.paint(two, foreign)
    assert flux.paint(one) == worn


def test_a_file_that_is_gone_sends_the_job_back(flux: Wardrobe) -> None:
    adapter = flux.adapter(1)
    adapter.file.unlink()
    with pytest.raises(JobFailed) as caught:
        flux.paint(adapter)
    assert caught.value.retry


def test_nothing_else_that_a_file_says_is_heeded(flux: Wardrobe) -> None:
    # peft would import this module, and look for these layers.
    said = {
        "transformer.lora_alpha": 4,
        "transformer.r": 4,
        "transformer.megatron_config": {"a": 1},
        "transformer.megatron_core": "antigravity",
        "transformer.target_modules": "(a+)+$",
    }
    adapter = flux.adapter(1)
    worn = flux.paint(adapter)
    talkative = changed(adapter.file, metadata={"lora_adapter_metadata": json.dumps(said)})
    assert talkative.sha256 != adapter.sha256
    assert flux.paint(talkative) == worn


def test_a_named_file_that_was_written_anew_is_another(flux: Wardrobe) -> None:
    flux.adapter(1)
    first = flux.paint(lora=Lora("1.safetensors"))
    tiny.adapter(flux.base, flux.folder / "1.safetensors", seed=2, rank=2)
    assert flux.paint(lora=Lora("1.safetensors")) != first
