"""Whatever a person is called, the Hub takes the name, the card and the configuration."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.utils import validate_repo_id

from tests.identities.hub_tree import NAME, PARAMS, make_tree
from tests.support.hub_repositories import card_errors
from tintype.identities.hub import card, repository_name, slug_of

HOSTILE_NAMES = [
    "",
    "   ",
    "--",
    "..",
    "-.-",
    "../../etc/passwd",
    "a" * 300,
    "-" * 300 + "x",
    "x" * 49 + "--" + "y" * 49,
    "😀",
    "👩‍👩‍👧 family",
    "李雷",
    "José Ångström",
    "name.git",
    "---\nlicense: evil\n---",
    "quote \" and \\ and ' and # and : and {x}",
    "tab\tnull\0bell\x07next\x85line\u2028para\u2029end\x7f\x9f",
    "\ufeffbom \ufffe \uffff",
    "lone \ud800 surrogate",
    "<script>alert(1)</script> [x](javascript:alert(1)) ![](http://x) `code` @all",
    "\u202egnp.exe",
    "!!python/object/apply:os.system [ls]",
    "*anchor &ref null ~ yes",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_name_becomes_a_repository_name_that_the_hub_takes(name: str) -> None:
    repository = repository_name(name, datetime(2025, 10, 26, 12, tzinfo=UTC))
    validate_repo_id(f"someone/{repository}")
    assert re.fullmatch(r"identity-[a-z0-9]+(-[a-z0-9]+)*-1761480000000", repository)
    assert len(slug_of(name)) <= 50


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Test Person", "test-person"),
        ("John", "john"),
        ("  Mom & Dad!! (2nd) ", "mom-dad-2nd"),
        ("José", "jose"),
        ("a--b..c", "a-b-c"),
        ("😀", "person"),
        ("x" * 49 + " yz", "x" * 49),
    ],
)
def test_a_slug_is_lower_case_with_single_hyphens(name: str, slug: str) -> None:
    assert slug_of(name) == slug


@pytest.mark.parametrize("name", HOSTILE_NAMES)
@pytest.mark.parametrize("adapter", [False, True])
def test_a_card_with_any_name_is_valid_and_says_only_what_it_should(
    name: str, adapter: bool
) -> None:
    text = card(
        identity_name=name,
        repo_name=NAME,
        trigger_word=name,
        base="sdxl",
        images_count=3,
        params=PARAMS,
        adapter=adapter,
    )
    assert card_errors(text) == []
    front = ModelCard(text).data.to_dict()
    assert front["license"] == "mit"
    assert front["base_model"] == "stabilityai/stable-diffusion-xl-base-1.0"
    assert front["library_name"] == "diffusers"
    assert front["instance_prompt"] == name.encode("utf-8", "replace").decode()
    assert {"lora", "text-to-image"} <= set(front["tags"])
    body = text.split("\n---\n", 1)[1]
    assert len(body.splitlines()) == len(card_of_john(adapter).split("\n---\n", 1)[1].splitlines())
    title = body.splitlines()[1]
    assert not re.search(r"(?<!\\)[<\[`*@:]", title)
    assert yaml.safe_load(text.split("---\n")[1]) == front


def card_of_john(adapter: bool) -> str:
    return card(
        identity_name="John",
        repo_name=NAME,
        trigger_word="john7f3a",
        base="sdxl",
        images_count=3,
        params=PARAMS,
        adapter=adapter,
    )


def test_a_card_with_the_adapter_says_how_to_load_it() -> None:
    assert f'load_lora_weights("{NAME}", weight_name="pytorch_lora_weights.safetensors")' in (
        card_of_john(adapter=True)
    )
    assert "load_lora_weights" not in card_of_john(adapter=False)


def test_the_tree_is_the_original_functions_field_for_field(tmp_path: Path) -> None:
    files = {file.path: file.local for file in make_tree(tmp_path)}
    assert sorted(files) == [
        ".gitattributes",
        "README.md",
        "images/image_001.jpg",
        "images/image_002.jpg",
        "images/image_003.jpg",
        "training_config.json",
    ]
    config = json.loads(files["training_config.json"].read_text("utf-8"))
    original = {
        "identity_name": "John",
        "num_images": 3,
        "created_at": "2025-10-26T12:00:00Z",
        "user_id": "5f0c8b1e-0000-4000-8000-000000000001",
        "model_type": "flux-lora",
        "training_params": {"steps": 1000, "learning_rate": 0.0004, "resolution": 512},
    }
    assert dict(list(config.items())[:6]) == original
    assert {name: config[name] for name in config if name not in original} == {
        "trigger_word": "john7f3a",
        "base_model": "black-forest-labs/FLUX.1-dev",
        "rank": 16,
        "seed": 0,
    }
    attributes = files[".gitattributes"].read_text()
    for kind in ("jpg", "jpeg", "png", "safetensors"):
        assert f"*.{kind} filter=lfs diff=lfs merge=lfs -text\n" in attributes


def test_the_configuration_keeps_any_name_as_it_was_typed(tmp_path: Path) -> None:
    name = 'José "李雷" 😀 \\ \n {x}'
    files = {file.path: file.local for file in make_tree(tmp_path, identity_name=name)}
    assert json.loads(files["training_config.json"].read_text("utf-8"))["identity_name"] == name
