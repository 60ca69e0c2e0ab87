"""Whole pipelines with random weights, small enough for a test, made here without any download."""

import shutil
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pip install 'tintype[gpu]', or make test-gpu")
diffusers = pytest.importorskip("diffusers", reason="pip install 'tintype[gpu]'")
transformers = pytest.importorskip("transformers", reason="pip install 'tintype[gpu]'")
peft = pytest.importorskip("peft", reason="pip install 'tintype[gpu]'")

tokenizers = pytest.importorskip("tokenizers", reason="pip install 'tintype[gpu]'")

SEED = 7
LOUDER = 12.0
CLIP_TOKENS_MAX = 77
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789,.'-"
CHAT = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def sdxl(folder: Path) -> Path:
    """Write an SDXL of 64×64 pixels to `folder` and return it."""
    torch.manual_seed(SEED)
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(16, 32),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=6 * 8 + 16,
        cross_attention_dim=32,
        norm_num_groups=8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
    )
    tokenizer = _clip_tokenizer()
    pipeline = diffusers.StableDiffusionXLPipeline(
        vae=vae,
        text_encoder=transformers.CLIPTextModel(_clip_config(tokenizer)),
        text_encoder_2=transformers.CLIPTextModelWithProjection(_clip_config(tokenizer)),
        tokenizer=tokenizer,
        tokenizer_2=_clip_tokenizer(),
        unet=unet,
        scheduler=diffusers.EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        add_watermarker=False,
    )
    return _saved(pipeline, folder)


def flux(folder: Path) -> Path:
    """Write a FLUX with distilled guidance, of 64×64 pixels, to `folder` and return it."""
    torch.manual_seed(SEED)
    transformer = diffusers.FluxTransformer2DModel(
        patch_size=1,
        # Four neighbours of the autoencoder's four channels.
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=32,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
        guidance_embeds=True,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(16, 32),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        use_quant_conv=False,
        use_post_quant_conv=False,
        shift_factor=0.1159,
        scaling_factor=0.3611,
    )
    tokenizer = _clip_tokenizer()
    words = _t5_tokenizer()
    pipeline = diffusers.FluxPipeline(
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
        vae=vae,
        text_encoder=transformers.CLIPTextModel(_clip_config(tokenizer)),
        tokenizer=tokenizer,
        text_encoder_2=transformers.T5EncoderModel(
            transformers.T5Config(
                vocab_size=len(words),
                d_model=32,
                d_kv=8,
                d_ff=37,
                num_layers=2,
                num_heads=4,
                is_gated_act=True,
                dense_act_fn="gelu_new",
                feed_forward_proj="gated-gelu",
            )
        ),
        tokenizer_2=words,
        transformer=transformer,
    )
    return _saved(pipeline, folder)


def wan(folder: Path) -> Path:
    """Write a WAN of 9 frames of 32×32 pixels to `folder` and return it."""
    torch.manual_seed(SEED)
    vae = diffusers.AutoencoderKLWan(
        base_dim=3,
        z_dim=16,
        dim_mult=[1, 1, 1, 1],
        num_res_blocks=1,
        temperal_downsample=[False, True, True],
    )
    tokenizer = _t5_tokenizer()
    encoder = transformers.UMT5EncoderModel(
        transformers.UMT5Config(
            vocab_size=len(tokenizer),
            d_model=32,
            d_kv=8,
            d_ff=37,
            num_layers=2,
            num_heads=4,
            is_gated_act=True,
            dense_act_fn="gelu_new",
            feed_forward_proj="gated-gelu",
        )
    )
    transformer = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=16,
        text_dim=32,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    )
    _listen(transformer)
    pipeline = diffusers.WanPipeline(
        tokenizer=tokenizer,
        text_encoder=encoder,
        vae=vae,
        transformer=transformer,
        scheduler=diffusers.UniPCMultistepScheduler(
            prediction_type="flow_prediction",
            use_flow_sigmas=True,
            num_train_timesteps=1000,
            flow_shift=3.0,
        ),
    )
    return _saved(pipeline, folder)


def writer(folder: Path) -> Path:
    """Write an instruct model, whose words are nonsense, to `folder` and return it."""
    torch.manual_seed(SEED)
    words = tokenizers.Tokenizer(
        tokenizers.models.BPE(
            vocab={byte: number for number, byte in enumerate(_bytes())}, merges=[]
        )
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = tokenizers.decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = CHAT
    model = transformers.Qwen2ForCausalLM(
        transformers.Qwen2Config(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=4096,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def lora(base: Path, file: Path, *, seed: int = SEED) -> Path:
    """Write a LoRA for the SDXL in `base`, with weights that change something, to `file`."""
    torch.manual_seed(seed)
    pipeline = diffusers.StableDiffusionXLPipeline.from_pretrained(base)
    pipeline.unet.add_adapter(
        peft.LoraConfig(
            r=4,
            lora_alpha=16,
            # The usual start is the identity, which changes nothing.
            init_lora_weights=False,
            target_modules=["to_k", "to_q", "to_v", "to_out.0"],
        )
    )
    pipeline.save_lora_weights(
        file.parent,
        unet_lora_layers=peft.get_peft_model_state_dict(pipeline.unet),
        weight_name=file.name,
    )
    return file


def adapter(base: Path, file: Path, *, seed: int = SEED, alpha: int = 4, rank: int = 4) -> Path:
    """Write an adapter for the FLUX or SDXL in `base`, as a trainer does, to `file`."""
    torch.manual_seed(seed)
    pipeline = diffusers.DiffusionPipeline.from_pretrained(base)
    part = "unet" if hasattr(pipeline, "unet") else "transformer"
    trained = getattr(pipeline, part)
    shape = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha,
        init_lora_weights=False,
        target_modules=["to_k", "to_q", "to_v", "to_out.0"],
    )
    trained.add_adapter(shape)
    pipeline.save_lora_weights(
        file.parent,
        weight_name=file.name,
        **{
            f"{part}_lora_layers": peft.get_peft_model_state_dict(trained),
            f"{part}_lora_adapter_metadata": shape.to_dict(),
        },
    )
    return file


def as_pickles(base: Path, folder: Path, proof: Path) -> Path:
    """Copy a pipeline with every weight file as a pickle that, if it is opened, writes `proof`."""
    shutil.copytree(base, folder)
    for file in folder.rglob("*.safetensors"):
        name = "pytorch_model" if file.stem == "model" else file.stem
        torch.save(_Trap(proof), file.with_name(f"{name}.bin"))
        file.unlink()
    return folder


class _Trap:
    def __init__(self, proof: Path) -> None:
        self._proof = str(proof)

    def __reduce__(self) -> tuple[Any, ...]:
        return (open, (self._proof, "w"))


def _listen(transformer: Any) -> None:
    """Let the prompt count: fresh weights pass on less of it than one step of an 8-bit colour."""
    with torch.no_grad():
        for module in transformer.condition_embedder.text_embedder.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.mul_(LOUDER)
        for block in transformer.blocks:
            block.attn2.to_out[0].weight.mul_(LOUDER)


def _bytes() -> list[str]:
    return [*sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()), "<|endoftext|>"]


def _saved(pipeline: Any, folder: Path) -> Path:
    pipeline.save_pretrained(folder)
    return folder


def _clip_tokenizer() -> Any:
    """Return a tokenizer that reads letters; a bare one maps every prompt to unknown."""
    pieces = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    return transformers.CLIPTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        merges=[],
        model_max_length=CLIP_TOKENS_MAX,
    )


def _clip_config(tokenizer: Any) -> Any:
    return transformers.CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=37,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=CLIP_TOKENS_MAX,
        projection_dim=16,
        hidden_act="gelu",
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def _t5_tokenizer() -> Any:
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(letter, -3.0) for letter in LETTERS]
    return transformers.T5Tokenizer(vocab=pieces, extra_ids=0, model_max_length=512)
