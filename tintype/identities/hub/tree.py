"""Which files does an identity's repository hold?

The pictures as `images/image_001.jpg` …, and three files that explain them: `.gitattributes` (what
is large), `training_config.json` (how it is trained) and `README.md` (the model card,
https://huggingface.co/docs/hub/model-cards). A person's name goes through all of them, so it is
written as data in each: quoted YAML, escaped Markdown, JSON.
"""

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

ADAPTER_FILE = "pytorch_lora_weights.safetensors"
LARGE_FILES = ("*.jpg", "*.jpeg", "*.png", "*.safetensors")
BASE_MODELS = {
    "flux": "black-forest-labs/FLUX.1-dev",
    "sdxl": "stabilityai/stable-diffusion-xl-base-1.0",
}
TAGS = {
    "flux": ("text-to-image", "flux", "lora", "diffusers", "identity"),
    "sdxl": ("text-to-image", "stable-diffusion-xl", "lora", "diffusers", "identity"),
}
TRAINING_PARAMS = ("steps", "learning_rate", "resolution")
TITLE_CHARACTERS_MAX = 100

# Unicode's categories of what controls, and of what parts lines and paragraphs.
_BREAKS = {"Cc", "Zl", "Zp"}
# What YAML does not allow or reads as a line break inside of double quotes, where JSON does not.
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_DIRECTIONS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class RepoFile(msgspec.Struct, frozen=True):
    """One file of a repository: its `path` there, and `local`, where its bytes lie here."""

    path: str
    local: Path


def write_tree(
    folder: Path,
    *,
    identity_name: str,
    user_id: str,
    repo_name: str,
    images: Sequence[Path],
    created_at: datetime,
    trigger_word: str,
    base: str,
    params: Mapping[str, Any],
) -> list[RepoFile]:
    """Write the files that explain `images` into `folder`, and return all files of the repository.

    `images` stay where they are and keep their extension (`.jpeg` becomes `.jpg`). `base` is
    `flux` or `sdxl`; `params` holds `steps`, `learning_rate` and `resolution`, and what else is in
    it (`rank`, `seed`) is written after them. The same arguments give the same bytes. Blocks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        ".gitattributes": "".join(
            f"{pattern} filter=lfs diff=lfs merge=lfs -text\n" for pattern in LARGE_FILES
        ),
        "training_config.json": training_config(
            identity_name=identity_name,
            user_id=user_id,
            images_count=len(images),
            created_at=created_at,
            trigger_word=trigger_word,
            base=base,
            params=params,
        ),
        "README.md": card(
            identity_name=identity_name,
            repo_name=repo_name,
            trigger_word=trigger_word,
            base=base,
            images_count=len(images),
            params=params,
            adapter=False,
        ),
    }
    files = [
        RepoFile(f"images/image_{number:03d}{_extension(image)}", image)
        for number, image in enumerate(images, start=1)
    ]
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8", "replace"))
        files.append(RepoFile(name, folder / name))
    return files


def training_config(
    *,
    identity_name: str,
    user_id: str,
    images_count: int,
    created_at: datetime,
    trigger_word: str,
    base: str,
    params: Mapping[str, Any],
) -> str:
    """Return `training_config.json`; what the original did not have comes after its members."""
    extra = {name: value for name, value in params.items() if name not in TRAINING_PARAMS}
    config = {
        "identity_name": identity_name,
        "num_images": images_count,
        "created_at": created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "user_id": user_id,
        "model_type": f"{base}-lora",
        "training_params": {name: params[name] for name in TRAINING_PARAMS},
        "trigger_word": trigger_word,
        "base_model": BASE_MODELS[base],
        **extra,
    }
    return json.dumps(config, ensure_ascii=False, indent=2) + "\n"


def card(
    *,
    identity_name: str,
    repo_name: str,
    trigger_word: str,
    base: str,
    images_count: int,
    params: Mapping[str, Any],
    adapter: bool,
) -> str:
    """Return the model card: YAML front matter, then what this is and how it is used.

    `repo_name` may name its owner (`owner/name`), as the lines that load the adapter want it.
    `adapter` says whether the repository holds the trained adapter yet.
    """
    front = [
        "---",
        "license: mit",
        f"base_model: {_yaml(BASE_MODELS[base])}",
        "library_name: diffusers",
        "pipeline_tag: text-to-image",
        f"instance_prompt: {_yaml(trigger_word)}",
        "tags:",
        *(f"- {tag}" for tag in TAGS[base]),
        "---",
        "",
    ]
    title = _markdown(identity_name) or "An identity"
    body = [
        f"# {title}",
        "",
        f"A LoRA of one person for {BASE_MODELS[base]}, from {images_count} pictures.",
        "The pictures and what is made of them are private.",
        "",
        f"- Trigger word: {_markdown(trigger_word)}",
        *(f"- {name.replace('_', ' ').capitalize()}: {params[name]}" for name in TRAINING_PARAMS),
        "",
    ]
    return "\n".join(front + body + (_usage(repo_name, base) if adapter else _waiting()))


def _waiting() -> list[str]:
    return ["The pictures are in `images/`. The adapter is added once it is trained.", ""]


def _usage(repo_name: str, base: str) -> list[str]:
    return [
        "```python",
        "from diffusers import AutoPipelineForText2Image",
        "",
        f'pipeline = AutoPipelineForText2Image.from_pretrained("{BASE_MODELS[base]}")',
        f'pipeline.load_lora_weights("{repo_name}", weight_name="{ADAPTER_FILE}")',
        "```",
        "",
    ]


def _extension(image: Path) -> str:
    extension = image.suffix.lower()
    return ".jpg" if extension == ".jpeg" else extension


def _yaml(text: str) -> str:
    # JSON's strings are YAML's, but for a few characters that are escaped in the same way.
    quoted = json.dumps(_encodable(text), ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)


def _markdown(text: str) -> str:
    text = _DIRECTIONS.sub("", _encodable(text))
    text = "".join(" " if unicodedata.category(letter) in _BREAKS else letter for letter in text)
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split())[:TITLE_CHARACTERS_MAX])


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
